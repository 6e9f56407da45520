-- What happens to a message after it was sent: delivery, reactions, edits,
-- revocation.  Each event is stored in waha.message_states first, whether or
-- not the message has arrived, and is written into the message from there.

create or replace function waha.status_rank(status text) returns int
language sql immutable parallel safe
as $$
    select case status
           when 'pending' then 1
           when 'sent' then 2
           when 'failed' then 3
           when 'delivered' then 4
           when 'read' then 5
           when 'played' then 6
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


create or replace function waha.newer_reactions(one jsonb, other jsonb)
returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    -- a person's newest reaction keeps the mark "sanitised" of earlier ones

    select jsonb_object_agg(key, value)
      from (select distinct on (r.key) r.key,
                   r.value || case when bool_or(r.value ? 'sanitised')
                                            over (partition by r.key)
                                   then '{"sanitised": true}'
                                   else '{}' end::jsonb as value
              from (select * from jsonb_each(one)
                    union all
                    select * from jsonb_each(other)) r
             order by r.key, (r.value->>'at')::bigint desc,
                      r.value->>'emoji' collate "C" desc) newest
$$;

comment on function waha.newer_reactions(jsonb, jsonb) is
    'the newest reaction of each person in either object';


create or replace function waha.all_edits(one jsonb, other jsonb)
returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    select jsonb_agg(e.value order by (e.value->>'at')::bigint,
                     e.value->>'id' collate "C",
                     e.value->>'text' collate "C")
      from (select value from jsonb_array_elements(one)
            union
            select value from jsonb_array_elements(other)) e
$$;

comment on function waha.all_edits(jsonb, jsonb) is
    'the edits in both arrays, each once, oldest first';


create or replace function waha.apply_state(organization text, session text,
    message text) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    state  waha.message_states;
    a      record;
    edits  jsonb;
    meta   jsonb;
    text   text;
begin
    select m.* into state
      from waha.message_states m
     where m.organization_slug = organization
       and m.session_name = session
       and m.message_id = message;

    for a in
        select c.id, c.direction, c.message_content, c.metadata
          from waha.contact_activities c
         where c.organization_slug = organization collate "C"
           and c.session_name = session
           and c.message_id = message
         order by c.direction
    loop
        meta := coalesce(a.metadata, '{}') - 'reactions';
        text := a.message_content;

        -- only the side that wrote a message can edit it

        select jsonb_agg(e) into edits
          from jsonb_array_elements(state.edits) e
         where e->>'direction' = a.direction;

        if edits is not null then
            meta := meta || jsonb_build_object(
                'original_content', coalesce(a.metadata->'original_content',
                                             to_jsonb(a.message_content)),
                'edited_at', waha.rfc3339(to_timestamp(
                                 (edits->-1->>'at')::bigint / 1000.0)),
                'edits', (select coalesce(jsonb_agg(e->'text' order by n),
                                          '[]')
                            from jsonb_array_elements(edits - -1)
                                 with ordinality as earlier (e, n)));

            -- an edit that could not be read brings nothing

            text := coalesce((select e->>'text'
                                from jsonb_array_elements(edits)
                                     with ordinality as given (e, n)
                               where e->>'text' is not null
                               order by n desc limit 1), text);
        end if;

        if edits @> '[{"sanitised": true}]'
           or jsonb_path_exists(state.reactions, '$.*.sanitised')
        then
            meta := meta || '{"sanitised": true}';
        end if;

        if state.revoked_at is not null then
            meta := meta || jsonb_build_object(
                'revoked_at', waha.rfc3339(state.revoked_at));
        end if;

        meta := meta || coalesce((
            select jsonb_build_object('reactions', jsonb_agg(
                       jsonb_build_object(
                           'person', key,
                           'emoji', value->>'emoji',
                           'at', waha.rfc3339(to_timestamp(
                               (value->>'at')::bigint / 1000.0)))
                       order by key collate "C"))
              from jsonb_each(state.reactions)
             where value->>'emoji' <> ''
            having count(*) > 0), '{}');

        update waha.contact_activities c
           set message_content = text,
               metadata = meta
         where c.id = a.id
           and (c.message_content is distinct from text
                or c.metadata is distinct from meta);
    end loop;
end
$$;

