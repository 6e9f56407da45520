-- Erasure of people and of organizations.
--
-- Foreign keys of the CRM may have no index.  With "enable_seqscan = off"
-- the sequential scan for such a key is so expensive to the planner that it
-- would be compiled each time: hence "jit = off".

create or replace function waha.persons(organization text, contact bigint)
returns bigint[]
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    live  bigint := waha.live_contact(organization, contact);
begin
    return (
        with recursive same as (
            select live as id

            union

            select c.id::bigint
              from same s
              join waha.contacts c on c.merged_into = s.id
             where c.organization_slug = organization collate "C"
        )
        select array_agg(id order by id) from same where id is not null);
end
$$;

comment on function waha.persons(text, bigint) is
    'all contacts of one person: one that was not merged and those that were '
    'merged into it, or null';


create or replace function waha.tenure_owner(event jsonb) returns text
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    e     waha.event;
    meta  text := (event->'meta')::text;
begin
    e.session := event->>'session';
    e.kind := event->>'kind';
    e.target_id := event->>'target_id';
    e.at := to_timestamp((event->>'sent_at')::float8 / 1000);

    return (select case when t.code is null then t.organization end
              from waha.find_tenures(array[meta], array[e]) t);
end
$$;

comment on function waha.tenure_owner(jsonb) is
    'the organization that an event of Meta in waha.quarantine is for, or '
    'null: nobody''s, or its secret is another one''s';


create or replace function waha.event_lid(organization text, event jsonb)
returns text
language plpgsql stable
set search_path = waha, pg_temp
as $$
begin
    return coalesce(event->>'lid',
                    waha.scoped_id(waha.number_scope(organization,
                                                     event->>'session'),
                                   event->'meta'->>'bsuid'));
end
$$;

comment on function waha.event_lid(text, jsonb) is
    'the hidden id, or the user id as a key, in an event of waha.quarantine';


create or replace function waha.quarantine_owner(event jsonb) returns text
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- null is equal to no organization: an event that may be for any of
    -- them is neither shown to one nor deleted with one

    if event->'meta' is not null then
        return waha.tenure_owner(event);
    end if;

    return (
        select coalesce((select s.organization_slug
                           from waha.sessions s
                          where s.name = event->>'session'),
                        (select r.organization
                           from waha.resolve(event->>'session',
                                    event->>'instance',
                                    event->>'organization_slug',
                                    event->>'organization_id',
                                    event->>'tenant',
                                    (event->>'claims')::jsonb,
                                    case when event->>'direction' = 'inbound'
                                         then event->>'phone' end) r),
                        event->>'organization_slug'));
end
$$;

comment on function waha.quarantine_owner(jsonb) is
    'the organization that an event of waha.quarantine is for, or null when '
    'it is not known';


-- The indexes of migration 005 are on the next three functions: a change of
-- their results has to rebuild them.  Keys are cut to a length that an index
-- can hold.

create or replace function waha.quarantine_people(event jsonb) returns text[]
language sql immutable
set search_path = waha, pg_temp
as $$
    select array[left(waha.phone_key(event->>'phone'), 100),
                 left(event->>'lid', 100),
                 left(event->'meta'->>'bsuid', 100),
                 left(event->'meta'->>'parent_bsuid', 100),
                 left(waha.phone_key(event->'meta'->>'previous_phone'), 100),
                 left(event->'meta'->>'previous_bsuid', 100)]
$$;

comment on function waha.quarantine_people(jsonb) is
    'keys of the person that an event of waha.quarantine is about; user ids '
    'without their portfolio';


create or replace function waha.quarantine_names(event jsonb) returns text[]
language plpgsql immutable
set search_path = waha, pg_temp
as $$
declare
    claims  jsonb;
begin
    begin
        claims := event->>'claims';
    exception
        when data_exception then
            null;
    end;

    return array(
        select left(n.name, 100)
          from unnest(array[event->>'session', event->>'organization_slug',
                            event->>'organization_id', event->>'tenant',
                            claims->>'query', claims->>'pattern_slug',
                            claims->>'pattern_id', claims->>'default'])
               as n (name)
         where n.name is not null);
