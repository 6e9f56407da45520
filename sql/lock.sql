-- Locks all that requests use, for the rest of the transaction and before the
-- first of it is changed: a request that holds one table and waits for another
-- one would be waited for itself.  While a transaction of others lasts, it
-- lets go of all again, so that requests do not wait for that one, too.

do $$
declare
    tables  regclass[];
    list    text;
    users   text;
begin
    -- views first: with each its table is locked

    select array_agg(c.oid order by c.relkind desc, c.oid),
           string_agg(c.oid::regclass::text, ', '
                      order by c.relkind desc, c.oid)
      into tables, list
      from pg_class c
     where c.relnamespace = 'waha'::regnamespace
       and c.relkind in ('r', 'v');

    for n in 1 .. 60 loop
        begin
            -- an autovacuum is cancelled when it is waited for a second

            perform set_config('lock_timeout',
                               case when n % 10 = 5 then '1500'
                                    else '200' end, true);
            execute 'lock table ' || list || ' in access exclusive mode';
            perform set_config('lock_timeout', '0', true);

            return;

        exception
            when lock_not_available or deadlock_detected then
                null;
        end;

        perform pg_sleep(0.5);
    end loop;

    select string_agg(distinct l.pid::text, ', ') into users
      from pg_locks l
     where l.relation = any (tables)
       and l.database = (select d.oid
                           from pg_database d
                          where d.datname = current_database())
       and l.granted
       and l.pid <> pg_backend_pid();

    raise exception 'the tables of schema waha are in use by a long '
        'transaction of process %', coalesce(users, 'unknown')
        using hint = 'Run install.sql again when it has ended.';
end
$$;
