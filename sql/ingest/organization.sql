-- Which organization a session belongs to, and the state of sessions.

create or replace function waha.id_of(value text) returns bigint
language sql immutable parallel safe
as $$
    select case when value ~ '^[1-9][0-9]{0,17}$' then value::bigint end
$$;

comment on function waha.id_of(text) is 'the number that a text is, or null';


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

    if known.instance <> instance then
        code := 'contradiction';
        return;
    end if;

    -- all sources that name an organization that exists must name the same

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

comment on function waha.resolve(text, text, text, text, text, jsonb, text) is 'the organization of a delivery by all sources that are given; code: null, contradiction, unknown_organization or disabled_organization';


create or replace function waha.record_session(organization text,
    session text, state text, at timestamptz, number text, own_name text,
    server text) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    works  timestamptz;
    lost   timestamptz;
begin
    -- of one that was deleted: only whether WAHA runs it, for waha.maintain

    update waha.sessions s
       set status = state,
           status_at = at
     where s.name = session
       and s.deleted_at < at
       and (s.status_at is null
            or (at, state collate "C") > (s.status_at, s.status));

    if found then
        return false;
    end if;

    -- each column keeps what was told last, in whatever order it arrives

    if state = 'WORKING' then
        works := at;
    elsif state in ('STOPPED', 'FAILED') and number is null then
        lost := at;
    end if;

    insert into waha.sessions as s (name, organization_slug, status,
                                    status_at, phone, push_name, named_at,
                                    instance, connected_at, disconnected_at)
        values (session, organization, state, at, number, own_name,
                case when number is not null then at end, server, works,
                lost)
        on conflict (name) do update
           set status = case
                   when (excluded.status_at, excluded.status collate "C")
                        >= (s.status_at, s.status) is not false
                   then excluded.status else s.status end,
               status_at = greatest(s.status_at, excluded.status_at),
               phone = case
                   when excluded.named_at >= coalesce(s.named_at,
                                                      '-infinity')
                   then excluded.phone else s.phone end,
               push_name = case
                   when excluded.named_at >= coalesce(s.named_at,
                                                      '-infinity')
                   then coalesce(excluded.push_name, s.push_name)
                   else s.push_name end,
               named_at = greatest(s.named_at, excluded.named_at),
               instance = coalesce(s.instance, excluded.instance),
               connected_at = greatest(s.connected_at,
                                       excluded.connected_at),
               disconnected_at = greatest(s.disconnected_at,
                                          excluded.disconnected_at)
         where s.deleted_at is null
           and (s.status_at is null
                or (excluded.status_at, excluded.status collate "C")
                   > (s.status_at, s.status)
                or excluded.named_at > s.named_at
                or excluded.named_at is not null and s.named_at is null
                or excluded.connected_at > coalesce(s.connected_at,
                                                    '-infinity')
                or excluded.disconnected_at > coalesce(s.disconnected_at,
                                                       '-infinity')
                or s.instance is null and excluded.instance is not null);

    return found;
end
$$;

comment on function waha.record_session is 'brings waha.sessions up to date with a status that WAHA told; whether anything changed that is shown';


create or replace function waha.show_sessions(sessions text[]) returns void
language sql
set search_path = waha, pg_temp
as $$
    -- in the order of the organizations: others do the same

    select o.id
      from waha.organizations o
     where o.slug = any (array(select s.organization_slug collate "default"
                                 from waha.sessions s
                                where s.name = any (sessions)))
     order by o.slug collate "C"
       for no key update;

    update waha.organizations o
       set whatsapp_session_name = s.name,
           whatsapp_status = s.status,
           whatsapp_phone_number = s.number,
           whatsapp_connected_at = s.since,
           waha_instance = coalesce(s.instance, o.waha_instance)
      from (select distinct on (p.id) p.id, k.name, k.status, k.instance,
                   case when k.named_at > coalesce(k.disconnected_at,
                                                   '-infinity')
                        then '+' || k.phone end as number,
                   case when k.connected_at > coalesce(k.disconnected_at,
                                                       '-infinity')
                        then k.connected_at end as since
              from waha.sessions k
              join waha.organizations p
                on p.slug = k.organization_slug collate "default"
             where k.name = any (sessions)
               and coalesce(p.whatsapp_session_name, k.name) = k.name
             order by p.id, k.name) s
     where o.id = s.id
$$;

comment on function waha.show_sessions(text[]) is 'writes the state of sessions into organizations.whatsapp_*, which show one session of each';


create or replace function waha.add_session(organization text, session text,
    instance text default null) returns void
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    insert into waha.sessions as s (name, organization_slug, instance)
        values (add_session.session, add_session.organization,
                add_session.instance)
        on conflict (name) do update
           set instance = coalesce(excluded.instance, s.instance),
               deleted_at = null
         where s.organization_slug = excluded.organization_slug;

    if not found then
        raise exception 'session "%" belongs to organization "%"', session, (
            select s.organization_slug
              from waha.sessions s
             where s.name = add_session.session)
            using errcode = 'unique_violation';
    end if;
end
$$;

comment on function waha.add_session(text, text, text) is 'gives an organization a session of WAHA; again: another instance of it';

grant execute on function waha.add_session to waha_admin;


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

comment on function waha.slug_changes() is 'refuses to change the slug of an organization';


create or replace function waha.country_changed() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    delete from waha.contact_identities i
     where i.organization_slug = new.slug
       and i.kind = 'phone'
       and not i.proved;

    perform waha.learn_all(new.slug);

    return null;

exception
    when others then
        raise log 'waha: no identities for the numbers of "%": %', new.slug,
            sqlerrm;
        return null;
end
$$;

comment on function waha.country_changed() is 'reads nationally written numbers anew when organizations.country_code changes';
