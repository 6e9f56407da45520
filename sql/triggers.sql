-- Triggers on the tables of the CRM, for rows that the CRM writes.  Functions,
-- which write as waha_owner, keep identities up to date and notify the workers
-- themselves.

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

drop trigger if exists waha_notify on :"crm_schema".organizations;
create trigger waha_notify
    after insert or delete on :"crm_schema".organizations
    for each row
    when (current_user <> 'waha_owner')
    execute function waha.organization_changed();

drop trigger if exists waha_notify_change on :"crm_schema".organizations;
create trigger waha_notify_change
    after update on :"crm_schema".organizations
    for each row
    when (current_user <> 'waha_owner'
          and old.whatsapp_enabled is distinct from new.whatsapp_enabled)
    execute function waha.organization_changed();

-- The CRM's own triggers run with the search_path of ingest, unless their
-- functions set one.

do $$
declare
    own  record;
begin
    for own in
        select t.tgname, t.tgrelid::regclass as tab,
               p.oid::regprocedure as called, n.nspname
          from pg_trigger t
          join pg_class c on c.oid = t.tgrelid
          join pg_namespace n on n.oid = c.relnamespace
          join pg_proc p on p.oid = t.tgfoid
          join pg_language l on l.oid = p.prolang
         where n.nspname = current_setting('waha.crm_schema')
           and c.relname in ('organizations', 'traffic_channels', 'contacts',
                             'contact_activities')
           and not t.tgisinternal
           and t.tgenabled <> 'D'
           -- for insert or update
           and t.tgtype & 20 <> 0
           and l.lanname not in ('internal', 'c')
           and not exists (select from unnest(p.proconfig) as o (setting)
                            where o.setting like 'search_path=%')
         order by 1, 2
    loop
        raise warning 'trigger "%" on % calls %, which has no search_path: '
            'with messages it finds no table of the CRM by an unqualified '
            'name', own.tgname, own.tab, own.called
            using hint = format('alter function %s set search_path = %I, '
                                'pg_temp', own.called, own.nspname);
    end loop;
end
$$;
