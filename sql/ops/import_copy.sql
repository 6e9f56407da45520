-- The pages that waha.copy_organization made in another cell.

create or replace function waha.begin_import(page jsonb) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    own     text := page->>'organization';
    here    int;
    number  bigint := (page->'rows'->0->>'id')::bigint;
    other   text;
begin
    select v.migration into here from waha.version v;

    if here <> (page->>'migration')::int then
        raise exception 'the schema of the old cell is at migration %, this '
            'one at %', page->>'migration', here
            using hint = 'Run the same install.sql in both.';
    end if;

    select o.slug into other
      from waha.organizations o
     where o.slug = own or o.id = number
     order by o.slug = own desc
     limit 1;

    if other = own then
        raise exception 'there is an organization "%" in this cell', own
            using hint = 'Import it into a cell that has none of this name.';
    end if;

    if other is not null then
        raise exception 'the number % of organization "%" is that of "%" in '
            'this cell', number, own, other
            using hint = 'WAHA''s sessions name it: let the numbers of each '
                'cell begin elsewhere.';
    end if;

    -- the last page enables it

    perform waha.import_rows(own, 'organizations',
        jsonb_build_array(page->'rows'->0
                          || '{"whatsapp_enabled": false}'));

    perform waha.notify_workers(array[own, number::text]);

    insert into waha.imports (organization_slug, copy, pages)
        values (own, (page->>'copy')::uuid, 0);
end
$$;

comment on function waha.begin_import(jsonb) is
    'makes the organization of a first page, or says why it cannot be '
    'imported';


create or replace function waha.import_row(organization text, content jsonb)
returns jsonb
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return (
        select content || coalesce(jsonb_object_agg(k.col, m.new_id), '{}')
          from (values ('contact_id', 'contacts'), ('kept_id', 'contacts'),
                       ('merged_id', 'contacts'), ('from_id', 'contacts'),
                       ('to_id', 'contacts'),
                       ('activity_id', 'contact_activities'),
                       ('traffic_source_id', 'traffic_channels'))
               as k (col, part)
          left join waha.import_ids m
            on m.organization_slug = organization
           and m.part = k.part
           and m.old_id = (content->>k.col)::bigint
         where content ? k.col);
end
$$;

comment on function waha.import_row(text, jsonb) is
    'a row of a copy, with the numbers that it refers to in this cell';


create or replace function waha.import_numbered(organization text, part text,
    rows jsonb) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    columns  text := array_to_string(
        array_remove(waha.copied_columns(part), 'id'), ', ');
    place    regclass := waha.copied_relation(part);
    r        jsonb;
    number   bigint;
begin
    for r in select * from jsonb_array_elements(rows) loop
        execute format('insert into %s (%s) select %s '
                       'from jsonb_populate_record(null::%s, $1) '
                       'returning id', place, columns, columns, place)
            into number
            using waha.import_row(organization, r)
                  || case when part = 'contacts'
                          then '{"merged_into": null}' else '{}' end::jsonb;

        insert into waha.import_ids as m
                    (organization_slug, part, old_id, new_id)
            values (organization, part, (r->>'id')::bigint, number);

        -- the other contact may come later

        if part = 'contacts' and r->>'merged_into' is not null then
            insert into waha.import_ids as m
                        (organization_slug, part, old_id, new_id)
                values (organization, 'merged_into', number,
                        (r->>'merged_into')::bigint);
        end if;
    end loop;
end
$$;

comment on function waha.import_numbered(text, text, jsonb) is
    'inserts rows that get another number in this cell';


create or replace function waha.import_rows(organization text, part text,
    rows jsonb) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    place    regclass := waha.copied_relation(part);
    columns  text;
begin
    -- other tables' own numbers are of no use to anything else

    select string_agg(c, ', ') into columns
      from unnest(waha.copied_columns(part)) c
     where c <> 'id'
        or part in ('organizations', 'api_keys', 'connections');

    execute format('insert into %s (%s) overriding system value select %s '
                   'from jsonb_array_elements($2) with ordinality u (row, n) '
                   'cross join jsonb_populate_record(null::%s, '
                                'waha.import_row($1, u.row)) r '
                   'where to_jsonb(r)->''activity_id'' '
                         'is distinct from ''null'' '
                   'order by u.n%s',
                   place, columns, columns, place,
                   case when part = 'erased'
                        then ' on conflict do nothing' else '' end)
        using organization, rows;
