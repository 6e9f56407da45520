-- What the tenant API adds to the four tables.

-- lists of contacts; only waha.tenant_contacts has the condition, so no plan
-- of ingest or of a foreign key takes this for a key

create index waha_contacts_list
    on :"crm_schema".contacts (organization_slug collate "POSIX", id)
    where organization_slug collate "POSIX" >= '';

create index waha_contacts_merged
    on :"crm_schema".contacts (merged_into) where merged_into is not null;

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
