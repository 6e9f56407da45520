# A backup of the database by pg_dump, by a superuser and by an administrator
# who is none: everything is in it, and what is restored works on.

use Waha::Test;
use Waha::Ingest;

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0);

$pg->psql('create role admin login createrole;
           create role clerk login;');
$pg->psql('create database shop owner admin');

is($pg->try_install(dbname => 'shop', user => 'admin'), '',
   'an administrator who is no superuser installs');

my %shop = (dbname => 'shop');
my $dump = $t->{dir} . '/shop.dump';

$pg->psql(q{
    insert into organizations (slug, whatsapp_enabled)
        values ('acme', true), ('other', true);
    select waha.add_session('acme', 't1');
    select waha.add_session('other', 't2');
}, %shop, user => 'admin');

stored_in('shop', message(message_id => 'A1', phone => '79222222222'),
          message(message_id => 'A2', phone => '79333333333', session => 't2'),
          status(target_id => 'A9', status => 'read'));

my $before = tables('shop');
cmp_ok(scalar(grep { /\|[1-9]\d*\|/ } split /\n/, $before), '>', 8,
       'more than eight tables have rows');


subtest 'what a role that owns nothing gets' => sub {
    $pg->psql('grant usage on schema waha to clerk;
               grant select on all tables in schema waha, public to clerk;
               grant select on all sequences in schema waha, public to clerk',
              %shop);

    like(run_tool('pg_dump', 'shop', 'clerk', '-f', $dump),
         qr/row-level security/, 'pg_dump refuses to leave rows out');
};


for my $case ([ 'a superuser', 'postgres' ],
              [ 'an administrator', 'admin', '--enable-row-security' ])
{
    my ($who, $user, @options) = @$case;

    subtest "by $who" => sub {
        my $copy = "copy_$user";

        is(run_tool('pg_dump', 'shop', $user, '-Fc', '-f', $dump, @options),
           '', 'pg_dump prints nothing');
        $pg->psql("create database $copy owner admin");
        is(run_tool('pg_restore', $copy, 'postgres', $dump), '',
           'pg_restore prints nothing');

        is(tables($copy), $before, 'every row of every table is there');
        is($pg->value('select waha.check(3, 3)', dbname => $copy,
                      user => 'waha_gateway'),
           undef, 'the module accepts the restored database');

        is_deeply([ stored_in($copy,
                              message(message_id => 'A1',
                                      phone => '79222222222'),
                              message(message_id => 'A3',
                                      phone => '79222222222')) ],
                  [ 'duplicate', 'activity_logged' ],
                  'what was stored is known, what is new is stored');
        is($pg->try_install(dbname => $copy, user => $user), '',
           'the restored database can be upgraded');
    };
}


$t->done;


# the actions of records, stored in a database by the gateway

sub stored_in {
    my ($dbname, @records) = @_;

    my $rows = $pg->rows(call_sql(batch => @records), dbname => $dbname,
                         user => 'waha_gateway');

    return map { $_->[1] } @$rows;
}


# every table with its number of rows, and what the rows are

sub tables {
    my ($dbname) = @_;

    return $pg->psql(q{
        select format($$select %L, count(*), md5(string_agg(t::text, '/'
                                                    order by t::text))
                          from %s t$$, oid::regclass, oid::regclass)
          from pg_class
         where relnamespace in ('waha'::regnamespace, 'public'::regnamespace)
           and relkind = 'r'
         order by oid::regclass::text collate "C"
    \gexec
    }, dbname => $dbname);
}


# what a program of PostgreSQL prints

sub run_tool {
    my ($tool, $dbname, $user, @args) = @_;

    my $dsn = $pg->admin_dsn(dbname => $dbname, user => $user);
    open my $pipe, '-|', "$pg->{bin}/$tool -d '$dsn' @args 2>&1" or die;
    local $/;

    return scalar <$pipe>;
}
