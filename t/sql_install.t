# sql/install.sql: by whom, into which database, twice, as an upgrade; refusals
# say why.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0);


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
        s/:migration < ([4-9]|1\d) as/false as/r
        =~ s/contract = 3/contract = 1/r =~ s/migration = \d+/migration = 3/r }
        grep { !m{ir\s(api|ingest/(states|changes|conversations|batch|ingest
                      |quarantine))}x } split /^/, slurp("$dir/install.sql");
    $old =~ s/^begin;$/begin; set local check_function_bodies = off;/m or die;
    $old =~ s/^\\ir triggers.sql$//m or die;
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
    like(psql('first', 'select waha.check(3, 3)', 'waha_gateway'),
         qr/serves contract 1 to 1, the module needs 3 to 3/,
         'a module of contract 3 refuses contract 1');

    is(install('first', 'admin'), '', 'the upgrade succeeds');
    is(install('first', 'admin'), '', 'the upgrade can run again');
    is(sorted('first'), sorted('plain'),
       'an upgraded database equals a new one');

    for my $contract (1, 2, 3) {
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
        select null, 'f', oid::regprocedure || prosrc || proacl::text
          from pg_proc
         where pronamespace = 'waha'::regnamespace
        order by 1, 2, 3
    });
}
