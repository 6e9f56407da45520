-- What sessions tell, in any order, about when they work.

alter table waha.sessions
    add column if not exists working_times timestamptz[],
    add column if not exists other_times timestamptz[];

comment on column waha.sessions.working_times is
    'WAHA''s times of the last events with the status WORKING';
comment on column waha.sessions.other_times is
    'WAHA''s times of the last events with another status';

comment on column waha.sessions.status is
    'last status that WAHA told; UNKNOWN: one that this schema does not know';
comment on column waha.sessions.connected_at is
    'when it last began to work';
comment on column waha.sessions.instance is
    'WAHA server that runs it; a signing key that is bound to a server speaks '
    'only for sessions with that server here';

drop function if exists
    waha.record_session(text, text, text, timestamptz, text, text, text);

update waha.sessions
   set status = 'UNKNOWN'
 where status not in ('NOT_CREATED', 'STOPPED', 'STARTING', 'SCAN_QR_CODE',
                      'PASSKEY_REQUIRED', 'PASSKEY_CONFIRMATION_REQUIRED',
                      'WORKING', 'FAILED');

update waha.version set migration = 8;
