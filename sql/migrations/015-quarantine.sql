-- Bounds of the quarantine.  An event that could be read is kept as its
-- arguments only, another one as its bytes.

alter table waha.quarantine
    alter column raw drop not null,
    add column if not exists session_name text collate "C",
    add column if not exists instance text collate "C",
    add column if not exists size int;

-- the rows of earlier versions; these indexes would take most of the time, and
-- indexes.sql makes them again

drop index if exists waha.quarantine_people_idx, waha.quarantine_names_idx;

update waha.quarantine q
   set raw = case when q.event is null then q.raw end,
       session_name = coalesce(left(q.event->>'session', 255), ''),
       instance = case when not exists (
               select
                 from waha.sessions s
                where s.name = q.event->>'session'
                  and (q.event->>'instance' is null
                       or s.instance = q.event->>'instance'))
           then coalesce(left(q.event->>'instance', 255), '') end,
       size = coalesce(octet_length(q.event::text), octet_length(q.raw))
 where q.size is null;

alter table waha.quarantine
    alter column session_name set not null,
    alter column session_name set default '',
    alter column size set not null,
    alter column size set default 0;

create index if not exists quarantine_resolved
    on waha.quarantine (instance, session_name, resolved_at)
    where resolved_at is not null;

create index if not exists quarantine_unread
    on waha.quarantine (session_name)
    where event is null and instance is null;

comment on column waha.quarantine.hash is
    'SHA-256 of the body and of the names of the event in it: an event that '
    'comes again is kept once';
comment on column waha.quarantine.raw is
    'body of the request; null: it could be read, see event';
comment on column waha.quarantine.session_name is
    'session that the event names; empty: none';
comment on column waha.quarantine.instance is
    'instance of the key of an event that names no session of it, empty if '
    'the key has none; null: the event is of a session that is known';
comment on column waha.quarantine.size is 'bytes of body or event';


create table if not exists waha.quarantine_fill (
    kind          text collate "C" not null
                  check (kind in ('session', 'stranger', 'strangers')),
    instance      text collate "C" not null,
    session_name  text collate "C" not null,
    events        bigint not null,
    bytes         bigint not null,
    primary key (kind, instance, session_name)
);

alter table waha.quarantine_fill enable row level security;

comment on table waha.quarantine_fill is
    'how much there is in waha.quarantine, see waha.show_quarantine';
comment on column waha.quarantine_fill.kind is
    'session: of one that is known; stranger: of one that is not, or of none; '
    'strangers: of all of these';
comment on column waha.quarantine_fill.instance is
    'as in waha.quarantine; empty for a session that is known';
comment on column waha.quarantine_fill.session_name is
    'as in waha.quarantine; empty for strangers';
comment on column waha.quarantine_fill.events is 'number of events';
comment on column waha.quarantine_fill.bytes is 'their bytes';

delete from waha.quarantine_fill;

insert into waha.quarantine_fill
            (kind, instance, session_name, events, bytes)
select case when q.instance is null then 'session' else 'stranger' end,
       coalesce(q.instance, ''), q.session_name, count(*), sum(q.size)
  from waha.quarantine q
 group by 1, 2, 3

 union all

select 'strangers', q.instance, '', count(*), sum(q.size)
  from waha.quarantine q
 where q.instance is not null
 group by 2;

alter table waha.version
    add column if not exists quarantine_events bigint not null default 10000,
    add column if not exists quarantine_bytes bigint not null
        default 10485760;

comment on column waha.version.quarantine_events is
    'how many events of a session waha.quarantine keeps';
comment on column waha.version.quarantine_bytes is
    'how many bytes of a session waha.quarantine keeps';

update waha.version set migration = 15;
