-- Tables of schema waha.  Every key starts with the organization, but for
-- the session's name, which finds it.

create table waha.version (
    single        boolean primary key default true check (single),
    contract      int not null,
    contract_min  int not null,
    migration     int not null,
    crm_schema    name not null,
    states_until  timestamptz not null default '-infinity',
    installed_at  timestamptz not null default now()
);

comment on table waha.version is 'what is installed; one row';
comment on column waha.version.single is 'true: there is one row';
comment on column waha.version.contract is
    'newest version of the functions'' contract';
comment on column waha.version.contract_min is
    'oldest version that the functions still serve';
comment on column waha.version.migration is
    'number of the last migration that was applied';
comment on column waha.version.crm_schema is
    'schema of organizations, traffic_channels, contacts, contact_activities';
comment on column waha.version.states_until is
    'rows of waha.message_states created before were looked at by '
    'waha.maintain';
comment on column waha.version.installed_at is 'when install.sql last ran';

insert into waha.version (contract, contract_min, migration, crm_schema)
    values (1, 1, 3, :'crm_schema');


create table waha.sessions (
    name               text collate "C" not null,
    organization_slug  text collate "C" not null,
    provider           text not null default 'waha',
    label              text,
    status             text,
    status_at          timestamptz,
    phone              text,
    push_name          text,
    named_at           timestamptz,
    instance           text,
    connected_at       timestamptz,
    disconnected_at    timestamptz,
    created_at         timestamptz not null default now(),
    primary key (name) include (organization_slug, instance),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug) on delete cascade
);

create index on waha.sessions (organization_slug);

comment on table waha.sessions is
    'WhatsApp numbers: which organization a session belongs to, and its state';
comment on column waha.sessions.name is 'WAHA''s name of the session';
comment on column waha.sessions.organization_slug is 'whose number it is';
comment on column waha.sessions.provider is 'waha';
comment on column waha.sessions.label is 'name for people';
comment on column waha.sessions.status is 'last status that WAHA told';
comment on column waha.sessions.status_at is 'WAHA''s time of that status';
comment on column waha.sessions.phone is
    'digits of the number that is or was logged in';
comment on column waha.sessions.push_name is 'the number''s own display name';
comment on column waha.sessions.named_at is 'when WAHA told number and name';
comment on column waha.sessions.instance is
    'WAHA server that runs it; a signing key bound to another is refused';
comment on column waha.sessions.connected_at is 'when it was last told to work';
comment on column waha.sessions.disconnected_at is
    'when it was last told to have no number';
comment on column waha.sessions.created_at is 'when the row was made';


create table waha.contact_identities (
    organization_slug  text collate "C" not null,
    kind               text collate "C" not null
                       check (kind in ('phone', 'lid', 'bsuid')),
    key                text collate "C" not null,
    contact_id         bigint not null,
    seen               text not null,
    proved             boolean not null,
    created_at         timestamptz not null default now(),
    primary key (organization_slug, kind, key) include (contact_id, proved),
    constraint identities_contact foreign key (organization_slug, contact_id)
        references :"crm_schema".contacts (organization_slug, id)
        on update cascade on delete cascade
        deferrable initially deferred
);

-- both columns, or the deletion of a contact would read all identities of
-- the organization while there are no statistics

create index contact_identities_contact_id_idx
    on waha.contact_identities (contact_id, organization_slug);

-- whose contact a sender is, when nothing else tells the organization; the
-- collations keep it out of all other plans

create index on waha.contact_identities (key collate "POSIX")
    where kind collate "POSIX" = 'phone';

comment on table waha.contact_identities is
    'whose phone number or hidden id it is';
comment on column waha.contact_identities.organization_slug is
    'organization of the contact';
comment on column waha.contact_identities.kind is 'phone, lid or bsuid';
comment on column waha.contact_identities.key is
    'what all spellings have in common, see waha.phone_key';
comment on column waha.contact_identities.contact_id is
    'the contact, never one that was merged away';
comment on column waha.contact_identities.seen is 'the form first seen';
comment on column waha.contact_identities.proved is
    'WhatsApp itself named it; false: only typed into the contact';
comment on column waha.contact_identities.created_at is
    'when it was first seen';


-- of contacts that share a number, one has its identity

create table waha.shared_phones (
    organization_slug  text collate "C" not null,
    key                text collate "C" not null,
    contact_id         bigint not null,
    primary key (organization_slug, contact_id, key),
    foreign key (organization_slug, contact_id)
        references :"crm_schema".contacts (organization_slug, id)
        on update cascade on delete cascade
);

create index on waha.shared_phones (contact_id);

