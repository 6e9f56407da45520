-- Sessions that a CRM of one of the integration guides has at WAHA.

create or replace function waha.import_session(organization text,
    session text, instance text) returns text
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    owner    text;
    enabled  boolean;
begin
    if coalesce(session, '') = '' then
        return 'it has no session';
    end if;

    select o.whatsapp_enabled into enabled
      from waha.organizations o
     where o.slug = organization;

    if not found then
        return 'there is no such organization';
    end if;

    if enabled is not true then
        return 'WhatsApp is not enabled for it';
    end if;

    insert into waha.sessions as s (name, organization_slug, instance)
        values (session, organization, nullif(instance, ''))
        on conflict (name) do nothing;

    if found then
        perform waha.notify_workers(array[organization]);

        return 'imported';
    end if;

    select s.organization_slug into owner
      from waha.sessions s
     where s.name = session;

    return case when owner = organization then 'it was there before'
                else 'the session is that of another organization' end;
end
$$;

comment on function waha.import_session(text, text, text) is
    'assigns a session of WAHA to an organization, unless there is a session '
    'of this name; result: "imported", or why it was not';


create or replace function waha.crm_schema() returns name
language plpgsql stable security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (select v.crm_schema from waha.version v);
end
$$;

comment on function waha.crm_schema() is
    'the schema that has the tables of the CRM';


create or replace function waha.import_sessions(out organization text,
    out session text, out result text) returns setof record
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    crm  name := waha.crm_schema();
    r    record;
begin
    -- as the caller: tables of the CRM that nobody has granted to waha_owner

    for r in
        execute format(
            'select f.organization, f.session, f.instance, '
            'count(*) over (partition by f.session) as named '
            'from (select o.slug::text as organization, '
                         'o.whatsapp_session_name::text as session, '
                         'o.waha_instance::text as instance '
                    'from %I.organizations o%s) f '
            'order by f.organization, f.session',
            crm, case when exists (
                select
                  from pg_attribute a
                 where a.attrelid = to_regclass(format('%I.tenants', crm))
                   and a.attname = 'waha_session_name'
                   and not a.attisdropped)
            then format(
                ' union '
                'select coalesce(o.slug, to_jsonb(t)->>''slug'', '
                                'to_jsonb(t)->>''id''), '
                       't.waha_session_name, null '
                  'from %1$I.tenants t '
                  'left join %1$I.organizations o '
                    'on o.slug in (to_jsonb(t)->>''slug'', '
                                  'to_jsonb(t)->>''id'') '
                 'where t.waha_session_name is not null', crm)
            else '' end)
    loop
        organization := r.organization;
        session := r.session;
        result := case when r.session <> '' and r.named > 1
                       then 'several organizations name the session'
                       else waha.import_session(r.organization, r.session,
                                                r.instance) end;
        return next;
    end loop;
end
$$;

comment on function waha.import_sessions() is
    'assigns the sessions that the tables of the CRM name to their '
    'organizations: organizations.whatsapp_session_name, and '
    'tenants.waha_session_name of the organization whose slug is the slug or '
    'the id of the tenant; changes no session that is there; result: what '
    'became of each organization';



create or replace function waha.import_number(organization text,
    phone_number_id text, connection text, details jsonb) returns text
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    reply  waha.reply := waha.find_number(organization, $2);
begin
    if reply.code is null and (reply).data is not null then
        return 'it was there before';
    end if;

    if reply.code is null then
        reply := waha.connect_number(organization, $2, connection,
                                     details || '{"maximum": 10000}');
    end if;

    return case when reply.code = 'number_taken'
           then 'the number is that of another organization'
           when reply.code = 'unknown_organization'
           then 'there is no such organization'
           when reply.code = 'disabled_organization'
           then 'WhatsApp is not enabled for it'
           when reply.code = 'invalid_argument'
           then reply.data->>'reason'
           else coalesce(reply.code, 'imported') end;
end
$$;

comment on function waha.import_number(text, text, text, jsonb) is
    'connects an organization to a number of the Cloud API, unless it is or '
    'was; details as for waha.connect_number; result: "imported", or why it '
    'was not';

grant execute on function waha.import_session(text, text, text),
    waha.crm_schema(), waha.import_sessions(),
    waha.import_number(text, text, text, jsonb)
    to waha_admin;
