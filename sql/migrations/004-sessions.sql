-- What the tenant API needs in schema waha.

alter table waha.sessions
    add column client_id text collate "C",
    add column checked_at timestamptz,
    add column deleted_at timestamptz;

create unique index sessions_client_id
    on waha.sessions (organization_slug, client_id)
    where client_id is not null;

create index sessions_instance
    on waha.sessions (instance)
    where deleted_at is null and instance is not null;

-- live sessions of an organization, without those that were deleted; also
-- for the foreign key

create index sessions_organization
    on waha.sessions (organization_slug, deleted_at);
drop index waha.sessions_organization_slug_idx;

create index sessions_primary_deleted
    on waha.sessions (organization_slug, created_at, name)
    where client_id is null and deleted_at is not null;

create index sessions_deleted
    on waha.sessions (deleted_at)
    where deleted_at is not null;

comment on column waha.sessions.client_id is
    'the caller''s own id of it; null: not made with one';
comment on column waha.sessions.checked_at is
    'when WAHA was last asked for its state';
comment on column waha.sessions.deleted_at is
    'when it was deleted; what still comes from it finds its organization, '
    'until waha.maintain removes it';


-- An inbox is read by day and sorted within the day: an index by the time
-- itself would have to be written with every message.  The collation keeps
-- it out of the plans of ingest.

alter table waha.conversations
    add column last_day date generated always as
        ((last_message_at at time zone 'UTC')::date) stored;

create index conversations_inbox
    on waha.conversations (organization_slug collate "POSIX", last_day);

comment on column waha.conversations.last_day is
    'day of last_message_at in UTC';


create table waha.api_keys (
    id                 text collate "C" primary key,
    organization_slug  text collate "C",
    hash               bytea not null,
    scopes             text[] not null,
    label              text,
    expires_at         timestamptz,
    last_used_at       timestamptz,
    created_at         timestamptz not null default now(),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug) on delete cascade
);

create index on waha.api_keys (organization_slug);

comment on table waha.api_keys is 'keys of callers of the API';
comment on column waha.api_keys.id is 'public part of the key';
comment on column waha.api_keys.organization_slug is
    'organization that it is for; null: an operator''s';
comment on column waha.api_keys.hash is 'SHA-256 of the secret part';
comment on column waha.api_keys.scopes is 'read, write';
comment on column waha.api_keys.label is 'name for people';
comment on column waha.api_keys.expires_at is
    'until when it is taken; null: for ever';
comment on column waha.api_keys.last_used_at is
    'when it was last used, to the minute';
comment on column waha.api_keys.created_at is 'when the row was made';


create type waha.reply as (
    code  text,
    data  json
);

comment on type waha.reply is
    'answer to a call of the API: data, or the code of an error';

update waha.version set migration = 4;
