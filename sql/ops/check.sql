-- Checks: whether this schema serves the module, and whether ingest can write
-- into the tables of the CRM.

create or replace function waha.check(min int, max int) returns text
language plpgsql stable security definer
set search_path = waha, pg_temp
as $$
declare
    have  waha.version;
    me    record;
begin
    select * into strict have from waha.version;

    if have.contract < min or have.contract_min > max then
        return format('schema waha serves contract %s to %s, the module '
                      'needs %s to %s: run the install.sql that came with '
                      'the module', have.contract_min, have.contract, min,
                      max);
    end if;

    select r.oid, r.rolname, r.rolsuper, r.rolbypassrls into me
      from pg_roles r
     where r.rolname = session_user;

    if me.rolsuper then
        return format('role "%s" is a superuser: connect as waha_gateway',
                      me.rolname);
    end if;

    if me.rolbypassrls then
        return format('role "%s" has BYPASSRLS: connect as waha_gateway',
                      me.rolname);
    end if;

    if pg_has_role(me.oid, 'waha_owner', 'member')
       or exists (select
                    from pg_class c
                    join pg_namespace n on n.oid = c.relnamespace
                   where n.nspname in ('waha', have.crm_schema)
                     and pg_has_role(me.oid, c.relowner, 'member'))
    then
        return format('role "%s" owns tables: connect as waha_gateway',
                      me.rolname);
    end if;

    return null;
end
$$;

comment on function waha.check(int, int) is
    'null when the role of the connection may serve a module that knows '
    'contracts min to max; otherwise a sentence with the reason and the '
    'remedy';

grant execute on function waha.check(int, int) to waha_gateway;


create or replace function waha.trial() returns text
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    org      text;
    person   bigint;
    step     text := 'organizations';
begin
    select o.slug into org from waha.organizations o limit 1;

    if org is null then
        begin
            insert into waha.organizations as o (slug, name,
                                                 whatsapp_enabled)
                values ('waha-trial', 'Trial', false)
                returning o.slug into org;
        exception
            when others then
                -- only the CRM knows how to fill its other columns
                return null;
        end;
    end if;

    update waha.organizations o
       set whatsapp_session_name = o.whatsapp_session_name,
           whatsapp_status = 'WORKING',
           whatsapp_phone_number = '+4915112345678',
           whatsapp_connected_at = now()
     where o.slug = org;

    step := 'traffic_channels';
    perform waha.channel(org);

    step := 'contacts';
    insert into waha.contacts as c (organization_slug, first_name, last_name,
                                    phone_1, contact_type, traffic_source_id,
                                    state, whatsapp_name)
        values (org, 'WhatsApp', 'Contact', '+4915112345678', 'lead',
                waha.channel(org), '', 'Trial')
        returning c.id into person;

    step := 'contact_activities';
    insert into waha.contact_activities
                (organization_slug, contact_id, activity_type, direction,
                 message_content, metadata, session_name, message_id,
                 message_type, chat, sender_name, occurred_at)
        values (org, person, 'whatsapp_message', 'inbound', 'Trial', '{}',
                'waha-trial', 'waha-trial', 'text', 'person', 'Trial',
                now());

    step := 'deferred constraints';
    set constraints all immediate;

    raise sqlstate 'WA002';

exception
    when sqlstate 'WA002' then
        return null;
    when others then
        return format('%s: %s', step, sqlerrm);
end
$$;

comment on function waha.trial() is
    'writes a row into each of the four tables and takes it back; result: '
    'null, or the reason why ingest could not write';

grant execute on function waha.trial to waha_admin;
