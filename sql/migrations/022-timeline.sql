-- One index on messages by contact, for reading them in their order and for
-- what happens to all of a contact: merging, erasing, the foreign key.  Until
-- now these were two, and each message had an entry in both.
--
-- After the transaction of install.sql, because writers do not wait for a
-- concurrent build; the old indexes stay until the new one is there.  What an
-- interrupted run left is mended by the next one.

set search_path = pg_catalog, pg_temp;

select exists (
           select
             from pg_index i
            where i.indexrelid = to_regclass(format(
                      '%I.waha_activities_person', :'crm_schema'))
              and not i.indisvalid) as unfinished,
       to_regclass(format('%I.waha_activities_person', :'crm_schema')) is null
           as missing,
       to_regclass(format('%I.waha_activities_timeline', :'crm_schema'))
           is not null as timeline_left,
       to_regclass(format('%I.waha_activities_contact', :'crm_schema'))
           is not null as contact_left \gset

\if :unfinished
    drop index concurrently :"crm_schema".waha_activities_person;
    \set missing true
\endif

\if :missing
    create index concurrently waha_activities_person
        on :"crm_schema".contact_activities
           (contact_id, occurred_at desc, id desc);
\endif

\if :timeline_left
    drop index concurrently :"crm_schema".waha_activities_timeline;
\endif

\if :contact_left
    drop index concurrently :"crm_schema".waha_activities_contact;
\endif

reset search_path;
