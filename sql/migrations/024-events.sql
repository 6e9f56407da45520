-- The phases of a batch pass events instead of an array for each member.  A
-- batch that is running while this is committed fails, and WAHA sends its
-- events again.

do $$
declare
    called  regprocedure;
begin
    if to_regtype('waha.event') is null then
        create type waha.event as (
            organization  text,
            session       text,
            kind          text,
            direction     text,
            chat          text,
            message_id    text,
            target_id     text,
            phone         text,
            lid           text,
            name          text,
            type          text,
            body          text,
            at            timestamptz,
            status        text,
            metadata      jsonb,
            chat_id       text,
            empty         boolean
        );
    end if;

    for called in
        select p.oid
          from pg_proc p
         where p.pronamespace = 'waha'::regnamespace
           and p.proname in ('lock_messages', 'share_messages', 'identify',
                             'create_contacts', 'prove_identity',
                             'lock_contacts', 'join_contacts',
                             'rename_contacts', 'store_activities',
                             'message_metadata', 'fill', 'fill_activity',
                             'store_states', 'apply_states', 'changes_of',
                             'places_erased', 'update_conversations')
    loop
        execute format('drop function %s', called);
    end loop;
end
$$;

comment on type waha.event is
    'an event inside of a batch: organization is null when there is nothing '
    'to do, name that of the person who wrote or of the session, empty: the '
    'message says nothing; the others as the arguments of waha.ingest';

update waha.version set migration = 24;
