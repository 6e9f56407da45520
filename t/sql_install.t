# install.sql: twice, by whom, into what; refusals that say why.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0);


subtest 'by a superuser' => sub {
    database('super', 'postgres');

    is(install('super', 'postgres'), '', 'installs without a word');

    psql('super', q{
        insert into organizations (slug, whatsapp_enabled)
            values ('acme', true);
        select waha.add_session('acme', 't1');
    });

    psql('super', "select waha.add_session('acme', 't1', 'waha-1');
                   select waha.add_session('acme', 't1')");
    is(psql('super', 'select name, instance from waha.sessions'), 't1|waha-1',
       'a session can be added again');
    psql('super', "insert into organizations (slug) values ('other')");
    like($pg->error("select waha.add_session('other', 't1')",
                    dbname => 'super'),
         qr/session "t1" belongs to organization "acme"/,
         'but not to somebody else');

    my $before = catalogue('super');

    is(install('super', 'postgres'), '', 'and again');
    is(catalogue('super'), $before, 'which changes nothing');
    is(psql('super', 'select count(*) from waha.sessions'), 1,
       'and keeps what is stored');
};


subtest 'by an administrator who is no superuser' => sub {
    psql('postgres', 'create role admin login createrole');
    database('plain', 'admin');

    is(install('plain', 'admin'), '', 'installs');
    is(install('plain', 'admin'), '', 'and again');

    is(psql('plain', "select pg_get_userbyid(relowner) from pg_class "
                     . "where oid = 'waha.sessions'::regclass"),
       'waha_owner', 'schema waha is owned by waha_owner');

    is(psql('plain', "select count(*) from pg_proc p join pg_namespace n "
                     . "on n.oid = pronamespace where nspname = 'waha' "
                     . "and pg_get_userbyid(proowner) not in "
                     . "('waha_owner', 'waha_api')"),
       0, 'and so is each function, unless it only reads');

    is(psql('plain', "select has_schema_privilege('waha_api', 'waha', "
                     . "'create')"), 'f', 'as which nothing can be made');

    psql('plain', q{
        insert into organizations (slug, whatsapp_enabled)
            values ('acme', true);
        select waha.add_session('acme', 't1');
    }, 'admin');

    like(psql('plain', "select action from waha.ingest('waha', null, 't1', "
              . "'message', 'inbound', 'person', 'A1', null, '79222222222', "
              . "null, 'Bob', 'text', 'hi', 1, null, '{}', null, null, null, "
              . "null)", 'waha_gateway'),
         qr/^contact_created$/, 'and a message is stored');
};


subtest 'into a database of somebody else' => sub {
    psql('postgres', 'create role hostile login');
    database('trap', 'hostile');

    # what a superuser would call by an unqualified name

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
         qr/sprung by postgres/, 'which is a trap');
    is(install('trap', 'postgres'), '', 'nothing of it is called');

    # what reads the rows of others has no more rights than ingest

    is(psql('trap', "select bool_and(prosecdef) from pg_proc "
                    . "where proname = 'learn_all'"), 't',
       'and rows are read as waha_owner');
};


subtest 'upgrade' => sub {
    database('old', 'postgres');
    install('old', 'postgres');

    # what an older version had otherwise

    psql('old', q{
        drop function waha.maintain;
        create or replace function waha.state_of(phone text) returns text
            language sql as 'select null::text';
        create or replace function waha.on_merge(organization text,
            kept bigint, merged bigint) returns void
            language sql as 'select /* the CRM''s own */';
    });

    is(install('old', 'postgres'), '', 'installs over an older version');
    is(psql('old', "select waha.state_of('6031')"), 'Selangor',
       'functions are those of the new one');
    is(psql('old', 'select waha.maintain()'), 0, 'and are all there');
    like(psql('old', "select prosrc from pg_proc "
                     . "where proname = 'on_merge'"),
         qr/own/, "but the CRM's hook stays");
};


