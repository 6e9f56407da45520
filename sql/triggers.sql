-- Triggers on the tables of the CRM.  What ingest itself writes is none of
-- their business.

drop trigger if exists waha_learn on :"crm_schema".contacts;
create trigger waha_learn
    after insert on :"crm_schema".contacts
    referencing new table as added
    for each statement
    when (current_user <> 'waha_owner')
    execute function waha.contacts_added();

drop trigger if exists waha_relearn on :"crm_schema".contacts;
create trigger waha_relearn
    after update on :"crm_schema".contacts
    referencing old table as were new table as are
    for each statement
    when (current_user <> 'waha_owner')
    execute function waha.contacts_changed();

drop trigger if exists waha_unlearn on :"crm_schema".contacts;
create trigger waha_unlearn
    after delete on :"crm_schema".contacts
    referencing old table as were
    for each statement
    execute function waha.contacts_deleted();

drop trigger if exists waha_forget on :"crm_schema".contact_activities;
create trigger waha_forget
    after delete on :"crm_schema".contact_activities
    referencing old table as were
    for each statement
    execute function waha.activities_deleted();

drop trigger if exists waha_move on :"crm_schema".contacts;
create trigger waha_move
    before update of organization_slug on :"crm_schema".contacts
    for each row
    when (old.organization_slug is distinct from new.organization_slug)
    execute function waha.contact_moves();

drop trigger if exists waha_slug on :"crm_schema".organizations;
create trigger waha_slug
    before update of slug on :"crm_schema".organizations
    for each row
    when (old.slug is distinct from new.slug)
    execute function waha.slug_changes();

drop trigger if exists waha_country on :"crm_schema".organizations;
create trigger waha_country
    after update of country_code on :"crm_schema".organizations
    for each row
    when (old.country_code is distinct from new.country_code)
    execute function waha.country_changed();
