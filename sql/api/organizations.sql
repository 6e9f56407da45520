-- Organizations, for operators.

create or replace function waha.organization_object(o waha.organizations)
returns json
language sql stable
set search_path = waha, pg_temp
as $$
    select json_build_object(
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
               'phone', o.whatsapp_phone_number)
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
        return row('invalid_argument', null)::waha.reply;
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


create or replace function waha.put_organization(slug text, name text,
    country_code text, enabled boolean) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own      alias for $1;
    title    alias for $2;
    country  text := nullif(ltrim($3, '+'), '');
    created  boolean := false;
    r        waha.reply;
begin
    if not exists (select from waha.organizations o where o.slug = own) then
        -- a slug of digits could be mistaken for the number of another
        -- organization, see waha.find_organization

        if own !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$' or own !~ '[^0-9]'
           or own is null
        then
            return row('invalid_argument', null)::waha.reply;
        end if;

        created := true;
    end if;

    if country !~ '^[1-9][0-9]{0,3}$' or length(title) > 200 then
        return row('invalid_argument', null)::waha.reply;
    end if;

    if created then
        insert into waha.organizations (slug, name, country_code,
                                        whatsapp_enabled)
            values (own, coalesce(title, own), country,
                    coalesce(enabled, true))
            on conflict do nothing;

        created := found;
    end if;

    if not created then
        update waha.organizations o
           set name = coalesce(title, o.name),
               country_code = case when $3 is null then o.country_code
                                   else country end,
               whatsapp_enabled = coalesce(enabled, o.whatsapp_enabled)
         where o.slug = own;
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

grant execute on function waha.list_organizations(text, int),
    waha.show_organization(text),
    waha.put_organization(text, text, text, boolean)
    to waha_gateway;


create or replace function waha.organization_changed() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    perform pg_notify('waha_tenant', left(coalesce(new.slug, old.slug),
                                          1000));
    return null;
end
$$;

comment on function waha.organization_changed() is
    'trigger: notifies the workers that an organization was added, deleted, '
    'enabled or disabled';
