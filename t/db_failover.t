# Failover: two PostgreSQL servers, the second a synchronous standby.  A
# message that was answered 200 is on whichever of them survives.  RUNS sets
# how often (1).

use Waha::Test;
use Waha::Fault;
use Waha::Standby;

my $runs = $ENV{RUNS} || 1;
local $ENV{RUNS} = 1;

my $t = Waha::Test->new;
my ($pg, $standby, $fault);


for (1 .. $runs) {

    pair();

    $fault->runs('the primary dies, the standby is promoted', sub {
        $pg->crash;
        $standby->promote;
        $fault->moved($standby);
    }, bites => sub { 1 });

    pair();

    $fault->runs('the primary hangs, the standby is promoted, the old primary '
                 . 'comes back', sub {
        my ($load) = @_;

        $pg->freeze;
        $standby->promote;
        $fault->moved($standby);

        $load->progress(20) or die 'the promoted standby is not used';
        $pg->thaw;
    }, bites => sub { 1 });

    ok(wait_for(sub { $pg->backends(q{wait_event <> 'SyncRep'}) == 0 }),
       'the old primary has only commits that wait for the standby');

    pair();

    my $most;

    $fault->runs('the standby dies and comes back', sub {
        my ($load) = @_;

        $standby->crash;

        # long enough for each of the 24 connections to be refused three times
        my $refused = $load->count('fail') + 72;
        wait_for(sub { $load->count('fail') > $refused }, 60)
            or die 'no message was refused';
        $most = $pg->backends;

        $standby->start;
        $standby->wait_synchronous or die 'the standby does not follow';
    });

    cmp_ok($most, '<=', 16, 'retries open no more than 16 connections');
    ok(wait_for(sub { $pg->backends == 8 }),
       'connections that no longer wait are closed');
}


pair(standby_first => 1);
$pg->organization('acme', session => 't1');

is($t->webhook($t->message)->{status}, 200,
   'a message is taken while the standby is there');
like($t->error_log, qr/the server is a standby/,
     'a standby that is named first is passed over');

$standby->crash;

my $body = $t->message(id => 'UNCONFIRMED');
my $http = $t->send_webhook($body);

ok(wait_for(sub {
    $pg->value(<<'EOF_SQL');
select pg_cancel_backend(pid) from pg_stat_activity
 where application_name = 'nginx-waha' and wait_event = 'SyncRep'
EOF_SQL
}), 'an administrator cancels a commit that waits for the standby');

is($http->answer->{status}, 503,
   'a commit that was cancelled before the standby had it gives 503');
is($pg->messages('UNCONFIRMED'), 1,
   'the row of that commit is on the primary');

# the standby has not got the row

is($t->webhook($body)->{status}, 503,
   'the same message again gives 503, though the row is a duplicate');

$standby->start;
$standby->wait_synchronous or die 'the standby does not follow';

my $again = wait_for(sub {
    my $r = $t->webhook($body);
    return $r->{status} == 200 ? $r : 0;
});

is($again->{json}{data}{action}, 'duplicate',
   'the same message is a duplicate once the standby is back');
is($standby->messages('UNCONFIRMED'), 1, 'the standby has the row');

$t->done;


# two new servers, and a new nginx that knows both of them

sub pair {
    my (%o) = @_;

    $t->nginx->stop if $fault;
    $_->stop('kill') for grep { $_ } $standby, $pg;

    $pg = $t->postgres;
    $standby = Waha::Standby->new($t, $pg);

    my @servers = $o{standby_first} ? ($standby, $pg) : ($pg, $standby);
    my $dsn = $pg->dsn(host => join(',', map { $_->socket_dir } @servers),
                       port => join(',', map { $_->port } @servers));

    $t->nginx(workers => 2, vars => { DSN => $dsn })->start;

    $fault = Waha::Fault->new($t, $pg);
}
