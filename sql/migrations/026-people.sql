-- Contract 4: events of Meta's Cloud API.  The functions for webhooks have one
-- argument more, with a default: modules of contract 2 and 3 call them as
-- before.  A batch that is running while this is committed fails, and its
-- provider sends the events again.

do $$
declare
    called  regprocedure;
begin
    for called in
        select p.oid
          from pg_proc p
         where p.pronamespace = 'waha'::regnamespace
           and p.proname in ('ingest', 'ingest_batch', 'ingest_each',
                             'quarantine', 'resolve_events', 'new_change',
                             'prove_identities', 'strangers_apart',
                             'meet_in_order', 'create_contacts',
                             'join_contacts')
    loop
        execute format('drop function %s', called);
    end loop;

    if not exists (select
                     from pg_attribute a
                     join pg_class c on c.oid = a.attrelid
                    where c.relnamespace = 'waha'::regnamespace
                      and c.relname = 'event'
                      and a.attname = 'parent')
    then
        alter type waha.event add attribute parent text;
    end if;
end
$$;

comment on type waha.event is
    'an event inside of a batch: organization is null when there is nothing '
    'to do, name that of the person who wrote or of the session, lid: the '
    'hidden id of the person, or Meta''s user id within its portfolio, '
    'parent: the parent of that user id, empty: the message says nothing; the '
    'others as the arguments of waha.ingest';


-- who signs for WAHA does not speak for numbers of Meta: a message reads the
-- provider in the same index entry

alter table waha.sessions
    drop constraint sessions_pkey,
    add primary key (name) include (organization_slug, instance, provider);


alter table waha.contact_identities
    drop constraint contact_identities_kind_check,
    add constraint contact_identities_kind_check
        check (kind in ('phone', 'lid', 'bsuid', 'parent_bsuid'));

comment on table waha.contact_identities is
    'whose phone number, hidden id or user id it is';
comment on column waha.contact_identities.kind is
    'phone, lid, or of Meta: bsuid, parent_bsuid';
comment on column waha.contact_identities.key is
    'what all spellings have in common, see waha.phone_key; for ids of Meta: '
    'the portfolio, or the account, a slash, the id';


alter table waha.message_states
    add column if not exists details jsonb;

comment on column waha.message_states.details is
    'what Meta told with each status: errors, pricing, conversation';

alter table waha.waiting_changes
    add column if not exists details jsonb;

comment on column waha.waiting_changes.details is
    'as in waha.message_states';


create table if not exists waha.moved_people (
    organization_slug  text collate "C" not null,
    kind               text collate "C" not null,
    key                text collate "C" not null,
    other_kind         text collate "C" not null,
    other_key          text collate "C" not null,
    other_seen         text not null,
    created_at         timestamptz not null default now(),
    primary key (organization_slug, kind, key, other_kind, other_key),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug) on delete cascade
);

create index if not exists moved_people_created_at
    on waha.moved_people (created_at);

alter table waha.moved_people enable row level security;

comment on table waha.moved_people is
    'identities that are of one person, who has not written yet: Meta told of '
    'a change of the number or user id first';
comment on column waha.moved_people.organization_slug is
    'organization of the number that was told';
comment on column waha.moved_people.kind is
    'as in waha.contact_identities';
comment on column waha.moved_people.key is 'as in waha.contact_identities';
comment on column waha.moved_people.other_kind is
    'kind of another identity of that person';
comment on column waha.moved_people.other_key is 'its key';
comment on column waha.moved_people.other_seen is
    'as waha.contact_identities.seen';
comment on column waha.moved_people.created_at is 'when the row was made';


-- waha.quarantine_people has another result; indexes.sql makes it again

drop index if exists waha.quarantine_people_idx;

update waha.version set migration = 26;
