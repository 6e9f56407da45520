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

-- No index but the primary key has all sessions of an organization: with one,
-- the planner could take it for any look-up while the table is small, and read
-- all sessions that were deleted.

drop index if exists waha.sessions_organization;

create index sessions_organization
    on waha.sessions (organization_slug) where deleted_at is null;

-- with the condition of waha.maintain, and so for it alone

drop index if exists waha.sessions_deleted;

create index sessions_deleted
    on waha.sessions (deleted_at)
    where deleted_at is not null
      and status in ('NOT_CREATED', 'STOPPED', 'FAILED');

-- Locks that need a right, see ingest/locks.sql.

alter table waha.version
    add column if not exists lock_seed bytea not null
        default uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

comment on column waha.version.lock_seed is
    'makes the keys of advisory locks secret';

create table if not exists waha.locks (
    name  text collate "C" primary key
);

comment on table waha.locks is 'locks that have a name, see waha.lock_name';
comment on column waha.locks.name is 'what it is for';

do $$
begin
    for n in 0 .. 15 loop
        execute format('create table if not exists waha.message_lock_%s ()',
                       n);
        execute format('comment on table waha.message_lock_%s is %L', n,
                       'always empty: a lock of it stands for messages, see '
                       'waha.share_messages');
    end loop;
end
$$;

drop function if exists
    waha.record_session(text, text, text, timestamptz, text, text, text);

update waha.sessions
   set status = 'UNKNOWN'
 where status not in ('NOT_CREATED', 'STOPPED', 'STARTING', 'SCAN_QR_CODE',
                      'PASSKEY_REQUIRED', 'PASSKEY_CONFIRMATION_REQUIRED',
                      'WORKING', 'FAILED');

update waha.version set migration = 8;
