# sql/install.sql: by whom, into which database, twice, as an upgrade; refusals
# say why.

use Waha::Test;
use Waha::Ingest;

use POSIX ();

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0);


subtest 'by an administrator who is no superuser' => sub {
    psql('postgres', 'create role admin login createrole');
    database('plain', 'admin');

    is(install('plain', 'admin'), '', 'an administrator can install');
    is(install('plain', 'admin'), '', 'an administrator can install again');

    is(psql('plain', "select pg_get_userbyid(relowner) from pg_class "
                     . "where oid = 'waha.sessions'::regclass"),
       'waha_owner', 'schema waha is owned by waha_owner');

    is(psql('plain', "select count(*) from pg_proc p join pg_namespace n "
                     . "on n.oid = pronamespace where nspname = 'waha' "
                     . "and pg_get_userbyid(proowner) not in "
                     . "('waha_owner', 'waha_api')"),
       0, 'functions are owned by waha_owner or waha_api');

    is(psql('plain', "select has_schema_privilege('waha_api', 'waha', "
                     . "'create')"), 'f', 'waha_api cannot make objects');

    psql('plain', q{
        insert into organizations (slug, whatsapp_enabled)
            values ('acme', true);
        select waha.add_session('acme', 't1');
    }, 'admin');

    like(psql('plain', "select action from waha.ingest('waha', null, 't1', "
              . "'message', 'inbound', 'person', 'A1', null, '79222222222', "
              . "null, 'Bob', 'text', 'hi', 1, null, '{}', null, null, null, "
              . "null)", 'waha_gateway'),
         qr/^contact_created$/, 'the gateway can store a message');
};


subtest 'by another administrator, into a second database' => sub {
    psql('postgres', 'create role second_admin login createrole');
    database('second', 'second_admin');

    # from PostgreSQL 16 on, CREATEROLE is no right to roles of others

    if ($pg->version >= 16) {
        my $refused = install('second', 'second_admin');
        my ($grant) = $refused =~ /the role that made them "(grant [^"]+)"/;

        like($refused, qr/second_admin may not create or use the roles/,
             'roles of another administrator need a grant');
        psql('postgres', $grant, 'admin');
    }

    is(install('second', 'second_admin'), '',
       'another administrator can install');
    is(install('second', 'second_admin'), '',
       'another administrator can install again');
    is(catalogue('second') =~ s/second_admin/admin/gr, catalogue('plain'),
       'the second database equals the first one');
};


