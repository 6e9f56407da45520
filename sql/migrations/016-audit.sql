-- Who did what: a row in the transaction of each operation that people who
-- audit a CRM ask about.

create table if not exists waha.audit (
    id                 bigint generated always as identity primary key,
    at                 timestamptz not null default now(),
    organization_id    bigint,
    organization_slug  text collate "C",
    principal          text not null,
    name               text,
    operator           boolean,
    login              text not null,
    operation          text not null,
    session_name       text,
    contact_id         bigint,
    details            jsonb,
    once               text unique,
    constraint audit_details check (octet_length(details::text) <= 1000)
);

create index if not exists audit_organization
    on waha.audit (organization_id, id);
create index if not exists audit_at on waha.audit (at);
create index if not exists audit_people on waha.audit (organization_id)
    where principal in ('jwt', 'variable') and not operator
      and name is not null;

alter table waha.audit enable row level security;

-- By the number: after an organization was deleted, another one may get its
-- slug.  From a setting and not from a view, which pg_dump allows no policy to
-- read.  With "=", the planner could read the list in the order of the primary
-- key, through the rows of all organizations.

drop policy if exists tenant on waha.audit;
create policy tenant on waha.audit
    for select to waha_api
    using (organization_id
           = any (array[nullif(current_setting('waha.organization_id', true),
                               '')::bigint]));

drop policy if exists admin on waha.audit;
create policy admin on waha.audit
    for select to waha_admin
    using (true);

grant select on waha.audit to waha_api, waha_admin;

comment on table waha.audit is
    'who did what: keys, privacy, organizations, sessions; no texts, names or '
    'numbers of contacts';
comment on column waha.audit.id is 'number of the row';
comment on column waha.audit.at is 'when its transaction began';
comment on column waha.audit.organization_id is
    'number of the organization, which no other one ever gets; null: none, or '
    'it was deleted in this transaction';
comment on column waha.audit.organization_slug is
    'slug of the organization; not a key: rows outlive it';
comment on column waha.audit.principal is
    'how the caller proved who it is: jwt, key, variable, link (a signed one '
    'to a QR code); role: no caller was named, see login';
comment on column waha.audit.name is
    'the subject of the token, the id of the key, the value of the variable, '
    'or the role; null: there is none, or it went with its organization';
comment on column waha.audit.operator is
    'the caller may act for every organization; null: not known';
comment on column waha.audit.login is
    'role that was logged in: that of the module, or of whoever uses psql';
comment on column waha.audit.operation is
    'what was done, such as contact.erase or session.connect';
comment on column waha.audit.session_name is 'session of WAHA, if one is meant';
comment on column waha.audit.contact_id is
    'number of the contact, if one is meant, also after its erasure';
comment on column waha.audit.details is
    'more about the operation: counts, ids of keys, names of what was changed';
comment on column waha.audit.once is
    'hash of who, what and when, for what leaves one row in a minute or an '
    'hour';

alter table waha.version
    add column if not exists audit_days int not null default 400;

comment on column waha.version.audit_days is
    'how long rows of waha.audit are kept, see waha.keep_audit';

update waha.version set migration = 16;
