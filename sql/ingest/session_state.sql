-- The state of sessions as WAHA reports it, and where the CRM sees it.

create or replace function waha.known_status(status text) returns text
language sql immutable
set search_path = waha, pg_temp
as $$
    select case when status in ('NOT_CREATED', 'STOPPED', 'STARTING',
                                'SCAN_QR_CODE', 'PASSKEY_REQUIRED',
                                'PASSKEY_CONFIRMATION_REQUIRED', 'WORKING',
                                'FAILED')
                then status
                when status is not null
                then 'UNKNOWN' end
$$;

comment on function waha.known_status(text) is
    'a status of WAHA as it is stored: UNKNOWN for one that this schema does '
    'not know';


create or replace function waha.says_no_number(status text) returns boolean
language sql immutable
set search_path = waha, pg_temp
as $$
    -- the others say nothing about the number, whatever stands in "me"

    select status in ('NOT_CREATED', 'SCAN_QR_CODE')
$$;

comment on function waha.says_no_number(text) is
    'whether a session with this status has no number; WORKING alone has one';


create or replace function waha.add_time(times timestamptz[], at timestamptz)
returns timestamptz[]
language sql immutable
set search_path = waha, pg_temp
as $$
    select array_agg(t.at order by t.at)
      from (select distinct u.at
              from unnest(times || add_time.at) as u (at)
             order by u.at desc
             limit 16) t
$$;

comment on function waha.add_time(timestamptz[], timestamptz) is
    'times with another one, sorted; only the newest are kept';


create or replace function waha.connection_start(session waha.sessions)
returns timestamptz
language sql immutable
set search_path = waha, pg_temp
as $$
    -- the first WORKING after the newest other status that has a WORKING
    -- after it; connected_at may be older than the times that are kept

    select min(w.at)
      from unnest(session.working_times || session.connected_at) as w (at)
     where w.at > coalesce((
           select max(o.at)
             from unnest(session.other_times || session.disconnected_at)
                  as o (at)
            where o.at < (
                  select max(l.at)
                    from unnest(session.working_times
                                || session.connected_at) as l (at))),
           '-infinity')
$$;

comment on function waha.connection_start(waha.sessions) is
    'since when a session has been working, or was when it last did';


