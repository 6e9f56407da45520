-- Checks and cleaning.

create or replace function waha.check(min int, max int) returns text
language plpgsql stable security definer
set search_path = waha, pg_temp
as $$
declare
    have  waha.version;
    me    record;
begin
    select * into strict have from waha.version;

    if have.contract < min or have.contract_min > max then
        return format('schema waha serves contract %s to %s, the module '
                      'needs %s to %s: run the install.sql that came with '
                      'the module', have.contract_min, have.contract, min,
                      max);
    end if;

    select r.oid, r.rolname, r.rolsuper, r.rolbypassrls into me
      from pg_roles r
     where r.rolname = session_user;

    if me.rolsuper then
        return format('role "%s" is a superuser: connect as waha_gateway',
                      me.rolname);
    end if;

    if me.rolbypassrls then
        return format('role "%s" has BYPASSRLS: connect as waha_gateway',
                      me.rolname);
    end if;

    if pg_has_role(me.oid, 'waha_owner', 'member')
       or exists (select
                    from pg_class c
                    join pg_namespace n on n.oid = c.relnamespace
                   where n.nspname in ('waha', have.crm_schema)
                     and pg_has_role(me.oid, c.relowner, 'member'))
    then
        return format('role "%s" owns tables: connect as waha_gateway',
                      me.rolname);
    end if;

    return null;
end
$$;

comment on function waha.check(int, int) is 'null when the session''s role may serve a module that knows contracts min to max; else a sentence that says why not and what to do';

grant execute on function waha.check(int, int) to waha_gateway;


create or replace function waha.trial() returns text
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    org      text;
    person   bigint;
    at_what  text := 'organizations';
begin
    select o.slug into org from waha.organizations o limit 1;

    if org is null then
        begin
            insert into waha.organizations as o (slug, name,
                                                 whatsapp_enabled)
                values ('waha-trial', 'Trial', false)
                returning o.slug into org;
        exception
            when others then
                -- its columns are the CRM's business
                return null;
        end;
    end if;

    update waha.organizations o
       set whatsapp_session_name = o.whatsapp_session_name,
           whatsapp_status = 'WORKING',
           whatsapp_phone_number = '+4915112345678',
           whatsapp_connected_at = now()
     where o.slug = org;

    at_what := 'traffic_channels';
    perform waha.channel(org);

    at_what := 'contacts';
    insert into waha.contacts as c (organization_slug, first_name, last_name,
                                    phone_1, contact_type, traffic_source_id,
                                    state, whatsapp_name)
        values (org, 'WhatsApp', 'Contact', '+4915112345678', 'lead',
                waha.channel(org), '', 'Trial')
        returning c.id into person;

    at_what := 'contact_activities';
    insert into waha.contact_activities
                (organization_slug, contact_id, activity_type, direction,
                 message_content, metadata, session_name, message_id,
                 message_type, chat, sender_name, occurred_at)
        values (org, person, 'whatsapp_message', 'inbound', 'Trial', '{}',
                'waha-trial', 'waha-trial', 'text', 'person', 'Trial',
                now());

    at_what := 'deferred constraints';
    set constraints all immediate;

    raise sqlstate 'WA002';

exception
    when sqlstate 'WA002' then
        return null;
    when others then
        return format('%s: %s', at_what, sqlerrm);
end
$$;

comment on function waha.trial() is 'writes a row into each of the four tables, and takes it back: null, or why ingest could not';

grant execute on function waha.trial to waha_admin;


create or replace function waha.activities_deleted() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    delete from waha.message_states s
     using were o
     where s.organization_slug = o.organization_slug collate "C"
       and s.session_name = o.session_name
       and s.message_id = o.message_id;

    return null;

exception
    when others then
        raise log 'waha: no states were deleted: %', sqlerrm;
        return null;
end
$$;

comment on function waha.activities_deleted() is 'deletes the states of deleted messages; never makes the CRM''s write fail';


create or replace function waha.maintain(portion int default 10000)
returns bigint
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    until    timestamptz;
    looked   bigint;
    removed  bigint;
    ended    bigint;
begin
    -- States of messages that never came.  Each row is looked at once, when
    -- it is 30 days old: states_until remembers how far that got.  Ingest
    -- locks states in the order of their key, too; what it holds is left to
    -- the next call.

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

    -- one that WAHA still runs would be nobody's: its messages would be lost

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
        returning 1
    )
    select count(*) into ended from gone;

    return looked + removed + ended;
end
$$;

comment on function waha.maintain(int) is 'removes states of messages that never came quarantine that was resolved and sessions that were deleted and that WAHA does not run, all when 30 days old, and quarantine that came last 90 days ago, at most portion of each; to be called daily, until it returns 0';

grant execute on function waha.maintain to waha_admin;
