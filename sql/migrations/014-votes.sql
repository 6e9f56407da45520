-- Indexes that find reactions and votes of a person in groups, for erasure.
-- They are on a function of api/erasure.sql, which has changed, and come after
-- it.

reindex index waha.message_states_reacted_idx;

create index if not exists message_states_voted_idx
    on waha.message_states using gin (waha.reacted(votes))
    where votes - '{me,contact}'::text[] <> '{}';
