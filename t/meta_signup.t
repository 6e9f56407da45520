# An embedded sign-up: its code is exchanged for a token with the operator's
# app, then the number is connected as with a token.

use Waha::Test;
use Waha::Numbers;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $graph = $t->graph;

$pg->organization($_) for qw(acme bolt);

my $api = Waha::Numbers->new($t, graph => $graph, http => <<'EOF_HTTP');
    waha_meta_app_id 950;
    waha_meta_app_secret app.key;
EOF_HTTP

$t->nginx->write('app.key', "secret+of/the=app&\n");
$t->start;

$graph->add_app('950', secret => 'secret+of/the=app&');

for my $name (qw(acme bolt)) {
    my $account = $api->account($name,
                                number => $name eq 'acme' ? 100 : 200);
    $graph->add_token("EAAbusiness$name", app => '950',
                      accounts => [ $account ]);
}


sub code {
    my ($code, $name, %o) = @_;

    $graph->add_code($code, app => '950', token => "EAAbusiness$name", %o);
}


sub signup {
    my ($who, $code, $number, %o) = @_;

    return $api->post($who, '/api/integrations/whatsapp/signup',
                      { code => $code, phoneNumberId => $number, %o });
}


subtest 'a code' => sub {
    code('AQcode+1/x', 'acme');
    my $r = signup('acme', 'AQcode+1/x', '100', wabaId => '701');

    is($r->{status}, 200, 'connects a number') or diag($r->{body});
    is($r->{json}{phoneNumberId}, '100', 'the number');
    is($graph->number('100')->{callback}, $r->{json}{webhookUrl},
       'its callback is set');
    is($r->{json}{verifyToken}, $graph->number('100')->{verify_token},
       'the verify token is made');
    ok($graph->account('701')->{apps}{950}, 'the app is subscribed');
    is($pg->value("select own_secret::text || coalesce(app_secret, '-')
                     from waha.connections"), 'false-',
       "the operator's secret is not stored");

    my ($exchange) = $graph->requests('/oauth/access_token');
    is($exchange->{method}, 'POST', 'the code and the secret are in a body');
    is($exchange->{query}, '', 'not in the query');
};


subtest 'codes that Meta refuses' => sub {
    refused(signup('bolt', 'AQcode+1/x', '200'), 400, 'code_refused',
            'a code that was used');
    code('AQold', 'bolt', life => -1);
    refused(signup('bolt', 'AQold', '200'), 400, 'code_refused',
            'a code that is too old');
    refused(signup('bolt', 'AQnone', '200'), 400, 'code_refused',
            'a code that never was');
    refused($api->post('bolt', '/api/integrations/whatsapp/signup',
                       { phoneNumberId => '200' }), 400, 'invalid_argument',
            'no code');

    code('AQthief', 'bolt');
    refused(signup('bolt', 'AQthief', '100'), 409, 'number_taken',
            'the number of another organization');
    refused(signup('bolt', 'AQthief', '999'), 400, 'unknown_number',
            'the code is still good, the number is not');

    for my $code ([ 190 => 400 ], [ 4 => 429 ], [ 2 => 502 ]) {
        $graph->fail(match => '/oauth', code => $code->[0]);
        is(signup('bolt', 'AQany', '200')->{status}, $code->[1],
           "Graph answers $code->[0]");
        $graph->heal;
    }

    $graph->fail(match => '/oauth', status => 200,
                 body => '{"access_token":"EAA\r\nHost: x"}');
    refused(signup('bolt', 'AQany', '200'), 502, 'meta_invalid_answer',
            'a token that is none');
    $graph->heal;
};


subtest "the operator's app" => sub {
    is($api->connect('bolt', '200', accessToken => 'EAAbusinessbolt',
                     appSecret => undef)->{status}, 200,
       'a token of this app needs no secret');
    refused($api->connect('bolt', '200', appSecret => undef), 400,
            'secret_refused', 'a token of another app does');
    is($api->status('bolt')->{json}{connected}, JSON::PP::true,
       'it is still connected');
    is($api->post('bolt', '/api/integrations/whatsapp/disconnect')->{json}
       {message}, 'WhatsApp is disconnected', 'and disconnected');
};


$api->hides('EAAbusinessacme', 'EAAbusinessbolt', 'secret+of/the=app&',
            'AQcode+1/x', 'AQthief');

$t->done;
