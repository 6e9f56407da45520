-- Numbers of Meta's Cloud API, as callers of the API connect and see them.
-- Locks are taken in this order: the locks of waha.reserve_session by name,
-- rows of connections, rows of sessions, rows of organizations.

create or replace function waha.find_connection(connection text)
returns waha.reply
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    c  waha.connections;
begin
    -- also one that has ended: what was sent before may come late

    select k.* into c
      from waha.connections k
     where k.id = connection;

    if c.id is null then
        return row('unknown_connection', null)::waha.reply;
    end if;

    return row(null, json_build_object(
                         'connection', c.id,
                         'organization', c.organization_slug,
                         'session', c.phone_number_id,
                         'account', c.waba_id,
                         'verify_token_hash', c.verify_token_hash,
                         'app_secret', c.app_secret,
                         'previous_app_secret', c.previous_app_secret,
                         'own_secret', c.own_secret))::waha.reply;
end
$$;

comment on function waha.find_connection(text) is
    'what verifies notifications to the callback URL of a connection; the '
    'secrets are sealed, and null when it has ended; codes: '
    'unknown_connection';


create or replace function waha.number_object(c waha.connections)
returns json
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    s  waha.sessions;
begin
    -- the row of a number is that of whoever had it last

    select k.* into s
      from waha.sessions k
     where k.name = c.phone_number_id
       and k.organization_slug = c.organization_slug
       and k.deleted_at is null;

    return json_build_object(
               'connection', c.id,
               'connected', c.valid_to is null,
               'session', case when s.name is not null
                   then waha.session_object(s, null) end,
               'account', c.waba_id,
               'portfolio', c.portfolio,
               'own_secret', c.own_secret,
               'shared', exists (
                   select
                     from waha.connections k
                    where k.waba_id = c.waba_id
                      and k.id <> c.id
                      and k.valid_to is null),
               'access_token', c.access_token,
               'app_secret', c.app_secret,
               'age', case when s.checked_at is not null
                   then greatest(0, floor(extract(epoch from
                                                  now() - s.checked_at)))
                   end,
               'state', c.state);
end
$$;

comment on function waha.number_object(waha.connections) is
    'a connection and its number, with the secrets sealed; shared: whether '
    'other connected numbers are in the account; age: seconds since Graph was '
    'asked';


create or replace function waha.number_holder(phone_number_id text)
returns text
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select coalesce((select k.organization_slug
                           from waha.connections k
                          where k.phone_number_id
                                = number_holder.phone_number_id
                            and k.valid_to is null),
                        (select ''
                           from waha.sessions s
                          where s.name = number_holder.phone_number_id
                            and s.provider <> 'meta')));
end
$$;

comment on function waha.number_holder(text) is
    'the organization that is connected to a number; an empty text: the id of '
    'the number is the name of a session of WAHA; null: none';


create or replace function waha.find_number(organization text,
    phone_number_id text) returns waha.reply
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    c  waha.connections;
begin
    if waha.number_holder($2) <> organization then
        return row('number_taken', null)::waha.reply;
    end if;

    select k.* into c
      from waha.connections k
     where k.phone_number_id = $2
       and k.organization_slug = organization;

    return row(null, case when c.id is not null
                          then waha.number_object(c) end)::waha.reply;
end
$$;

comment on function waha.find_number(text, text) is
    'the connection that an organization has, or had, to a number; data null: '
    'none; codes: number_taken';


create or replace function waha.show_number(organization text,
    phone_number_id text) returns waha.reply
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    c  waha.connections;
begin
    select k.* into c
      from waha.connections k
     where k.organization_slug = organization
       and ($2 is null or k.phone_number_id = $2)
     order by k.valid_to desc nulls first, k.created_at desc, k.id
     limit 1;

    if c.id is null then
        return row('unknown_session', null)::waha.reply;
    end if;

    return row(null, waha.number_object(c))::waha.reply;
end
$$;

comment on function waha.show_number(text, text) is
    'a number of an organization, null: the newest connected one, else the '
    'one that was connected last; codes: unknown_session';


create or replace function waha.number_fault(phone_number_id text,
    connection text, details jsonb) returns waha.reply
