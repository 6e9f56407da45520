-- Comments on the four tables, where the CRM has none of its own.

do $$
declare
    crm  name := current_setting('waha.crm_schema');
    c    record;
begin
    for c in
        select w.*, format('%I.%I', crm, w.tab)::regclass as relid
          from (values
            ('organizations', null, 'tenants'),
            ('organizations', 'id', 'number of the tenant'),
            ('organizations', 'slug',
             'short name of the tenant, part of every key; never changes'),
            ('organizations', 'name', 'name for people'),
            ('organizations', 'created_at', 'when the row was made'),
            ('organizations', 'country_code',
             'calling code of phone numbers that are written nationally, '
             'such as 55'),
            ('organizations', 'whatsapp_session_name',
             'the WAHA session that the following columns show'),
            ('organizations', 'whatsapp_status', 'its last status'),
            ('organizations', 'whatsapp_phone_number',
             'its number with "+" while logged in'),
            ('organizations', 'whatsapp_connected_at',
             'since when it is logged in'),
            ('organizations', 'whatsapp_enabled',
             'false: webhooks of this tenant are refused'),
            ('organizations', 'waha_instance', 'WAHA server that runs it'),
            ('traffic_channels', null, 'lead sources'),
            ('traffic_channels', 'id', 'number of the source'),
            ('traffic_channels', 'organization_slug', 'tenant'),
            ('traffic_channels', 'name', '"WhatsApp" is made on first use'),
            ('traffic_channels', 'created_at', 'when the row was made'),
            ('contacts', null, 'people'),
            ('contacts', 'id', 'number of the contact'),
            ('contacts', 'organization_slug', 'tenant'),
            ('contacts', 'first_name',
             'first name; follows WhatsApp until a person edits it'),
            ('contacts', 'last_name', 'other names; as first_name'),
            ('contacts', 'phone_1', 'phone number in any spelling'),
            ('contacts', 'phone_2', 'another one'),
            ('contacts', 'phone_3', 'another one'),
            ('contacts', 'contact_type', '"lead" when made by a message'),
            ('contacts', 'traffic_source_id', 'lead source'),
            ('contacts', 'state', 'state, where the number tells it'),
            ('contacts', 'created_at', 'when the row was made'),
            ('contacts', 'whatsapp_name',
             'display name that WhatsApp told last'),
            ('contacts', 'merged_into',
             'contact of the same person that this one lives on in'),
            ('contact_activities', null, 'what happened with a contact'),
            ('contact_activities', 'id', 'number of the activity'),
            ('contact_activities', 'organization_slug', 'tenant'),
            ('contact_activities', 'contact_id', 'contact'),
            ('contact_activities', 'activity_type',
             'whatsapp_message, call, or the CRM''s own'),
            ('contact_activities', 'direction', 'inbound or outbound'),
            ('contact_activities', 'message_content',
             'text or caption, as last edited'),
            ('contact_activities', 'subject', 'the CRM''s own'),
            ('contact_activities', 'metadata',
             'what else is known, such as media, edits, reactions'),
            ('contact_activities', 'created_at', 'when the row was made'),
            ('contact_activities', 'created_by', 'the CRM''s own'),
            ('contact_activities', 'session_name',
             'WAHA session of the message'),
            ('contact_activities', 'message_id',
             'bare WhatsApp id of the message or call'),
            ('contact_activities', 'message_type',
             'text, image, video, audio, ...'),
            ('contact_activities', 'chat', 'person, group, ...'),
            ('contact_activities', 'sender_name',
             'display name told with the message'),
            ('contact_activities', 'occurred_at',
             'the provider''s time of the message'))
               as w (tab, col, says)
    loop
        if c.col is null then
            continue when obj_description(c.relid, 'pg_class') is not null;

            execute format('comment on table %s is %L', c.relid, c.says);
        else
            continue when not exists (
                select
                  from pg_attribute a
                 where a.attrelid = c.relid
                   and a.attname = c.col
                   and not a.attisdropped
                   and col_description(a.attrelid, a.attnum) is null);

            execute format('comment on column %s.%I is %L', c.relid, c.col,
                           c.says);
        end if;
    end loop;
end
$$;
