-- Signed deliveries that could not be stored or have no organization.
--
-- What a session may have in quarantine is bounded.  Events of sessions that
-- are not known, or that the instance of the key does not run, and bodies that
-- name no session count together as well, for each instance: whoever has a key
-- can make up names.  Triggers count, so that the numbers are right whoever
-- deletes rows.
--
-- Rows of the quarantine are locked before those that count them: strangers,
-- then one stranger, then sessions.

create or replace function waha.fill_keys(owner text, session text)
returns table (kind text, instance text, session_name text)
language sql immutable
set search_path = waha, pg_temp
as $$
    values (case when $1 is null then 'session' else 'stranger' end,
            coalesce($1, ''), $2)
    union all
    select 'strangers', $1, '' where $1 is not null
$$;

comment on function waha.fill_keys(text, text) is
    'what of waha.quarantine_fill a row of waha.quarantine counts for';


create or replace function waha.change_fill(changes waha.quarantine_fill[])
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    insert into waha.quarantine_fill as f
                (kind, instance, session_name, events, bytes)
        select k.kind, k.instance, k.session_name, sum(c.events),
               sum(c.bytes)
          from unnest(changes) c
         cross join lateral waha.fill_keys(c.instance, c.session_name) k
         group by k.kind, k.instance, k.session_name
        having (sum(c.events), sum(c.bytes)) <> (0, 0)
         order by k.kind desc, k.instance, k.session_name
    on conflict (kind, instance, session_name) do update
       set events = f.events + excluded.events,
           bytes = f.bytes + excluded.bytes;

    delete from waha.quarantine_fill f
     using unnest(changes) c
     cross join lateral waha.fill_keys(c.instance, c.session_name) k
     where f.kind = k.kind
       and f.instance = k.instance
       and f.session_name = k.session_name
       and f.events <= 0;
end
$$;

comment on function waha.change_fill(waha.quarantine_fill[]) is
    'adds to waha.quarantine_fill what rows of waha.quarantine with this '
    'instance and session have become more or less';


create or replace function waha.count_quarantine() returns trigger
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    changes  waha.quarantine_fill[];
begin
    if tg_op = 'INSERT' then
        select array_agg(row('', c.instance, c.session_name, 1,
                             c.size)::waha.quarantine_fill)
          into changes
          from came c;

    elsif tg_op = 'DELETE' then
        select array_agg(row('', g.instance, g.session_name, g.events,
                             g.bytes)::waha.quarantine_fill)
          into changes
          from (select w.instance, w.session_name, -count(*) as events,
                       -sum(w.size) as bytes
                  from went w
                 group by w.instance, w.session_name) g;

    elsif tg_op = 'UPDATE' then
        select array_agg(row('', b.instance, b.session_name, b.events,
                             b.bytes)::waha.quarantine_fill)
          into changes
          from (select k.instance, k.session_name, sum(k.events) as events,
                       sum(k.bytes) as bytes
                  from (select w.instance, w.session_name, -1 as events,
                               -w.size as bytes
                          from went w
                         union all
                        select c.instance, c.session_name, 1, c.size
                          from came c) k
                 group by k.instance, k.session_name
                having (sum(k.events), sum(k.bytes)) <> (0, 0)) b;

    else
        delete from waha.quarantine_fill;
    end if;

    if changes is not null then
        perform waha.change_fill(changes);
    end if;

    return null;
end
$$;

comment on function waha.count_quarantine() is
    'trigger: keeps waha.quarantine_fill equal to what is in waha.quarantine';

drop trigger if exists waha_count_insert on waha.quarantine;
create trigger waha_count_insert
    after insert on waha.quarantine
    referencing new table as came
    for each statement execute function waha.count_quarantine();

drop trigger if exists waha_count_update on waha.quarantine;
create trigger waha_count_update
    after update on waha.quarantine
    referencing old table as went new table as came
    for each statement execute function waha.count_quarantine();

