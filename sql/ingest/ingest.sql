-- The functions that the module calls with events.
--
-- Plans are made once, perhaps while tables are still empty, and must not
-- depend on what was in them.  So every row is looked up by an index, one by
-- one, in a "lateral" subquery with "limit 1": for a plain join with an empty
-- table, the planner would find other ways cheaper.

create or replace function waha.await_standby() returns void
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    -- A transaction that wrote nothing does not wait for a synchronous
    -- standby.  But a duplicate is answered as if it was stored, so the row
    -- that it found must be on the standby as well.

    if pg_current_xact_id_if_assigned() is null
       and current_setting('synchronous_standby_names') <> ''
    then
        perform pg_logical_emit_message(true, 'waha', '');
    end if;
end
$$;

comment on function waha.await_standby() is
    'makes the commit of a transaction that wrote nothing wait for a '
    'synchronous standby';


create or replace function waha.ingest_batch(provider text[],
    instance text[], session text[], kind text[], direction text[],
    chat text[], message_id text[], target_id text[], phone text[],
    lid text[], name text[], type text[], body text[], sent_at bigint[],
    status text[], metadata text[], organization_slug text[],
    organization_id text[], tenant text[], claims text[],
    chat_id text[] default null, empty text[] default null,
    meta text[] default null)
returns setof waha.outcome
language plpgsql security definer
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
    changing    boolean := kind && '{status,reaction,vote,edit,revoke}';
    storing     boolean := kind && '{message,call}';
    events      waha.event[];
    remembers   boolean;    -- something was erased lately
    unsure      int[];
    orgs        text[];
    tenants     bigint[];
    contacts    bigint[];
    strangers   int[];
    creators    int[];
    links       boolean;
    linked_org  text[];
    linked      bigint[];
    actions     text[];
    codes       text[];
    activities  bigint[] := array_fill(null::bigint,
                                       array[cardinality(kind)]);
    fresh       int[];
    gaps        int[];
    awaited     boolean;
    applied     waha.message_states[];
    seen        waha.message_states[];
    changed     waha.contact_activities[];
    woken       waha.contact_activities[];
    reads       waha.contact_activities[];
    p           int;
begin
    select * into events, orgs, tenants, contacts, strangers, actions, codes,
                  unsure, remembers
      from waha.resolve_events(instance, session, kind, direction, chat,
               message_id, target_id, phone, lid, name, type, body, sent_at,
               status, metadata, organization_slug, organization_id, tenant,
               claims, chat_id, empty, meta);

    if array_remove(meta, null) = '{}' then
        meta := null;
    end if;

    if meta is not null then
        select * into events, orgs, tenants, actions, codes, unsure
          from waha.resolve_numbers(meta, events, orgs, tenants, actions,
                                    codes, unsure);
    end if;

    if unsure is not null then
        select * into events, orgs, tenants, actions, codes
          from waha.resolve_unsure(unsure, instance, organization_slug,
                                   organization_id, tenant, claims, events,
                                   orgs, tenants, actions, codes);
    end if;

    if remembers then
        select * into events, actions
          from waha.drop_erased(events, actions);
    end if;

    if unsure is not null or remembers or meta is not null then
        select * into contacts, strangers from waha.identify(events);
    end if;

    -- locks are taken in the order that batch.sql lists

    select * into contacts, actions, creators, links, linked_org, linked
      from waha.settle_people(events, orgs, strangers,
                              waha.lock_messages(events, changing), contacts,
                              actions);

    if storing then
        select * into contacts, actions, activities, fresh, gaps, awaited
          from waha.store_activities(events, contacts, actions);

        -- Another transaction stored the message just now, perhaps under the
        -- other identity of its sender: then the contact made here is one too
        -- many.

        foreach p in array coalesce(creators, '{}') loop
            if actions[p] <> 'contact_created'
               and ((events[p]).phone is null or (events[p]).lid is null)
            then
                raise serialization_failure
                    using message = 'the same message was stored meanwhile';
            end if;
        end loop;
    end if;

    if changing or awaited or links or 'outbound' = any (direction) then
        select * into actions, applied, seen
          from waha.store_states(events, activities,
                                 case when awaited then fresh end,
                                 case when links then strangers end,
                                 linked_org, linked, actions);
    end if;

    if gaps is not null or applied is not null or seen is not null then
        select * into events, actions, changed, woken, reads
          from waha.apply_states(activities, fresh, gaps, applied, seen,
                                 events, actions);
    end if;

    -- what was erased since

    if exists (select from waha.erased e where e.hash >= '') then
        if waha.places_erased(events) <> '{}' then
            raise serialization_failure
                using message = 'a message was erased meanwhile';
        end if;
    end if;

    if cardinality(fresh) > 0 or changed is not null or woken is not null
       or reads is not null
    then
        perform waha.update_conversations(events, contacts, fresh, changed,
                                          woken, reads);
    end if;

    if pg_current_xact_id_if_assigned() is null then
        perform waha.await_standby();
    end if;

    return query
        select g - 1,
               case when o.strange then 'ignored' else actions[g] end,
               orgs[g], tenants[g], contacts[g], activities[g],
               case when o.strange then 'no_contact' else codes[g] end
          from generate_series(1, cardinality(kind)) g
         cross join lateral (
                select actions[g] = 'activity_logged'
                       and activities[g] is null as strange) o;
