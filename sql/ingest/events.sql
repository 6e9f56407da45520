-- What a batch knows of each of its events.  waha.event is an event without
-- what serves to find its organization: the phases see only that it has one.
-- The type is made by migration 024.

create or replace function waha.ignore_reason(kind text, message_id text,
    target_id text, phone text, lid text) returns text
language sql immutable parallel safe
as $$
    select case
           when kind in ('message', 'call') then
               case when message_id is null then 'no_message_id'
                    when phone is null and lid is null then 'no_contact'
               end
           when kind in ('status', 'reaction', 'vote', 'edit', 'revoke')
           then
               case when target_id is null then 'no_target' end
           when kind in ('session', 'account') then null
           when kind = 'user' then
               case when phone is null and lid is null then 'no_contact' end
           else 'unknown_kind'
           end
$$;

comment on function waha.ignore_reason(text, text, text, text, text) is
    'code of the reason why an event is ignored, or null';


-- A call can get another time later, so a name in it could not be compared
-- with newer ones.  A message that says nothing tells nothing of its person,
-- either.

create or replace function waha.event_name(kind text, direction text,
    empty text, name text) returns text
language sql immutable parallel safe
as $$
    select case
           when kind in ('session', 'user') then name
           when kind = 'message' and direction = 'inbound'
                and empty is null
           then waha.clean_name(name)
           end
$$;

comment on function waha.event_name(text, text, text, text) is
    'the name of waha.event: that of the person who wrote, or of a session';


-- One lookup for all statements: PostgreSQL writes the text of this function
-- into each, as it does with a view.

create or replace function waha.identities_of(organization text, phone text,
    lid text) returns table (by_phone bigint, phone_proved boolean,
    by_lid bigint, lid_proved boolean)
language sql stable rows 1
as $$
    select p.contact_id, p.proved, l.contact_id, l.proved
      from (select) one
      left join lateral (
            select i.contact_id, i.proved
              from waha.contact_identities i
             where i.organization_slug = organization collate "C"
               and i.kind = 'phone'
               and i.key = waha.phone_key(phone) collate "C"
             limit 1) p on true
      left join lateral (
            select i.contact_id, i.proved
              from waha.contact_identities i
             where i.organization_slug = organization collate "C"
               and i.kind = 'lid'
               and i.key = lid collate "C"
             limit 1) l on true
$$;

comment on function waha.identities_of(text, text, text) is
    'the contacts that have a number and a hidden id';


create or replace function waha.hidden_kind(lid text) returns text
language sql immutable parallel safe
as $$
    -- WhatsApp's own hidden ids are digits

    select case when lid like '%/%' then 'bsuid' else 'lid' end
$$;

comment on function waha.hidden_kind(text) is
    'the kind of identity that waha.event.lid is';


create or replace function waha.seen_id(key text) returns text
language sql immutable
as $$
    select pg_catalog.substr(key, pg_catalog.strpos(key, '/') + 1)
$$;

comment on function waha.seen_id(text) is
    'a hidden id or user id without its portfolio';


create or replace function waha.people_of(organization text, phone text,
    lid text, parent text) returns table (by_phone bigint,
    phone_proved boolean, by_lid bigint, lid_proved boolean,
    by_parent bigint, parent_proved boolean)
language sql stable rows 1
as $$
    select p.contact_id, p.proved, l.contact_id, l.proved, b.contact_id,
           b.proved
      from (select) one
      left join lateral (
            select i.contact_id, i.proved
              from waha.contact_identities i
             where i.organization_slug = organization collate "C"
               and i.kind = 'phone'
               and i.key = waha.phone_key(phone) collate "C"
             limit 1) p on true
      left join lateral (
            select i.contact_id, i.proved
              from waha.contact_identities i
             where i.organization_slug = organization collate "C"
               and i.kind = waha.hidden_kind(lid)
               and i.key = lid collate "C"
             limit 1) l on true
      left join lateral (
            select i.contact_id, i.proved
              from waha.contact_identities i
             where i.organization_slug = organization collate "C"
               and i.kind = 'parent_bsuid'
               and i.key = parent collate "C"
             limit 1) b on true
$$;

comment on function waha.people_of(text, text, text, text) is
    'as waha.identities_of, for people of any provider';


