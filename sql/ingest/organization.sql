-- Which organization a delivery belongs to.

create or replace function waha.id_of(value text) returns bigint
language sql immutable parallel safe
as $$
    select case when value ~ '^[1-9][0-9]{0,17}$'
                  or value ~ '^[1-9][0-9]{18}$'
                     and value collate "C" <= '9223372036854775807'
                then value::bigint end
$$;

comment on function waha.id_of(text) is
    'a text as a number, or null when it is none';


create or replace function waha.resolve(session text, instance text,
    slug text, id text, tenant text, claims jsonb, phone text,
    out organization text, out tenant_id bigint, out code text)
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    known  waha.sessions;
    org    waha.organizations;
    query  text := case when claims->'query_trusted' = 'true'
                        then claims->>'query' end;
    slugs  text[];
    ids    bigint[];
    named  text[];
begin
    select s.* into known
      from waha.sessions s
     where s.name = session;

    -- instance: that of the key; it speaks for no other session

    if instance is not null and known.instance is distinct from instance then
        code := 'foreign_instance';
        return;
    end if;

    -- who signs for WAHA does not speak for a number of Meta

    if known.provider <> 'waha' then
        code := 'contradiction';
        return;
    end if;

    -- all sources that name an existing organization must name the same one

    slugs := array[known.organization_slug, slug, tenant, query,
                   claims->>'pattern_slug'];
    ids := array[waha.id_of(id), waha.id_of(tenant), waha.id_of(query),
                 waha.id_of(claims->>'pattern_id')];

    select array_agg(n.slug) into named
      from (select o.slug from waha.organizations o where o.slug = any (slugs)
            union
            select o.slug from waha.organizations o where o.id = any (ids)) n;

    if cardinality(named) > 1 then
        code := 'contradiction';
        return;
    end if;

    if named is null and claims->'sender' = 'true' and phone is not null then
        select array_agg(i.organization_slug) into named
          from (select organization_slug
                  from waha.contact_identities
                 where kind collate "POSIX" = 'phone'
                   and key = waha.phone_key(phone) collate "POSIX"
                 limit 2) i;

        if cardinality(named) > 1 then
            named := null;
        end if;
    end if;

    select o.* into org
      from waha.organizations o
     where o.slug = coalesce(named[1], claims->>'default');

    if org.id is null then
        code := 'unknown_organization';
        return;
    end if;

    if claims->>'query' not in (org.slug, org.id::text) then
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

comment on function waha.resolve(text, text, text, text, text, jsonb, text) is
    'the organization of a delivery, by all sources that name one; code: '
    'null, foreign_instance, contradiction, unknown_organization or '
    'disabled_organization';


create or replace function waha.slug_changes() returns trigger
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    raise exception 'the slug of organization "%" cannot be changed', old.slug
        using errcode = 'restrict_violation',
              hint = 'It is part of every key. Change the name instead.';
end
$$;

comment on function waha.slug_changes() is
    'trigger: refuses to change the slug of an organization';
