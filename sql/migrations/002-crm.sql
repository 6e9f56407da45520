-- The four tables that the CRM shares with WhatsApp.  A table that is there
-- already is adopted: it gets the columns and keys that it lacks, and the
-- CRM's own rights, rows and triggers stay as they are.

create schema if not exists :"crm_schema";

-- What ingest reads and writes.  "holds": the types it can work with;
-- "given": whether its inserts always give a value.

create temp table waha_wanted (
    tab    name not null,
    col    name not null,
    holds  text[] not null,
    given  boolean not null,
    least  int,
    primary key (tab, col)
) on commit drop;

insert into waha_wanted (tab, col, holds, given, least) values
    ('organizations', 'id', '{int4,int8}', true, null),
    ('organizations', 'slug', '{text,varchar}', true, null),
    ('organizations', 'name', '{text,varchar}', true, null),
    ('organizations', 'country_code', '{text,varchar}', true, 4),
    ('organizations', 'whatsapp_session_name', '{text,varchar}', true, 54),
    ('organizations', 'whatsapp_status', '{text,varchar}', true, 32),
    ('organizations', 'whatsapp_phone_number', '{text,varchar}', true, 16),
    ('organizations', 'whatsapp_connected_at', '{timestamp,timestamptz}',
     true, null),
    ('organizations', 'whatsapp_enabled', '{bool}', true, null),
    ('organizations', 'waha_instance', '{text,varchar}', true, 50),
    ('traffic_channels', 'id', '{int4,int8}', true, null),
    ('traffic_channels', 'organization_slug', '{text,varchar}', true, null),
    ('traffic_channels', 'name', '{text,varchar}', true, 8),
    ('contacts', 'id', '{int4,int8}', true, null),
    ('contacts', 'organization_slug', '{text,varchar}', true, null),
    ('contacts', 'first_name', '{text,varchar}', true, 50),
    ('contacts', 'last_name', '{text,varchar}', true, 50),
    ('contacts', 'phone_1', '{text,varchar}', false, 16),
    ('contacts', 'phone_2', '{text,varchar}', false, 16),
    ('contacts', 'phone_3', '{text,varchar}', false, 16),
    ('contacts', 'contact_type', '{text,varchar}', true, 4),
    ('contacts', 'traffic_source_id', '{int4,int8}', true, null),
    ('contacts', 'state', '{text,varchar}', true, 17),
    ('contacts', 'whatsapp_name', '{text,varchar}', false, 100),
    ('contacts', 'merged_into', '{int8}', false, null),
    ('contacts', 'created_at', '{timestamp,timestamptz}', false, null),
    ('contact_activities', 'id', '{int4,int8}', true, null),
    ('contact_activities', 'contact_id', '{int4,int8}', true, null),
    ('contact_activities', 'organization_slug', '{text,varchar}', true, null),
    ('contact_activities', 'activity_type', '{text,varchar}', true, 16),
    ('contact_activities', 'direction', '{text,varchar}', true, 8),
    ('contact_activities', 'message_content', '{text}', false, null),
    ('contact_activities', 'metadata', '{jsonb}', true, null),
    ('contact_activities', 'session_name', '{text}', true, null),
    ('contact_activities', 'message_id', '{text}', true, null),
    ('contact_activities', 'message_type', '{text}', true, null),
    ('contact_activities', 'chat', '{text}', true, null),
    ('contact_activities', 'sender_name', '{text}', false, null),
    ('contact_activities', 'occurred_at', '{timestamptz}', true, null);

create temp table waha_adopted on commit drop as
select c.oid as relid, c.relname as tab, c.relowner, c.relrowsecurity,
       c.relkind = 'r' and not c.relispartition
       and not exists (select from pg_inherits i
                        where c.oid in (i.inhrelid, i.inhparent)) as ordinary
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = :'crm_schema'
   and c.relname in ('organizations', 'traffic_channels', 'contacts',
                     'contact_activities');

do $$
declare
    reason  text;