drop trigger if exists waha_count_delete on waha.quarantine;
create trigger waha_count_delete
    after delete on waha.quarantine
    referencing old table as went
    for each statement execute function waha.count_quarantine();

drop trigger if exists waha_count_truncate on waha.quarantine;
create trigger waha_count_truncate
    after truncate on waha.quarantine
    for each statement execute function waha.count_quarantine();


create or replace function waha.quarantine_excess(instance text,
    session text, more_events int, more_bytes int)
returns waha.quarantine_fill
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    excess  waha.quarantine_fill;
begin
    -- strangers have ten times the bound of a session

    select f.* into excess
      from waha.version v
     cross join waha.fill_keys(instance, session) k
     cross join lateral (
            select e.*
              from waha.quarantine_fill e
             where e.kind = k.kind
               and e.instance = k.instance
               and e.session_name = k.session_name
             limit 1) f
     where f.events + more_events
           > v.quarantine_events * case when f.kind = 'strangers' then 10
                                         else 1 end
        or f.bytes + more_bytes
           > v.quarantine_bytes * case when f.kind = 'strangers' then 10
                                        else 1 end
     limit 1;

    return excess;
end
$$;

comment on function waha.quarantine_excess(text, text, int, int) is
    'a bound of the quarantine that is exceeded with so many events and bytes '
    'more, or null';


create or replace function waha.resolved_in(full_one waha.quarantine_fill)
returns setof bigint
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
    return query
        (select q.id
           from waha.quarantine q
          where full_one.kind = 'session'
            and q.instance is null
            and q.session_name = full_one.session_name
            and q.resolved_at is not null
          order by q.resolved_at
          limit 100)

         union all

        (select q.id
           from waha.quarantine q
          where full_one.kind = 'stranger'
            and q.instance = full_one.instance
            and q.session_name = full_one.session_name
            and q.resolved_at is not null
          order by q.resolved_at
          limit 100)

         union all

        (select q.id
           from waha.quarantine q
          where full_one.kind = 'strangers'
            and q.instance = full_one.instance
            and q.resolved_at is not null
          order by q.session_name, q.resolved_at
          limit 100);
end
$$;

comment on function waha.resolved_in(waha.quarantine_fill) is
    'some events that count for a bound of the quarantine and were resolved, '
    'mostly the oldest';


create or replace function waha.make_room(full_one waha.quarantine_fill)
returns boolean
language plpgsql
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
begin
    -- rows that another transaction holds are left alone: it may wait for the
    -- count of them

    delete from waha.quarantine q
     where q.id = any (array(
           select k.id
             from waha.quarantine k
            where k.id = any (array(select waha.resolved_in(full_one)))
              and k.resolved_at is not null
              for update skip locked));

    return found;
end
$$;

comment on function waha.make_room(waha.quarantine_fill) is
    'deletes some events that were resolved; false: there are none';


create or replace function waha.refuse_quarantine(
    full_one waha.quarantine_fill) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    raise configuration_limit_exceeded
        using message = format('the quarantine of %s is full',
                  case when full_one.kind = 'strangers'
                       then 'events of unknown sessions'
                       when full_one.session_name = ''
                       then 'events without a session'
                       else format('session "%s"', full_one.session_name)
                       end),
              hint = 'Replay or delete events, or raise the bounds with '
                  'waha.limit_quarantine.';
end
$$;

comment on function waha.refuse_quarantine(waha.quarantine_fill) is
    'fails because a bound of the quarantine is exceeded';


create or replace function waha.stranger_of(session text, instance text)
returns text
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    return (
        select case when s.name is null
                    then coalesce(left($2, 255), '') end
          from (select) one
          left join lateral (
                select k.name
                  from waha.sessions k
                 where k.name = $1
                   and k.provider = 'waha'
                   and ($2 is null or k.instance = $2)
                 limit 1) s on true);
end
$$;

comment on function waha.stranger_of(text, text) is
    'waha.quarantine.instance of an event of WAHA: null when the session is '
    'known and that of the instance';


