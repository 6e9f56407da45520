-- What WhatsApp restricts on a number, and the end of a function.

drop function if exists
    waha.activity_cursor(waha.tenant_contact_activities);

update waha.version set migration = 17;
