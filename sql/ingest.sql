-- Events in, rows and outcomes out.

create or replace function waha.ingest(provider text, instance text,
    session text, kind text, direction text, chat text, message_id text,
    target_id text, phone text, lid text, name text, type text, body text,
    sent_at bigint, status text, metadata text, organization_slug text,
    organization_id text, tenant text, claims text)
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_variable
declare
    r     waha.outcome;
    code  text;
    at    timestamptz := to_timestamp(sent_at / 1000.0);
begin
    r.position := 0;

    select f.organization, f.tenant_id, f.code
      into r.organization, r.tenant_id, code
      from waha.resolve(session, instance, organization_slug,
                        organization_id, tenant, claims::jsonb, phone) f;

    if code is not null then
        r.action := code;
        return next r;
        return;
    end if;

    if kind <> 'message' then
        r.action := 'ignored';
        r.code := 'unsupported';
        return next r;
        return;
    end if;

    select i.contact_id into r.contact_id
      from waha.contact_identities i
     where i.organization_slug = r.organization
       and (i.kind = 'phone' and i.key = waha.phone_key(phone)
            or i.kind = 'lid' and i.key = lid)
     order by i.kind
     limit 1;

    r.action := 'activity_logged';

    if r.contact_id is null then
        insert into waha.contacts as c (organization_slug, first_name,
                                        last_name, phone_1, contact_type)
            values (r.organization, coalesce(name, 'WhatsApp'),
                    case when name is null then 'Contact' else '' end,
                    '+' || phone, 'lead')
            returning c.id into r.contact_id;

        insert into waha.contact_identities
                    (organization_slug, kind, key, contact_id, seen, proved)
            select r.organization, k.kind, k.key, r.contact_id, k.seen, true
              from (values ('phone', waha.phone_key(phone), phone),
                           ('lid', lid, lid)) as k (kind, key, seen)
             where k.key is not null
             order by k.kind;

        r.action := 'contact_created';
    end if;

    insert into waha.contact_activities as a
                (organization_slug, contact_id, activity_type, direction,
                 message_content, metadata, session_name, message_id,
                 message_type, chat, sender_name, occurred_at)
        values (r.organization, r.contact_id, 'whatsapp_message', direction,
                body, metadata::jsonb, session, message_id, type, chat, name,
                at)
        on conflict do nothing
        returning a.id into r.activity_id;

    if not found then
        r.action := 'duplicate';

        select a.contact_id, a.id into r.contact_id, r.activity_id
          from waha.contact_activities a
         where a.organization_slug = r.organization
           and a.session_name = session
           and a.message_id = message_id
           and a.direction = direction;

        return next r;
        return;
    end if;

    insert into waha.conversations as v
                (organization_slug, contact_id, session_name,
                 last_message_id, last_message_at, last_direction,
                 last_message, unread_count, last_inbound_at,
                 last_outbound_at)
        values (r.organization, r.contact_id, session, message_id, at,
                direction, left(body, 255), (direction = 'inbound')::int,
                case direction when 'inbound' then at end,
                case direction when 'outbound' then at end)
        on conflict on constraint conversations_pkey
        do update set last_message_id = excluded.last_message_id,
                      last_message_at = excluded.last_message_at,
                      last_direction = excluded.last_direction,
                      last_message = excluded.last_message,
                      unread_count = v.unread_count + excluded.unread_count;

    return next r;
end
$$;

create or replace function waha.ingest_batch(provider text[],
    instance text[], session text[], kind text[], direction text[],
    chat text[], message_id text[], target_id text[], phone text[],
    lid text[], name text[], type text[], body text[], sent_at bigint[],
    status text[], metadata text[], organization_slug text[],
    organization_id text[], tenant text[], claims text[])
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
as $$
declare
    r  waha.outcome;
begin
    for n in 1 .. coalesce(array_length(session, 1), 0) loop
        for r in
            select *
              from waha.ingest(provider[n], instance[n], session[n], kind[n],
                               direction[n], chat[n], message_id[n],
                               target_id[n], phone[n], lid[n], name[n],
                               type[n], body[n], sent_at[n], status[n],
                               metadata[n], organization_slug[n],
                               organization_id[n], tenant[n], claims[n])
        loop
            r.position := n - 1;
            return next r;
        end loop;
    end loop;
end
$$;

create or replace function waha.ingest_each(provider text[],
    instance text[], session text[], kind text[], direction text[],
    chat text[], message_id text[], target_id text[], phone text[],
    lid text[], name text[], type text[], body text[], sent_at bigint[],
    status text[], metadata text[], organization_slug text[],
    organization_id text[], tenant text[], claims text[])
returns setof waha.outcome
language plpgsql security definer
set search_path = waha, pg_temp
as $$
declare
    r  waha.outcome;
begin
    for n in 1 .. coalesce(array_length(session, 1), 0) loop
        begin
            select * into r
              from waha.ingest(provider[n], instance[n], session[n], kind[n],
                               direction[n], chat[n], message_id[n],
                               target_id[n], phone[n], lid[n], name[n],
                               type[n], body[n], sent_at[n], status[n],
                               metadata[n], organization_slug[n],
                               organization_id[n], tenant[n], claims[n]);
        exception
            when others then
                r := null;
                r.action := 'failed';
                r.code := sqlstate;
        end;

        r.position := n - 1;
        return next r;
    end loop;
end
$$;

comment on function waha.ingest is 'stores one event in one transaction; one row says what became of it';
comment on function waha.ingest_batch is 'stores many events: the i-th elements of the arrays are one; a row for each';
comment on function waha.ingest_each is 'as ingest_batch, but an event that fails does not hurt the others: action failed, code SQLSTATE';

grant execute on function waha.ingest, waha.ingest_batch, waha.ingest_each
    to waha_gateway;
