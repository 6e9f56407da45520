-- Organizations, for operators.

create or replace function waha.organization_object(o waha.organizations)
returns json
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return json_build_object(
               'organization', o.slug,
               'id', o.id,
               'name', o.name,
               'country_code', o.country_code,
               'enabled', coalesce(o.whatsapp_enabled, false),
               'sessions', (
                   select count(*)
                     from waha.sessions s
                    where s.organization_slug = o.slug
                      and s.deleted_at is null),
               'status', o.whatsapp_status,
               'phone', o.whatsapp_phone_number);
end
$$;

comment on function waha.organization_object(waha.organizations) is
    'an organization as operators see it';


create or replace function waha.list_organizations(after text, size int)
returns waha.reply
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    n      int := waha.page_size(size);
    place  text := waha.from_cursor(after);
    data   json;
begin
    if n is null or after is not null and place is null then
        return waha.refuse_page(size);
    end if;

    select json_build_object(
               'organizations', coalesce(json_agg(
                       waha.organization_object(p.org) order by p.pos)
                           filter (where p.pos <= n), '[]'),
               'next', case when count(*) > n then (array_agg(
                       waha.to_cursor((p.org).slug))
                           filter (where p.pos = n))[1] end)
      into data
      from (select o.org, row_number() over () as pos
              from (select o as org
                      from waha.organizations o
                     where o.slug > coalesce(place, '')
                     order by o.slug
                     limit n + 1) o) p;

    return row(null, data)::waha.reply;
end
$$;

comment on function waha.list_organizations(text, int) is
    'all organizations in the order of their slugs; codes: invalid_argument';


create or replace function waha.show_organization(slug text)
returns waha.reply
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own  alias for $1;
    o    waha.organizations;
begin
    select g.* into o
      from waha.organizations g
     where g.slug = own;

    if not found then
        return row('unknown_organization', null)::waha.reply;
    end if;

    return row(null, waha.organization_object(o))::waha.reply;
end
$$;

comment on function waha.show_organization(text) is
    'an organization; codes: unknown_organization';


create or replace function waha.slug_fault(slug text) returns text
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    -- a text that is the slug of one organization and the id of another names
    -- neither, see waha.find_organization

    if slug ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$' is not true then
        return 'a new slug has up to 100 letters, digits, "_", "." and "-", '
               'and begins with a letter or a digit';
    end if;

    if exists (select
                 from waha.organizations o
                where o.id = waha.id_of(slug_fault.slug))
    then
        return 'another organization has this id';
    end if;

    return null;
end
$$;

comment on function waha.slug_fault(text) is
    'why a text cannot be the slug of a new organization; null: it can';


create or replace function waha.make_organization(slug text, name text,
    country_code text, enabled boolean) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    own   alias for $1;
    made  bigint;
begin
    for attempt in 1 .. 100 loop
        begin
            insert into waha.organizations as o (slug, name, country_code,
                                                 whatsapp_enabled)
                values ($1, coalesce($2, $1), $3, coalesce($4, true))
                on conflict do nothing
                returning o.id into made;

            if not exists (select
                             from waha.organizations o
                            where o.slug = made::text
                              and o.slug <> own)
            then
                perform waha.notify_workers(array[own, made::text])
                  where made is not null;

                return made is not null;
            end if;

            -- takes the row back, not the number: the next one gets another

            raise exception using errcode = 'WH001';

        exception
            when sqlstate 'WH001' then null;
        end;
    end loop;

    raise exception 'no id is free for organization "%": all are slugs', own;
end
$$;

comment on function waha.make_organization(text, text, text, boolean) is
    'creates an organization whose id is no other one''s slug; false: its '
    'slug is there already';


create or replace function waha.set_enabled(organization text,
    enabled boolean) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    number  bigint;
begin
    update waha.organizations o
       set whatsapp_enabled = enabled
     where o.slug = organization
       and o.whatsapp_enabled is distinct from enabled
    returning o.id into number;

    perform waha.notify_workers(array[organization, number::text])
      where number is not null;

    return number is not null;
end
$$;

comment on function waha.set_enabled(text, boolean) is
    'enables or disables WhatsApp for an organization; result: whether that '
    'was a change';


create or replace function waha.put_organization(slug text, name text,
    country_code text, enabled boolean) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_variable
declare
    own      alias for $1;
    title    alias for $2;
    country  text := nullif(ltrim($3, '+'), '');
    created  boolean := false;
    fault    text;
    given    text[];
    r        waha.reply;
begin
    if not exists (select from waha.organizations o where o.slug = own) then
        created := true;
        fault := waha.slug_fault(own);
    end if;

    if fault is not null then
        return waha.refuse_argument('slug', fault);
    end if;

    if country !~ '^[1-9][0-9]{0,3}$' then
        return waha.refuse_argument('country_code',
                   'a country code has 1 to 4 digits');
    end if;

    if length(title) > 200 then
        return waha.refuse_argument('name',
                   'a name has up to 200 characters');
    end if;

    if created then
        created := waha.make_organization(own, title, country, enabled);
    end if;

    if not created then
        update waha.organizations o
           set name = coalesce(title, o.name),
               country_code = case when $3 is null then o.country_code
                                   else country end
         where o.slug = own
           and (title is not null or $3 is not null);

        perform waha.set_enabled(own, enabled)
          where enabled is not null;
    end if;

    given := array_remove(array[
        case when title is not null then 'name' end,
        case when $3 is not null then 'country_code' end,
        case when enabled is not null then 'enabled' end], null);

    if created or given <> '{}' then
        perform waha.record_audit(own,
            case when created then 'organization.create'
                 else 'organization.change' end,
            details => jsonb_strip_nulls(jsonb_build_object(
                           'given', given, 'enabled', enabled)));
    end if;

    r := waha.show_organization(own);
    r.data := r.data::jsonb || jsonb_build_object('created', created);

    return r;
end
$$;

comment on function waha.put_organization(text, text, text, boolean) is
    'creates or changes an organization; null leaves a value as it is, an '
    'empty country_code removes it; a new organization is enabled unless '
    'enabled is false; codes: invalid_argument';


create or replace function waha.ensure_organization(organization text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    r  waha.reply := waha.find_organization(organization);
begin
    -- unknown is also a text that names two: it makes no third

    if r.code is distinct from 'unknown_organization'
       or exists (select from waha.organizations o
                   where o.slug = organization)
    then
        return r;
    end if;

    r := waha.put_organization(organization, null, null, null);

    if r.code is not null then
        return waha.refuse_argument('organization', r.data->>'reason');
    end if;

    return waha.find_organization(organization);
end
$$;

comment on function waha.ensure_organization(text) is
    'an organization by its slug or its number, which is made if there is '
    'none; codes: unknown_organization, invalid_argument';


create or replace function waha.enable_organization(organization text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
begin
    -- a transaction of its own: sessions are locked before organizations

    if waha.set_enabled(organization, true) then
        perform waha.record_audit(organization, 'organization.change',
            details => '{"given": ["enabled"], "enabled": true}');
    end if;

    return row(null, null)::waha.reply;
end
$$;

comment on function waha.enable_organization(text) is
    'enables WhatsApp for an organization, for "waha_connect_enables"';

grant execute on function waha.list_organizations(text, int),
    waha.show_organization(text),
    waha.put_organization(text, text, text, boolean),
    waha.ensure_organization(text), waha.enable_organization(text)
    to waha_gateway;
