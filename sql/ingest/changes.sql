-- Whose change it is.  A change of a message is taken when it fits the chat
-- and the person of the message; until then it is in waha.waiting_changes.

create or replace function waha.vote_options(metadata jsonb) returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    select coalesce(jsonb_agg(left(o.name, 100) order by o.n), '[]')
      from jsonb_array_elements_text(
               case when jsonb_typeof(metadata->'options') = 'array'
                    then metadata->'options' else '[]' end)
           with ordinality as o (name, n)
     where o.n <= 12
$$;

comment on function waha.vote_options(jsonb) is
    'the options of a vote, up to 12, each up to 100 characters';


create or replace function waha.new_change(organization text, session text,
    target text, kind text, direction text, chat text, chat_id text,
    phone text, lid text, id text, at timestamptz, status text, body text,
    metadata jsonb) returns waha.waiting_changes
language sql stable
set search_path = waha, pg_temp
as $$
    -- of a reaction and of a vote, no more than WhatsApp's own limits

    select row(null, organization, session, target, kind,
               coalesce(direction, 'inbound'), coalesce(chat, ''),
               coalesce(chat_id, ''), coalesce(waha.phone_key(phone), ''),
               coalesce(lid, ''),
               case when kind = 'edit' then coalesce(id, '') else '' end,
               at, status,
               case when kind = 'reaction'
                    then left(coalesce(body, ''), 32) else body end,
               case when kind = 'vote' then waha.vote_options(metadata) end,
               coalesce(metadata @> '{"sanitised": true}', false),
               coalesce(octet_length(body), 0)
               + case when kind = 'vote'
                      then coalesce(pg_column_size(metadata), 0) else 0 end,
               now(), case when kind = 'status' then metadata->'details' end)
               ::waha.waiting_changes
$$;

comment on function waha.new_change is
    'the change that an event tells of, as a row of waha.waiting_changes';


create or replace function waha.join_details(one jsonb, other jsonb)
returns jsonb
language sql immutable
set search_path = waha, pg_temp
as $$
    -- of two for the same status always the same one: they come in any order

    select jsonb_object_agg(d.key, d.value)
      from (select distinct on (u.key) u.key, u.value
              from (select * from jsonb_each(one)
                    union all
                    select * from jsonb_each(other)) u
             where waha.status_rank(u.key) > 0
             order by u.key, octet_length(u.value::text) desc,
                      u.value::text collate "C") d
$$;

comment on function waha.join_details(jsonb, jsonb) is
    'the details of each status in either object';


create or replace function waha.change_fits(c waha.waiting_changes)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    a         record;
    by_phone  bigint;
    by_lid    bigint;
    own       boolean;
    other     boolean;
    near      boolean;
begin
    for a in
        select v.contact_id, v.direction, coalesce(v.chat, 'person') as chat,
               coalesce(v.metadata->>'chat_id',
                        v.metadata->>'whatsapp_chat_id') as chat_id
          from waha.contact_activities v
         where v.organization_slug = c.organization_slug collate "C"
           and v.session_name = c.session_name
           and v.message_id = c.message_id
         order by v.direction
    loop
        continue when c.chat not in ('', a.chat);

        select i.contact_id into by_phone
          from waha.contact_identities i
         where i.organization_slug = c.organization_slug
           and i.kind = 'phone'
           and i.key = c.phone;

        select i.contact_id into by_lid
          from waha.contact_identities i
         where i.organization_slug = c.organization_slug
           and i.kind = waha.hidden_kind(c.lid)
           and i.key = c.lid;

        -- messages of a merged contact may still be with it

        if by_phone <> a.contact_id or by_lid <> a.contact_id then
            a.contact_id := waha.live_contact(c.organization_slug,
                                              a.contact_id);
        end if;

        own := coalesce(by_phone = a.contact_id, false)
               or coalesce(by_lid = a.contact_id, false);
        other := coalesce(by_phone <> a.contact_id, false)
                 or coalesce(by_lid <> a.contact_id, false);

        if a.chat in ('person', 'bot') then
            near := case when c.kind = 'status' then not other
                         else own and not other end;
            own := near;
        else
            near := c.chat_id = '' or coalesce(c.chat_id = a.chat_id, true);
            own := near and (c.direction = 'outbound' or own and not other);
        end if;

        -- WhatsApp lets the administrators of a group delete messages

        if c.kind = 'edit' and own and c.direction = a.direction
           or c.kind = 'revoke' and own and c.direction = a.direction
           or c.kind = 'revoke' and a.chat = 'group'
              and c.chat_id = coalesce(a.chat_id, '')
           or c.kind in ('status', 'reaction', 'vote') and near
        then
            return true;
        end if;
    end loop;

    return false;
