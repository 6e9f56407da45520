-- The four tables of the CRM under fixed names.  Functions use them only
-- through these views, with the rights of waha_owner; see also writes.sql.

create or replace view waha.organizations as
select id, slug, name, country_code, whatsapp_enabled, whatsapp_session_name,
       whatsapp_status, whatsapp_phone_number, whatsapp_connected_at,
       waha_instance
  from :"crm_schema".organizations;

comment on view waha.organizations is
    'tenants, as functions of schema waha see them';

create or replace view waha.traffic_channels as
select id, organization_slug, name
  from :"crm_schema".traffic_channels;

comment on view waha.traffic_channels is
    'lead sources, as functions of schema waha see them';

create or replace view waha.contacts as
select id, organization_slug, first_name, last_name, phone_1, phone_2,
       phone_3, contact_type, traffic_source_id, state, whatsapp_name,
       merged_into, created_at
  from :"crm_schema".contacts;

comment on view waha.contacts is 'people, as functions of schema waha see them';

-- a CRM may have no created_at there, or one of another type

select case when exists (
           select
             from pg_attribute a
            where a.attrelid = format('%I.contact_activities',
                                      :'crm_schema')::regclass
              and a.attname = 'created_at'
              and a.atttypid in ('timestamp'::regtype,
                                 'timestamptz'::regtype)
              and not a.attisdropped)
       then 'created_at' else 'null' end as activity_created \gset

create or replace view waha.contact_activities as
select id, organization_slug, contact_id, activity_type, direction,
       message_content, metadata, session_name, message_id, message_type,
       chat, sender_name, occurred_at,
       :activity_created::timestamptz as created_at
  from :"crm_schema".contact_activities;

comment on view waha.contact_activities is
    'messages and calls, as functions of schema waha see them';
