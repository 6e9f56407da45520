-- How contacts are renamed, merged and given numbers.

create or replace function waha.with_moving(organization text,
    contact bigint) returns bigint[]
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select contact || array(
            select m.from_id
              from waha.moves m
             where m.organization_slug = organization
               and m.to_id = contact));
end
$$;

comment on function waha.with_moving(text, bigint) is
    'a contact, and the merged ones whose messages it has yet to get';


create or replace function waha.live_of(organization text, contact bigint)
returns bigint
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select coalesce((select m.to_id
                           from waha.moves m
                          where m.organization_slug = organization
                            and m.from_id = contact
                          limit 1), contact));
end
$$;

comment on function waha.live_of(text, bigint) is
    'the contact that gets the messages of another one, or that one itself';


create or replace function waha.channel(organization text) returns bigint
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    channel  bigint;
begin
    -- waha.create_contacts holds the lock of the organization's
    -- channel: it is not created twice

    select t.id into channel
      from waha.traffic_channels t
     where t.organization_slug = organization
       and t.name = 'WhatsApp'
     order by t.id
     limit 1;

    if channel is null then
        insert into waha.traffic_channels as t (organization_slug, name)
            values (organization, 'WhatsApp')
            returning t.id into channel;
    end if;

    return channel;
end
$$;

comment on function waha.channel(text) is
    'the lead source "WhatsApp" of an organization, created on first use';


create or replace function waha.add_phone(organization text, contact bigint,
    phone text) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    update waha.contacts c
       set phone_1 = coalesce(nullif(c.phone_1, ''), '+' || phone),
           phone_2 = case when c.phone_1 <> ''
                          then coalesce(nullif(c.phone_2, ''), '+' || phone)
                          else c.phone_2 end,
           phone_3 = case when c.phone_1 <> '' and c.phone_2 <> ''
                          then coalesce(nullif(c.phone_3, ''), '+' || phone)
                          else c.phone_3 end
      from waha.organizations o
     where c.organization_slug = organization collate "C"
       and c.id = contact
       and o.slug = organization
       and phone is not null
       and not coalesce(waha.phone_key(phone) in (
               waha.phone_key(waha.phone_digits(c.phone_1, o.country_code)),
               waha.phone_key(waha.phone_digits(c.phone_2, o.country_code)),
               waha.phone_key(waha.phone_digits(c.phone_3, o.country_code))),
               false)
       and (coalesce(c.phone_1, '') = '' or coalesce(c.phone_2, '') = ''
            or coalesce(c.phone_3, '') = '');
end
$$;

comment on function waha.add_phone(text, bigint, text) is
    'writes a number into the first empty phone of a contact that does not '
    'have the number';


-- as in waha.count_unread: no plan reads an organization or the CRM's indexes

create or replace function waha.rename_contact(organization text,
    contact bigint, name text, at timestamptz) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    ids  bigint[] := waha.with_moving(organization, contact);
begin
    update waha.contacts c
       set whatsapp_name = rename_contact.name,
           first_name = case when waha.name_is_ours(c.first_name,
                                  c.last_name, c.whatsapp_name)
                             then waha.first_name(rename_contact.name)
                             else c.first_name end,
           last_name = case when waha.name_is_ours(c.first_name,
                                 c.last_name, c.whatsapp_name)
                            then waha.last_name(rename_contact.name)
                            else c.last_name end
     where c.organization_slug = organization collate "C"
       and c.id = contact
       and c.whatsapp_name is distinct from rename_contact.name
       and not exists (
           select
             from unnest(ids) as k (id)
            cross join lateral (
                  select
                    from waha.contact_activities a
                   where a.organization_slug = organization collate "POSIX"
                     and a.contact_id = k.id
                     and a.direction = 'inbound' collate "POSIX"
                     and a.chat = 'person' collate "POSIX"
                     and a.occurred_at >= rename_contact.at
                     and (a.occurred_at > rename_contact.at
                          or a.sender_name collate "C" > rename_contact.name)
                     and a.sender_name is not null
                   order by a.occurred_at desc
                   limit 1) newer);
end
$$;

comment on function waha.rename_contact(text, bigint, text, timestamptz) is
    'stores the display name that a contact had at a time, unless a newer one '
    'is known; first and last name follow unless a person edited them';


