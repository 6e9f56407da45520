-- What the workers hear of, so that they drop what they know by a name.
--
-- Functions tell it themselves.  The triggers are for what others write, the
-- CRM and administrators: engines that divide a table have none on it.

create or replace function waha.notify_workers(names text[]) returns void
language plpgsql
set search_path = waha, pg_temp
as $$
declare
    name  text;
begin
    foreach name in array array_remove(coalesce(names, '{}'), null) loop
        perform pg_notify('waha_tenant', left(name, 1000));
    end loop;
end
$$;

comment on function waha.notify_workers(text[]) is
    'notifies the workers of a change of what these names name: '
    'organizations by slug and number, keys by id';


create or replace function waha.organization_changed() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    perform waha.notify_workers(array[coalesce(new.slug, old.slug),
                                      coalesce(new.id, old.id)::text]);

    return null;
end
$$;

comment on function waha.organization_changed() is
    'trigger: notifies the workers that an organization was added, deleted, '
    'enabled or disabled';


create or replace function waha.session_changed() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    perform waha.notify_workers(array[coalesce(new.organization_slug,
                                               old.organization_slug)]);

    return null;
end
$$;

comment on function waha.session_changed() is
    'trigger: notifies the workers that the sessions of an organization '
    'changed';

drop trigger if exists notify on waha.sessions;
create trigger notify
    after insert or delete on waha.sessions
    for each row
    when (current_user <> 'waha_owner')
    execute function waha.session_changed();

drop trigger if exists notify_change on waha.sessions;
create trigger notify_change
    after update on waha.sessions
    for each row
    when (current_user <> 'waha_owner'
          and (old.organization_slug, old.client_id, old.instance,
               old.deleted_at)
              is distinct from (new.organization_slug, new.client_id,
                                new.instance, new.deleted_at))
    execute function waha.session_changed();


create or replace function waha.key_changed() returns trigger
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    perform waha.notify_workers(array[old.id, new.id,
                                      coalesce(new.organization_slug,
                                               old.organization_slug)]);

    return null;
end
$$;

comment on function waha.key_changed() is
    'trigger: notifies the workers that a key changed';

drop trigger if exists notify on waha.api_keys;
create trigger notify
    after insert or delete on waha.api_keys
    for each row
    when (current_user <> 'waha_owner')
    execute function waha.key_changed();

drop trigger if exists notify_change on waha.api_keys;
create trigger notify_change
    after update of id, organization_slug, hash, scopes, expires_at
    on waha.api_keys
    for each row
    when (current_user <> 'waha_owner')
    execute function waha.key_changed();
