-- The number that a client says it is going to link.

alter table waha.sessions
    add column if not exists given_phone text;

comment on column waha.sessions.given_phone is
    'digits of the number that the client named for the session; phone is the '
    'one that was linked';

update waha.version set migration = 12;
