-- Conversations: the messages of one contact on one number, as an inbox shows
-- them.

create or replace function waha.unread(was waha.conversations,
    new waha.conversations) returns int
language sql immutable
as $$
    select case
           when new.unread_count < 0 then -1

           when new.last_inbound_at is not null then
               case when coalesce(new.unread_since
                                  > greatest(was.last_outbound_at,
                                             was.read_at), true)
                    then was.unread_count + new.unread_count
                    when new.last_inbound_at
                         <= greatest(was.last_outbound_at, was.read_at)
                    then was.unread_count
                    else -1
               end

           when greatest(new.last_outbound_at, new.read_at)
                > coalesce(greatest(was.last_outbound_at, was.read_at),
                           '-infinity') then
               case when coalesce(was.last_inbound_at
                                  <= greatest(new.last_outbound_at,
                                              new.read_at), true)
                    then 0
                    else -1
               end

           else was.unread_count
           end
$$;

comment on function waha.unread(waha.conversations, waha.conversations) is
    'unread_count of a conversation after new is added; -1: the messages have '
    'to be counted';


create or replace function waha.unread_since(was waha.conversations,
    new waha.conversations) returns timestamptz
language sql immutable
as $$
    select case waha.unread(was, new)
           when 0 then null
           when was.unread_count then was.unread_since
           else least(was.unread_since, new.unread_since)
           end
$$;

comment on function
    waha.unread_since(waha.conversations, waha.conversations) is
    'unread_since of a conversation after new is added';


-- PostgreSQL inlines this because it selects one row expression and has no
-- "from": as a subquery or a call it would take up to 8 % of the time of a
-- message.  It is inlined once for each column, so the two columns that are
-- dear to plan are not in it.

create or replace function waha.combine(was waha.conversations,
    new waha.conversations) returns waha.conversations
language sql immutable
as $$
    select row(
        was.organization_slug, was.contact_id, was.session_name,
        -- last_message_id
        case when (new.last_message_at, new.last_message_id)
                  >= (was.last_message_at, was.last_message_id)
             then new.last_message_id else was.last_message_id end,
        -- last_message_at
        greatest(new.last_message_at, was.last_message_at),
        -- last_direction
        case when (new.last_message_at, new.last_message_id)
                  >= (was.last_message_at, was.last_message_id)
             then new.last_direction else was.last_direction end,
        -- last_message
        case when (new.last_message_at, new.last_message_id)
                  >= (was.last_message_at, was.last_message_id)
             then new.last_message else was.last_message end,
        -- unread_count and unread_since: waha.unread, waha.unread_since
        null, null,
        -- last_inbound_at
        greatest(was.last_inbound_at, new.last_inbound_at),
        -- last_outbound_at
        greatest(was.last_outbound_at, new.last_outbound_at),
        -- read_at
        greatest(was.read_at, new.read_at),
        -- last_day: generated
        null)::waha.conversations
$$;

comment on function waha.combine(waha.conversations, waha.conversations) is
    'a conversation after new is added, without unread_count and unread_since';


