-- What the roles waha_api and waha_reader can read: rows of the organization
-- that the setting waha.organization names.
--
--     set waha.organization = 'acme';
--
-- After "set local" the setting is an empty text, which is no organization.
--
-- Tables of schema waha have row-level security.  It is not switched on for
-- tables of the CRM: even with policies that allow everything, those of its
-- roles that do not own them could not use COPY FROM and pg_dump any more.
-- Of these tables, the two roles can only read the views below.

drop policy if exists tenant on waha.sessions;
create policy tenant on waha.sessions
    for select to waha_api, waha_reader
    using (organization_slug
           = nullif(current_setting('waha.organization', true), ''));

drop policy if exists tenant on waha.contact_identities;
create policy tenant on waha.contact_identities
    for select to waha_api, waha_reader
    using (organization_slug
           = nullif(current_setting('waha.organization', true), ''));

drop policy if exists tenant on waha.conversations;
create policy tenant on waha.conversations
    for select to waha_api, waha_reader
    using (organization_slug
           = nullif(current_setting('waha.organization', true), ''));

drop policy if exists tenant on waha.message_states;
create policy tenant on waha.message_states
    for select to waha_api, waha_reader
    using (organization_slug
           = nullif(current_setting('waha.organization', true), ''));

grant select on waha.sessions, waha.contact_identities, waha.conversations,
    waha.message_states to waha_api, waha_reader;


create or replace view waha.tenant_organizations with (security_barrier) as
select *
  from waha.organizations
 where slug = nullif(current_setting('waha.organization', true), '');

comment on view waha.tenant_organizations is
    'the organization that the setting waha.organization names';

create or replace view waha.tenant_traffic_channels
    with (security_barrier) as
select *
  from waha.traffic_channels
 where organization_slug
       = nullif(current_setting('waha.organization', true), '');

comment on view waha.tenant_traffic_channels is
    'lead sources of the organization that the setting waha.organization '
    'names';

create or replace view waha.tenant_contacts with (security_barrier) as
select *
  from waha.contacts
 where organization_slug
       = nullif(current_setting('waha.organization', true), '')
         collate "POSIX"
   -- the condition of the index waha_contacts_list
   and organization_slug collate "POSIX" >= '';

comment on view waha.tenant_contacts is
    'contacts of the organization that the setting waha.organization names; '
    'merged_into: the contact that a merged one became part of';

-- in the collation of the index waha_activities_message, which has the rows of
-- an organization together

create or replace view waha.tenant_contact_activities
    with (security_barrier) as
select *
  from waha.contact_activities
 where organization_slug
       = nullif(current_setting('waha.organization', true), '')
         collate "C";

comment on view waha.tenant_contact_activities is
    'messages and calls of the organization that the setting '
    'waha.organization names';

-- by the whole row: not every CRM has these columns, and none is kept from
-- changing them

create or replace view waha.tenant_activity_notes with (security_barrier) as
select t.id, t.organization_slug, to_jsonb(t)->>'subject' as subject,
       to_jsonb(t)->'created_by' as created_by
  from :"crm_schema".contact_activities t
 where t.organization_slug
       = nullif(current_setting('waha.organization', true), '')
         collate "C";

comment on view waha.tenant_activity_notes is
    'what only the CRM writes of an activity, for the organization that the '
    'setting waha.organization names';

-- A security barrier also hides the order of an index, by which lists are
-- read, and the columns that joins go by.  waha_api runs no conditions of
-- others, so its views have none.  "any" and not "=": to the planner, the
-- order by organization and id is that of one index only.

create or replace view waha.api_contacts as
select *
  from waha.contacts
 where organization_slug collate "POSIX"
       = any (array[nullif(current_setting('waha.organization', true), '')])
   and organization_slug collate "POSIX" >= '';

comment on view waha.api_contacts is
    'the same as waha.tenant_contacts, for lists of the API';

create or replace view waha.api_contact_activities as
select *
  from waha.contact_activities
 where organization_slug
       = nullif(current_setting('waha.organization', true), '')
         collate "POSIX";

comment on view waha.api_contact_activities is
    'the same as waha.tenant_contact_activities, for lists of the API';

grant select on waha.api_contacts, waha.api_contact_activities to waha_api;

grant select on waha.tenant_organizations, waha.tenant_traffic_channels,
    waha.tenant_contacts, waha.tenant_contact_activities,
    waha.tenant_activity_notes
    to waha_api, waha_reader;
