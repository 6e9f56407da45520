-- Signed deliveries that could not be stored or have no organization.

create or replace function waha.quarantine(reason text, sqlstate text,
    raw bytea, provider text, instance text, session text, kind text,
    direction text, chat text, message_id text, target_id text, phone text,
    lid text, name text, type text, body text, sent_at bigint, status text,
    metadata text, organization_slug text, organization_id text, tenant text,
    claims text, chat_id text default null, empty text default null)
returns bigint
language sql security definer
set search_path = waha, pg_temp
as $$
    insert into waha.quarantine as q (hash, reason, sqlstate, raw, event)
        select sha256(raw || convert_to(concat_ws(' ', session, kind,
                   message_id, target_id, status), 'UTF8')),
               reason, sqlstate, raw, e.event
          from (select case when session is not null then jsonb_build_object(
                    'provider', provider, 'instance', instance,
                    'session', session, 'kind', kind,
                    'direction', direction, 'chat', chat,
                    'message_id', message_id, 'target_id', target_id,
                    'phone', phone, 'lid', lid, 'name', name, 'type', type,
                    'body', body, 'sent_at', sent_at, 'status', status,
                    'metadata', metadata,
                    'organization_slug', organization_slug,
                    'organization_id', organization_id,
                    'tenant', tenant, 'claims', claims,
                    'chat_id', chat_id, 'empty', empty) end) as e (event)
         where waha.was_erased(e.event) is not true
        on conflict (hash) do update set seen_at = now(),
                                         reason = excluded.reason,
                                         sqlstate = excluded.sqlstate,
                                         event = excluded.event,
                                         resolved_at = null
        returning q.id
$$;

comment on function waha.quarantine is
    'keeps an event for waha.replay: reason, SQLSTATE and the body of its '
    'delivery, then the arguments of waha.ingest; an event that comes again '
    'updates its row, and one that was erased is not kept: the result is null';

grant execute on function waha.quarantine to waha_gateway;


create or replace function waha.replay(id bigint)
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    e  jsonb;
    r  waha.outcome;
begin
    select q.event into e
      from waha.quarantine q
     where q.id = replay.id
       for update;

    if e is null then
        raise exception 'there is no event % in quarantine, or its body '
            'could not be read', replay.id;
    end if;

    select * into r
      from waha.ingest(e->>'provider', e->>'instance', e->>'session',
                       e->>'kind', e->>'direction', e->>'chat',
                       e->>'message_id', e->>'target_id', e->>'phone',
                       e->>'lid', e->>'name', e->>'type', e->>'body',
                       (e->>'sent_at')::bigint, e->>'status',
                       e->>'metadata', e->>'organization_slug',
                       e->>'organization_id', e->>'tenant', e->>'claims',
                       e->>'chat_id', e->>'empty');

    if r.action not in ('unknown_organization', 'disabled_organization',
                        'contradiction', 'foreign_instance')
    then
        update waha.quarantine q
           set resolved_at = now()
         where q.id = replay.id;
    end if;

    perform waha.record_audit(r.organization, 'quarantine.replay',
                left(e->>'session', 255), r.contact_id,
                jsonb_build_object('event', replay.id, 'action', r.action));

    return next r;
end
$$;

comment on function waha.replay(bigint) is
    'runs an event of waha.quarantine again; it is resolved unless its '
    'organization is still unknown, disabled or contradictory, or its session '
    'still not bound to the instance of the key';

grant execute on function waha.replay to waha_admin;
