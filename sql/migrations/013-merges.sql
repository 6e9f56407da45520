-- Merges of contacts, and what takes them back.

create table if not exists waha.merges (
    id                 bigint generated always as identity primary key,
    organization_slug  text collate "C" not null,
    kept_id            bigint not null,
    merged_id          bigint not null,
    merged_at          timestamptz not null default now(),
    evidence           jsonb,
    identities         text[] not null,
    kept_was           jsonb not null,
    merged_was         jsonb not null,
    undone_at          timestamptz,
    foreign key (organization_slug, kept_id)
        references :"crm_schema".contacts (organization_slug, id)
        on update cascade on delete cascade,
    foreign key (organization_slug, merged_id)
        references :"crm_schema".contacts (organization_slug, id)
        on update cascade on delete cascade
);

create index if not exists merges_kept
    on waha.merges (organization_slug, kept_id);
create index if not exists merges_merged
    on waha.merges (organization_slug, merged_id);

alter table waha.merges enable row level security;

comment on table waha.merges is
    'contacts that an event showed to be one person, see waha.unmerge';
comment on column waha.merges.id is 'number of the merge';
comment on column waha.merges.organization_slug is 'organization of both';
comment on column waha.merges.kept_id is 'the contact that stayed';
comment on column waha.merges.merged_id is 'the contact with merged_into';
comment on column waha.merges.merged_at is 'when it happened';
comment on column waha.merges.evidence is
    'the event: session, message_id, at, phone, lid';
comment on column waha.merges.identities is
    'kind and key of each identity that was moved';
comment on column waha.merges.kept_was is
    'names and numbers of the kept contact before';
comment on column waha.merges.merged_was is
    'names and numbers of the merged contact before';
comment on column waha.merges.undone_at is
    'when it was taken back; the two are not merged again';


create table if not exists waha.moves (
    organization_slug  text collate "C" not null,
    from_id            bigint not null,
    to_id              bigint not null,
    primary key (organization_slug, from_id),
    foreign key (organization_slug, from_id)
        references :"crm_schema".contacts (organization_slug, id)
        on update cascade on delete cascade,
    foreign key (organization_slug, to_id)
        references :"crm_schema".contacts (organization_slug, id)
        on update cascade on delete cascade
);

create index if not exists moves_to on waha.moves (organization_slug, to_id);

comment on table waha.moves is
    'merged contacts with messages that waha.maintain has yet to move';
comment on column waha.moves.organization_slug is 'organization of both';
comment on column waha.moves.from_id is 'the merged contact';
comment on column waha.moves.to_id is 'the contact that gets the messages';

alter table waha.moves enable row level security;

drop policy if exists tenant on waha.moves;
create policy tenant on waha.moves
    for select to waha_api
    using (organization_slug
           = nullif(current_setting('waha.organization', true), ''));

grant select on waha.moves to waha_api;


create table if not exists waha.moved_messages (
    organization_slug  text collate "C" not null,
    activity_id        bigint not null,
    contact_id         bigint not null,
    primary key (organization_slug, activity_id),
    foreign key (organization_slug, contact_id)
        references :"crm_schema".contacts (organization_slug, id)
        on update cascade on delete cascade
);

create index if not exists moved_messages_contact
    on waha.moved_messages (organization_slug, contact_id);

alter table waha.moved_messages enable row level security;

comment on table waha.moved_messages is
    'messages that came to another contact by a merge';
comment on column waha.moved_messages.organization_slug is
    'organization of both';
comment on column waha.moved_messages.activity_id is 'the message';
comment on column waha.moved_messages.contact_id is
    'the contact that it was stored for';


drop function if exists
    waha.create_contacts(int[], text[], text[], text[], text[], text[],
                         text[], text[]),
    waha.join_contacts(text[], bigint[], bigint[], text[]),
    waha.merge_contacts(text, bigint, bigint);

update waha.version set migration = 13;
