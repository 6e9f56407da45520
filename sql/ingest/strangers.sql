-- People who are met for the first time.  An advertisement brings nothing but
-- them, so those of a batch are looked up, proved and given contacts by a few
-- statements for all.  Where identities meet, the order of the events decides.

create or replace function waha.lock_identities(events waha.event[],
    strangers int[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    seed  bytea;
begin
    -- Transactions that create or join the same identities run one after
    -- the other.  So do those that store the same message, which can arrive
    -- under another identity of its sender, and those that create the
    -- channel of an organization.  One statement takes all of these locks;
    -- it uses "unnest", since "values" would be compiled for each event.

    select v.lock_seed into seed from waha.version v;

    perform pg_advisory_xact_lock(k.hash)
       from (select distinct waha.secret_key(
                        array[e.organization, i.kind, i.owner, i.key]::text,
                        seed) as hash
               from unnest(events) with ordinality as e
              left join lateral (
                    select case when p.other_kind = 'phone' then 'phone'
                                when p.other_kind = 'bsuid' then 'lid'
                                else 'parent' end as kind,
                           p.other_key as key
                      from (values ('phone', waha.phone_key(e.phone)),
                                   ('bsuid', e.lid),
                                   ('parent_bsuid', e.parent))
                           as k (kind, key)
                     cross join lateral (
                           select h.other_kind, h.other_key
                             from waha.moved_people h
                            where h.organization_slug = e.organization
                              and h.kind = k.kind
                              and h.key = k.key
                            limit 10) p
                     where (select true
                              from waha.moved_people h
                             where h.organization_slug >= ''
                             limit 1)
                       and (e.lid is null
                            or waha.hidden_kind(e.lid) = 'bsuid')) m on true
              cross join unnest(
                    array['phone', 'lid', 'parent', 'phone', 'lid', m.kind,
                          'message', 'channel'],
                    array['', '', '', '', '', '', e.session, ''],
                    array[waha.phone_key(e.phone), e.lid, e.parent,
                          case when e.kind = 'user'
                               then waha.phone_key(e.metadata->>'phone') end,
                          case when e.kind = 'user'
                               then e.metadata->>'lid' end,
                          m.key, e.message_id,
                          case when (
                              select true
                                from waha.traffic_channels t
                               where t.organization_slug
                                     = e.organization collate "default"
                                 and t.name = 'WhatsApp'
                               limit 1) is null
                          then '' end]) as i (kind, owner, key)
              where e.ordinality = any (strangers)
                and i.key is not null
              order by 1) k;
end
$$;

comment on function waha.lock_identities is
    'takes the locks of people, messages and channels that are to be created';


create or replace function waha.strangers_apart(events waha.event[],
    strangers int[], contacts bigint[], out persons int[], out firsts int[],
    out known bigint[], out phone_proved boolean[],
    out lid_proved boolean[], out parent_proved boolean[], out meet boolean)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- one person for each set of identities; a message that came in two
    -- sets, or is stored, shows that two of them are one

    with records as (
        select u.*, min(u.pair) over one_message
                    <> max(u.pair) over one_message as repeated
          from (select e.ordinality as pos,
                       e.ordinality = any (strangers) as strange,
                       e.organization collate "C" as organization,
                       e.session, e.message_id, e.direction,
                       k.key collate "C" as key, e.lid collate "C" as lid,
                       e.parent collate "C" as parent,
                       concat(k.key, ' ', e.lid, ' ', e.parent) collate "C"
                           as pair
                  from unnest(events) with ordinality as e
                 cross join lateral (
                       select waha.phone_key(e.phone) as key
                       offset 0) k
                 where e.organization is not null
                   and e.kind in ('message', 'call')
                   and (contacts[e.ordinality] is not null
                        or not e.empty)) u
        window one_message as (partition by u.organization, u.session,
                                            u.message_id, u.direction)
    ), met as (
        select r.pos, r.organization, r.key, r.lid, r.parent,
               dense_rank() over (order by r.organization, r.key, r.lid,
                                           r.parent) as person,
               r.repeated
               or (select true
                     from waha.contact_activities a
                    where a.organization_slug = r.organization
                      and a.session_name = r.session
                      and a.message_id = r.message_id
                      and a.direction = r.direction collate "C"
                    limit 1) is not null as repeated
          from records r
         where r.strange
    ), people as (
        select m.person, m.organization, m.key, m.lid, m.parent,
               min(m.pos)::int as first,
               bool_or(m.repeated)
               or m.key is not null
                  and count(*) over (partition by m.organization, m.key) > 1
               or m.lid is not null
                  and count(*) over (partition by m.organization, m.lid) > 1
               or m.parent is not null
                  and count(*) over (partition by m.organization,
                                                  m.parent) > 1
                   as meets
          from met m
         group by m.person, m.organization, m.key, m.lid, m.parent
         order by m.person
    )
    select (select array_agg(m.person::int order by m.pos) from met m),
           array_agg(g.first),
           array_agg(coalesce(i.by_lid, i.by_phone, i.by_parent)),
           array_agg(i.phone_proved), array_agg(i.lid_proved),
           array_agg(i.parent_proved),
           bool_or(g.meets
                   or coalesce(i.by_lid, i.by_parent) is not null
                      and g.key is not null
                      and coalesce(i.by_lid, i.by_parent)
                          is distinct from i.by_phone
                   or i.by_parent <> coalesce(i.by_lid, i.by_phone)
                   or m.known)
      into persons, firsts, known, phone_proved, lid_proved, parent_proved,
           meet
      from people g
     cross join waha.people_of(g.organization, g.key, g.lid, g.parent) i
      left join lateral (
            select true as known
              from (values ('phone', g.key), ('bsuid', g.lid),
                           ('parent_bsuid', g.parent)) as k (kind, key)
             cross join lateral (
                   select
                     from waha.moved_people p
                    where p.organization_slug = g.organization
                      and p.kind = k.kind
                      and p.key = k.key
                    limit 1) p
             -- hidden ids are WAHA's, which tells of no change
             where (select true
                      from waha.moved_people h
                     where h.organization_slug >= ''
                     limit 1)
               and (g.lid is null or waha.hidden_kind(g.lid) = 'bsuid')
             limit 1) m on true;
end
$$;

comment on function waha.strangers_apart is
    'who the strangers of a batch are, in the order in which '
    'waha.add_phone_identities inserts their numbers; persons: for each '
    'stranger an index into the other arrays; firsts: position of each '
    'person''s first event; known: their contacts; meet: two of them, or two '
    'contacts, are perhaps one person';


create or replace function waha.make_contacts(events waha.event[],
    firsts int[], known bigint[]) returns bigint[]
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    slug  text;
    made  bigint[];
    n     int := 0;
begin
    for slug in
        select distinct (events[f]).organization
          from unnest(firsts) f
    loop
        perform waha.channel(slug);
    end loop;

    with written as (
        insert into waha.contacts as c
                    (organization_slug, first_name, last_name, phone_1,
                     contact_type, traffic_source_id, state, whatsapp_name)
        select e.organization, waha.first_name(e.name),
               waha.last_name(e.name), '+' || e.phone, 'lead', t.id,
               waha.state_of(e.phone), e.name
          from (select (events[firsts[g]]).organization,
                       (events[firsts[g]]).phone, (events[firsts[g]]).name
                  from generate_series(1, cardinality(firsts)) g
                 where known[g] is null
                offset 0) e
         cross join lateral (
                select k.id
                  from waha.traffic_channels k
                 where k.organization_slug
                       = e.organization collate "default"
                   and k.name = 'WhatsApp'
                 order by k.id
                 limit 1) t
        returning c.id
    )
    select array_agg(w.id) into made from written w;

    for g in 1 .. cardinality(known) loop
        if known[g] is null then
            n := n + 1;
            known[g] := made[n];
        end if;
    end loop;

    if n <> coalesce(cardinality(made), 0) then
        raise exception 'a trigger of the CRM refused a contact';
    end if;

    return known;
end
$$;

comment on function waha.make_contacts is
    'creates contacts for persons who have none; result: known with them';


create or replace function waha.prove_identities(events waha.event[],
    firsts int[], phone_owners bigint[], lid_owners bigint[],
    parent_owners bigint[], phone_proved boolean[], lid_proved boolean[],
    parent_proved boolean[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    owners  bigint[];
    stored  bigint[];
begin
    -- numbers in the order in which waha.add_phone_identities inserts them:
    -- two transactions that insert the same must not wait for each other

    with persons as (
        select g as n, (events[firsts[g]]).organization collate "C"
                       as organization,
               (events[firsts[g]]).phone, (events[firsts[g]]).lid,
               (events[firsts[g]]).parent
          from generate_series(1, cardinality(firsts)) g
        offset 0
    ), news as (
        select 'phone' as kind, p.organization,
               waha.phone_key(p.phone) collate "C" as key, p.phone as seen,
               phone_owners[p.n] as contact
          from persons p
         where p.phone is not null
           and phone_proved[p.n] is not true

        union all

        select waha.hidden_kind(p.lid), p.organization, p.lid collate "C",
               waha.seen_id(p.lid), lid_owners[p.n]
          from persons p
         where p.lid is not null
           and lid_proved[p.n] is not true

        union all

        select 'parent_bsuid', p.organization, p.parent collate "C",
               waha.seen_id(p.parent), parent_owners[p.n]
          from persons p
         where p.parent is not null
           and parent_proved[p.n] is not true

         order by 1 desc, 2, 3
    ), written as (
        insert into waha.contact_identities as i
                    (organization_slug, kind, key, contact_id, seen, proved)
        select n.organization, n.kind, n.key, n.contact, n.seen, true
          from news n
        on conflict on constraint contact_identities_pkey
        do update set proved = true
        returning i.contact_id
    )
    select (select array_agg(n.contact) from news n),
           (select array_agg(w.contact_id) from written w)
      into owners, stored;

    if stored <> owners then
        raise serialization_failure
            using message = 'the CRM made the same contact meanwhile';
    end if;
end
$$;

comment on function waha.prove_identities is
    'stores that WhatsApp itself named the numbers, hidden ids and user ids '
    'of contacts; fails when the CRM has given one to another contact';


create or replace function waha.meet_in_order(events waha.event[],
    strangers int[], contacts bigint[], out creators int[],
    out places int[], out ones bigint[], out others bigint[],
    out numbers text[], out moved int[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r        record;
    i        record;
    contact  bigint;
    other    bigint;
begin
    creators := '{}';
    moved := '{}';

    -- the order in which waha.add_phone_identities inserts: two transactions
    -- that insert the same identities must not wait for each other

    for r in
        select e.organization, e.phone, e.lid, e.parent,
               e.ordinality::int as pos,
               (select true
                  from waha.contact_activities a
                 where a.organization_slug = e.organization collate "C"
                   and a.session_name = e.session
                   and a.message_id = e.message_id
                   and a.direction = e.direction collate "C"
                 limit 1) is not null
               or row_number() over (partition by e.organization, e.session,
                                                  e.message_id, e.direction
                                         order by e.ordinality) > 1
                   as repeated
          from unnest(events) with ordinality as e
         where e.organization is not null
           and e.kind in ('message', 'call')
           and (contacts[e.ordinality] is not null or not e.empty)
         order by e.organization collate "C",
                  min(waha.phone_key(e.phone) collate "C") over (
                      partition by e.organization,
                                   coalesce('lid ' || e.lid,
                                            waha.phone_key(e.phone))),
                  e.ordinality
    loop
        continue when r.pos <> all (strangers);

        select * into i
          from waha.people_of(r.organization, r.phone, r.lid, r.parent);

        contact := coalesce(i.by_lid, i.by_phone, i.by_parent);

        if contact is null then
            -- a stored message that came again under its other identity
            -- does not make a second contact
            continue when r.repeated and (r.phone is null or r.lid is null);

            contact := (waha.make_contacts(events, array[r.pos],
                                           '{null}'))[1];
            creators := creators || r.pos;

        else
            if i.by_phone <> contact
               or r.phone is not null and i.by_phone is null
            then
                places := places || r.pos;
                ones := ones || contact;
                others := others || i.by_phone;
                numbers := numbers || r.phone;
            end if;

            if i.by_parent <> contact then
                places := places || r.pos;
                ones := ones || contact;
                others := others || i.by_parent;
                numbers := numbers || null::text;
            end if;
        end if;

        perform waha.prove_identities(events, array[r.pos],
                    array[coalesce(i.by_phone, contact)], array[contact],
                    array[coalesce(i.by_parent, contact)],
                    array[i.phone_proved], array[i.lid_proved],
                    array[i.parent_proved]);

        continue when waha.hidden_kind(r.lid) = 'lid' and r.lid is not null;

        for i in
            select *
              from waha.join_moved(events[r.pos], contact, 'message')
        loop
            places := places || r.pos;
            ones := ones || contact;
            others := others || i.other;
            numbers := numbers || i.number;
        end loop;
    end loop;

    -- when all people of the batch are there

    for r in
        select s as pos
          from unnest(strangers) s
         where (events[s]).kind = 'user'
         order by (events[s]).organization collate "C", s
    loop
        select * into i from waha.move_person(events[r.pos]);

        continue when i.contact is null;

        contact := i.contact;

        if i.moved then
            moved := moved || r.pos;
        end if;

        for i in
            select *
              from waha.join_moved(events[r.pos], contact, 'user')
        loop
            places := places || r.pos;
            ones := ones || contact;
            others := others || i.other;
            numbers := numbers || i.number;
        end loop;
    end loop;
end
$$;

comment on function waha.meet_in_order is
    'creates contacts and identities for strangers, one after the other; '
    'creators: positions of the events that created a contact; ones, others: '
    'pairs of contacts that are one person, or contacts with a new number '
    '(others: null, numbers: the digits), shown by the events at places; '
    'moved: positions of changes of a person''s identities that tell something '
    'new';


create or replace function waha.identities_told(e waha.event)
returns table (kind text, key text, seen text)
language sql immutable
set search_path = waha, pg_temp
as $$
    select t.*
      from (values
            (waha.hidden_kind(e.lid), e.lid, waha.seen_id(e.lid)),
            ('phone', waha.phone_key(e.phone), e.phone),
            ('parent_bsuid', e.parent, waha.seen_id(e.parent)),
            ('bsuid', case when e.kind = 'user' then e.metadata->>'lid' end,
             waha.seen_id(e.metadata->>'lid')),
            ('phone', case when e.kind = 'user'
                           then waha.phone_key(e.metadata->>'phone') end,
             e.metadata->>'phone')) as t (kind, key, seen)
     where t.key is not null
$$;

comment on function waha.identities_told(waha.event) is
    'the identities in an event; in a change of a person''s the new ones, '
    'then those before';


create or replace function waha.move_person(e waha.event,
    out contact bigint, out moved boolean)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    told  record;
begin
    for told in select * from waha.identities_told(e) loop
        select i.contact_id into contact
          from waha.contact_identities i
         where i.organization_slug = e.organization
           and i.kind = told.kind
           and i.key = told.key;

        exit when contact is not null;
    end loop;

    -- no contact is made; whoever writes first is known by all of these

    if contact is null then
        insert into waha.moved_people as m
                    (organization_slug, kind, key, other_kind, other_key,
                     other_seen)
        select e.organization, one.kind, one.key, other.kind, other.key,
               other.seen
          from waha.identities_told(e) one
         cross join waha.identities_told(e) other
         where (one.kind, one.key) <> (other.kind, other.key)
         order by 2, 3, 4, 5
        on conflict do nothing;

        return;
    end if;

    moved := exists (
        select
          from waha.identities_told(e) t
          left join lateral (
                select i.contact_id
                  from waha.contact_identities i
                 where i.organization_slug = e.organization
                   and i.kind = t.kind
                   and i.key = t.key
                   and i.proved
                 limit 1) i on true
         where i.contact_id is distinct from contact);
end
$$;

comment on function waha.move_person is
    'the contact of a person who has changed number or user id; moved: one of '
    'the identities is not that contact''s; null: the person is not known, '
    'which is remembered';


create or replace function waha.other_identities(e waha.event)
returns table (kind text, key text, seen text)
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        with recursive same as (
            select t.kind collate "C" as kind, t.key collate "C" as key,
                   t.seen, 1 as step
              from waha.identities_told(e) t

            union

            select m.other_kind, m.other_key, m.other_seen, s.step + 1
              from same s
             cross join lateral (
                   select p.other_kind, p.other_key, p.other_seen
                     from waha.moved_people p
                    where p.organization_slug = e.organization
                      and p.kind = s.kind
                      and p.key = s.key
                    limit 10) m
             where s.step < 5
        )
        select distinct on (s.kind, s.key) s.kind::text, s.key::text, s.seen
          from same s
         order by s.kind, s.key, s.step
         limit 100;
end
$$;

comment on function waha.other_identities(waha.event) is
    'the identities in an event and those that are of the same person, as '
    'earlier events have told';


create or replace function waha.join_moved(e waha.event, contact bigint,
    what text) returns table (other bigint, number text)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    told    record;
    stored  bigint;
begin
    -- in the order of waha.prove_identities

    for told in
        select t.kind, t.key, t.seen
          from waha.other_identities(e) t
         where what = 'user'
            or (t.kind, t.key) not in (select i.kind, i.key
                                         from waha.identities_told(e) i)
         order by t.kind collate "C" desc, t.key collate "C"
    loop
        select i.contact_id into stored
          from waha.contact_identities i
         where i.organization_slug = e.organization
           and i.kind = told.kind
           and i.key = told.key
           and i.proved;

        if stored is null then
            insert into waha.contact_identities as i
                        (organization_slug, kind, key, contact_id, seen,
                         proved)
                values (e.organization, told.kind, told.key, contact,
                        told.seen, true)
                on conflict on constraint contact_identities_pkey
                do update set proved = true
                returning i.contact_id into stored;

            number := case when told.kind = 'phone' and stored = contact
                           then told.seen end;
            other := null;

            if number is not null then
                return next;
            end if;
        end if;

        if stored <> contact then
            other := stored;
            number := null;
            return next;
        end if;
    end loop;
end
$$;

comment on function waha.join_moved(waha.event, bigint, text) is
    'gives a contact the identities that are of the same person; what: user '
    'for those in the event as well; result: other contacts of that person, '
    'and numbers that are new';


create or replace function waha.create_contacts(events waha.event[],
    strangers int[], inout contacts bigint[], out creators int[],
    out links boolean, out places int[], out ones bigint[],
    out others bigint[], out numbers text[], out moved int[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    apart   record;
    owners  bigint[];
begin
    perform waha.lock_identities(events, strangers);

    select * into apart
      from waha.strangers_apart(events, strangers, contacts);

    if apart.meet
       or exists (select
                    from unnest(strangers) s
                   where (events[s]).kind = 'user')
    then
        select * into creators, places, ones, others, numbers, moved
          from waha.meet_in_order(events, strangers, contacts);

        select f.contacts into contacts from waha.identify(events) f;

        links := places is not null
                 or exists (select
                              from unnest(strangers) s
                             where s <> all (creators));
        return;
    end if;

    owners := waha.make_contacts(events, apart.firsts, apart.known);

    perform waha.prove_identities(events, apart.firsts, owners, owners,
                                  owners, apart.phone_proved,
                                  apart.lid_proved, apart.parent_proved);

    for n in 1 .. cardinality(strangers) loop
        contacts[strangers[n]] := owners[apart.persons[n]];
    end loop;

    -- a message in a group, which is not what makes a person known, too

    if array_position(contacts, null) is not null then
        select f.contacts into contacts from waha.identify(events) f;
    end if;

    select array_agg(f.first) filter (where f.known is null),
           bool_or(f.known is not null)
      into creators, links
      from unnest(apart.firsts, apart.known) as f (first, known);

    creators := coalesce(creators, '{}');
end
$$;

comment on function waha.create_contacts is
    'creates contacts and identities for strangers; contacts: with theirs; '
    'creators, places, ones, others, moved: as of waha.meet_in_order; links: a '
    'contact that was there may have a new identity';
