-- How a merge of two contacts is taken back.

create or replace function waha.rebuild_conversations(organization text,
    contact bigint, reads jsonb) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r  record;
begin
    delete from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = contact;

    insert into waha.conversations
                (organization_slug, contact_id, session_name,
                 last_message_id, last_message_at, last_direction,
                 last_message, unread_count, last_inbound_at,
                 last_outbound_at, read_at)
    select distinct on (a.session_name)
           organization, contact, a.session_name, a.message_id,
           a.occurred_at, a.direction, left(a.message_content, 255), 0,
           max(a.occurred_at) filter (where a.direction = 'inbound')
               over (partition by a.session_name),
           max(a.occurred_at) filter (where a.direction = 'outbound')
               over (partition by a.session_name),
           (reads->>a.session_name)::timestamptz
      from waha.contact_activities a
     where a.organization_slug = organization collate "POSIX"
       and a.contact_id = contact
       and a.activity_type = 'whatsapp_message' collate "POSIX"
       and a.chat = 'person' collate "POSIX"
       and a.message_id is not null
       and (a.metadata ? 'empty') is not true
     order by a.session_name, a.occurred_at desc,
              a.message_id collate "C" desc;

    for r in
        select v.session_name
          from waha.conversations v
         where v.organization_slug = organization
           and v.contact_id = contact
    loop
        perform waha.count_unread(organization, contact, r.session_name);
    end loop;
end
$$;

comment on function waha.rebuild_conversations(text, bigint, jsonb) is
    'makes the conversations of a contact from its messages; reads: read_at '
    'of each session';


create or replace function waha.restore_names(organization text,
    contact bigint, other jsonb, was jsonb) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    -- what a person has edited since stays

    update waha.contacts c
       set first_name = case when c.first_name = n.first
                             then was->>'first_name' else c.first_name end,
           last_name = case when c.last_name = n.last
                            then was->>'last_name' else c.last_name end,
           whatsapp_name = case when c.whatsapp_name
                                     = other->>'whatsapp_name'
                                then was->>'whatsapp_name'
                                else c.whatsapp_name end,
           phone_1 = case when n.phones ? c.phone_1
                          then was->>'phone_1' else c.phone_1 end,
           phone_2 = case when n.phones ? c.phone_2
                          then was->>'phone_2' else c.phone_2 end,
           phone_3 = case when n.phones ? c.phone_3
                          then was->>'phone_3' else c.phone_3 end
      from (select coalesce(other->>'first_name', '') as first,
                   coalesce(other->>'last_name', '') as last,
                   coalesce((
                       select jsonb_agg('+' || waha.phone_digits(p, null))
                         from unnest(array[other->>'phone_1',
                                           other->>'phone_2',
                                           other->>'phone_3']) p
                        where waha.phone_digits(p, null) is not null),
                       '[]') as phones) n
     where c.organization_slug = organization collate "C"
       and c.id = contact;
end
$$;

comment on function waha.restore_names(text, bigint, jsonb, jsonb) is
    'gives a contact its own names and numbers back where it has those of '
    'another one';


create or replace function waha.unmerge(organization text, contact bigint)
returns void
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_variable
declare
    m      waha.merges;
    kept   bigint;
    reads  jsonb;
    ids    bigint[];
begin
    select k.* into m
      from waha.merges k
     where k.organization_slug = organization
       and k.merged_id = contact
       and k.undone_at is null
     order by k.id desc
     limit 1;

    if not found then
        raise exception 'contact % of organization "%" was not merged by an '
            'event', contact, organization
            using hint = 'Name the contact that has merged_into.';
    end if;

    kept := waha.live_contact(organization, contact);

    perform waha.lock_people(organization, array[contact, m.kept_id, kept]);

    update waha.merges k
       set undone_at = now()
     where k.organization_slug = organization collate "ucs_basic"
       and k.id = m.id
       and k.undone_at is null;

    if not found or waha.live_contact(organization, contact) <> kept then
        raise serialization_failure
            using message = 'the contacts were merged or taken apart '
                'meanwhile';
    end if;

    -- the contact, and those that it had got before

    update waha.contacts c
       set merged_into = null,
           first_name = m.merged_was->>'first_name',
           last_name = m.merged_was->>'last_name',
           whatsapp_name = m.merged_was->>'whatsapp_name',
           phone_1 = m.merged_was->>'phone_1',
           phone_2 = m.merged_was->>'phone_2',
           phone_3 = m.merged_was->>'phone_3'
     where c.organization_slug = organization collate "C"
       and c.id = contact;

    perform waha.restore_names(organization, m.kept_id, m.merged_was,
                               m.kept_was);

    update waha.contact_identities i
       set contact_id = contact
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = kept
       and i.kind || ' ' || i.key = any (m.identities);

    ids := waha.persons(organization, contact);

    update waha.contact_activities a
       set contact_id = contact
     where a.organization_slug = organization collate "ucs_basic"
       and a.id = any (array(
           select k.activity_id
             from waha.moved_messages k
            where k.organization_slug = organization
              and k.contact_id = any (ids)));

    delete from waha.moved_messages k
     where k.organization_slug = organization
       and k.contact_id = contact;

    delete from waha.moves v
     where v.organization_slug = organization
       and v.from_id = contact;

    update waha.moves v
       set to_id = contact
     where v.organization_slug = organization
       and v.from_id = any (ids)
       and v.to_id = kept;

    select coalesce(jsonb_object_agg(v.session_name, v.read_at), '{}')
      into reads
      from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = kept;

    perform waha.rebuild_conversations(organization, kept, reads);
    perform waha.rebuild_conversations(organization, contact, reads);

    perform waha.record_audit(organization, 'contact.unmerge',
                              contact => contact,
                              details => jsonb_build_object('kept', kept));
end
$$;

comment on function waha.unmerge(text, bigint) is
    'takes the merge of a contact back: its identities, names and numbers, '
    'and the messages that it had; what came since stays with the other '
    'contact; the two are not merged again by an event';

grant execute on function waha.unmerge(text, bigint) to waha_admin;