create or replace function waha.name_person(organization text,
    contact bigint, name text) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    -- a name in an address book is no better than one that is there

    update waha.contacts c
       set whatsapp_name = name_person.name,
           first_name = waha.first_name(name_person.name),
           last_name = waha.last_name(name_person.name)
     where c.organization_slug = organization collate "C"
       and c.id = contact
       and c.whatsapp_name is null
       and waha.name_is_ours(c.first_name, c.last_name, null)
       and name_person.name is not null;

    return found;
end
$$;

comment on function waha.name_person(text, bigint, text) is
    'gives a contact without a name the one that it has in an address book; '
    'result: whether it had none';


create or replace function waha.move_portion(organization text,
    kept bigint, merged bigint, portion int) returns bigint
language plpgsql
set search_path = waha, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_variable
declare
    n  bigint;
begin
    -- a batch locks messages in another order: this does not wait for one

    with due as materialized (
        select a.id
          from waha.contact_activities a
         where a.organization_slug = organization collate "POSIX"
           and a.contact_id = merged
           and a.message_id is not null
         order by a.occurred_at desc
         limit portion
           for update skip locked
    ), moved as (
        update waha.contact_activities a
           set contact_id = kept
         where a.organization_slug = organization collate "ucs_basic"
           and a.id = any (array(select d.id from due d))
        returning a.id
    ), noted as (
        -- of several merges, the first contact counts
        insert into waha.moved_messages (organization_slug, activity_id,
                                         contact_id)
        select organization, m.id, merged
          from moved m
            on conflict on constraint moved_messages_pkey do nothing
    )
    select count(*) into n from moved;

    return n;
end
$$;

comment on function waha.move_portion(text, bigint, bigint, int) is
    'gives a contact the newest messages and calls of another one; result: '
    'how many';


create or replace function waha.has_messages(organization text,
    contact bigint) returns boolean
language plpgsql
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
    return (
        select exists (
            select
              from waha.contact_activities a
             where a.organization_slug = organization collate "POSIX"
               and a.contact_id = contact
               and a.message_id is not null));
end
$$;

comment on function waha.has_messages(text, bigint) is
    'whether messages or calls are stored for a contact';


create or replace function waha.move_messages(organization text,
    kept bigint, merged bigint) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    most  constant int := 1000;    -- takes some 50 milliseconds
begin
    update waha.moves m
       set to_id = kept
     where m.organization_slug = organization
       and m.to_id = merged;

    -- the rest is moved by waha.maintain; readers look at both meanwhile

    perform waha.move_portion(organization, kept, merged, most);

    if waha.has_messages(organization, merged) then
        insert into waha.moves as m (organization_slug, from_id, to_id)
            values (organization, merged, kept)
            on conflict on constraint moves_pkey
            do update set to_id = kept;
    end if;

    perform waha.move_conversations(organization, kept, merged);
end
$$;

comment on function waha.move_messages(text, bigint, bigint) is
    'gives a contact the conversations and the newest messages and calls of '
    'another one, and notes when there are more';


create or replace function waha.move_rest(portion int) returns bigint
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    m      waha.moves;
    n      bigint;
    total  bigint := 0;
begin
    for m in
        select v.*
          from waha.moves v
         order by v.organization_slug, v.from_id
    loop
        exit when total >= portion;

        -- contacts before activities, as in a batch, but this does not wait
        -- for one: it holds the contacts of several merges

        select count(*) into n
          from (select
                  from waha.contacts c
                 where c.organization_slug = m.organization_slug collate "C"
                   and c.id in (m.from_id, m.to_id)
                 order by c.id
                   for key share skip locked) c;

        continue when n < 2;

        -- another transaction may have merged the other contact meanwhile

        select k.to_id into m.to_id
          from waha.moves k
         where k.organization_slug = m.organization_slug
           and k.from_id = m.from_id
           for update skip locked;

        continue when not found;

        n := waha.move_portion(m.organization_slug, m.to_id, m.from_id,
                               (portion - total)::int);

        if not waha.has_messages(m.organization_slug, m.from_id) then
            delete from waha.moves k
             where k.organization_slug = m.organization_slug
               and k.from_id = m.from_id;
        end if;

        total := total + n;
    end loop;

    return total;
end
$$;

comment on function waha.move_rest(int) is
    'moves messages of merged contacts; result: how many, at most portion';


