-- The phases of a batch.  They run in this order in every transaction, and
-- each takes its locks in the order of its keys: two batches cannot wait for
-- each other.
--
--   sessions       rows, by name: record_session
--   organizations  rows, by slug: show_sessions
--   messages       tables, by bucket of the message id: lock_messages
--   identities     advisory locks, by hash of the identity: lock_identities
--   contacts       rows, by id: lock_contacts
--   activities     rows, by message: store_activities
--   states         rows of states and of waiting changes, by message:
--                  store_states, then the activities that they change:
--                  apply_states
--   conversations  rows, by organization, contact and session:
--                  update_conversations
--
-- All arrays have one element for each event.  The organization of an event
-- that no phase concerns is null.

create or replace function waha.drop_erased(inout events waha.event[],
    inout actions text[])
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    e  waha.event;
    p  int;
begin
    foreach p in array waha.places_erased(events) loop
        e := events[p];
        e.organization := null;
        events[p] := e;
        actions[p] := 'duplicate';
    end loop;
end
$$;

comment on function waha.drop_erased is
    'makes duplicates of the events of a batch that were erased';


create or replace function waha.lock_messages(events waha.event[],
    changing boolean) returns bigint[]
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    buckets  int;
    alone    int;
begin
    -- A message and its change can arrive in two transactions that do not
    -- see each other's rows: then the change would wait for ever.  Storing a
    -- message takes the shared lock of its bucket; a change of a message that
    -- is not stored yet takes the exclusive one, and then looks for the
    -- message again.

    select bit_or(1 << l.bucket), bit_or(1 << l.bucket) filter (where l.alone)
      into buckets, alone
      from (select waha.message_bucket(case when e.kind = 'message'
                                            then e.message_id
                                            else e.target_id end) as bucket,
                   e.kind <> 'message' as alone
              from unnest(events) e
             where e.organization is not null
               and (e.kind = 'message'
                    or e.kind in ('status', 'reaction', 'vote', 'edit',
                                  'revoke')
                       and (select true
                              from waha.contact_activities a
                             where a.organization_slug
                                   = e.organization collate "C"
                               and a.session_name = e.session
                               and a.message_id = e.target_id
                             limit 1) is null)) l;

    if alone is null then
        -- so many messages have nearly all of the buckets anyway

        perform waha.share_messages(case when cardinality(events) > 16
                                         then 65535 else buckets end);
    else
        for b in 0 .. 15 loop
            if alone & (1 << b) <> 0 then
                perform waha.lock_message(b);
            elsif buckets & (1 << b) <> 0 then
                perform waha.share_messages(1 << b);
            end if;
        end loop;
    end if;

    if not changing then
        return null;
    end if;

    return array(
        select (select coalesce((select m.to_id
                                   from waha.moves m
                                  where m.organization_slug = e.organization
                                    and m.from_id = a.contact_id
                                  limit 1), a.contact_id)
                  from waha.contact_activities a
                 where a.organization_slug = e.organization collate "C"
                   and a.session_name = e.session
                   and a.message_id = e.target_id
                   and e.kind in ('status', 'reaction', 'vote', 'edit',
                                  'revoke')
                 order by a.direction
                 limit 1)
          from unnest(events) with ordinality as e
         order by e.ordinality);
end
$$;

comment on function waha.lock_messages is
    'locks the messages that a batch stores or changes; changing: there are '
    'changes; result: for each change the contact of the message that it '
    'changes, if that is stored';


