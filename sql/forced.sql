-- Row-level security is forced on every table of schema waha, once all of them
-- are there.

do $$
declare
    held  regclass;
begin
    -- A table without another policy shows its rows to its owner only,
    -- whoever is granted what.

    for held in
        select c.oid
          from pg_class c
         where c.relnamespace = 'waha'::regnamespace
           and c.relkind = 'r'
           and not c.relforcerowsecurity
    loop
        execute format('create policy owner on %s to waha_owner '
                       'using (true) with check (true)', held);
        execute format('alter table %s enable row level security, '
                       'force row level security', held);
    end loop;
end
$$;
