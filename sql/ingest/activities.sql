-- Messages and calls: how they are stored, and how gaps in them are filled.

create or replace function waha.message_metadata(metadata jsonb,
    chat_id text, empty boolean) returns jsonb
language sql stable
as $$
    select case
           when chat_id is null and not empty
           then coalesce(metadata, '{}')
           else coalesce(metadata, '{}')
                || jsonb_strip_nulls(jsonb_build_object(
                       'chat_id', chat_id, 'empty', nullif(empty, false)))
           end
$$;

comment on function waha.message_metadata(jsonb, text, boolean) is
    'metadata of a message with its chat, unless that is a person''s, and '
    'with a mark if it says nothing';


create or replace function waha.call_metadata(metadata jsonb, status text,
    at timestamptz) returns jsonb
language sql stable
as $$
    select coalesce(metadata, '{}')
           || jsonb_build_object('call_status', status,
                                 'call_status_at', waha.milliseconds(at))
$$;

comment on function waha.call_metadata(jsonb, text, timestamptz) is
    'metadata of a call with a status and its time';


create or replace function waha.fill_metadata(metadata jsonb, more jsonb)
returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    -- not how the message came, which each delivery tells of itself

    select metadata || coalesce((
        select jsonb_object_agg(m.key,
                   case when jsonb_typeof(m.value) = 'object'
                             and jsonb_typeof(metadata->m.key) = 'object'
                        then m.value || jsonb_strip_nulls(metadata->m.key)
                        else m.value end)
          from jsonb_each(more) m
         where m.key <> all ('{whatsapp_message_id,whatsapp_chat_id,
                               whatsapp_id,session,engine,source,timestamp,
                               sanitised,truncated,time_missing,erased,
                               empty}'::text[])
           and m.value not in ('null', '""', '[]', '{}', 'false')
           and case
               when jsonb_typeof(m.value) = 'object'
                    and jsonb_typeof(metadata->m.key) = 'object'
               then not metadata->m.key
                        @> (m.value || jsonb_strip_nulls(metadata->m.key))
               else coalesce(metadata->m.key, 'null')
                    in ('null', '""', '[]', '{}', 'false')
               end), '{}')
$$;

comment on function waha.fill_metadata(jsonb, jsonb) is
    'metadata of a message with what another delivery of it tells more';


create or replace function waha.fill(a waha.contact_activities,
    e waha.event) returns waha.contact_activities
language plpgsql immutable
set search_path = waha, pg_temp
as $$
declare
    meta    jsonb := coalesce(a.metadata, '{}');
    edited  boolean := meta ? 'original_content';
    silent  boolean;
begin
    if e.empty or meta ? 'erased' then
        return a;
    end if;

    silent := coalesce(case when edited then meta->>'original_content'
                            else a.message_content end, '') = '';
    meta := waha.fill_metadata(meta - 'empty', e.metadata);

    if silent and e.body <> '' then
        if edited then
            meta := meta || jsonb_build_object('original_content', e.body);
        else
            a.message_content := e.body;
        end if;

        meta := meta || jsonb_strip_nulls(jsonb_build_object(
            'sanitised', e.metadata->'sanitised',
            'truncated', e.metadata->'truncated'));
    end if;

    if e.type <> 'unknown'
       and coalesce(a.message_type in ('', 'unknown')
                    or a.message_type = 'text' and silent, true)
    then
        a.message_type := e.type;
    end if;

    if a.metadata ? 'empty' and a.direction = 'inbound' then
        a.sender_name := coalesce(a.sender_name, e.name);
    end if;

    if meta <> coalesce(a.metadata, '{}') then
        a.metadata := meta;
    end if;

    return a;
end
$$;

comment on function waha.fill(waha.contact_activities, waha.event) is
    'a stored message with what another delivery of it tells more: text, '
    'type, file; what is there stays';


create or replace function waha.fill_activity(activity bigint, e waha.event,
    out filled boolean, out woken boolean)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    was  waha.contact_activities;
    a    waha.contact_activities;
begin
    select v.* into was
      from waha.contact_activities v
     where v.organization_slug = e.organization collate "ucs_basic"
       and v.id = activity
       for no key update;

    a := waha.fill(was, e);
    filled := a is distinct from was;
    woken := coalesce(was.metadata ? 'empty' and not a.metadata ? 'empty',
                      false);

    if filled then
        update waha.contact_activities v
           set message_content = a.message_content,
               message_type = a.message_type,
               metadata = a.metadata,
               sender_name = a.sender_name
         where v.organization_slug = e.organization collate "ucs_basic"
           and v.id = activity;
    end if;
end
$$;

comment on function waha.fill_activity is
    'fills the gaps of a stored message; woken: it said nothing before';


create or replace function waha.change_call(organization text,
    activity bigint, status text, at timestamptz) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    changed  boolean;
begin
    -- the latest status counts, "received" less than any other; a call began
    -- at the time of its first event

    update waha.contact_activities a
       set metadata = waha.call_metadata(a.metadata, status, at)
     where a.organization_slug = organization collate "ucs_basic"
       and a.id = activity
       and (status <> 'received',
            waha.milliseconds(at), status collate "C")
           > (a.metadata->>'call_status' <> 'received',
              (a.metadata->>'call_status_at')::bigint,
              a.metadata->>'call_status' collate "C");

    changed := found;

    update waha.contact_activities a
       set occurred_at = at
     where a.organization_slug = organization collate "ucs_basic"
       and a.id = activity
       and a.occurred_at > at;

    return changed;
