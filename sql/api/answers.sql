-- Parts of the API's answers: cursors, times, objects.

create or replace function waha.to_base64url(bytes bytea) returns text
language sql immutable
set search_path = waha, pg_temp
as $$
    select translate(encode(bytes, 'base64'), E'+/=\n', '-_')
$$;

comment on function waha.to_base64url(bytea) is
    'bytes as text that needs no escapes in a URL';


create or replace function waha.to_cursor(place text) returns text
language sql immutable
set search_path = waha, pg_temp
as $$
    select waha.to_base64url(convert_to(place, 'UTF8'))
$$;

comment on function waha.to_cursor(text) is
    'a place in a list as the cursor that a caller sends back';


create or replace function waha.from_cursor(cursor text) returns text
language plpgsql immutable
set search_path = waha, pg_temp
as $$
begin
    return convert_from(decode(rpad(translate(cursor, '-_', '+/'),
                                    (length(cursor) + 3) / 4 * 4, '='),
                               'base64'), 'UTF8');

exception
    when others then
        return null;
end
$$;

comment on function waha.from_cursor(text) is
    'the place in a cursor of waha.to_cursor, or null';


create or replace function waha.microseconds(at timestamptz) returns bigint
language sql immutable parallel safe
as $$
    select round(extract(epoch from at) * 1000000)::bigint
$$;

comment on function waha.microseconds(timestamptz) is
    'a time as microseconds since the epoch';


create or replace function waha.time_of(microseconds text)
returns timestamptz
language sql immutable parallel safe
as $$
    select timestamptz '1970-01-01 00:00:00+00'
           + microseconds::bigint * interval '1 microsecond'
$$;

comment on function waha.time_of(text) is
    'the time that waha.microseconds made a number of';


create or replace function waha.page_size(size int) returns int
language sql immutable
set search_path = waha, pg_temp
as $$
    select case when coalesce(size, 50) between 1 and 200
                then coalesce(size, 50) end
$$;

comment on function waha.page_size(int) is
    'how many items a page has: 50 by default, at most 200; null: size is out '
    'of bounds';


create or replace function waha.most_read() returns int
language sql immutable
as $$
    select 10000
$$;

comment on function waha.most_read() is
    'how many rows a page of a list looks at, however few of them it shows';


create or replace function waha.refuse_argument(argument text, reason text)
returns waha.reply
language sql immutable
set search_path = waha, pg_temp
as $$
    select row('invalid_argument', json_build_object('argument', argument,
                                                     'reason', reason)
              )::waha.reply
$$;

comment on function waha.refuse_argument(text, text) is
    'the reply to an argument that is not valid, and why';


create or replace function waha.refuse_page(size int) returns waha.reply
language sql immutable
set search_path = waha, pg_temp
as $$
    select case when waha.page_size(size) is null
                then waha.refuse_argument('size',
                         'a page has 1 to 200 items')
                else waha.refuse_argument('after',
                         'it has to be the "next" of a page of this list')
           end
$$;

comment on function waha.refuse_page(int) is
    'the reply to a page that cannot be: its size or its "after" is not valid';


create or replace function waha.primary_session(organization text)
returns text
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select s.name
          from waha.sessions s
         where s.organization_slug = organization
           and s.client_id is null
           and s.deleted_at is null
         order by s.created_at, s.name
         limit 1);
end
$$;

comment on function waha.primary_session(text) is
    'the session that is meant when a request names none: the oldest one '
    'without a caller''s id';


create or replace function waha.is_stuck(session waha.sessions)
returns boolean
language sql stable
set search_path = waha, pg_temp
as $$
    select coalesce(session.status = 'STARTING'
                    and coalesce(session.starting_since, session.status_at,
                                 session.created_at)
                        < now() - interval '2 minutes', false)
$$;

comment on function waha.is_stuck(waha.sessions) is
    'whether a session has been STARTING for so long that connect restarts '
    'it';


create or replace function waha.restrictions_object(restrictions jsonb)
returns jsonb
language sql stable
set search_path = waha, pg_temp
as $$
    select jsonb_object_agg(r.key, r.value)
      from jsonb_each(restrictions) r
     where ((r.value->>'until')::timestamptz > now()) is not false
$$;

comment on function waha.restrictions_object(jsonb) is
    'restrictions of a session that are not over, or null';


create or replace function waha.session_object(session waha.sessions,
    main text) returns json
language sql stable
set search_path = waha, pg_temp
as $$
    select json_build_object(
               'session', session.name,
               'provider', session.provider,
               'id', session.client_id,
               'label', session.label,
               'status', coalesce(session.status, 'NOT_CREATED'),
               'phone', case when linked then '+' || session.phone end,
               'given_phone', '+' || session.given_phone,
               'name', case when linked then session.push_name end,
               'connected_at', case when connected
                   then waha.rfc3339(session.connected_at) end,
               'restrictions', case when linked
                   then waha.restrictions_object(session.restrictions) end,
               'quality', session.quality,
               'limit', session.messaging_limit,
               'primary', session.name is not distinct from main,
               'created_at', waha.rfc3339(session.created_at))
      from (select coalesce(session.named_at > coalesce(
                                session.disconnected_at, '-infinity'), false),
                   coalesce(session.connected_at > coalesce(
                                session.disconnected_at, '-infinity'), false))
           as state (linked, connected)
$$;

comment on function waha.session_object(waha.sessions, text) is
    'a session as the API shows it; main: name of the organization''s primary '
    'session';


create or replace function waha.public_metadata(metadata jsonb,
    activity bigint, session text) returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    -- without a session the activity is the CRM's own, not WAHA's

    select case when session is null or jsonb_typeof(metadata) <> 'object'
                then metadata
                else metadata
                     || case when metadata ? 'media_url'
                             then jsonb_build_object('media_url', route)
                             else '{}' end
                     || case when jsonb_typeof(metadata->'media') = 'object'
                             and (metadata ? 'media_url'
                                  or metadata->'media' ? 'url'
                                  or metadata->'media' ? 'id')
                             then jsonb_build_object('media',
                                      metadata->'media'
                                      || jsonb_build_object('url', route))
                             else '{}' end
           end
      from (select '/api/whatsapp/media/' || activity) as own (route)
$$;

comment on function waha.public_metadata(jsonb, bigint, text) is
    'metadata of an activity with the API''s own route to a file instead of '
    'WAHA''s URL, or beside Meta''s id';

grant execute on function waha.to_cursor(text), waha.from_cursor(text),
    waha.to_base64url(bytea), waha.microseconds(timestamptz),
    waha.time_of(text), waha.page_size(int), waha.most_read(),
    waha.refuse_argument(text, text), waha.refuse_page(int),
    waha.primary_session(text), waha.is_stuck(waha.sessions),
    waha.restrictions_object(jsonb),
    waha.session_object(waha.sessions, text),
    waha.public_metadata(jsonb, bigint, text), waha.rfc3339(timestamptz),
    waha.id_of(text), waha.phone_key(text)
    to waha_api;
