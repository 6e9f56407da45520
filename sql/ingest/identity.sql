-- The identities of contacts: phone numbers, hidden ids, names.  Functions
-- without a search_path of their own are inlined into the statements that
-- use them; they name nothing outside of pg_catalog and waha.

create or replace function waha.phone_key(digits text) returns text
language sql immutable parallel safe
as $$
    -- Left out: in Brazil the ninth digit of mobile numbers (landlines start
    -- with 2 to 5), in Mexico 1 after the country code, in Argentina 9 after
    -- the country code or 15 after the area code.

    select case
           when digits like '55%' then
               case when digits ~ '^55[1-9][1-9]9?[6-9][0-9]{7}$'
                    then pg_catalog.left(digits, 4)
                         || pg_catalog.right(digits, 8)
                    else digits
               end
           when digits like '52%' then
               case when digits ~ '^521[0-9]{10}$'
                    then '52' || pg_catalog.right(digits, 10)
                    else digits
               end
           when digits like '54%' then
               case when digits ~ '^549[0-9]{10}$'
                    then '54' || pg_catalog.right(digits, 10)
                    when digits ~ '^541115[0-9]{8}$'
                    then '5411' || pg_catalog.right(digits, 8)
                    when digits ~ '^54[0-9]{3}15[0-9]{7}$'
                    then pg_catalog.left(digits, 5)
                         || pg_catalog.right(digits, 7)
                    when digits ~ '^54[0-9]{4}15[0-9]{6}$'
                    then pg_catalog.left(digits, 6)
                         || pg_catalog.right(digits, 6)
                    else digits
               end
           else digits
           end
$$;

comment on function waha.phone_key(text) is
    'the same text for all spellings of an international number; digits in, '
    'digits out';


create or replace function waha.first_number(spelled text) returns text
language plpgsql immutable parallel safe
set search_path = waha, pg_temp
as $$
declare
    part    text;
    number  text;
begin
    -- a zero in brackets is dialled within the country only; after these
    -- calling codes, numbers keep it

    if spelled !~ '^[^0-9+]*([+]|00)(39|225|241|242|378)[^0-9]' then
        spelled := regexp_replace(spelled, '[(] *0 *[)]', ' ', 'g');
        spelled := regexp_replace(spelled,
            '^([^0-9+]*([+]|00)[0-9]{1,3} *[(] *)0', E'\\1');
    end if;

    -- a slash separates two numbers, unless what is before it is too short
    -- for one

    foreach part in array coalesce(string_to_array(spelled, '/'), '{}')
    loop
        if number is null then
            number := part;
            continue;
        end if;

        exit when part !~ '^[^0-9+]*[1-9]'
                  or length(ltrim(regexp_replace(number, '[^0-9]', '', 'g'),
                                  '0'))
                     >= (case when number ~ '^[^0-9]*([+]|00)' then 9
                              else 7 end);

        number := number || ' ' || part;
    end loop;

    -- without the words around it, and without an extension

    return (regexp_match(number, E'^[^0-9+]*([+]?[-0-9 ()._'
                         '\t\u00a0\u202f\u2010-\u2015]+)'))[1];
end
$$;

comment on function waha.first_number(text) is
    'the first of several numbers in a text, as it is written; null: none';


create or replace function waha.phone_digits(spelled text, country text)
returns text
language plpgsql immutable parallel safe
set search_path = waha, pg_temp
as $$
declare
    code    text := ltrim(country, '+ 0');
    first   text := waha.first_number(spelled);
    digits  text := regexp_replace(first, '[^0-9]', '', 'g');
begin
    if code !~ '^[1-9][0-9]{0,3}$' then
        code := null;
    end if;

    if first like '+%' then
        null;

    elsif digits like '00%' then
        digits := substr(digits, 3);

    elsif code = '1' and digits like '011%' then
        digits := substr(digits, 4);

    elsif code = '7' and digits ~ '^8[0-9]{10}$' then
        digits := code || substr(digits, 2);

    elsif code is not null then
        if digits like '0%' then
            digits := code || ltrim(digits, '0');

        -- an area code can begin with the digits of the calling code

        elsif digits not like code || '%'
              or length(digits) - length(code)
                 < (case when code in ('7', '55') then 10 else 9 end)
        then
            digits := code || digits;
        end if;
    end if;

    if digits ~ '^[1-9][0-9]{6,14}$' then
        return digits;
    end if;

    return null;
end
$$;

