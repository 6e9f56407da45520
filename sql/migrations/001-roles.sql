-- Roles belong to the whole cluster: another database may have made them.
--
-- Triggers of the CRM run as waha_owner when ingest writes, and could replace
-- a function of schema waha: whoever owns the CRM's tables is trusted with
-- all that waha_owner may.  With no more than that, as long as no superuser
-- calls a function here or upgrades: administrators log in as members of
-- waha_admin to add sessions, replay and maintain, and upgrade as a role that
-- has just the rights that install.sql names.

do $$
declare
    made    record;
    owner   name;
    become  text := 'usage';
begin
    for made in
        select *
          from (values
            ('waha_owner', 'nologin',
             'owns schema waha; nobody logs in as this role'),
            ('waha_admin', 'nologin',
             'for administrators: adds sessions, replays, maintains'),
            ('waha_api', 'nologin',
             'owns the functions that read for one organization'),
            ('waha_gateway', 'login',
             'ngx_http_waha_module: may only execute functions of schema waha'),
            ('waha_reader', 'nologin',
             'for the CRM and reports: reads the organization named in '
             'the setting waha.organization'))
               as wanted (name, login, purpose)
         where not exists (select from pg_roles where rolname = name)
    loop
        execute format('create role %I %s', made.name, made.login);
        execute format('comment on role %I is %L', made.name, made.purpose);
    end loop;

    if current_setting('server_version_num')::int >= 160000 then
        become := 'set';
    end if;

    foreach owner in array array['waha_owner', 'waha_api'] loop
        if not pg_has_role(current_user, owner, 'usage')
           or not pg_has_role(current_user, owner, become)
        then
            execute format('grant %I to %I', owner, current_user);
        end if;
    end loop;

exception
    when insufficient_privilege then
        raise exception '% may not create or use the roles of schema waha: %',
            current_user, sqlerrm
            using hint = 'Run install.sql as a superuser, or as a role with '
                'CREATEROLE; when the roles exist, let a superuser or the '
                'role that made them "grant waha_owner, waha_api to '
                || quote_ident(current_user) || '".';
end
$$;

do $$
declare
    owner  name;
begin
    if not has_database_privilege(current_database(), 'create') then
        raise exception '% may not create schemas in database "%"',
            current_user, current_database()
            using hint = 'Run install.sql as the owner of the database.';
    end if;

    select r.rolname into owner
      from pg_namespace n
      join pg_roles r on r.oid = n.nspowner
     where n.nspname = 'waha';

    if owner <> 'waha_owner' then
        raise exception 'schema "waha" belongs to "%"', owner
            using hint = 'Rename it: ngx_http_waha_module needs this name.';
    end if;

    if not has_database_privilege('waha_gateway', current_database(),
                                  'connect')
    then
        execute format('grant connect on database %I to waha_gateway',
                       current_database());
    end if;
end
$$;

create schema if not exists waha authorization waha_owner;

set local role waha_owner;

comment on schema waha is
    'WhatsApp for the CRM: what ngx_http_waha_module calls and writes';

revoke all on schema waha from public;
grant usage on schema waha
    to waha_gateway, waha_admin, waha_api, waha_reader;

alter default privileges for role waha_owner
    revoke execute on functions from public;

reset role;

set local role waha_api;

alter default privileges for role waha_api
    revoke execute on functions from public;

reset role;
