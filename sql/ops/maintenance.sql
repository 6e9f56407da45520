-- Deletion of rows that have expired, and what merges left to do.

create or replace function waha.maintain(portion int default 10000)
returns bigint
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    until    timestamptz;
    looked   bigint;
    strange  bigint;
    waited   bigint;
    removed  bigint;
    ended    bigint;
    owners   text[];
    moved    bigint;
    forgot   bigint;
    erased   bigint;
begin
    -- States of messages that never came.  Each row is examined once, when
    -- it is 30 days old; states_until is created_at of the last one.  Rows
    -- are locked in the order of their key, as in a batch; those that a batch
    -- holds are left to the next call.

    with due as materialized (
        select s.organization_slug, s.session_name, s.message_id,
               s.created_at
          from waha.message_states s
         where s.created_at > (select v.states_until from waha.version v)
           and s.created_at < now() - interval '30 days'
         order by s.created_at
         fetch first (portion) rows with ties
    ), lost as materialized (
        select d.*
          from due d
         where not exists (
               select
                 from waha.contact_activities a
                where a.organization_slug = d.organization_slug
                  and a.session_name = d.session_name
                  and a.message_id = d.message_id)
    ), held as materialized (
        select s.organization_slug, s.session_name, s.message_id
          from waha.message_states s
         where (s.organization_slug, s.session_name, s.message_id)
               in (select l.organization_slug, l.session_name, l.message_id
                     from lost l)
         order by s.organization_slug, s.session_name, s.message_id
           for update skip locked
    ), gone as (
        delete from waha.message_states s
         using held h
         where s.organization_slug = h.organization_slug
           and s.session_name = h.session_name
           and s.message_id = h.message_id
    ), past as (
        select d.created_at
          from due d
         where d.created_at < coalesce((
               select min(l.created_at)
                 from lost l
                where (l.organization_slug, l.session_name, l.message_id)
                      not in (select h.organization_slug, h.session_name,
                                     h.message_id
                                from held h)), 'infinity')
    )
    select max(p.created_at), count(*) into until, looked from past p;

    update waha.version
       set states_until = until
     where states_until < until;

    with old as materialized (
        select c.ctid, c.organization_slug
          from waha.waiting_changes c
         where c.created_at < now() - interval '30 days'
         order by c.created_at
         limit portion
           for update skip locked
    ), gone as (
        delete from waha.waiting_changes c
         using old
         where c.organization_slug
               = old.organization_slug collate "ucs_basic"
           and c.ctid = old.ctid
        returning 1
    )
    select count(*) into waited from gone;

    with old as materialized (
        select t.hash
          from waha.timeouts t
         where t.timed_out_at < now() - interval '7 days'
         order by t.timed_out_at
         limit portion
           for update skip locked
    ), gone as (
        delete from waha.timeouts t
         using old
         where t.hash = old.hash
        returning 1
    )
    select count(*) into forgot from gone;

    with old as materialized (
        select e.hash
          from waha.erased e
         where e.erased_at < now() - (select v.erased_for from waha.version v)
         order by e.erased_at
         limit portion
           for update skip locked
    ), gone as (
        delete from waha.erased e
         using old
         where e.hash = old.hash
        returning 1
    )
    select count(*) into erased from gone;

    with old as materialized (
        select m.ctid, m.organization_slug
          from waha.moved_people m
         where m.created_at < now() - interval '30 days'
         order by m.created_at
         limit portion
           for update skip locked
    ), gone as (
        delete from waha.moved_people m
         using old
         where m.organization_slug
               = old.organization_slug collate "ucs_basic"
           and m.ctid = old.ctid
        returning 1
    )
    select count(*) into strange from gone;

    -- without its row, a session that WAHA still runs would have no
    -- organization, and its messages would be lost

    with old as materialized (
        select s.name
          from waha.sessions s
         where s.deleted_at < now() - interval '30 days'
           and s.status in ('NOT_CREATED', 'STOPPED', 'FAILED')
         order by s.deleted_at
         limit portion
           for update skip locked
    ), gone as (
        delete from waha.sessions s
         using old
         where s.name = old.name
        returning s.organization_slug, s.name
    ), unspent as (
        delete from waha.session_budgets b
         using gone g
         where b.organization_slug = g.organization_slug
           and b.session_name = g.name
    )
    select count(*), array_agg(distinct g.organization_slug)
      into ended, owners
      from gone g;

    perform waha.notify_workers(owners);

    moved := waha.move_rest(portion);

    -- last: events that come to the quarantine wait for the count of it

    with old as materialized (
        select q.id
          from waha.quarantine q
         where q.resolved_at < now() - interval '30 days'
            or q.resolved_at is null
               and q.seen_at < now() - interval '90 days'
         order by q.id
         limit portion
           for update skip locked
    ), gone as (
        delete from waha.quarantine q
         using old
         where q.id = old.id
        returning 1
    )
    select count(*) into removed from gone;

    return looked + waited + removed + ended + forgot + erased + moved
           + strange
           + waha.drop_audit(portion);
end
$$;

comment on function waha.maintain(int) is
    'moves messages of merged contacts; deletes states and changes of messages '
    'that never came, changes of people who never wrote, quarantine that was '
    'resolved, and deleted sessions that WAHA does not run, all after 30 days, '
    'quarantine that was last seen 90 days ago, timeouts after 7 days, what '
    'waha.erased remembers after its time, and rows of waha.audit after '
    'waha.version.audit_days; at most portion of each; to be called daily '
    'until the result is 0';

grant execute on function waha.maintain to waha_admin;
