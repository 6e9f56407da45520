-- In a new installation nobody waits for the tables: the index on messages by
-- contact is made at once, see indexes.sql for others.

create index waha_activities_person
    on :"crm_schema".contact_activities
       (contact_id, occurred_at desc, id desc);

drop index :"crm_schema".waha_activities_timeline;
drop index if exists :"crm_schema".waha_activities_contact;
