# Numbers of Meta's Cloud API are connected: checked at Graph, recorded with
# sealed secrets, and their callback is set at Meta; and disconnected.

use Waha::Test;
use Waha::Numbers;

use Digest::SHA ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $graph = $t->graph;

$pg->organization($_) for qw(acme bolt coil dune);
$pg->organization('off', enabled => 0);

my $api = Waha::Numbers->new($t, graph => $graph, workers => 2,
                             timeout => '2s',
                             http => 'waha_max_sessions 1000;',
                             server => <<'EOF_SERVER');
        location /nograph/ {
            rewrite ^/nograph(/.*)$ $1 break;
            waha_api;
            waha_graph /nothing;
        }

        location /nothing/ {
            return 404;
        }
EOF_SERVER

$t->start;

$api->account('acme', number => '100');
$api->account('bolt', number => '200');
$api->account('coil', number => '300');
$api->account('dune', number => '400');
$api->account('off', number => '500');

my @secrets = map { ("EAA$_", "app-secret-of-$_", "verify-$_") }
              qw(acme bolt coil dune);


# a row of waha.connections

sub connection {
    my ($number, @columns) = @_;

    return $pg->value("select concat_ws('|', "
        . join(', ', map { "coalesce($_\::text, '-')" } @columns)
        . ") from waha.connections where phone_number_id = '$number'");
}


sub asked { return map { "$_->{method} $_->{path}" =~ s{/v25.0}{}r }
            $graph->requests }


subtest 'a number is connected' => sub {
    my $r = $api->connect('acme', '100', label => 'Sales');

    is($r->{status}, 200, 'connecting is answered 200')
        or diag($r->{body});
    is($r->{json}{success}, JSON::PP::true, 'success');
    is($r->{json}{message}, 'WhatsApp is connected', 'a message for people');
    is($r->{json}{phoneNumberId}, '100', 'the id of the number');
    like($r->{json}{webhookUrl},
         qr{^\Q@{[ $api->url ]}\E/[A-Za-z0-9_-]{32}$}, 'its callback URL');
    is($r->{json}{verifyToken}, undef, 'a token that was given is not shown');

    my $s = $r->{json}{data};
    is_deeply([ @$s{qw(session provider status phone name quality limit label
                       account)} ],
              [ '100', 'meta', 'CONNECTED', '+551198888' . '7011',
                'Acme Shop', 'GREEN', 'TIER_1K', 'Sales', '701' ],
              'what Graph tells of the number');

    my $n = $graph->number('100');
    is($n->{callback}, $r->{json}{webhookUrl}, 'Meta has the callback');
    is($n->{verify_token}, 'verify-acme', 'and the verify token');
    ok($graph->account('701')->{apps}{901}, 'the app is subscribed');
    is($graph->account('701')->{apps}{901}{callback}, undef,
       'other numbers of the account keep their callback');

    is(connection('100', qw(organization_slug waba_id portfolio own_secret
                            verify_token_hash)),
       join('|', 'acme', 701, 501, 'true',
            Digest::SHA::sha256_hex('verify-acme')), 'it is recorded');
    like(connection('100', qw(access_token app_secret)),
         qr/^waha1\.k1\.[\w-]+\|waha1\.k1\.[\w-]+$/, 'its secrets are sealed');
    is((split m{/}, $n->{callback})[-1], connection('100', 'id'),
       'the callback has the id of the connection');

    my ($look) = $graph->requests('GET /v25.0/100');
    is($look->{headers}{authorization}, 'Bearer EAAacme',
       'Graph gets the access token');
    is($look->{args}{appsecret_proof},
       Digest::SHA::hmac_sha256_hex('EAAacme', 'app-secret-of-acme'),
       'and the proof that the secret is there');
};


