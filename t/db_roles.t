# Three logins instead of one: each has the rights of its use and no other, and
# one that has too few is told what to grant.

use Waha::Test;
use Waha::Api;
use Waha::Conf;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->psql(<<'EOF_SQL');
create role hooks login in role waha_webhooks;
create role tenants login in role waha_tenants;
create role operators login in role waha_operators;
create role nobody_yet login;
EOF_SQL

my %role = (webhooks => 'hooks', api => 'tenants', operators => 'operators');
my $call = {
    hooks     => q{select waha.count_timeout('x')},
    tenants   => q{select waha.list_contacts('acme', null, null, null)},
    operators => q{select waha.list_organizations(null, null)},
};


subtest 'rights' => sub {
    for my $role (sort keys %$call) {
        for my $what (sort keys %$call) {
            my $error = $pg->error($call->{$what}, user => $role);

            $role eq $what ? is($error, '', "$role may do its own")
                : like($error, qr/permission denied/,
                       "$role may not do what $what may");
        }

        is($pg->value('select waha.check(3, 3)', user => $role), undef,
           "waha.check accepts $role");
        is($pg->error($call->{$role}, user => 'waha_gateway'), '',
           "waha_gateway may do what $role may");
    }

    is($pg->value(q{
        select string_agg(c.relname, ' ') from pg_class c
         where c.relnamespace = 'waha'::regnamespace
           and c.relkind = 'r' and not c.relforcerowsecurity}), undef,
       'row-level security is forced on every table');
};


subtest 'three logins' => sub {
    my $api = serve(map { ("for=$_" => $role{$_}) } keys %role);

    is($t->webhook($t->message)->{status}, 200, 'a webhook is taken');
    is($api->get('acme', '/api/whatsapp/contacts')->{status}, 200,
       'the API of an organization answers');
    is($api->get('operator', '/api/whatsapp/organizations')->{status}, 200,
       'the API of operators answers');

    is_deeply($pg->rows(q{
        select usename, count(*) from pg_stat_activity
         where application_name = 'nginx-waha' group by 1 order by 1}),
        [ [ hooks => 4 ], [ operators => 3 ], [ tenants => 2 ] ],
        'each has its own connections');
    unlike($t->error_log, qr/\[(?:error|crit)\]/, 'nothing is wrong');
};


subtest 'one login for all but webhooks' => sub {
    my $api = serve('for=webhooks' => 'hooks', '' => 'waha_gateway');

    is($t->webhook($t->message)->{status}, 200, 'a webhook is taken');
    is($api->get('operator', '/api/whatsapp/organizations')->{status}, 200,
       'the API answers');
};


subtest 'a login without the rights of its use' => sub {
    for my $use (sort keys %role) {
        my %given = (%role, $use => 'nobody_yet');
        serve(map { ("for=$_" => $given{$_}) } keys %given);

        my $right = $use eq 'api' ? 'waha_tenants' : "waha_$use";
        ok(wait_for(sub { $t->error_log =~ /\[crit\].*42501.*grant\ $right
                          \ to\ this\ role/x }),
           "for=$use: the log says what to grant") or diag($t->error_log);
    }
};


my $conf = Waha::Conf->new($t);
my $login = '"host=127.0.0.1 dbname=crm user=waha_gateway"';

$conf->refused('an unknown use', qr/invalid parameter "for=all".*for=webhooks/,
    "waha_database $login for=all;", '', '');
$conf->refused('two databases for one use', qr/is duplicate/,
    "waha_database $login for=api; waha_database $login for=api;", '', '');
$conf->refused('a use without a database',
    qr/no "waha_database" for webhooks: add one with "for=webhooks"/,
    "waha_database $login for=api;", '', '');
$conf->accepted('webhooks and the API apart',
    "waha_database $login for=api; waha_database $login for=webhooks;", '',
    '');

$t->done;


# "for=..." => role

sub serve {
    my (%user) = @_;

    my $lines = join ' ', map {
        'waha_database "' . $pg->dsn(user => $user{$_}) . "\" $_"
        . ($_ eq 'for=operators' ? ' connections=3' : '') . ' connect_timeout=30s;'
    } keys %user;

    $t->nginx->stop if @{ $t->{nginx} };
    my $api = Waha::Api->new($t, database => $lines);
    $t->start;
    return $api;
}
