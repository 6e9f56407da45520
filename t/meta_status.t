# The state of a number of Meta's Cloud API: as the database has it, and as
# Graph tells it, which is asked now and then.

use Waha::Test;
use Waha::Numbers;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $graph = $t->graph;

$pg->organization($_) for qw(acme bolt);

my $api = Waha::Numbers->new($t, graph => $graph, look => '1s',
                             http => 'waha_status_ttl 1h;');
$t->start;

$api->account('acme', number => '100');
$api->account('bolt', number => '200');


# the time of the last check, as if it were long ago

sub age {
    $pg->psql("update waha.sessions set checked_at = now() - interval '2 h'
                where provider = 'meta'");
    $graph->clear_requests;
}


sub looks { return scalar $graph->requests('^GET /v25.0/100\?') }


# the state of acme's number after a look at Graph

sub looked {
    age();

    return $api->status('acme')->{json};
}


my $r = $api->status('acme');
is($r->{status}, 200, 'an organization without a number');
is_deeply([ @{ $r->{json} }{qw(connected phoneNumberId webhookUrl status)} ],
          [ JSON::PP::false, undef, undef, undef ], 'is not connected');

is($api->connect('acme', '100')->{status}, 200, 'a number is connected');
my $url = $graph->number('100')->{callback};
$graph->clear_requests;

$r = $api->status('acme');
is_deeply([ @{ $r->{json} }{qw(connected phoneNumberId webhookUrl status phone
                               name quality limit reason)} ],
          [ JSON::PP::true, '100', $url, 'CONNECTED', '+5511988887011',
            'Acme Shop', 'GREEN', 'TIER_1K', undef ], 'its state');
is($api->status('acme:read')->{json}{connected}, JSON::PP::true,
   'a key that may only read is enough');
is($api->status('bolt')->{json}{connected}, JSON::PP::false,
   'another organization sees nothing');
is($api->get('bolt', '/api/integrations/whatsapp/status?phoneNumberId=100')
   ->{json}{connected}, JSON::PP::false, 'not even by its id');
is(looks(), 0, 'Graph is not asked while the state is new');


subtest 'Graph is asked when the state is old' => sub {
    age();
    $graph->change('numbers', '100', quality => 'RED', limit => 'TIER_10K',
                   name => 'Acme Store');
    $r = $api->status('acme');

    is_deeply([ @{ $r->{json} }{qw(quality limit name)} ],
              [ 'RED', 'TIER_10K', 'Acme Store' ], 'what Graph tells now');
    is(looks(), 1, 'it was asked once');
    is($api->status('acme')->{json}{quality}, 'RED', 'what is recorded');
    is(looks(), 1, 'it is not asked again');

    $api->get('acme', '/api/whatsapp/sessions/100?refresh=true') for 1 .. 3;
    is(looks(), 1, 'not even for "refresh" within seconds');
    $pg->psql("update waha.sessions
                  set checked_at = now() - interval '10 s'");
    is($api->get('acme', '/api/whatsapp/sessions/100?refresh=true')->{status},
       200, 'refresh');
    is(looks(), 2, 'after some seconds it is');
};


subtest 'a dead token' => sub {
    $graph->change('tokens', 'EAAacme', dead => 463);
    $r = looked();

    is_deeply([ @$r{qw(connected status reason)} ],
              [ JSON::PP::false, 'NEEDS_REAUTH', 'token' ], 'is detected');
    is($api->get('acme', '/api/whatsapp/sessions')->{json}{data}{sessions}[0]
       {status}, 'NEEDS_REAUTH', 'the list of sessions tells it');
    is($api->get('acme', '/api/whatsapp/sessions/100')->{json}{data}{reason},
       'token', 'and the session');

    is_deeply([ @{ $api->status('acme')->{json} }{qw(connected reason)} ],
              [ JSON::PP::false, 'token' ], 'it is remembered');

    $graph->change('tokens', 'EAAacme', dead => undef);
    is(looked()->{connected}, JSON::PP::true, 'a token that lives again');
};


# what Graph answers, and the state

my @answers = (
    [ 0, undef, 'NEEDS_REAUTH', 'token' ],
    [ 190, 460, 'NEEDS_REAUTH', 'token' ],
    [ 10, undef, 'NEEDS_REAUTH', 'token' ],
    [ 200, undef, 'NEEDS_REAUTH', 'token' ],
    [ 131005, undef, 'NEEDS_REAUTH', 'token' ],
    [ 100, 33, 'NEEDS_REAUTH', 'token' ],
    [ 33, undef, 'NEEDS_REAUTH', 'token' ],
    [ 368, undef, 'RESTRICTED', 'account' ],
    [ 131031, undef, 'RESTRICTED', 'account' ],
);

subtest 'what Graph says of the number' => sub {
    for my $answer (@answers) {
        my ($code, $subcode, $status, $reason) = @$answer;

        $graph->fail(match => '/100', code => $code, subcode => $subcode);
        is_deeply([ @{ looked() }{qw(status reason connected)} ],
                  [ $status, $reason, JSON::PP::false ], "code $code");
        $graph->heal;
    }

    for my $banned (qw(BANNED RESTRICTED)) {
        $graph->change('numbers', '100', status => $banned);
        is(looked()->{status}, 'RESTRICTED', "a number that is $banned");
    }

    $graph->change('numbers', '100', status => 'CONNECTED');
    is_deeply([ @{ looked() }{qw(status reason connected)} ],
              [ 'CONNECTED', undef, JSON::PP::true ], 'all is well again');
};


subtest 'what says nothing of the number' => sub {
    for my $fault ([ code => 4 ], [ code => 2 ], [ code => 131000 ],
                   [ code => 100 ], [ with => 'close' ], [ with => 'stall' ],
                   [ with => 'refuse' ], [ with => 'garbage' ],
                   [ with => 'not_json' ], [ with => 'truncate' ],
                   [ huge => 3_000_000 ], [ slow => 10 ])
    {
        $graph->fail(@$fault);
        age();
        $r = $api->get('acme', '/api/whatsapp/sessions/100');
        $graph->heal;

        is($r->{status}, 200, "@$fault: answered");
        is_deeply([ @{ $r->{json}{data} }{qw(status stale)} ],
                  [ 'CONNECTED', JSON::PP::true ], "@$fault: the old state");
        cmp_ok($r->{seconds}, '<', 30, "@$fault: in time");
    }

    is($api->status('acme')->{json}{connected}, JSON::PP::true,
       'then all is well');
};


subtest 'a callback that leads elsewhere' => sub {
    $graph->change('numbers', '100', callback => 'https://other.example/');
    is_deeply([ @{ looked() }{qw(status reason connected)} ],
              [ 'UNSUBSCRIBED', 'webhook', JSON::PP::false ],
              'another callback');
    $graph->change('numbers', '100', callback => undef);
    is(looked()->{reason}, 'webhook', 'no callback');
    is($api->connect('acme', '100')->{status}, 200, 'connecting again');
    is(looked()->{reason}, undef, 'mends it');

    $graph->change('numbers', '100', without => [ 'webhook_configuration' ]);
    is(looked()->{connected}, JSON::PP::true,
       'a version of Graph that does not tell');
    $graph->change('numbers', '100', without => []);
};


subtest 'a number that goes while Graph is asked' => sub {
    age();
    $graph->fail(match => '^GET /v25.0/100', slow => 0.5);
    my $http = $t->http;
    $api->send($http, 'acme', GET => '/api/integrations/whatsapp/status');
    ok(wait_for(sub { looks() }, 60), 'Graph is asked');
    $pg->psql("select waha.disconnect_number(waha.act_as('acme', 'test'),
                                             '100')");
    $r = $http->answer;
    $graph->heal;

    is($r->{json}{connected}, JSON::PP::false, 'it is not connected');
    is($pg->value("select status from waha.sessions where name = '100'"),
       'DISCONNECTED', 'and not made so');
    is($api->connect('acme', '100')->{status}, 200, 'connected again');
};


subtest 'a token that cannot be opened' => sub {
    my $token = $pg->value("select access_token from waha.connections
                             where phone_number_id = '100'");
    is($api->connect('bolt', '200')->{status}, 200, 'another number');

    # moved from one row to another, and altered
    for my $sql ("(select access_token from waha.connections
                    where phone_number_id = '200')",
                 "left('$token', -4) || 'AAAA'", "'plain'", 'null')
    {
        $pg->psql("update waha.connections set access_token = $sql
                    where phone_number_id = '100'");
        $r = looked();
        is_deeply([ @$r{qw(connected reason)} ],
                  [ JSON::PP::false, 'secret' ], "a token that is $sql");
        is(looks(), 0, 'Graph does not get it');
    }

    is($api->connect('acme', '100')->{status}, 200, 'connecting mends it');
};


subtest 'the database is down' => sub {
    $pg->stop;
    refused($api->status('acme'), 503, 'database_unavailable', 'status');
    $pg->start;
    ok(wait_for(sub { $api->status('acme')->{status} == 200 }, 60),
       'it is back');
};

$api->hides('EAAacme', 'app-secret-of-acme', 'verify-acme');

$t->done;
