-- Locks that are not on the rows in question.  Whoever may connect to a
-- database can take any advisory lock whose key he knows, and sees in pg_locks
-- the keys that are in use.  A lock on a table or row needs a right to it.
--
-- A lock of messages is one on an empty table: it costs as little as an
-- advisory one and writes nothing, while a lock on a row would write the row's
-- page with every message.

create or replace function waha.message_bucket(id text) returns int
language sql immutable parallel safe
as $$
    select pg_catalog.hashtext(id) & 15
$$;

comment on function waha.message_bucket(text) is
    'number of the table waha.message_lock_* that stands for a message';


create or replace function waha.share_messages(buckets int) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    -- A query takes the lock that "lock table in row share mode" takes, but
    -- its plan is kept.  One query for all is quicker than one for each.

    if buckets = 65535 then
        perform
           from waha.message_lock_0,
               waha.message_lock_1,
               waha.message_lock_2,
               waha.message_lock_3,
               waha.message_lock_4,
               waha.message_lock_5,
               waha.message_lock_6,
               waha.message_lock_7,
               waha.message_lock_8,
               waha.message_lock_9,
               waha.message_lock_10,
               waha.message_lock_11,
               waha.message_lock_12,
               waha.message_lock_13,
               waha.message_lock_14,
               waha.message_lock_15
          where false
            for key share;

        return;
    end if;

    if buckets & 1 <> 0 then
        perform from waha.message_lock_0 where false for key share;
    end if;

    if buckets & 2 <> 0 then
        perform from waha.message_lock_1 where false for key share;
    end if;

    if buckets & 4 <> 0 then
        perform from waha.message_lock_2 where false for key share;
    end if;

    if buckets & 8 <> 0 then
        perform from waha.message_lock_3 where false for key share;
    end if;

    if buckets & 16 <> 0 then
        perform from waha.message_lock_4 where false for key share;
    end if;

    if buckets & 32 <> 0 then
        perform from waha.message_lock_5 where false for key share;
    end if;

    if buckets & 64 <> 0 then
        perform from waha.message_lock_6 where false for key share;
    end if;

    if buckets & 128 <> 0 then
        perform from waha.message_lock_7 where false for key share;
    end if;

    if buckets & 256 <> 0 then
        perform from waha.message_lock_8 where false for key share;
    end if;

    if buckets & 512 <> 0 then
        perform from waha.message_lock_9 where false for key share;
    end if;

    if buckets & 1024 <> 0 then
        perform from waha.message_lock_10 where false for key share;
    end if;

    if buckets & 2048 <> 0 then
        perform from waha.message_lock_11 where false for key share;
    end if;

    if buckets & 4096 <> 0 then
        perform from waha.message_lock_12 where false for key share;
    end if;

    if buckets & 8192 <> 0 then
        perform from waha.message_lock_13 where false for key share;
    end if;

    if buckets & 16384 <> 0 then
        perform from waha.message_lock_14 where false for key share;
    end if;

    if buckets & 32768 <> 0 then
        perform from waha.message_lock_15 where false for key share;
    end if;
end
$$;

comment on function waha.share_messages(int) is
    'takes the shared locks of buckets of messages, each of which is a bit, in '
    'the order of their numbers';


create or replace function waha.lock_message(bucket int) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    execute 'lock table waha.message_lock_' || bucket
            || ' in exclusive mode';
end
$$;

comment on function waha.lock_message(int) is
    'takes the exclusive lock of a bucket of messages';


-- Locks of identities are many and short.  Their keys are secret; a key that
-- somebody read in pg_locks is that of a person who is known a moment later.

create or replace function waha.secret_key(name text, seed bytea)
returns bigint
language sql stable parallel safe
as $$
    select ('x' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(
                seed || pg_catalog.convert_to(name, 'UTF8')), 'hex'), 16)
           )::bit(64)::bigint
$$;

comment on function waha.secret_key(text, bytea) is
    'key of an advisory lock; seed: waha.version.lock_seed';


create or replace function waha.lock_name(name text) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
begin
    perform
       from waha.locks l
      where l.name = name
        for update;

    if not found then
        insert into waha.locks (name)
            values (name)
            on conflict on constraint locks_pkey do nothing;

        perform
           from waha.locks l
          where l.name = name
            for update;
    end if;
end
$$;

comment on function waha.lock_name(text) is
    'takes an exclusive lock that has a name, for what seldom happens';
