-- Organizations t0, t1, ..., each with a session of the same name, and
-- contacts who have each written once: the state in which a CRM lives.

insert into waha.organizations (slug, name, whatsapp_enabled)
select 't' || i, 'Acme t' || i, true
  from generate_series(0, :organizations - 1) i;

insert into waha.sessions (organization_slug, name, status)
select 't' || i, 't' || i, 'WORKING'
  from generate_series(0, :organizations - 1) i;

insert into waha.traffic_channels (organization_slug, name)
select 't' || i, 'WhatsApp'
  from generate_series(0, :organizations - 1) i;

create temp table person as
select i as number, 't' || i % :organizations as slug,
       '79' || lpad(i::text, 9, '0') as phone, 'Боб ' || i || ' 🙂' as name
  from generate_series(0, :contacts - 1) i;

insert into waha.contacts (organization_slug, first_name, phone_1,
                           contact_type, traffic_source_id, whatsapp_name,
                           created_at)
select p.slug, p.name, '+' || p.phone, 'lead', c.id, p.name,
       now() - interval '1 day'
  from person p
  join waha.traffic_channels c on c.organization_slug = p.slug
 order by p.number;

create temp table met as
select p.*, c.id, now() - interval '1 hour' as at
  from person p
  join waha.contacts c on c.organization_slug = p.slug
   and c.phone_1 = '+' || p.phone;

insert into waha.contact_identities as i (organization_slug, kind, key,
                                          contact_id, seen, proved)
select slug, 'phone', waha.phone_key(phone), id, phone, true
  from met
 order by number
    on conflict (organization_slug, kind, key) do update
   set proved = true, seen = excluded.seen;

insert into waha.contact_activities (contact_id, organization_slug,
    activity_type, direction, message_content, metadata, session_name,
    message_id, message_type, chat, sender_name, occurred_at)
select id, slug, 'whatsapp_message', 'inbound', 'Добрый день', '{}',
       slug, 'SEED' || md5(number::text), 'text', 'person', name, at
  from met
 order by number;

insert into waha.conversations (organization_slug, contact_id, session_name,
    last_message_id, last_message_at, last_direction, last_message,
    unread_count, last_inbound_at)
select slug, id, slug, 'SEED' || md5(number::text), at, 'inbound',
       'Добрый день', 1, at
  from met
 order by number;

drop table met, person;

vacuum analyze;