subtest 'by a superuser' => sub {
    database('super', 'postgres');

    is(install('super', 'postgres'), '', 'installing prints nothing');

    psql('super', q{
        insert into organizations (slug, whatsapp_enabled)
            values ('acme', true);
        select waha.add_session('acme', 't1');
    });

    psql('super', "select waha.add_session('acme', 't1', 'waha-1');
                   select waha.add_session('acme', 't1')");
    is(psql('super', 'select name, instance from waha.sessions'), 't1|waha-1',
       'a session can be added again, with an instance');
    psql('super', "insert into organizations (slug) values ('other')");
    like($pg->error("select waha.add_session('other', 't1')",
                    dbname => 'super'),
         qr/session "t1" belongs to organization "acme"/,
         'a session of another organization cannot be added');

    my $before = catalogue('super');

    is(install('super', 'postgres'), '', 'installing again prints nothing');
    is(catalogue('super'), $before, 'installing again changes no object');
    is(psql('super', 'select count(*) from waha.sessions'), 1,
       'installing again keeps the rows');
};


subtest 'into a database of another role, which sets a trap' => sub {
    psql('postgres', 'create role hostile login');
    database('trap', 'hostile');

    # functions and operators of the other role shadow those of PostgreSQL

    psql('trap', q{
        create schema trap;
        create function trap.sprung(name) returns boolean language plpgsql
            as $$ begin raise exception 'sprung by %', current_user; end $$;
        create function trap.equals(name, text) returns boolean
            language sql as $$ select trap.sprung($1) $$;
        create function trap.current_setting(text) returns text
            language sql as $$ select trap.sprung(null)::text $$;
        create operator trap.= (function = trap.equals, leftarg = name,
                                rightarg = text);
        alter database trap set search_path = trap, pg_catalog, public;
    }, 'hostile');
    like($pg->error("select current_setting('port')", dbname => 'trap'),
         qr/sprung by postgres/, 'an unqualified name calls the trap');
    is(install('trap', 'postgres'), '',
       'installing calls nothing of the other role');

    # the function that reads all rows is a security definer, as ingest is

    is(psql('trap', "select bool_and(prosecdef) from pg_proc "
                    . "where proname = 'learn_all'"), 't',
       'rows are read as waha_owner');
};


subtest 'upgrade of an older version' => sub {
    database('old', 'postgres');
    install('old', 'postgres');

    # differences of an older version

    psql('old', q{
        drop function waha.maintain;
        create or replace function waha.state_of(phone text) returns text
            language sql as 'select null::text';
        create or replace function waha.on_merge(organization text,
            kept bigint, merged bigint) returns void
            language sql as 'select /* the CRM''s own */';
    });

    is(install('old', 'postgres'), '',
       'installing over an older version prints nothing');
    is(psql('old', "select waha.state_of('6031')"), 'Selangor',
       'functions are replaced');
    is(psql('old', 'select waha.maintain()'), 0,
       'missing functions are created');
    like(psql('old', "select prosrc from pg_proc "
                     . "where proname = 'on_merge'"),
         qr/own/, "the CRM's own waha.on_merge is not replaced");
};


subtest 'upgrade of contract 1' => sub {
    database('first', 'admin');

    # the tables of contract 1; the functions come with the upgrade anyway,
    # and some need newer tables

    my $dir = $t->dir . '/first';
    system('cp', '-r', 'sql', $dir) == 0 or die;
    my $old = join '', map {
        s/:migration < ([4-9]|1\d|2[0-356]) as/false as/r
        =~ s/contract = 4/contract = 1/r =~ s/migration = \d+/migration = 3/r }
        grep { !m{ir\s(api|notify|ingest/(states|changes|conversations
                      |numbers|batch|ingest|quarantine))}x }
             split /^/, slurp("$dir/install.sql");
    $old =~ s/^begin;$/begin; set local check_function_bodies = off;/m or die;
    $old =~ s/^\\ir triggers.sql$//m or die;
    $old =~ s/^\\ir indexes.sql$//m or die;
    spew("$dir/install.sql", $old);

    is(install('first', 'admin', file => "$dir/install.sql"), '',
       'contract 1 is installed');
    psql('first', q{
        insert into organizations (slug, whatsapp_enabled)
            values ('acme', true);
        insert into waha.sessions (name, organization_slug)
            values ('t1', 'acme');
        insert into contacts (organization_slug, phone_1)
            values ('acme', '+79222222222');
        insert into waha.conversations (organization_slug, contact_id,
                session_name, last_message_id, last_message_at,
                last_direction, unread_count)
            select 'acme', id, 't1', 'A0', now(), 'inbound', 1
              from contacts;
    }, 'admin');
    like(psql('first', 'select waha.check(4, 4)', 'waha_gateway'),
         qr/serves contract 1 to 1, the module needs 4 to 4/,
         'a module of contract 4 refuses contract 1');

    is(install('first', 'admin'), '', 'the upgrade succeeds');
    is(install('first', 'admin'), '', 'the upgrade can run again');
    is(sorted('first'), sorted('plain'),
       'an upgraded database equals a new one');

    for my $contract (1 .. 4) {
        is(psql('first', "select waha.check($contract, $contract)",
                'waha_gateway'), '', "waha.check accepts contract $contract");
    }

    like(psql('first', "select data from waha.list_conversations('acme', "
                       . "null, null, null, null)", 'waha_gateway'),
         qr/"session" : "t1"/,
         'a conversation from before the upgrade is listed');
    like(psql('first', "select data from waha.reserve_session('acme', null, "
                       . "null, '{w1}', 5)", 'waha_gateway'),
         qr/"session": "t1"/,
         'a session from before the upgrade is the primary one');
};


subtest 'upgrade of contract 2, with its own files' => sub {
    my $dir = $t->dir . '/second';
    my $commit = '468731e7486c45939a85223b58cee3b54c779f2c';

    mkdir $dir or die "$dir: $!";
    system("git archive $commit sql 2>/dev/null | tar -x -C $dir 2>/dev/null")
        == 0 && -r "$dir/sql/install.sql"
        or plan(skip_all => 'needs the history of git');

    database('released', 'admin');
    is(install('released', 'admin', file => "$dir/sql/install.sql"), '',
       'contract 2 is installed');
    psql('released', q{
        insert into organizations (slug, whatsapp_enabled)
            values ('acme', true);
        select waha.add_session('acme', 't1');
    }, 'admin');
    psql('released', "select waha.ingest('waha', null, 't1', 'message', "
         . "'inbound', 'person', 'A$_', null, '7922222222' || $_ / 5, null, "
         . "'Bob', 'text', 'hi', $_, null, '{}', null, null, null, null)",
         'waha_gateway') for 1 .. 9;

    my $rows = 'select contact_id, message_id, message_content, direction,
                       chat, occurred_at
                  from contact_activities order by id;
                select c.contact_id, c.last_message_id, c.unread_count
                  from waha.conversations c order by 1;
                select id, phone_1, first_name, whatsapp_name
                  from contacts order by id';
    my $before = psql('released', $rows);
    like($before, qr/A9\|5$/m, 'messages are stored by contract 2');

    is(install('released', 'admin'), '', 'the upgrade succeeds');
    is(install('released', 'admin'), '', 'the upgrade can run again');
    is(sorted('released'), sorted('plain'),
       'an upgraded database equals a new one');
    is(psql('released', $rows), $before, 'the upgrade keeps the rows');
    like(psql('released', "select action from waha.ingest('waha', null, 't1', "
              . "'message', 'inbound', 'person', 'A1', null, '79222222220', "
              . "null, 'Bob', 'text', 'hi', 1, null, '{}', null, null, null, "
              . "null)", 'waha_gateway'),
         qr/^duplicate/, 'a message from before is known');
};


subtest 'upgrade of migration 4' => sub {
    database('fourth', 'admin');
    install('fourth', 'admin');

    # its indexes were made beside the migrations, and functions had other
    # names

    psql('fourth', q{
        update waha.version set migration = 4;
        alter function waha.enter_organization rename to enter;
        alter function waha.reassign_phones rename to hand_over;
    });
    is(install('fourth', 'admin'), '',
       'the upgrade accepts the old indexes and names');
    is(sorted('fourth'), sorted('plain'),
       'an upgraded database equals a new one');

    psql('fourth', q{
        update waha.version set migration = 4;
        drop index waha.message_states_reacted_idx;
    });
    is(install('fourth', 'admin'), '', 'the upgrade makes a missing index');
    is(sorted('fourth'), sorted('plain'),
       'an upgraded database equals a new one');
    is(psql('fourth', 'select migration from waha.version'),
       psql('plain', 'select migration from waha.version'),
       'the database knows its migration');
};


subtest 'an index on stored messages is changed while webhooks come in' => sub {
    database('busy', 'postgres');
    install('busy', 'postgres');

    psql('busy', q{
        insert into organizations (slug, whatsapp_enabled)
            values ('acme', true);
        select waha.add_session('acme', 't1');
        update waha.version set migration = 21;
        create index waha_activities_timeline on contact_activities
            (organization_slug collate "POSIX", contact_id, occurred_at desc,
             id desc);
        create index waha_activities_contact on contact_activities
            (organization_slug, contact_id);
        drop index waha_activities_person;
    });

    # the build waits for a transaction that could still read without it

    my $reader = $pg->session(dbname => 'busy');
    $reader->query('begin isolation level repeatable read');
    $reader->query('select 1');

    my $pid = start_install('busy');

    ok(wait_for(sub { psql('busy', q{
           select count(*) from pg_stat_activity
            where query like '%create index concurrently%'
              and wait_event_type = 'Lock'
              and pid <> pg_backend_pid()}) == 1 }, 120),
       'the new index is being made');

    for my $how (qw(ingest batch)) {
        like(psql('busy', "set lock_timeout = '10s';"
                  . call_sql($how, inbound(phone => '491701234567')),
                  'waha_gateway'),
             qr/acme/, "a message is stored meanwhile: $how");
    }

    $reader->query('commit');
    waitpid $pid, 0;
    is($?, 0, 'the installation succeeds and prints nothing');
    is(sorted('busy'), sorted('super'), 'an upgraded database equals a new '
                                        . 'one');

    # what an interrupted build leaves

    psql('busy', "update pg_index set indisvalid = false where indexrelid "
                 . "= 'waha_activities_person'::regclass");
    is(install('busy', 'postgres'), '', 'an unfinished index is replaced');
    is(psql('busy', "select indisvalid from pg_index where indexrelid "
                    . "= 'waha_activities_person'::regclass"), 't',
       'the index is valid');
};


subtest 'tables that requests use' => sub {
    my $request = $pg->session(dbname => 'busy');
    my $waits = "select count(*) from pg_stat_activity
                  where query like '%lock table%' and wait_event = 'PgSleep'
                    and pid <> pg_backend_pid()";

    # the last of a webhook's tables, then all of them

    $request->query('begin');
    $request->query('select count(*) from waha.contact_activities');

    my $pid = start_install('busy');

    ok(wait_for(sub { psql('busy', $waits) == 1 }, 120),
       'a table that is in use is not waited for');
    like($request->query(call_sql(batch => inbound(phone => '491701234568'))),
         qr/acme/, 'the transaction that uses it goes on');
    like(psql('busy', call_sql(batch => inbound(phone => '491701234569')),
              'waha_gateway'), qr/acme/, 'so do others');

    $request->query('commit');
    waitpid $pid, 0;
    is($?, 0, 'the installation succeeds after it');
    is(psql('busy', "select deadlocks from pg_stat_database
                      where datname = 'busy'"), 0, 'nothing was deadlocked');

    # a backup, for example

    my $dir = $t->dir . '/impatient';
    system("cp -r sql $dir && sed -i 's/in 1 .. 60/in 1 .. 2/' $dir/lock.sql")
        == 0 or die;
    $request->query('begin');
    $request->query('select count(*) from waha.sessions');
    like(install('busy', 'postgres', file => "$dir/install.sql"),
         qr/transaction of process @{[ $request->backend ]}\b.*has ended/s,
         'a long transaction is named');
    $request->query('commit');
};


subtest "the schema of the CRM's tables" => sub {
    database('app', 'postgres');

    is(install('app', 'postgres', crm_schema => 'app'), '',
       'crm_schema is accepted');
    is(psql('app', "select to_regclass('app.contacts') is not null"), 't',
       'the tables are in that schema');
    is(install('app', 'postgres'), '', 'installing again needs no crm_schema');
    is(psql('app', "select to_regclass('public.contacts') is null"), 't',
       'no tables are made in another schema');
    like(install('app', 'postgres', crm_schema => 'other'),
         qr/were adopted in schema "app", not in "other"/,
         'another crm_schema is refused');
};


subtest 'refusals' => sub {
    psql('postgres', 'create role nobody_special login');
    database('strange', 'postgres');
    like(install('strange', 'nobody_special'), qr/nobody_special may not/,
         'a role without rights is refused');

    psql('postgres', "create database latin encoding 'LATIN1' "
                     . "locale 'C' template template0");
    like(install('latin', 'postgres'),
         qr/has the encoding LATIN1.*createdb -E UTF8 -T template0/s,
         'an encoding other than UTF-8 is refused');

    database('taken', 'postgres');
    psql('taken', 'create schema waha');
    like(install('taken', 'postgres'), qr/schema "waha" belongs to "postgres"/,
         'a schema waha of another role is left alone');

    database('ancient', 'postgres');
    my $dir = $t->dir . '/ancient';
    system("cp -r sql $dir && sed -i s/130000/990000/ $dir/install.sql") == 0
        or die;
    like(install('ancient', 'postgres', file => "$dir/install.sql"),
         qr/PostgreSQL \S+.* is too old.*Version 13 or newer/s,
         'an old PostgreSQL is refused with the version needed');
    is(psql('ancient', "select to_regnamespace('waha') is null"), 't',
       'nothing is installed in an old PostgreSQL');
};


subtest 'comments and search paths' => sub {
    is(psql('super', q{
        select string_agg(c.oid::regclass || coalesce('.' || a.attname, ''),
                          ' ' order by 1)
          from pg_class c
          left join pg_attribute a
            on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           and c.relkind = 'r'
         where c.relnamespace in ('waha'::regnamespace,
                                  'public'::regnamespace)
           and c.relkind in ('r', 'v')
           and (obj_description(c.oid, 'pg_class') is null
                or a.attnum is not null
                   and col_description(c.oid, a.attnum) is null)
    }), '', 'every table, view and column has a comment');

    is(psql('super', q{
        select string_agg(p.oid::regprocedure::text, ' ')
          from pg_proc p
         where pronamespace = 'waha'::regnamespace
           and obj_description(p.oid, 'pg_proc') is null
    }), '', 'every function has a comment');

    is(psql('super', q{
        select string_agg(p.oid::regprocedure::text, ' ')
          from pg_proc p
         where pronamespace = 'waha'::regnamespace
           and not exists (select from unnest(proconfig) c
                            where c like 'search_path=%')
           and (prosecdef or prolang <> (select oid from pg_language
                                          where lanname = 'sql'))
    }), '', 'every function that is not inlined has a search_path');
};


$t->done;


sub database {
    my ($name, $owner) = @_;

    psql('postgres', "create database $name owner $owner");
}


sub psql {
    my ($name, $sql, $user) = @_;

    return $pg->psql($sql, dbname => $name, user => $user // 'postgres');
}


# what psql prints

sub install {
    my ($name, $user, %o) = @_;

    return $pg->try_install(dbname => $name, user => $user, %o);
}


# the same in another process, which fails if it prints anything

sub start_install {
    my ($name) = @_;

    my $pid = fork // die;
    return $pid if $pid;

    POSIX::_exit(install($name, 'postgres') eq '' ? 0 : 1);
}


sub sorted { return join "\n", sort split /\n/, catalogue(@_) }


sub catalogue {
    my ($name) = @_;

    return psql($name, q{
        select oid::regclass, relkind, relacl::text from pg_class
         where relnamespace in ('waha'::regnamespace, 'public'::regnamespace)
        union all
        select c.conrelid::regclass, 'c', pg_get_constraintdef(c.oid)
          from pg_constraint c
         where connamespace in ('waha'::regnamespace, 'public'::regnamespace)
        union all
        select tgrelid::regclass, 't', pg_get_triggerdef(oid)
          from pg_trigger
         where not tgisinternal
        union all
        select i.indrelid::regclass, 'i', pg_get_indexdef(i.indexrelid)
          from pg_index i
          join pg_class c on c.oid = i.indrelid
         where c.relnamespace in ('waha'::regnamespace,
                                  'public'::regnamespace)
        union all
        select a.attrelid::regclass, 'a',
               concat_ws(' ', a.attname,
                         format_type(a.atttypid, a.atttypmod), a.attnotnull,
                         a.attcollation::regcollation, a.attacl,
                         pg_get_expr(d.adbin, d.adrelid),
                         col_description(a.attrelid, a.attnum))
          from pg_attribute a
          join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'v')
          left join pg_attrdef d
            on d.adrelid = a.attrelid and d.adnum = a.attnum
         where c.relnamespace in ('waha'::regnamespace,
                                  'public'::regnamespace)
           and a.attnum > 0
           and not a.attisdropped
        union all
        select polrelid::regclass, 'p',
               concat_ws(' ', polname, polcmd, polroles::regrole[],
                         pg_get_expr(polqual, polrelid),
                         pg_get_expr(polwithcheck, polrelid))
          from pg_policy
        union all
        select oid::regclass, 'v', pg_get_viewdef(oid)
          from pg_class
         where relkind = 'v' and relnamespace = 'waha'::regnamespace
        union all
        select null, 'f',
               concat_ws(' ', oid::regprocedure, pg_get_function_result(oid),
                         prosrc, proacl, proconfig, prosecdef, provolatile,
                         obj_description(oid, 'pg_proc'))
          from pg_proc
         where pronamespace = 'waha'::regnamespace
        order by 1, 2, 3
    });
}