end
$$;

comment on function waha.ingest_batch is
    'stores many events in one transaction: the i-th elements of the arrays '
    'are the arguments of waha.ingest for one event; result: a row for each';

grant execute on function waha.ingest_batch to waha_gateway;


-- The short way of waha.ingest, for a message of a contact who is known and
-- has the name that is stored.  Any other event is a batch of one.

create or replace function waha.find_known(e waha.event, instance text,
    slug text, id text, tenant text, out organization text,
    out tenant_id bigint, out contact bigint, out as_before boolean)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    select o.slug, o.id, c.id, c.as_before
      into organization, tenant_id, contact, as_before
      from (select k.organization_slug, k.instance, k.provider
              from waha.sessions k
             where k.name = e.session
             limit 1) s
     cross join lateral (
            select k.slug, k.id
              from waha.organizations k
             where k.slug = s.organization_slug collate "default"
               and k.whatsapp_enabled
             limit 1) o
     cross join waha.identities_of(s.organization_slug, e.phone, e.lid) i
     cross join lateral (
            select k.id
              from waha.contacts k
             where k.organization_slug = s.organization_slug collate "C"
               and k.id = coalesce(i.by_lid, i.by_phone)
               and (e.phone is null or k.id = i.by_phone and i.phone_proved)
               and (e.lid is null or k.id = i.by_lid and i.lid_proved)
               and (select true
                      from waha.waiting_changes w
                     where w.organization_slug = s.organization_slug
                       and w.session_name = e.session
                       and w.message_id = e.message_id
                     limit 1) is null
               and ((select true
                       from waha.erased r
                      where r.hash >= ''
                      limit 1) is null
                    or (select true
                          from waha.erased r
                         where r.hash = waha.erased_key(s.organization_slug,
                                                        e.session,
                                                        e.message_id)
                         limit 1) is null)
               and s.provider = 'waha'
               and ($2 is null or $2 = s.instance)
               and coalesce($3 = o.slug, true)
               and coalesce($4 = o.id::text, true)
               and coalesce($5 in (o.slug, o.id::text), true)
               and k.merged_into is null
               and (e.name is null or e.name = k.whatsapp_name)
             limit 1) k
     cross join lateral (
            select c.id, c.merged_into is null
                         and (e.name is null or e.name = c.whatsapp_name)
                         as as_before
              from waha.contacts c
             where c.organization_slug = s.organization_slug collate "C"
               and c.id = k.id
               for key share) c;
end
$$;

comment on function waha.find_known is
    'finds and locks the contact of a message, if all of its identities are '
    'proved and nothing else is to be done; as_before: the contact was not '
    'changed before it was locked';


create or replace function waha.ingest_stored(e waha.event,
    tenant_id bigint) returns waha.outcome
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    a  waha.contact_activities;
begin
    select v.* into a
      from waha.contact_activities v
     where v.organization_slug = e.organization collate "C"
       and v.session_name = e.session
       and v.message_id = e.message_id
       and v.direction = e.direction collate "C";

    if a.id is null then
        raise exception 'a trigger of the CRM refused message "%"',
            e.message_id;
    end if;

    if e.direction = 'outbound' and waha.status_rank(e.status) > 0
       or waha.fill(a, e) is distinct from a
    then
        return null;
    end if;

    return row(0, 'duplicate', e.organization, tenant_id,
               waha.live_of(e.organization, a.contact_id), a.id,
               null)::waha.outcome;
end
$$;

comment on function waha.ingest_stored is
    'the outcome of a message that is stored; null: waha.ingest_batch has to '
    'store what it tells more';


create or replace function waha.ingest_known(e waha.event, instance text,
    slug text, id text, tenant text) returns waha.outcome
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    k     record;
    made  waha.contact_activities;
