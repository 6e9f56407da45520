-- The functions that the module calls with events.
--
-- Plans are made once, perhaps while tables are still empty, and must not
-- depend on what was in them.  So every row is looked up by an index, one by
-- one, in a "lateral" subquery with "limit 1": for a plain join with an empty
-- table, the planner would find other ways cheaper.

create or replace function waha.ignore_reason(kind text, message_id text,
    target_id text, phone text, lid text) returns text
language sql immutable parallel safe
as $$
    select case
           when kind in ('message', 'call') then
               case when message_id is null then 'no_message_id'
                    when phone is null and lid is null then 'no_contact'
               end
           when kind in ('status', 'reaction', 'vote', 'edit', 'revoke')
           then
               case when target_id is null then 'no_target' end
           when kind = 'session' then null
           else 'unknown_kind'
           end
$$;

comment on function waha.ignore_reason(text, text, text, text, text) is
    'code of the reason why an event is ignored, or null';


create or replace function waha.await_standby() returns void
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    -- A transaction that wrote nothing does not wait for a synchronous
    -- standby.  But a duplicate is answered as if it was stored, so the row
    -- that it found must be on the standby as well.

    if pg_current_xact_id_if_assigned() is null
       and current_setting('synchronous_standby_names') <> ''
    then
        perform pg_logical_emit_message(true, 'waha', '');
    end if;
end
$$;

comment on function waha.await_standby() is
    'makes the commit of a transaction that wrote nothing wait for a '
    'synchronous standby';


create or replace function waha.ingest_batch(provider text[],
    instance text[], session text[], kind text[], direction text[],
    chat text[], message_id text[], target_id text[], phone text[],
    lid text[], name text[], type text[], body text[], sent_at bigint[],
    status text[], metadata text[], organization_slug text[],
    organization_id text[], tenant text[], claims text[],
    chat_id text[] default null, empty text[] default null)
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    instances   alias for instance;
    sessions    alias for session;
    kinds       alias for kind;
    directions  alias for direction;
    chats       alias for chat;
    ids         alias for message_id;
    targets     alias for target_id;
    phones      alias for phone;
    lids        alias for lid;
    names       alias for name;
    types       alias for type;
    bodies      alias for body;
    sent        alias for sent_at;
    statuses    alias for status;
    metas       alias for metadata;
    slugs       alias for organization_slug;
    org_ids     alias for organization_id;
    tenants     alias for tenant;
    claimed     alias for claims;
    chat_ids    alias for chat_id;
    empties     alias for empty;

    times       timestamptz[];
    found_org   text[];     -- organization of each record
    found_id    bigint[];
    live        text[];     -- the same, null for a record that is finished
    said        text[];     -- the same, null for a message that says nothing
    met         text[];     -- the same, null if its person is not known, too
    unsure      int[];
    resolved    record;
    actions     text[];
    codes       text[];
    recorded    boolean;
    shown       text[];
    contacts    bigint[];
    subjects    bigint[];   -- contacts of the messages that change
    strangers   int[];
    creators    int[];
    join_org    text[];
    join_one    bigint[];
    join_other  bigint[];
    join_phone  text[];
    join_pos    int[];
    lockable_org  text[];
    lockable    bigint[];
    renamed     boolean;
    links       boolean;
    activities  bigint[];
    fresh       int[] := '{}';
    gaps        int[];
    awaited     boolean;
    merged      boolean := false;
    linked_org  text[];     -- contacts that were merged
    linked      bigint[];
    applied     waha.message_states[];
    seen        waha.message_states[];
    changed     waha.contact_activities[];
    woken       waha.contact_activities[];
    reads       waha.contact_activities[];
    remembers   boolean;    -- something was erased lately
    p           int;
