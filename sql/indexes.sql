-- Indexes that a database with messages lacks after an upgrade.  They are made
-- after the transaction of install.sql, because writers do not wait for a
-- concurrent build; what these replace stays until they are there.  What an
-- interrupted run left is mended by the next one.

set search_path = pg_catalog, pg_temp;

select format('drop index concurrently %I.%I', n.nspname, c.relname)
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
 where not i.indisvalid
   and (n.nspname = 'waha'
        or n.nspname = :'crm_schema'
           and c.relname = 'waha_activities_person') \gexec

select format('create index concurrently waha_activities_person on '
              '%I.contact_activities (contact_id, occurred_at desc, id desc)',
              :'crm_schema')
 where to_regclass(format('%I.waha_activities_person', :'crm_schema'))
       is null \gexec

-- these were two for what that one does, and each message had an entry in both

select format('drop index concurrently %I.%I', :'crm_schema', i.name)
  from unnest('{waha_activities_timeline,waha_activities_contact}'::text[])
       as i (name)
 where to_regclass(format('%I.%I', :'crm_schema', i.name))
       is not null \gexec

set role waha_owner;

-- what is stored of a person, for erasure and export

select format('create index concurrently %s on waha.%s', i.name, i.used)
  from (values
    ('quarantine_people_idx',
     'quarantine using gin (waha.quarantine_people(event))'),
    ('quarantine_names_idx',
     'quarantine using gin (waha.quarantine_names(event))'),
    ('message_states_reacted_idx',
     'message_states using gin (waha.reacted(reactions)) '
     'where reactions - ''{me,contact}''::text[] <> ''{}'''),
    ('message_states_voted_idx',
     'message_states using gin (waha.reacted(votes)) '
     'where votes - ''{me,contact}''::text[] <> ''{}'''))
       as i (name, used)
 where to_regclass('waha.' || i.name) is null \gexec

reset role;
reset search_path;
