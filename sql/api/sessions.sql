-- Sessions as callers of the API create, find and delete them.  Locks are
-- taken in this order: the locks of reserve_session by name, rows of
-- sessions, rows of organizations.

create or replace function waha.own_session(organization text, session text)
returns waha.sessions
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    own  waha.sessions;
begin
    -- Each part by the one index that fits it, whatever the planner knows
    -- of the table: deleted sessions may be many.

    select k.* into own
      from (
        (select s.*
           from waha.sessions s
          where session is null
            and s.organization_slug = organization
            and s.client_id is null
            and s.deleted_at is null
          order by s.created_at, s.name
          limit 1)
        union all
        (select s.*
           from waha.sessions s
          where session is null
            and s.organization_slug = organization
            and s.client_id is null
            and s.deleted_at is not null
          order by s.created_at, s.name
          limit 1)
        union all
        (select s.*
           from waha.sessions s
          where s.organization_slug = organization
            and s.client_id = session)
        union all
        (select s.*
           from waha.sessions s
          where s.organization_slug = organization
            and s.name = session)) k
     order by k.deleted_at is not null,
              k.client_id is distinct from session, k.created_at, k.name
     limit 1;

    return own;
end
$$;

comment on function waha.own_session(text, text) is
    'a session of an organization by WAHA''s name or the caller''s id, null: '
    'the primary one; a deleted session when there is no other';

grant execute on function waha.own_session(text, text) to waha_api;


create or replace function waha.choose_instance(instances text[])
returns text
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    -- one choice at a time, until its session is committed

    perform waha.lock_name('instances');

    return (
        select i.name
          from unnest(instances) with ordinality as i (name, pos)
          left join (
                select s.instance, count(*) as n
                  from waha.sessions s
                 where s.deleted_at is null
                   and s.instance = any (instances)
                 group by s.instance) c on c.instance = i.name
         order by coalesce(c.n, 0), i.pos
         limit 1);
end
$$;

comment on function waha.choose_instance(text[]) is
    'the WAHA server with the fewest sessions; of several, the first in the '
    'list';


create or replace function waha.make_session(organization text, id text,
    label text, instance text) returns text
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    name  text;
    made  text;
begin
    if organization ~ '^[A-Za-z0-9_-]{1,47}$'
       and not exists (select from waha.sessions s
                        where s.organization_slug = organization
                          and s.deleted_at is null)
       and not exists (select from waha.sessions s
                        where s.organization_slug = organization
                          and s.client_id is not null)
       and not exists (select from waha.sessions s
                        where s.organization_slug = organization
                          and s.client_id is null
                          and s.deleted_at is not null)
    then
        name := 'tenant-' || organization;
    end if;

    while made is null loop
        insert into waha.sessions as s (name, organization_slug, client_id,
                                        label, status, instance)
            values (coalesce(name, 'waha_' || replace(
                                 gen_random_uuid()::text, '-', '')),
                    organization, id, label, 'NOT_CREATED', instance)
            on conflict (name) do nothing
            returning s.name into made;

        name := null;
    end loop;

    perform waha.notify_workers(array[organization]);

    return made;
end
$$;

comment on function waha.make_session(text, text, text, text) is
    'creates a session under a name that is free; result: the name';


