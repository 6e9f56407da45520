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


create or replace function waha.erase_quarantine(organization text,
    phones text[], lids text[]) returns bigint
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    n  bigint;
begin
    -- a delivery for nobody known may be somebody else's

    delete from waha.quarantine q
     where (waha.phone_key(q.event->>'phone') = any (phones)
            or q.event->>'lid' = any (lids))
       and organization = coalesce((
               select s.organization_slug
                 from waha.sessions s
                where s.name = q.event->>'session'),
               q.event->>'organization_slug', (
               select o.slug
                 from waha.organizations o
                where o.id = waha.id_of(q.event->>'organization_id')));

    get diagnostics n = row_count;
    return n;
end
$$;

comment on function waha.erase_quarantine(text, text[], text[]) is 'removes what an organization has of a person in quarantine; how many';


create or replace function waha.erase_activities(organization text,
    contacts bigint[], most int) returns bigint
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
           and (contacts is null or a.contact_id = any (contacts))
         limit most);

    -- in the order of ingest

    perform
       from waha.message_states s
      where (s.organization_slug, s.session_name, s.message_id) in (
            select a.organization_slug, a.session_name, a.message_id
              from waha.contact_activities a
             where a.id = any (ids))
      order by s.organization_slug, s.session_name, s.message_id
        for update;

    delete from waha.contact_activities a where a.id = any (ids);

    return cardinality(ids);
end
$$;

comment on function waha.erase_activities(text, bigint[], int) is 'removes activities of contacts, null: of all, and what is known of these messages; how many';


create or replace function waha.erase_contacts(organization text,
    contacts bigint[]) returns text
language plpgsql
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
begin
    begin
        delete from waha.contacts c
         where c.organization_slug = organization collate "C"
           and c.id = any (contacts);

        set constraints all immediate;
        set constraints all deferred;

        return 'deleted';

    exception
        when integrity_constraint_violation then
            null;
    end;

    delete from waha.contact_identities i
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = any (contacts);

    delete from waha.shared_phones s
     where s.organization_slug = organization
       and s.contact_id = any (contacts);

    delete from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = any (contacts);

    update waha.contacts c
       set first_name = '',
           last_name = '',
           phone_1 = null,
           phone_2 = null,
           phone_3 = null,
           state = '',
           whatsapp_name = null
     where c.organization_slug = organization collate "C"
       and c.id = any (contacts);

    perform waha.hand_over(array[organization]);

    return 'emptied';
end
$$;

comment on function waha.erase_contacts(text, bigint[]) is 'deletes contacts with all that schema waha has of them, or empties them where the CRM holds on to them: deleted or emptied';


create or replace function waha.erase_contact(organization text,
    contact bigint) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    ids         bigint[] := waha.persons(organization, contact);
    phones      text[];
    lids        text[];
    identities  bigint;
    talks       bigint;
    activities  bigint;
    stored      bigint;
begin
    if ids is null then
        return row('unknown_contact', null)::waha.reply;
    end if;

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

    select array_agg(i.key) filter (where i.kind = 'phone'),
           array_agg(i.key) filter (where i.kind = 'lid'), count(*)
      into phones, lids, identities
      from waha.contact_identities i
     where i.organization_slug = organization collate "POSIX"
       and i.contact_id = any (ids);

    select count(*) into talks
      from waha.conversations v
     where v.organization_slug = organization
       and v.contact_id = any (ids);

    activities := waha.erase_activities(organization, ids, null);
    stored := waha.erase_quarantine(organization, phones, lids);

    return row(null, json_build_object(
                         'erased', true,
                         'contact', waha.erase_contacts(organization, ids),
                         'merged', cardinality(ids) - 1,
                         'activities', activities,
                         'identities', identities,
                         'conversations', talks,
                         'quarantine', stored))::waha.reply;
end
$$;

comment on function waha.erase_contact(text, bigint) is 'removes a person: contact, merged ones, messages, all; where keys of the CRM forbid it the contact stays, emptied; codes: unknown_contact';


create or replace function waha.delete_organization(slug text)
returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    own    alias for $1;
    until  timestamptz := clock_timestamp() + interval '500 milliseconds';
    next   bigint;
    done   boolean := false;
begin
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

    -- nothing comes after it

    update waha.organizations o
       set whatsapp_enabled = false
     where o.slug = own
       and o.whatsapp_enabled is not false;

    while clock_timestamp() < until and not done loop
        if waha.erase_activities(own, null, 2000) > 0 then
            continue;
        end if;

        done := true;
    end loop;

    return row(null, json_build_object('complete', done))::waha.reply;
end
$$;

comment on function waha.delete_organization(text) is 'removes an organization, for half a second: to be called until complete; codes: unknown_organization, sessions_exist';

grant execute on function waha.erase_contact(text, bigint),
    waha.delete_organization(text)
    to waha_gateway, waha_admin;

grant execute on function waha.own_session(text, text) to waha_api;