end
$$;

comment on function waha.quarantine_names(jsonb) is
    'all texts that may name the organization of an event of waha.quarantine';


create or replace function waha.reacted(reactions jsonb) returns text[]
language sql immutable
set search_path = waha, pg_temp
as $$
    select array_agg(left(n.key, 100))
      from jsonb_object_keys(reactions) k
     cross join lateral (values (k), (waha.phone_key(k))) as n (key)
$$;

comment on function waha.reacted(jsonb) is
    'keys of the people in reactions or votes of waha.message_states, of whom '
    'it is not known whether they are numbers or hidden ids';


create or replace function waha.without_people(people jsonb, keys text[])
returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    select jsonb_object_agg(e.key, e.value)
      from jsonb_each(people) e
     where left(e.key, 100) <> all (keys)
       and left(waha.phone_key(e.key), 100) <> all (keys)
$$;

comment on function waha.without_people(jsonb, text[]) is
    'reactions or votes without those of people with these keys';


create or replace function waha.reacted_by(organization text, keys text[])
returns table (session_name text, message_id text)
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select s.session_name, s.message_id
          from waha.message_states s
         where s.organization_slug = organization
           and s.reactions - '{me,contact}'::text[] <> '{}'
           and waha.reacted(s.reactions) && keys

         union

        select s.session_name, s.message_id
          from waha.message_states s
         where s.organization_slug = organization
           and s.votes - '{me,contact}'::text[] <> '{}'
           and waha.reacted(s.votes) && keys;
end
$$;

comment on function waha.reacted_by(text, text[]) is
    'messages in groups that people with these keys reacted to or voted on';


create or replace function waha.keys_of(organization text,
    contacts bigint[]) returns text[]
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select coalesce(array_agg(distinct k.key), '{}')
          from waha.contact_identities i
         cross join lateral (values (left(i.key, 100)), (i.key)) as k (key)
         where i.organization_slug = organization collate "POSIX"
           and i.contact_id = any (contacts));
end
$$;

comment on function waha.keys_of(text, bigint[]) is
    'numbers, hidden ids and user ids of contacts, also cut as in '
    'waha.quarantine_people and waha.reacted';


create or replace function waha.quarantined(organization text,
    contacts bigint[]) returns setof waha.quarantine
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    keys  text[] := waha.keys_of(organization, contacts);
begin
    keys := keys || array(select left(waha.seen_id(k), 100)
                            from unnest(keys) k
                           where k like '%/%');

    return query
        select q.*
          from waha.quarantine q
         where waha.quarantine_people(q.event) && keys
           and waha.quarantine_owner(q.event) = organization;
end
$$;

comment on function waha.quarantined(text, bigint[]) is
    'events in quarantine that are for an organization and about these '
    'contacts';

grant execute on function waha.quarantined(text, bigint[]) to waha_api;


-- Rows are looked up one by one, by ids from "unnest": for "= any (ids)" the
-- planner may compare thousands of ids with each row of an organization.

