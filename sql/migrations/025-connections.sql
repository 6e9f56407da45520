-- Numbers of Meta's Cloud API: how an organization is connected to one.

create table if not exists waha.connections (
    id                   text collate "C" primary key,
    organization_slug    text collate "C" not null,
    phone_number_id      text collate "C" not null,
    waba_id              text collate "C",
    portfolio            text collate "C",
    verify_token_hash    text,
    access_token         text,
    app_secret           text,
    previous_app_secret  text,
    own_secret           boolean not null default false,
    state                jsonb not null default '{}',
    valid_from           timestamptz not null default '-infinity',
    valid_to             timestamptz,
    created_at           timestamptz not null default now(),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug) on delete cascade
);

create unique index if not exists connections_number
    on waha.connections (phone_number_id, organization_slug);
create unique index if not exists connections_live
    on waha.connections (phone_number_id)
    where valid_to is null;
create index if not exists connections_organization
    on waha.connections (organization_slug);
create index if not exists connections_account
    on waha.connections (waba_id);

alter table waha.connections enable row level security;

comment on table waha.connections is
    'how organizations are, or were, connected to numbers of Meta''s Cloud '
    'API; the number itself is a row of waha.sessions with the provider meta';
comment on column waha.connections.id is
    'part of the callback URL; who knows it may ask for nothing, but nobody '
    'should';
comment on column waha.connections.organization_slug is
    'whose number it is, or was';
comment on column waha.connections.phone_number_id is
    'Meta''s id of the number, as waha.sessions.name';
comment on column waha.connections.waba_id is
    'WhatsApp business account that the number is in';
comment on column waha.connections.portfolio is
    'business portfolio of that account, within which a user id is of one '
    'person; null: the account stands for it';
comment on column waha.connections.verify_token_hash is
    'SHA-256 of the verify token in hexadecimal digits';
comment on column waha.connections.access_token is 'token for Graph, sealed';
comment on column waha.connections.app_secret is
    'secret that signs notifications, sealed; null: the operator''s does';
comment on column waha.connections.previous_app_secret is
    'the one before, which Meta may still sign with, sealed';
comment on column waha.connections.own_secret is
    'the organization has an app of its own: the operator''s secret does not '
    'speak for it';
comment on column waha.connections.state is
    'newest news of the number, its account and its templates, by field';
comment on column waha.connections.valid_from is
    'messages from this time on are the organization''s';
comment on column waha.connections.valid_to is
    'messages before this time are; null: it is connected';
comment on column waha.connections.created_at is 'when the row was made';


alter table waha.sessions
    add column if not exists quality text,
    add column if not exists messaging_limit text;

comment on column waha.sessions.name is
    'WAHA''s name of the session, or Meta''s id of the number';
comment on column waha.sessions.provider is 'waha or meta';
comment on column waha.sessions.quality is
    'Meta''s rating of a number: GREEN, YELLOW, RED, UNKNOWN';
comment on column waha.sessions.messaging_limit is
    'how many people a number may write to first within a day, in Meta''s '
    'words';

update waha.version set migration = 25;
