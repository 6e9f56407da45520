# Operations on a session: one at a time in all workers, also when a worker is
# killed meanwhile; only so many in a time.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(stopping => 0.3);

$pg->organization('acme');

my $api = Waha::Sessions->new($t, unlimited => 1, workers => 8,
                              wahas => [ $waha ], timeout => '10s');
$t->start;

my $sessions = '/api/whatsapp/sessions';
my $own = "$sessions/tenant-acme";


# the answers to so many requests at the same time

sub at_once {
    my ($n, @request) = @_;

    my @http = map { $api->send($t->http(timeout => 60), acme => @request) }
               1 .. $n;

    return map { $_->answer('POST') } @http;
}


# how often each status was answered

sub statuses {
    my %n;
    $n{ $_->{status} }++ for @_;

    return join ' ', map { "$_:$n{$_}" } sort keys %n;
}

$t->nginx->allow(qr/worker process \d+ exited on signal 9/);

is($api->post('acme', $sessions)->{status}, 200, 'a session is created');
$waha->scan('tenant-acme', phone => '4915112345678');
$waha->delivered;


subtest 'sixty-four requests connect a session that has failed' => sub {
    $waha->status('tenant-acme', 'FAILED');
    $waha->delivered;
    $waha->clear_requests;

    is(statuses(at_once(64, POST => $sessions)), '200:64',
       'all are answered 200');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/restart' ],
              'WAHA is asked once');
    ok($waha->reaches('tenant-acme', 'WORKING'), 'the session works');
    $waha->delivered;
};


subtest 'sixty-four requests mend a configuration' => sub {
    $waha->remove_session('tenant-acme');
    $waha->add_session('tenant-acme', start => 1,
                       me => { id => '4915112345678@c.us' });
    $waha->clear_requests;

    is(statuses(at_once(64, POST => $sessions)), '200:64',
       'all are answered 200');
    is_deeply([ $waha->asked ], [ 'PUT /tenant-acme' ],
              'WAHA is asked once');
    $waha->delivered;
};


for my $operation (qw(restart start stop logout)) {
    subtest "eight requests at the same time: $operation" => sub {
        my @r = at_once(8, POST => "$own/$operation");

        ok(!(grep { $_->{status} !~ /^(?:200|503)$/ } @r),
           'each is done, or told to come again')
            or diag map { "$_->{status} $_->{body}\n" } @r;

        my @busy = grep { $_->{status} == 503 } @r;
        is_deeply([ map { $_->{json}{code} } @busy ],
                  [ ('session_busy') x @busy ], 'the code says why');
        ok(!(grep { !$_->{headers}{'retry-after'} } @busy),
           'the answer says when');
        cmp_ok(scalar @busy, '<', 8, 'one at least is done');

        is($api->post('acme', "$own/$operation")->{status}, 200,
           'afterwards another one is done');
        $waha->delivered;
    };
}


subtest 'another client keeps the session busy at WAHA' => sub {
    my $body = '{"statusCode":500,"exception":{"name":"Error","message":'
               . '"async-lock timed out in queue session:tenant-acme"}}';

    $api->post('acme', $sessions);
    $waha->fail(match => 'restart', with => 'status', status => 500,
                body => $body);
    refused($api->post('acme', "$own/restart"), 503, 'session_busy',
            'the restart');
    $waha->heal;
};


subtest 'a worker is killed in an operation' => sub {
    $waha->fail(match => 'restart', with => 'stall', times => 1);
    $waha->clear_requests;

    my $http = $api->send($t->http, acme => POST => "$own/restart");
    ok(wait_for(sub { $waha->requests('restart') }), 'WAHA is asked');

    is($pg->value("select operation from waha.sessions
                    where name = 'tenant-acme'"), 'restart',
       'the session has an operation');
    refused($api->post('acme', "$own/stop"), 503, 'session_busy',
            'another operation');

    kill 'KILL', $t->worker_pids;
    delete $api->{http};
    ok(wait_for(sub { $pg->value("select operation_until < now()
                                    from waha.sessions") eq 't' }, 60),
       'the operation is lost after some seconds');

    my $r;
    ok(wait_for(sub {
        delete $api->{http};
        $r = eval { $api->post('acme', $sessions) };
        $r && $r->{status} && $r->{status} == 200;
    }, 60), 'the session can be connected') or diag $r->{body};
};


subtest 'the client leaves in an operation' => sub {
    $waha->delivered;
    $waha->fail(match => 'restart', with => 'slow', slow => 1, times => 1);
    $waha->clear_requests;

    my $http = $api->send($t->http, acme => POST => "$own/restart");
    ok(wait_for(sub { $waha->requests('restart') }), 'WAHA is asked');
    $http->close;

    ok(wait_for(sub {
        $api->post('acme', "$own/stop")->{status} == 200;
    }, 60), 'another operation can begin');
};


subtest 'a slow operation is not lost' => sub {
    $waha->fail(match => 'stop', with => 'slow', slow => 8, times => 1);
    $waha->clear_requests;

    my $http = $api->send($t->http(timeout => 60),
                          acme => POST => "$own/stop");
    ok(wait_for(sub { $waha->requests('stop') }), 'WAHA is asked');

    my $until = $pg->value('select operation_until from waha.sessions');
    ok(wait_for(sub {
        $pg->value("select operation_until > '$until' from waha.sessions")
            eq 't';
    }, 60), 'it is prolonged');
    is($http->answer('POST')->{status}, 200, 'it is done');
    is($pg->value('select operation_until from waha.sessions'), undef,
       'it has ended');
};


$t->done;