create or replace function waha.stranger_to_number(session text,
    connection text) returns text
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    -- what a secret of one organization signs counts for that one

    return (
        select case when c.id is null
                    then 'meta ' || coalesce(left(o.organization_slug, 250),
                                             '') end
          from (select) one
          left join lateral (
                select k.id
                  from waha.connections k
                 where (k.phone_number_id = $1 or k.waba_id = $1)
                   and ($2 is null and not k.own_secret or k.id = $2)
                 limit 1) c on true
          left join lateral (
                select k.organization_slug
                  from waha.connections k
                 where k.id = $2
                 limit 1) o on true);
end
$$;

comment on function waha.stranger_to_number(text, text) is
    'waha.quarantine.instance of an event of Meta: null when the number or '
    'account is that of the connection';


create or replace function waha.quarantine(reason text, sqlstate text,
    raw bytea, provider text, instance text, session text, kind text,
    direction text, chat text, message_id text, target_id text, phone text,
    lid text, name text, type text, body text, sent_at bigint, status text,
    metadata text, organization_slug text, organization_id text, tenant text,
    claims text, chat_id text default null, empty text default null,
    meta text default null)
returns bigint
language plpgsql security definer
set search_path = waha, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    args      jsonb;
    own       text;
    named     text := coalesce(left($6, 255), '');
    bytes     int;
    key       bytea;
    full_one  waha.quarantine_fill;
    kept      record;
begin
    -- of a body that could not be read the session is known at most

    if $6 is not null and $1 not like 'unreadable:%' then
        args := jsonb_build_object('provider', $4, 'instance', $5,
            'session', $6, 'kind', $7, 'direction', $8, 'chat', $9,
            'message_id', $10, 'target_id', $11, 'phone', $12, 'lid', $13,
            'name', $14, 'type', $15, 'body', $16, 'sent_at', $17,
            'status', $18, 'metadata', $19, 'organization_slug', $20,
            'organization_id', $21, 'tenant', $22, 'claims', $23,
            'chat_id', $24, 'empty', $25)
            || case when $26 is not null
                    then jsonb_build_object('meta', $26::jsonb)
                    else '{}' end;

        if waha.was_erased(args)
           or $1 = 'outside_tenure'
              and exists (select
                            from waha.erased e
                           where e.hash = waha.erased_key('', $6, ''))
        then
            return null;
        end if;
    end if;

    bytes := coalesce(octet_length(args::text), octet_length($3));

    -- an organization that signs what another one has sent does not change
    -- what is kept of that

    key := sha256($3 || convert_to(concat_ws(' ',
                            case when args is not null
                                 then concat_ws(' ', $6, $7, $10, $11, $18)
                                 end,
                            $26::jsonb->>'connection'), 'UTF8'));


    own := case when $26 is null then waha.stranger_of($6, $5)
                else waha.stranger_to_number($6, $26::jsonb->>'connection')
                end;

    -- what is refused anyway writes nothing

    full_one := waha.quarantine_excess(own, named, 1, bytes);

    if full_one.kind is not null
       and not exists (select from waha.resolved_in(full_one))
       and not exists (select from waha.quarantine q where q.hash = key)
    then
        perform waha.refuse_quarantine(full_one);
    end if;

    insert into waha.quarantine as q (hash, reason, sqlstate, raw, event,
                                      session_name, instance, size)
        values (key, $1, $2, case when args is null then $3 end, args, named,
                own, bytes)
        on conflict (hash) do update set seen_at = excluded.seen_at,
                                         reason = excluded.reason,
                                         sqlstate = excluded.sqlstate,
                                         raw = excluded.raw,
                                         event = excluded.event,
                                         size = excluded.size,
                                         resolved_at = null
        returning q.id, q.xmax = 0 as is_new into kept;

    -- one that was there already is not refused

    while kept.is_new loop
        full_one := waha.quarantine_excess(own, named, 0, 0);
        exit when full_one.kind is null;

        if not waha.make_room(full_one) then
            perform waha.refuse_quarantine(full_one);
        end if;
    end loop;

    return kept.id;
