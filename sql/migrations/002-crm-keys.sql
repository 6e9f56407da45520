-- Keys of the four tables.  Those that start with the organization make a
-- row that points into another organization impossible.

-- another collation keeps it out of the plans, which share the smaller one
-- of the primary key then

create unique index waha_contacts_key
    on :"crm_schema".contacts (id, organization_slug collate "C");

-- It compares byte by byte, which is cheap.  Statements that are meant for the
-- other one name another such collation, and so fit no index on the
-- organization, even where the planner knows of an empty table only.

create unique index waha_activities_message
    on :"crm_schema".contact_activities
       (organization_slug collate "C", session_name, message_id,
        direction collate "C");

-- for reading messages of a contact in their order, and for what happens to
-- all of them: merging, erasing, the foreign key; databases of earlier
-- versions get it by indexes.sql

create index waha_activities_person
    on :"crm_schema".contact_activities
       (contact_id, occurred_at desc, id desc);

-- A contact's deletion does to its activities what the CRM's own key says;
-- rows that are there are not checked.

do $$
declare
    crm     name := current_setting('waha.crm_schema');
    action  "char";
begin
    select c.confdeltype into action
      from pg_constraint c
     where c.contype = 'f'
       and c.conrelid = format('%I.contact_activities', crm)::regclass
       and c.confrelid = format('%I.contacts', crm)::regclass
     order by c.confdeltype = 'c'
     limit 1;

    execute format(
        'alter table %1$I.contact_activities '
        'add constraint waha_activities_contact '
        'foreign key (organization_slug, contact_id) '
        'references %1$I.contacts (organization_slug, id) '
        'on update cascade %2$s not valid',
        crm,
        case when coalesce(action, 'c') = 'c'
             then 'on delete cascade'
             else 'deferrable initially deferred'
        end);
end
$$;

-- Ingest works as waha_owner, through views.  Nobody else gets a right.

grant select, insert, update on
    :"crm_schema".organizations, :"crm_schema".traffic_channels,
    :"crm_schema".contacts, :"crm_schema".contact_activities
    to waha_owner;

grant references on :"crm_schema".organizations, :"crm_schema".contacts
    to waha_owner;

do $$
declare
    crm      name := current_setting('waha.crm_schema');
    adopted  record;
begin
    if not has_schema_privilege('waha_owner', crm, 'usage') then
        execute format('grant usage on schema %I to waha_owner', crm);

        if not has_schema_privilege('waha_owner', crm, 'usage') then
            raise exception 'waha_owner may not use schema "%"', crm
                using hint = 'Let its owner "grant usage on schema '
                    || quote_ident(crm) || ' to waha_owner".';
        end if;
    end if;

    -- sequences that defaults use have rights of their own

    for adopted in
        select distinct d.refobjid::regclass as seq
          from waha_adopted t
          join pg_attrdef f on f.adrelid = t.relid
          join pg_depend d on d.classid = 'pg_attrdef'::regclass
                          and d.objid = f.oid
                          and d.refclassid = 'pg_class'::regclass
          join pg_class s on s.oid = d.refobjid
         where s.relkind = 'S'
           and t.tab <> 'organizations'
    loop
        execute format('grant usage on sequence %s to waha_owner',
                       adopted.seq);
    end loop;

    -- says nothing until the CRM switches row-level security on

    for adopted in
        select unnest(array['organizations', 'traffic_channels', 'contacts',
                            'contact_activities']) as tab
    loop
        execute format('create policy waha_owner on %I.%I to waha_owner '
                       'using (true) with check (true)', crm, adopted.tab);
    end loop;
end
$$;
