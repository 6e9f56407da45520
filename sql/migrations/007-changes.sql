-- Contract 3: messages have a chat and can be empty, and a change waits until
-- it fits its message.  The functions for webhooks have two arguments more,
-- with defaults: modules of contract 1 and 2 call them as before.  A batch
-- that is running while this is committed fails, and WAHA sends its events
-- again.

do $$
declare
    called  regprocedure;
begin
    for called in
        select p.oid
          from pg_proc p
         where p.pronamespace = 'waha'::regnamespace
           and (p.proname in ('ingest', 'ingest_batch', 'ingest_each')
                and p.pronargs = 20
                or p.proname = 'quarantine' and p.pronargs = 23
                or p.proname in ('identify', 'store_activities',
                                 'store_states', 'apply_states',
                                 'update_conversations', 'all_edits',
                                 'newer_reactions'))
    loop
        execute format('drop function %s', called);
    end loop;
end
$$;


alter table waha.message_states
    add column if not exists edited_at timestamptz,
    add column if not exists votes jsonb,
    add column if not exists waiting boolean not null default false;

comment on table waha.message_states is
    'what happened to a message, also before the message itself is there; see '
    'waha.waiting_changes';
comment on column waha.message_states.reactions is
    'newest reactions, one for each person; an empty text is one taken back';
comment on column waha.message_states.edits is
    'newest edits: id, text, time, direction';
comment on column waha.message_states.edited_at is
    'time of the newest edit, also of one that could not be read';
comment on column waha.message_states.votes is
    'newest votes in a poll, one for each person; no options: taken back';
comment on column waha.message_states.waiting is
    'the message is not there yet: who made the changes will decide';


create table if not exists waha.waiting_changes (
    id                 bigint generated always as identity,
    organization_slug  text collate "C" not null,
    session_name       text collate "C" not null,
    message_id         text collate "C" not null,
    kind               text collate "C" not null,
    direction          text collate "C" not null,
    chat               text collate "C" not null,
    chat_id            text collate "C" not null,
    phone              text collate "C" not null,
    lid                text collate "C" not null,
    change_id          text collate "C" not null,
    at                 timestamptz not null,
    status             text,
    body               text,
    options            jsonb,
    sanitised          boolean not null,
    size               int not null,
    created_at         timestamptz not null default now(),
    primary key (organization_slug, session_name, message_id, kind,
                 direction, chat, chat_id, phone, lid, change_id),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug) on delete cascade
);

-- two collations, so that each statement fits the index that it is meant for

create index if not exists waiting_changes_person
    on waha.waiting_changes
       (organization_slug collate "POSIX", phone collate "POSIX",
        lid collate "POSIX", session_name collate "POSIX", id);
create index if not exists waiting_changes_lid
    on waha.waiting_changes (lid collate "POSIX");
create index if not exists waiting_changes_created_at
    on waha.waiting_changes (created_at);

alter table waha.waiting_changes enable row level security;

comment on table waha.waiting_changes is
    'changes whose message is not there yet, or is not known to be of their '
    'person and chat; what is missing is an empty text';
comment on column waha.waiting_changes.id is 'a newer change has a greater one';
comment on column waha.waiting_changes.organization_slug is
    'organization of the session';
comment on column waha.waiting_changes.session_name is
    'session of the message';
comment on column waha.waiting_changes.message_id is
    'bare WhatsApp id of the message that is to change';
comment on column waha.waiting_changes.kind is
    'status, reaction, vote, edit or revoke';
comment on column waha.waiting_changes.direction is
    'outbound: made on the own number';
comment on column waha.waiting_changes.chat is 'kind of the chat';
comment on column waha.waiting_changes.chat_id is
    'JID of the chat, unless it is that of a person';
comment on column waha.waiting_changes.phone is
    'number of the person, as waha.contact_identities.key';
comment on column waha.waiting_changes.lid is 'hidden id of the person';
comment on column waha.waiting_changes.change_id is 'id of an edit';
comment on column waha.waiting_changes.at is 'WhatsApp''s time of the change';
comment on column waha.waiting_changes.status is 'status of delivery';
comment on column waha.waiting_changes.body is
    'emoji of a reaction, or text of an edit; null: it could not be read';
comment on column waha.waiting_changes.options is 'options of a vote';
comment on column waha.waiting_changes.sanitised is
    'bytes had to be replaced';
comment on column waha.waiting_changes.size is 'bytes of what was written';
comment on column waha.waiting_changes.created_at is 'when the row was made';

update waha.version set migration = 7;
