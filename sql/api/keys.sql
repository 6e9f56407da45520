-- Keys of the API: who calls, and for which organization.

create or replace function waha.authenticate(key_id text, secret_hash text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    k       waha.api_keys;
    tenant  bigint;
    used    timestamptz;
begin
    select a.* into k
      from waha.api_keys a
     where a.id = key_id
       and encode(a.hash, 'hex') = secret_hash
       and (a.expires_at > now()) is not false;

    if not found then
        return row('unknown_key', null)::waha.reply;
    end if;

    if k.organization_slug is not null then
        select o.id into tenant
          from waha.organizations o
         where o.slug = k.organization_slug collate "default";

        if not found then
            return row('unknown_key', null)::waha.reply;
        end if;
    end if;

    select u.last_used_at into used
      from waha.key_uses u
     where u.key_id = k.id;

    -- who finds the row locked leaves it: another use is noted just now

    if (used > now() - interval '1 minute') is not true then
        update waha.key_uses u
           set last_used_at = now()
         where u.key_id = (select l.key_id
                             from waha.key_uses l
                            where l.key_id = k.id
                              for no key update skip locked);
    end if;

    return row(null, json_build_object(
                         'organization', k.organization_slug,
                         'id', tenant,
                         'operator', k.organization_slug is null,
                         'scopes', to_json(k.scopes),
                         'expires_at', floor(extract(epoch from
                                                     k.expires_at)))
              )::waha.reply;
end
$$;

comment on function waha.authenticate(text, text) is
    'the owner and scopes of a key, by its id and the SHA-256 of its secret '
    'in hexadecimal; codes: unknown_key, also for a key that is expired or '
    'revoked';


create or replace function waha.find_organization(organization text)
returns waha.reply
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    named  text[];
    o      waha.organizations;
begin
    -- a text that is the slug of one organization and the number of another
    -- names neither

    named := array(
        select g.slug
          from waha.organizations g
         where g.slug = organization
        union
        select g.slug
          from waha.organizations g
         where g.id = waha.id_of(organization));

    if cardinality(named) <> 1 or named = '{""}' then
        return row('unknown_organization', null)::waha.reply;
    end if;

    select g.* into o
      from waha.organizations g
     where g.slug = named[1];

    return row(null, json_build_object(
                         'organization', o.slug, 'id', o.id,
                         'enabled', coalesce(o.whatsapp_enabled, false))
              )::waha.reply;
end
$$;

comment on function waha.find_organization(text) is
    'an organization by its slug or its number; codes: unknown_organization, '
    'also for a text that is the slug of one and the number of another';


create or replace function waha.key_object(k waha.api_keys,
    last_used_at timestamptz) returns json
language sql stable
set search_path = waha, pg_temp
as $$
    select json_build_object(
               'id', k.id,
               'label', k.label,
               'scopes', to_json(k.scopes),
               'created_at', waha.rfc3339(k.created_at),
               'expires_at', waha.rfc3339(k.expires_at),
               'last_used_at', waha.rfc3339(last_used_at))
$$;

comment on function waha.key_object(waha.api_keys, timestamptz) is
    'a key as the API shows it';


create or replace function waha.key_details(k waha.api_keys)
returns jsonb
language sql stable
set search_path = waha, pg_temp
as $$
    -- not its label, in which there may be the name of a person

    select jsonb_build_object('key', k.id, 'scopes', to_json(k.scopes),
                              'expires_at', waha.rfc3339(k.expires_at))
$$;

comment on function waha.key_details(waha.api_keys) is
    'what waha.audit tells of a new key';


create or replace function waha.make_key(organization text, label text,
    scopes text[], expires timestamptz, out made waha.api_keys, out key text)
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    secret  text;
begin
    -- a random UUID has 122 random bits: three of them have more than 256

    secret := waha.to_base64url(sha256(uuid_send(gen_random_uuid())
                                       || uuid_send(gen_random_uuid())
                                       || uuid_send(gen_random_uuid())));

    while made.id is null loop
        insert into waha.api_keys as k (id, organization_slug, hash, scopes,
                                        label, expires_at)
            values (left(gen_random_uuid()::text, 8), organization,
                    sha256(convert_to(secret, 'UTF8')), scopes, label,
                    expires)
            on conflict (id) do nothing
            returning k.* into made;
    end loop;

    insert into waha.key_uses (key_id, organization_slug)
        values (made.id, organization);

    perform waha.notify_workers(array[made.id, organization]);

    key := 'wak_' || made.id || '_' || secret;
end
$$;

comment on function waha.make_key(text, text, text[], timestamptz) is
    'stores a new key; key: its full text, which cannot be read again';


create or replace function waha.create_api_key(slug text, label text,
    scopes text, expires_in int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    org    alias for $1;
    given  text[];
    ended  text[];
    new    record;
begin
    given := case when coalesce(scopes, 'read,write') = 'read,write'
                  then '{read,write}'
                  when scopes = 'read' then '{read}' end;

    if given is null then
        return waha.refuse_argument('scopes',
                   'the scopes are "read" or "read,write"');
    end if;

    if expires_in <= 0 then
        return waha.refuse_argument('expires_in',
                   'a key lives for one second at least');
    end if;

    if length(label) > 100 then
        return waha.refuse_argument('label',
                   'a label has up to 100 characters');
    end if;

    if not exists (select from waha.organizations o where o.slug = org) then
        return row('unknown_organization', null)::waha.reply;
    end if;

    perform waha.lock_name('keys of ' || org);

    with gone as (
        delete from waha.api_keys k
         where k.organization_slug = org
           and k.expires_at <= now()
        returning k.id
    )
    select array_agg(g.id) into ended from gone g;

    perform waha.notify_workers(ended);

    if (select count(*) from waha.api_keys k
         where k.organization_slug = org) >= 2
    then
        return row('too_many_keys', null)::waha.reply;
    end if;

    select * into new
      from waha.make_key(org, label, given,
                         now() + expires_in * interval '1 second');

    perform waha.record_audit(org, 'key.create',
                              details => waha.key_details(new.made));

    return row(null, jsonb_build_object('key', new.key)
                     || waha.key_object(new.made, null)::jsonb)::waha.reply;
end
$$;

comment on function waha.create_api_key(text, text, text, int) is
    'creates a key for an organization and shows it once; scopes: read or '
    '"read,write", expires_in: seconds; codes: invalid_argument, '
    'unknown_organization, too_many_keys';


create or replace function waha.list_api_keys(slug text) returns waha.reply
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    org   alias for $1;
    keys  json[] := '{}';
    k     waha.api_keys;
    used  timestamptz;
begin
    if not exists (select from waha.organizations o where o.slug = org) then
        return row('unknown_organization', null)::waha.reply;
    end if;

    for k in
        select a.*
          from waha.api_keys a
         where a.organization_slug = org
         order by a.created_at, a.id
    loop
        select u.last_used_at into used
          from waha.key_uses u
         where u.key_id = k.id;

        keys := keys || waha.key_object(k, used);
    end loop;

    return row(null, json_build_object('keys', to_json(keys)))::waha.reply;
end
$$;

comment on function waha.list_api_keys(text) is
    'keys of an organization; codes: unknown_organization';


create or replace function waha.delete_api_key(slug text, id text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    org  alias for $1;
    key  alias for $2;
begin
    delete from waha.api_keys k
     where k.id = key
       and k.organization_slug = org;

    if not found then
        return row('unknown_key', null)::waha.reply;
    end if;

    perform waha.notify_workers(array[key, org]);

    perform waha.record_audit(org, 'key.delete',
                              details => jsonb_build_object('key', key));

    return row(null, json_build_object('deleted', true))::waha.reply;
end
$$;

comment on function waha.delete_api_key(text, text) is
    'revokes a key of an organization; codes: unknown_key';


-- Keys of operators are managed in psql only: an attacker who can act as
-- waha_gateway must not list, create or revoke them.

create or replace function waha.create_operator_key(label text,
    expires interval default null) returns text
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    new  record;
begin
    select * into new
      from waha.make_key(null, $1, '{read,write}', now() + expires);

    perform waha.record_audit(null, 'key.create',
                              details => waha.key_details(new.made));

    return new.key;
end
$$;

comment on function waha.create_operator_key(text, interval) is
    'creates a key that may do everything for every organization and shows it '
    'once; for psql';


create or replace function waha.list_operator_keys()
returns table (id text, label text, created_at timestamptz,
    expires_at timestamptz, last_used_at timestamptz)
language plpgsql stable security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select k.id, k.label, k.created_at, k.expires_at, u.last_used_at
          from waha.api_keys k
          left join waha.key_uses u on u.key_id = k.id
         where k.organization_slug is null
         order by k.created_at, k.id;
end
$$;

comment on function waha.list_operator_keys() is
    'the keys that may do everything; for psql';


create or replace function waha.delete_operator_key(id text) returns boolean
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    delete from waha.api_keys k
     where k.id = $1
       and k.organization_slug is null;

    if not found then
        return false;
    end if;

    perform waha.notify_workers(array[$1]);

    perform waha.record_audit(null, 'key.delete',
                              details => jsonb_build_object('key', $1));

    return true;
end
$$;

comment on function waha.delete_operator_key(text) is
    'revokes an operator''s key; false: no such key; for psql';

grant execute on function waha.authenticate(text, text),
    waha.find_organization(text),
    waha.create_api_key(text, text, text, int), waha.list_api_keys(text),
    waha.delete_api_key(text, text)
    to waha_gateway;

grant execute on function waha.create_operator_key(text, interval),
    waha.list_operator_keys(), waha.delete_operator_key(text),
    waha.create_api_key(text, text, text, int), waha.list_api_keys(text),
    waha.delete_api_key(text, text)
    to waha_admin;