end
$$;

comment on function waha.change_fits(waha.waiting_changes) is
    'whether the message of a change is stored, and is of the chat and, where '
    'only its author may make that change, of the person of it; a number or '
    'hidden id that no contact has is no reason against a status';


create or replace function waha.add_change(state waha.message_states,
    c waha.waiting_changes) returns waha.message_states
language plpgsql immutable
set search_path = waha, pg_temp
as $$
declare
    entry   jsonb := jsonb_build_object('at', waha.milliseconds(c.at));
    person  text;
begin
    if c.sanitised then
        entry := entry || '{"sanitised": true}';
    end if;

    person := case when c.direction = 'outbound' then 'me'
                   when c.chat in ('person', 'bot') then 'contact'
                   when c.phone <> '' then c.phone
                   else c.lid end;

    if c.kind = 'status' then
        if waha.status_rank(c.status) > waha.status_rank(state.status)
           or c.status = state.status and c.at < state.status_at
              and waha.status_rank(c.status) > 0
        then
            state.status := c.status;
            state.status_at := c.at;
        end if;

        if c.details is not null then
            state.details := waha.join_details(state.details, c.details);
        end if;

    elsif c.kind = 'reaction' then
        state.reactions := waha.newest_of_people(state.reactions,
            jsonb_build_object(person, entry
                || jsonb_build_object('emoji', coalesce(c.body, ''))));

    elsif c.kind = 'vote' then
        state.votes := waha.newest_of_people(state.votes,
            jsonb_build_object(person, entry
                || jsonb_build_object('options', c.options)));

    elsif c.kind = 'edit' then
        state.edited_at := greatest(state.edited_at, c.at);

        if c.body is not null then
            state.edits := waha.newest_edits(state.edits, jsonb_build_array(
                entry || jsonb_build_object('id', c.change_id,
                                            'text', c.body,
                                            'direction', c.direction)));
        end if;

    else
        state.revoked_at := least(state.revoked_at, c.at);
    end if;

    return state;
end
$$;

comment on function waha.add_change is
    'the state of a message after a change; equal to the one before if the '
    'change tells nothing new';


create or replace function waha.keep_change(c waha.waiting_changes)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    most     constant int := 100;
    bytes    constant int := 262144;
    changed  boolean;
    told     boolean := false;
    spare    tid[];
begin
    -- an edit has an id; of other changes, a person's newest one counts

    insert into waha.waiting_changes as w
                (organization_slug, session_name, message_id, kind,
                 direction, chat, chat_id, phone, lid, change_id, at, status,
                 body, options, sanitised, size, details)
        values (c.organization_slug, c.session_name, c.message_id, c.kind,
                c.direction, c.chat, c.chat_id, c.phone, c.lid, c.change_id,
                c.at, c.status, c.body, c.options, c.sanitised, c.size,
                c.details)
        on conflict on constraint waiting_changes_pkey do update
           set at = excluded.at,
               status = excluded.status,
               body = excluded.body,
               options = excluded.options,
               sanitised = w.sanitised or excluded.sanitised,
               size = excluded.size
         where case
               when w.kind = 'status' then
                   waha.status_rank(excluded.status)
                   > waha.status_rank(w.status)
                   or excluded.status = w.status and excluded.at < w.at
               when w.kind = 'revoke' then excluded.at < w.at
               else (excluded.at, coalesce(excluded.body, '') collate "C",
                     coalesce(excluded.options, '[]'))
                    > (w.at, coalesce(w.body, '') collate "C",
                       coalesce(w.options, '[]'))
               end;

    changed := found;

    if c.sanitised then
        update waha.waiting_changes w
           set sanitised = true
         where w.organization_slug = c.organization_slug
           and w.session_name = c.session_name
           and w.message_id = c.message_id
           and w.kind = c.kind
           and w.direction = c.direction
           and w.chat = c.chat
           and w.chat_id = c.chat_id
           and w.phone = c.phone
           and w.lid = c.lid
           and w.change_id = c.change_id
           and not w.sanitised;
    end if;

    if c.details is not null then
        update waha.waiting_changes w
           set details = waha.join_details(w.details, c.details)
         where w.organization_slug = c.organization_slug
           and w.session_name = c.session_name
           and w.message_id = c.message_id
           and w.kind = c.kind
           and w.direction = c.direction
           and w.chat = c.chat
           and w.chat_id = c.chat_id
           and w.phone = c.phone
           and w.lid = c.lid
           and w.change_id = c.change_id
           and w.details
               is distinct from waha.join_details(w.details, c.details);

        told := found;
    end if;

    if changed then
        spare := array(
            select k.ctid
              from (select w.ctid, row_number() over newest as n,
                           sum(w.size) over newest as size
                      from waha.waiting_changes w
                     where w.organization_slug
                           = c.organization_slug collate "POSIX"
                       and w.phone = c.phone collate "POSIX"
                       and w.lid = c.lid collate "POSIX"
                       and w.session_name = c.session_name collate "POSIX"
                    window newest as (order by w.id desc)) k
             where k.n > most
                or k.n > 1 and k.size > bytes);

        perform waha.drop_changes(c.organization_slug, spare);
        perform waha.drop_changes(c.organization_slug, waha.crowd_of(c));
    end if;

    return changed or told;