end
$$;

comment on function waha.import_rows(text, text, jsonb) is
    'inserts rows of a copy; one that is about an activity that is gone is '
    'left out';


create or replace function waha.import_sessions_of(organization text,
    rows jsonb) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    held  record;
begin
    select s.name, s.organization_slug into held
      from waha.sessions s
     where s.name in (select r->>'name' from jsonb_array_elements(rows) r)
     limit 1;

    if found then
        raise exception 'session "%" is that of organization "%" in this '
            'cell', held.name, held.organization_slug
            using hint = 'Two cells cannot have sessions of the same name.';
    end if;

    perform waha.import_rows(organization, 'sessions', rows);
end
$$;

comment on function waha.import_sessions_of(text, jsonb) is
    'inserts sessions, unless one of them is somebody else''s';


create or replace function waha.end_import(organization text) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    update waha.contacts c
       set merged_into = k.new_id
      from waha.import_ids m
      join waha.import_ids k on k.organization_slug = m.organization_slug
                            and k.part = 'contacts'
                            and k.old_id = m.new_id
     where m.organization_slug = organization
       and m.part = 'merged_into'
       and c.organization_slug = organization collate "C"
       and c.id = m.old_id;

    delete from waha.import_ids m
     where m.organization_slug = organization
       and m.part = 'merged_into';

    perform waha.set_enabled(organization, true);

    update waha.imports i
       set complete_at = now()
     where i.organization_slug = organization;

    perform waha.record_audit(organization, 'organization.import');
end
$$;

comment on function waha.end_import(text) is
    'joins merged contacts and enables the organization';


create or replace function waha.import_page(page jsonb) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    own   text := page->>'organization';
    part  text := page->>'part';
begin
    if part = 'organizations' then
        return;
    end if;

    if part = 'end' then
        perform waha.end_import(own);

    elsif part in ('traffic_channels', 'contacts', 'contact_activities') then
        perform waha.import_numbered(own, part, page->'rows');

    elsif part = 'sessions' then
        perform waha.import_sessions_of(own, page->'rows');

    elsif part = any (waha.copied_parts()) then
        perform waha.import_rows(own, part, page->'rows');

    else
        raise exception 'there is no part "%" of an organization', part;
    end if;

    perform waha.notify_workers(own || array(
                select r->>'id' from jsonb_array_elements(page->'rows') r))
      where part in ('api_keys', 'sessions', 'connections');
end
$$;

comment on function waha.import_page(jsonb) is
    'stores a page, but for the first one, which is the organization';


create or replace function waha.import_organization(page jsonb)
returns text
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    own     text := page->>'organization';
    number  int := (page->>'page')::int;
    known   waha.imports;
begin
    if (own <> '' and number > 0 and page->>'copy' <> '') is not true then
        raise exception 'this is no page of waha.copy_organization';
    end if;

    perform waha.lock_name('import ' || own);

    if number = 1 and not exists (
        select
          from waha.imports i
         where i.organization_slug = own
           and i.copy = (page->>'copy')::uuid)
    then
        perform waha.begin_import(page);
    end if;

    select * into known
      from waha.imports i
     where i.organization_slug = own
       and i.copy = (page->>'copy')::uuid;

    if known.pages >= number then
        return 'it was there before';
    end if;

    if known.pages is distinct from number - 1 then
        raise exception 'page % of organization "%" has to be imported '
            'before page %', coalesce(known.pages, 0) + 1, own, number
            using hint = 'Import the pages of one copy in their order.';
    end if;

    perform waha.import_page(page);

    update waha.imports i
       set pages = number
     where i.organization_slug = own;

    return 'imported';
end
$$;

comment on function waha.import_organization(jsonb) is
    'stores a page that waha.copy_organization made in another cell; the last '
    'one enables the organization; result: "imported", or "it was there '
    'before"';

grant execute on function waha.import_organization(jsonb) to waha_admin;