comment on table waha.shared_phones is
    'contacts with a typed number that is the identity of another one';
comment on column waha.shared_phones.organization_slug is
    'organization of both';
comment on column waha.shared_phones.key is
    'as waha.contact_identities.key, of kind phone';
comment on column waha.shared_phones.contact_id is
    'who gets it when the other contact loses it';


-- updated with every message: room for updates within the page

create table waha.conversations (
    organization_slug  text collate "C" not null,
    contact_id         bigint not null,
    session_name       text collate "C" not null,
    last_message_id    text collate "C" not null,
    last_message_at    timestamptz not null,
    last_direction     text not null,
    last_message       text,
    unread_count       int not null,
    unread_since       timestamptz,
    last_inbound_at    timestamptz,
    last_outbound_at   timestamptz,
    read_at            timestamptz,
    primary key (organization_slug, contact_id, session_name),
    foreign key (organization_slug, contact_id)
        references :"crm_schema".contacts (organization_slug, id)
        on update cascade on delete cascade
) with (fillfactor = 70);

comment on table waha.conversations is
    'one contact on one number: what an inbox shows';
comment on column waha.conversations.organization_slug is
    'organization of both';
comment on column waha.conversations.contact_id is 'the other side';
comment on column waha.conversations.session_name is 'the own number';
comment on column waha.conversations.last_message_id is
    'newest message by the provider''s time';
comment on column waha.conversations.last_message_at is 'its time';
comment on column waha.conversations.last_direction is 'inbound or outbound';
comment on column waha.conversations.last_message is
    'the beginning of its text';
comment on column waha.conversations.unread_count is
    'inbound messages newer than last_outbound_at and read_at';
comment on column waha.conversations.unread_since is
    'time of the oldest of these';
comment on column waha.conversations.last_inbound_at is
    'time of the newest inbound message';
comment on column waha.conversations.last_outbound_at is
    'time of the newest outbound message';
comment on column waha.conversations.read_at is 'until when an agent has read';


create table waha.message_states (
    organization_slug  text collate "C" not null,
    session_name       text collate "C" not null,
    message_id         text collate "C" not null,
    status             text,
    status_at          timestamptz,
    reactions          jsonb,
    edits              jsonb,
    revoked_at         timestamptz,
    created_at         timestamptz not null default now(),
    primary key (organization_slug, session_name, message_id)
) with (fillfactor = 80);

create index on waha.message_states (created_at);

comment on table waha.message_states is
    'what happened to a message, also before the message itself is there';
comment on column waha.message_states.organization_slug is
    'organization of the session';
comment on column waha.message_states.session_name is 'session of the message';
comment on column waha.message_states.message_id is
    'bare WhatsApp id of the message';
comment on column waha.message_states.status is
    'pending, sent, delivered, read, played or failed';
comment on column waha.message_states.status_at is 'when it got that status';
comment on column waha.message_states.reactions is
    'newest reaction of each person; an empty text is one taken back';
comment on column waha.message_states.edits is
    'all edits: id, text, time, direction';
comment on column waha.message_states.revoked_at is
    'when it was deleted for everyone';
comment on column waha.message_states.created_at is 'when the row was made';


create table waha.quarantine (
    id           bigint generated always as identity primary key,
    hash         bytea not null unique,
    received_at  timestamptz not null default now(),
    seen_at      timestamptz not null default now(),
    reason       text not null,
    sqlstate     text,
    raw          bytea not null,
    event        jsonb,
    resolved_at  timestamptz
);

create index on waha.quarantine (resolved_at) where resolved_at is not null;
create index on waha.quarantine (seen_at) where resolved_at is null;

comment on table waha.quarantine is
    'signed deliveries that could not be stored or assigned; see waha.replay';
comment on column waha.quarantine.id is 'for waha.replay';
comment on column waha.quarantine.hash is
    'SHA-256 of raw: a repeated delivery is kept once';
comment on column waha.quarantine.received_at is 'when it first came';
comment on column waha.quarantine.seen_at is 'when it last came';
comment on column waha.quarantine.reason is 'why it is here';
comment on column waha.quarantine.sqlstate is 'error that PostgreSQL gave';
comment on column waha.quarantine.raw is 'body of the request';
comment on column waha.quarantine.event is
    'arguments of waha.ingest; null: the body could not be read';
comment on column waha.quarantine.resolved_at is 'when a replay succeeded';


create type waha.outcome as (
    position      int,
    action        text,
    organization  text,
    tenant_id     bigint,
    contact_id    bigint,
    activity_id   bigint,
    code          text
);

comment on type waha.outcome is 'what became of one record, see waha.ingest';
