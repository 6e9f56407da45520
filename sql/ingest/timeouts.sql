-- Events that run out of time by themselves.

create or replace function waha.count_timeout(event bytea) returns boolean
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    known  boolean;
begin
    insert into waha.timeouts as t (hash)
        values (event)
        on conflict (hash) do update set timed_out_at = excluded.timed_out_at
        returning t.xmax <> 0 into known;

    return known;
end
$$;

comment on function waha.count_timeout(bytea) is
    'remembers by its hash that an event alone ran out of time; result: '
    'whether it had done so before, so that it is to be quarantined';

grant execute on function waha.count_timeout(bytea) to waha_gateway;
