-- Indexes that find reactions and votes of a person in groups, for erasure.
-- They are on a function of api/erasure.sql, which has changed, and come after
-- it.  Where there are messages, indexes.sql makes both.

\if :crm_needed
    create index if not exists message_states_voted_idx
        on waha.message_states using gin (waha.reacted(votes))
        where votes - '{me,contact}'::text[] <> '{}';
\else
    drop index if exists waha.message_states_reacted_idx;
\endif