begin
    -- the organization of the session, unless the record names another one

    select array_agg(f.at),
           array_agg(case when f.sure then f.slug end),
           array_agg(case when f.sure then f.id end),
           array_agg(case when f.sure and f.reason is null
                          then f.slug end),
           array_agg(f.reason),
           array_agg(case when f.reason is null then 'activity_logged'
                          else 'ignored' end),
           array_agg(f.pos)
               filter (where f.sure is not true or f.kind = 'session'),
           (select true from waha.erased e where e.hash >= '' limit 1)
      into times, found_org, found_id, live, codes, actions, unsure,
           remembers
      from (select u.pos::int, u.kind, u.session, o.slug, o.id,
                   coalesce(to_timestamp(u.sent / 1000.0), now()) as at,
                   waha.ignore_reason(u.kind, u.id, u.target, u.phone,
                                      u.lid) as reason,
                   o.whatsapp_enabled
                   and u.claimed is null
                   and coalesce(u.slug = o.slug, true)
                   and coalesce(u.org_id = o.id::text, true)
                   and coalesce(u.tenant in (o.slug, o.id::text), true)
                   and (u.instance is null
                        or coalesce(u.instance = s.instance, false)) as sure
              from unnest(instances, sessions, kinds, ids, targets, phones,
                          lids, sent, slugs, org_ids, tenants, claimed)
                   with ordinality as u (instance, session, kind, id, target,
                                         phone, lid, sent, slug, org_id,
                                         tenant, claimed, pos)
              left join lateral (
                    select k.organization_slug, k.instance
                      from waha.sessions k
                     where k.name = u.session
                     limit 1) s on true
              left join lateral (
                    select k.slug, k.id, k.whatsapp_enabled
                      from waha.organizations k
                     where k.slug = s.organization_slug collate "default"
                     limit 1) o on true
             order by u.pos) f;

    -- session events first: a session that they add has an organization,
    -- which decides for the other records; sorted here, since an aggregate
    -- with an order can change that of the others

    for p in
        select u
          from unnest(unsure) u
         order by kinds[u] = 'session' desc, sessions[u] collate "C", u
    loop
        if found_org[p] is null then
            select * into resolved
              from waha.resolve(sessions[p], instances[p], slugs[p],
                                org_ids[p], tenants[p], claimed[p]::jsonb,
                                case when directions[p] = 'inbound'
                                          and kinds[p] <> 'session'
                                     then phones[p] end);

            found_org[p] := resolved.organization;
            found_id[p] := resolved.tenant_id;
            actions[p] := resolved.code;

            if resolved.code is not null then
                codes[p] := null;
            elsif codes[p] is not null then
                actions[p] := 'ignored';
            else
                actions[p] := 'activity_logged';
                live[p] := found_org[p];
            end if;
        end if;

        if kinds[p] = 'session' and live[p] is not null then
            recorded := waha.record_session(live[p], sessions[p],
                            statuses[p], times[p], phones[p], names[p],
                            coalesce(claimed[p]::jsonb->'closed' <> 'true',
                                     true), metas[p]::jsonb);

            if recorded then
                actions[p] := 'session_updated';
                shown := shown || sessions[p];
            elsif recorded is null then
                actions[p] := 'ignored';
                codes[p] := 'unknown_session';
            else
                actions[p] := 'duplicate';
            end if;
        end if;
    end loop;

    if remembers then
        foreach p in array
            waha.places_erased(live, sessions, kinds, ids, targets, phones,
                               lids)
        loop
            live[p] := null;
            actions[p] := 'duplicate';
        end loop;
    end if;

    if shown is not null then
        perform waha.show_sessions(shown);
    end if;

    -- the contacts; locks are taken in the order that batch.sql lists

    contacts := array_fill(null::bigint, array[cardinality(live)]);
    subjects := contacts;

    if kinds && '{message,status,reaction,vote,edit,revoke}' then
        subjects := waha.lock_messages(live, sessions, kinds, ids, targets);
    end if;

    -- a message that says nothing tells nothing of its person, either

    said := live;

    for n in 1 .. coalesce(cardinality(empties), 0) loop
        if empties[n] is not null then
            said[n] := null;
            names[n] := null;
        end if;
    end loop;

    if 'call' = any (kinds) then
        -- the time of a call can change later, so the name in it could not
        -- be compared with newer ones

        for n in 1 .. cardinality(kinds) loop
            if kinds[n] = 'call' then
                names[n] := null;
            end if;
        end loop;
    end if;

    if kinds && '{message,call}' then
        select * into contacts, strangers
          from waha.identify(live, kinds, chats, phones, lids, empties);

        if strangers is not null then
            met := said;

            for n in 1 .. coalesce(cardinality(empties), 0) loop
                if contacts[n] is not null then
                    met[n] := live[n];

                elsif empties[n] is not null then
                    -- ignored, also if its person is met in this batch

                    phones[n] := null;
                    lids[n] := null;
                end if;
            end loop;

            select * into creators, join_org, join_one, join_other,
                          join_phone, join_pos
              from waha.create_contacts(strangers, met, sessions,
                                        directions, ids, phones, lids,
                                        names);

            foreach p in array creators loop
                actions[p] := 'contact_created';
            end loop;

            select f.contacts into contacts
              from waha.identify(live, kinds, chats, phones, lids,
                                 empties) f;
        end if;
    end if;

    -- new identities of contacts that are there

    links := join_org is not null
             or exists (select
                          from unnest(strangers) s
                         where s <> all (creators));

    lockable_org := live || live || join_org || join_org;
    lockable := contacts || subjects || join_one || join_other;

    begin
        -- A change of a message waits while its person is not known.  It
        -- has the shared lock of the contact: with the exclusive one, either
        -- it finds the new identity, or it is found here.

        renamed := waha.lock_contacts(lockable_org, lockable, chats,
                                      directions, names, links);

        if renamed and not links then
            raise sqlstate 'WA001';
        end if;

    exception
        when sqlstate 'WA001' then
            -- Renaming needs exclusive locks.  The shared ones were released
            -- with the subtransaction: upgrading them could deadlock.

            perform waha.lock_contacts(lockable_org, lockable, chats,
                                       directions, names, true);

        when serialization_failure then
            -- the CRM, or another batch, has merged one of the contacts

            perform waha.complete_merges(lockable_org, lockable);
            renamed := true;
            links := true;
            merged := true;

            select f.contacts into contacts
              from waha.identify(live, kinds, chats, phones, lids,
                                 empties) f;
    end;

    if strangers is not null then
        -- The foreign key is checked here: at commit, without the settings
        -- of this function, its query would get another plan.

        set constraints waha.identities_contact immediate;
        set constraints waha.identities_contact deferred;
    end if;

    if join_org is not null then
        perform waha.join_contacts(join_org, join_one, join_other,
                                   join_phone, join_pos, sessions, ids,
                                   times, phones, lids);

        select f.contacts into contacts
          from waha.identify(live, kinds, chats, phones, lids, empties) f;
    end if;

    if join_org is not null and not merged then
        merged := exists (select
                            from unnest(join_one, join_other)
                                 as j (one, other)
                           where j.one <> j.other);
    end if;

    if merged then
        select array_agg(u.organization),
               array_agg(waha.live_contact(u.organization, u.contact))
          into linked_org, linked
          from unnest(live || live, contacts || subjects)
               as u (organization, contact)
         where u.contact is not null;
    end if;

    if renamed or join_org is not null then
        perform waha.rename_contacts(said, kinds, chats, sessions,
                                     directions, ids, contacts, names,
                                     times);
    end if;

    if kinds && '{message,call}' then
        select * into contacts, actions, activities, fresh, gaps, awaited
          from waha.store_activities(live, kinds, sessions, directions,
                                     chats, ids, types, bodies, times, names,
                                     statuses, metas, chat_ids, empties,
                                     contacts, actions);

        -- Another transaction stored the message just now, perhaps under the
        -- other identity of its sender: then the contact made here is one too
        -- many.

        foreach p in array coalesce(creators, '{}') loop
            if actions[p] <> 'contact_created'
               and (phones[p] is null or lids[p] is null)
            then
                raise serialization_failure
                    using message = 'the same message was stored meanwhile';
            end if;
        end loop;
    end if;

    if kinds && '{status,reaction,vote,edit,revoke}' or awaited
       or links or 'outbound' = any (directions)
    then
        select * into actions, applied, seen
          from waha.store_states(live, sessions, kinds, directions, chats,
                                 chat_ids, ids, targets, phones, lids,
                                 bodies, times, statuses, metas, activities,
                                 case when awaited then fresh end,
                                 case when links then strangers end,
                                 linked_org, linked, actions);
    end if;

    if gaps is not null or applied is not null or seen is not null then
        select * into bodies, actions, changed, woken, reads
          from waha.apply_states(live, sessions, ids, types, names, metas,
                                 empties, activities, fresh, gaps, applied,
                                 seen, bodies, actions);
    end if;

    -- with a look at what was erased since

    select array(select f from unnest(fresh) f where empties[f] is null),
           (select true from waha.erased e where e.hash >= '' limit 1)
      into fresh, remembers;

    if remembers then
        if waha.places_erased(live, sessions, kinds, ids, targets, phones,
                              lids) <> '{}'
        then
            raise serialization_failure
                using message = 'a message was erased meanwhile';
        end if;
    end if;

    if fresh <> '{}' or changed is not null or woken is not null
       or reads is not null
    then
        perform waha.update_conversations(live, kinds, chats, sessions,
                                          directions, ids, contacts, times,
                                          bodies, fresh, changed, woken,
                                          reads);
    end if;

    perform waha.await_standby();

    return query
        select (u.pos - 1)::int,
               case when u.strange then 'ignored' else u.action end,
               u.organization, u.tenant, u.contact, u.activity,
               case when u.strange then 'no_contact' else u.code end
          from (select k.*, k.action = 'activity_logged'
                            and k.activity is null as strange
                  from unnest(actions, found_org, found_id, contacts,
                              activities, codes)
                       with ordinality as k (action, organization, tenant,
                                             contact, activity, code, pos))
               u;