subtest 'upgrade of contract 1' => sub {
    database('first', 'admin');

    # the tables of before; its functions come with the upgrade anyway

    my $dir = $t->dir . '/first';
    system('cp', '-r', 'sql', $dir) == 0 or die;
    my $old = join '', map {
        s/:migration < 4 as/false as/r =~ s/contract = 2/contract = 1/r
        =~ s/migration = 4/migration = 3/r }
        grep { !/ir api/ } split /^/, slurp("$dir/install.sql");
    $old =~ s/^begin;$/begin; set local check_function_bodies = off;/m or die;
    $old =~ s/^\\ir triggers.sql$//m or die;
    spew("$dir/install.sql", $old);

    is(install('first', 'admin', file => "$dir/install.sql"), '',
       'a database of before');
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
    like(psql('first', 'select waha.check(2, 2)', 'waha_gateway'),
         qr/serves contract 1 to 1, the module needs 2 to 2/,
         'which a new module refuses');

    is(install('first', 'admin'), '', 'is upgraded');
    is(install('first', 'admin'), '', 'and again');
    is(join("\n", sort split /\n/, catalogue('first')),
       join("\n", sort split /\n/, catalogue('plain')),
       'to what a new one is');

    for my $contract (1, 2) {
        is(psql('first', "select waha.check($contract, $contract)",
                'waha_gateway'), '', "a module of contract $contract works");
    }

    like(psql('first', "select data from waha.list_conversations('acme', "
                       . "null, null, null, null)", 'waha_gateway'),
         qr/"session" : "t1"/, 'what was there is listed');
    like(psql('first', "select data from waha.reserve_session('acme', null, "
                       . "null, '{w1}', 5)", 'waha_gateway'),
         qr/"session": "t1"/, 'and its session is the primary one');
};


subtest 'the schema of the CRM' => sub {
    database('app', 'postgres');

    is(install('app', 'postgres', crm_schema => 'app'), '',
       'is what is given');
    is(psql('app', "select to_regclass('app.contacts') is not null"), 't',
       'its tables are there');
    is(install('app', 'postgres'), '', 'is remembered');
    is(psql('app', "select to_regclass('public.contacts') is null"), 't',
       'and no other is touched');
    like(install('app', 'postgres', crm_schema => 'other'),
         qr/were adopted in schema "app", not in "other"/,
         'and cannot be changed');
};


subtest 'refusals' => sub {
    psql('postgres', 'create role nobody_special login');
    database('strange', 'postgres');
    like(install('strange', 'nobody_special'), qr/nobody_special may not/,
         'somebody without rights is told so');

    psql('postgres', "create database latin encoding 'LATIN1' "
                     . "locale 'C' template template0");
    like(install('latin', 'postgres'),
         qr/has the encoding LATIN1.*createdb -E UTF8 -T template0/s,
         'an encoding that cannot hold every message is refused');

    database('taken', 'postgres');
    psql('taken', 'create schema waha');
    like(install('taken', 'postgres'), qr/schema "waha" belongs to "postgres"/,
         'a schema waha of somebody else is left alone');

    database('ancient', 'postgres');
    my $dir = $t->dir . '/ancient';
    system("cp -r sql $dir && sed -i s/130000/990000/ $dir/install.sql") == 0
        or die;
    like(install('ancient', 'postgres', file => "$dir/install.sql"),
         qr/PostgreSQL \S+.* is too old.*Version 13 or newer/s,
         'an old server is told so');
    is(psql('ancient', "select to_regnamespace('waha') is null"), 't',
       'and nothing is installed');
};


subtest 'what is documented' => sub {
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
    }), '', 'every table and column has a comment');

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
    }), '', 'every function but those that are inlined has a search_path');
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


# what psql says

sub install {
    my ($name, $user, %o) = @_;

    return $pg->try_install(dbname => $name, user => $user, %o);
}


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