subtest 'it is in the list, and shown' => sub {
    my $r = $api->get('acme', '/api/whatsapp/sessions');

    is_deeply([ map { "$_->{provider} $_->{session} $_->{status}" }
                @{ $r->{json}{data}{sessions} } ], [ 'meta 100 CONNECTED' ],
              'the list of sessions has it');

    $r = $api->get('acme', '/api/whatsapp/sessions/100');
    is($r->{json}{data}{phone}, '+5511988887011', 'it is shown');
    is($r->{json}{data}{webhook_url}, $graph->number('100')->{callback},
       'with its callback URL');
    refused($api->get('bolt', '/api/whatsapp/sessions/100'), 404,
            'unknown_session', 'another organization');

    for my $what (qw(start stop restart connect pairing-code passkey)) {
        refused($api->post('acme', "/api/whatsapp/sessions/100/$what",
                           $what eq 'pairing-code'
                           ? { phoneNumber => '4915112345678' } : {}),
                409, 'not_supported', $what);
    }

    refused($api->get('acme', '/api/whatsapp/sessions/100/qr'), 409,
            'not_supported', 'a QR code');
    is($pg->value("select count(*) from waha.audit
                    where operation = 'session.connect'
                      and session_name = '100'"), 1, 'it is audited');
};


subtest 'what is missing is found or made' => sub {
    my $r = $api->connect('bolt', '200', wabaId => undef,
                          verifyToken => undef);

    is($r->{status}, 200, 'connected without wabaId and verifyToken')
        or diag($r->{body});
    is($r->{json}{data}{account}, '702', 'the account is found');
    is(length $r->{json}{verifyToken}, 32, 'the verify token is made');
    is($graph->number('200')->{verify_token}, $r->{json}{verifyToken},
       'and given to Meta');
    is(connection('200', 'verify_token_hash'),
       Digest::SHA::sha256_hex($r->{json}{verifyToken}), 'and recorded');
    is(scalar(grep { $_->{uri} =~ /EAA/ } $graph->requests), 0,
       'no access token is in a URL');

    push @secrets, $r->{json}{verifyToken};
};


subtest 'many accounts and numbers' => sub {
    $graph->add_account($_) for 801 .. 803;
    $graph->add_number($_, account => 802) for 3001 .. 3150;
    $graph->change('tokens', 'EAAcoil', accounts => [ 801, 802, 803, 703 ]);

    my $r = $api->connect('coil', '3150', wabaId => undef);
    is($r->{json}{data}{account}, '802', 'the second page of an account');

    refused($api->connect('coil', '3001', wabaId => '703'), 400,
            'unknown_account', 'another account than that of the number');
    refused($api->connect('coil', '3001', wabaId => '999'), 400,
            'unknown_account', 'an account that is not there');
    is($api->post('coil', '/api/integrations/whatsapp/disconnect')->{status},
       200, 'disconnected');
    $graph->change('tokens', 'EAAcoil', accounts => [ 703 ]);
};


subtest 'a number is renewed' => sub {
    my $id = connection('100', 'id');
    my $token = connection('100', 'access_token');

    $graph->add_token('EAAnew', app => '901', accounts => [ '701' ]);
    my $r = $api->connect('acme', '100', accessToken => 'EAAnew',
                          verifyToken => 'verify-new');
    push @secrets, 'EAAnew', 'verify-new';

    is($r->{status}, 200, 'connected again');
    is(connection('100', 'id'), $id, 'the callback URL stays');
    isnt(connection('100', 'access_token'), $token, 'the new token is kept');
    is($graph->number('100')->{verify_token}, 'verify-new',
       'Meta has the new verify token');
    is($pg->value("select count(*) from waha.sessions where name = '100'"), 1,
       'there is one number');
};


subtest 'a number that another organization has' => sub {
    $graph->add_token('EAAthief', app => '902', accounts => [ '701' ]);
    $graph->clear_requests;

    refused($api->connect('bolt', '100', accessToken => 'EAAthief',
                          wabaId => '701'), 409, 'number_taken',
            'a number is refused');
    is_deeply([ asked() ], [], 'Graph is not asked');
    is(connection('100', 'organization_slug'), 'acme', 'and nothing changes');
};


subtest 'two organizations want one number' => sub {
    $graph->add_number('600', account => '703');
    $graph->add_token("EAAboth$_", app => '903', accounts => [ '703' ])
        for 1, 2;

    my %who = (coil => 'EAAboth1', dune => 'EAAboth2');
    my %http = map { $_ => $t->http } keys %who;
    $graph->clear_requests;
    $graph->fail(match => '^GET /v25.0/600', slow => 1);

    for my $name (sort keys %who) {
        $api->send($http{$name}, $name, POST =>
            '/api/integrations/whatsapp/connect', $api->body($name, '600',
            accessToken => $who{$name}, appSecret => 'app-secret-of-coil',
            wabaId => '703'));
    }

    my %r = map { $_ => $http{$_}->answer } keys %who;
    $graph->heal;

    is_deeply([ sort map { $_->{status} } values %r ], [ 200, 409 ],
              'one has it')
        or diag(map { $_->{body} } values %r);
    my ($winner) = grep { $r{$_}{status} == 200 } keys %r;

    is(connection('600', 'organization_slug'), $winner, 'it is recorded');
    is($graph->number('600')->{callback}, $r{$winner}{json}{webhookUrl},
       'Meta has the callback of the one that has it');
    is(scalar(grep { /^POST / } asked()), 2,
       'Graph was asked to change nothing for the other');
    is($api->post($winner, '/api/integrations/whatsapp/disconnect')->{status},
       200, 'it is given back');
    is($graph->number('600')->{callback}, undef, 'the callback is removed');

    my ($loser) = grep { $_ ne $winner } keys %who;
    my $r = $api->connect($loser, '600', accessToken => $who{$loser},
                          appSecret => 'app-secret-of-coil', wabaId => '703');
    is($r->{status}, 200, 'now the other may have it');
    is($api->delete($loser, '/api/whatsapp/sessions/600')->{status}, 200,
       'and deletes it');
};


subtest 'arguments' => sub {
    my @bad = (
        [ 'no token', 'accessToken', accessToken => undef ],
        [ 'a token with a space', 'accessToken', accessToken => 'EAA x' ],
        [ 'an empty token', 'accessToken', accessToken => '' ],
        [ 'a token of 5000 bytes', 'accessToken', accessToken => 'x' x 5000 ],
        [ 'a token with a line end', 'accessToken',
          accessToken => "EAA\r\nHost: x" ],
        [ 'no number', 'phoneNumberId', phoneNumberId => undef ],
        [ 'a number with letters', 'phoneNumberId', phoneNumberId => '40a' ],
        [ 'a path as number', 'phoneNumberId', phoneNumberId => '../me' ],
        [ 'a long number', 'phoneNumberId', phoneNumberId => '1' x 33 ],
        [ 'an account with letters', 'wabaId', wabaId => 'x' ],
        [ 'a secret with a control character', 'appSecret',
          appSecret => "a\1" ],
        [ 'a verify token with a space', 'verifyToken',
          verifyToken => 'a b' ],
    );

    $graph->clear_requests;

    for my $bad (@bad) {
        my ($name, $argument, @change) = @$bad;
        my $r = $api->connect('dune', '400', @change);
        refused($r, 400, 'invalid_argument', $name);
        is($r->{json}{data}{argument}, $argument, "$name: its name");
    }

    refused($api->post('dune', '/api/integrations/whatsapp/connect'
                       . '?accessToken=EAAdune', $api->body('dune', '400',
                       accessToken => undef)), 400, 'invalid_argument',
            'a token in the query');
    refused($api->post('dune', '/api/whatsapp/sessions', { provider => 'x' }),
            400, 'invalid_argument', 'another provider');
    refused($api->post('dune:read', '/api/integrations/whatsapp/connect',
                       $api->body('dune', '400')), 403, 'forbidden',
            'a key that may only read');
    refused($api->connect('off', '500'), 404, 'disabled_organization',
            'an organization without WhatsApp');
    is_deeply([ grep { !/500|705|app/ } asked() ], [], 'Graph is not asked');
};


subtest 'configuration' => sub {
    refused($api->connect('dune', '400', appSecret => undef), 400,
            'no_app_secret', 'no secret of an app');
    refused($api->post('dune', '/api/integrations/whatsapp/signup',
                       { code => 'c1', phoneNumberId => '400' }), 503,
            'no_app', 'a sign-up without an app');
    refused($api->post('dune',
                       '/nograph/api/integrations/whatsapp/connect',
                       $api->body('dune', '400')), 502, 'meta_unavailable',
            'a location that does not lead to Meta');
    like($t->error_log, qr{the location "/nothing/" answers 404 by itself},
         'the log says so');
};


# what Graph refuses: code, subcode, and our status and code

my @refusals = (
    [ 0, undef, 400, 'token_refused' ],
    [ 190, 463, 400, 'token_refused' ],
    [ 3, undef, 400, 'token_forbidden' ],
    [ 10, undef, 400, 'token_forbidden' ],
    [ 200, undef, 400, 'token_forbidden' ],
    [ 299, undef, 400, 'token_forbidden' ],
    [ 131005, undef, 400, 'token_forbidden' ],
    [ 4, undef, 429, 'meta_throttled' ],
    [ 80007, undef, 429, 'meta_throttled' ],
    [ 130429, undef, 429, 'meta_throttled' ],
    [ 1, undef, 502, 'meta_unavailable' ],
    [ 2, undef, 502, 'meta_unavailable' ],
    [ 131000, undef, 502, 'meta_unavailable' ],
    [ 131016, undef, 502, 'meta_unavailable' ],
    [ 131057, undef, 502, 'meta_unavailable' ],
    [ 100, 33, 400, 'unknown_number' ],
    [ 33, undef, 400, 'unknown_number' ],
    [ 100, undef, 502, 'meta_error' ],
    [ 131009, undef, 502, 'meta_error' ],
    [ 368, undef, 409, 'account_restricted' ],
    [ 131031, undef, 409, 'account_restricted' ],
    [ 131042, undef, 409, 'account_restricted' ],
    [ 130497, undef, 409, 'account_restricted' ],
);

subtest 'each class of error of Graph' => sub {
    for my $refusal (@refusals) {
        my ($code, $subcode, $status, $ours) = @$refusal;

        # the HTTP status does not count

        for my $http (200, 400, 500) {
            $graph->fail(match => '^GET /v25.0/400', code => $code,
                         subcode => $subcode, http => $http);
            my $r = $api->connect('dune', '400');
            refused($r, $status, $ours, "code $code with $http");
            is_deeply($r->{json}{data}, { meta_code => $code,
                defined $subcode ? (meta_subcode => $subcode) : () },
                "code $code with $http: the client sees the code");
            is($r->{headers}{'retry-after'}, 60, "code $code: wait")
                if $status == 429;
            $graph->heal;
        }
    }

    like($t->error_log, qr/Meta answers 200: code 190, subcode 463, trace "/,
         'the log has the numbers');
    is(connection('400', 'id'), undef, 'nothing is recorded');
};


subtest 'tokens, secrets and accounts that are wrong' => sub {
    refused($api->connect('dune', '400', accessToken => 'EAAunheard'), 400,
            'token_refused', 'a token that Graph does not know');
    push @secrets, 'EAAunheard';
    refused($api->connect('dune', '400', appSecret => 'not-the-secret'), 400,
            'secret_refused', 'the secret of another app');
    refused($api->connect('dune', '100'), 409, 'number_taken',
            'the number of somebody else');
    refused($api->connect('dune', '200123'), 400, 'unknown_number',
            'a number that is not there');

    $graph->change('tokens', 'EAAdune',
                   scopes => [ 'whatsapp_business_messaging' ]);
    refused($api->connect('dune', '400'), 400, 'token_forbidden',
            'a token that may not manage');
    $graph->change('tokens', 'EAAdune',
                   scopes => [ 'whatsapp_business_management',
                               'whatsapp_business_messaging' ]);

    $graph->change('numbers', '400', without => [ 'messaging_limit_tier',
                                                  'webhook_configuration' ]);
    is($api->connect('dune', '400')->{status}, 200,
       'a version of Graph without some fields');
    is($api->delete('dune', '/api/whatsapp/sessions/400')->{status}, 200,
       'deleted');
    $graph->change('numbers', '400', without => []);
};


# all requests of connecting, in order, as patterns

my @steps = ('^GET /v25.0/400\?', '^GET /v25.0/704/phone_numbers',
             '^GET /v25.0/704\?', '^GET /v25.0/app',
             '^GET /v25.0/704/subscribed_apps',
             '^POST /v25.0/704/subscribed_apps', '^POST /v25.0/400');

my %faults = (refuse => 502, close => 502, reset => 502, garbage => 502,
              truncate => 502, truncate_chunked => 502, html => 502,
              not_json => 502, empty => 502, stall => 504, hang => 502,
              error500 => 502);

subtest 'Graph fails in each step' => sub {
    for my $step (@steps) {
        for my $with (qw(close not_json truncate garbage error500 empty)) {
            $graph->change('accounts', '704', apps => {});
            $graph->fail(match => $step, with => $with);
            my $r = $api->connect('dune', '400');
            my $name = "$with at $step";

            cmp_ok($r->{status}, '>=', 500, "$name: an error")
                or diag($r->{body});
            like($r->{json}{code}, qr/^meta_(unavailable|invalid_answer)$/,
                 "$name: its code");
            $graph->heal;

            is($pg->value("select count(*) from waha.connections
                            where phone_number_id = '400'
                              and valid_to is null"), 0,
               "$name: the number is not connected");
            is_deeply($api->get('dune', '/api/whatsapp/sessions')->{json}
                      {data}{sessions}, [], "$name: nor in the list");
        }
    }

    for my $with (sort keys %faults) {
        $graph->fail(match => $steps[0], with => $with);
        my $r = $api->connect('dune', '400');
        is($r->{status}, $faults{$with}, "$with: status $faults{$with}");
        $graph->heal;
    }

    $graph->fail(match => $steps[0], huge => 3_000_000);
    refused($api->connect('dune', '400'), 502, 'meta_invalid_answer',
            'an answer that is too big');
    $graph->heal;

    is($api->connect('dune', '400')->{status}, 200, 'then it is connected');
};


subtest 'Meta does not reach the webhook' => sub {
    is($api->delete('dune', '/api/whatsapp/sessions/400')->{status}, 200,
       'deleted');
    $graph->fail(match => '^POST /v25.0/400', code => 2200);
    refused($api->connect('dune', '400'), 502, 'webhook_unreachable',
            'connecting');
    $graph->heal;
    is_deeply($api->get('dune', '/api/whatsapp/sessions')->{json}{data}
              {sessions}, [], 'nothing stays');

    $graph->fail(match => '^POST /v25.0/400', code => 2200, times => 2);
    is($api->connect('dune', '400')->{status}, 200,
       'a callback that is right at last');
    $graph->heal;

    $graph->fail(match => '^POST /v25.0/400', code => 2200);
    refused($api->connect('dune', '400'), 502, 'webhook_unreachable',
            'renewing');
    $graph->heal;
    is($pg->value("select count(*) from waha.connections
                    where phone_number_id = '400' and valid_to is null"), 1,
       'a number that was connected stays connected');
    is($api->connect('dune', '400')->{status}, 200, 'renewed');
};


subtest 'disconnecting' => sub {
    my $url = $graph->number('400')->{callback};
    my $r = $api->post('dune', '/api/integrations/whatsapp/disconnect');

    is($r->{status}, 200, 'disconnected');
    is($r->{json}{message}, 'WhatsApp is disconnected', 'a message');
    is($r->{json}{data}{status}, 'DISCONNECTED', 'its status');
    is($graph->number('400')->{callback}, undef, 'the callback is removed');
    is_deeply($graph->account('704')->{apps}, {}, 'the app is unsubscribed');
    is(connection('400', qw(access_token app_secret verify_token_hash)),
       '-|-|-', 'the secrets are wiped');

    $r = $api->post('dune', '/api/integrations/whatsapp/disconnect');
    is($r->{status}, 200, 'once more');
    is($api->post('coil', '/api/integrations/whatsapp/disconnect')->{status},
       200, 'without a number');

    is($api->connect('dune', '400')->{json}{webhookUrl}, $url,
       'the callback URL is the same when it is connected again');
};


subtest 'a subscription that other numbers need' => sub {
    $graph->add_number('401', account => '704');
    is($api->connect('dune', '401')->{status}, 200, 'a second number');
    is($api->post('dune', '/api/whatsapp/sessions/401/logout')->{json}{data}
       {status}, 'DISCONNECTED', 'is logged out');
    ok($graph->account('704')->{apps}{904}, 'the app stays subscribed');
    ok($graph->number('400')->{callback}, 'the first number has its callback');
};


subtest 'disconnecting with a dead token' => sub {
    $graph->change('tokens', 'EAAdune', dead => 460);
    my $r = $api->post('dune', '/api/integrations/whatsapp/disconnect',
                       { phoneNumberId => '400' });

    is($r->{status}, 200, 'disconnected');
    is($r->{json}{data}{unsubscribed}, JSON::PP::false,
       'the answer tells that Meta was not told');
    is(connection('400', qw(access_token app_secret)), '-|-',
       'the secrets are wiped');
    $graph->change('tokens', 'EAAdune', dead => undef);
    is($api->connect('dune', '400')->{status}, 200, 'connected');

    for my $with (qw(refuse close)) {
        $graph->fail(with => $with);
        refused($api->post('dune', '/api/integrations/whatsapp/disconnect',
                           { phoneNumberId => '400' }), 502,
                'meta_unavailable', "Graph: $with");
        $graph->heal;
        is($pg->value("select count(*) from waha.connections
                        where phone_number_id = '400' and valid_to is null"),
           1, 'nothing was done');
    }
};


subtest 'the canonical routes' => sub {
    my $r = $api->post('coil', '/api/whatsapp/sessions', { provider => 'meta',
        %{ $api->body('coil', '300', verifyToken => undef) } });

    is($r->{status}, 200, 'connected') or diag($r->{body});
    is($r->{json}{data}{session}, '300', 'the number');
    is($r->{json}{data}{webhook_url}, $graph->number('300')->{callback},
       'the callback');
    is($r->{json}{data}{verify_token}, $graph->number('300')->{verify_token},
       'the verify token');
    push @secrets, $r->{json}{data}{verify_token};

    is($api->post('coil', '/api/whatsapp/sessions/300/logout')->{json}{data}
       {status}, 'DISCONNECTED', 'logged out');
    is($api->delete('coil', '/api/whatsapp/sessions/300')->{status}, 200,
       'deleted');
    refused($api->get('coil', '/api/whatsapp/sessions/300'), 404,
            'unknown_session', 'it is gone');
};


subtest 'the database is down in each step' => sub {
    my %locks = (find => 'ACCESS EXCLUSIVE', connect => 'EXCLUSIVE');

    for my $when (sort keys %locks) {
        my $lock = $pg->session;
        $lock->query("begin;
                      lock table waha.connections in $locks{$when} mode");
        my $r = $api->connect('coil', '300');
        refused($r, 503, qr/^database_/, "at $when");
        $lock->query('rollback');
    }

    $pg->stop;
    refused($api->connect('coil', '300'), 503, 'database_unavailable',
            'connecting');
    refused($api->post('acme', '/api/integrations/whatsapp/disconnect'), 503,
            'database_unavailable', 'disconnecting');
    $pg->start;
    ok(wait_for(sub { $api->connect('coil', '300')->{status} == 200 }, 60),
       'connected when it is back');
};


subtest 'secrets' => sub {
    my @shown = grep { !/^.{32}$/ } @secrets;

    $api->hides(@shown);

    my $logs = $t->error_log . $api->log . slurp($t->nginx->{dir}
                                                 . '/api.log');
    is(scalar(grep { index($logs, $_) >= 0 } @secrets), 0,
       'no log has a secret');
    is(scalar(grep { length && index($logs, $_) >= 0 } split /\n/,
              $pg->psql('select id from waha.connections')), 0,
       'nor the id of a connection');
    is($pg->value("select count(*) from waha.connections c
                    where c::text like '%EAA%' or c::text like '%secret-of%'"),
       0, 'the database has no plain secret');
};

$t->done;
