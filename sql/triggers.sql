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
    for each row
    when (current_user <> 'waha_owner'
          and (old.phone_1, old.phone_2, old.phone_3, old.organization_slug)
              is distinct from
              (new.phone_1, new.phone_2, new.phone_3, new.organization_slug))
    execute function waha.contact_changed();

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
