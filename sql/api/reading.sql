-- What callers of the API read of one organization.  These functions belong
-- to waha_api: row-level security and the views waha.tenant_* hide all other
-- organizations from them, whatever ids and cursors a request has.  Functions
-- without "security definer" are parts of the others.
--
-- Pages are in the order of an index, and a page begins after the last row of
-- the one before it: rows that are added in between shift nothing.  Plans may
-- be made while tables are still empty, so the settings leave only indexes.

create or replace function waha.enter_organization(organization text)
returns bigint
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    -- "true": until the end of the transaction

    perform set_config('waha.organization', organization, true);

    return (select o.id from waha.tenant_organizations o);
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
                         'age', case when known is not null
                             then greatest(0, floor(extract(epoch from
                                                            now() - known)))
                             end,
                         'organization_id', tenant))::waha.reply;
end
$$;

comment on function waha.find_session(text, text) is
    'a session by WAHA''s name or the caller''s id, null: the primary one; '
    'age: seconds since its state was known; codes: unknown_session';


create or replace function waha.list_sessions(organization text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    main  text;
begin
    if waha.enter_organization(organization) is null then
        return row('unknown_organization', null)::waha.reply;
    end if;

    main := waha.primary_session(organization);

    return row(null, json_build_object('sessions', (
        select coalesce(json_agg(waha.session_object(s, main)
                                 order by s.name is distinct from main,
                                          s.created_at, s.name), '[]')
          from waha.sessions s
         where s.organization_slug = organization
           and s.deleted_at is null)))::waha.reply;
end
$$;

comment on function waha.list_sessions(text) is
    'sessions of an organization, the primary one first; codes: '
    'unknown_organization';


create or replace function waha.contact_object(c waha.tenant_contacts)
returns json
language sql stable
set search_path = waha, pg_temp
as $$
    select json_build_object(
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
                                       'value', case i.kind when 'phone'
                                           then '+' || i.seen
                                           else i.seen end,
                                       'proved', i.proved)
                                   order by i.kind desc, i.key), '[]')
                     from waha.contact_identities i
                    where i.contact_id = c.id),
               'merged_into', c.merged_into,
               'created_at', waha.rfc3339(c.created_at))
$$;

comment on function waha.contact_object(waha.tenant_contacts) is
    'a contact as the API shows it';


create or replace function waha.live_tenant_contact(contact bigint)
returns bigint
language sql stable
set search_path = waha, pg_temp
as $$
    with recursive chain as (
        select c.id, c.merged_into, 1 as step
          from waha.tenant_contacts c
         where c.id = contact

        union all

        select c.id, c.merged_into, chain.step + 1
          from chain
          join waha.tenant_contacts c on c.id = chain.merged_into
         where chain.step < 100
    )
    select id from chain order by step desc limit 1
$$;

comment on function waha.live_tenant_contact(bigint) is
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
    c  waha.tenant_contacts;
begin
    perform waha.enter_organization(organization);

    select t.* into c
      from waha.tenant_contacts t
     where t.id = waha.live_tenant_contact(contact);

    if not found then
        return row('unknown_contact', null)::waha.reply;
    end if;

    return row(null, waha.contact_object(c))::waha.reply;
end
$$;

