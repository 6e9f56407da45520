-- An organization as pages of JSON, for waha.import_organization in another
-- cell.

create or replace function waha.copied_parts() returns text[]
language sql immutable
set search_path = waha, pg_temp
as $$
    -- each after those that it refers to; sessions and connections last: from
    -- then on messages find the organization

    select array['organizations', 'traffic_channels', 'contacts',
                 'contact_activities', 'contact_identities', 'shared_phones',
                 'conversations', 'message_states', 'waiting_changes',
                 'merges', 'moves', 'moved_messages', 'moved_people',
                 'session_budgets',
                 'api_keys', 'key_uses', 'erased', 'sessions',
                 'connections']
$$;

comment on function waha.copied_parts() is
    'tables that hold what moves with an organization, in the order in which '
    'they are imported';


create or replace function waha.copied_relation(part text) returns regclass
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select case when part in ('organizations', 'traffic_channels',
                                  'contacts', 'contact_activities')
                    then format('%I.%I', v.crm_schema, part)
                    else format('waha.%I', part) end::regclass
          from waha.version v);
end
$$;

comment on function waha.copied_relation(text) is
    'the table of a part: that of the CRM, or one of schema waha';


create or replace function waha.copied_columns(part text) returns text[]
language sql stable
set search_path = waha, pg_temp
as $$
    select array_agg(quote_ident(a.attname) order by a.attnum)
      from pg_attribute a
      join pg_attribute ours on ours.attname = a.attname
     where a.attrelid = waha.copied_relation(part)
       and a.attnum > 0
       and not a.attisdropped
       and a.attgenerated = ''
       and ours.attrelid = format('waha.%I', part)::regclass
$$;

comment on function waha.copied_columns(text) is
    'the columns of a part that are copied: none that are the CRM''s own';


create or replace function waha.copied_rows(organization text, part text)
returns text
language sql stable
set search_path = waha, pg_temp
as $$
    select format(
        'select to_jsonb(r) from (select %s from %s where %s%s) r',
        array_to_string(c, ', '), waha.copied_relation(part),
        case when part = 'organizations'
                  then format('slug = %L', organization)
                  when part = 'erased' then 'true'
                  when part = 'contacts'
                  then format('organization_slug = %L collate "POSIX" '
                              'and organization_slug collate "POSIX" >= ''''',
                              organization)
                  when part = 'contact_activities'
                  then format('organization_slug = %L collate "C"',
                              organization)
                  else format('organization_slug = %L', organization) end,
        case when 'id' = any (c) then ' order by id' else '' end)
      from waha.copied_columns(part) c
$$;

comment on function waha.copied_rows(text, text) is
    'a query for the rows of an organization, as JSON';


create or replace function waha.copy_pages(organization text, size int)
returns setof jsonb
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    head  jsonb;
    part  text;
    one   jsonb;
    rows  jsonb[] := '{}';
    page  int := 0;
begin
    select jsonb_build_object('organization', organization,
                              'copy', gen_random_uuid(),
                              'migration', v.migration) into head
      from waha.version v;

    foreach part in array waha.copied_parts() loop
        for one in execute waha.copied_rows(organization, part) loop
            rows := rows || one;

            if cardinality(rows) = size then
                page := page + 1;
                return next head || jsonb_build_object('page', page,
                    'part', part, 'rows', to_jsonb(rows));
                rows := '{}';
            end if;
        end loop;

        if cardinality(rows) > 0 then
            page := page + 1;
            return next head || jsonb_build_object('page', page,
                'part', part, 'rows', to_jsonb(rows));
            rows := '{}';
        end if;
    end loop;

    return next head || jsonb_build_object('page', page + 1, 'part', 'end');
end
$$;

comment on function waha.copy_pages(text, int) is
    'the pages of waha.copy_organization, all of the same moment';


create or replace function waha.copy_organization(organization text,
    size int default 200) returns setof jsonb
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    enabled  boolean;
begin
    select o.whatsapp_enabled into enabled
      from waha.organizations o
     where o.slug = organization;

    if not found then
        raise exception 'there is no organization "%"', organization;
    end if;

    if enabled then
        raise exception 'organization "%" is enabled: what comes meanwhile '
            'would not be copied', organization
            using hint = 'Let its webhooks go to the new cell, then disable '
                'it here.';
    end if;

    if size is null or size not between 1 and 10000 then
        raise exception 'waha.copy_organization takes pages of 1 to 10000 '
            'rows';
    end if;

    perform waha.record_audit(organization, 'organization.copy');

    return query select * from waha.copy_pages(organization, size);
end
$$;

comment on function waha.copy_organization(text, int) is
    'what is stored of a disabled organization, in pages for '
    'waha.import_organization of another cell; size: rows of a page';

grant execute on function waha.copy_organization(text, int) to waha_admin;
