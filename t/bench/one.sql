-- The best plain function for one message that we can write: no choice of
-- tenant sources, no second identity, no names, no states, no order of
-- arrival, no locks beyond those of the statements.  What the contract's
-- functions promise on top of it is theirs to pay for.

create schema bench;
grant usage on schema bench to waha_gateway;

create function bench.one(provider text, instance text, session text,
    kind text, direction text, chat text, message_id text, target_id text,
    phone text, lid text, name text, type text, body text, sent_at bigint,
    status text, metadata text, organization_slug text, organization_id text,
    tenant text, claims text)
returns waha.outcome
language plpgsql security definer
as $$
#variable_conflict use_variable
declare
    r   waha.outcome;
    at  timestamptz := to_timestamp(sent_at / 1000.0);
begin
    select 0, 'activity_logged', o.slug, o.id, i.contact_id
      into r
      from waha.sessions s
      join waha.organizations o on o.slug = s.organization_slug
      left join waha.contact_identities i
        on i.organization_slug = s.organization_slug
       and i.kind = 'phone'
       and i.key = phone
     where s.name = session
       and o.whatsapp_enabled;

    if r.contact_id is null then
        if r.organization is null then
            r.action := 'unknown_organization';
            return r;
        end if;

        insert into waha.contacts as c (organization_slug, first_name,
                                        phone_1, contact_type)
            values (r.organization, name, '+' || phone, 'lead')
            returning c.id into r.contact_id;

        insert into waha.contact_identities (organization_slug, kind, key,
                                             contact_id, seen, proved)
            values (r.organization, 'phone', phone, r.contact_id, phone, true)
            on conflict on constraint contact_identities_pkey do nothing;

        r.action := 'contact_created';
    end if;

    insert into waha.contact_activities as a (organization_slug, contact_id,
            activity_type, direction, message_content, metadata, session_name,
            message_id, message_type, chat, sender_name, occurred_at)
        values (r.organization, r.contact_id, 'whatsapp_message', direction,
                body, metadata::jsonb, session, message_id, type, chat, name,
                at)
        on conflict do nothing
        returning a.id into r.activity_id;

    if r.activity_id is null then
        r.action := 'duplicate';
        return r;
    end if;

    insert into waha.conversations as v (organization_slug, contact_id,
            session_name, last_message_id, last_message_at, last_direction,
            last_message, unread_count, last_inbound_at)
        values (r.organization, r.contact_id, session, message_id, at,
                direction, left(body, 255), 1, at)
        on conflict on constraint conversations_pkey do update
        set last_message_id = excluded.last_message_id,
            last_message_at = excluded.last_message_at,
            last_direction = excluded.last_direction,
            last_message = excluded.last_message,
            unread_count = v.unread_count + 1,
            last_inbound_at = excluded.last_inbound_at;

    return r;
end
$$;

grant execute on function bench.one to waha_gateway;