comment on function waha.find_contact(text, bigint) is
    'a contact; for a merged one the contact that it is now part of; codes: '
    'unknown_contact';


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
    n      int := waha.page_size(size);
    place  bigint := 9223372036854775807;
    words  text := '%' || replace(replace(replace(lower(search),
                       '\', '\\'), '%', '\%'), '_', '\_') || '%';
    digits text := '%' || nullif(regexp_replace(search, '[^0-9]', '', 'g'),
                                 '') || '%';
    data   json;
begin
    if after is not null then
        place := waha.id_of(waha.from_cursor(after));
    end if;

    if place is null or n is null then
        return waha.refuse_page(size);
    end if;

    if waha.enter_organization(organization) is null then
        return row('unknown_organization', null)::waha.reply;
    end if;

    select json_build_object(
               'contacts', coalesce(json_agg(waha.contact_object(p.contact)
                                             order by p.pos)
                                        filter (where p.pos <= n), '[]'),
               'next', case when count(*) > n then waha.to_cursor(
                   (min((p.contact).id) filter (where p.pos <= n))::text)
                   end)
      into data
      from (select c.contact, row_number() over () as pos
              from (select c as contact
                      from waha.tenant_contacts c
                     where c.id < place
                       and c.merged_into is null
                       and (words is null
                            or lower(concat_ws(' ', c.first_name,
                                               c.last_name,
                                               c.whatsapp_name))
                               like words
                            or regexp_replace(concat_ws(',', c.phone_1,
                                                        c.phone_2,
                                                        c.phone_3),
                                              '[^0-9,]', '', 'g')
                               like digits)
                     order by c.id desc
                     limit n + 1) c) p;

    return row(null, data)::waha.reply;
end
$$;

comment on function waha.list_contacts(text, text, text, int) is
    'contacts that were not merged into another one, newest first; search: '
    'part of a name or number; codes: unknown_organization, invalid_argument';


create or replace function waha.activity_object(
    a waha.tenant_contact_activities) returns json
language sql stable
set search_path = waha, pg_temp
as $$
    select json_build_object(
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
               'status', (
                   select m.status
                     from waha.message_states m
                    where m.organization_slug = a.organization_slug
                      and m.session_name = a.session_name
                      and m.message_id = a.message_id),
               'metadata', waha.public_metadata(a.metadata, a.id,
                                                a.session_name))
$$;

comment on function waha.activity_object(waha.tenant_contact_activities) is
    'an activity as the API shows it';


create or replace function waha.activity_cursor(
    a waha.tenant_contact_activities) returns text
language sql stable
set search_path = waha, pg_temp
as $$
    select waha.to_cursor(coalesce(waha.microseconds(a.occurred_at)::text, '')
                          || ',' || a.id)
$$;

comment on function waha.activity_cursor(waha.tenant_contact_activities) is
    'the place after an activity in the list of its contact';


create or replace function waha.activities_after(contact bigint, place text,
    type text, session text, chat text, most int)
returns setof waha.tenant_contact_activities
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
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
    own := not exists (select from waha.moves m where m.from_id = contact);
    ids := array(select m.from_id from waha.moves m where m.to_id = contact);

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
                    select v.*
                      from waha.tenant_contact_activities v
                     where v.contact_id = k.id
                       and case when k.id <> contact
                                then v.message_id is not null
                                else own or v.message_id is null end
                       and (v.occurred_at, v.id) < (at, below)
                       and (type is null or v.activity_type = type)
                       and (session is null or v.session_name = session)
                       and (chat is null or v.chat = chat)
                     order by v.occurred_at desc, v.id desc
                     limit most) a
             order by a.occurred_at desc, a.id desc
             limit most;

        get diagnostics had = row_count;
        below := 9223372036854775807;
    end if;

    -- rows without a time come last: the CRM had them before this schema

    if had < most then
        return query
            select a.*
              from waha.tenant_contact_activities a
             where a.contact_id = contact
               and a.occurred_at is null
               and a.id < below
               and (type is null or a.activity_type = type)
               and (session is null or a.session_name = session)
               and (chat is null or a.chat = chat)
             order by a.id desc
             limit most - had;
    end if;
end
$$;

comment on function waha.activities_after(
    bigint, text, text, text, text, int) is
    'activities of a contact after a place, newest first; type, session, '
    'chat: only these; most: at most so many';


create or replace function waha.activity_page(name text, contact bigint,
    after text, type text, session text, chat text, skip int, size int)
returns waha.reply
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    n      int := waha.page_size(size);
    place  text := waha.from_cursor(after);
    data   json;
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

    select json_build_object(
               name, coalesce(json_agg(waha.activity_object(p.activity)
                                       order by p.pos)
                                  filter (where p.pos <= n), '[]'),
               'next', case when count(*) > n then
                   (array_agg(waha.activity_cursor(p.activity))
                        filter (where p.pos = n))[1] end)
      into data
      from (select a.activity, row_number() over () as pos
              from (select a as activity
                      from waha.activities_after(contact, place, type,
                               session, chat,
                               n + 1 + coalesce(skip, 0)) a
                    offset coalesce(skip, 0)) a) p;

    return row(null, data)::waha.reply;
end
$$;

comment on function waha.activity_page(
    text, bigint, text, text, text, text, int, int) is
    'a page of activities; name: member of the answer that holds them; codes: '
    'invalid_argument';


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

    live := waha.live_tenant_contact(contact);

    if live is null then
        return row('unknown_contact', null)::waha.reply;
    end if;

    return waha.activity_page('activities', live, after, type, session, null,
                              skip, size);
end
$$;

comment on function waha.list_activities(
    text, bigint, text, text, text, int, int) is
    'activities of a contact, newest first; type, session: only these; skip: '
    'leaves out so many; codes: unknown_contact, invalid_argument';


create or replace function waha.activity_row(shown json) returns json
language sql stable
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
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
        on n.id = (shown->>'id')::bigint
$$;

comment on function waha.activity_row(json) is
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
                   select coalesce(json_agg(waha.activity_row(e.shown)
                                            order by e.pos), '[]')
                     from json_array_elements(r.data->'activities')
                          with ordinality as e (shown, pos)),
               'next', r.data->'next'))::waha.reply;