create or replace function waha.resolve_events(instances text[],
    sessions text[], kinds text[], directions text[], chats text[],
    ids text[], targets text[], phones text[], lids text[], names text[],
    types text[], bodies text[], sent bigint[], statuses text[],
    metadata text[], slugs text[], org_ids text[], named text[],
    claims text[], chat_ids text[], empties text[], metas text[],
    out events waha.event[], out organizations text[], out tenants bigint[],
    out contacts bigint[], out strangers int[], out actions text[],
    out codes text[], out unsure int[], out remembers boolean)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    select array_agg(row(k.organization, sessions[k.pos], k.kind,
                         directions[k.pos], chats[k.pos], ids[k.pos],
                         targets[k.pos], phones[k.pos], lids[k.pos],
                         waha.event_name(k.kind, directions[k.pos],
                                         empties[k.pos], names[k.pos]),
                         types[k.pos], bodies[k.pos],
                         coalesce(to_timestamp(sent[k.pos] / 1000.0), now()),
                         statuses[k.pos], metadata[k.pos]::jsonb,
                         chat_ids[k.pos],
                         empties[k.pos] is not null, null)::waha.event),
           array_agg(case when k.sure then k.slug end),
           array_agg(case when k.sure then k.id end),
           array_agg(coalesce(i.by_lid, i.by_phone)),
           array_agg(k.pos) filter (where
               k.organization is not null
               and k.kind in ('message', 'call')
               and chats[k.pos] = 'person'
               and empties[k.pos] is null
               and (phones[k.pos] is not null
                        and i.phone_proved is not true
                    or lids[k.pos] is not null and i.lid_proved is not true
                    or i.by_phone <> i.by_lid)),
           array_agg(case when k.reason is null then 'activity_logged'
                          else 'ignored' end),
           array_agg(k.reason),
           array_agg(k.pos)
               filter (where k.sure is not true or k.kind = 'session'),
           (select true from waha.erased e where e.hash >= '' limit 1)
      into events, organizations, tenants, contacts, strangers, actions,
           codes, unsure, remembers
      from (select u.*, case when u.sure and u.reason is null
                             then u.slug end as organization
              from (select g as pos, kinds[g] as kind, o.slug, o.id,
                           waha.ignore_reason(kinds[g], ids[g], targets[g],
                                              phones[g], lids[g]) as reason,
                           o.whatsapp_enabled
                           and s.provider = 'waha'
                           and metas[g] is null
                           and claims[g] is null
                           and coalesce(slugs[g] = o.slug, true)
                           and coalesce(org_ids[g] = o.id::text, true)
                           and coalesce(named[g] in (o.slug, o.id::text),
                                        true)
                           and (instances[g] is null
                                or coalesce(instances[g] = s.instance,
                                            false)) as sure
                      from generate_series(1, cardinality(kinds)) g
                      left join lateral (
                            select k.organization_slug, k.instance, k.provider
                              from waha.sessions k
                             where k.name = sessions[g]
                             limit 1) s on true
                      left join lateral (
                            select k.slug, k.id, k.whatsapp_enabled
                              from waha.organizations k
                             where k.slug
                                   = s.organization_slug collate "default"
                             limit 1) o on true
                    offset 0) u
             order by u.pos) k
     cross join waha.identities_of(
                    case when k.kind in ('message', 'call')
                         then k.organization end,
                    phones[k.pos], lids[k.pos]) i;
end
$$;

comment on function waha.resolve_events is
    'the events of a batch, the organization of each by its session, and the '
    'contacts by their identities as waha.identify finds them; unsure: '
    'positions of those that waha.resolve_unsure, or waha.resolve_numbers, '
    'has to look at; remembers: '
    'something was erased lately';


create or replace function waha.resolve_unsure(places int[],
    instances text[], slugs text[], org_ids text[], named text[],
    claims text[], inout events waha.event[], inout organizations text[],
    inout tenants bigint[], inout actions text[], inout codes text[])
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    resolved  record;
    recorded  boolean;
    shown     text[];
    e         waha.event;
    p         int;
begin
    -- session events first: a session that they add has an organization,
    -- which decides for the other records

    for p in
        select u
          from unnest(places) u
         order by (events[u]).kind = 'session' desc,
                  (events[u]).session collate "C", u
    loop
        e := events[p];

        if organizations[p] is null then
            select * into resolved
              from waha.resolve(e.session, instances[p], slugs[p],
                                org_ids[p], named[p], claims[p]::jsonb,
                                case when e.direction = 'inbound'
                                          and e.kind <> 'session'
                                     then e.phone end);

            organizations[p] := resolved.organization;
            tenants[p] := resolved.tenant_id;
            actions[p] := resolved.code;

            if resolved.code is not null then
                codes[p] := null;
            elsif codes[p] is not null then
                actions[p] := 'ignored';
            else
                actions[p] := 'activity_logged';
                e.organization := resolved.organization;
                events[p] := e;
            end if;
        end if;

        continue when e.kind <> 'session' or e.organization is null;

        recorded := waha.record_session(e.organization, e.session, e.status,
                        e.at, e.phone, e.name,
                        coalesce(claims[p]::jsonb->'closed' <> 'true', true),
                        e.metadata);

        if recorded then
            actions[p] := 'session_updated';
            shown := shown || e.session;
        elsif recorded is null then
            actions[p] := 'ignored';
            codes[p] := 'unknown_session';
        else
            actions[p] := 'duplicate';
        end if;
    end loop;

    if shown is not null then
        perform waha.show_sessions(shown);
    end if;
end
$$;

comment on function waha.resolve_unsure is
    'asks all sources for the organizations of events, and stores what '
    'happened to sessions';
