-- What happens to a message after it was sent: delivery, reactions, votes,
-- edits, revocation.  What fits the message is stored in waha.message_states,
-- and is written into the message from there.

create or replace function waha.status_rank(status text) returns int
language sql immutable parallel safe
as $$
    select case
           when status = 'pending' then 1
           when status = 'sent' then 2
           when status = 'failed' then 3
           when status = 'delivered' then 4
           when status = 'read' then 5
           when status = 'played' then 6
           else 0
           end
$$;

comment on function waha.status_rank(text) is
    'rank of a message''s status, which only moves to a higher one; 0: no '
    'such status';


create or replace function waha.rfc3339(at timestamptz) returns text
language sql stable parallel safe
as $$
    select pg_catalog.to_char(at at time zone 'UTC',
                              'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

comment on function waha.rfc3339(timestamptz) is 'a time in UTC as JSON has it';


create or replace function waha.newest_of_people(one jsonb, other jsonb)
returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    -- a person's newest entry keeps the mark "sanitised" of earlier ones

    select jsonb_object_agg(p.key, p.value)
      from (select n.key, n.value
              from (select distinct on (r.key) r.key,
                           r.value || case when bool_or(r.value ? 'sanitised')
                                                over (partition by r.key)
                                           then '{"sanitised": true}'
                                           else '{}' end::jsonb as value
                      from (select * from jsonb_each(one)
                            union all
                            select * from jsonb_each(other)) r
                     order by r.key, (r.value->>'at')::bigint desc,
                              coalesce(r.value->>'emoji',
                                       r.value->>'options')
                                  collate "C" desc) n
             order by (n.value->>'at')::bigint desc, n.key collate "C"
             limit 32) p
$$;

comment on function waha.newest_of_people(jsonb, jsonb) is
    'the newest reaction or vote of each person in either object, of the 32 '
    'people who made one last';


create or replace function waha.newest_edits(one jsonb, other jsonb)
returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    -- The newest text is whole, five older ones are cut.  An empty one
    -- counts only where it removes a caption: it takes no place.

    select jsonb_agg(
               case when k.n = 1 then k.value
                    else k.value || jsonb_build_object('text',
                                                       left(k.text, 4096))
               end order by k.at, k.id)
      from (select e.*, row_number() over (partition by e.text = ''
                                           order by e.at desc, e.id desc) as n
              from (select distinct on ((u.value->>'at')::bigint,
                                        u.value->>'id')
                           u.value, (u.value->>'at')::bigint as at,
                           u.value->>'id' collate "C" as id,
                           u.value->>'text' as text
                      from (select value from jsonb_array_elements(one)
                            union all
                            select value from jsonb_array_elements(other)) u
                     order by (u.value->>'at')::bigint, u.value->>'id',
                              octet_length(u.value->>'text') desc,
                              u.value->>'text' collate "C",
                              u.value ? 'sanitised' desc) e) k
     where k.n <= case when k.text = '' then 1 else 6 end
$$;

comment on function waha.newest_edits(jsonb, jsonb) is
    'the six newest edits in both arrays, each once, oldest first';


create or replace function waha.has_file(type text, metadata jsonb)
returns boolean
language sql immutable parallel safe
as $$
    select coalesce(type in ('image', 'video', 'audio', 'voice', 'document',
                             'sticker'), false)
           or coalesce(metadata->'has_media' = 'true', false)
$$;

comment on function waha.has_file(text, jsonb) is
    'whether the text of a message is the caption of a file';


create or replace function waha.apply_edits(state waha.message_states,
    inout message waha.contact_activities)
language plpgsql stable
set search_path = waha, pg_temp
as $$
declare
    meta    jsonb := coalesce(message.metadata, '{}');
    file    boolean := waha.has_file(message.message_type, meta);
    edits   jsonb;
    edited  timestamptz := state.edited_at;
    text    text := message.message_content;
begin
    -- only the side that wrote a message can edit it; a text cannot be
    -- edited to nothing

    select jsonb_agg(e.value order by e.n) into edits
      from jsonb_array_elements(state.edits) with ordinality as e (value, n)
     where e.value->>'direction' = message.direction
       and (e.value->>'text' <> '' or file and e.value->>'text' = '');

    if edits is not null then
        if meta ? 'original_content' then
            text := meta->>'original_content';
        end if;

        meta := meta || jsonb_build_object(
            'original_content', text,
            'edits', (select coalesce(jsonb_agg(e.value->'text' order by e.n),
                                      '[]')
                        from jsonb_array_elements(edits - -1)
                             with ordinality as e (value, n)));
        text := edits->-1->>'text';
        edited := greatest(edited, to_timestamp((edits->-1->>'at')::bigint
                                                / 1000.0));
    end if;

    if edited is not null then
        meta := meta || jsonb_build_object('edited_at', waha.rfc3339(edited));
    end if;

    if edits @> '[{"sanitised": true}]' then
        meta := meta || '{"sanitised": true}';
    end if;

    message.message_content := text;
    message.metadata := meta;
end
$$;

comment on function waha.apply_edits is
    'a message with the text of its last edit; metadata has the text that it '
    'was sent with, and the edits between';


create or replace function waha.shown_people(people jsonb, member text)
returns jsonb
language sql stable
set search_path = waha, pg_temp
as $$
    select jsonb_agg(jsonb_build_object(
               'person', p.key,
               member, p.value->member,
               'at', waha.rfc3339(to_timestamp((p.value->>'at')::bigint
                                               / 1000.0)))
               order by p.key collate "C")
      from jsonb_each(people) p
     where p.value->member not in ('""', '[]')
$$;

comment on function waha.shown_people(jsonb, text) is
    'reactions or votes as metadata shows them, without those taken back';


create or replace function waha.apply_state(organization text, session text,
    message text) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    state  waha.message_states;
    a      waha.contact_activities;
    was    waha.contact_activities;
begin
    select m.* into state
      from waha.message_states m
     where m.organization_slug = organization
       and m.session_name = session
       and m.message_id = message;

    for a in
        select c.*
          from waha.contact_activities c
         where c.organization_slug = organization collate "C"
           and c.session_name = session
           and c.message_id = message
         order by c.direction
    loop
        was := a;
        a := waha.apply_edits(state, a);

        if jsonb_path_exists(state.reactions, '$.*.sanitised') then
            a.metadata := a.metadata || '{"sanitised": true}';
        end if;

        if state.revoked_at is not null then
            a.metadata := a.metadata || jsonb_build_object(
                'revoked_at', waha.rfc3339(state.revoked_at));
        end if;

        a.metadata := a.metadata - '{reactions,votes}'::text[]
            || jsonb_strip_nulls(jsonb_build_object(
                   'reactions', waha.shown_people(state.reactions, 'emoji'),
                   'votes', waha.shown_people(state.votes, 'options')));

        if (a.message_content, a.metadata)
           is distinct from (was.message_content, was.metadata)
        then
            update waha.contact_activities c
               set message_content =
                       case when c.message_content = a.message_content
                            then c.message_content
                            else a.message_content end,
                   metadata = a.metadata
             where c.organization_slug = organization collate "ucs_basic"
               and c.id = a.id;
        end if;
    end loop;
end
$$;

comment on function waha.apply_state(text, text, text) is
    'writes edits, reactions, votes and revocation into the message, if it is '
    'stored; repeating it changes nothing';


create or replace function waha.store_state(state waha.message_states)
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- another transaction may have changed the state since it was read; long
    -- texts that stay the same are not written again

    insert into waha.message_states as s
                (organization_slug, session_name, message_id, status,
                 status_at, reactions, edits, edited_at, votes, revoked_at,
                 waiting, details)
        values (state.organization_slug, state.session_name,
                state.message_id, state.status, state.status_at,
                state.reactions, state.edits, state.edited_at, state.votes,
                state.revoked_at, coalesce(state.waiting, false),
                state.details)
    on conflict (organization_slug, session_name, message_id) do update
       set status = case
               when waha.status_rank(excluded.status)
                    > waha.status_rank(s.status)
               then excluded.status else s.status end,
           status_at = case
               when waha.status_rank(excluded.status)
                    > waha.status_rank(s.status)
               then excluded.status_at
               when excluded.status = s.status
               then least(excluded.status_at, s.status_at)
               else s.status_at end,
           reactions = case
               when excluded.reactions is null then s.reactions
               when s.reactions is null then excluded.reactions
               else waha.newest_of_people(s.reactions, excluded.reactions)
               end,
           votes = case
               when excluded.votes is null then s.votes
               when s.votes is null then excluded.votes
               else waha.newest_of_people(s.votes, excluded.votes) end,
           edits = case
               when excluded.edits is null or excluded.edits = s.edits
               then s.edits
               when s.edits is null then excluded.edits
               else waha.newest_edits(s.edits, excluded.edits) end,
           edited_at = greatest(s.edited_at, excluded.edited_at),
           revoked_at = least(s.revoked_at, excluded.revoked_at),
           details = case
               when excluded.details is null then s.details
               when s.details is null then excluded.details
               else waha.join_details(s.details, excluded.details) end;
end
$$;

comment on function waha.store_state(waha.message_states) is
    'adds a state to the one that is stored for the same message';


create or replace function waha.settle_changes(
    state waha.message_states, changes waha.waiting_changes[],
    own boolean[], again boolean, out news boolean[], out seen boolean,
    out shown boolean)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    c       waha.waiting_changes;
    before  waha.message_states;
    next    waha.message_states;
    stored  boolean;
    kept    boolean;
    sure    waha.waiting_changes[] := '{}';
    fits    boolean[];
begin
    news := '{}';
    seen := false;

    stored := (select true
                 from waha.contact_activities a
                where a.organization_slug
                      = state.organization_slug collate "C"
                  and a.session_name = state.session_name
                  and a.message_id = state.message_id
                limit 1) is not null;

    if stored and state.waiting then
        delete from waha.message_states s
         where s.organization_slug = state.organization_slug
           and s.session_name = state.session_name
           and s.message_id = state.message_id;

        state := row(state.organization_slug, state.session_name,
                     state.message_id, null, null, null, null, null, null,
                     null, null, null, null)::waha.message_states;
        again := true;
    end if;

    before := state;

    for n in 1 .. cardinality(changes) loop
        fits[n] := own[n] or stored and waha.change_fits(changes[n]);

        if fits[n] then
            sure := sure || changes[n];
        end if;
    end loop;

    foreach c in array waha.waiting_for(state, stored and again, sure) loop
        if waha.change_fits(c) then
            next := waha.add_change(state, c);
            seen := seen or c.kind = 'status' and c.direction = 'inbound'
                            and next.status is distinct from state.status
                            and next.status in ('read', 'played');
            state := next;

            perform waha.drop_change(c);
        end if;
    end loop;

    -- the state of a message that is not there has all that is told of it

    for n in 1 .. cardinality(changes) loop
        c := changes[n];
        news[n] := false;

        if fits[n] or not stored then
            next := waha.add_change(state, c);
            news[n] := next is distinct from state;
            seen := seen or c.kind = 'status' and c.direction = 'inbound'
                            and next.status is distinct from state.status
                            and next.status in ('read', 'played');
            state := next;
        end if;

        if not fits[n]
           and (c.kind <> 'status' or waha.status_rank(c.status) > 0)
        then
            kept := waha.keep_change(c);
            news[n] := news[n] or stored and kept;
        end if;
    end loop;

    seen := stored and seen;
    shown := stored
             and (before.reactions, before.edits, before.edited_at,
                  before.votes, before.revoked_at)
                 is distinct from
                 (state.reactions, state.edits, state.edited_at,
                  state.votes, state.revoked_at);

    if state is distinct from before then
        state.waiting := not stored;
        perform waha.store_state(state);
    end if;
end
$$;

comment on function waha.settle_changes is
    'adds the changes that fit to the state of a message, and keeps the '
    'others waiting; own: the message itself told it; again: all that wait '
    'are looked at again; news: which ones told something new; seen: an '
    'inbound message was read on the phone; shown: waha.apply_state has to '
    'update the message';


create or replace function waha.store_states(events waha.event[],
    activities bigint[], fresh int[], strangers int[], linked_org text[],
    linked bigint[], inout actions text[], out applied waha.message_states[],
    out seen waha.message_states[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r        record;
    settled  record;
    state    waha.message_states;
    p        int;
begin
    -- changes in this batch, messages that changes waited for, and changes
    -- that waited for what is now known of their person

    for r in
        select m.organization, m.session, m.message,
               array_agg(m.pos order by m.pos)
                   filter (where m.pos is not null) as places,
               array_agg(m.change order by m.pos)
                   filter (where m.pos is not null) as changes,
               array_agg(m.own order by m.pos)
                   filter (where m.pos is not null) as own,
               bool_or(m.pos is null) as again
          from (select e.organization, e.session, t.message,
                       e.ordinality::int as pos, e.kind = 'message' as own,
                       waha.new_change(e.organization, e.session, t.message,
                           case when e.kind = 'message' then 'status'
                                else e.kind end,
                           e.direction, e.chat, e.chat_id, e.phone, e.lid,
                           e.message_id, e.at, e.status, e.body, e.metadata)
                           as change
                  from unnest(events) with ordinality as e
                 cross join lateral (
                        select case when e.kind = 'message' then e.message_id
                                    else e.target_id end) t (message)
                 where e.organization is not null
                   and (e.kind in ('status', 'reaction', 'vote', 'edit',
                                   'revoke')
                        or e.kind = 'message'
                           and e.direction = 'outbound'
                           and activities[e.ordinality] is not null
                           and waha.status_rank(e.status) > 0)

                union all

                select (events[f]).organization, (events[f]).session,
                       (events[f]).message_id, null, null, null
                  from unnest(fresh) f

                union all

                select l.organization, l.session, l.message, null, null, null
                  from waha.changes_of(events, strangers, linked_org,
                                       linked) l) m
         group by m.organization, m.session, m.message
         order by m.organization collate "C", m.session collate "C",
                  m.message collate "C"
    loop
        select s.* into state
          from waha.message_states s
         where s.organization_slug = r.organization
           and s.session_name = r.session
           and s.message_id = r.message;

        state.organization_slug := r.organization;
        state.session_name := r.session;
        state.message_id := r.message;

        select * into settled
          from waha.settle_changes(state, coalesce(r.changes, '{}'), r.own,
                                   r.again);

        for n in 1 .. coalesce(cardinality(r.places), 0) loop
            p := r.places[n];

            if settled.news[n] and ((events[p]).kind <> 'message'
                                    or actions[p] = 'duplicate')
            then
                actions[p] := 'status_updated';
            elsif (events[p]).kind <> 'message' then
                actions[p] := 'duplicate';
            end if;
        end loop;

        if settled.seen then
            seen := seen || state;
        end if;

        if settled.shown then
            applied := applied || state;
        end if;
    end loop;
end
$$;

comment on function waha.store_states is
    'adds statuses, reactions, votes, edits and revocations to '
    'waha.message_states or waha.waiting_changes; fresh: positions of new '
    'messages that changes wait for; strangers: positions of records with new '
    'identities; linked: contacts that were merged; actions: the outcome of '
    'each record; applied: messages that waha.apply_state has to update; seen: '
    'messages that were read on the phone';


create or replace function waha.apply_states(activities bigint[],
    fresh int[], gaps int[], applied waha.message_states[],
    seen waha.message_states[], inout events waha.event[],
    inout actions text[], out changed waha.contact_activities[],
    out woken waha.contact_activities[], out read waha.contact_activities[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r       record;
    a       waha.contact_activities;
    e       waha.event;
    filled  record;
    p       int;
    woke    bigint[];
begin
    -- messages that were told more of, and messages whose states changed

    for r in
        select m.organization, m.session, m.message,
               array_agg(m.pos order by m.pos)
                   filter (where m.pos is not null) as places,
               bool_or(m.applied) as applied, bool_or(m.seen) as seen
          from (select (events[g]).organization, (events[g]).session,
                       (events[g]).message_id as message, g as pos,
                       false as applied, false as seen
                  from unnest(gaps) g

                union all

                select s.organization_slug, s.session_name, s.message_id,
                       null, true, false
                  from unnest(applied) s

                union all

                select s.organization_slug, s.session_name, s.message_id,
                       null, false, true
                  from unnest(seen) s) m
         group by m.organization, m.session, m.message
         order by m.organization collate "C", m.session collate "C",
                  m.message collate "C"
    loop
        woke := '{}';

        foreach p in array coalesce(r.places, '{}') loop
            select * into filled
              from waha.fill_activity(activities[p], events[p]);

            if filled.filled then
                actions[p] := 'activity_updated';
                r.applied := true;
            end if;

            if filled.woken then
                woke := woke || activities[p];
            end if;
        end loop;

        if r.applied then
            perform waha.apply_state(r.organization, r.session, r.message);
        end if;

        for a in
            select v.*
              from waha.contact_activities v
             where v.organization_slug = r.organization collate "C"
               and v.session_name = r.session
               and v.message_id = r.message
        loop
            continue when a.metadata ? 'empty';

            if a.direction = 'inbound'
               and (r.seen or a.id = any (woke)
                              and waha.was_read(r.organization, r.session,
                                                r.message))
            then
                read := read || a;
            end if;

            select f into p
              from unnest(fresh) f
             where activities[f] = a.id
             limit 1;

            if a.id = any (woke) then
                woken := woken || a;
            elsif p is not null then
                e := events[p];
                e.body := a.message_content;
                events[p] := e;
            elsif r.applied then
                changed := changed || a;
            end if;
        end loop;
    end loop;
end
$$;

comment on function waha.apply_states is
    'fills the gaps of messages and writes what is in waha.message_states '
    'into new messages (fresh) and stored ones; events: with the texts of the '
    'new ones; changed: the stored ones afterwards; woken: those that said '
    'nothing before; read: those that were read on the phone';


create or replace function waha.was_read(organization text, session text,
    message text) returns boolean
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select coalesce((select s.status in ('read', 'played')
                           from waha.message_states s
                          where s.organization_slug = organization
                            and s.session_name = session
                            and s.message_id = message), false));
end
$$;

comment on function waha.was_read(text, text, text) is
    'whether a message has the status read or played';


create or replace function waha.milliseconds(at timestamptz) returns bigint
language sql immutable parallel safe
as $$
    select round(extract(epoch from at) * 1000)::bigint
$$;

comment on function waha.milliseconds(timestamptz) is
    'a time as milliseconds since the epoch';


create or replace function waha.activities_deleted() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    delete from waha.message_states s
     using were o
     where s.organization_slug = o.organization_slug collate "C"
       and s.session_name = o.session_name
       and s.message_id = o.message_id;

    return null;

exception
    when others then
        raise log 'waha: no states were deleted: %', sqlerrm;
        return null;
end
$$;

comment on function waha.activities_deleted() is
    'trigger: deletes the states of deleted messages; never makes the CRM''s '
    'write fail';