create or replace function waha.lock_states(organization text,
    activities bigint[], keys text[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- in one statement, in the order in which a batch locks them

    perform
       from (select a.session_name, a.message_id
               from unnest(activities) as u (id)
              cross join lateral (
                     select k.session_name, k.message_id
                       from waha.contact_activities k
                      where k.organization_slug = organization collate "C"
                        and k.id = u.id
                        and k.message_id is not null
                      limit 1) a

             union

             select r.session_name, r.message_id
               from waha.reacted_by(organization, keys) r

             order by 1, 2) m
      cross join lateral (
             select
               from waha.message_states s
              where s.organization_slug = organization
                and s.session_name = m.session_name
                and s.message_id = m.message_id
                for update) s;
end
$$;

comment on function waha.lock_states(text, bigint[], text[]) is
    'locks the states of messages, and of messages that people with these '
    'keys reacted to or voted on';


create or replace function waha.remember_messages(organization text,
    activities bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    perform waha.remember(array(
                select waha.erased_key(organization, a.session_name,
                                       a.message_id)
                  from unnest(activities) as u (id)
                 cross join lateral (
                        select k.session_name, k.message_id
                          from waha.contact_activities k
                         where k.organization_slug = organization collate "C"
                           and k.id = u.id
                           and k.message_id is not null
                         limit 1) a));
end
$$;

comment on function waha.remember_messages(text, bigint[]) is
    'remembers the messages of activities that are going to be erased';


create or replace function waha.remember_events(organization text,
    events bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- of a change what this person did: the message can be of somebody else

    perform waha.remember(array(
                select k.hash
                  from unnest(events) as u (id)
                  join waha.quarantine q on q.id = u.id
                 cross join unnest(waha.erased_keys(organization,
                            q.event->>'session', q.event->>'kind',
                            q.event->>'message_id', q.event->>'target_id',
                            q.event->>'phone',
                            waha.event_lid(organization, q.event)))
                            as k (hash)
                 where q.event->>'target_id' is null
                    or k.hash <> waha.erased_key(organization,
                                                 q.event->>'session',
                                                 q.event->>'target_id')));
end
$$;

comment on function waha.remember_events(text, bigint[]) is
    'remembers events in quarantine that are going to be erased';


create or replace function waha.erase_activities(organization text,
    ids bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    delete from waha.message_states s
     using unnest(ids) as u (id)
     cross join lateral (
            select k.session_name, k.message_id
              from waha.contact_activities k
             where k.organization_slug = organization collate "C"
               and k.id = u.id
             limit 1) a
     where s.organization_slug = organization
       and s.session_name = a.session_name
       and s.message_id = a.message_id;

    delete from waha.waiting_changes w
     using unnest(ids) as u (id)
     cross join lateral (
            select k.session_name, k.message_id
              from waha.contact_activities k
             where k.organization_slug = organization collate "C"
               and k.id = u.id
             limit 1) a
     where w.organization_slug = organization
       and w.session_name = a.session_name
       and w.message_id = a.message_id;

    begin
        delete from waha.contact_activities a
         using unnest(ids) as u (id)
         where a.organization_slug = organization collate "C"
           and a.id = u.id;

        set constraints all immediate;

    exception
        when integrity_constraint_violation then
            update waha.contact_activities a
               set message_content = null,
                   metadata = '{"erased": true}',
                   sender_name = null
              from unnest(ids) as u (id)
             where a.organization_slug = organization collate "C"
               and a.id = u.id;
    end;
end
$$;

comment on function waha.erase_activities(text, bigint[]) is
    'deletes activities, states and changes of their messages; where a key of '
    'the CRM forbids it for one, empties all of them of text, name and '
    'metadata';


create or replace function waha.erase_reactions(organization text,
    keys text[]) returns bigint
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    s  record;
    n  bigint := 0;
begin
    for s in
        select r.session_name, r.message_id
          from waha.reacted_by(organization, keys) r
         order by 1, 2
    loop
        perform waha.remember(array(
                    select waha.erased_key(organization, s.session_name,
                                           s.message_id, k)
                      from unnest(keys) k));

        update waha.message_states m
           set reactions = waha.without_people(m.reactions, keys),
               votes = waha.without_people(m.votes, keys)
         where m.organization_slug = organization
           and m.session_name = s.session_name
           and m.message_id = s.message_id;

        perform waha.apply_state(organization, s.session_name,
                                 s.message_id);

        n := n + 1;
    end loop;

    return n;
end
$$;

comment on function waha.erase_reactions(text, text[]) is
    'removes the reactions and votes of people from messages of others in '
    'groups; result: the number of these messages';


create or replace function waha.drop_contacts(organization text,
    ids bigint[]) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    delete from waha.contacts c
     where c.organization_slug = organization collate "C"
       and c.id = any (ids);

    set constraints all immediate;

    return true;

exception
    when integrity_constraint_violation then
        return false;
end
$$;

comment on function waha.drop_contacts(text, bigint[]) is
    'deletes contacts with everything that schema waha stores of them; false: '
    'a key of the CRM forbids it';


create or replace function waha.empty_contacts(organization text,
    ids bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    delete from waha.contact_identities i
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = any (ids);

    delete from waha.shared_phones s
     where s.organization_slug = organization
       and s.contact_id = any (ids);

    delete from waha.merges m
     where m.organization_slug = organization
       and (m.kept_id = any (ids) or m.merged_id = any (ids));

    delete from waha.moves m
     where m.organization_slug = organization
       and m.from_id = any (ids);

    delete from waha.moved_messages m
     where m.organization_slug = organization
       and m.contact_id = any (ids);

    delete from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = any (ids);

    update waha.contacts c
       set first_name = '',
           last_name = '',
           phone_1 = null,
           phone_2 = null,
           phone_3 = null,
           state = '',
           whatsapp_name = null
     where c.organization_slug = organization collate "C"
       and c.id = any (ids);

    perform waha.reassign_phones(array[organization]);
end
$$;

comment on function waha.empty_contacts(text, bigint[]) is
    'removes names, numbers and hidden ids of contacts; columns that only the '
    'CRM knows are its own to empty';


create or replace function waha.lock_people(organization text,
    ids bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- identities before contacts, in the order of a batch

    perform
       from waha.contact_identities i
      where i.organization_slug = organization collate "POSIX"
        and i.contact_id = any (ids)
      order by i.organization_slug, i.key, i.kind
        for update;

    perform
       from waha.contacts c
      where c.organization_slug = organization collate "C"
        and c.id = any (ids)
      order by c.id
        for update;
end
$$;

comment on function waha.lock_people(text, bigint[]) is
    'locks contacts against messages and merges';


create or replace function waha.erase_contact(organization text,
    contact bigint) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    most        constant int := 20000;    -- takes half a second
    ids         bigint[] := waha.persons(organization, contact);
    keys        text[];
    events      bigint[];
    activities  bigint[];
    identities  bigint;
    talks       bigint;
    reactions   bigint;
    gone        boolean;
    told        json;
begin
    if ids is null then
        return row('unknown_contact', null)::waha.reply;
    end if;

    perform waha.lock_people(organization, ids);

    if waha.persons(organization, ids[1]) is distinct from ids then
        raise serialization_failure
            using message = 'contacts were merged or deleted meanwhile';
    end if;

    keys := waha.keys_of(organization, ids);

    perform waha.erase_waiting(organization, keys);

    activities := array(
        select a.id
          from waha.contact_activities a
         where a.organization_slug = organization collate "POSIX"
           and a.contact_id = any (ids)
           and a.metadata is distinct from '{"erased": true}'
         limit most);

    perform waha.lock_states(organization, activities, keys);
    perform waha.remember_messages(organization, activities);
    perform waha.erase_activities(organization, activities);

    if cardinality(activities) = most then
        perform waha.record_audit(organization, 'contact.erase',
                                  contact => contact,
                                  details => '{"erased": false}',
                                  seconds => 3600);

        return row(null, json_build_object('erased', false,
                                           'activities', most))::waha.reply;
    end if;

    events := array(
        select q.id
          from waha.quarantined(organization, ids) q
         order by q.id);

    perform waha.remember_events(organization, events);

    perform
       from unnest(events) as u (id)
      cross join lateral (
             select
               from waha.quarantine k
              where k.id = u.id
                for update) k;

    delete from waha.quarantine q where q.id = any (events);

    select count(*) into identities
      from waha.contact_identities i
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = any (ids);

    select count(*) into talks
      from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = any (ids);

    reactions := waha.erase_reactions(organization, keys);
    gone := waha.drop_contacts(organization, ids);

    if not gone then
        perform waha.empty_contacts(organization, ids);
    end if;

    told := json_build_object('erased', true,
                              'contact', case when gone then 'deleted'
                                              else 'emptied' end,
                              'merged', cardinality(ids) - 1,
                              'activities', cardinality(activities),
                              'identities', identities,
                              'conversations', talks,
                              'reactions', reactions,
                              'quarantine', cardinality(events));

    perform waha.record_audit(organization, 'contact.erase',
                              contact => contact, details => told::jsonb);

    return row(null, told)::waha.reply;
end
$$;

comment on function waha.erase_contact(text, bigint) is
    'erases a person: contact, contacts merged into it, messages, reactions '
    'in groups, readable quarantine; where keys of the CRM forbid it the '
    'contact stays, emptied; messages of others in groups stay, also where '
    'they quote or mention the person; erased false: there were very many '
    'messages, call again; codes: unknown_contact';


create or replace function waha.erase_messages(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    ids  bigint[];
begin
    ids := array(
        select a.id
          from waha.contact_activities a
         where a.organization_slug = organization collate "C"
           and a.metadata is distinct from '{"erased": true}'
         limit 1000);

    perform waha.lock_states(organization, ids, '{}');
    perform waha.erase_activities(organization, ids);

    return ids <> '{}';
end
$$;

comment on function waha.erase_messages(text) is
    'erases some activities of an organization; false: there are none';


create or replace function waha.erase_people(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    ids  bigint[];
    one  bigint;
begin
    ids := array(
        select c.id
          from waha.contacts c
         where c.organization_slug = organization collate "POSIX"
           and c.organization_slug collate "POSIX" >= ''
           and concat(c.first_name, c.last_name, c.phone_1, c.phone_2,
                      c.phone_3, c.state, c.whatsapp_name) <> ''
         order by c.id
         limit 200);

    perform waha.lock_people(organization, ids);

    if not waha.drop_contacts(organization, ids) then
        foreach one in array ids loop
            perform waha.empty_contacts(organization, array[one])
              where not waha.drop_contacts(organization, array[one]);
        end loop;
    end if;

    return ids <> '{}';
end
$$;

comment on function waha.erase_people(text) is
    'erases some contacts of an organization; false: there are none';


create or replace function waha.erase_states(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    delete from waha.message_states s
     where s.organization_slug = organization
       and (s.session_name, s.message_id) in (
           select k.session_name, k.message_id
             from waha.message_states k
            where k.organization_slug = organization
            limit 2000);

    return found;
end
$$;

comment on function waha.erase_states(text) is
    'deletes some states of messages that never came; false: there are none';


create or replace function waha.erase_quarantine(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    names  text[];
begin
    names := array(
        select left(n.name, 100)
          from waha.organizations o
         cross join lateral (
                select o.slug
                union
                select o.id::text
                union
                select s.name
                  from waha.sessions s
                 where s.organization_slug = organization
                   and s.client_id is not null
                union
                select s.name
                  from waha.sessions s
                 where s.organization_slug = organization
                   and s.client_id is null
                   and s.deleted_at is not null) as n (name)
         where o.slug = organization);

    delete from waha.quarantine q
     where q.id in (
           select k.id
             from waha.quarantine k
            where waha.quarantine_names(k.event) && names
              and waha.quarantine_owner(k.event) = organization
            limit 500);

    if found then
        return true;
    end if;

    -- bodies that could not be read

    delete from waha.quarantine q
     where q.id in (
           select k.id
             from unnest(names) as n (name)
            cross join lateral (
                   select u.id
                     from waha.quarantine u
                    where u.session_name = n.name
                      and u.event is null
                      and u.instance is null
                    limit 500) k
             join waha.sessions s on s.name = n.name
            where s.organization_slug = organization
            limit 500);

    return found;
end
$$;

comment on function waha.erase_quarantine(text) is
    'deletes some events that an organization has in quarantine; false: there '
    'are none';


-- An organization is erased in another order than a batch takes its locks.
-- lock_timeout ends the wait for a batch before the two wait for each other.

create or replace function waha.erase_portion(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
set lock_timeout = '10ms'
as $$
begin
    return waha.erase_messages(organization)
           or waha.erase_people(organization)
           or waha.erase_states(organization)
           or waha.erase_quarantine(organization)
           or waha.erase_actors(organization);

exception
    when lock_not_available then
        return null;
end
$$;

comment on function waha.erase_portion(text) is
    'erases a portion of the messages and people of an organization; false: '
    'there are none, null: another transaction holds a lock';


create or replace function waha.erase_rest(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
set lock_timeout = '10ms'
as $$
#variable_conflict use_variable
declare
    hashes  bytea[];
    keys    text[];
    number  bigint;
begin
    -- before the keys, as waha.create_api_key does

    perform waha.lock_name('keys of ' || organization);

    with gone as (
        delete from waha.sessions s
         where s.organization_slug = organization
        returning s.name
    )
    select array_agg(waha.erased_key('', g.name, '')) into hashes
      from gone g;

    perform waha.remember(hashes);

    with gone as (
        delete from waha.connections c
         where c.organization_slug = organization
        returning c.id, c.phone_number_id
    )
    select array_agg(g.id),
           array_agg(waha.erased_key('', g.phone_number_id, ''))
      into keys, hashes
      from gone g;

    perform waha.remember(hashes);
    perform waha.notify_workers(keys);

    delete from waha.moved_people m
     where m.organization_slug = organization;

    with gone as (
        delete from waha.api_keys k
         where k.organization_slug = organization
        returning k.id
    )
    select array_agg(g.id) into keys from gone g;

    perform waha.notify_workers(organization || keys);

    delete from waha.locks l
     where l.name in ('sessions of ' || organization,
                      'keys of ' || organization);

    begin
        delete from waha.contacts c
         where c.organization_slug = organization collate "POSIX"
           and c.organization_slug collate "POSIX" >= '';

        delete from waha.traffic_channels t
         where t.organization_slug = organization;

        delete from waha.organizations o
         where o.slug = organization
        returning o.id into number;

        perform waha.notify_workers(array[number::text]);

        set constraints all immediate;

        return true;

    exception
        when integrity_constraint_violation then
            return false;
    end;

exception
    when lock_not_available then
        return null;
end
$$;

comment on function waha.erase_rest(text) is
    'deletes an organization with its sessions, connections, keys, lead '
    'sources and remaining contacts, and remembers the sessions; false: a '
    'key of the CRM forbids it, null: another transaction holds a lock';


create or replace function waha.end_deletion(slug text, what text)
returns waha.reply
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    told  json := json_build_object('complete', true, 'organization', what);
begin
    perform waha.record_audit(slug, 'organization.delete',
                              details => told::jsonb);

    return row(null, told)::waha.reply;
end
$$;

comment on function waha.end_deletion(text, text) is
    'the reply to the deletion of an organization, which was deleted or '
    'emptied, and its row in waha.audit';


create or replace function waha.delete_organization(slug text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own    alias for $1;
    until  timestamptz := clock_timestamp() + interval '300 milliseconds';
    done   boolean;
    kept   boolean := false;
begin
    -- waha.reserve_session takes the same lock: no session is added

    perform waha.lock_name('sessions of ' || own);

    if not exists (select from waha.organizations o where o.slug = own) then
        return row('unknown_organization', null)::waha.reply;
    end if;

    if exists (select
                 from waha.sessions s
                where s.organization_slug = own
                  and s.deleted_at is null)
    then
        return row('sessions_exist', null)::waha.reply;
    end if;

    -- This is committed first: batches must see it and refuse new messages
    -- before the next call deletes anything.

    if waha.set_enabled(own, false) then
        perform waha.record_audit(own, 'organization.delete',
                                  details => '{"complete": false}');

        return row(null, json_build_object('complete', false))::waha.reply;
    end if;

    while clock_timestamp() < until loop
        done := not waha.erase_portion(own);
        exit when done is null;

        if done and kept then
            return waha.end_deletion(own, 'emptied');
        end if;

        kept := done and not waha.erase_rest(own);
        exit when kept is null;

        if done and not kept then
            return waha.end_deletion(own, 'deleted');
        end if;
    end loop;

    perform waha.record_audit(own, 'organization.delete',
                              details => '{"complete": false}',
                              seconds => 3600);

    return row(null, json_build_object('complete', false))::waha.reply;
end
$$;

comment on function waha.delete_organization(text) is
    'disables an organization, then deletes it in portions of a third of a '
    'second: call until complete; codes: unknown_organization, sessions_exist';

grant execute on function waha.erase_contact(text, bigint),
    waha.delete_organization(text)
    to waha_gateway, waha_admin;
