-- When a key was used last stands in a table of its own: it changes with what
-- callers do, while the keys change hardly ever and are referred to.

create table if not exists waha.key_uses (
    key_id             text collate "C" primary key
        references waha.api_keys (id) on delete cascade,
    organization_slug  text collate "C",
    last_used_at       timestamptz
);

alter table waha.key_uses enable row level security;

comment on table waha.key_uses is 'when keys of callers of the API were used';
comment on column waha.key_uses.key_id is 'public part of the key';
comment on column waha.key_uses.organization_slug is
    'organization of the key, null: the key is an operator''s';
comment on column waha.key_uses.last_used_at is
    'time of the last use, to a minute; null: not used yet';

do $$
begin
    if exists (select
                 from pg_attribute a
                where a.attrelid = 'waha.api_keys'::regclass
                  and a.attname = 'last_used_at'
                  and not a.attisdropped)
    then
        insert into waha.key_uses (key_id, organization_slug, last_used_at)
            select k.id, k.organization_slug, k.last_used_at
              from waha.api_keys k;

        alter table waha.api_keys drop column last_used_at;
    end if;
end
$$;

-- Functions that have other arguments or results, or are not there any more.

do $$
declare
    called  regprocedure;
begin
    for called in
        select p.oid
          from pg_proc p
         where p.pronamespace = 'waha'::regnamespace
           and p.proname in ('activities_after', 'activities_edge',
                             'activity_page', 'activity_row', 'change_call',
                             'contacts_by_text', 'drop_changes', 'export_page',
                             'export_person', 'fill_activity', 'key_object',
                             'live_tenant_contact', 'next_contact',
                             'own_conversation', 'tenant_persons')
    loop
        execute format('drop function %s', called);
    end loop;
end
$$;

update waha.version set migration = 23;
