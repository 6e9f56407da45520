-- What was erased and comes again: a provider repeats, somebody has kept the
-- signed bytes, an event is replayed.  Before anything is written, a batch
-- drops what is in waha.erased.  An erasure can be committed after that, so the
-- batch looks again when all is written, and fails if there is any of it.  In
-- between, unique keys and the locks of contacts make one wait for the other.
--
-- Mostly the table is empty.  A batch asks whether it is, and only if not, a
-- statement looks for each event.  Functions without a search_path of their
-- own are inlined, as in identity.sql.

create or replace function waha.erased_key(organization text, session text,
    message text, person text default '') returns bytea
language sql stable parallel safe
as $$
    select pg_catalog.sha256(pg_catalog.convert_to(
               array[organization, session, message, person]::text, 'UTF8'))
$$;

comment on function waha.erased_key(text, text, text, text) is
    'waha.erased.hash of a message, or of what a person with this number or '
    'hidden id did to it';


create or replace function waha.erased_keys(organization text, session text,
    kind text, id text, target text, phone text, lid text) returns bytea[]
language sql stable parallel safe
as $$
    select case
           when kind in ('message', 'call')
           then array[waha.erased_key(organization, session, id)]
           when target is not null
           then array[waha.erased_key(organization, session, target),
                      waha.erased_key(organization, session, target,
                          coalesce(waha.phone_key(phone), '')),
                      waha.erased_key(organization, session, target,
                          coalesce(lid, ''))]
           end
$$;

comment on function waha.erased_keys is
    'what in waha.erased would make an event a duplicate';


create or replace function waha.places_erased(events waha.event[])
returns int[]
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    return array(
        select e.ordinality::int
          from unnest(events) with ordinality as e
         where e.organization is not null
           and exists (
               select
                 from unnest(waha.erased_keys(e.organization, e.session,
                                 e.kind, e.message_id, e.target_id, e.phone,
                                 e.lid)) as k (hash)
                where (select true
                         from waha.erased r
                        where r.hash = k.hash
                        limit 1)));
end
$$;

comment on function waha.places_erased is
    'positions of the records of a batch that were erased, or change what was '
    'erased';


create or replace function waha.was_erased(event jsonb) returns boolean
language plpgsql stable
set search_path = waha, pg_temp
as $$
declare
    session  text := event->>'session';
    told     waha.event;
begin
    if not exists (select from waha.erased e where e.hash >= '') then
        return false;
    end if;

    -- the sessions of a deleted organization are nobody's any more

    if exists (select
                 from waha.erased e
                where e.hash = waha.erased_key('', session, ''))
       and not exists (select
                         from waha.sessions s
                        where s.name = session)
    then
        return true;
    end if;

    told.organization := waha.quarantine_owner(event);
    told.session := session;
    told.kind := event->>'kind';
    told.message_id := event->>'message_id';
    told.target_id := event->>'target_id';
    told.phone := event->>'phone';
    told.lid := waha.event_lid(told.organization, event);

    return waha.places_erased(array[told]) <> '{}';
end
$$;

comment on function waha.was_erased(jsonb) is
    'whether an event for waha.quarantine was erased, or is of a session whose '
    'organization was deleted';


create or replace function waha.remember(hashes bytea[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    insert into waha.erased as e (hash)
        select distinct h
          from unnest(hashes) h
         order by h
    on conflict (hash) do update set erased_at = excluded.erased_at;
end
$$;

comment on function waha.remember(bytea[]) is
    'stores hashes of what was erased';


create or replace function waha.remember_erased(span interval) returns void
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    if span is null or span < interval '0' then
        raise exception 'waha.remember_erased needs a time that is not '
            'negative';
    end if;

    update waha.version
       set erased_for = span;

    perform waha.record_audit(null, 'erasure.keep',
                              details => jsonb_build_object('time', span));
end
$$;

comment on function waha.remember_erased(interval) is
    'sets how long events that were erased are answered as duplicates; 7 days '
    'by default, the longest time for which a provider repeats an event';

grant execute on function waha.remember_erased(interval) to waha_admin;
