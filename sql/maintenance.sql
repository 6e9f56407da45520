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
