-- Which organization a session belongs to.

create or replace function waha.resolve(session text, instance text,
    slug text, id text, tenant text, claims jsonb, phone text,
    out organization text, out tenant_id bigint, out code text)
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    known    waha.sessions;
    org      waha.organizations;
    named    text[];
    confirm  text;
begin
    select s.* into known
      from waha.sessions s
     where s.name = resolve.session;

    if known.instance <> resolve.instance then
        code := 'contradiction';
        return;
    end if;

    -- every source that names an organization that exists must name the same

    select array_agg(distinct o.slug) into named
      from waha.organizations o
     where o.slug in (known.organization_slug, resolve.slug, resolve.tenant,
                      claims->>'pattern_slug',
                      case when claims->'query_trusted' = 'true'
                           then claims->>'query' end)
        or o.id in (waha.id_of(resolve.id), waha.id_of(resolve.tenant),
                    waha.id_of(claims->>'pattern_id'),
                    case when claims->'query_trusted' = 'true'
                         then waha.id_of(claims->>'query') end);

    if array_length(named, 1) > 1 then
        code := 'contradiction';
        return;
    end if;

    if named is null and claims->'sender' = 'true' and phone is not null then
        select array_agg(i.organization_slug) into named
          from (select organization_slug
                  from waha.contact_identities
                 where kind = 'phone'
                   and key = waha.phone_key(resolve.phone)
                 limit 2) i;

        if array_length(named, 1) > 1 then
            named := null;
        end if;
    end if;

    if named is null then
        named := array[claims->>'default'];
    end if;

    select o.* into org
      from waha.organizations o
     where o.slug = named[1];

    if not found then
        code := 'unknown_organization';
        return;
    end if;

    confirm := claims->>'query';

    if confirm not in (org.slug, org.id::text) then
        code := 'contradiction';
        return;
    end if;

    organization := org.slug;
    tenant_id := org.id;

    if org.whatsapp_enabled is not true then
        code := 'disabled_organization';
    end if;
end
$$;

comment on function waha.resolve(text, text, text, text, text, jsonb, text) is 'the organization of a delivery by all sources that are given; code: null, contradiction, unknown_organization or disabled_organization';


create or replace function waha.id_of(value text) returns bigint
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case when value ~ '^[1-9][0-9]{0,17}$' then value::bigint end
$$;

comment on function waha.id_of(text) is 'the number that a text is, or null';


create or replace function waha.add_session(organization text, session text,
    instance text default null) returns void
language sql
set search_path = waha, pg_temp
as $$
    insert into waha.sessions (name, organization_slug, instance)
        values (session, organization, instance)
$$;

comment on function waha.add_session(text, text, text) is 'gives an organization a session of WAHA';
