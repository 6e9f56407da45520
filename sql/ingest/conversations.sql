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


create or replace function waha.update_conversations(organizations text[],
    kinds text[], chats text[], sessions text[], directions text[],
    ids text[], contacts bigint[], times timestamptz[], bodies text[],
    fresh int[], changed waha.contact_activities[],
    woken waha.contact_activities[], read waha.contact_activities[])
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    open_org      text[];
    open_contact  bigint[];
    open_session  text[];
    m             record;
    n             int := cardinality(ids);
begin
    -- a message that was edited can be the last one of its conversation

    for m in
        select c.*, 'changed' as kind from unnest(changed) c
        union all
        select c.*, 'message' from unnest(woken) c
        union all
        select c.*, 'read' from unnest(read) c
    loop
        continue when m.chat <> 'person'
                      or m.activity_type <> 'whatsapp_message';

        n := n + 1;
        organizations[n] := m.organization_slug;
        kinds[n] := m.kind;
        chats[n] := m.chat;
        fresh := fresh || n;
        sessions[n] := m.session_name;
        directions[n] := m.direction;
        ids[n] := m.message_id;
        contacts[n] := waha.live_of(m.organization_slug, m.contact_id);
        times[n] := m.occurred_at;
        bodies[n] := m.message_content;
    end loop;

    -- One row for each conversation.  unread_count mostly follows from the
    -- row itself; where it does not, it is -1 until the messages are counted.

    with written as (
        insert into waha.conversations as c
                    (organization_slug, contact_id, session_name,
                     last_message_id, last_message_at, last_direction,
                     last_message, unread_count, unread_since,
                     last_inbound_at, last_outbound_at, read_at)
        select g.organization, g.contact, g.session, ids[g.last],
               times[g.last], directions[g.last],
               left(bodies[g.last], 255),
               case when g.unread = 0
                         or g.last_outbound_at is null and g.read_at is null
                    then g.unread else -1 end,
               g.unread_since, g.last_inbound_at, g.last_outbound_at,
               g.read_at
          from (select u.organization, u.contact, u.session,
                       (array_agg(u.pos))[count(*)] as last,
                       count(*) filter (where u.inbound) as unread,
                       min(u.at) filter (where u.inbound) as unread_since,
                       max(u.at) filter (where u.inbound)
                           as last_inbound_at,
                       max(u.at) filter (where not u.inbound)
                           as last_outbound_at,
                       max(u.at) filter (where u.kind = 'read') as read_at
                  from (select k.organization collate "C" as organization,
                               k.contact, k.session collate "C" as session,
                               k.pos, k.at, k.kind,
                               case when k.kind = 'message'
                                    then k.direction = 'inbound'
                               end as inbound
                          from unnest(organizations, kinds, chats, sessions,
                                      directions, ids, contacts, times)
                               with ordinality as k (organization, kind,
                                                     chat, session,
                                                     direction, id, contact,
                                                     at, pos)
                         where k.kind in ('message', 'changed', 'read')
                           and k.chat = 'person'
                           and k.pos = any (fresh)
                         order by 1, 2, 3, k.at, k.id collate "C") u
                 group by u.organization, u.contact, u.session) g
         order by g.organization, g.contact, g.session
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
    )
    select array_agg(w.organization_slug), array_agg(w.contact_id),
           array_agg(w.session_name)
      into open_org, open_contact, open_session
      from written w
     where w.unread_count < 0;

    if open_org is not null then
        perform waha.count_unread(o.organization, o.contact, o.session)
           from unnest(open_org, open_contact, open_session)
                as o (organization, contact, session);
    end if;
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
    m  waha.conversations;
begin
    for m in
        delete from waha.conversations c
         where c.organization_slug = organization
           and c.contact_id = merged
        returning *
    loop
        insert into waha.conversations as c
                    (organization_slug, contact_id, session_name,
                     last_message_id, last_message_at, last_direction,
                     last_message, unread_count, unread_since,
                     last_inbound_at, last_outbound_at, read_at)
            values (organization, kept, m.session_name, m.last_message_id,
                    m.last_message_at, m.last_direction, m.last_message,
                    m.unread_count, m.unread_since, m.last_inbound_at,
                    m.last_outbound_at, m.read_at)
        on conflict (organization_slug, contact_id, session_name) do update
           set last_message_id = (waha.combine(c, excluded)).last_message_id,
               last_message_at = (waha.combine(c, excluded)).last_message_at,
               last_direction = (waha.combine(c, excluded)).last_direction,
               last_message = (waha.combine(c, excluded)).last_message,
               unread_count = waha.unread(c, excluded),
               unread_since = waha.unread_since(c, excluded),
               last_inbound_at = (waha.combine(c, excluded)).last_inbound_at,
               last_outbound_at = (waha.combine(c, excluded)).last_outbound_at,
               read_at = (waha.combine(c, excluded)).read_at;

        perform waha.count_unread(organization, kept, m.session_name);
    end loop;
end
$$;

comment on function waha.move_conversations(text, bigint, bigint) is
    'adds the conversations of a merged contact to those of the kept one; its '
    'messages must have been moved before, or noted in waha.moves';
