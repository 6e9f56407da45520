-- Events that alone ran out of time: at the second time they are quarantined,
-- by whichever worker sees them then.

create table if not exists waha.timeouts (
    hash          bytea primary key,
    timed_out_at  timestamptz not null default now()
);

create index if not exists timeouts_timed_out_at_idx
    on waha.timeouts (timed_out_at);

comment on table waha.timeouts is
    'events that alone ran out of time, see waha.count_timeout';
comment on column waha.timeouts.hash is
    'SHA-256 of the body and of the names of the event in it';
comment on column waha.timeouts.timed_out_at is 'when it last happened';

update waha.version set migration = 9;