language sql immutable
set search_path = waha, pg_temp
as $$
    select case
           when phone_number_id ~ '^[0-9]{1,32}$' is not true
           then waha.refuse_argument('phone_number_id',
                    'the id of a number has up to 32 digits')
           when connection ~ '^[A-Za-z0-9_-]{16,64}$' is not true
           then waha.refuse_argument('connection',
                    'the id of a connection has 16 to 64 letters, digits, '
                    '"-" and "_"')
           when details->>'account' ~ '^[0-9]{1,32}$' is not true
           then waha.refuse_argument('account',
                    'the id of an account has up to 32 digits')
           when details->>'portfolio' !~ '^[0-9]{1,32}$'
           then waha.refuse_argument('portfolio',
                    'the id of a portfolio has up to 32 digits')
           when length(details->>'label') > 100
           then waha.refuse_argument('label',
                    'a label has up to 100 characters')
           end
$$;

comment on function waha.number_fault(text, text, jsonb) is
    'the reply to arguments of waha.connect_number that are not valid, or '
    'null';


create or replace function waha.begin_tenure(organization text,
    phone_number_id text, connection text, details jsonb) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    had    waha.connections;
    ended  timestamptz;    -- the last tenure of another organization
begin
    select k.* into had
      from waha.connections k
     where k.id = connection
       for update;

    select max(k.valid_to) into ended
      from waha.connections k
     where k.phone_number_id = $2
       and k.organization_slug <> organization;

    -- Messages have whole seconds.  Where nobody else had the number, also
    -- what was sent before is the organization's: its history.

    insert into waha.connections as c
                (id, organization_slug, phone_number_id, waba_id, portfolio,
                 verify_token_hash, access_token, app_secret, own_secret,
                 valid_from)
        values (connection, organization, $2, details->>'account',
                details->>'portfolio', details->>'verify_token_hash',
                details->>'access_token', details->>'app_secret',
                coalesce(details->'own_secret' = 'true', false),
                case when ended is null then '-infinity'
                     else greatest(ended, date_trunc('second', now())) end)
        on conflict do nothing;

    if found then
        return true;
    end if;

    -- The keys of people are of the account as long as the portfolio was not
    -- known.

    update waha.connections c
       set waba_id = details->>'account',
           portfolio = case when c.waba_id = details->>'account'
                            then c.portfolio
                            else details->>'portfolio' end,
           verify_token_hash = details->>'verify_token_hash',
           access_token = details->>'access_token',
           app_secret = details->>'app_secret',
           previous_app_secret =
               case when c.app_secret <> coalesce(details->>'app_secret', '')
                    then c.app_secret
                    else c.previous_app_secret end,
           own_secret = coalesce(details->'own_secret' = 'true', false),
           state = c.state - 'restriction',
           valid_from = case when c.valid_to <= ended
                             then greatest(ended,
                                           date_trunc('second', now()))
                             else c.valid_from end,
           valid_to = null
     where c.id = connection
       and c.id = had.id
       and c.organization_slug = organization
       and c.phone_number_id = $2;

    return found;
end
$$;

comment on function waha.begin_tenure(text, text, text, jsonb) is
    'makes or renews a connection; false: another one was made for the number '
    'meanwhile';


create or replace function waha.make_number(organization text,
    phone_number_id text, details jsonb) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    had    waha.sessions;
    other  text;    -- the organization that had the number