comment on function waha.apply_state(text, text, text) is
    'writes edits, reactions and revocation into the message, if it is '
    'stored; repeating it changes nothing';


create or replace function waha.store_states(organizations text[],
    sessions text[], kinds text[], directions text[], chats text[],
    ids text[], targets text[], phones text[], lids text[], bodies text[],
    times timestamptz[], statuses text[], metadata text[],
    inout actions text[], out applied int[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r        record;
    key      text;
    state    waha.message_states;
    changes  waha.message_states[] := '{}';
    n        int := 0;
    m        int := 0;
    new      jsonb;
    flag     jsonb;
begin
    applied := '{}';

    -- the events of each message are added to its stored state

    for r in
        select u.*, u.organization || '/' || u.session || '/' || u.target
                    as key,
               s.known
          from unnest(organizations, sessions, targets, kinds, directions,
                      chats, ids, phones, lids, bodies, times, statuses,
                      metadata)
               with ordinality as u (organization, session, target, kind,
                                     direction, chat, id, phone, lid, body,
                                     at, status, metadata, pos)
          left join lateral (
                select m as known
                  from waha.message_states m
                 where m.organization_slug = u.organization
                   and m.session_name = u.session
                   and m.message_id = u.target
                 limit 1) s on true
         where u.organization is not null
           and u.kind in ('status', 'reaction', 'edit', 'revoke')
         order by u.organization collate "C", u.session collate "C",
                  u.target collate "C", u.pos
    loop
        if r.key is distinct from key then
            key := r.key;
            state := r.known;
            state.organization_slug := r.organization;
            state.session_name := r.session;
            state.message_id := r.target;
            m := 0;
        end if;

        actions[r.pos] := 'duplicate';
        flag := case when r.metadata::jsonb @> '{"sanitised": true}'
                     then '{"sanitised": true}' else '{}' end;

        if r.kind = 'status' then
            continue when waha.status_rank(r.status) = 0
                      or waha.status_rank(r.status)
                         <= waha.status_rank(state.status)
                         and (r.status <> state.status
                              or r.at >= state.status_at);

            state.status := r.status;
            state.status_at := r.at;

        elsif r.kind = 'reaction' then
            new := waha.newer_reactions(state.reactions, jsonb_build_object(
                case when r.direction = 'outbound' then 'me'
                     when r.chat = 'person' then 'contact'
                     else coalesce(r.phone, r.lid, '') end,
                flag || jsonb_build_object(
                            'emoji', coalesce(r.body, ''),
                            'at', waha.milliseconds(r.at))));

            continue when new = state.reactions;

            state.reactions := new;

        elsif r.kind = 'edit' then
            new := waha.all_edits(state.edits, jsonb_build_array(
                flag || jsonb_build_object(
                            'id', r.id, 'text', r.body,
                            'at', waha.milliseconds(r.at),
                            'direction', r.direction)));

            continue when new = state.edits;

            state.edits := new;

        else
            continue when state.revoked_at <= r.at;

            state.revoked_at := r.at;
        end if;

        actions[r.pos] := 'status_updated';

        if m = 0 then
            n := n + 1;
            m := 1;
        end if;

        changes[n] := state;

        if r.kind <> 'status' and m = 1 then
            applied := applied || r.pos::int;
            m := 2;
        end if;
    end loop;

    if n = 0 then
        return;
    end if;

    -- another transaction may have changed a state since it was read

    insert into waha.message_states as s
                (organization_slug, session_name, message_id, status,
                 status_at, reactions, edits, revoked_at)
    select c.organization_slug, c.session_name, c.message_id, c.status,
           c.status_at, c.reactions, c.edits, c.revoked_at
      from unnest(changes) c
     order by c.organization_slug, c.session_name, c.message_id
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
               else waha.newer_reactions(s.reactions, excluded.reactions) end,
           edits = case
               when excluded.edits is null then s.edits
               when s.edits is null then excluded.edits
               else waha.all_edits(s.edits, excluded.edits) end,
           revoked_at = least(s.revoked_at, excluded.revoked_at);
end
$$;

comment on function waha.store_states is
    'adds statuses, reactions, edits and revocations to waha.message_states; '
    'actions: the outcome of each record; applied: positions of the records '
    'whose messages waha.apply_state has to update';


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
