-- Installs or upgrades schema waha, the PostgreSQL side of
-- ngx_http_waha_module.  An administrator runs it: a role that has
-- CREATEROLE, may create schemas in the database and owns the CRM's tables;
-- or a superuser, where the owner of the CRM's tables is trusted like one.
--
--     psql -d crm -f install.sql
--     psql -d crm -v crm_schema=app -f install.sql
--
-- crm_schema is the schema that holds, or will hold, the CRM's tables
-- organizations, traffic_channels, contacts and contact_activities.  It is
-- chosen at the first run (default: public) and remembered.  Everything but
-- some indexes is one transaction, and running it again does no harm.

\set AUTOCOMMIT on
\set ON_ERROR_STOP on
\set QUIET on

\if :{?crm_schema}
\else
    \set crm_schema ''
\endif

set client_min_messages = warning;

begin;

-- an unqualified name must not find an object that another role has made

set local search_path = pg_catalog, pg_temp;

-- literals mean the same whatever the settings of the database are

set local standard_conforming_strings = on;
set local row_security = on;

do $$
begin
    if current_setting('server_version_num')::int < 130000 then
        raise exception 'PostgreSQL % is too old for ngx_http_waha_module',
            current_setting('server_version')
            using hint = 'Version 13 or newer is needed.';
    end if;

    if current_setting('server_encoding') <> 'UTF8' then
        raise exception 'database "%" has the encoding %', current_database(),
            current_setting('server_encoding')
            using hint = 'Messages are in every script: make the database '
                'with "createdb -E UTF8 -T template0".';
    end if;
end
$$;

-- one installation at a time

select pg_advisory_xact_lock(7761686100) \g /dev/null

\ir migrations/001-roles.sql

select to_regclass('waha.version') is not null as installed \gset

\if :installed
    select crm_schema as remembered, migration from waha.version \gset
\else
    \set remembered ''
    \set migration 0
\endif

select set_config('waha.given', :'crm_schema', true),
       set_config('waha.remembered', :'remembered', true) \g /dev/null

do $$
declare
    given       text := current_setting('waha.given');
    remembered  text := current_setting('waha.remembered');
begin
    if given <> '' and remembered <> '' and given <> remembered then
        raise exception 'the tables of the CRM were adopted in schema "%", '
            'not in "%"', remembered, given
            using hint = 'Leave crm_schema out when upgrading.';
    end if;
end
$$;

select coalesce(nullif(:'remembered', ''), nullif(:'crm_schema', ''),
                'public') as crm_schema,
       :migration < 2 as crm_needed,
       :migration < 3 as tables_needed,
       :migration < 4 as sessions_needed,
       :migration < 5 as erasure_needed,
       :migration < 6 as renames_needed,
       :migration < 7 as changes_needed,
       :migration < 8 as safety_needed,
       :migration < 9 as timeouts_needed,
       :migration < 11 as operations_needed,
       :migration < 12 as numbers_needed,
       :migration < 13 as merges_needed,
       :migration < 14 as erased_needed,
       :migration < 15 as quarantine_needed,
       :migration < 16 as audit_needed,
       :migration < 17 as restrictions_needed,
       :migration < 18 as growth_needed,
       :migration < 21 as imports_needed,
       :migration < 23 as wording_needed,
       :migration < 24 as events_needed,
       :migration < 25 as connections_needed,
       :migration < 26 as people_needed \gset

select set_config('waha.crm_schema', :'crm_schema', true) \g /dev/null

\if :crm_needed
    \ir migrations/002-crm.sql
\endif

\if :sessions_needed
    \ir migrations/004-crm.sql
\endif

set local role waha_owner;

\if :installed
    \ir lock.sql
\endif

\if :tables_needed
    \ir migrations/003-tables.sql
\endif

\if :sessions_needed
    \ir migrations/004-sessions.sql
\endif

\if :changes_needed
    \ir migrations/007-changes.sql
\endif

\if :safety_needed
    \ir migrations/008-safety.sql
\endif

\if :timeouts_needed
    \ir migrations/009-timeouts.sql
\endif