begin
    select s.* into had
      from waha.sessions s
     where s.name = $2
       for update;

    other := case when had.organization_slug <> organization
                  then had.organization_slug end;

    -- The row goes to another organization without what the first one gave
    -- it.  The caller's id keeps it from being the primary session of WAHA.

    insert into waha.sessions as s
                (name, organization_slug, provider, client_id, label, status,
                 status_at, checked_at, phone, push_name, named_at,
                 connected_at, quality, messaging_limit, created_at)
        values ($2, organization, 'meta', $2,
                coalesce(details->>'label',
                         case when other is null then had.label end),
                'CONNECTED', now(), now(),
                nullif(regexp_replace(details->>'phone', '[^0-9]', '', 'g'),
                       ''),
                left(details->>'name', 200), now(), now(),
                left(details->>'quality', 50), left(details->>'limit', 50),
                case when other is null
                     then coalesce(had.created_at, now()) else now() end)
        on conflict (name) do update
           set organization_slug = excluded.organization_slug,
               client_id = excluded.client_id,
               label = excluded.label,
               status = excluded.status,
               status_at = excluded.status_at,
               checked_at = excluded.checked_at,
               phone = excluded.phone,
               push_name = excluded.push_name,
               named_at = excluded.named_at,
               connected_at = excluded.connected_at,
               disconnected_at = null,
               deleted_at = null,
               quality = excluded.quality,
               messaging_limit = excluded.messaging_limit,
               restrictions = null,
               created_at = excluded.created_at
         where s.provider = 'meta';

    if not found then
        raise serialization_failure
            using message = 'a session of WAHA got the name meanwhile';
    end if;

    perform waha.leave_organization(other, $2, organization);
    perform waha.show_sessions(array_remove(array[$2,
                case when other is not null
                     then waha.primary_session(other) end], null));
end
$$;

comment on function waha.make_number(text, text, jsonb) is
    'makes or renews the row of a number in waha.sessions, which another '
    'organization may have had';


create or replace function waha.leave_organization(organization text,
    session text, other text) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    -- locked in the order of slugs, as by waha.show_sessions

    perform
       from waha.organizations o
      where o.slug in (organization, other)
        and organization is not null
      order by o.slug collate "C"
        for no key update;

    update waha.organizations o
       set whatsapp_session_name = null,
           whatsapp_status = null,
           whatsapp_phone_number = null,
           whatsapp_connected_at = null
     where o.slug = organization
       and o.whatsapp_session_name = session;

    return found;
end
$$;

comment on function waha.leave_organization(text, text, text) is
    'removes a session from organizations.whatsapp_* of an organization; '
    'other: one that is written afterwards; result: whether it was there';


create or replace function waha.connect_number(organization text,
    phone_number_id text, connection text, details jsonb) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    fault    waha.reply := waha.number_fault($2, connection, details);
    most     int := waha.id_of(details->>'maximum');
    enabled  boolean;
    had      waha.connections;
    listed   boolean;
    wait     int;
begin
    perform waha.lock_name('sessions of ' || o.slug)
       from waha.organizations o
      where o.slug = organization;

    select o.whatsapp_enabled into enabled
      from waha.organizations o
     where o.slug = organization;

    if not found then
        return row('unknown_organization', null)::waha.reply;
    end if;

    if enabled is not true then
        return row('disabled_organization', null)::waha.reply;
    end if;

    if fault is not null then
        return fault;
    end if;

    if waha.number_holder($2) <> organization
       or exists (select
                    from waha.sessions s
                   where s.organization_slug = organization
                     and s.client_id = $2
                     and s.name <> $2)
    then
        return row('number_taken', null)::waha.reply;
    end if;

    select k.* into had
      from waha.connections k
     where k.phone_number_id = $2
       and k.organization_slug = organization;

    -- its secrets are sealed for the other id

    if had.id <> connection then
        return row('session_busy', null)::waha.reply;
    end if;

    listed := exists (select
                        from waha.sessions s
                       where s.name = $2
                         and s.organization_slug = organization
                         and s.deleted_at is null);

    if not listed
       and (select count(*)
              from waha.sessions s
             where s.organization_slug = organization
               and s.deleted_at is null) >= most
    then
        return row('too_many_sessions', null)::waha.reply;
    end if;

    if not listed then
        wait := waha.spend(organization, '', 'sessions', most + 10, 3600);
    end if;

    if wait is not null then
        return row('too_many_operations',
                   json_build_object('retry_after', wait))::waha.reply;
    end if;

    if not waha.begin_tenure(organization, $2, connection, details) then
        return row('number_taken', null)::waha.reply;
    end if;

    perform waha.make_number(organization, $2, details);
    perform waha.notify_workers(array[organization, connection]);
    perform waha.record_audit(organization, 'session.connect', $2);

    return waha.show_number(organization, $2);
end
$$;

