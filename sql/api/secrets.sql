-- Sealed secrets, for their rotation: operators' requests read those that are
-- not sealed with the current key, and write them again.

create or replace function waha.sealed_columns(out part text,
    out columns text[]) returns setof record
language sql immutable
set search_path = waha, pg_temp
as $$
    select 'connections',
           array['access_token', 'app_secret', 'previous_app_secret']
$$;

comment on function waha.sealed_columns() is
    'tables of schema waha with sealed secrets, and their columns; each has '
    'id and organization_slug, too; what is moved to a column previous_name '
    'stays sealed for the column name';


create or replace function waha.sealed_rows(part text, columns text[])
returns text
language sql immutable
set search_path = waha, pg_temp
as $$
    -- $1, $2: behind which row and column; $3: the beginning of texts that are
    -- left out; $4: how many

    select format($query$
        with looked as materialized (
            select t.id, t.organization_slug, %1$s
              from waha.%2$I t
             where t.id >= $1
             order by t.id
             limit waha.most_read()
        ), sealed as (
            select l.id as "row", l.organization_slug as organization,
                   c.name as "column",
                   regexp_replace(c.name, '^previous_', '') as sealed_for,
                   c.sealed
              from looked l
             cross join lateral (values %3$s) c (name, sealed)
             where (l.id, c.name) > ($1, $2)
               and not starts_with(c.sealed, $3)
             order by l.id, c.name
             limit $4
        )
        select (select coalesce(jsonb_agg(jsonb_build_object('table', %2$L)
                                          || to_jsonb(s)
                                          order by s."row", s."column"),
                                '[]')
                  from sealed s),
               coalesce((select s."column" || ' ' || s."row"
                           from sealed s
                          order by s."row", s."column"
                         offset $4 - 1),
                        (select '~ ' || l.id
                           from looked l
                          order by l.id
                         offset waha.most_read() - 1))
        $query$,
        string_agg(format('t.%I', c), ', '), part,
        string_agg(format('(%L, l.%I)', c, c), ', '))
      from unnest(columns) c
$$;

comment on function waha.sealed_rows(text, text[]) is
    'a query for the sealed secrets of a table, and for the place at which it '
    'ended before the end of the table';


create or replace function waha.list_secrets(current text, after text,
    size int) returns waha.reply
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    n        int := waha.page_size(size);
    place    text[] := regexp_match(waha.from_cursor(after),
                                    '^(\S+) (\S+) (.*)$');
    p        record;
    secrets  jsonb;
    last     text;
begin
    if n is null or after is not null and place is null then
        return waha.refuse_page(size);
    end if;

    if current ~ '^[A-Za-z0-9_-]{1,32}$' is not true then
        return waha.refuse_argument('current',
                   'it is the id of the first secret key');
    end if;

    -- a page is of one table

    select c.part, c.columns,
           lead(c.part) over (order by c.part) as following
      into p
      from waha.sealed_columns() c
     where c.part >= coalesce(place[1], '')
     order by c.part
     limit 1;

    if p.part is null then
        return row(null, '{"secrets": [], "next": null}')::waha.reply;
    end if;

    if p.part <> place[1] then
        place := null;
    end if;

    execute waha.sealed_rows(p.part, p.columns)
       into secrets, last
      using coalesce(place[3], ''), coalesce(place[2], ''),
            'waha1.' || current || '.', n;

    return row(null, jsonb_build_object(
                         'secrets', secrets,
                         'next', waha.to_cursor(coalesce(
                             p.part || ' ' || last,
                             p.following || ' - '))))::waha.reply;
end
$$;

comment on function waha.list_secrets(text, text, int) is
    'secrets that are not sealed with the key whose id is current, in pages; '
    'a page may be empty and have a next one; codes: invalid_argument';


create or replace function waha.replace_secret(organization text, place json,
    old text, new text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    replaced  int;
begin
    if not exists (select
                     from waha.sealed_columns() c
                    where c.part = place->>'table'
                      and place->>'column' = any (c.columns))
    then
        return waha.refuse_argument('place',
                   'there are no secrets in this table and column');
    end if;

    if starts_with(new, 'waha1.') is not true then
        return waha.refuse_argument('new', 'it is not sealed');
    end if;

    -- one that was changed meanwhile is left as it is

    execute format('update waha.%I t set %I = $1 '
                   'where t.organization_slug = $2 and t.id = $3 '
                   'and t.%2$I = $4', place->>'table', place->>'column')
      using new, organization, place->>'row', old;

    get diagnostics replaced = row_count;

    if replaced > 0 then
        perform waha.notify_workers(array[place->>'row']);
        perform waha.record_audit(organization, 'secret.rotate',
                                  details => jsonb_build_object(
                                      'table', place->>'table'),
                                  seconds => 60);
    end if;

    return row(null, json_build_object('replaced', replaced > 0))::waha.reply;
end
$$;

comment on function waha.replace_secret(text, json, text, text) is
    'replaces the sealed text of a place (table, row, column) by another one '
    'of the same secret, unless it was changed meanwhile; codes: '
    'invalid_argument';

grant execute on function waha.list_secrets(text, text, int),
    waha.replace_secret(text, json, text, text)
    to waha_gateway;
