-- Operations of the API on sessions: one at a time, and only so many.

alter table waha.sessions
    add column if not exists webhook_url text,
    add column if not exists asked_at timestamptz,
    add column if not exists starting_since timestamptz,
    add column if not exists recovered_at timestamptz,
    add column if not exists operation text,
    add column if not exists operation_holder text,
    add column if not exists operation_until timestamptz;

comment on column waha.sessions.webhook_url is
    'URL of our webhook in its configuration at WAHA; another one is replaced';
comment on column waha.sessions.asked_at is
    'when WAHA was last asked to create or start it; null: never, or WAHA has '
    'no such session';
comment on column waha.sessions.starting_since is
    'when the API last started it, until WAHA tells a status';
comment on column waha.sessions.recovered_at is
    'when it was restarted because it had failed; null: it has worked since, '
    'or shown a QR code';
comment on column waha.sessions.operation is
    'what a request of the API does with it now; no other may begin';
comment on column waha.sessions.operation_holder is 'which request';
comment on column waha.sessions.operation_until is
    'when the operation is taken for lost unless its request prolongs it';


create table if not exists waha.session_budgets (
    organization_slug  text collate "C" not null,
    session_name       text collate "C" not null,
    kind               text collate "C" not null,
    used               timestamptz[] not null default '{}',
    primary key (organization_slug, session_name, kind),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug) on delete cascade
);

alter table waha.session_budgets enable row level security;

comment on table waha.session_budgets is
    'how often the API made WAHA do something, see waha.spend';
comment on column waha.session_budgets.organization_slug is
    'organization of the session';
comment on column waha.session_budgets.session_name is
    'the session; empty: all of the organization';
comment on column waha.session_budgets.kind is
    'codes, connects, restarts or sessions';
comment on column waha.session_budgets.used is
    'when, the oldest first; times that do not count any more may be missing';

update waha.version set migration = 11;
