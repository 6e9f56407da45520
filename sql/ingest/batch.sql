-- The phases of a batch.  They run in this order in every transaction, and
-- each takes its locks in the order of its keys: two batches cannot wait for
-- each other.
--
--   sessions       rows, by name: record_session
--   organizations  rows, by slug: show_sessions
--   messages       tables, by bucket of the message id: lock_messages
--   identities     advisory locks, by hash of the identity: create_contacts
--   contacts       rows, by id: lock_contacts
--   activities     rows, by message: store_activities
--   states         rows of states and of waiting changes, by message:
--                  store_states, then the activities that they change:
--                  apply_states
--   conversations  rows, by organization, contact and session:
--                  update_conversations
--
-- All arrays have one element for each record.  A record that a phase does
-- not concern has null there, mostly as its organization.


create or replace function waha.lock_messages(organizations text[],
    sessions text[], kinds text[], ids text[], targets text[])
returns bigint[]
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    found    bigint[];
    buckets  int[];
    alone    int[];
begin
    -- A message and its change can arrive in two transactions that do not
    -- see each other's rows: then the change would wait for ever.  Storing a
    -- message takes the shared lock of its bucket; a change of a message that
    -- is not stored yet takes the exclusive one, and then looks for the
    -- message again.

    select array_agg(k.bucket order by k.bucket),
           array_agg(k.bucket) filter (where k.alone)
      into buckets, alone
      from (
        select l.bucket, bool_or(l.alone) as alone
          from (select waha.message_bucket(case when u.kind = 'message'
                                                then u.id
                                                else u.target end) as bucket,
                       u.kind <> 'message' as alone
                  from unnest(organizations, sessions, kinds, ids, targets)
                       as u (organization, session, kind, id, target)
                 where u.organization is not null
                   and (u.kind = 'message'
                        or u.kind in ('status', 'reaction', 'vote', 'edit',
                                      'revoke')
                           and (select true
                                  from waha.contact_activities a
                                 where a.organization_slug
                                       = u.organization collate "C"
                                   and a.session_name = u.session
                                   and a.message_id = u.target
                                 limit 1) is null)) l
         group by l.bucket) k;

    if alone is null then
        perform waha.share_messages(buckets);
    else
        for n in 1 .. cardinality(buckets) loop
            if buckets[n] = any (alone) then
                perform waha.lock_message(buckets[n]);
            else
                perform waha.share_messages(buckets[n : n]);
            end if;
        end loop;
    end if;

    if not kinds && '{status,reaction,vote,edit,revoke}' then
        return array_fill(null::bigint, array[cardinality(kinds)]);
    end if;

    select array_agg((select coalesce((select m.to_id
                                         from waha.moves m
                                        where m.organization_slug
                                              = u.organization
                                          and m.from_id = a.contact_id
                                        limit 1), a.contact_id)
                        from waha.contact_activities a
                       where a.organization_slug
                             = u.organization collate "C"
                         and a.session_name = u.session
                         and a.message_id = u.target
                         and u.kind in ('status', 'reaction', 'vote', 'edit',
                                        'revoke')
                       order by a.direction
                       limit 1) order by u.pos)
      into found
      from unnest(organizations, sessions, kinds, targets)
           with ordinality as u (organization, session, kind, target, pos);

    return found;
end
$$;

comment on function waha.lock_messages is
    'locks the messages that a batch stores or changes; result: for each '
    'change the contact of the message that it changes, if that is stored';