comment on function waha.phone_digits(text, text) is
    'international digits of a number as people write it, or null; country: '
    'calling code for numbers that are written nationally, or null';


create or replace function waha.state_of(phone text) returns text
language sql immutable parallel safe
as $$
    select case
           when phone like '60%' is not true then ''
           when phone like '603%' then 'Selangor'
           when phone like '604%' then 'Penang'
           when phone like '605%' then 'Perak'
           when phone like '606%' then 'Melaka'
           when phone like '607%' then 'Johor'
           when phone like '608%' then 'Johor'
           when phone like '609%' then 'Terengganu/Pahang'
           else ''
           end
$$;

comment on function waha.state_of(text) is
    'state by the area code of a Malaysian number; an empty text for other '
    'numbers';


create or replace function waha.clean_name(name text) returns text
language sql immutable parallel safe
as $$
    select nullif(pg_catalog.left(pg_catalog.btrim(name), 100), '')
$$;

comment on function waha.clean_name(text) is
    'a display name within the bounds of contacts.whatsapp_name, or null';


create or replace function waha.first_name(name text) returns text
language sql immutable parallel safe
as $$
    select case when name is null then 'WhatsApp'
                else pg_catalog.left(pg_catalog.split_part(name, ' ', 1), 50)
           end
$$;

comment on function waha.first_name(text) is
    'first word of a display name; "WhatsApp" without one';


create or replace function waha.last_name(name text) returns text
language sql immutable parallel safe
as $$
    select case when name is null then 'Contact'
                else pg_catalog.left(pg_catalog.btrim(pg_catalog.substr(name,
                     pg_catalog.length(pg_catalog.split_part(name, ' ', 1))
                     + 1)), 50)
           end
$$;

comment on function waha.last_name(text) is
    'the other words of a display name; "Contact" without one';


create or replace function waha.name_is_ours(first text, last text,
    whatsapp_name text) returns boolean
language sql immutable parallel safe
as $$
    select (first, coalesce(last, ''))
           in ((waha.first_name(whatsapp_name),
                waha.last_name(whatsapp_name)),
               ('WhatsApp', 'Contact'))
$$;

comment on function waha.name_is_ours(text, text, text) is
    'whether ingest wrote first and last name; false: a person edited them, '
    'so they stay';


-- Numbers that people typed into contacts become identities that are not
-- proved.  They never replace one that a message proved.

create or replace function waha.add_phone_identities(contacts bigint[])
returns void
language plpgsql
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
    orgs     text[];
    keys     text[];
    ids      bigint[];
    numbers  text[];
    owners   text[];
begin
    select array_agg(t.org), array_agg(t.key), array_agg(t.id),
           array_agg(t.digits)
      into orgs, keys, ids, numbers
      from (select c.organization_slug collate "C" as org,
                   waha.phone_key(d.digits) collate "C" as key, c.id,
                   d.digits
              from unnest(contacts) as u (id)
              join waha.contacts c on c.id = u.id
              join waha.organizations o on o.slug = c.organization_slug
             cross join unnest(array[c.phone_1, c.phone_2, c.phone_3])
                        as p (spelled)
             cross join waha.phone_digits(p.spelled, o.country_code)
                        as d (digits)
             where p.spelled <> ''
               and d.digits is not null
               and c.merged_into is null
             order by 1, 2, c.created_at, c.id) t;

    insert into waha.contact_identities (organization_slug, kind, key,
                                         contact_id, seen, proved)
    select t.org, 'phone', t.key, t.id, t.digits, false
      from unnest(orgs, keys, ids, numbers) as t (org, key, id, digits)
    on conflict do nothing;

    -- contacts that get a number when the contact that has it loses it

    owners := array(
        select distinct c.organization_slug::text
          from unnest(contacts) as u (id)
         cross join lateral (
               select k.organization_slug
                 from waha.contacts k
                where k.id = u.id
                limit 1) c);

    delete from waha.shared_phones s
     where s.organization_slug = any (owners collate "ucs_basic")
       and s.contact_id = any (contacts);

    insert into waha.shared_phones (organization_slug, key, contact_id)
    select t.org, t.key, t.id
      from unnest(orgs, keys, ids) as t (org, key, id)
     where not exists (
           select
             from waha.contact_identities i
            where i.organization_slug = t.org
              and i.kind = 'phone'
              and i.key = t.key
              and i.contact_id = t.id)
    on conflict do nothing;
end
$$;