create or replace function waha.merge_conversations(
    new waha.conversations[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    c  record;
begin
    -- unread_count mostly follows from the row itself; where it does not, it
    -- is -1 until the messages are counted

    for c in
        insert into waha.conversations as c
                    (organization_slug, contact_id, session_name,
                     last_message_id, last_message_at, last_direction,
                     last_message, unread_count, unread_since,
                     last_inbound_at, last_outbound_at, read_at)
        select n.organization_slug, n.contact_id, n.session_name,
               n.last_message_id, n.last_message_at, n.last_direction,
               n.last_message, n.unread_count, n.unread_since,
               n.last_inbound_at, n.last_outbound_at, n.read_at
          from unnest(new) n
        on conflict (organization_slug, contact_id, session_name) do update
           set last_message_id = (waha.combine(c, excluded)).last_message_id,
               last_message_at = (waha.combine(c, excluded)).last_message_at,
               last_direction = (waha.combine(c, excluded)).last_direction,
               last_message = (waha.combine(c, excluded)).last_message,
               unread_count = waha.unread(c, excluded),
               unread_since = waha.unread_since(c, excluded),
               last_inbound_at = (waha.combine(c, excluded)).last_inbound_at,
               last_outbound_at = (waha.combine(c, excluded)).last_outbound_at,
               read_at = (waha.combine(c, excluded)).read_at
        returning c.organization_slug, c.contact_id, c.session_name,
                  c.unread_count
    loop
        continue when c.unread_count >= 0;

        perform waha.count_unread(c.organization_slug, c.contact_id,
                                  c.session_name);
    end loop;
end
$$;

comment on function waha.merge_conversations(waha.conversations[]) is
    'adds what is new to conversations, in the given order';


create or replace function waha.update_conversations(events waha.event[],
    contacts bigint[], fresh int[], changed waha.contact_activities[],
    woken waha.contact_activities[], read waha.contact_activities[])
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    m     record;
    last  waha.event;
    new   waha.conversations[];
begin
    -- a message that was edited can be the last one of its conversation

    if changed is not null or woken is not null or read is not null then
        for m in
            select c.*, 'changed' as kind from unnest(changed) c
            union all
            select c.*, 'message' from unnest(woken) c
            union all
            select c.*, 'read' from unnest(read) c
        loop
            continue when m.activity_type <> 'whatsapp_message';

            last.organization := m.organization_slug;
            last.session := m.session_name;
            last.kind := m.kind;
            last.direction := m.direction;
            last.chat := m.chat;
            last.message_id := m.message_id;
            last.body := m.message_content;
            last.at := m.occurred_at;
            last.empty := false;
            events := events || last;
            contacts := contacts || waha.live_of(m.organization_slug,
                                                 m.contact_id);
            fresh := fresh || cardinality(events);
        end loop;
    end if;

    -- one row for each conversation

    select array_agg(row(
               g.organization, g.contact, g.session,
               (events[g.last]).message_id, (events[g.last]).at,
               (events[g.last]).direction, left((events[g.last]).body, 255),
               case when g.unread = 0
                         or g.last_outbound_at is null and g.read_at is null
                    then g.unread else -1 end,
               g.unread_since, g.last_inbound_at, g.last_outbound_at,
               g.read_at, null)::waha.conversations)
      into new
      from (select u.organization, u.contact, u.session,
                   (array_agg(u.pos))[count(*)] as last,
                   count(*) filter (where u.inbound) as unread,
                   min(u.at) filter (where u.inbound) as unread_since,
                   max(u.at) filter (where u.inbound) as last_inbound_at,
                   max(u.at) filter (where not u.inbound)
                       as last_outbound_at,
                   max(u.at) filter (where u.kind = 'read') as read_at
              from (select e.organization collate "C" as organization,
                           contacts[e.ordinality] as contact,
                           e.session collate "C" as session,
                           e.ordinality as pos, e.at, e.kind,
                           case when e.kind = 'message'
                                then e.direction = 'inbound'
                           end as inbound
                      from unnest(events) with ordinality as e
                     where e.kind in ('message', 'changed', 'read')
                       and e.chat = 'person'
                       and not e.empty
                       and e.ordinality = any (fresh)
                     order by 1, 2, 3, e.at, e.message_id collate "C") u
             group by u.organization, u.contact, u.session
             order by u.organization, u.contact, u.session) g;

    perform waha.merge_conversations(new);
end
$$;

comment on function waha.update_conversations is
    'updates waha.conversations with messages that were stored (fresh, '
    'woken), that were changed (changed), and that were read on the phone '
    '(read)';


-- Each contact is looked up by itself: of "= any (contacts)" a planner may make
-- a filter over the whole organization.  No index of the CRM fits the order or
-- the collation.

create or replace function waha.count_unread(organization text,
    contact bigint, session text) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    ids  bigint[] := waha.with_moving(organization, contact);
begin
    update waha.conversations c
       set (unread_count, unread_since) = (
               select count(m.occurred_at), min(m.occurred_at)
                 from unnest(ids) as k (id)
                cross join lateral (
                      select a.occurred_at
                        from waha.contact_activities a
                       where a.organization_slug = organization collate "POSIX"
                         and a.contact_id = k.id
                         and a.session_name = session
                         and a.activity_type = 'whatsapp_message'
                                 collate "POSIX"
                         and a.direction = 'inbound' collate "POSIX"
                         and a.chat = 'person' collate "POSIX"
                         and (a.metadata ? 'empty') is not true
                         and a.occurred_at
                             > coalesce(greatest(c.last_outbound_at,
                                                 c.read_at), '-infinity')
                       order by a.occurred_at desc) m)
     where c.organization_slug = organization
       and c.contact_id = contact
       and c.session_name = session;
end
$$;

comment on function waha.count_unread(text, bigint, text) is
    'counts the inbound messages newer than last_outbound_at and read_at';


create or replace function waha.move_conversations(organization text,
    kept bigint, merged bigint) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    c     waha.conversations;
    was   waha.conversations[];
begin
    for c in
        delete from waha.conversations c
         where c.organization_slug = organization
           and c.contact_id = merged
        returning *
    loop
        c.contact_id := kept;
        c.unread_count := -1;
        was := was || c;
    end loop;

    perform waha.merge_conversations(was);
end
$$;

comment on function waha.move_conversations(text, bigint, bigint) is
    'adds the conversations of a merged contact to those of the kept one; its '
    'messages must have been moved before, or noted in waha.moves';
