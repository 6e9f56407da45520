-- What callers of the API read of one organization.  These functions belong
-- to waha_api: row-level security and the views waha.tenant_* hide all other
-- organizations from them, whatever ids and cursors a request has.  Functions
-- without "security definer" are parts of the others.
--
-- Pages are in the order of an index, and a page begins after the last row of
-- the one before it: rows that are added in between shift nothing.  A page
-- looks at waha.most_read rows at most, whatever is searched.  Plans may be
-- made while tables are still empty, so the settings leave only indexes.
--
-- Statements name the organization beside what finds the rows.  No index has
-- the collation "ucs_basic": the condition only looks at rows that are found.

create or replace function waha.enter_organization(organization text)
returns bigint
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    tenant  bigint;
begin
    -- "true": until the end of the transaction

    perform set_config('waha.organization', organization, true);

    select o.id into tenant
      from waha.tenant_organizations o;

    perform set_config('waha.organization_id', coalesce(tenant::text, ''),
                       true);

    return tenant;
end
$$;

comment on function waha.enter_organization(text) is
    'limits what the transaction reads to one organization; result: its '
    'number, or null';


create or replace function waha.find_session(organization text, session text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    tenant  bigint := waha.enter_organization(organization);
    s       waha.sessions := waha.own_session(organization, session);
    known   timestamptz := greatest(s.status_at, s.checked_at);
begin
    if s.name is null or s.deleted_at is not null then
        return row('unknown_session', null)::waha.reply;
    end if;

    return row(null, json_build_object(
                         'session', waha.session_object(
                             s, waha.primary_session(organization)),
                         'instance', s.instance,
                         'stuck', waha.is_stuck(s),
                         'age', case when known is not null
                             then greatest(0, floor(extract(epoch from
                                                            now() - known)))
                             end,
                         'organization_id', tenant))::waha.reply;
end
$$;

comment on function waha.find_session(text, text) is
    'a session by WAHA''s name or the caller''s id, null: the primary one; '
    'age: seconds since its state was known; stuck: see waha.is_stuck; codes: '
    'unknown_session';


create or replace function waha.list_sessions(organization text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    main      text;
    s         waha.sessions;
    sessions  json[] := '{}';
begin
    if waha.enter_organization(organization) is null then
        return row('unknown_organization', null)::waha.reply;
    end if;

    main := waha.primary_session(organization);

    for s in
        select k.*
          from waha.sessions k
         where k.organization_slug = organization
           and k.deleted_at is null
         order by k.name is distinct from main, k.created_at, k.name
    loop
        sessions := sessions || waha.session_object(s, main);
    end loop;

    return row(null, json_build_object('sessions', to_json(sessions))
              )::waha.reply;
end
$$;

comment on function waha.list_sessions(text) is
    'sessions of an organization, the primary one first; codes: '
    'unknown_organization';


create or replace function waha.list_audit(organization text, after text,
    size int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    n       int := waha.page_size(size);
    place   bigint := 9223372036854775807;
    tenant  bigint;
    data    json;
begin
    if after is not null then
        place := waha.id_of(waha.from_cursor(after));
    end if;

    if place is null or n is null then
        return waha.refuse_page(size);
    end if;

    tenant := waha.enter_organization(organization);

    if tenant is null then
        return row('unknown_organization', null)::waha.reply;
    end if;

    select json_build_object(
               'audit', coalesce(json_agg(json_build_object(
                       'id', p.id,
                       'at', waha.rfc3339(p.at),
                       'principal', p.principal,
                       'name', p.name,
                       'operator', p.operator,
                       'operation', p.operation,
                       'session', p.session_name,
                       'contact_id', p.contact_id,
                       'details', p.details) order by p.pos)
                           filter (where p.pos <= n), '[]'),
               'next', case when count(*) > n then waha.to_cursor(
                   (min(p.id) filter (where p.pos <= n))::text) end)
      into data
      from (select a.*, row_number() over () as pos
              from (select k.*
                      from waha.audit k
                     where k.organization_id = any (array[tenant])
                       and k.id < place
                     order by k.organization_id desc, k.id desc
                     limit n + 1) a) p;

    return row(null, data)::waha.reply;
end
$$;

comment on function waha.list_audit(text, text, int) is
    'rows of waha.audit of an organization, newest first; codes: '
    'unknown_organization, invalid_argument';


create or replace function waha.contact_object(c waha.tenant_contacts)
returns json
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return json_build_object(
               'id', c.id,
               'first_name', c.first_name,
               'last_name', c.last_name,
               'phone_1', c.phone_1,
               'phone_2', c.phone_2,
               'phone_3', c.phone_3,
               'name', c.whatsapp_name,
               'contact_type', c.contact_type,
               'state', c.state,
               'identities', (
                   select coalesce(json_agg(json_build_object(
                                       'kind', i.kind,
                                       'value', case when i.kind = 'phone'
                                           then '+' || i.seen
                                           else i.seen end,
                                       'proved', i.proved)
                                   order by i.kind desc, i.key), '[]')
                     from waha.contact_identities i
                    where i.organization_slug
                          = c.organization_slug collate "ucs_basic"
                      and i.contact_id = c.id),
               'merged_into', c.merged_into,
               'created_at', waha.rfc3339(c.created_at));
end
$$;

comment on function waha.contact_object(waha.tenant_contacts) is
    'a contact as the API shows it';


create or replace function waha.live_tenant_contact(organization text,
    contact bigint) returns bigint
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
    return (
        with recursive chain as (
            select c.id, c.merged_into, 1 as step
              from waha.tenant_contacts c
             where c.organization_slug = organization collate "ucs_basic"
               and c.id = contact

            union all

            select c.id, c.merged_into, chain.step + 1
              from chain
             cross join lateral (
                   select k.id, k.merged_into
                     from waha.api_contacts k
                    where k.organization_slug
                          = organization collate "ucs_basic"
                      and k.id = chain.merged_into
                    limit 1) c
             where chain.step < 100
        )
        select id from chain order by step desc limit 1);
end
$$;

comment on function waha.live_tenant_contact(text, bigint) is
    'the contact that a merged one is now part of, after any number of '
    'merges; a contact that was not merged is its own';


create or replace function waha.find_contact(organization text,
    contact bigint) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    c     waha.tenant_contacts;
    live  bigint;
begin
    perform waha.enter_organization(organization);

    live := waha.live_tenant_contact(organization, contact);

    select t.* into c
      from waha.tenant_contacts t
     where t.organization_slug = organization collate "ucs_basic"
       and t.id = live;

    if not found then
        return row('unknown_contact', null)::waha.reply;
    end if;

    return row(null, waha.contact_object(c))::waha.reply;
end
$$;

comment on function waha.find_contact(text, bigint) is
    'a contact; for a merged one the contact that it is now part of; codes: '
    'unknown_contact';


create or replace function waha.number_prefix(search text, country text)
returns text
language sql immutable
set search_path = waha, pg_temp
as $$
    select waha.phone_key(case
               when search like '+%' then digits
               when digits like '00%' then substr(digits, 3)
               when digits like '0%' then ltrim(country, '+ 0')
                                          || ltrim(digits, '0')
               else digits end)
      from regexp_replace(search, '[^0-9]', '', 'g') as d (digits)
     where search ~ '^[+(]?[0-9][-0-9 ()./]*$'
$$;

comment on function waha.number_prefix(text, text) is
    'the digits with which the key of a number begins that somebody looks '
    'for, or null; country: calling code for national numbers, or null';


create or replace function waha.contacts_by_number(organization text,
    prefix text, after text, most int,
    out contacts waha.tenant_contacts[], out places text[])
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
begin
    select coalesce(array_agg(f.contact order by f.key), '{}'),
           coalesce(array_agg('#' || f.key order by f.key), '{}')
      into contacts, places
      from (select row(c.*)::waha.tenant_contacts as contact, i.key
              from waha.contact_identities i
              join waha.api_contacts c
                on c.organization_slug = organization collate "ucs_basic"
               and c.id = i.contact_id
             where i.organization_slug = organization
               and i.kind = 'phone'
               and i.key >= prefix collate "C"
               and i.key < prefix || ':' collate "C"
               and i.key > after collate "C"
               and c.merged_into is null
               -- with several numbers, the contact is at the first one
               and not exists (
                   select
                     from waha.contact_identities j
                    where j.organization_slug = organization
                      and j.contact_id = i.contact_id
                      and j.kind = 'phone'
                      and j.key >= prefix collate "C"
                      and j.key < i.key)
             order by i.key
             limit most) f;
end
$$;

comment on function waha.contacts_by_number(text, text, text, int) is
    'contacts with a number that begins with a prefix, after another number, '
    'in the order of numbers; most: at most so many';


create or replace function waha.contacts_by_text(organization text,
    below bigint, words text, digits text, prefix text, most int,
    out contacts waha.tenant_contacts[], out places text[])
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
begin
    select coalesce(array_agg(f.contact order by (f.contact).id desc), '{}'),
           coalesce(array_agg((f.contact).id::text
                              order by (f.contact).id desc), '{}')
      into contacts, places
      from (select k.contact
              from (select row(c.*)::waha.tenant_contacts as contact
                      from waha.api_contacts c
                     where c.organization_slug
                           = organization collate "ucs_basic"
                       and c.id < below
                     order by c.organization_slug collate "POSIX" desc,
                              c.id desc
                     limit waha.most_read()) k
             where (k.contact).merged_into is null
               and (words is null
                    or lower(concat_ws(' ', (k.contact).first_name,
                                       (k.contact).last_name,
                                       (k.contact).whatsapp_name)) like words
                    or regexp_replace(concat_ws(',', (k.contact).phone_1,
                                                (k.contact).phone_2,
                                                (k.contact).phone_3),
                                      '[^0-9,]', '', 'g') like digits)
               and (prefix is null
                    or not exists (
                       select
                         from waha.contact_identities i
                        where i.organization_slug
                              = organization collate "ucs_basic"
                          and i.contact_id = (k.contact).id
                          and i.kind = 'phone'
                          and i.key >= prefix collate "C"
                          and i.key < prefix || ':' collate "C"))
             limit most) f;
end
$$;

comment on function
    waha.contacts_by_text(text, bigint, text, text, text, int) is
    'contacts among the waha.most_read newest ones below an id, newest first: '
    'words, digits: only those with such a name or number, prefix: only those '
    'that contacts_by_number does not find; most: at most so many';


create or replace function waha.list_contacts(organization text, search text,
    after text, size int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    n         int := waha.page_size(size);
    place     text := waha.from_cursor(after);
    number    text := case when place is null then ''
                           else substring(place from '^#([0-9]*)$') end;
    below     bigint := case when number is null then waha.id_of(place)
                             else 9223372036854775807 end;
    words     text := '%' || replace(replace(replace(lower(search),
                          '\', '\\'), '%', '\%'), '_', '\_') || '%';
    digits    text := case when search ~ '^[-0-9 +()./]*$' then '%' || nullif(
                          regexp_replace(search, '[^0-9]', '', 'g'), '')
                          || '%' end;
    contacts  waha.tenant_contacts[] := '{}';
    places    text[] := '{}';
    prefix    text;
    more      record;
    edge      bigint;   -- where a search ends that is cut
begin
    if n is null or after is not null and place is null or below is null then
        return waha.refuse_page(size);
    end if;

    if waha.enter_organization(organization) is null then
        return row('unknown_organization', null)::waha.reply;
    end if;

    prefix := waha.number_prefix(search, (select o.country_code
                                            from waha.tenant_organizations o));

    if prefix is not null and number is not null then
        select * into contacts, places
          from waha.contacts_by_number(organization, prefix, number, n + 1);
    end if;

    if cardinality(places) <= n then
        select * into more
          from waha.contacts_by_text(organization, below, words, digits,
                                     prefix, n + 1 - cardinality(places));

        contacts := contacts || more.contacts;
        places := places || more.places;
    end if;

    if cardinality(places) <= n then
        select c.id into edge
          from waha.api_contacts c
         where c.organization_slug = organization collate "ucs_basic"
           and c.id < below
         order by c.organization_slug collate "POSIX" desc, c.id desc
        offset waha.most_read() - 1
         limit 1;
    end if;

    return row(null, json_build_object(
                         'contacts', (
                             select coalesce(json_agg(
                                        waha.contact_object(contacts[k])
                                        order by k), '[]')
                               from generate_series(1, least(n,
                                        cardinality(places))) as k),
                         'next', waha.to_cursor(
                             case when cardinality(places) > n then places[n]
                                  else edge::text end),
                         'cut', edge is not null))::waha.reply;
end
$$;

comment on function waha.list_contacts(text, text, text, int) is
    'contacts that were not merged into another one, newest first; search: '
    'part of a name or number, those first whose number begins with it; cut: '
    'the page ends where waha.most_read were looked at, next goes on there; '
    'codes: unknown_organization, invalid_argument';


create or replace function waha.activity_object(
    a waha.tenant_contact_activities) returns json
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    known  record;
begin
    select m.status, m.details into known
      from waha.message_states m
     where m.organization_slug = a.organization_slug
       and m.session_name = a.session_name
       and m.message_id = a.message_id;

    return json_build_object(
               'id', a.id,
               'contact_id', a.contact_id,
               'type', a.activity_type,
               'direction', a.direction,
               'text', a.message_content,
               'message_type', a.message_type,
               'session', a.session_name,
               'message_id', a.message_id,
               'sender_name', a.sender_name,
               'occurred_at', waha.rfc3339(coalesce(a.occurred_at,
                                                    a.created_at)),
               'created_at', waha.rfc3339(coalesce(a.created_at,
                                                   a.occurred_at)),
               'status', known.status,
               'metadata', case when known.details is null
                   then waha.public_metadata(a.metadata, a.id,
                                             a.session_name)
                   else coalesce(waha.public_metadata(a.metadata, a.id,
                                                      a.session_name), '{}')
                        || jsonb_build_object('status_details',
                                              known.details) end);
end
$$;

comment on function waha.activity_object(waha.tenant_contact_activities) is
    'an activity as the API shows it';


create or replace function waha.activity_cursor(at timestamptz, id bigint)
returns text
language sql stable
set search_path = waha, pg_temp
as $$
    select waha.to_cursor(coalesce(waha.microseconds(at)::text, '')
                          || ',' || id)
$$;

comment on function waha.activity_cursor(timestamptz, bigint) is
    'the place after an activity in the list of its contact, by its time and '
    'id';


create or replace function waha.activities_after(organization text,
    contact bigint, place text, type text, session text, chat text, most int)
returns setof waha.tenant_contact_activities
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
    parts  text[] := regexp_match(place, '^(-?[0-9]{1,17}|),([0-9]{1,18})$');
    at     timestamptz := 'infinity';
    below  bigint := 9223372036854775807;
    had    int := 0;
    own    boolean;
    ids    bigint[];    -- merged contacts whose messages are being moved
begin
    own := not exists (select
                         from waha.moves m
                        where m.organization_slug = organization
                          and m.from_id = contact);
    ids := array(select m.from_id
                   from waha.moves m
                  where m.organization_slug = organization
                    and m.to_id = contact);

    if parts[1] <> '' then
        at := waha.time_of(parts[1]);
        below := parts[2]::bigint;
    end if;

    if parts[1] = '' then
        below := parts[2]::bigint;
    else
        return query
            select a.*
              from unnest(contact || ids) as k (id)
             cross join lateral (
                    select (v.found).*
                      from (select t as found
                              from waha.api_contact_activities t
                             where t.organization_slug
                                   = organization collate "ucs_basic"
                               and t.contact_id = k.id
                               and case when k.id <> contact
                                        then t.message_id is not null
                                        else own or t.message_id is null end
                               and (t.occurred_at, t.id) < (at, below)
                             order by t.occurred_at desc, t.id desc
                             limit waha.most_read()) v
                     where (type is null or (v.found).activity_type = type)
                       and (session is null
                            or (v.found).session_name = session)
                       and (chat is null or (v.found).chat = chat)
                     limit most) a
             order by a.occurred_at desc, a.id desc
             limit most;

        get diagnostics had = row_count;
        below := 9223372036854775807;
    end if;

    -- rows without a time come last: the CRM had them before this schema

    if had < most then
        return query
            select (v.found).*
              from (select t as found
                      from waha.api_contact_activities t
                     where t.organization_slug
                           = organization collate "ucs_basic"
                       and t.contact_id = contact
                       and t.occurred_at is null
                       and t.id < below
                     order by t.occurred_at desc, t.id desc
                     limit waha.most_read()) v
             where (type is null or (v.found).activity_type = type)
               and (session is null or (v.found).session_name = session)
               and (chat is null or (v.found).chat = chat)
             limit most - had;
    end if;
end
$$;

comment on function waha.activities_after(
    text, bigint, text, text, text, text, int) is
    'activities of a contact after a place, newest first; type, session, '
    'chat: only these, among the next waha.most_read ones; most: at most so '
    'many';


create or replace function waha.activities_edge(organization text,
    contact bigint, place text, out at timestamptz, out id bigint)
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
    parts  text[] := regexp_match(place, '^(-?[0-9]{1,17}|),([0-9]{1,18})$');
    since  timestamptz := 'infinity';
    below  bigint := 9223372036854775807;
begin
    if parts is not null then
        since := waha.time_of(nullif(parts[1], ''));
        below := parts[2]::bigint;
    end if;

    if since is not null then
        select e.occurred_at, e.id into activities_edge.at, activities_edge.id
          from unnest(contact || array(
                          select m.from_id
                            from waha.moves m
                           where m.organization_slug = organization
                             and m.to_id = contact)) as k (id)
         cross join lateral (
                select t.occurred_at, t.id
                  from waha.api_contact_activities t
                 where t.organization_slug = organization collate "ucs_basic"
                   and t.contact_id = k.id
                   and (t.occurred_at, t.id) < (since, below)
                 order by t.occurred_at desc, t.id desc
                offset waha.most_read() - 1
                 limit 1) e
         order by e.occurred_at desc, e.id desc
         limit 1;

        below := 9223372036854775807;
    end if;

    if activities_edge.id is null then
        select t.id into activities_edge.id
          from waha.api_contact_activities t
         where t.organization_slug = organization collate "ucs_basic"
           and t.contact_id = contact
           and t.occurred_at is null
           and t.id < below
         order by t.occurred_at desc, t.id desc
        offset waha.most_read() - 1
         limit 1;
    end if;
end
$$;

comment on function waha.activities_edge(text, bigint, text) is
    'time and id of the last activity that waha.activities_after looks at, or '
    'null: it looks at all that there are; null as the time: one of the last, '
    'which have no time';


create or replace function waha.activity_page(name text, organization text,
    contact bigint, after text, type text, session text, chat text, skip int,
    size int) returns waha.reply
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    n      int := waha.page_size(size);
    place  text := waha.from_cursor(after);
    found  waha.tenant_contact_activities[];
    edge   record;
    next   text;
begin
    if n is null
       or after is not null
          and (place ~ '^(-?[0-9]{1,17}|),[0-9]{1,18}$') is not true
    then
        return waha.refuse_page(size);
    end if;

    if coalesce(skip, 0) not between 0 and 1000 then
        return waha.refuse_argument('skip',
                   'up to 1000 activities are skipped: use "after"');
    end if;

    found := array(
        select a
          from waha.activities_after(organization, contact, place, type,
                                     session, chat,
                                     n + 1 + coalesce(skip, 0)) a);

    select null::timestamptz as at, null::bigint as id into edge;

    if coalesce(type, session, chat) is not null
       and (cardinality(found) <= n + coalesce(skip, 0)
            or exists (select
                         from waha.moves m
                        where m.organization_slug = organization
                          and m.to_id = contact))
    then
        select * into edge
          from waha.activities_edge(organization, contact, place);
    end if;

    -- messages of merged contacts may come before the edge of another one

    if edge.id is not null then
        found := array(
            select f
              from unnest(found) f
             where coalesce(f.occurred_at, '-infinity')
                   > coalesce(edge.at, '-infinity')
                or f.occurred_at is not distinct from edge.at
                   and f.id >= edge.id);
    end if;

    found := found[coalesce(skip, 0) + 1:];

    if cardinality(found) > n then
        next := waha.activity_cursor((found[n]).occurred_at, (found[n]).id);

    elsif edge.id is not null then
        next := waha.activity_cursor(edge.at, edge.id);
    end if;

    return row(null, json_build_object(
                         name, (
                             select coalesce(json_agg(
                                        waha.activity_object(found[k])
                                        order by k), '[]')
                               from generate_series(1, least(n,
                                        cardinality(found))) as k),
                         'next', next,
                         'cut', cardinality(found) <= n
                                and edge.id is not null))::waha.reply;
end
$$;

comment on function waha.activity_page(
    text, text, bigint, text, text, text, text, int, int) is
    'a page of activities; name: member of the answer that holds them; cut: '
    'the page ends where waha.most_read were looked at, next goes on there; '
    'codes: invalid_argument';


create or replace function waha.list_activities(organization text,
    contact bigint, type text, session text, after text, skip int, size int)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    live  bigint;
begin
    perform waha.enter_organization(organization);

    live := waha.live_tenant_contact(organization, contact);

    if live is null then
        return row('unknown_contact', null)::waha.reply;
    end if;

    return waha.activity_page('activities', organization, live, after, type,
                              session, null, skip, size);
end
$$;

comment on function waha.list_activities(
    text, bigint, text, text, text, int, int) is
    'activities of a contact, newest first; type, session: only these; skip: '
    'leaves out so many; codes: unknown_contact, invalid_argument';


create or replace function waha.activity_row(organization text, shown json)
returns json
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    return (
        select json_build_object(
                   'id', shown->'id',
                   'contact_id', shown->'contact_id',
                   'organization_slug', n.organization_slug,
                   'activity_type', shown->'type',
                   'direction', shown->'direction',
                   'message_content', shown->'text',
                   'subject', n.subject,
                   'metadata', shown->'metadata',
                   'created_at', shown->'created_at',
                   'created_by', n.created_by,
                   'occurred_at', shown->'occurred_at',
                   'session_name', shown->'session',
                   'message_id', shown->'message_id',
                   'message_type', shown->'message_type',
                   'sender_name', shown->'sender_name',
                   'status', shown->'status')
          from (select) as always
          left join waha.tenant_activity_notes n
            on n.organization_slug = organization collate "ucs_basic"
           and n.id = (shown->>'id')::bigint);
end
$$;

comment on function waha.activity_row(text, json) is
    'an activity of waha.activity_object under the names of its columns in '
    'the table, with those that only the CRM writes';


create or replace function waha.list_activity_rows(organization text,
    contact bigint, type text, session text, after text, skip int, size int)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    r  waha.reply := waha.list_activities(organization, contact, type,
                                          session, after, skip, size);
begin
    if r.data->>'argument' = 'skip' then
        return waha.refuse_argument('offset', r.data->>'reason');
    end if;

    if r.code is not null then
        return r;
    end if;

    return row(null, json_build_object(
               'data', (
                   select coalesce(json_agg(waha.activity_row(organization,
                                                              e.shown)
                                            order by e.pos), '[]')
                     from json_array_elements(r.data->'activities')
                          with ordinality as e (shown, pos)),
               'next', r.data->'next',
               'cut', r.data->'cut'))::waha.reply;
end
$$;

comment on function waha.list_activity_rows(
    text, bigint, text, text, text, int, int) is
    'the same as list_activities under the names of the table''s columns; '
    'data: the activities; codes: unknown_contact, invalid_argument';


create or replace function waha.conversation_object(v waha.conversations)
returns json
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    c  waha.tenant_contacts;
begin
    select k.* into c
      from waha.tenant_contacts k
     where k.organization_slug = v.organization_slug collate "ucs_basic"
       and k.id = v.contact_id;

    return json_build_object(
               'id', v.contact_id || '-' || v.session_name,
               'contact_id', v.contact_id,
               'session', v.session_name,
               'first_name', c.first_name,
               'last_name', c.last_name,
               'name', c.whatsapp_name,
               'phone', c.phone_1,
               'last_message', v.last_message,
               'last_message_at', waha.rfc3339(v.last_message_at),
               'last_message_id', v.last_message_id,
               'last_direction', v.last_direction,
               'unread_count', greatest(v.unread_count, 0),
               'unread_since', waha.rfc3339(v.unread_since),
               'read_at', waha.rfc3339(v.read_at));
end
$$;

comment on function waha.conversation_object(waha.conversations) is
    'a conversation as the API shows it';


create or replace function waha.list_conversations(organization text,
    session text, unread boolean, after text, size int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
    n          int := waha.page_size(size);
    parts      text[] := regexp_match(waha.from_cursor(after),
                             '^(-?[0-9]{1,17}),([0-9]{1,18}),(.*)$');
    at         timestamptz := 'infinity';
    below      bigint := 9223372036854775807;
    name       text := coalesce(parts[3], '');
    selective  boolean := session is not null or coalesce(unread, false);
    found      waha.conversations[];
    last       waha.conversations;  -- that is shown, or was looked at
begin
    if n is null or after is not null and parts is null then
        return waha.refuse_page(size);
    end if;

    if after is not null then
        at := waha.time_of(parts[1]);
        below := parts[2]::bigint;
    end if;

    if waha.enter_organization(organization) is null then
        return row('unknown_organization', null)::waha.reply;
    end if;

    found := array(
        select k.looked
          from (select v as looked
                  from waha.conversations v
                 where v.organization_slug = organization collate "POSIX"
                   and v.last_day <= (at at time zone 'UTC')::date
                   and (v.last_message_at, v.contact_id, v.session_name)
                       < (at, below, name)
                 order by v.last_day desc, v.last_message_at desc,
                          v.contact_id desc, v.session_name desc
                 limit case when selective then waha.most_read()
                            else n + 1 end) k
         where (session is null or (k.looked).session_name = session)
           and (unread is not true or (k.looked).unread_count > 0)
         limit n + 1);

    if cardinality(found) > n then
        last := found[n];

    elsif selective then
        select v.* into last
          from waha.conversations v
         where v.organization_slug = organization collate "POSIX"
           and v.last_day <= (at at time zone 'UTC')::date
           and (v.last_message_at, v.contact_id, v.session_name)
               < (at, below, name)
         order by v.last_day desc, v.last_message_at desc,
                  v.contact_id desc, v.session_name desc
        offset waha.most_read() - 1
         limit 1;
    end if;

    return row(null, json_build_object(
                         'conversations', (
                             select coalesce(json_agg(
                                        waha.conversation_object(found[k])
                                        order by k), '[]')
                               from generate_series(1, least(n,
                                        cardinality(found))) as k),
                         'next', waha.to_cursor(
                             waha.microseconds(last.last_message_at)
                             || ',' || last.contact_id
                             || ',' || last.session_name),
                         'cut', cardinality(found) <= n
                                and last.contact_id is not null))::waha.reply;
end
$$;

comment on function waha.list_conversations(text, text, boolean, text, int) is
    'conversations, newest first; session: only of this one, unread: only '
    'those with unread messages; cut: the page ends where waha.most_read were '
    'looked at, next goes on there; codes: unknown_organization, '
    'invalid_argument';


create or replace function waha.own_conversation(organization text,
    conversation text) returns waha.conversations
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    parts  text[] := regexp_match(conversation, '^([1-9][0-9]{0,17})-(.+)$');
    live   bigint;
    found  waha.conversations;
begin
    live := waha.live_tenant_contact(organization, parts[1]::bigint);

    select v.* into found
      from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = live
       and v.session_name = parts[2];

    return found;
end
$$;

comment on function waha.own_conversation(text, text) is
    'a conversation by its id: contact and session with "-" between them';


create or replace function waha.list_messages(organization text,
    conversation text, after text, size int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
    v  waha.conversations;
begin
    perform waha.enter_organization(organization);

    v := waha.own_conversation(organization, conversation);

    if v.contact_id is null then
        return row('unknown_conversation', null)::waha.reply;
    end if;

    return waha.activity_page('messages', organization, v.contact_id, after,
                              'whatsapp_message', v.session_name, 'person',
                              0, size);
end
$$;

comment on function waha.list_messages(text, text, text, int) is
    'messages of a conversation, newest first; codes: unknown_conversation, '
    'invalid_argument';


create or replace function waha.find_conversation(organization text,
    conversation text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
    v  waha.conversations;
begin
    perform waha.enter_organization(organization);

    v := waha.own_conversation(organization, conversation);

    if v.contact_id is null then
        return row('unknown_conversation', null)::waha.reply;
    end if;

    return row(null, waha.conversation_object(v))::waha.reply;
end
$$;

comment on function waha.find_conversation(text, text) is
    'a conversation; codes: unknown_conversation';


create or replace function waha.find_media(organization text,
    activity bigint) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    a         waha.tenant_contact_activities;
    instance  text;
    provider  text;
    url       text;
    media     text;    -- Meta's id of the file
begin
    perform waha.enter_organization(organization);

    select t.* into a
      from waha.tenant_contact_activities t
     where t.organization_slug = organization collate "ucs_basic"
       and t.id = activity;

    if not found then
        return row('unknown_activity', null)::waha.reply;
    end if;

    select s.instance, s.provider into instance, provider
      from waha.sessions s
     where s.name = a.session_name;

    if provider = 'meta' then
        media := a.metadata->'media'->>'id';
    else
        url := coalesce(a.metadata->>'media_url',
                        a.metadata->'media'->>'url');
    end if;

    if coalesce(media, url) is null or a.session_name is null then
        return row('no_media', null)::waha.reply;
    end if;

    return row(null, json_build_object(
                         'provider', provider,
                         'instance', instance,
                         'session', a.session_name,
                         'url', url,
                         'media', media,
                         'mimetype', a.metadata->'media'->>'mimetype',
                         'filename', a.metadata->'media'->>'filename')
              )::waha.reply;
end
$$;

comment on function waha.find_media(text, bigint) is
    'where the provider keeps the file of a message: WAHA''s url, or Meta''s '
    'id of the media; codes: unknown_activity, no_media';

grant execute on function waha.find_session(text, text),
    waha.list_sessions(text), waha.find_contact(text, bigint),
    waha.list_audit(text, text, int),
    waha.list_contacts(text, text, text, int),
    waha.list_activities(text, bigint, text, text, text, int, int),
    waha.list_activity_rows(text, bigint, text, text, text, int, int),
    waha.list_conversations(text, text, boolean, text, int),
    waha.list_messages(text, text, text, int),
    waha.find_media(text, bigint)
    to waha_gateway;

grant execute on function waha.find_session(text, text),
    waha.find_conversation(text, text)
    to waha_owner;
