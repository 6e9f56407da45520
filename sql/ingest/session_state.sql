-- The state of sessions as WAHA reports it, and where the CRM sees it.

create or replace function waha.record_session(organization text,
    session text, state text, at timestamptz, number text, own_name text,
    server text) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    connected     timestamptz;
    disconnected  timestamptz;
begin
    -- a deleted session only gets the status: waha.maintain keeps the row
    -- while WAHA runs the session

    update waha.sessions s
       set status = state,
           status_at = at
     where s.name = session
       and s.deleted_at < at
       and (s.status_at is null
            or (at, state collate "C") > (s.status_at, s.status));

    if found then
        return false;
    end if;

    -- events arrive in any order: each column keeps its newest value

    if state = 'WORKING' then
        connected := at;
    elsif state in ('STOPPED', 'FAILED') and number is null then
        disconnected := at;
    end if;

    insert into waha.sessions as s (name, organization_slug, status,
                                    status_at, phone, push_name, named_at,
                                    instance, connected_at, disconnected_at)
        values (session, organization, state, at, number, own_name,
                case when number is not null then at end, server, connected,
                disconnected)
        on conflict (name) do update
           set status = case
                   when (excluded.status_at, excluded.status collate "C")
                        >= (s.status_at, s.status) is not false
                   then excluded.status else s.status end,
               status_at = greatest(s.status_at, excluded.status_at),
               phone = case
                   when excluded.named_at >= coalesce(s.named_at,
                                                      '-infinity')
                   then excluded.phone else s.phone end,
               push_name = case
                   when excluded.named_at >= coalesce(s.named_at,
                                                      '-infinity')
                   then coalesce(excluded.push_name, s.push_name)
                   else s.push_name end,
               named_at = greatest(s.named_at, excluded.named_at),
               instance = coalesce(s.instance, excluded.instance),
               connected_at = greatest(s.connected_at,
                                       excluded.connected_at),
               disconnected_at = greatest(s.disconnected_at,
                                          excluded.disconnected_at)
         where s.deleted_at is null
           and (s.status_at is null
                or (excluded.status_at, excluded.status collate "C")
                   > (s.status_at, s.status)
                or excluded.named_at > s.named_at
                or excluded.named_at is not null and s.named_at is null
                or excluded.connected_at > coalesce(s.connected_at,
                                                    '-infinity')
                or excluded.disconnected_at > coalesce(s.disconnected_at,
                                                       '-infinity')
                or s.instance is null and excluded.instance is not null);

    return found;
end
$$;

comment on function waha.record_session is
    'updates waha.sessions with a status that WAHA reported; result: whether '
    'organizations.whatsapp_* may have to change';


create or replace function waha.show_sessions(sessions text[]) returns void
language sql
set search_path = waha, pg_temp
as $$
    -- locked in the order of slugs, as by other batches

    select o.id
      from waha.organizations o
     where o.slug = any (array(select s.organization_slug collate "default"
                                 from waha.sessions s
                                where s.name = any (sessions)))
     order by o.slug collate "C"
       for no key update;

    update waha.organizations o
       set whatsapp_session_name = s.name,
           whatsapp_status = s.status,
           whatsapp_phone_number = s.number,
           whatsapp_connected_at = s.since,
           waha_instance = coalesce(s.instance, o.waha_instance)
      from (select distinct on (p.id) p.id, k.name, k.status, k.instance,
                   case when k.named_at > coalesce(k.disconnected_at,
                                                   '-infinity')
                        then '+' || k.phone end as number,
                   case when k.connected_at > coalesce(k.disconnected_at,
                                                       '-infinity')
                        then k.connected_at end as since
              from waha.sessions k
              join waha.organizations p
                on p.slug = k.organization_slug collate "default"
             where k.name = any (sessions)
               and coalesce(p.whatsapp_session_name, k.name) = k.name
             order by p.id, k.name) s
     where o.id = s.id
$$;

comment on function waha.show_sessions(text[]) is
    'writes the state of sessions into organizations.whatsapp_*, which show '
    'one session of each organization';
