-- To seed.sql: a number of Meta's Cloud API for each organization, which the
-- operator's app serves.

select count(*)
  from generate_series(0, :organizations - 1) i
 cross join lateral waha.connect_number(
           't' || i, '200000' || lpad(i::text, 9, '0'),
           'bench_connection_' || i,
           jsonb_build_object('account', '100000' || lpad(i::text, 9, '0'),
                              'maximum', '10')) c
 where c.code is not null
having count(*) > 0;