create or replace function waha.phone_unless_in(phone text, country text,
    keys text[]) returns text
language sql immutable
set search_path = waha, pg_temp
as $$
    select phone
     where (waha.phone_key(waha.phone_digits(phone, country)) = any (keys))
           is not true
$$;

comment on function waha.phone_unless_in(text, text, text[]) is
    'a phone number as it is spelled, or null when its key is one of keys';


create or replace function waha.names_of(c waha.contacts) returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    select jsonb_build_object('first_name', c.first_name,
                              'last_name', c.last_name,
                              'whatsapp_name', c.whatsapp_name,
                              'phone_1', c.phone_1, 'phone_2', c.phone_2,
                              'phone_3', c.phone_3)
$$;

comment on function waha.names_of(waha.contacts) is
    'names and numbers of a contact, for waha.merges';


create or replace function waha.merge_contacts(organization text,
    one bigint, other bigint, evidence jsonb) returns bigint
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    kept      waha.contacts;
    merged    waha.contacts;
    newest    text;
    country   text;
    phone     text;
    has       text[];
    ids       bigint[];
begin
    -- an earlier merge of this batch may have merged either of them

    one := waha.live_contact(organization, one);
    other := waha.live_contact(organization, other);

    if one = other then
        return one;
    end if;

    select c.* into kept
      from waha.contacts c
     where c.organization_slug = organization collate "C"
       and c.id in (one, other)
     order by c.created_at nulls first, c.id
     limit 1;

    select c.* into merged
      from waha.contacts c
     where c.organization_slug = organization collate "C"
       and c.id = one + other - kept.id;

    -- an administrator has taken this merge back: it is not repeated

    if exists (select
                 from waha.merges m
                where m.organization_slug = organization
                  and m.kept_id = kept.id
                  and m.merged_id = merged.id
                  and m.undone_at is not null)
    then
        return one;
    end if;

    insert into waha.merges (organization_slug, kept_id, merged_id, evidence,
                             identities, kept_was, merged_was)
        values (organization, kept.id, merged.id, evidence, array(
                    select i.kind || ' ' || i.key
                      from waha.contact_identities i
                     where i.organization_slug = organization collate "POSIX"
                       and i.contact_id = merged.id
                     order by 1),
                waha.names_of(kept), waha.names_of(merged));

    update waha.contact_identities i
       set contact_id = kept.id
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = merged.id;

    perform waha.move_messages(organization, kept.id, merged.id);

    ids := waha.with_moving(organization, kept.id);

    select n.sender_name into newest
      from unnest(ids) as k (id)
     cross join lateral (
            select a.sender_name, a.occurred_at
              from waha.contact_activities a
             where a.organization_slug = organization collate "POSIX"
               and a.contact_id = k.id
               and a.direction = 'inbound'
               and a.chat = 'person'
               and a.sender_name is not null
             order by a.occurred_at desc, a.sender_name collate "C" desc
             limit 1) n
     order by n.occurred_at desc, n.sender_name collate "C" desc
     limit 1;

    newest := coalesce(newest, kept.whatsapp_name, merged.whatsapp_name);

    if waha.name_is_ours(kept.first_name, kept.last_name, kept.whatsapp_name)
    then
        if waha.name_is_ours(merged.first_name, merged.last_name,
                             merged.whatsapp_name)
        then
            kept.first_name := waha.first_name(newest);
            kept.last_name := waha.last_name(newest);
        else
            kept.first_name := merged.first_name;
            kept.last_name := merged.last_name;
        end if;
    end if;

    update waha.contacts c
       set first_name = kept.first_name,
           last_name = kept.last_name,
           whatsapp_name = newest
     where c.organization_slug = organization collate "C"
       and c.id = kept.id;

    -- The CRM may have a unique key on numbers.  So the merged contact loses
    -- its numbers before the kept one gets them, and afterwards gets back
    -- those that the kept one had no room for.

    update waha.contacts c
       set merged_into = kept.id,
           phone_1 = null,
           phone_2 = null,
           phone_3 = null
     where c.organization_slug = organization collate "C"
       and c.id = merged.id;

    select o.country_code into country
      from waha.organizations o
     where o.slug = organization;

    foreach phone in array array[merged.phone_1, merged.phone_2,
                                 merged.phone_3]
    loop
        perform waha.add_phone(organization, kept.id,
                               waha.phone_digits(phone, country))
          where phone <> '';
    end loop;

    select array_agg(waha.phone_key(waha.phone_digits(p, country)))
      into has
      from waha.contacts c
     cross join unnest(array[c.phone_1, c.phone_2, c.phone_3]) p
     where c.organization_slug = organization collate "C"
       and c.id = kept.id
       and waha.phone_digits(p, country) is not null;

    update waha.contacts c
       set phone_1 = waha.phone_unless_in(merged.phone_1, country, has),
           phone_2 = waha.phone_unless_in(merged.phone_2, country, has),
           phone_3 = waha.phone_unless_in(merged.phone_3, country, has)
     where c.organization_slug = organization collate "C"
       and c.id = merged.id
       and concat(merged.phone_1, merged.phone_2, merged.phone_3) <> '';

    perform waha.on_merge(organization, kept.id, merged.id);

    return kept.id;
