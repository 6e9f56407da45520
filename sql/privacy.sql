-- Erasure of people and of organizations.

create or replace function waha.persons(organization text, contact bigint)
returns bigint[]
language sql stable
set search_path = waha, pg_temp
as $$
    with recursive same as (
        select waha.live_contact(organization, contact) as id

        union

        select c.id::bigint
          from same s
          join waha.contacts c on c.merged_into = s.id
         where c.organization_slug = organization collate "C"
    )
    select array_agg(id order by id) from same where id is not null
$$;

comment on function waha.persons(text, bigint) is 'all contacts of one person: a live one and those that were merged into it, or null';


create or replace function waha.quarantine_owner(event jsonb) returns text
language sql stable
set search_path = waha, pg_temp
as $$
    -- what nobody is known to own may be anybody's

    select coalesce((select s.organization_slug
                       from waha.sessions s
                      where s.name = event->>'session'),
                    event->>'organization_slug',
                    (select o.slug
                       from waha.organizations o
                      where o.id = waha.id_of(event->>'organization_id')))
$$;

comment on function waha.quarantine_owner(jsonb) is 'the organization that an event of waha.quarantine is for, if it is known';

create index if not exists quarantine_phone
    on waha.quarantine (waha.phone_key(event->>'phone'));

create index if not exists quarantine_lid
    on waha.quarantine ((event->>'lid'));


create or replace function waha.quarantined(organization text,
    contacts bigint[]) returns setof waha.quarantine
language plpgsql stable security definer
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    phones  text[];
    lids    text[];
begin
    select array_agg(i.key) filter (where i.kind = 'phone'),
           array_agg(i.key) filter (where i.kind = 'lid')
      into phones, lids
      from waha.contact_identities i
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = any (contacts);

    return query
        select q.*
          from waha.quarantine q
         where (waha.phone_key(q.event->>'phone') = any (phones)
                or q.event->>'lid' = any (lids))
           and waha.quarantine_owner(q.event) = organization;
end
$$;

comment on function waha.quarantined(text, bigint[]) is 'what an organization has of contacts in quarantine';

grant execute on function waha.quarantined(text, bigint[]) to waha_api;