create or replace function waha.identify(organizations text[], kinds text[],
    chats text[], phones text[], lids text[], empties text[],
    out contacts bigint[], out strangers int[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    select array_agg(f.contact),
           array_agg(f.pos) filter (where f.strange)
      into contacts, strangers
      from (select u.pos::int,
                   coalesce(l.contact_id, p.contact_id) as contact,
                   u.organization is not null
                   and u.kind in ('message', 'call')
                   and u.chat = 'person'
                   and u.empty is null
                   and (u.phone is not null and p.proved is not true
                        or u.lid is not null and l.proved is not true
                        or p.contact_id <> l.contact_id) as strange
              from unnest(organizations, kinds, chats, phones, lids, empties)
                   with ordinality as u (organization, kind, chat, phone,
                                         lid, empty, pos)
              left join lateral (
                    select i.contact_id, i.proved
                      from waha.contact_identities i
                     where i.organization_slug = u.organization
                       and i.kind = 'phone'
                       and i.key = waha.phone_key(u.phone)
                       and u.kind in ('message', 'call')
                     limit 1) p on true
              left join lateral (
                    select i.contact_id, i.proved
                      from waha.contact_identities i
                     where i.organization_slug = u.organization
                       and i.kind = 'lid'
                       and i.key = u.lid
                       and u.kind in ('message', 'call')
                     limit 1) l on true
             order by u.pos) f;
end
$$;

comment on function waha.identify is
    'finds the contacts of a batch by phone number and hidden id; strangers: '
    'positions of messages and calls with an identity that is new or not '
    'proved, or with identities of two contacts; a message that says nothing '
    'is none of them';


create or replace function waha.prove_identity(organization text, kind text,
    key text, seen text, contact bigint) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    owner  bigint;
begin
    insert into waha.contact_identities as i
                (organization_slug, kind, key, contact_id, seen, proved)
        values (organization, kind, key, contact, seen, true)
        on conflict on constraint contact_identities_pkey
        do update set proved = true
        returning i.contact_id into owner;

    if owner <> contact then
        raise serialization_failure
            using message = 'the CRM made the same contact meanwhile';
    end if;
end
$$;

comment on function waha.prove_identity(text, text, text, text, bigint) is
    'stores that WhatsApp itself named the number or hidden id of a contact; '
    'fails when the CRM has given it to another contact';


create or replace function waha.create_contacts(strangers int[],
    organizations text[], sessions text[], directions text[], ids text[],
    phones text[], lids text[], names text[], out creators int[],
    out join_org text[], out join_one bigint[], out join_other bigint[],
    out join_phone text[], out join_pos int[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r         record;
    by_phone  waha.contact_identities;
    by_lid    waha.contact_identities;
    contact   bigint;
    n         int := 0;
    seed      bytea;
begin
    -- Transactions that create or join the same identities run one after
    -- the other.  So do those that store the same message, which can arrive
    -- under another identity of its sender, and those that create the
    -- channel of an organization.  One statement takes all of these locks.

    select v.lock_seed into seed from waha.version v;

    perform pg_advisory_xact_lock(k.hash)
       from (select distinct waha.secret_key(
                        array[u.organization, i.kind, i.owner, i.key]::text,
                        seed) as hash
               from unnest(organizations, sessions, ids, phones, lids)
                    with ordinality as u (organization, session, id, phone,
                                          lid, pos)
              cross join lateral (
                    values ('phone', '', waha.phone_key(u.phone)),
                           ('lid', '', u.lid),
                           ('message', u.session, u.id),
                           ('channel', '', case when (
                                select true
                                  from waha.traffic_channels t
                                 where t.organization_slug
                                       = u.organization collate "default"
                                   and t.name = 'WhatsApp'
                                 limit 1) is null
                            then '' end)
                    ) as i (kind, owner, key)
              where u.pos = any (strangers)
                and i.key is not null
              order by 1) k;

    creators := '{}';

    -- the order in which waha.add_phone_identities inserts: two transactions
    -- that insert the same identities must not wait for each other

    for r in
        select u.*, waha.phone_key(u.phone) as key,
               waha.clean_name(case when u.direction = 'inbound'
                                    then u.name end) as called,
               (select true
                  from waha.contact_activities a
                 where a.organization_slug = u.organization collate "C"
                   and a.session_name = u.session
                   and a.message_id = u.id
                   and a.direction = u.direction collate "C"
                 limit 1) is not null
               or row_number() over (partition by u.organization, u.session,
                                                  u.id, u.direction
                                         order by u.pos) > 1 as repeated
          from unnest(organizations, sessions, directions, ids, phones, lids,
                      names)
               with ordinality as u (organization, session, direction, id,
                                     phone, lid, name, pos)
         where u.organization is not null
         order by u.organization collate "C",
                  min(waha.phone_key(u.phone) collate "C") over (
                      partition by u.organization,
                                   coalesce('lid ' || u.lid,
                                            waha.phone_key(u.phone))),
                  u.pos
    loop
        continue when r.pos <> all (strangers);

        select i.* into by_phone
          from waha.contact_identities i
         where i.organization_slug = r.organization
           and i.kind = 'phone'
           and i.key = r.key;

        select i.* into by_lid
          from waha.contact_identities i
         where i.organization_slug = r.organization
           and i.kind = 'lid'
           and i.key = r.lid;

        contact := coalesce(by_lid.contact_id, by_phone.contact_id);

        if contact is null then
            -- a stored message that came again under its other identity
            -- does not make a second contact
            continue when r.repeated and (r.phone is null or r.lid is null);

            insert into waha.contacts as c
                        (organization_slug, first_name, last_name, phone_1,
                         contact_type, traffic_source_id, state,
                         whatsapp_name)
                values (r.organization, waha.first_name(r.called),
                        waha.last_name(r.called), '+' || r.phone, 'lead',
                        waha.channel(r.organization),
                        waha.state_of(r.phone), r.called)
                returning c.id into contact;

            creators := creators || r.pos::int;

        elsif by_phone.contact_id <> by_lid.contact_id
              or r.phone is not null and by_phone.contact_id is null
        then
            n := n + 1;
            join_org[n] := r.organization;
            join_one[n] := by_lid.contact_id;
            join_other[n] := by_phone.contact_id;
            join_phone[n] := r.phone;
            join_pos[n] := r.pos;
        end if;

        if r.phone is not null and by_phone.proved is not true then
            perform waha.prove_identity(r.organization, 'phone', r.key,
                        r.phone, coalesce(by_phone.contact_id, contact));
        end if;

        if r.lid is not null and by_lid.proved is not true then
            perform waha.prove_identity(r.organization, 'lid', r.lid, r.lid,
                                        contact);
        end if;
    end loop;
end
$$;

comment on function waha.create_contacts is
    'creates contacts and identities for strangers; creators: positions of '
    'the records that created a contact; join_*: pairs of contacts that are '
    'one person, and numbers that are new for a contact, with the position of '
    'the record that shows it';


create or replace function waha.lock_contacts(organizations text[],
    contacts bigint[], chats text[], directions text[], names text[],
    alone boolean) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    had      bigint;
    renamed  boolean;
begin
    -- One by one, in the order of their ids.  "chats", "directions" and
    -- "names" are shorter: contacts beyond their end have no name to compare.

    if alone then
        select count(*) filter (where c.merged_into is null),
               bool_or(u.chat = 'person' and u.direction = 'inbound'
                       and waha.clean_name(u.name)
                           <> coalesce(c.whatsapp_name, ''))
          into had, renamed
          from (select *
                  from unnest(organizations, contacts, chats, directions,
                              names)
                       as k (organization, contact, chat, direction, name)
                 where k.contact is not null
                 order by k.contact) u
         cross join lateral (
                select k.merged_into, k.whatsapp_name
                  from waha.contacts k
                 where k.organization_slug = u.organization collate "C"
                   and k.id = u.contact
                   for update) c;
    else
        select count(*) filter (where c.merged_into is null),
               bool_or(u.chat = 'person' and u.direction = 'inbound'
                       and waha.clean_name(u.name)
                           <> coalesce(c.whatsapp_name, ''))
          into had, renamed
          from (select *
                  from unnest(organizations, contacts, chats, directions,
                              names)
                       as k (organization, contact, chat, direction, name)
                 where k.contact is not null
                 order by k.contact) u
         cross join lateral (
                select k.merged_into, k.whatsapp_name
                  from waha.contacts k
                 where k.organization_slug = u.organization collate "C"
                   and k.id = u.contact
                   for key share) c;
    end if;

    if had < cardinality(array_remove(contacts, null)) then
        raise serialization_failure
            using message = 'contacts were merged or deleted meanwhile';
    end if;

    return coalesce(renamed, false);
end
$$;

comment on function waha.lock_contacts is
    'locks contacts, so that they are not deleted and no other batch merges '
    'or renames them (alone: nor stores messages of them); fails when one was '
    'merged or deleted before; result: whether a name in the batch differs '
    'from the stored one';


create or replace function waha.join_contacts(organizations text[],
    ones bigint[], others bigint[], new_phones text[], places int[],
    sessions text[], ids text[], times timestamptz[], phones text[],
    lids text[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    p  int;
begin
    for n in 1 .. cardinality(organizations) loop
        p := places[n];

        if others[n] is not null then
            perform waha.merge_contacts(organizations[n], ones[n], others[n],
                        jsonb_build_object('session', sessions[p],
                                           'message_id', ids[p],
                                           'at', waha.rfc3339(times[p]),
                                           'phone', phones[p],
                                           'lid', lids[p]));
        else
            perform waha.add_phone(organizations[n],
                                   waha.live_contact(organizations[n],
                                                     ones[n]),
                                   new_phones[n]);
        end if;
    end loop;
end
$$;

comment on function waha.join_contacts is
    'merges the pairs of contacts and adds the numbers that '
    'waha.create_contacts found, at these places of the batch';


create or replace function waha.rename_contacts(organizations text[],
    kinds text[], chats text[], sessions text[], directions text[],
    ids text[], contacts bigint[], names text[], times timestamptz[])
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    newest  record;
begin
    -- the newest name of each contact; that of a repeated message is known

    for newest in
        select distinct on (u.organization, u.contact)
               u.organization, u.contact, u.at,
               waha.clean_name(u.name) as name
          from (select k.*, row_number() over (
                           partition by k.organization, k.kind, k.session,
                                        k.id, k.direction
                           order by k.pos) as n
                  from unnest(organizations, kinds, chats, sessions,
                              directions, ids, contacts, names, times)
                       with ordinality as k (organization, kind, chat,
                                             session, direction, id,
                                             contact, name, at, pos)) u
         where u.organization is not null
           and u.n = 1
           and u.contact is not null
           and u.kind = 'message'
           and u.chat = 'person'
           and u.direction = 'inbound'
           and waha.clean_name(u.name) is not null
           and (select true
                  from waha.contact_activities a
                 where a.organization_slug = u.organization collate "C"
                   and a.session_name = u.session
                   and a.message_id = u.id
                   and a.direction = u.direction collate "C"
                   and (a.metadata ? 'empty') is not true
                 limit 1) is null
         order by u.organization, u.contact, u.at desc,
                  waha.clean_name(u.name) collate "C" desc
    loop
        perform waha.rename_contact(newest.organization, newest.contact,
                                    newest.name, newest.at);
    end loop;
end
$$;

comment on function waha.rename_contacts is
    'gives contacts the newest names in a batch';


create or replace function waha.store_activities(organizations text[],
    kinds text[], sessions text[], directions text[], chats text[],
    ids text[], types text[], bodies text[], times timestamptz[],
    names text[], statuses text[], metadata text[], chat_ids text[],
    empties text[], inout contacts bigint[], inout actions text[],
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
    last    bigint;
    p       int;
    r       record;
begin
    activities := array_fill(null::bigint, array[cardinality(ids)]);

    select array_agg(u.pos::int
                     order by u.organization collate "C",
                              u.session collate "C", u.id collate "C",
                              u.direction collate "C", u.pos)
               filter (where u.contact is not null),
           bool_or(u.contact is null)
      into places, doubts
      from unnest(organizations, kinds, sessions, directions, ids, contacts)
           with ordinality as u (organization, kind, session, direction, id,
                                 contact, pos)
     where u.organization is not null
       and u.kind in ('message', 'call');

    with written as (
        insert into waha.contact_activities as a
                    (organization_slug, contact_id, activity_type, direction,
                     message_content, metadata, session_name, message_id,
                     message_type, chat, sender_name, occurred_at)
        select u.organization, u.contact,
               case when u.kind = 'call' then 'call'
                    else 'whatsapp_message' end,
               u.direction, u.body,
               case when u.kind = 'call'
                    then waha.call_metadata(u.metadata::jsonb, u.status,
                                            u.at)
                    else waha.message_metadata(u.metadata::jsonb, u.chat_id,
                                               u.empty) end,
               u.session, u.id, u.type, u.chat,
               case when u.direction = 'inbound'
                    then waha.clean_name(u.name) end,
               u.at
          from unnest(organizations, kinds, sessions, directions, chats, ids,
                      types, bodies, times, names, statuses, metadata,
                      chat_ids, empties, contacts)
               with ordinality as u (organization, kind, session, direction,
                                     chat, id, type, body, at, name, status,
                                     metadata, chat_id, empty, contact, pos)
         where u.organization is not null
           and u.contact is not null
           and u.kind in ('message', 'call')
         order by u.organization collate "C", u.session collate "C",
                  u.id collate "C", u.direction collate "C", u.pos
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

        for n in 1 .. cardinality(places) loop
            activities[places[n]] := stored[n];
        end loop;

        fresh := places;
        return;
    end if;

    fresh := '{}';

    for r in
        select u.pos, u.kind, u.status, u.at, a.id, a.contact_id,
               a.id = any (stored) as is_new,
               u.kind = 'message'
               and waha.fill(a.whole, u.type, u.body, u.metadata::jsonb,
                             waha.clean_name(u.name), u.empty)
                   is distinct from a.whole as has_gap
          from unnest(organizations, kinds, sessions, directions, ids, types,
                      bodies, times, names, statuses, metadata, empties)
               with ordinality as u (organization, kind, session, direction,
                                     id, type, body, at, name, status,
                                     metadata, empty, pos)
         cross join lateral (
                select v.id, v as whole,
                       coalesce((select m.to_id
                                   from waha.moves m
                                  where m.organization_slug = u.organization
                                    and m.from_id = v.contact_id
                                  limit 1), v.contact_id) as contact_id
                  from waha.contact_activities v
                 where v.organization_slug = u.organization collate "C"
                   and v.session_name = u.session
                   and v.message_id = u.id
                   and v.direction = u.direction collate "C"
                 limit 1) a
         where u.kind in ('message', 'call')
         order by u.organization collate "C", u.session collate "C",
                  u.id collate "C", u.direction collate "C",
                  u.pos <> all (coalesce(places, '{}')), u.pos
    loop
        activities[r.pos] := r.id;
        contacts[r.pos] := r.contact_id;

        if r.is_new and r.id is distinct from last then
            fresh := fresh || r.pos::int;
        elsif r.kind = 'call'
              and waha.change_call(organizations[r.pos], r.id, r.status,
                                   r.at)
        then
            actions[r.pos] := 'status_updated';
        else
            actions[r.pos] := 'duplicate';

            if r.has_gap then
                gaps := gaps || r.pos::int;
            end if;
        end if;

        last := r.id;
    end loop;

    foreach p in array coalesce(places, '{}') loop
        if activities[p] is null then
            raise exception 'a trigger of the CRM refused message "%"',
                ids[p];
        end if;
    end loop;
end
$$;

comment on function waha.store_activities is
    'stores messages and calls, each once; fresh: positions of those that are '
    'new; gaps: positions of those that tell more than what is stored; '
    'awaited: whether a change of one of them waits for it';


create or replace function waha.message_metadata(metadata jsonb,
    chat_id text, empty text) returns jsonb
language sql immutable
as $$
    select case
           when chat_id is null and empty is null
           then coalesce(metadata, '{}')
           else coalesce(metadata, '{}')
                || jsonb_strip_nulls(jsonb_build_object(
                       'chat_id', chat_id,
                       'empty', empty is not null or null))
           end
$$;

comment on function waha.message_metadata(jsonb, text, text) is
    'metadata of a message with its chat, unless that is a person''s, and '
    'with a mark if it says nothing';


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


create or replace function waha.fill(a waha.contact_activities, type text,
    body text, more jsonb, name text, empty text)
returns waha.contact_activities
language plpgsql immutable
set search_path = waha, pg_temp
as $$
declare
    meta    jsonb := coalesce(a.metadata, '{}');
    edited  boolean := meta ? 'original_content';
    silent  boolean;
begin
    if empty is not null or meta ? 'erased' then
        return a;
    end if;

    silent := coalesce(case when edited then meta->>'original_content'
                            else a.message_content end, '') = '';
    meta := waha.fill_metadata(meta - 'empty', more);

    if silent and body <> '' then
        if edited then
            meta := meta || jsonb_build_object('original_content', body);
        else
            a.message_content := body;
        end if;

        meta := meta || jsonb_strip_nulls(jsonb_build_object(
            'sanitised', more->'sanitised',
            'truncated', more->'truncated'));
    end if;

    if type <> 'unknown'
       and coalesce(a.message_type in ('', 'unknown')
                    or a.message_type = 'text' and silent, true)
    then
        a.message_type := type;
    end if;

    if a.metadata ? 'empty' and a.direction = 'inbound' then
        a.sender_name := coalesce(a.sender_name, name);
    end if;

    if meta <> coalesce(a.metadata, '{}') then
        a.metadata := meta;
    end if;

    return a;
end
$$;

comment on function waha.fill is
    'a stored message with what another delivery of it tells more: text, '
    'type, file; what is there stays';


create or replace function waha.fill_activity(organization text,
    activity bigint, type text, body text, more jsonb, name text, empty text,
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
     where v.organization_slug = organization collate "ucs_basic"
       and v.id = activity
       for no key update;

    a := waha.fill(was, type, body, more, name, empty);
    filled := a is distinct from was;
    woken := coalesce(was.metadata ? 'empty' and not a.metadata ? 'empty',
                      false);

    if filled then
        update waha.contact_activities v
           set message_content = a.message_content,
               message_type = a.message_type,
               metadata = a.metadata,
               sender_name = a.sender_name
         where v.organization_slug = organization collate "ucs_basic"
           and v.id = activity;
    end if;
end
$$;

comment on function waha.fill_activity is
    'fills the gaps of a stored message; woken: it said nothing before';


create or replace function waha.call_metadata(metadata jsonb, status text,
    at timestamptz) returns jsonb
language sql immutable
as $$
    select coalesce(metadata, '{}')
           || jsonb_build_object('call_status', status,
                                 'call_status_at', waha.milliseconds(at))
$$;

comment on function waha.call_metadata(jsonb, text, timestamptz) is
    'metadata of a call with a status and its time';


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


create or replace function waha.apply_states(organizations text[],
    sessions text[], ids text[], types text[], names text[],
    metadata text[], empties text[], activities bigint[], fresh int[],
    gaps int[], applied waha.message_states[], seen waha.message_states[],
    inout bodies text[], inout actions text[],
    out changed waha.contact_activities[],
    out woken waha.contact_activities[], out read waha.contact_activities[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r       record;
    a       waha.contact_activities;
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
          from (select organizations[g] as organization,
                       sessions[g] as session, ids[g] as message, g as pos,
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
              from waha.fill_activity(organizations[p], activities[p],
                                      types[p], bodies[p],
                                      metadata[p]::jsonb,
                                      waha.clean_name(names[p]),
                                      empties[p]);

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
                bodies[p] := a.message_content;
            elsif r.applied then
                changed := changed || a;
            end if;
        end loop;
    end loop;
end
$$;

comment on function waha.apply_states is
    'fills the gaps of messages and writes what is in waha.message_states '
    'into new messages (fresh) and stored ones; bodies: texts of the new ones '
    'afterwards; changed: the stored ones afterwards; woken: those that said '
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