end
$$;

comment on function waha.merge_contacts(text, bigint, bigint, jsonb) is
    'merges two contacts of one person: the older one stays and gets what '
    'WhatsApp stored for the other, which is kept with merged_into; evidence: '
    'what shows it, for waha.merges';


create or replace function waha.live_contact(organization text,
    contact bigint) returns bigint
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        with recursive chain as (
            select c.id, c.merged_into, 1 as step
              from waha.contacts c
             where c.organization_slug = organization collate "C"
               and c.id = contact

            union all

            select c.id, c.merged_into, chain.step + 1
              from chain
              join waha.contacts c
                on c.organization_slug = organization collate "C"
               and c.id = chain.merged_into
             where chain.step < 100
        )
        select id from chain order by step desc limit 1);
end
$$;

comment on function waha.live_contact(text, bigint) is
    'the contact that a merged one is now part of, after any number of '
    'merges; a contact that was not merged is its own';


create or replace function waha.complete_merges(organizations text[],
    contacts bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    orgs  text[];
    gone  bigint[];
    live  bigint[];
    r     record;
begin
    select array_agg(s.organization), array_agg(s.contact),
           array_agg(waha.live_contact(s.organization, s.contact))
      into orgs, gone, live
      from (select distinct u.organization, u.contact
              from unnest(organizations, contacts)
                   as u (organization, contact)
             where u.contact is not null) s;

    -- identities before contacts, in the order of a batch

    for r in
        select i.organization_slug, i.kind, i.key, i.contact_id, u.live
          from unnest(orgs, gone, live) as u (organization, contact, live)
          join waha.contact_identities i
            on i.organization_slug = u.organization collate "POSIX"
           and i.contact_id = u.contact
         where u.live <> u.contact
         order by i.organization_slug, i.key, i.kind
    loop
        update waha.contact_identities i
           set contact_id = r.live
         where i.organization_slug = r.organization_slug
           and i.kind = r.kind
           and i.key = r.key
           and i.contact_id = r.contact_id;
    end loop;

    perform
       from (select *
               from unnest(orgs || orgs, gone || live)
                    as k (organization, contact)
              order by k.contact) u
      cross join lateral (
             select
               from waha.contacts k
              where k.organization_slug = u.organization collate "C"
                and k.id = u.contact
                for update) c;

    for n in 1 .. cardinality(orgs) loop
        if waha.live_contact(orgs[n], gone[n]) is distinct from live[n]
           or live[n] is null
        then
            raise serialization_failure
                using message = 'contacts were merged or deleted meanwhile';
        end if;

        if live[n] <> gone[n] then
            perform waha.move_messages(orgs[n], live[n], gone[n]);
        end if;
    end loop;
end
$$;

comment on function waha.complete_merges(text[], bigint[]) is
    'locks contacts and, where the CRM merged one, the contact that it is now '
    'part of, which gets its identities and messages';


-- a hook: the body that the CRM gives it stays

do $$
begin
    if to_regprocedure('waha.on_merge(text, bigint, bigint)') is null then
        create function waha.on_merge(organization text, kept bigint,
            merged bigint) returns void
        language sql
        set search_path = waha, pg_temp
        as 'select';

        comment on function waha.on_merge(text, bigint, bigint) is
            'hook: called after two contacts were merged; replace its body '
            'to move what the CRM itself keeps for the merged one';
    end if;
end
$$;
