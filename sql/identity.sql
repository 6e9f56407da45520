-- Who somebody is: phone numbers, hidden ids, names.

create or replace function waha.phone_key(digits text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
    -- Brazil: the ninth digit of mobile numbers; landlines start with 2 to 5
    -- Mexico: 1 after the country code; Argentina: 9, or 15 after the area
    select case
           when digits ~ '^55[1-9][1-9]9?[6-9][0-9]{7}$'
           then '55' || substr(digits, 3, 2) || right(digits, 8)
           when digits ~ '^521[0-9]{10}$'
           then '52' || right(digits, 10)
           when digits ~ '^549[0-9]{10}$'
           then '54' || right(digits, 10)
           when digits ~ '^5411159?[0-9]{8}$' and length(digits) = 14
           then '5411' || right(digits, 8)
           when digits ~ '^54[0-9]{3}15[0-9]{7}$'
           then '54' || substr(digits, 3, 3) || right(digits, 7)
           when digits ~ '^54[0-9]{4}15[0-9]{6}$'
           then '54' || substr(digits, 3, 4) || right(digits, 6)
           else digits
           end
$$;

comment on function waha.phone_key(text) is 'what all spellings of one international number have in common; digits in, digits out';


create or replace function waha.state_of(phone text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case substr(phone, 1, 3)
           when '603' then 'Selangor'
           when '604' then 'Penang'
           when '605' then 'Perak'
           when '606' then 'Melaka'
           when '607' then 'Johor'
           when '608' then 'Johor'
           when '609' then 'Terengganu/Pahang'
           else ''
           end
$$;

comment on function waha.state_of(text) is 'the state that a number belongs to, where the number tells it; else an empty text';