create or replace function waha.reserve_session(organization text, id text,
    label text, instances text[], maximum int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    enabled  boolean;
    had      waha.sessions;
    chosen   text;
    name     text;
    wait     int;
    r        waha.reply;
begin
    -- Not the organization's row: a batch locks it after the session's, and
    -- the opposite order could deadlock.

    perform waha.lock_name('sessions of ' || o.slug)
       from waha.organizations o
      where o.slug = organization;

    select o.whatsapp_enabled into enabled
      from waha.organizations o
     where o.slug = organization;

    if not found then
        return row('unknown_organization', null)::waha.reply;
    end if;

    if enabled is not true then
        return row('disabled_organization', null)::waha.reply;
    end if;

    if length(id) not between 1 and 100 then
        return waha.refuse_argument('id', 'an id has 1 to 100 characters');
    end if;

    if length(label) > 100 then
        return waha.refuse_argument('label',
                   'a label has up to 100 characters');
    end if;

    had := waha.own_session(organization, id);

    -- waha.maintain may be deleting the row: wait and look again

    if had.deleted_at is not null then
        select s.* into had
          from waha.sessions s
         where s.name = had.name
           for update;
    end if;

    chosen := had.instance;

    if had.provider <> 'waha' then
        return waha.refuse_argument('id',
                   'a number of the Cloud API has this id');
    end if;

    if had.name is not null and had.deleted_at is null then
        if chosen is null and cardinality(instances) > 1 then
            return row('session_without_instance', null)::waha.reply;
        end if;

        chosen := coalesce(chosen, instances[1]);

    elsif (select count(*)
             from waha.sessions s
            where s.organization_slug = organization
              and s.deleted_at is null) >= maximum
    then
        return row('too_many_sessions', null)::waha.reply;

    elsif chosen = any (instances) is not true then
        chosen := waha.choose_instance(instances);
    end if;

    if chosen is null then
        return row('no_instance', null)::waha.reply;
    end if;

    if had.name is null or had.deleted_at is not null then
        wait := waha.spend(organization, '', 'sessions', maximum + 10, 3600);
    end if;

    if wait is not null then
        return row('too_many_operations',
                   json_build_object('retry_after', wait))::waha.reply;
    end if;

    if had.name is null then
        name := waha.make_session(organization, id, label, chosen);
    else
        name := had.name;

        update waha.sessions s
           set instance = chosen,
               label = coalesce(reserve_session.label, s.label),
               status = case when s.deleted_at is null then s.status
                             else 'NOT_CREATED' end,
               deleted_at = null
         where s.name = had.name
           and (s.instance, s.label, s.deleted_at) is distinct from
               (chosen, coalesce(reserve_session.label, s.label), null);

        perform waha.notify_workers(array[organization])
          where had.instance is distinct from chosen
             or had.deleted_at is not null;
    end if;

    if had.name is null or had.deleted_at is not null then
        perform waha.record_audit(organization, 'session.create', name);
    end if;

    r := waha.find_operated(organization, name);
    r.data := r.data::jsonb || jsonb_build_object(
                  'created', had.name is null or had.deleted_at is not null);

    return r;
end
$$;

comment on function waha.reserve_session(text, text, text, text[], int) is
    'finds or creates a session by the caller''s id, null: the primary one; '
    'maximum: of sessions, and with ten more of those made in an hour; codes: '
    'unknown_organization, disabled_organization, invalid_argument, '
    'session_without_instance, too_many_sessions, too_many_operations, '
    'no_instance';


create or replace function waha.shows_otherwise(one waha.sessions,
    other waha.sessions) returns boolean
language sql immutable
set search_path = waha, pg_temp
as $$
    select (one.status, one.phone, one.named_at, one.connected_at,
            one.disconnected_at)
           is distinct from (other.status, other.phone, other.named_at,
                             other.connected_at, other.disconnected_at)
$$;

comment on function waha.shows_otherwise(waha.sessions, waha.sessions) is
    'whether organizations.whatsapp_* differ between two states of a session';


create or replace function waha.record_session_check(organization text,
    session text, status text, phone text, push_name text,
    restrictions text default null) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    state   text := waha.known_status($3);
    digits  text := nullif(regexp_replace(phone, '[^0-9]', '', 'g'), '');
    was     waha.sessions;
    new     waha.sessions;
    ended   timestamptz;    -- the last connection
begin
    if state = 'UNKNOWN' then
        raise log 'waha: session "%" has an unknown status: %', session,
            to_json(left($3, 50));
    end if;

    was := waha.own_session(organization, session);

    select s.* into was
      from waha.sessions s
     where s.name = was.name
       and s.organization_slug = organization
       and s.provider = 'waha'
       and s.deleted_at is null
       for update;

    if was.name is null then
        return row('unknown_session', null)::waha.reply;
    end if;

    new := was;
    new.status := state;
    new.checked_at := now();

    -- The times in waha.sessions are WAHA's.  None is set later than it has
    -- to be, so that a webhook that comes after this check wins.

    if state = 'WORKING' then
        if digits <> was.phone then
            new.restrictions := null;
        end if;

        -- a webhook that comes after this check wins

        if $6 is not null then
            new.restrictions := waha.merge_restrictions(was.name,
                                    new.restrictions, $6::jsonb);
        end if;

        if digits is not null then
            new.phone := digits;
            new.push_name := coalesce(push_name, new.push_name);
            new.named_at := greatest(new.named_at, new.created_at,
                new.disconnected_at + interval '1 microsecond');
        end if;

        ended := greatest(new.disconnected_at, new.other_times[
                              cardinality(new.other_times)]);

        if (new.connected_at > coalesce(ended, '-infinity')) is not true then
            new.connected_at := greatest(now(),
                                         ended + interval '1 microsecond');
        end if;
    else
        if was.status = 'WORKING' then
            new.other_times := waha.add_time(new.other_times,
                greatest(new.connected_at, new.working_times[
                             cardinality(new.working_times)])
                + interval '1 microsecond');
        end if;

        if waha.says_no_number(state)
           and (new.named_at > coalesce(new.disconnected_at, '-infinity')
                or new.connected_at > coalesce(new.disconnected_at,
                                               '-infinity'))
        then
            new.disconnected_at := greatest(now(), new.named_at,
                                            new.connected_at);
        end if;

        if waha.says_no_number(state) then
            new.restrictions := null;
        end if;
    end if;

    perform waha.store_session(new);

    if state = 'NOT_CREATED' and was.asked_at is not null then
        update waha.sessions s
           set asked_at = null
         where s.name = new.name;
    end if;

    if waha.shows_otherwise(was, new) then
        perform waha.show_sessions(array[new.name]);
    end if;

    return waha.find_session(organization, new.name);
end
$$;

comment on function waha.record_session_check(
    text, text, text, text, text, text) is
    'stores the state of a session that WAHA answered; restrictions: as WAHA '
    'tells them; codes: unknown_session';


create or replace function waha.disconnect_session(organization text,
    session text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own  waha.sessions := waha.own_session(organization, session);
begin
    if own.provider = 'meta' and own.deleted_at is null then
        perform waha.end_tenure(organization, own.name);

        return waha.find_session(organization, own.name);
    end if;

    update waha.sessions s
       set status = 'STOPPED',
           checked_at = now(),
           disconnected_at = greatest(now(), s.named_at, s.connected_at)
     where s.name = own.name
       and s.organization_slug = organization
       and s.deleted_at is null;

    if not found then
        return row('unknown_session', null)::waha.reply;
    end if;

    perform waha.show_sessions(array[own.name]);

    return waha.find_session(organization, own.name);
end
$$;

comment on function waha.disconnect_session(text, text) is
    'stores that a session was logged out and stopped; codes: unknown_session';


create or replace function waha.expect_number(organization text,
    session text, phone text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own  waha.sessions := waha.own_session(organization, session);
begin
    update waha.sessions s
       set given_phone = expect_number.phone
     where s.name = own.name
       and s.organization_slug = organization
       and s.given_phone is distinct from expect_number.phone;

    return waha.find_session(organization, own.name);
end
$$;

comment on function waha.expect_number(text, text, text) is
    'stores the number that a client names for a session, in digits; codes: '
    'unknown_session';


create or replace function waha.delete_session(organization text,
    session text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_variable
declare
    own  waha.sessions := waha.own_session(organization, session);
begin
    if own.provider = 'meta' then
        perform waha.end_tenure(organization, own.name);
    end if;

    -- the row stays: messages that come late find their organization by it

    update waha.sessions s
       set status = 'NOT_CREATED',
           deleted_at = now(),
           checked_at = now(),
           asked_at = null,
           recovered_at = null,
           webhook_url = null,
           disconnected_at = greatest(now(), s.named_at, s.connected_at)
     where s.name = own.name
       and s.organization_slug = organization
       and s.deleted_at is null;

    if not found then
        return row('unknown_session', null)::waha.reply;
    end if;

    perform waha.notify_workers(array[organization]);

    if waha.leave_organization(organization, own.name, organization) then
        perform waha.show_sessions(array[waha.primary_session(organization)]);
    end if;

    return row(null, json_build_object('deleted', true))::waha.reply;
end
$$;

comment on function waha.delete_session(text, text) is
    'removes a session from all lists; codes: unknown_session';

grant execute on function
    waha.reserve_session(text, text, text, text[], int),
    waha.record_session_check(text, text, text, text, text, text),
    waha.disconnect_session(text, text), waha.delete_session(text, text),
    waha.expect_number(text, text, text)
    to waha_gateway;


-- for administrators, who call it in psql

create or replace function waha.add_session(organization text, session text,
    instance text default null) returns void
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    insert into waha.sessions as s (name, organization_slug, instance)
        values (add_session.session, add_session.organization,
                add_session.instance)
        on conflict (name) do update
           set instance = coalesce(excluded.instance, s.instance),
               deleted_at = null
         where s.organization_slug = excluded.organization_slug;

    if not found then
        raise exception 'session "%" belongs to organization "%"', session, (
            select s.organization_slug
              from waha.sessions s
             where s.name = add_session.session)
            using errcode = 'unique_violation';
    end if;

    perform waha.notify_workers(array[add_session.organization]);

    perform waha.record_audit(add_session.organization, 'session.assign',
        add_session.session,
        details => jsonb_build_object('instance',
                                      left(add_session.instance, 200)));
end
$$;

comment on function waha.add_session(text, text, text) is
    'assigns a session of WAHA to an organization; again: changes its '
    'instance';

grant execute on function waha.add_session to waha_admin;