end
$$;

comment on function waha.ingest_batch is
    'stores many events in one transaction: the i-th elements of the arrays '
    'are the arguments of waha.ingest for one event; result: a row for each';

grant execute on function waha.ingest_batch to waha_gateway;


create or replace function waha.ingest(provider text, instance text,
    session text, kind text, direction text, chat text, message_id text,
    target_id text, phone text, lid text, name text, type text, body text,
    sent_at bigint, status text, metadata text, organization_slug text,
    organization_id text, tenant text, claims text,
    chat_id text default null, empty text default null)
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    sender     text := waha.clean_name($11);
    at         timestamptz := to_timestamp($14 / 1000.0);
    org        text;
    id         bigint;
    contact    bigint;
    as_before  boolean;     -- the contact, when it was locked
    made       waha.contact_activities;
    count      int;
begin
    -- The short way, for a message of a contact that is known.  Any other
    -- event is a batch of one.

    if $4 = 'message' and $6 = 'person' and $20 is null and $22 is null
       and $7 is not null and $5 is not null and at is not null
    then
        -- the lock that waha.lock_messages takes for a message

        perform waha.share_messages(array[waha.message_bucket($7)]);

        select o.slug, o.id, c.id, c.as_before
          into org, id, contact, as_before
          from (select k.organization_slug, k.instance
                  from waha.sessions k
                 where k.name = $3
                 limit 1) s
         cross join lateral (
                select k.slug, k.id
                  from waha.organizations k
                 where k.slug = s.organization_slug collate "default"
                   and k.whatsapp_enabled
                 limit 1) o
          left join lateral (
                select k.contact_id
                  from waha.contact_identities k
                 where k.organization_slug = s.organization_slug
                   and k.kind = 'phone'
                   and k.key = waha.phone_key($9)
                   and k.proved
                 limit 1) p on true
          left join lateral (
                select k.contact_id
                  from waha.contact_identities k
                 where k.organization_slug = s.organization_slug
                   and k.kind = 'lid'
                   and k.key = $10
                   and k.proved
                 limit 1) l on true
         cross join lateral (
                select k.id
                  from waha.contacts k
                 where k.organization_slug
                       = s.organization_slug collate "C"
                   and k.id = coalesce(l.contact_id, p.contact_id)
                   and ($9 is null or k.id = p.contact_id)
                   and ($10 is null or k.id = l.contact_id)
                   and (select true
                          from waha.waiting_changes w
                         where w.organization_slug = s.organization_slug
                           and w.session_name = $3
                           and w.message_id = $7
                         limit 1) is null
                   and ((select true
                           from waha.erased e
                          where e.hash >= ''
                          limit 1) is null
                        or (select true
                              from waha.erased e
                             where e.hash = waha.erased_key(
                                                s.organization_slug, $3, $7)
                             limit 1) is null)
                   and ($2 is null or $2 = s.instance)
                   and coalesce($17 = o.slug, true)
                   and coalesce($18 = o.id::text, true)
                   and coalesce($19 in (o.slug, o.id::text), true)
                   and k.merged_into is null
                   and (sender is null or sender = k.whatsapp_name
                        or $5 = 'outbound')
                 limit 1) k
         cross join lateral (
                select c.id, c.merged_into is null
                             and (sender is null or sender = c.whatsapp_name
                                  or $5 = 'outbound') as as_before
                  from waha.contacts c
                 where c.organization_slug
                       = s.organization_slug collate "C"
                   and c.id = k.id
                   for key share) c;

        -- a batch could want the exclusive lock, but the shared one is taken

        if not as_before then
            raise serialization_failure
                using message = 'a contact was renamed or merged meanwhile';
        end if;
    end if;

    if contact is null then
        return query
            select *
              from waha.ingest_batch(array[$1], array[$2], array[$3],
                       array[$4], array[$5], array[$6], array[$7],
                       array[$8], array[$9], array[$10], array[$11],
                       array[$12], array[$13], array[$14], array[$15],
                       array[$16], array[$17], array[$18], array[$19],
                       array[$20], array[$21], array[$22]);
        return;
    end if;

    insert into waha.contact_activities as a
                (organization_slug, contact_id, activity_type, direction,
                 message_content, metadata, session_name, message_id,
                 message_type, chat, sender_name, occurred_at)
        values (org, contact, 'whatsapp_message', $5, $13,
                waha.message_metadata($16::jsonb, $21, $22), $3, $7, $12, $6,
                case when $5 = 'inbound' then sender end, at)
        on conflict (organization_slug, session_name, message_id, direction)
        do nothing
        returning a.id into made;

    if made.id is null then
        select a.* into made
          from waha.contact_activities a
         where a.organization_slug = org collate "C"
           and a.session_name = $3
           and a.message_id = $7
           and a.direction = $5 collate "C";

        if made.id is null then
            raise exception 'a trigger of the CRM refused message "%"', $7;
        end if;

        if $5 = 'outbound' and waha.status_rank($15) > 0
           or waha.fill(made, $12, $13, $16::jsonb, sender, null)
              is distinct from made
        then
            return query
                select *
                  from waha.ingest_batch(array[$1], array[$2], array[$3],
                           array[$4], array[$5], array[$6], array[$7],
                           array[$8], array[$9], array[$10], array[$11],
                           array[$12], array[$13], array[$14], array[$15],
                           array[$16], array[$17], array[$18], array[$19],
                           array[$20], array[$21], array[$22]);
            return;
        end if;

        if made.contact_id <> contact then
            made.contact_id := waha.live_of(org, made.contact_id);
        end if;

        return next row(0, 'duplicate', org, id,
                        made.contact_id, made.id, null)::waha.outcome;
        return;
    end if;

    if $5 = 'outbound' and waha.status_rank($15) > 0 then
        perform waha.store_state(row(org, $3, $7, $15, at, null, null, null,
                                     null, null, null,
                                     null)::waha.message_states);
    end if;

    insert into waha.conversations as c
                (organization_slug, contact_id, session_name,
                 last_message_id, last_message_at, last_direction,
                 last_message, unread_count, unread_since, last_inbound_at,
                 last_outbound_at)
        select org, contact, $3, $7, at, $5, left($13, 255),
               ($5 = 'inbound')::int,
               case when $5 = 'inbound' then at end,
               case when $5 = 'inbound' then at end,
               case when $5 = 'outbound' then at end
         where (select true
                  from waha.erased e
                 where e.hash >= ''
                 limit 1) is null
            or (select true
                  from waha.erased e
                 where e.hash = waha.erased_key(org, $3, $7)
                 limit 1) is null
        on conflict (organization_slug, contact_id, session_name) do update
           set last_message_id = (waha.combine(c, excluded)).last_message_id,
               last_message_at = (waha.combine(c, excluded)).last_message_at,
               last_direction = (waha.combine(c, excluded)).last_direction,
               last_message = (waha.combine(c, excluded)).last_message,
               unread_count = waha.unread(c, excluded),
               unread_since = waha.unread_since(c, excluded),
               last_inbound_at = (waha.combine(c, excluded)).last_inbound_at,
               last_outbound_at = (waha.combine(c, excluded)).last_outbound_at,
               read_at = (waha.combine(c, excluded)).read_at
        returning c.unread_count into count;

    if not found then
        raise serialization_failure
            using message = 'a message was erased meanwhile';
    end if;

    if count < 0 then
        perform waha.count_unread(org, contact, $3);
    end if;

    return next row(0, 'activity_logged', org, id,
                    contact, made.id, null)::waha.outcome;
