-- What waha_gateway may execute, divided: for three logins instead of one.
--
--     waha_webhooks   stores events
--     waha_tenants    serves the API of organizations
--     waha_operators  serves that of operators: organizations, keys, privacy
--
-- A function that is granted to waha_gateway and is not named here is one for
-- organizations.

do $$
declare
    made  record;
    f     record;
begin
    for made in
        select *
          from (values
            ('waha_webhooks', 'ngx_http_waha_module, for webhooks only'),
            ('waha_tenants',
             'ngx_http_waha_module, for the API of organizations only'),
            ('waha_operators',
             'ngx_http_waha_module, for the API of operators only'))
               as wanted (name, purpose)
         where not exists (select from pg_roles where rolname = name)
    loop
        execute format('create role %I nologin', made.name);
        execute format('comment on role %I is %L', made.name, made.purpose);
    end loop;

    grant usage on schema waha
        to waha_webhooks, waha_tenants, waha_operators;

    for f in
        select p.oid::regprocedure as called,
               case when p.proname in ('ingest', 'ingest_batch',
                                       'ingest_each', 'quarantine',
                                       'count_timeout', 'find_connection')
                    then 'waha_webhooks'
                    when p.proname in ('list_organizations',
                                       'show_organization',
                                       'put_organization',
                                       'delete_organization',
                                       'create_api_key', 'list_api_keys',
                                       'delete_api_key', 'erase_contact',
                                       'export_contact',
                                       'export_organization',
                                       'list_secrets', 'replace_secret')
                    then 'waha_operators'
                    when p.proname = 'check'
                    then 'waha_webhooks, waha_tenants, waha_operators'
                    when p.proname = 'act_as'
                    then 'waha_tenants, waha_operators'
                    else 'waha_tenants' end as roles
          from pg_proc p
         cross join aclexplode(p.proacl) a
         where p.pronamespace = 'waha'::regnamespace
           and a.grantee = 'waha_gateway'::regrole
           and a.privilege_type = 'EXECUTE'
         order by 1
    loop
        execute format('grant execute on function %s to %s', f.called,
                       f.roles);
    end loop;
end
$$;
