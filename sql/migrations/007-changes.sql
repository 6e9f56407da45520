-- Contract 3: messages have a chat and can be empty.  The functions have two
-- arguments more, with defaults: modules of contract 1 and 2 call them as
-- before.

do $$
declare
    called  regprocedure;
begin
    for called in
        select p.oid
          from pg_proc p
         where p.pronamespace = 'waha'::regnamespace
           and (p.proname in ('ingest', 'ingest_batch', 'ingest_each')
                and p.pronargs = 20
                or p.proname = 'quarantine' and p.pronargs = 23)
    loop
        execute format('drop function %s', called);
    end loop;
end
$$;

update waha.version set migration = 7;
