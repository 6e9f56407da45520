-- The functions that settle and keep changes have other arguments and results.

do $$
declare
    called  regprocedure;
begin
    for called in
        select p.oid
          from pg_proc p
         where p.pronamespace = 'waha'::regnamespace
           and p.proname in ('store_states', 'settle_changes', 'keep_change',
                             'changes_of')
    loop
        execute format('drop function %s', called);
    end loop;
end
$$;

update waha.version set migration = 18;