begin
    -- the first thing that would make adoption fail, now or with the first
    -- message

    select format('%s.%s %s', current_setting('waha.crm_schema'), what, why)
      into reason
      from (
        select 1 as step, tab::text as what, 'is not an ordinary table' as why
          from waha_adopted
         where not ordinary

        union all

        select 2, tab, format('belongs to "%s": run install.sql as a member '
                              'of that role', pg_get_userbyid(relowner))
          from waha_adopted
         where not pg_has_role(current_user, relowner, 'usage')

        union all

        select 3, w.tab, format('has no column "%s": rows that are there '
                                'cannot be given one', w.col)
          from waha_wanted w
          join waha_adopted t using (tab)
         where (w.tab, w.col) in (('organizations', 'id'),
                                  ('organizations', 'slug'),
                                  ('contacts', 'id'),
                                  ('contacts', 'organization_slug'),
                                  ('contact_activities', 'id'),
                                  ('contact_activities', 'contact_id'),
                                  ('contact_activities',
                                   'organization_slug'),
                                  ('traffic_channels', 'id'))
           and not exists (select
                             from pg_attribute a
                            where a.attrelid = t.relid
                              and a.attname = w.col
                              and not a.attisdropped)

        union all

        select 4, format('%s.%s', w.tab, w.col),
               format('is of type %s; it must be one of: %s',
                      format_type(a.atttypid, a.atttypmod),
                      array_to_string(w.holds, ', '))
          from waha_wanted w
          join waha_adopted t using (tab)
          join pg_attribute a on a.attrelid = t.relid and a.attname = w.col
          join pg_type y on y.oid = a.atttypid
         where not a.attisdropped
           and y.typname <> all (w.holds)

        union all

        select 5, format('%s.%s', w.tab, w.col),
               format('holds %s characters; %s are needed',
                      a.atttypmod - 4, w.least)
          from waha_wanted w
          join waha_adopted t using (tab)
          join pg_attribute a on a.attrelid = t.relid and a.attname = w.col
         where not a.attisdropped
           and a.atttypmod between 5 and w.least + 3

        union all

        select 6, format('%s.%s', t.tab, a.attname),
               case when a.attgenerated <> ''
                    then 'is generated: it cannot be written'
                    else 'is required and has no default: a contact or '
                         'message from WhatsApp does not have it'
               end
          from waha_adopted t
          join pg_attribute a on a.attrelid = t.relid
          left join waha_wanted w on w.tab = t.tab and w.col = a.attname
         where t.tab <> 'organizations'
           and a.attnum > 0
           and not a.attisdropped
           and (a.attgenerated <> '' and w.col is not null
                or a.attgenerated = '' and a.attnotnull and not a.atthasdef
                   and a.attidentity = ''
                   and (w.col is null or w.col = 'id' or not w.given))

        union all

        select 7, t.tab, format('has the restrictive policy "%s" for '
                                'everybody: limit it to the CRM''s roles',
                                p.polname)
          from waha_adopted t
          join pg_policy p on p.polrelid = t.relid
         where t.relrowsecurity
           and not p.polpermissive
           and p.polroles = '{0}'

        union all

        select 8, t.tab, format('has the unique index "%s" without '
                                'organization_slug: each organization needs '
                                'its own "WhatsApp"', i.indexrelid::regclass)
          from waha_adopted t
          join pg_index i on i.indrelid = t.relid
         where t.tab = 'traffic_channels'
           and i.indisunique
           and not exists (select
                             from pg_attribute a
                            where a.attrelid = t.relid
                              and a.attnum = any (i.indkey)
                              and a.attname in ('id', 'organization_slug'))
      ) as found (step, what, why)
     order by step, what
     limit 1;

    if reason is not null then
        raise exception 'cannot adopt the tables of the CRM: %', reason;
    end if;
end
$$;

create table if not exists :"crm_schema".organizations (
    id                     bigint generated by default as identity
                           primary key,
    slug                   text not null unique,
    name                   text,
    created_at             timestamptz not null default now()
);

do $$
begin
    if not exists (select
                     from pg_index i
                     join pg_attribute a on a.attrelid = i.indrelid
                                        and a.attnum = i.indkey[0]
                    where i.indrelid = format('%I.organizations',
                              current_setting('waha.crm_schema'))::regclass
                      and i.indisunique and i.indisvalid
                      and i.indpred is null
                      and i.indnkeyatts = 1
                      and a.attname = 'slug')
    then
        execute format('alter table %I.organizations '
                       'add constraint waha_organizations_slug '
                       'unique (slug)', current_setting('waha.crm_schema'));
    end if;

exception
    when unique_violation then
        raise exception 'cannot adopt the tables of the CRM: two rows of '
            '%.organizations have the same slug',
            current_setting('waha.crm_schema')
            using detail = sqlerrm;
end
$$;

create table if not exists :"crm_schema".traffic_channels (
    id                     bigint generated by default as identity
                           primary key,
    organization_slug      text not null,
    name                   text not null,
    created_at             timestamptz not null default now(),
    unique (organization_slug, id),
    unique (organization_slug, name),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug)
);

create table if not exists :"crm_schema".contacts (
    id                     bigint generated by default as identity
                           primary key,
    organization_slug      text not null,
    first_name             text,
    last_name              text,
    phone_1                text,
    phone_2                text,
    phone_3                text,
    contact_type           text,
    traffic_source_id      bigint,
    state                  text,
    created_at             timestamptz not null default now(),
    foreign key (organization_slug)
        references :"crm_schema".organizations (slug)
);

create table if not exists :"crm_schema".contact_activities (
    id                     bigint generated by default as identity
                           primary key,
    organization_slug      text not null,
    contact_id             bigint not null,
    activity_type          text not null,
    direction              text,
    message_content        text,
    subject                text,
    metadata               jsonb,
    created_at             timestamptz not null default now(),
    created_by             bigint
);

alter table :"crm_schema".organizations
    add column if not exists name text,
    add column if not exists country_code text,
    add column if not exists whatsapp_session_name text,
    add column if not exists whatsapp_status text,
    add column if not exists whatsapp_phone_number text,
    add column if not exists whatsapp_connected_at timestamptz,
    add column if not exists whatsapp_enabled boolean not null default false,
    add column if not exists waha_instance text;

alter table :"crm_schema".traffic_channels
    add column if not exists organization_slug text,
    add column if not exists name text;

alter table :"crm_schema".contacts
    add column if not exists first_name text,
    add column if not exists last_name text,
    add column if not exists phone_1 text,
    add column if not exists phone_2 text,
    add column if not exists phone_3 text,
    add column if not exists contact_type text,
    add column if not exists traffic_source_id bigint,
    add column if not exists state text,
    add column if not exists created_at timestamptz default now(),
    add column if not exists whatsapp_name text,
    add column if not exists merged_into bigint;

-- message ids compare byte by byte; a row of the CRM has none

alter table :"crm_schema".contact_activities
    add column if not exists activity_type text,
    add column if not exists direction text,
    add column if not exists message_content text,
    add column if not exists metadata jsonb,
    add column if not exists session_name text collate "C",
    add column if not exists message_id text collate "C",
    add column if not exists message_type text,
    add column if not exists chat text,
    add column if not exists sender_name text,
    add column if not exists occurred_at timestamptz;

alter table :"crm_schema".contact_activities
    alter column occurred_at set default now();

\ir 002-crm-keys.sql
\ir 002-crm-comments.sql
