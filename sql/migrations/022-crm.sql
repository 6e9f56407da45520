-- The index that 022-timeline.sql makes, where nobody waits for the table: in a
-- new installation.

create index waha_activities_person
    on :"crm_schema".contact_activities
       (contact_id, occurred_at desc, id desc);

drop index :"crm_schema".waha_activities_timeline;
drop index if exists :"crm_schema".waha_activities_contact;