end
$$;

comment on function waha.quarantine is
    'keeps an event for waha.replay: reason, SQLSTATE and the body of its '
    'delivery, then the arguments of waha.ingest; an event that comes again '
    'updates its row, and one that was erased is not kept: the result is '
    'null; fails with SQLSTATE 53400 where a bound is reached and no event of '
    'the session was resolved';

grant execute on function waha.quarantine to waha_gateway;


create or replace function waha.replay(id bigint)
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    e  jsonb;
    r  waha.outcome;
begin
    -- The row is not locked while the event is stored: an erasure locks people
    -- first, then rows of the quarantine.

    select q.event into e
      from waha.quarantine q
     where q.id = replay.id;

    if e is null then
        raise exception 'there is no event % in quarantine, or its body '
            'could not be read', replay.id;
    end if;

    select * into r
      from waha.ingest(e->>'provider', e->>'instance', e->>'session',
                       e->>'kind', e->>'direction', e->>'chat',
                       e->>'message_id', e->>'target_id', e->>'phone',
                       e->>'lid', e->>'name', e->>'type', e->>'body',
                       (e->>'sent_at')::bigint, e->>'status',
                       e->>'metadata', e->>'organization_slug',
                       e->>'organization_id', e->>'tenant', e->>'claims',
                       e->>'chat_id', e->>'empty', e->>'meta');

    if r.action not in ('unknown_organization', 'disabled_organization',
                        'contradiction', 'foreign_instance',
                        'foreign_connection', 'outside_tenure')
       and coalesce(r.code <> 'unknown_number', true)
    then
        update waha.quarantine q
           set resolved_at = now()
         where q.id = replay.id;
    end if;

    perform waha.record_audit(r.organization, 'quarantine.replay',
                left(e->>'session', 255), r.contact_id,
                jsonb_build_object('event', replay.id, 'action', r.action));

    return next r;
end
$$;

comment on function waha.replay(bigint) is
    'runs an event of waha.quarantine again; it is resolved unless its '
    'organization is still unknown, disabled or contradictory, its session '
    'still not bound to the instance of the key, or its number still not '
    'that of the connection';

grant execute on function waha.replay to waha_admin;


create or replace function waha.limit_quarantine(events bigint,
    bytes bigint) returns void
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    if (events > 0 and bytes > 0) is not true then
        raise exception 'waha.limit_quarantine needs two numbers above zero';
    end if;

    update waha.version
       set quarantine_events = limit_quarantine.events,
           quarantine_bytes = limit_quarantine.bytes;

    perform waha.record_audit(null, 'quarantine.limit',
                              details => jsonb_build_object('events', events,
                                                            'bytes', bytes));
end
$$;

comment on function waha.limit_quarantine(bigint, bigint) is
    'sets how many events and bytes of a session waha.quarantine keeps; 10000 '
    'and 10485760 by default; for all unknown sessions of an instance '
    'together it is ten times as much';

grant execute on function waha.limit_quarantine(bigint, bigint)
    to waha_admin;


create or replace function waha.show_quarantine()
returns table (kind text, instance text, session text, events bigint,
               bytes bigint, percent int)
language plpgsql stable security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select f.kind, f.instance, f.session_name, f.events, f.bytes,
               floor(100 * greatest(f.events::numeric / v.quarantine_events,
                                    f.bytes::numeric / v.quarantine_bytes)
                     / case when f.kind = 'strangers' then 10 else 1 end)::int
          from waha.version v, waha.quarantine_fill f
         order by 6 desc, f.kind, f.instance, f.session_name;
end
$$;

comment on function waha.show_quarantine() is
    'how full the quarantine is, for each session, for each unknown session '
    '(kind stranger, of the instance whose key signed), and for all unknown '
    'sessions of an instance (strangers); percent of the nearest bound';

grant execute on function waha.show_quarantine() to waha_admin;
