-- What WhatsApp restricts on the account of a number.

alter table waha.sessions
    add column if not exists restrictions jsonb,
    add column if not exists restrictions_at timestamptz;

comment on column waha.sessions.restrictions is
    'what WhatsApp restricts: reachout_timelock, message_capping, as the API '
    'shows them; null: nothing that is known';
comment on column waha.sessions.restrictions_at is
    'when WAHA last told of restrictions';

-- these have other arguments now

drop function if exists
    waha.activity_cursor(waha.tenant_contact_activities),
    waha.record_session(text, text, text, timestamptz, text, text, boolean),
    waha.record_session_check(text, text, text, text, text);

update waha.version set migration = 17;
