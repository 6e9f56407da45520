-- What was erased, so that it does not come back.

create table if not exists waha.erased (
    hash       bytea primary key,
    erased_at  timestamptz not null default now()
);

create index if not exists erased_erased_at on waha.erased (erased_at);

alter table waha.erased enable row level security;

comment on table waha.erased is
    'hashes of messages and changes that were erased: when they come again, '
    'they are duplicates, see waha.erased_key';
comment on column waha.erased.hash is 'SHA-256, nothing that can be read';
comment on column waha.erased.erased_at is 'when it was last erased';

alter table waha.version
    add column if not exists erased_for interval not null default '7 days';

comment on column waha.version.erased_for is
    'how long waha.erased remembers, see waha.remember_erased';

update waha.version set migration = 14;
