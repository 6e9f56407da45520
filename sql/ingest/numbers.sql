-- Events of Meta's Cloud API: whose they are, and who they are about.  The
-- number and the time decide, and the secret has to be that of the connection;
-- no other source names an organization.

create or replace function waha.bounded(value jsonb, bytes int)
returns jsonb
language sql immutable parallel safe
as $$
    select case when pg_catalog.octet_length(value::text) <= bytes
                then value
                when value is not null
                then '{"truncated": true}' end
$$;

comment on function waha.bounded(jsonb, int) is
    'a value, or a mark in place of one that is longer than so many bytes';


create or replace function waha.scoped_id(scope text, id text) returns text
language sql immutable parallel safe
as $$
    select scope || '/' || id
     where pg_catalog.octet_length(id) between 1 and 200
$$;

comment on function waha.scoped_id(text, text) is
    'a user id of Meta as a key: it is of one person only within a portfolio';


create or replace function waha.number_scope(organization text,
    session text) returns text
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select coalesce(c.portfolio, c.waba_id)
          from waha.connections c
         where c.phone_number_id = session
           and c.organization_slug = organization);
end
$$;

comment on function waha.number_scope(text, text) is
    'the portfolio of an organization''s connection to a number, or the '
    'account where that is not known';


create or replace function waha.find_tenures(metas text[],
    events waha.event[], out pos int, out told jsonb, out organization text,
    out tenant_id bigint, out enabled boolean, out scope text,
    out code text)
returns setof record
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- A change is of the time of its message: what a former organization
    -- wrote is not told to the next one.

    return query
        select e.ordinality::int, k.told, o.slug::text, o.id::bigint,
               o.whatsapp_enabled, coalesce(c.portfolio, c.waba_id),
               case when n.known is not true then 'unknown_number'
                    when k.secret is not null and v.known is not true
                    then 'foreign_connection'
                    when c.id is null then 'outside_tenure'
                    when coalesce(k.secret <> c.id, c.own_secret)
                    then 'foreign_connection' end
          from unnest(events) with ordinality as e
         cross join lateral (
                select metas[e.ordinality]::jsonb as told,
                       metas[e.ordinality]::jsonb->>'connection' as secret
                offset 0) k
          left join lateral (
                select true as known
                  from waha.connections h
                 where h.phone_number_id = e.session
                 limit 1) n on true
          left join lateral (
                select true as known
                  from waha.connections h
                 where h.phone_number_id = e.session
                   and h.id = k.secret
                 limit 1) v on true
          left join lateral (
                select a.occurred_at
                  from waha.connections h
                 cross join lateral (
                       select m.occurred_at
                         from waha.contact_activities m
                        where m.organization_slug
                              = h.organization_slug collate "C"
                          and m.session_name = e.session
                          and m.message_id = e.target_id
                        limit 1) a
                 where h.phone_number_id = e.session
                   and h.valid_to is not null
                 limit 1) t on true
          left join lateral (
                select h.id, h.organization_slug, h.portfolio, h.waba_id,
                       h.own_secret
                  from waha.connections h
                 where h.phone_number_id = e.session
                   and h.valid_from <= coalesce(t.occurred_at, e.at)
                   and coalesce(h.valid_to > coalesce(t.occurred_at, e.at),
                                true)
                 order by h.valid_from desc
                 limit 1) c on true
          left join lateral (
                select g.slug, g.id, g.whatsapp_enabled
                  from waha.organizations g
                 where g.slug = c.organization_slug collate "default"
                 limit 1) o on true
         where metas[e.ordinality] is not null
           and e.kind <> 'account'
         order by 1;
end
$$;

comment on function waha.find_tenures is
    'whose events of Meta are: the organization that was connected to the '
    'number at the time of the message, if the secret of its connection has '
    'signed; code: unknown_number, foreign_connection, outside_tenure';


create or replace function waha.told_event(e waha.event, told jsonb,
    scope text) returns waha.event
language plpgsql immutable
set search_path = waha, pg_temp
as $$
begin
    e.lid := waha.scoped_id(scope, told->>'bsuid');
    e.parent := waha.scoped_id(scope, told->>'parent_bsuid');

    if e.kind = 'status' then
        e.metadata := jsonb_build_object('details', jsonb_build_object(
                          e.status, waha.bounded(told->'details', 4096)))
         where told->'details' is not null;

    elsif e.kind = 'user' then
        e.metadata := jsonb_build_object(
            'phone', told->>'previous_phone',
            'lid', waha.scoped_id(scope, told->>'previous_bsuid'));

    elsif e.kind in ('message', 'call') and told->>'username' <> '' then
        e.metadata := coalesce(e.metadata, '{}') || jsonb_build_object(
            'username', left(told->>'username', 100));
    end if;

    return e;
