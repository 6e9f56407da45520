-- Functions that a session enters by: they mean the same whatever its
-- settings are, and a function that they call has theirs.

do $$
declare
    f  regprocedure;
begin
    for f in
        select p.oid
          from pg_proc p
         where p.pronamespace = 'waha'::regnamespace
           and p.prosecdef
           and p.proowner = current_user::regrole
         order by p.oid
    loop
        execute format('alter function %s'
                       ' set standard_conforming_strings = on'
                       ' set row_security = on'
                       ' set array_nulls = on'
                       ' set transform_null_equals = off'
                       ' set bytea_output = hex'
                       ' set datestyle = iso, ymd'
                       ' set intervalstyle = postgres'
                       ' set timezone = utc'
                       ' set extra_float_digits = 1', f);
    end loop;
end
$$;
