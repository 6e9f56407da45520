-- Organizations that came from another cell.

create table if not exists waha.imports (
    organization_slug  text collate "C" primary key,
    copy               uuid not null,
    pages              int not null,
    complete_at        timestamptz,
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug) on delete cascade
);

alter table waha.imports enable row level security;

comment on table waha.imports is
    'organizations that came from another cell, see '
    'waha.import_organization';
comment on column waha.imports.organization_slug is 'the organization';
comment on column waha.imports.copy is 'which copy of it is imported';
comment on column waha.imports.pages is 'how many of its pages there are';
comment on column waha.imports.complete_at is
    'when the last page was imported; null: it was not yet';


create table if not exists waha.import_ids (
    organization_slug  text collate "C" not null,
    part               text collate "C" not null,
    old_id             bigint not null,
    new_id             bigint not null,
    primary key (organization_slug, part, old_id),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug) on delete cascade
);

alter table waha.import_ids enable row level security;

comment on table waha.import_ids is
    'numbers that rows of an imported organization had in its old cell';
comment on column waha.import_ids.organization_slug is 'the organization';
comment on column waha.import_ids.part is
    'traffic_channels, contacts or contact_activities; merged_into, until the '
    'last page: new number of a merged contact, old one of the other';
comment on column waha.import_ids.old_id is 'number in the old cell';
comment on column waha.import_ids.new_id is 'number in this cell';

update waha.version set migration = 21;
