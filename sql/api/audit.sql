-- Rows of waha.audit: each is written in the transaction of what it tells.

create or replace function waha.act_as(organization text, actor text)
returns text
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    -- "true": until the end of the transaction

    perform set_config('waha.actor', coalesce(actor, ''), true);

    return organization;
end
$$;

comment on function waha.act_as(text, text) is
    'says who acts in this transaction, for waha.audit: "tenant" or '
    '"operator", then jwt, key, variable or link, then a name; result: the '
    'organization, so that it can stand in the arguments of what is done';


create or replace function waha.record_audit(organization text,
    operation text, session text default null, contact bigint default null,
    details jsonb default null, seconds int default null,
    always boolean default false) returns void
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    actor  text[] := coalesce(
        regexp_match(current_setting('waha.actor', true),
                     '^(tenant|operator) (jwt|key|variable|link) (.*)$'),
        array[null, 'role', session_user::text]);
    mark   text;
begin
    if seconds is not null then
        mark := left(encode(sha256(convert_to(jsonb_build_array(
                    organization, operation, session, contact, actor,
                    session_user,
                    floor(extract(epoch from now()) / seconds))::text,
                    'UTF8')), 'hex'), 32);
    end if;

    -- looked up first: what was told already writes nothing at all

    if exists (select from waha.audit a where a.once = mark) then
        if not always then
            return;
        end if;

        mark := null;
    end if;

    insert into waha.audit
                (organization_id, organization_slug, principal, name,
                 operator, login, operation, session_name, contact_id,
                 details, once)
        values ((select o.id
                   from waha.organizations o
                  where o.slug = organization),
                left(organization, 255), actor[2],
                nullif(left(actor[3], 200), ''), actor[1] = 'operator',
                session_user, $2, $3, contact, $5, mark)
        on conflict (once) do nothing;
end
$$;

comment on function waha.record_audit(text, text, text, bigint, jsonb, int,
    boolean) is
    'writes a row into waha.audit; seconds: only the first of its kind in '
    'such a time, by the clock, with always: each one, but none of those '
    'without it that follow';


create or replace function waha.note_operation(organization text,
    session text, operation text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    if operation is null
       or operation not in ('qr', 'pairing-code', 'passkey')
    then
        return waha.refuse_argument('operation',
                   'it is "qr", "pairing-code" or "passkey"');
    end if;

    perform waha.record_audit(organization, 'session.' || operation, session,
                              seconds => 60);

    return row(null, null)::waha.reply;
end
$$;

comment on function waha.note_operation(text, text, text) is
    'notes that somebody gets what links a phone to a session: operation is '
    'qr, pairing-code or passkey; a client that asks every second leaves one '
    'row in a minute; codes: invalid_argument';


create or replace function waha.keep_audit(days int) returns void
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    if days between 1 and 36500 is not true then
        raise exception 'rows of waha.audit are kept for 1 to 36500 days';
    end if;

    update waha.version set audit_days = days;

    perform waha.record_audit(null, 'audit.keep',
                              details => jsonb_build_object('days', days));
end
$$;

comment on function waha.keep_audit(int) is
    'sets for how many days waha.maintain leaves rows in waha.audit; 400 at '
    'first';


create or replace function waha.drop_audit(portion int) returns bigint
language plpgsql
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
    removed  bigint;
begin
    with old as materialized (
        select a.id
          from waha.audit a
         where a.at < now() - (select v.audit_days from waha.version v)
                              * interval '1 day'
         order by a.at
         limit portion
           for update skip locked
    ), gone as (
        delete from waha.audit a
         using old
         where a.id = old.id
        returning 1
    )
    select count(*) into removed from gone;

    return removed;
end
$$;

comment on function waha.drop_audit(int) is
    'deletes rows of waha.audit that are older than waha.version.audit_days, '
    'at most portion; result: their number';


create or replace function waha.erase_actors(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    update waha.audit a
       set name = null
     where a.id in (
           select k.id
             from waha.audit k
            where k.organization_id = (
                  select o.id
                    from waha.organizations o
                   where o.slug = organization)
              and k.principal in ('jwt', 'variable')
              and not k.operator
              and k.name is not null
            limit 1000);

    return found;
end
$$;

comment on function waha.erase_actors(text) is
    'removes the names of an organization''s own people from some rows of '
    'waha.audit; false: there are none';

grant execute on function waha.act_as(text, text),
    waha.note_operation(text, text, text)
    to waha_gateway;

grant execute on function waha.act_as(text, text), waha.keep_audit(int)
    to waha_admin;

grant execute on function
    waha.record_audit(text, text, text, bigint, jsonb, int, boolean)
    to waha_api;