comment on function waha.add_phone_identities(bigint[]) is
    'stores identities for the numbers that were typed into contacts, unless '
    'another contact has them; of several contacts, the oldest gets a number';


create or replace function waha.reassign_phones(organizations text[])
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    ids  bigint[] := array(
        select s.contact_id
          from waha.shared_phones s
         where s.organization_slug = any (organizations)
           and not exists (
               select
                 from waha.contact_identities i
                where i.organization_slug = s.organization_slug
                  and i.kind = 'phone'
                  and i.key = s.key));
begin
    perform waha.add_phone_identities(ids)
      where ids <> '{}';
end
$$;

comment on function waha.reassign_phones(text[]) is
    'gives numbers that no contact has any more to other contacts that they '
    'were typed into';


create or replace function waha.contacts_added() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    perform waha.add_phone_identities(array_agg(a.id))
       from added a
      where concat(a.phone_1, a.phone_2, a.phone_3) <> ''
     having count(*) > 0;

    return null;

exception
    when others then
        -- the CRM's own write must not fail
        raise log 'waha: no identities for new contacts: %', sqlerrm;
        return null;
end
$$;

comment on function waha.contacts_added() is
    'trigger: stores identities for new contacts of the CRM; never makes its '
    'write fail';


create or replace function waha.contacts_changed() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
declare
    changed  bigint[];
    orgs     text[];
begin
    changed := array(
        select e.id
          from (select o.id, o.organization_slug, o.phone_1, o.phone_2,
                       o.phone_3
                  from were o
                except
                select n.id, n.organization_slug, n.phone_1, n.phone_2,
                       n.phone_3
                  from are n) e);

    if changed = '{}' then
        return null;
    end if;

    -- first all old numbers are released: two contacts may swap theirs

    orgs := array(select distinct o.organization_slug::text from were o);

    delete from waha.contact_identities i
     where i.organization_slug = any (orgs collate "ucs_basic")
       and i.contact_id = any (changed)
       and not i.proved;

    perform waha.add_phone_identities(changed);

    perform waha.reassign_phones(orgs);

    return null;

exception
    when others then
        raise log 'waha: no identities for changed contacts: %', sqlerrm;
        return null;
end
$$;

comment on function waha.contacts_changed() is
    'trigger: updates identities when typed numbers change; those that a '
    'message proved stay; never makes the CRM''s write fail';


create or replace function waha.contacts_deleted() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    perform waha.reassign_phones(array(
        select distinct o.organization_slug::text
          from were o));

    return null;

exception
    when others then
        raise log 'waha: no identities after a deletion: %', sqlerrm;
        return null;
end
$$;

comment on function waha.contacts_deleted() is
    'trigger: gives the numbers of deleted contacts to others that have them; '
    'never makes the CRM''s write fail';


create or replace function waha.contact_moves() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    -- Foreign keys move the identities that remain.  Typed numbers get new
    -- ones after the move; a proved one is dropped where a contact of the
    -- other organization has it.

    delete from waha.contact_identities i
     where i.organization_slug = old.organization_slug collate "POSIX"
       and i.contact_id = old.id
       and (not i.proved
            or exists (
                select
                  from waha.contact_identities k
                 where k.organization_slug = new.organization_slug
                   and k.kind = i.kind
                   and k.key = i.key));

    return new;
end
$$;

comment on function waha.contact_moves() is
    'trigger: removes the identities that a contact cannot take to another '
    'organization';


create or replace function waha.learn_all(organization text default null)
returns void
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    ids  bigint[] := array(
        select c.id
          from waha.contacts c
         where (organization is null or c.organization_slug = organization)
           and c.merged_into is null
           and concat(c.phone_1, c.phone_2, c.phone_3) <> '');
begin
    perform waha.add_phone_identities(ids)
      where ids <> '{}';
end
$$;

comment on function waha.learn_all(text) is
    'stores identities for the typed numbers of all contacts of one '
    'organization, or of all organizations';


create or replace function waha.country_changed() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    delete from waha.contact_identities i
     where i.organization_slug = new.slug
       and i.kind = 'phone'
       and not i.proved;

    perform waha.learn_all(new.slug);

    return null;

exception
    when others then
        raise log 'waha: no identities for the numbers of "%": %', new.slug,
            sqlerrm;
        return null;
end
$$;

comment on function waha.country_changed() is
    'trigger: reads nationally written numbers again when '
    'organizations.country_code changes; never makes the CRM''s write fail';