comment on function waha.connect_number(text, text, text, jsonb) is
    'connects an organization to a number of the Cloud API; details: account, '
    'portfolio, phone, name, label, verify_token_hash, quality, limit, '
    'own_secret, maximum (of sessions), access_token and app_secret (sealed '
    'for this connection); codes: unknown_organization, '
    'disabled_organization, invalid_argument, number_taken, '
    'session_busy (the organization has another connection to the number), '
    'too_many_sessions, too_many_operations';


create or replace function waha.end_tenure(organization text,
    phone_number_id text) returns text
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    ended  text;
begin
    update waha.connections c
       set valid_to = now(),
           verify_token_hash = null,
           access_token = null,
           app_secret = null,
           previous_app_secret = null
     where c.phone_number_id = $2
       and c.organization_slug = organization
       and c.valid_to is null
    returning c.id into ended;

    update waha.sessions s
       set status = 'DISCONNECTED',
           status_at = now(),
           disconnected_at = greatest(now(), s.named_at, s.connected_at)
     where s.name = $2
       and s.organization_slug = organization
       and s.provider = 'meta'
       and s.deleted_at is null
       and ended is not null;

    if found then
        perform waha.show_sessions(array[$2]);
    end if;

    perform waha.notify_workers(array[organization, ended])
      where ended is not null;

    return ended;
end
$$;

comment on function waha.end_tenure(text, text) is
    'ends the connection of an organization to a number and wipes its '
    'secrets; result: its id, null: it was not connected';


create or replace function waha.disconnect_number(organization text,
    phone_number_id text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
begin
    if waha.end_tenure(organization, $2) is not null then
        perform waha.record_audit(organization, 'session.logout', $2);
    end if;

    if $2 is null then
        return row('unknown_session', null)::waha.reply;
    end if;

    return waha.show_number(organization, $2);
end
$$;

comment on function waha.disconnect_number(text, text) is
    'disconnects an organization from a number: what is sent from now on is '
    'not its own, what it has stays; codes: unknown_session';


create or replace function waha.record_number_check(organization text,
    phone_number_id text, details jsonb) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    c    waha.connections;
    was  waha.sessions;
    new  waha.sessions;
begin
    select k.* into c
      from waha.connections k
     where k.phone_number_id = $2
       and k.organization_slug = organization
       and k.valid_to is null
       for share;

    select s.* into was
      from waha.sessions s
     where s.name = c.phone_number_id
       and s.organization_slug = organization
       and s.deleted_at is null
       for update;

    if was.name is null then
        return row('unknown_session', null)::waha.reply;
    end if;

    new := was;

    if details->>'status' in ('CONNECTED', 'NEEDS_REAUTH', 'RESTRICTED',
                              'UNSUBSCRIBED')
    then
        new.status := case when details->>'status' = 'CONNECTED'
                                and waha.is_restricted(c.state)
                           then 'RESTRICTED' else details->>'status' end;
    end if;

    new.phone := coalesce(nullif(regexp_replace(details->>'phone', '[^0-9]',
                                                '', 'g'), ''), was.phone);

    update waha.sessions s
       set status = new.status,
           status_at = case when s.status <> new.status then now()
                            else s.status_at end,
           checked_at = now(),
           phone = new.phone,
           push_name = coalesce(left(details->>'name', 200), s.push_name),
           quality = coalesce(left(details->>'quality', 50), s.quality),
           messaging_limit = coalesce(left(details->>'limit', 50),
                                      s.messaging_limit)
     where s.name = was.name;

    if waha.shows_otherwise(was, new) then
        perform waha.show_sessions(array[was.name]);
    end if;

    return waha.show_number(organization, $2);
end
$$;

comment on function waha.record_number_check(text, text, jsonb) is
    'stores what Graph tells of a number: status (CONNECTED, NEEDS_REAUTH, '
    'RESTRICTED, UNSUBSCRIBED), name, quality, limit, phone; news of the '
    'account can have restricted one that is connected; codes: '
    'unknown_session';

grant execute on function waha.find_connection(text),
    waha.find_number(text, text), waha.show_number(text, text),
    waha.connect_number(text, text, text, jsonb),
    waha.disconnect_number(text, text),
    waha.record_number_check(text, text, jsonb)
    to waha_gateway;
