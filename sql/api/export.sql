-- Everything that is stored of a person or of an organization, in pages.

create or replace function waha.tenant_persons(organization text,
    contact bigint) returns bigint[]
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    live  bigint := waha.live_tenant_contact(organization, contact);
begin
    return (
        with recursive same as (
            select live as id

            union

            select c.id::bigint
              from same s
             cross join lateral (
                   select k.id
                     from waha.api_contacts k
                    where k.organization_slug
                          = organization collate "ucs_basic"
                      and k.merged_into = s.id
                   offset 0) c
        )
        select array_agg(id order by id) from same where id is not null);
end
$$;

comment on function waha.tenant_persons(text, bigint) is
    'all contacts of one person: one that was not merged and those that were '
    'merged into it, or null';


create or replace function waha.export_person(organization text,
    contact bigint) returns json
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    c      waha.tenant_contacts;
    v      waha.conversations;
    talks  json[] := '{}';
begin
    select k.* into c
      from waha.tenant_contacts k
     where k.organization_slug = organization collate "ucs_basic"
       and k.id = contact;

    if not found then
        return null;
    end if;

    for v in
        select k.*
          from waha.conversations k
         where k.organization_slug = organization
           and k.contact_id = contact
         order by k.session_name
    loop
        talks := talks || waha.conversation_object(v);
    end loop;

    return json_build_object('contact', waha.contact_object(c),
                             'conversations', to_json(talks));
end
$$;

comment on function waha.export_person(text, bigint) is
    'a contact and its conversations';


create or replace function waha.next_contact(organization text,
    contacts bigint[], after bigint) returns bigint
language plpgsql stable
set search_path = waha, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
    if contacts is not null then
        return (select min(u.id)
                  from unnest(contacts) as u (id)
                 where u.id > after);
    end if;

    return (
        select c.id
          from waha.api_contacts c
         where c.organization_slug = organization collate "ucs_basic"
           and c.id > after
         order by c.organization_slug collate "POSIX", c.id
         limit 1);
end
$$;

comment on function waha.next_contact(text, bigint[], bigint) is
    'the contact after another one, among contacts; null: among all';


create or replace function waha.export_page(organization text,
    contacts bigint[], after text, size int, out code text,
    out items json[], out next text)
language plpgsql stable
set search_path = waha, pg_temp
as $$
#variable_conflict use_column
declare
    n       int := waha.page_size(size);
    parts   text[] := regexp_match(waha.from_cursor(after),
        '^([0-9]{1,18}),((-?[0-9]{1,17}|),[0-9]{1,18}|)$');
    person  bigint := coalesce(parts[1]::bigint, 0);
    place   text := nullif(parts[2], '');
    a       waha.tenant_contact_activities;
begin
    if n is null or after is not null and parts is null then
        code := 'invalid_argument';
        return;
    end if;

    items := '{}';

    -- the remaining activities of a contact, then the next contact

    loop
        for a in
            select *
              from waha.activities_after(organization, person, place, null,
                                         null, null, n - cardinality(items))
             where contacts is null or person = any (contacts)
        loop
            items := items || json_build_object(
                                  'activity', waha.activity_object(a));
            place := waha.from_cursor(waha.activity_cursor(a.occurred_at,
                                                           a.id));
        end loop;

        exit when cardinality(items) = n;

        person := waha.next_contact(organization, contacts, person);
        place := null;

        exit when person is null;

        items := items || waha.export_person(organization, person);

        exit when cardinality(items) = n;
    end loop;

    if person is not null then
        next := waha.to_cursor(person || ',' || coalesce(place, ''));
    end if;
end
$$;

comment on function waha.export_page(text, bigint[], text, int) is
    'a page of contacts, null: of all contacts of the organization, each '
    'followed by its activities; codes: invalid_argument';


create or replace function waha.export_contact(organization text,
    contact bigint, after text, size int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    ids   bigint[];
    page  record;
begin
    perform waha.enter_organization(organization);

    ids := waha.tenant_persons(organization, contact);

    if ids is null then
        return row('unknown_contact', null)::waha.reply;
    end if;

    select * into page from waha.export_page(organization, ids, after, size);

    if page.code is not null then
        return waha.refuse_page(size);
    end if;

    perform waha.record_audit(organization, 'contact.export',
                              contact => contact, seconds => 3600,
                              always => after is null);

    return row(null, json_build_object(
                         'items', to_json(page.items),
                         'quarantine', case when after is null then (
                             select coalesce(json_agg(json_build_object(
                                        'received_at',
                                            waha.rfc3339(q.received_at),
                                        'reason', q.reason,
                                        'event', q.event)
                                        order by q.id), '[]')
                               from waha.quarantined(organization, ids) q
                              -- what it says is not known to be true
                              where q.reason not in ('foreign_instance',
                                                   'foreign_connection'))
                             end,
                         'next', page.next))::waha.reply;
end
$$;

comment on function waha.export_contact(text, bigint, text, int) is
    'everything that is stored of a person: contact, contacts merged into it, '
    'activities; the first page also has quarantine; codes: unknown_contact, '
    'invalid_argument';


create or replace function waha.export_organization(slug text, after text,
    size int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    own   alias for $1;
    page  record;
begin
    if waha.enter_organization(own) is null then
        return row('unknown_organization', null)::waha.reply;
    end if;

    select * into page from waha.export_page(own, null, after, size);

    if page.code is not null then
        return waha.refuse_page(size);
    end if;

    perform waha.record_audit(own, 'organization.export', seconds => 3600,
                              always => after is null);

    return row(null, json_build_object(
                         'organization', own,
                         'sessions', case when after is null then
                             (waha.list_sessions(own)).data->'sessions' end,
                         'items', to_json(page.items),
                         'next', page.next))::waha.reply;
end
$$;

comment on function waha.export_organization(text, text, int) is
    'everything that is stored of an organization: contacts, each followed by '
    'its activities; the first page also has sessions; codes: '
    'unknown_organization, invalid_argument';

grant execute on function waha.export_contact(text, bigint, text, int),
    waha.export_organization(text, text, int)
    to waha_gateway, waha_admin;