end
$$;

comment on function waha.change_call(text, bigint, text, timestamptz) is
    'stores a later status of a call; result: whether the status changed';


create or replace function waha.find_stored(events waha.event[],
    stored bigint[], inout contacts bigint[], inout actions text[],
    out activities bigint[], out fresh int[], out gaps int[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r     record;
    a     waha.contact_activities;
    last  bigint;
begin
    activities := array_fill(null::bigint, array[cardinality(events)]);
    fresh := '{}';

    for r in
        select e.organization, e.ordinality::int as pos, e.kind, e.status,
               e.at, a.id, a.contact_id
          from unnest(events) with ordinality as e
         cross join lateral (
                select v.id,
                       coalesce((select m.to_id
                                   from waha.moves m
                                  where m.organization_slug = e.organization
                                    and m.from_id = v.contact_id
                                  limit 1), v.contact_id) as contact_id
                  from waha.contact_activities v
                 where v.organization_slug = e.organization collate "C"
                   and v.session_name = e.session
                   and v.message_id = e.message_id
                   and v.direction = e.direction collate "C"
                 limit 1) a
         where e.kind in ('message', 'call')
         order by e.organization collate "C", e.session collate "C",
                  e.message_id collate "C", e.direction collate "C",
                  contacts[e.ordinality] is null, e.ordinality
    loop
        activities[r.pos] := r.id;
        contacts[r.pos] := r.contact_id;

        if r.id = any (stored) and r.id is distinct from last then
            fresh := fresh || r.pos;
        elsif r.kind = 'call'
              and waha.change_call(r.organization, r.id, r.status, r.at)
        then
            actions[r.pos] := 'status_updated';
        else
            actions[r.pos] := 'duplicate';

            select v.* into a
              from waha.contact_activities v
             where v.organization_slug = r.organization collate "ucs_basic"
               and v.id = r.id;

            if r.kind = 'message'
               and waha.fill(a, events[r.pos]) is distinct from a
            then
                gaps := gaps || r.pos;
            end if;
        end if;

        last := r.id;
    end loop;
end
$$;

comment on function waha.find_stored is
    'finds the messages and calls of a batch, of which the stored ones are '
    'new; fresh, gaps: as of waha.store_activities';


create or replace function waha.store_activities(events waha.event[],
    inout contacts bigint[], inout actions text[],
    out activities bigint[], out fresh int[], out gaps int[],
    out awaited boolean)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    places  int[];
    stored  bigint[];
    doubts  boolean;
    p       int;
begin
    select array_agg(e.ordinality::int
                     order by e.organization collate "C",
                              e.session collate "C",
                              e.message_id collate "C",
                              e.direction collate "C", e.ordinality)
               filter (where contacts[e.ordinality] is not null),
           bool_or(contacts[e.ordinality] is null)
      into places, doubts
      from unnest(events) with ordinality as e
     where e.organization is not null
       and e.kind in ('message', 'call');

    with written as (
        insert into waha.contact_activities as a
                    (organization_slug, contact_id, activity_type, direction,
                     message_content, metadata, session_name, message_id,
                     message_type, chat, sender_name, occurred_at)
        select e.organization, contacts[e.ordinality],
               case when e.kind = 'call' then 'call'
                    else 'whatsapp_message' end,
               e.direction, e.body,
               case when e.kind = 'call'
                    then waha.call_metadata(e.metadata, e.status, e.at)
                    else waha.message_metadata(e.metadata, e.chat_id,
                                               e.empty) end,
               e.session, e.message_id, e.type, e.chat, e.name, e.at
          from unnest(events) with ordinality as e
         where e.organization is not null
           and contacts[e.ordinality] is not null
           and e.kind in ('message', 'call')
         order by e.organization collate "C", e.session collate "C",
                  e.message_id collate "C", e.direction collate "C",
                  e.ordinality
        on conflict (organization_slug, session_name, message_id, direction)
        do nothing
        returning a.id, (
            select true
              from waha.waiting_changes c
             where c.organization_slug = a.organization_slug
               and c.session_name = a.session_name
               and c.message_id = a.message_id
             limit 1) as awaited
    )
    select array_agg(w.id), bool_or(w.awaited)
      into stored, awaited
      from written w;

    if cardinality(stored) = cardinality(places) and not doubts then
        -- all are new: the rows were returned in the order of places

        activities := array_fill(null::bigint, array[cardinality(events)]);

        for n in 1 .. cardinality(places) loop
            activities[places[n]] := stored[n];
        end loop;

        fresh := places;
        return;
    end if;

    select * into contacts, actions, activities, fresh, gaps
      from waha.find_stored(events, stored, contacts, actions);

    foreach p in array coalesce(places, '{}') loop
        if activities[p] is null then
            raise exception 'a trigger of the CRM refused message "%"',
                (events[p]).message_id;
        end if;
    end loop;
end
$$;

comment on function waha.store_activities is
    'stores messages and calls, each once; fresh: positions of those that are '
    'new; gaps: positions of those that tell more than what is stored; '
    'awaited: whether a change of one of them waits for it';