create or replace function waha.restriction_time(told jsonb)
returns timestamptz
language sql immutable
set search_path = waha, pg_temp
as $$
    -- seconds; some engines tell milliseconds

    select case when told #>> '{}' ~ '^[1-9][0-9]{8,10}$'
                then to_timestamp((told #>> '{}')::float8)
                when told #>> '{}' ~ '^[1-9][0-9]{11,13}$'
                then to_timestamp((told #>> '{}')::float8 / 1000) end
$$;

comment on function waha.restriction_time(jsonb) is
    'when a restriction ends or has begun, as WAHA tells it; null: not known';


create or replace function waha.merge_restrictions(session text, known jsonb,
    told jsonb) returns jsonb
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    reachout  jsonb := told->'reachoutTimelock';
    capping   jsonb := told->'messageCapping';
    status    text := capping->>'cappingStatus';
    merged    jsonb := coalesce(known, '{}');
begin
    if reachout = 'null' or reachout->'isActive' = 'false' then
        merged := merged - 'reachout_timelock';

    elsif reachout->'isActive' = 'true' then
        merged := merged || jsonb_build_object('reachout_timelock',
            jsonb_build_object(
                'type', left(reachout->>'enforcementType', 50),
                'until', waha.rfc3339(waha.restriction_time(
                             reachout->'timeEnforcementEnds'))));

    elsif reachout is not null then
        raise log 'waha: session "%" has an unknown reachoutTimelock: %',
            session, left(reachout::text, 100);
    end if;

    if capping = 'null' or status = 'NONE' then
        merged := merged - 'message_capping';

    elsif status in ('FIRST_WARNING', 'SECOND_WARNING', 'CAPPED') then
        merged := merged || jsonb_build_object('message_capping',
            jsonb_build_object(
                'status', status,
                'used', substring(capping->>'usedQuota'
                                  from '^[0-9]{1,9}$')::int,
                'total', substring(capping->>'totalQuota'
                                   from '^[0-9]{1,9}$')::int,
                'since', waha.rfc3339(waha.restriction_time(
                             capping->'cycleStart')),
                'until', waha.rfc3339(waha.restriction_time(
                             capping->'cycleEnd'))));

    elsif capping is not null then
        raise log 'waha: session "%" has an unknown messageCapping: %',
            session, left(capping::text, 100);
    end if;

    return nullif(merged, '{}');
end
$$;

comment on function waha.merge_restrictions(text, jsonb, jsonb) is
    'the known restrictions of a session with those that WAHA tells; what it '
    'does not mention, or what nobody knows, changes nothing';


create or replace function waha.record_session(organization text,
    session text, state text, at timestamptz, number text, own_name text,
    addable boolean, told jsonb) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    was      waha.sessions;
    new      waha.sessions;
    told_at  timestamptz;
begin
    if waha.known_status(state) is distinct from state then
        raise log 'waha: session "%" has an unknown status: %', session,
            to_json(left(state, 50));
        state := waha.known_status(state);
    end if;

    if addable then
        insert into waha.sessions (name, organization_slug)
            values (session, organization)
            on conflict (name) do nothing;

        if found then
            perform waha.notify_workers(array[organization]);
        end if;
    end if;

    select s.* into was
      from waha.sessions s
     where s.name = session
       for no key update;

    if not found then
        return null;
    end if;

    new := was;

    -- events arrive in any order: each column keeps its newest value

    if was.status_at is null
       or (at, state collate "C") > (was.status_at, was.status)
    then
        new.status := state;
        new.status_at := at;
    end if;

    -- a deleted session only gets the status: waha.maintain keeps the row
    -- while WAHA runs the session

    if was.deleted_at is not null then
        update waha.sessions s
           set status = new.status,
               status_at = new.status_at
         where s.name = session
           and s.deleted_at < at
           and s.status_at is distinct from new.status_at;

        return false;
    end if;

    if state = 'WORKING' then
        new.working_times := waha.add_time(was.working_times, at);

        if number is not null and (at < was.named_at) is not true then
            new.phone := number;
            new.push_name := coalesce(own_name, was.push_name);
            new.named_at := at;
        end if;
    else
        new.other_times := waha.add_time(was.other_times, at);

        if waha.says_no_number(state) then
            new.disconnected_at := greatest(was.disconnected_at, at);
        end if;
    end if;

    -- of the account: the next one has its own

    if (new.phone <> was.phone or waha.says_no_number(state))
       and (at < was.restrictions_at) is not true
    then
        new.restrictions := null;
    end if;

    told_at := coalesce(to_timestamp((told->>'told_at')::float8 / 1000), at);

    if state = 'WORKING'
       and told->'restrictions' is not null
       and (told_at < was.restrictions_at) is not true
    then
        new.restrictions := waha.merge_restrictions(session, new.restrictions,
                                                    told->'restrictions');
        new.restrictions_at := told_at;
    end if;

    new.connected_at := waha.connection_start(new);

    -- also when a later status was told before; clocks differ, and operations
    -- take a while

    if state in ('WORKING', 'SCAN_QR_CODE')
       and at > was.recovered_at - interval '1 minute'
    then
        new.recovered_at := null;
    end if;

    if new is not distinct from was then
        return false;
    end if;

    perform waha.store_session(new);

    return true;
end
$$;

comment on function waha.record_session is
    'updates waha.sessions with a status that WAHA reported; addable: adds a '
    'session that is not there; told: restrictions, told_at; result: whether '
    'organizations.whatsapp_* may have to change, null: there is no such '
    'session';


create or replace function waha.store_session(session waha.sessions)
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    update waha.sessions s
       set status = session.status,
           status_at = session.status_at,
           checked_at = session.checked_at,
           phone = session.phone,
           push_name = session.push_name,
           named_at = session.named_at,
           connected_at = session.connected_at,
           disconnected_at = session.disconnected_at,
           working_times = session.working_times,
           other_times = session.other_times,
           restrictions = session.restrictions,
           restrictions_at = session.restrictions_at,
           recovered_at = session.recovered_at
     where s.name = session.name;
end
$$;

comment on function waha.store_session(waha.sessions) is
    'writes what is known of the state of a session';


create or replace function waha.show_sessions(sessions text[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    s  record;
begin
    -- locked in the order of slugs, as by other batches

    perform
       from (select distinct k.organization_slug as slug
               from unnest(sessions) as u (name)
              cross join lateral (
                    select p.organization_slug
                      from waha.sessions p
                     where p.name = u.name
                     limit 1) k
              order by 1) u
      cross join lateral (
             select
               from waha.organizations p
              where p.slug = u.slug collate "default"
                for no key update) o;

    for s in
        select distinct on (g.id) g.id, k.name, k.status, k.instance,
               case when k.named_at > coalesce(k.disconnected_at,
                                               '-infinity')
                    then '+' || k.phone end as number,
               case when k.connected_at > coalesce(k.disconnected_at,
                                                   '-infinity')
                    then k.connected_at end as since
          from unnest(sessions) as u (name)
         cross join lateral (
               select p.*
                 from waha.sessions p
                where p.name = u.name
                limit 1) k
         cross join lateral (
               select p.id, p.whatsapp_session_name
                 from waha.organizations p
                where p.slug = k.organization_slug collate "default"
                limit 1) g
         where coalesce(g.whatsapp_session_name, k.name) = k.name
         order by g.id, k.name
    loop
        update waha.organizations o
           set whatsapp_session_name = s.name,
               whatsapp_status = s.status,
               whatsapp_phone_number = s.number,
               whatsapp_connected_at = s.since,
               waha_instance = coalesce(s.instance, o.waha_instance)
         where o.id = s.id;
    end loop;
end
$$;

comment on function waha.show_sessions(text[]) is
    'writes the state of sessions into organizations.whatsapp_*, which show '
    'one session of each organization';
