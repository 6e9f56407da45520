# Clients close their connection at any moment: nothing leaks, no message is
# stored twice, other clients are served.

use Waha::Test;
use Waha::Process qw(descriptors);

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $nginx = $t->nginx->start;
my $number = 0;

$pg->organization('acme', session => 't1');
is(whole()->{status}, 200,
   'a message is taken before any client leaves')
    for 1 .. 2;

my ($worker) = $nginx->worker_pids;
wait_for(sub { $pg->backends > 0 }, 60);
my $descriptors = descriptors($worker);

for my $run (1 .. $ENV{RUNS} // 3) {
    for my $how ('close', 'reset') {

        # before the first byte, in the headers, in the body, before its last
        # byte

        for my $share (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1) {
            my ($http, $request) = request();
            my $length = int +(length($request) - 1) * $share;
            $http->send(substr $request, 0, $length);
            $http->$how;
        }

        # right after the last byte

        my ($http, $request, $id) = request();
        $http->send($request);
        $http->$how;

        # while the message waits for PostgreSQL, on a connection or in the
        # queue

        my $other = $pg->session;
        $other->query('begin; lock waha.conversations');

        my @waiting = map { [ request() ] } 1 .. 20;
        $_->[0]->send($_->[1]) for @waiting;
        ok(wait_for(sub { $pg->blocked }, 60), 'messages wait for a lock');

        $waiting[$_][0]->$how for grep { $_ % 2 } 0 .. $#waiting;
        $other->query('rollback');
        $other->close;

        # clients that stay are answered

        my @status = map { $waiting[$_][0]->answer->{status} }
                     grep { $_ % 2 == 0 } 0 .. $#waiting;
        my @bad = grep { $_ != 200 && $_ != 503 } @status;
        is_deeply(\@bad, [], "$how: clients that stay are answered, run $run");

        # in the middle of the answer: its first byte is read, the rest is not

        ($http, $request) = request();
        $http->send($request);
        my $bits = '';
        vec($bits, fileno $http->{socket}, 1) = 1;
        select $bits, undef, undef, 5;
        sysread $http->{socket}, my $byte, 1;
        is($byte, 'H', "$how: the answer has begun");
        $http->$how;

        is(whole()->{status}, 200, "$how: other clients are served, run $run");
    }
}

is(($nginx->worker_pids)[0], $worker, 'the worker did not die');

ok(wait_for(sub { descriptors($worker) <= $descriptors }, 60),
   'the worker has no more connections open than before')
    or diag(descriptors($worker) . " descriptors, $descriptors at first");

ok(wait_for(sub { !$pg->backends(q{state <> 'idle'}) }, 60),
   'no transaction is left open');
is($pg->doubled, 0, 'no message is stored twice');

$t->done;


sub request {
    my $id = sprintf 'GONE%06d', ++$number;
    my $body = $t->message(id => $id, text => 'x' x 2000);
    my $http = $t->http;

    $http->connect or die 'connect';

    return ($http, $http->format('POST', '/api/whatsapp/webhook',
                                 $t->headers($body), $body), $id);
}


sub whole {
    my ($http, $request) = request();

    $http->send($request);
    return $http->answer;
}