end
$$;

comment on function waha.told_event(waha.event, jsonb, text) is
    'an event with what only Meta tells of it: user ids as keys, the details '
    'of a status, who a person was before';


create or replace function waha.resolve_numbers(metas text[],
    inout events waha.event[], inout organizations text[],
    inout tenants bigint[], inout actions text[], inout codes text[],
    inout unsure int[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r     record;
    e     waha.event;
    news  record;
begin
    unsure := array(select u from unnest(unsure) u where metas[u] is null);
    unsure := nullif(unsure, '{}');

    for r in select * from waha.find_tenures(metas, events) loop
        e := waha.told_event(events[r.pos], r.told, r.scope);

        codes[r.pos] := waha.ignore_reason(e.kind, e.message_id, e.target_id,
            e.phone, coalesce(e.lid, e.parent, case when e.kind = 'user'
                then e.metadata->>'phone' end));

        if r.code is not null then
            actions[r.pos] := case when r.code = 'unknown_number'
                                   then 'ignored' else r.code end;
            codes[r.pos] := case when r.code = 'unknown_number'
                                 then r.code end;

        elsif r.enabled is not true then
            organizations[r.pos] := r.organization;
            tenants[r.pos] := r.tenant_id;
            actions[r.pos] := 'disabled_organization';
            codes[r.pos] := null;

        else
            organizations[r.pos] := r.organization;
            tenants[r.pos] := r.tenant_id;
            actions[r.pos] := case when codes[r.pos] is null
                                   then 'activity_logged'
                                   else 'ignored' end;

            if codes[r.pos] is null then
                e.organization := r.organization;
            end if;
        end if;

        events[r.pos] := e;
    end loop;

    for r in
        select u.ordinality::int as pos, metas[u.ordinality]::jsonb as told
          from unnest(events) with ordinality as u
         where u.kind = 'account'
           and metas[u.ordinality] is not null
         order by u.session collate "C", u.ordinality
    loop
        select * into news from waha.record_news(events[r.pos], r.told);

        organizations[r.pos] := news.organization;
        tenants[r.pos] := news.tenant_id;
        actions[r.pos] := news.action;
        codes[r.pos] := news.code;
    end loop;
end
$$;

comment on function waha.resolve_numbers is
    'finds the organizations of Meta''s events and completes these, and '
    'stores news of accounts; metas: of each event what only Meta tells, null '
    'for one of WAHA; unsure: without the positions of Meta''s events';


create or replace function waha.newest_news(state jsonb, field text,
    at timestamptz, value jsonb) returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    -- The newest of each field, of up to 32 fields; of two of the same time
    -- always the same one.

    select jsonb_object_agg(k.key, k.value)
      from (select s.key, s.value
              from jsonb_each(
                       case when (waha.milliseconds(at), value::text
                                  collate "C")
                                 > ((state->field->>'at')::bigint,
                                    (state->field->'value')::text
                                    collate "C") is not false
                            then state || jsonb_build_object(field,
                                     jsonb_build_object(
                                         'at', waha.milliseconds(at),
                                         'value', value))
                            else state end) s
             order by (s.value->>'at')::bigint desc, s.key collate "C"
             limit 32) k
$$;

comment on function waha.newest_news(jsonb, text, timestamptz, jsonb) is
    'waha.connections.state with news of a field, unless it has newer ones';


create or replace function waha.restriction_of(value jsonb) returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    select case
           when value->>'event' = 'DISABLED_UPDATE' then
               case when value->'ban_info'->>'waba_ban_state' = 'REINSTATE'
                    then 'false'::jsonb
                    when value->'ban_info'->>'waba_ban_state'
                         = 'SCHEDULE_FOR_DISABLE'
                    then null
                    else 'true' end
           when value->>'event' in ('ACCOUNT_RESTRICTION', 'ACCOUNT_DELETED')
           then 'true'
           when value->>'event' in ('ACCOUNT_REINSTATED', 'REINSTATE')
           then 'false'
           end
$$;

comment on function waha.restriction_of(jsonb) is
    'whether news of an account (field account_update) say that it is '
    'restricted, or no longer; null: neither';


create or replace function waha.is_restricted(state jsonb) returns boolean
language sql stable
set search_path = waha, pg_temp
as $$
    -- Where each restriction has an end, the last of these ends it.

    select coalesce(state->'restriction'->'value'->'restricted' = 'true'
                    and coalesce((state->'restriction'->'value'->>'until')
                                 ::bigint
                                 > extract(epoch from now()), true), false)
$$;

comment on function waha.is_restricted(jsonb) is
    'whether an account is restricted, by waha.connections.state';


create or replace function waha.restriction_end(value jsonb) returns bigint
language sql immutable
set search_path = waha, pg_temp
as $$
    select case when bool_and(r.value->>'expiration' ~ '^[0-9]{1,11}$')
                then max(case when r.value->>'expiration' ~ '^[0-9]{1,11}$'
                              then (r.value->>'expiration')::bigint end) end
      from jsonb_array_elements(
               case when jsonb_typeof(value->'restriction_info') = 'array'
                    then value->'restriction_info' else '[]' end) r
$$;

comment on function waha.restriction_end(jsonb) is
    'when the restrictions in news of an account end, in seconds; null: not '
    'known';


create or replace function waha.state_with(state jsonb, field text,
    at timestamptz, value jsonb) returns jsonb
language plpgsql immutable
set search_path = waha, pg_temp
as $$
declare
    restricted  jsonb := case when field = 'account_update'
                              then waha.restriction_of(value) end;
begin
    state := waha.newest_news(state, field, at, waha.bounded(value, 4096));

    if restricted is not null then
        state := waha.newest_news(state, 'restriction', at,
            jsonb_build_object('restricted', restricted,
                               'until', waha.restriction_end(value)));
    end if;

    return state;
end
$$;

comment on function waha.state_with(jsonb, text, timestamptz, jsonb) is
    'waha.connections.state with news of a field, and with whether the '
    'account is restricted';


create or replace function waha.show_news(c waha.connections) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    rating  jsonb := c.state->'phone_number_quality_update'->'value';
    bad     boolean := waha.is_restricted(c.state);
    was     waha.sessions;
begin
    select s.* into was
      from waha.sessions s
     where s.name = c.phone_number_id
       and s.organization_slug = c.organization_slug
       and s.deleted_at is null
       for update;

    update waha.sessions s
       set status = case when bad and s.status = 'CONNECTED'
                         then 'RESTRICTED'
                         when not bad and s.status = 'RESTRICTED'
                              and c.state->'restriction' is not null
                         then 'CONNECTED'
                         else s.status end,
           quality = case when rating->>'event' = 'FLAGGED' then 'RED'
                          when rating->>'event' = 'UNFLAGGED' then 'GREEN'
                          else s.quality end,
           messaging_limit = coalesce(
               left(rating->>'max_daily_conversations_per_business', 50),
               left(rating->>'current_limit', 50), s.messaging_limit)
     where s.name = was.name
       and s.organization_slug = c.organization_slug;

    perform waha.show_sessions(array[was.name])
      where was.name is not null;
end
$$;

comment on function waha.show_news(waha.connections) is
    'writes what news of an account mean for a number into waha.sessions';


create or replace function waha.record_news(e waha.event, told jsonb,
    out organization text, out tenant_id bigint, out action text,
    out code text)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
<<news>>
declare
    field   text := left(coalesce(told->>'field', ''), 100);
    number  text := regexp_replace(told->'details'->>'display_phone_number',
                                   '[^0-9]', '', 'g');
    secret  text := told->>'connection';
    owner   text;
    id      text;
    c       waha.connections;
    fresh   jsonb;
begin
    select k.organization_slug into owner
      from waha.connections k
     where k.id = secret;

    action := 'ignored';
    code := 'unknown_number';

    -- locked in the order of their ids

    for id in
        select k.id
          from waha.connections k
         where k.waba_id = e.session
           and k.valid_from <= e.at
           and coalesce(k.valid_to > e.at, true)
         order by k.id collate "POSIX"
    loop
        select k.* into c
          from waha.connections k
         where k.id = news.id
           for update;

        continue when c.id is null;

        -- another organization's app, or the operator's for one with an own

        if secret is null and c.own_secret
           or secret is not null
              and (not c.own_secret
                   or c.organization_slug is distinct from owner)
              and c.id <> secret
        then
            action := case when action = 'ignored' then 'foreign_connection'
                           else action end;
            code := case when action = 'foreign_connection' then null
                         else code end;
            continue;
        end if;

        -- news of one number of the account

        continue when exists (
            select
              from waha.sessions s
             where s.name = c.phone_number_id
               and number <> ''
               and s.phone <> number
               and field like 'phone_number%');

        fresh := waha.state_with(c.state, field, e.at,
                                 coalesce(told->'details', '{}'));
        organization := c.organization_slug;
        code := null;
        action := case when fresh is distinct from c.state
                            or action = 'account_updated'
                       then 'account_updated' else 'duplicate' end;

        continue when fresh is not distinct from c.state;

        c.state := fresh;

        update waha.connections k
           set state = fresh
         where k.id = c.id;

        perform waha.show_news(c);
    end loop;

    if organization is null then
        return;
    end if;

    select o.id into tenant_id
      from waha.organizations o
     where o.slug = organization;
end
$$;

comment on function waha.record_news is
    'stores news of an account with all connections that are in it and that '
    'the secret may speak for';