begin
    -- the lock that waha.lock_messages takes for a message

    perform waha.share_messages(1 << waha.message_bucket(e.message_id));

    select * into k
      from waha.find_known(e, instance, slug, id, tenant);

    if k.contact is null then
        return null;
    end if;

    e.organization := k.organization;

    -- a batch could want the exclusive lock, but the shared one is taken

    if not k.as_before then
        raise serialization_failure
            using message = 'a contact was renamed or merged meanwhile';
    end if;

    insert into waha.contact_activities as a
                (organization_slug, contact_id, activity_type, direction,
                 message_content, metadata, session_name, message_id,
                 message_type, chat, sender_name, occurred_at)
        values (e.organization, k.contact, 'whatsapp_message', e.direction,
                e.body, waha.message_metadata(e.metadata, e.chat_id, false),
                e.session, e.message_id, e.type, e.chat, e.name, e.at)
        on conflict (organization_slug, session_name, message_id, direction)
        do nothing
        returning a.id into made;

    if made.id is null then
        return waha.ingest_stored(e, k.tenant_id);
    end if;

    if e.direction = 'outbound' and waha.status_rank(e.status) > 0 then
        perform waha.store_state(row(e.organization, e.session, e.message_id,
                                     e.status, e.at, null, null, null, null,
                                     null, null, null,
                                     null)::waha.message_states);
    end if;

    if exists (select
                 from waha.erased r
                where r.hash = waha.erased_key(e.organization, e.session,
                                               e.message_id))
    then
        raise serialization_failure
            using message = 'a message was erased meanwhile';
    end if;

    perform waha.merge_conversations(array[row(
                e.organization, k.contact, e.session, e.message_id, e.at,
                e.direction, left(e.body, 255),
                (e.direction = 'inbound')::int,
                case when e.direction = 'inbound' then e.at end,
                case when e.direction = 'inbound' then e.at end,
                case when e.direction = 'outbound' then e.at end,
                null, null)::waha.conversations]);

    return row(0, 'activity_logged', e.organization, k.tenant_id, k.contact,
               made.id, null)::waha.outcome;
end
$$;

comment on function waha.ingest_known is
    'stores a message of a contact who is known; slug, id, tenant: what names '
    'its organization; null: waha.ingest_batch has to store it';


create or replace function waha.ingest(provider text, instance text,
    session text, kind text, direction text, chat text, message_id text,
    target_id text, phone text, lid text, name text, type text, body text,
    sent_at bigint, status text, metadata text, organization_slug text,
    organization_id text, tenant text, claims text,
    chat_id text default null, empty text default null,
    meta text default null)
returns setof waha.outcome
language plpgsql security definer
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
    done  waha.outcome;
begin
    if kind = 'message' and chat = 'person' and meta is null
       and claims is null and empty is null and message_id is not null
       and direction is not null and sent_at is not null
    then
        done := waha.ingest_known(
                    row(null, session, kind, direction, chat, message_id,
                        target_id, phone, lid,
                        waha.event_name(kind, direction, empty, name), type,
                        body, to_timestamp(sent_at / 1000.0), status,
                        metadata::jsonb, chat_id, false, null)::waha.event,
                    instance, organization_slug, organization_id, tenant);
    end if;

    if done.action is not null then
        return next done;
    else
        return query
            select *
              from waha.ingest_batch(array[provider], array[instance],
                       array[session], array[kind], array[direction],
                       array[chat], array[message_id], array[target_id],
                       array[phone], array[lid], array[name], array[type],
                       array[body], array[sent_at], array[status],
                       array[metadata], array[organization_slug],
                       array[organization_id], array[tenant], array[claims],
                       array[chat_id], array[empty],
                       case when meta is not null then array[meta] end);
    end if;
end
$$;

comment on function waha.ingest is
    'stores one event; result: one row with its outcome';

grant execute on function waha.ingest to waha_gateway;


create or replace function waha.ingest_each(provider text[],
    instance text[], session text[], kind text[], direction text[],
    chat text[], message_id text[], target_id text[], phone text[],
    lid text[], name text[], type text[], body text[], sent_at bigint[],
    status text[], metadata text[], organization_slug text[],
    organization_id text[], tenant text[], claims text[],
    chat_id text[] default null, empty text[] default null,
    meta text[] default null)
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
-- each of many records may wait for a lock, after the batch has waited
set lock_timeout = '100ms'
as $$
declare
    r  waha.outcome;
    n  int;
begin
    -- Session events first, as in a batch, then in the order of identities:
    -- locks are held until the end, and two calls that took them in opposite
    -- orders would wait for each other.

    for n in
        select k.pos
          from unnest(kind, session, phone, lid, meta)
               with ordinality as k (kind, session, phone, lid, meta, pos)
         order by k.kind = 'session' desc, k.session collate "C",
                  coalesce(k.phone, k.lid, k.meta::jsonb->>'bsuid')
                      collate "C", k.pos
    loop
        begin
            select * into r
              from waha.ingest(provider[n], instance[n], session[n], kind[n],
                               direction[n], chat[n], message_id[n],
                               target_id[n], phone[n], lid[n], name[n],
                               type[n], body[n], sent_at[n], status[n],
                               metadata[n], organization_slug[n],
                               organization_id[n], tenant[n], claims[n],
                               chat_id[n], empty[n], meta[n]);
        exception
            when others then
                r := null;
                r.action := 'failed';
                r.code := sqlstate;
        end;

        r.position := n - 1;
        return next r;
    end loop;
end
$$;

comment on function waha.ingest_each is
    'as waha.ingest_batch, but an event that fails does not affect the '
    'others: its action is failed, its code the SQLSTATE';

grant execute on function waha.ingest_each to waha_gateway;