create or replace function waha.identify(events waha.event[],
    out contacts bigint[], out strangers int[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    select array_agg(f.contact),
           array_agg(f.pos) filter (where f.strange)
      into contacts, strangers
      from (select e.ordinality::int as pos,
                   coalesce(i.by_lid, i.by_phone, i.by_parent) as contact,
                   e.organization is not null
                   and (e.kind = 'user'
                        or e.kind in ('message', 'call')
                           and e.chat = 'person'
                           and not e.empty
                           and (e.phone is not null
                                   and i.phone_proved is not true
                                or e.lid is not null
                                   and i.lid_proved is not true
                                or e.parent is not null
                                   and i.parent_proved is not true
                                or i.by_phone <> i.by_lid
                                or i.by_parent
                                   <> coalesce(i.by_lid, i.by_phone)))
                       as strange
              from unnest(events) with ordinality as e
             cross join waha.people_of(
                            case when e.kind in ('message', 'call', 'user')
                                 then e.organization end,
                            e.phone, e.lid, e.parent) i
             order by e.ordinality) f;
end
$$;

comment on function waha.identify is
    'finds the contacts of a batch by phone number, hidden id and user id; '
    'strangers: positions of messages and calls with an identity that is new '
    'or not proved, or with identities of two contacts, and of all changes of '
    'a person''s identities; a message that says nothing is none of them';


create or replace function waha.lock_contacts(organizations text[],
    contacts bigint[], events waha.event[], alone boolean) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    had      bigint;
    renamed  boolean;
begin
    -- One by one, in the order of their ids.  There are fewer events:
    -- contacts beyond the last one have no name to compare.

    if alone then
        select count(*) filter (where c.merged_into is null),
               bool_or((events[u.place]).name
                           <> coalesce(c.whatsapp_name, '')
                       and (events[u.place]).chat = 'person')
          into had, renamed
          from (select organizations[g] as organization,
                       contacts[g] as contact, g as place
                  from generate_series(1, cardinality(contacts)) g
                 where contacts[g] is not null
                 order by contacts[g]) u
         cross join lateral (
                select k.merged_into, k.whatsapp_name
                  from waha.contacts k
                 where k.organization_slug = u.organization collate "C"
                   and k.id = u.contact
                   for update) c;
    else
        select count(*) filter (where c.merged_into is null),
               bool_or((events[u.place]).name
                           <> coalesce(c.whatsapp_name, '')
                       and (events[u.place]).chat = 'person')
          into had, renamed
          from (select organizations[g] as organization,
                       contacts[g] as contact, g as place
                  from generate_series(1, cardinality(contacts)) g
                 where contacts[g] is not null
                 order by contacts[g]) u
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


create or replace function waha.hold_contacts(organizations text[],
    contacts bigint[], events waha.event[], links boolean,
    out renamed boolean, out merged boolean)
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    merged := false;

    -- A change of a message waits while its person is not known.  It has the
    -- shared lock of the contact: with the exclusive one, either it finds the
    -- new identity, or it is found here.

    renamed := waha.lock_contacts(organizations, contacts, events, links);

    if renamed and not links then
        raise sqlstate 'WA001';
    end if;

exception
    when sqlstate 'WA001' then
        -- Renaming needs exclusive locks.  The shared ones were released with
        -- the subtransaction: upgrading them could deadlock.

        perform waha.lock_contacts(organizations, contacts, events, true);

    when serialization_failure then
        -- the CRM, or another batch, has merged one of the contacts

        perform waha.complete_merges(organizations, contacts);
        renamed := true;
        merged := true;
end
$$;

comment on function waha.hold_contacts is
    'locks the contacts of a batch, for the names that it brings and for new '
    'identities (links); renamed: there may be such names; merged: contacts '
    'were merged, and have to be looked up again';


create or replace function waha.join_contacts(events waha.event[],
    places int[], ones bigint[], others bigint[], numbers text[])
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    e  waha.event;
begin
    for n in 1 .. cardinality(places) loop
        e := events[places[n]];

        if others[n] is not null then
            perform waha.merge_contacts(e.organization, ones[n], others[n],
                        jsonb_build_object('session', e.session,
                                           'message_id', e.message_id,
                                           'at', waha.rfc3339(e.at),
                                           'phone', e.phone,
                                           waha.hidden_kind(e.lid), e.lid)
                        || jsonb_strip_nulls(jsonb_build_object(
                                           'parent_bsuid', e.parent)));
        else
            perform waha.add_phone(e.organization,
                                   waha.live_contact(e.organization,
                                                     ones[n]),
                                   numbers[n]);
        end if;
    end loop;
end
$$;

comment on function waha.join_contacts is
    'merges the pairs of contacts and adds the numbers, in digits, that '
    'waha.create_contacts found, at these places of the batch';


create or replace function waha.rename_contacts(events waha.event[],
    contacts bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    n  record;
begin
    -- the newest name of each contact; that of a repeated message is known

    for n in
        select distinct on (e.organization, contacts[e.ordinality])
               e.organization, contacts[e.ordinality] as contact, e.at,
               e.name
          from (select u.*, row_number() over (
                           partition by u.organization, u.kind, u.session,
                                        u.message_id, u.direction
                           order by u.ordinality) as n
                  from unnest(events) with ordinality as u
                 where u.organization is not null
                   and not u.empty) e
         where e.n = 1
           and contacts[e.ordinality] is not null
           and e.kind = 'message'
           and e.chat = 'person'
           and e.name is not null
           and (select true
                  from waha.contact_activities a
                 where a.organization_slug = e.organization collate "C"
                   and a.session_name = e.session
                   and a.message_id = e.message_id
                   and a.direction = e.direction collate "C"
                   and (a.metadata ? 'empty') is not true
                 limit 1) is null
         order by e.organization, contacts[e.ordinality], e.at desc,
                  e.name collate "C" desc
    loop
        perform waha.rename_contact(n.organization, n.contact, n.name, n.at);
    end loop;
end
$$;

comment on function waha.rename_contacts is
    'gives contacts the newest names in a batch';


create or replace function waha.settle_people(events waha.event[],
    organizations text[], strangers int[], subjects bigint[],
    inout contacts bigint[], inout actions text[], out creators int[],
    out links boolean, out linked_org text[], out linked bigint[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    places  int[];
    ones    bigint[];
    others  bigint[];
    moved   int[];
    digits  text[];
    joined  text[];
    orgs    text[] := organizations;
    people  bigint[];
    found   record;
    e       waha.event;
    p       int;
begin
    links := false;

    if strangers is not null then
        -- ignored, also if its person is met in this batch

        for n in 1 .. cardinality(events) loop
            if contacts[n] is null and (events[n]).empty then
                e := events[n];
                e.phone := null;
                e.lid := null;
                e.parent := null;
                events[n] := e;
            end if;
        end loop;

        select * into contacts, creators, links, places, ones, others,
                      digits, moved
          from waha.create_contacts(events, strangers, contacts);

        foreach p in array creators loop
            actions[p] := 'contact_created';
        end loop;
    end if;

    people := contacts;

    if subjects is not null then
        orgs := orgs || organizations;
        people := people || subjects;
    end if;

    if places is not null then
        joined := array(select organizations[p] from unnest(places) p);
        orgs := orgs || joined || joined;
        people := people || ones || others;
    end if;

    select * into found
      from waha.hold_contacts(orgs, people, events, links);

    if strangers is not null then
        -- The foreign key is checked here: at commit, without the settings
        -- of waha.ingest_batch, its query would get another plan.

        set constraints waha.identities_contact immediate;
        set constraints waha.identities_contact deferred;
    end if;

    if places is not null then
        perform waha.join_contacts(events, places, ones, others, digits);
    end if;

    if found.merged or places is not null then
        select f.contacts into contacts from waha.identify(events) f;
    end if;

    if found.merged
       or exists (select
                    from unnest(ones, others) as j (one, other)
                   where j.one <> j.other)
    then
        links := true;

        select array_agg(u.organization),
               array_agg(waha.live_contact(u.organization, u.contact))
          into linked_org, linked
          from unnest(organizations || organizations, contacts || subjects)
               as u (organization, contact)
         where u.contact is not null;
    end if;

    if found.renamed or places is not null then
        perform waha.rename_contacts(events, contacts);
    end if;

    foreach p in array coalesce(strangers, '{}') loop
        e := events[p];

        if e.kind = 'user' and contacts[p] is not null then
            actions[p] := case
                when waha.name_person(e.organization, contacts[p], e.name)
                     or p = any (moved)
                then 'contact_updated' else 'duplicate' end;
        end if;
    end loop;
end
$$;

comment on function waha.settle_people is
    'creates, locks, joins and renames the contacts of a batch; subjects: '
    'those of messages that change; links: a contact that was there has a new '
    'identity; linked: contacts that were merged';
