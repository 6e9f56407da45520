-- Indexes that find what is stored of a person, for erasure and export.
-- They are on functions of api/erasure.sql and come after them.  Earlier
-- versions made them outside of migrations: they may be there.  Where there
-- are messages, indexes.sql makes them.

\if :crm_needed
    create index if not exists quarantine_people_idx
        on waha.quarantine using gin (waha.quarantine_people(event));

    create index if not exists quarantine_names_idx
        on waha.quarantine using gin (waha.quarantine_names(event));

    -- reactions in groups only: in a chat of two they are from "me" and
    -- "contact"

    create index if not exists message_states_reacted_idx
        on waha.message_states using gin (waha.reacted(reactions))
        where reactions - '{me,contact}'::text[] <> '{}';
\endif

update waha.version set migration = 5;