create or replace function waha.erase_activities(organization text,
    ids bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- states in the order of ingest

    perform
       from waha.message_states s
      where (s.organization_slug, s.session_name, s.message_id) in (
            select a.organization_slug, a.session_name, a.message_id
              from waha.contact_activities a
             where a.organization_slug = organization collate "C"
               and a.id = any (ids))
      order by s.organization_slug, s.session_name, s.message_id
        for update;

    delete from waha.message_states s
     where (s.organization_slug, s.session_name, s.message_id) in (
           select a.organization_slug, a.session_name, a.message_id
             from waha.contact_activities a
            where a.organization_slug = organization collate "C"
              and a.id = any (ids));

    delete from waha.contact_activities a
     where a.organization_slug = organization collate "C"
       and a.id = any (ids);

    set constraints all immediate;

exception
    when integrity_constraint_violation then
        update waha.contact_activities a
           set message_content = null,
               metadata = '{}',
               sender_name = null
         where a.organization_slug = organization collate "C"
           and a.id = any (ids);
end
$$;

comment on function waha.erase_activities(text, bigint[]) is 'deletes activities and what is known of these messages, or empties them where the CRM holds on to them';


create or replace function waha.drop_contacts(organization text,
    ids bigint[]) returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    delete from waha.contacts c
     where c.organization_slug = organization collate "C"
       and c.id = any (ids);

    set constraints all immediate;

    return true;

exception
    when integrity_constraint_violation then
        return false;
end
$$;

comment on function waha.drop_contacts(text, bigint[]) is 'deletes contacts with all that schema waha has of them; false: the CRM holds on to one';


create or replace function waha.empty_contacts(organization text,
    ids bigint[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    delete from waha.contact_identities i
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = any (ids);

    delete from waha.shared_phones s
     where s.organization_slug = organization
       and s.contact_id = any (ids);

    delete from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = any (ids);

    update waha.contacts c
       set first_name = '',
           last_name = '',
           phone_1 = null,
           phone_2 = null,
           phone_3 = null,
           state = '',
           whatsapp_name = null
     where c.organization_slug = organization collate "C"
       and c.id = any (ids);

    perform waha.hand_over(array[organization]);
end
$$;

comment on function waha.empty_contacts(text, bigint[]) is 'removes all that tells who contacts are';


create or replace function waha.lock_person(organization text, ids bigint[])
returns void
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    -- identities before contacts, as ingest does

    perform
       from waha.contact_identities i
      where i.organization_slug = organization collate "POSIX"
        and i.contact_id = any (ids)
      order by i.organization_slug, i.key, i.kind
        for update;

    perform
       from waha.contacts c
      where c.organization_slug = organization collate "C"
        and c.id = any (ids)
      order by c.id
        for update;

    if waha.persons(organization, ids[1]) is distinct from ids then
        raise serialization_failure
            using message = 'contacts were merged or deleted meanwhile';
    end if;
end
$$;

comment on function waha.lock_person(text, bigint[]) is 'locks all contacts of a person against messages and merges';


create or replace function waha.erase_contact(organization text,
    contact bigint) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    ids         bigint[] := waha.persons(organization, contact);
    told        bigint[];
    activities  bigint[];
    identities  bigint;
    talks       bigint;
    gone        boolean;
begin
    if ids is null then
        return row('unknown_contact', null)::waha.reply;
    end if;

    perform waha.lock_person(organization, ids);

    told := array(select q.id from waha.quarantined(organization, ids) q);

    delete from waha.quarantine q where q.id = any (told);

    activities := array(
        select a.id
          from waha.contact_activities a
         where a.organization_slug = organization collate "POSIX"
           and a.contact_id = any (ids));

    select count(*) into identities
      from waha.contact_identities i
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = any (ids);

    select count(*) into talks
      from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = any (ids);

    perform waha.erase_activities(organization, activities);

    gone := waha.drop_contacts(organization, ids);

    if not gone then
        perform waha.empty_contacts(organization, ids);
    end if;

    return row(null, json_build_object(
                         'erased', true,
                         'contact', case when gone then 'deleted'
                                         else 'emptied' end,
                         'merged', cardinality(ids) - 1,
                         'activities', cardinality(activities),
                         'identities', identities,
                         'conversations', talks,
                         'quarantine', cardinality(told)))::waha.reply;
end
$$;

comment on function waha.erase_contact(text, bigint) is 'removes a person: contact, merged ones, messages, all; where keys of the CRM forbid it the contact stays, emptied; codes: unknown_contact';


create or replace function waha.erase_portion(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    ids  bigint[];
begin
    ids := array(
        select a.id
          from waha.contact_activities a
         where a.organization_slug = organization collate "POSIX"
           and (a.message_content is not null or a.sender_name is not null
                or a.metadata <> '{}')
         limit 1000);

    if ids <> '{}' then
        perform waha.erase_activities(organization, ids);
        return true;
    end if;

    ids := array(
        select c.id
          from waha.contacts c
         where c.organization_slug = organization collate "POSIX"
           and c.organization_slug collate "POSIX" >= ''
           and concat(c.first_name, c.last_name, c.phone_1, c.phone_2,
                      c.phone_3, c.state, c.whatsapp_name) <> ''
         order by c.id
         limit 200);

    if ids = '{}' then
        return false;
    end if;

    perform waha.erase_activities(organization, array(
        select a.id
          from waha.contact_activities a
         where a.organization_slug = organization collate "POSIX"
           and a.contact_id = any (ids)));

    if not waha.drop_contacts(organization, ids) then
        perform waha.empty_contacts(organization, array[k.id])
           from unnest(ids) as k (id)
          where not waha.drop_contacts(organization, array[k.id]);
    end if;

    return true;
end
$$;

comment on function waha.erase_portion(text) is 'removes some activities or contacts of an organization; false: there is nothing left of people';


create or replace function waha.erase_rest(organization text)
returns boolean
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    delete from waha.quarantine q
     where waha.quarantine_owner(q.event) = organization;

    delete from waha.message_states s
     where s.organization_slug = organization;

    delete from waha.sessions s
     where s.organization_slug = organization;

    delete from waha.api_keys k
     where k.organization_slug = organization;

    begin
        delete from waha.contacts c
         where c.organization_slug = organization collate "POSIX"
           and c.organization_slug collate "POSIX" >= '';

        delete from waha.traffic_channels t
         where t.organization_slug = organization;

        delete from waha.organizations o where o.slug = organization;

        set constraints all immediate;

        return true;

    exception
        when integrity_constraint_violation then
            return false;
    end;
end
$$;

comment on function waha.erase_rest(text) is 'removes what an organization has besides people, and itself; false: the CRM holds on to it';


create or replace function waha.delete_organization(slug text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    own    alias for $1;
    until  timestamptz := clock_timestamp() + interval '300 milliseconds';
begin
    -- nobody gets a session meanwhile, see waha.reserve_session

    perform pg_advisory_xact_lock(
                hashtextextended(own || '/sessions', 7761686));

    if not exists (select from waha.organizations o where o.slug = own) then
        return row('unknown_organization', null)::waha.reply;
    end if;

    if exists (select
                 from waha.sessions s
                where s.organization_slug = own
                  and s.deleted_at is null)
    then
        return row('sessions_exist', null)::waha.reply;
    end if;

    -- nothing may come after it

    update waha.organizations o
       set whatsapp_enabled = false
     where o.slug = own
       and o.whatsapp_enabled is not false;

    while waha.erase_portion(own) loop
        if clock_timestamp() > until then
            return row(null, json_build_object('complete', false)
                      )::waha.reply;
        end if;
    end loop;

    return row(null, json_build_object(
                         'complete', true,
                         'organization', case when waha.erase_rest(own)
                                              then 'deleted'
                                              else 'emptied' end)
              )::waha.reply;
end
$$;

comment on function waha.delete_organization(text) is 'removes an organization, for a third of a second: to be called until complete; codes: unknown_organization, sessions_exist';

grant execute on function waha.erase_contact(text, bigint),
    waha.delete_organization(text)
    to waha_gateway, waha_admin;