end
$$;

comment on function waha.ingest is
    'stores one event; result: one row with its outcome';

grant execute on function waha.ingest to waha_gateway;


create or replace function waha.ingest_each(provider text[],
    instance text[], session text[], kind text[], direction text[],
    chat text[], message_id text[], target_id text[], phone text[],
    lid text[], name text[], type text[], body text[], sent_at bigint[],
    status text[], metadata text[], organization_slug text[],
    organization_id text[], tenant text[], claims text[],
    chat_id text[] default null, empty text[] default null)
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
-- each of many records may wait for a lock, after the batch has waited
set lock_timeout = '100ms'
as $$
declare
    r  waha.outcome;
    n  int;
begin
    -- Session events first, as in a batch, then in the order of identities:
    -- locks are held until the end, and two calls that took them in opposite
    -- orders would wait for each other.

    for n in
        select k.pos
          from unnest(kind, session, phone, lid)
               with ordinality as k (kind, session, phone, lid, pos)
         order by k.kind = 'session' desc, k.session collate "C",
                  coalesce(k.phone, k.lid) collate "C", k.pos
    loop
        begin
            select * into r
              from waha.ingest(provider[n], instance[n], session[n], kind[n],
                               direction[n], chat[n], message_id[n],
                               target_id[n], phone[n], lid[n], name[n],
                               type[n], body[n], sent_at[n], status[n],
                               metadata[n], organization_slug[n],
                               organization_id[n], tenant[n], claims[n],
                               chat_id[n], empty[n]);
        exception
            when others then
                r := null;
                r.action := 'failed';
                r.code := sqlstate;
        end;

        r.position := n - 1;
        return next r;
    end loop;
end
$$;

comment on function waha.ingest_each is
    'as waha.ingest_batch, but an event that fails does not affect the '
    'others: its action is failed, its code the SQLSTATE';

grant execute on function waha.ingest_each to waha_gateway;