end
$$;

comment on function waha.keep_change(waha.waiting_changes) is
    'stores a change that does not fit; of one person in one session, the '
    'newest 100 are kept and no more than 256 kB; result: whether it tells '
    'something new';


create or replace function waha.crowd_of(c waha.waiting_changes)
returns tid[]
language plpgsql stable
set search_path = waha, pg_temp
as $$
begin
    -- people take turns, so that one alone cannot push out the others; of
    -- reactions and votes, a message that comes shows no more than these

    return array(
        select k.ctid
          from (select n.ctid,
                       row_number() over (
                           order by n.turn, waha.status_rank(n.status) desc,
                                    n.at desc, n.id desc) as place
                  from (select w.ctid, w.id, w.at, w.status,
                               row_number() over (
                                   partition by w.phone, w.lid
                                   order by w.at desc, w.id desc) as turn
                          from waha.waiting_changes w
                         where w.organization_slug = c.organization_slug
                           and w.session_name = c.session_name
                           and w.message_id = c.message_id
                           and w.kind = c.kind) n) k
         where k.place > 32);
end
$$;

comment on function waha.crowd_of(waha.waiting_changes) is
    'places of the changes of the same kind that wait for the same message, '
    'beyond 32';


create or replace function waha.drop_changes(organization text,
    places tid[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    w  waha.waiting_changes;
begin
    if places = '{}' then
        return;
    end if;

    -- not those that another transaction holds

    for w in
        delete from waha.waiting_changes k
         where k.organization_slug = organization collate "ucs_basic"
           and k.ctid = any (array(
               select o.ctid
                 from waha.waiting_changes o
                where o.organization_slug = organization collate "ucs_basic"
                  and o.ctid = any (places)
                  for update skip locked))
        returning k.*
    loop
        perform waha.drop_waiting_state(w.organization_slug, w.session_name,
                                        w.message_id);
    end loop;
end
$$;

comment on function waha.drop_changes(text, tid[]) is
    'removes changes that wait, to make room for newer ones';


create or replace function waha.waiting_for(state waha.message_states,
    everything boolean, sure waha.waiting_changes[])
returns waha.waiting_changes[]
language plpgsql stable
set search_path = waha, pg_temp
as $$
begin
    if everything then
        return array(
            select w
              from waha.waiting_changes w
             where w.organization_slug = state.organization_slug
               and w.session_name = state.session_name
               and w.message_id = state.message_id
             order by w.id);
    end if;

    -- what fits now may have waited before

    return array(
        select w
          from unnest(sure) as s
         cross join lateral (
                select k
                  from waha.waiting_changes k
                 where k.organization_slug = s.organization_slug
                   and k.session_name = s.session_name
                   and k.message_id = s.message_id
                   and k.kind = s.kind
                   and k.direction = s.direction
                   and k.chat = s.chat
                   and k.chat_id = s.chat_id
                   and k.phone = s.phone
                   and k.lid = s.lid
                 limit 100) as l (w)
         order by (w).id);
end
$$;

comment on function waha.waiting_for is
    'the changes that wait for a message: everything, or those by whom and '
    'where a change that fits was made';


create or replace function waha.drop_waiting_state(organization text,
    session text, message text) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    delete from waha.message_states s
     where s.organization_slug = organization collate "ucs_basic"
       and s.ctid = (
           select k.ctid
             from waha.message_states k
            where k.organization_slug = organization
              and k.session_name = session
              and k.message_id = message
              and k.waiting
              and (select true
                     from waha.waiting_changes w
                    where w.organization_slug = organization
                      and w.session_name = session
                      and w.message_id = message
                    limit 1) is null
            limit 1
              for update skip locked);
end
$$;

comment on function waha.drop_waiting_state(text, text, text) is
    'removes the state of a message that is not there when no change waits '
    'for it any more, unless another transaction holds it';


create or replace function waha.drop_change(c waha.waiting_changes)
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    delete from waha.waiting_changes w
     where w.organization_slug = c.organization_slug
       and w.session_name = c.session_name
       and w.message_id = c.message_id
       and w.kind = c.kind
       and w.direction = c.direction
       and w.chat = c.chat
       and w.chat_id = c.chat_id
       and w.phone = c.phone
       and w.lid = c.lid
       and w.change_id = c.change_id;
end
$$;

comment on function waha.drop_change(waha.waiting_changes) is
    'removes a change that waits no longer';


create or replace function waha.changes_of(events waha.event[],
    strangers int[], linked_org text[], linked bigint[],
    out organization text, out session text, out message text)
returns setof record
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select distinct w.organization_slug, w.session_name, w.message_id
          from (select (events[s]).organization, 'phone' as kind,
                       waha.phone_key((events[s]).phone) as key
                  from unnest(strangers) s

                union all

                select (events[s]).organization, 'lid', (events[s]).lid
                  from unnest(strangers) s

                union all

                select u.organization,
                       case when i.kind = 'bsuid' then 'lid' else i.kind end,
                       i.key
                  from (select distinct k.organization, k.contact
                          from unnest(linked_org, linked)
                               as k (organization, contact)
                         where k.organization is not null
                           and k.contact is not null) u
                 cross join lateral (
                        select i.kind, i.key
                          from waha.contact_identities i
                         where i.organization_slug
                               = u.organization collate "POSIX"
                           and i.contact_id = u.contact
                         limit 1000) i) u
         cross join lateral (
                (select k.organization_slug, k.session_name, k.message_id
                   from waha.waiting_changes k
                  where u.kind = 'phone'
                    and k.organization_slug = u.organization collate "POSIX"
                    and k.phone = u.key collate "POSIX"
                  limit 1000)
                 union all
                (select k.organization_slug, k.session_name, k.message_id
                   from waha.waiting_changes k
                  where u.kind = 'lid'
                    and k.lid = u.key collate "POSIX"
                    and k.organization_slug = u.organization collate "default"
                  limit 1000)) w;
end
$$;

comment on function waha.changes_of is
    'messages that changes wait for: by the numbers and hidden ids of '
    'strangers, and by any of linked contacts';


create or replace function waha.waiting_of(organization text, keys text[])
returns setof tid
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select distinct k.ctid
          from unnest(keys) as u (key)
         cross join lateral (
                (select w.ctid
                   from waha.waiting_changes w
                  where w.organization_slug = organization collate "POSIX"
                    and w.phone = u.key collate "POSIX")
                 union all
                (select w.ctid
                   from waha.waiting_changes w
                  where w.lid = u.key collate "POSIX"
                    and w.organization_slug
                        = organization collate "default")) k;
end
$$;

comment on function waha.waiting_of(text, text[]) is
    'places of the changes by people with these keys that wait';


create or replace function waha.erase_waiting(organization text,
    keys text[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    places  tid[] := array(select waha.waiting_of(organization, keys));
    hashes  bytea[];
begin
    with gone as materialized (
        delete from waha.waiting_changes w
         where w.organization_slug = organization collate "ucs_basic"
           and w.ctid = any (places)
        returning w.organization_slug, w.session_name, w.message_id, w.phone,
                  w.lid
    ), forgotten as (
        delete from waha.message_states s
         using gone g
         where s.organization_slug = organization
           and s.session_name = g.session_name
           and s.message_id = g.message_id
           and s.waiting
    )
    select array_agg(waha.erased_key(g.organization_slug, g.session_name,
                                     g.message_id, p.key))
      into hashes
      from gone g
     cross join lateral (values (g.phone), (g.lid)) as p (key)
     where p.key <> '';

    perform waha.remember(hashes);

    delete from waha.moved_people m
     where m.organization_slug = organization
       and (m.key = any (keys) or m.other_key = any (keys));
end
$$;

comment on function waha.erase_waiting(text, text[]) is
    'removes the changes by people with these keys that still wait, and what '
    'was told of their messages, and remembers them; and what is known of '
    'other identities of these people';