end
$$;

comment on function waha.list_activity_rows(
    text, bigint, text, text, text, int, int) is
    'the same as list_activities under the names of the table''s columns; '
    'data: the activities; codes: unknown_contact, invalid_argument';


create or replace function waha.conversation_object(v waha.conversations)
returns json
language sql stable
set search_path = waha, pg_temp
as $$
    select json_build_object(
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
               'read_at', waha.rfc3339(v.read_at))
      from (select) as always
      left join waha.tenant_contacts c on c.id = v.contact_id
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
    n      int := waha.page_size(size);
    parts  text[] := regexp_match(waha.from_cursor(after),
                                  '^(-?[0-9]{1,17}),([0-9]{1,18}),(.*)$');
    at     timestamptz := 'infinity';
    below  bigint := 9223372036854775807;
    data   json;
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

    select json_build_object(
               'conversations', coalesce(json_agg(
                       waha.conversation_object(p.found) order by p.pos)
                           filter (where p.pos <= n), '[]'),
               'next', case when count(*) > n then (array_agg(waha.to_cursor(
                       waha.microseconds((p.found).last_message_at)
                       || ',' || (p.found).contact_id
                       || ',' || (p.found).session_name))
                           filter (where p.pos = n))[1] end)
      into data
      from (select v.found, row_number() over () as pos
              from (select v as found
                      from waha.conversations v
                     where v.organization_slug
                           = organization collate "POSIX"
                       and v.last_day <= (at at time zone 'UTC')::date
                       and (v.last_message_at, v.contact_id, v.session_name)
                           < (at, below, coalesce(parts[3], ''))
                       and (session is null or v.session_name = session)
                       and (unread is not true or v.unread_count > 0)
                     order by v.last_day desc, v.last_message_at desc,
                              v.contact_id desc, v.session_name desc
                     limit n + 1) v) p;

    return row(null, data)::waha.reply;
end
$$;

comment on function waha.list_conversations(text, text, boolean, text, int) is
    'conversations, newest first; session: only of this one, unread: only '
    'those with unread messages; codes: unknown_organization, '
    'invalid_argument';


create or replace function waha.own_conversation(conversation text)
returns waha.conversations
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    parts  text[] := regexp_match(conversation, '^([1-9][0-9]{0,17})-(.+)$');
    found  waha.conversations;
begin
    select v.* into found
      from waha.conversations v
     where v.organization_slug = current_setting('waha.organization', true)
       and v.contact_id = waha.live_tenant_contact(parts[1]::bigint)
       and v.session_name = parts[2];

    return found;
end
$$;

comment on function waha.own_conversation(text) is
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

    v := waha.own_conversation(conversation);

    if v.contact_id is null then
        return row('unknown_conversation', null)::waha.reply;
    end if;

    return waha.activity_page('messages', v.contact_id, after,
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

    v := waha.own_conversation(conversation);

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
    url       text;
begin
    perform waha.enter_organization(organization);

    select t.* into a
      from waha.tenant_contact_activities t
     where t.id = activity;

    if not found then
        return row('unknown_activity', null)::waha.reply;
    end if;

    url := coalesce(a.metadata->>'media_url', a.metadata->'media'->>'url');

    if url is null or a.session_name is null then
        return row('no_media', null)::waha.reply;
    end if;

    select s.instance into instance
      from waha.sessions s
     where s.name = a.session_name;

    return row(null, json_build_object(
                         'instance', instance,
                         'session', a.session_name,
                         'url', url,
                         'mimetype', a.metadata->'media'->>'mimetype',
                         'filename', a.metadata->'media'->>'filename')
              )::waha.reply;
end
$$;

comment on function waha.find_media(text, bigint) is
    'where WAHA keeps the file of a message; codes: unknown_activity, '
    'no_media';

grant execute on function waha.find_session(text, text),
    waha.list_sessions(text), waha.find_contact(text, bigint),
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