\if :operations_needed
    \ir migrations/011-operations.sql
\endif

\if :numbers_needed
    \ir migrations/012-numbers.sql
\endif

\if :merges_needed
    \ir migrations/013-merges.sql
\endif

\if :erased_needed
    \ir migrations/014-erased.sql
\endif

\if :quarantine_needed
    \ir migrations/015-quarantine.sql
\endif

\if :audit_needed
    \ir migrations/016-audit.sql
\endif

\if :restrictions_needed
    \ir migrations/017-restrictions.sql
\endif

\if :growth_needed
    \ir migrations/018-growth.sql
\endif

\if :imports_needed
    \ir migrations/021-imports.sql
\endif

\if :wording_needed
    \ir migrations/023-wording.sql
\endif

\if :events_needed
    \ir migrations/024-events.sql
\endif

\if :connections_needed
    \ir migrations/025-connections.sql
\endif

\if :people_needed
    \ir migrations/026-people.sql
\endif

\ir views.sql

\ir ingest/locks.sql
\ir ingest/identity.sql
\ir ingest/erased.sql
\ir ingest/contacts.sql
\ir ingest/organization.sql
\ir ingest/session_state.sql
\ir ingest/states.sql
\ir ingest/changes.sql
\ir ingest/conversations.sql
\ir ingest/events.sql
\ir ingest/numbers.sql
\ir ingest/activities.sql
\ir ingest/strangers.sql
\ir ingest/batch.sql
\ir ingest/ingest.sql
\ir ingest/quarantine.sql
\ir ingest/timeouts.sql

\ir ops/check.sql
\ir ops/maintenance.sql
\ir ops/unmerge.sql
\ir ops/import.sql
\ir ops/copy.sql
\ir ops/import_copy.sql

\ir access.sql

\ir forced.sql

\ir api/answers.sql
\ir api/audit.sql
\ir api/sessions.sql
\ir api/operations.sql
\ir api/connections.sql
\ir api/secrets.sql
\ir api/keys.sql
\ir api/organizations.sql
\ir api/inbox.sql
\ir api/erasure.sql
\ir notify.sql

-- after the functions that its indexes are on

\if :erasure_needed
    \ir migrations/005-erasure.sql
\endif

\if :renames_needed
    \ir migrations/006-renamed.sql
\endif

\if :erased_needed
    \ir migrations/014-votes.sql
\endif

-- waha_api is subject to row-level security and owns the functions that read
-- for one organization; it may create objects only here

grant create on schema waha to waha_api;

set local role waha_api;

\ir api/reading.sql
\ir api/export.sql
\ir settings.sql

set local role waha_owner;

\ir settings.sql
\ir writes.sql

revoke create on schema waha from waha_api;

reset role;

\ir triggers.sql
\ir roles.sql

\if :crm_needed
    select waha.learn_all() \g /dev/null

    do $$
    declare
        reason  text := waha.trial();
    begin
        if reason is not null then
            raise exception 'cannot adopt the tables of the CRM: a trial '
                'failed: %', reason;
        end if;
    end
    $$;
\endif

set local role waha_owner;

do $$
declare
    rights  text;
begin
    select string_agg(r, ' and ' order by r) into rights
      from unnest('{connect,temporary}'::text[]) r
     where has_database_privilege('public', current_database(), r);

    if rights is not null then
        raise warning 'every role may % in database "%"',
            replace(replace(rights, 'connect', 'connect to it'), 'temporary',
                    'make temporary tables'), current_database()
            using hint = format('revoke %s on database %I from public',
                                replace(rights, ' and', ','),
                                current_database());
    end if;
end
$$;

-- PostgreSQL 13 and 14 make schema public so

do $$
declare
    crm  name := current_setting('waha.crm_schema');
begin
    if has_schema_privilege('public', crm, 'create') then
        raise warning 'every role may create objects in schema "%"', crm
            using hint = format('revoke create on schema %I from public', crm);
    end if;
end
$$;

update waha.version
   set contract = 4, contract_min = 1, migration = 26, installed_at = now();

reset role;

commit;

\ir indexes.sql

reset client_min_messages;
