-- Operations of the API on sessions.  A session has one at a time, in all
-- workers of all machines: its row says which.  Budgets bound what WAHA does
-- for a tenant.  Each function is one short transaction.

create or replace function waha.session_history(session waha.sessions)
returns jsonb
language sql stable
set search_path = waha, pg_temp
as $$
    select jsonb_build_object(
               'webhook_url', session.webhook_url,
               'asked', session.asked_at is not null,
               'recovered', coalesce(session.recovered_at
                                     > now() - interval '1 hour', false),
               'stuck', waha.is_stuck(session))
$$;

comment on function waha.session_history(waha.sessions) is
    'what an operation has to know of earlier ones; recovered: a restart has '
    'not helped; stuck: see waha.is_stuck';


create or replace function waha.find_operated(organization text,
    session text) returns waha.reply
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    r  waha.reply := waha.find_session(organization, session);
    s  waha.sessions;
begin
    select k.* into s
      from waha.sessions k
     where k.name = session;

    if r.code is null then
        r.data := r.data::jsonb || waha.session_history(s)
                  || jsonb_build_object('holder', s.operation_holder);
    end if;

    return r;
end
$$;

comment on function waha.find_operated(text, text) is
    'a session by WAHA''s name, with its history; codes: unknown_session';


create or replace function waha.begin_operation(organization text,
    session text, operation text, seconds int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own  waha.sessions := waha.own_session(organization, session);
begin
    update waha.sessions s
       set operation = begin_operation.operation,
           operation_holder = gen_random_uuid()::text,
           operation_until = clock_timestamp()
                             + seconds * interval '1 second'
     where s.name = own.name
       and s.organization_slug = organization
       and s.deleted_at is null
       and (s.operation_until <= clock_timestamp()) is not false;

    if not found and own.deleted_at is null and own.name is not null then
        return row('session_busy', null)::waha.reply;
    end if;

    if own.name is not null and own.deleted_at is null then
        perform waha.record_audit(organization,
                    'session.' || begin_operation.operation, own.name,
                    seconds => 60);
    end if;

    return waha.find_operated(organization, own.name);
end
$$;

comment on function waha.begin_operation(text, text, text, int) is
    'begins an operation on a session, for so many seconds unless it is '
    'prolonged; codes: unknown_session, session_busy';


create or replace function waha.end_operation(organization text,
    session text, holder text, seconds int, started boolean,
    recovered boolean, webhook_url text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    had  text;
begin
    select s.webhook_url into had
      from waha.sessions s
     where s.name = session
       and s.organization_slug = organization;

    update waha.sessions s
       set operation = case when seconds > 0 then s.operation end,
           operation_holder = case when seconds > 0
                                   then s.operation_holder end,
           operation_until = case when seconds > 0 then clock_timestamp()
                                  + seconds * interval '1 second' end,
           asked_at = case when started then now() else s.asked_at end,
           starting_since = case when started then now()
                                 else s.starting_since end,
           recovered_at = case when recovered is null then s.recovered_at
                               when recovered
                                    and s.status not in ('WORKING',
                                                         'SCAN_QR_CODE')
                               then now() end,
           webhook_url = coalesce(end_operation.webhook_url, s.webhook_url)
     where s.name = session
       and s.organization_slug = organization
       and s.operation_holder = holder;

    if found and had <> end_operation.webhook_url then
        perform waha.record_audit(organization, 'session.configure', session,
                                  seconds => 60);
    end if;

    return row(null, null)::waha.reply;
end
$$;

comment on function waha.end_operation(text, text, text, int, boolean,
    boolean, text) is
    'ends an operation on a session, or with seconds prolongs it; started: '
    'WAHA was asked to create or start the session; recovered: true: it was '
    'restarted because it had failed, which counts unless WAHA has already '
    'told that it works, false: it was logged out since; '
    'webhook_url: now in its configuration';


create or replace function waha.spend(organization text, session text,
    kind text, most int, seconds int) returns int
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    since  timestamptz := clock_timestamp() - seconds * interval '1 second';
    spent  timestamptz[];
begin
    insert into waha.session_budgets (organization_slug, session_name, kind)
        values (organization, session, spend.kind)
        on conflict do nothing;

    select array(select u.at
                   from unnest(b.used) as u (at)
                  where u.at > since
                  order by u.at)
      into spent
      from waha.session_budgets b
     where b.organization_slug = organization
       and b.session_name = session
       and b.kind = spend.kind
       for update;

    if cardinality(spent) >= most then
        return greatest(1, ceil(extract(epoch from
                   spent[cardinality(spent) - most + 1] - since))::int);
    end if;

    update waha.session_budgets b
       set used = spent || clock_timestamp()
     where b.organization_slug = organization
       and b.session_name = session
       and b.kind = spend.kind;

    return null;
end
$$;

comment on function waha.spend(text, text, text, int, int) is
    'takes one of what a session, or with an empty name an organization, may '
    'have most times within so many seconds; result: null, or the seconds '
    'until there is one again';


create or replace function waha.charge_operation(organization text,
    session text, kind text, most int, seconds int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own   waha.sessions := waha.own_session(organization, session);
    wait  int;
begin
    if own.name is null then
        return row('unknown_session', null)::waha.reply;
    end if;

    -- the organization's row last: sessions of one organization then lock
    -- rows in the same order

    wait := coalesce(
        waha.spend(organization, own.name, kind, most, seconds),
        waha.spend(organization, '', kind, 3 * most + (
                       select count(*)::int
                         from waha.sessions s
                        where s.organization_slug = organization
                          and s.deleted_at is null), seconds));

    if wait is not null then
        return row('too_many_operations',
                   json_build_object('retry_after', wait))::waha.reply;
    end if;

    return row(null, null)::waha.reply;
end
$$;

comment on function waha.charge_operation(text, text, text, int, int) is
    'takes one of what a session may have most times within so many seconds, '
    'and its organization three times as often and once more for each '
    'session; codes: unknown_session, too_many_operations';


create or replace function waha.move_session(organization text, session text,
    instances text[]) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own     waha.sessions := waha.own_session(organization, session);
    chosen  text := waha.choose_instance(instances);
begin
    if chosen is null then
        return row('no_instance', null)::waha.reply;
    end if;

    -- WAHA may have been asked to create it, and its answer lost

    update waha.sessions s
       set instance = chosen
     where s.name = own.name
       and s.organization_slug = organization
       and s.deleted_at is null
       and s.status = 'NOT_CREATED'
       and s.asked_at is null;

    if not found then
        return row('no_instance', null)::waha.reply;
    end if;

    perform waha.notify_workers(array[organization]);

    return waha.find_operated(organization, own.name);
end
$$;

comment on function waha.move_session(text, text, text[]) is
    'moves a session that WAHA was never asked to create to another WAHA '
    'server; codes: no_instance';

grant execute on function
    waha.begin_operation(text, text, text, int),
    waha.end_operation(text, text, text, int, boolean, boolean, text),
    waha.charge_operation(text, text, text, int, int),
    waha.move_session(text, text, text[])
    to waha_gateway;


create or replace function waha.session_told() returns trigger
language plpgsql
set search_path = waha, pg_temp
as $$
begin
    if new.status_at is distinct from old.status_at then
        new.starting_since := null;

    -- a check has found it, later than WAHA would have told it

    elsif new.status = 'STARTING' and old.status is distinct from 'STARTING'
    then
        new.starting_since := now();
    end if;

    if new.status in ('WORKING', 'SCAN_QR_CODE') then
        new.recovered_at := null;
    end if;

    return new;
end
$$;

comment on function waha.session_told() is
    'trigger: a new state of a session ends what was noted of the last start';

drop trigger if exists told on waha.sessions;
create trigger told
    before update on waha.sessions
    for each row
    when ((old.status, old.status_at)
          is distinct from (new.status, new.status_at))
    execute function waha.session_told();
