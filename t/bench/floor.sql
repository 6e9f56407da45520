-- Functions under the names of the contract that do less: how fast all can be
-- whatever they do.  mode: "insert", which only inserts the messages, with
-- their keys and the foreign key, or "nothing".

select set_config('bench.mode', :'mode', false);

do $do$
declare
    f       record;
    body    text;
    first   bigint := (select min(c.id) from waha.contacts c);
begin
    for f in
        select p.proname as name, pg_get_function_arguments(p.oid) as args,
               pg_get_function_result(p.oid) as result,
               case p.proname when 'ingest_batch' then 'ingest_batch.%s'
                              else 'array[ingest.%s]' end as arg
          from pg_proc p
          join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = 'waha'
           and p.proname in ('ingest', 'ingest_batch')
    loop
        body := format($b$
#variable_conflict use_column
begin
    if %1$L = 'insert' then
        insert into waha.contact_activities (organization_slug, contact_id,
                activity_type, direction, message_content, metadata,
                session_name, message_id, message_type, chat, sender_name,
                occurred_at)
        select u.session, %2$L + substr(u.phone, 3)::bigint, 'whatsapp_message',
               u.direction, u.body, u.metadata::jsonb, u.session, u.id, u.type,
               u.chat, u.name, to_timestamp(u.at / 1000.0)
          from unnest(%3$s, %4$s, %5$s, %6$s, %7$s, %8$s, %9$s, %10$s,
                      %11$s, %12$s)
               as u (session, phone, direction, body, metadata, id, type, chat,
                     name, at)
        on conflict (organization_slug, session_name, message_id, direction)
        do nothing;
    end if;

    return query
        select (u.pos - 1)::int, 'activity_logged', u.session, null::bigint,
               1::bigint, 1::bigint, null
          from unnest(%3$s) with ordinality as u (session, pos);
end
$b$,
            variadic array[current_setting('bench.mode'), first::text]
                     || array(select format(f.arg, a.name)
                                from unnest(array['session', 'phone',
                                         'direction', 'body', 'metadata',
                                         'message_id', 'type', 'chat', 'name',
                                         'sent_at']) as a (name)));

        execute format('create or replace function waha.%I(%s) returns %s '
                       'language plpgsql security definer '
                       'set search_path = waha, pg_temp '
                       'set plan_cache_mode = force_generic_plan as %L',
                       f.name, f.args, f.result, body);
    end loop;
end
$do$;
