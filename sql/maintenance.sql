-- Checks and cleaning.

create or replace function waha.check(min int, max int) returns text
language plpgsql stable security definer
set search_path = waha, pg_temp
as $$
declare
    have  waha.version;
    me    record;
begin
    select * into strict have from waha.version;

    if have.contract < min or have.contract_min > max then
        return format('schema waha serves contract %s to %s, the module '
                      'needs %s to %s: run the install.sql that came with '
                      'the module', have.contract_min, have.contract, min,
                      max);
    end if;

    select r.oid, r.rolname, r.rolsuper, r.rolbypassrls into me
      from pg_roles r
     where r.rolname = session_user;

    if me.rolsuper then
        return format('role "%s" is a superuser: connect as waha_gateway',
                      me.rolname);
    end if;

    if me.rolbypassrls then
        return format('role "%s" has BYPASSRLS: connect as waha_gateway',
                      me.rolname);
    end if;

    if pg_has_role(me.oid, 'waha_owner', 'member')
       or exists (select
                    from pg_class c
                    join pg_namespace n on n.oid = c.relnamespace
                   where n.nspname in ('waha', have.crm_schema)
                     and pg_has_role(me.oid, c.relowner, 'member'))
    then
        return format('role "%s" owns tables: connect as waha_gateway',
                      me.rolname);
    end if;

    return null;
end
$$;

comment on function waha.check(int, int) is 'null when the session''s role may serve a module that knows contracts min to max; else a sentence that says why not and what to do';

grant execute on function waha.check(int, int) to waha_gateway;


create or replace function waha.maintain(portion int default 10000)
returns bigint
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    until     timestamptz;
    looked    bigint;
    resolved  bigint;
begin
    -- States of messages that never came.  Each row is looked at once, when
    -- it is 30 days old: states_until remembers how far that got.

    with due as materialized (
        select s.organization_slug, s.session_name, s.message_id,
               s.created_at
          from waha.message_states s
         where s.created_at > (select v.states_until from waha.version v)
           and s.created_at < now() - interval '30 days'
         order by s.created_at
         fetch first (portion) rows with ties
    ), gone as (
        delete from waha.message_states s
         using due d
         where s.organization_slug = d.organization_slug
           and s.session_name = d.session_name
           and s.message_id = d.message_id
           and not exists (
               select
                 from waha.contact_activities a
                where a.organization_slug = d.organization_slug
                  and a.session_name = d.session_name
                  and a.message_id = d.message_id)
        returning 1
    )
    select (select max(d.created_at) from due d),
           (select count(*) from due)
      into until, looked;

    update waha.version
       set states_until = until
     where states_until < until;

    with gone as (
        delete from waha.quarantine q
         where q.id in (select r.id
                          from waha.quarantine r
                         where r.resolved_at < now() - interval '30 days'
                         limit portion)
        returning 1
    )
    select count(*) into resolved from gone;

    return looked + resolved;
end
$$;

comment on function waha.maintain(int) is 'removes states of messages that never came and quarantine that was resolved, both when 30 days old, at most portion of each; to be called daily, until it returns 0';
