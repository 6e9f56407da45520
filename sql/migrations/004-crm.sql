-- What the tenant API adds to the four tables.

-- lists of contacts; only waha.tenant_contacts has the condition, so no plan
-- of ingest or of a foreign key takes this for a key

create index waha_contacts_list
    on :"crm_schema".contacts (organization_slug collate "POSIX", id)
    where organization_slug collate "POSIX" >= '';

create index waha_contacts_merged
    on :"crm_schema".contacts (merged_into) where merged_into is not null;

-- Our foreign key looks for the activities of a contact that is deleted in
-- the collation of the column: without this it would read those of all
-- organizations.  It costs each message an entry.  The slug comes first, so
-- that no plan of ingest, in another collation, takes this for the timeline.

do $$
declare
    activities  regclass := format('%I.contact_activities',
                                   current_setting('waha.crm_schema'));
begin
    if not exists (select
                     from pg_index i
                     join pg_attribute a on a.attrelid = i.indrelid
                                        and a.attnum = i.indkey[0]
                    where i.indrelid = activities
                      and i.indisvalid
                      and i.indpred is null
                      and a.attname = 'contact_id')
    then
        execute format('create index waha_activities_contact on %s '
                       '(organization_slug, contact_id)', activities);
    end if;
end
$$;

-- Erasure deletes; operators make and delete organizations.

grant delete on
    :"crm_schema".organizations, :"crm_schema".traffic_channels,
    :"crm_schema".contacts, :"crm_schema".contact_activities
    to waha_owner;

do $$
declare
    used  regclass;
begin
    for used in
        select s.oid
          from pg_attrdef f
          join pg_depend d on d.classid = 'pg_attrdef'::regclass
                          and d.objid = f.oid
                          and d.refclassid = 'pg_class'::regclass
          join pg_class s on s.oid = d.refobjid
         where f.adrelid = format('%I.organizations',
                               current_setting('waha.crm_schema'))::regclass
           and s.relkind = 'S'
    loop
        execute format('grant usage on sequence %s to waha_owner', used);
    end loop;
end
$$;
