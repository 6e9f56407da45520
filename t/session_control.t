# The operations on a session: what each does at WAHA and answers in every
# status, and what it answers when WAHA fails.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin;

$pg->organization($_) for qw(acme bolt);

my $api = Waha::Sessions->new($t, unlimited => 1, wahas => [ $waha ],
                              timeout => '1s');
$t->start;

my $sessions = '/api/whatsapp/sessions';
my $own = "$sessions/tenant-acme";
my ($true, $false) = (JSON::PP::true, JSON::PP::false);


sub call {
    my ($method, $path, $body, %o) = @_;

    return $api->request($o{as} // 'acme', $method, $path, $body);
}


# the data of an answer, which has to be 200

sub done {
    my ($method, $path, $name, $body) = @_;

    return $api->ok('acme', $method, $path, $body, $name)->{data};
}


# lets what is stored look so many seconds older

sub older {
    my ($seconds) = @_;

    $pg->psql("update waha.sessions
                  set status_at = status_at - interval '$seconds s',
                      checked_at = checked_at - interval '$seconds s'");
}


subtest 'an organization without a session' => sub {
    refused(call(GET => $own), 404, 'unknown_session', 'GET of the session');
    refused(call(POST => "$own/$_"), 404, 'unknown_session',
            "POST $_ of the session")
        for qw(start stop restart logout connect);
    refused(call(DELETE => $own), 404, 'unknown_session',
            'DELETE of the session');
    is_deeply(done(GET => $sessions, 'GET of the list'), { sessions => [] },
              'the list is empty');
    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');
};


subtest 'a session is created' => sub {
    my $s = done(POST => $sessions, 'POST /sessions');

    is($s->{session}, 'tenant-acme', 'the name comes from the organization');
    is($s->{status}, 'STARTING', 'the status is STARTING');
    is($s->{primary}, $true, 'the session is the primary one');
    is_deeply([ @$s{qw(id label phone name connected_at)} ],
              [ (undef) x 5 ], 'no phone is logged in');

    my $config = $waha->session('tenant-acme')->{config};
    my $id = $pg->organization_id('acme');

    is_deeply($config, {
        metadata => { organization_slug => 'acme', organization_id => $id },
        ignore => { map { $_ => $true } qw(status channels broadcast) },
        webhooks => [ {
            url => $api->url,
            events => [ qw(session.status message.any message.ack
                           message.reaction message.edited message.revoked
                           call.received call.accepted call.rejected) ],
            hmac => { key => 'hmackey' },
            retries => { policy => 'exponential', delaySeconds => 2,
                         attempts => 10 },
        } ],
    }, 'WAHA has the complete configuration');

    is_deeply([ $waha->asked ], [ 'POST ' ], 'WAHA got one request');

    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'the session waits for a scan');
    ok($waha->delivered, "WAHA's webhooks were taken");
    is(done(GET => $own, 'it is shown')->{status}, 'SCAN_QR_CODE',
       'GET shows SCAN_QR_CODE');
};


subtest 'a phone is linked' => sub {
    $waha->scan('tenant-acme', phone => '4915112345678',
                push_name => 'Acme GmbH');
    $waha->delivered;
    $waha->asked;

    my $s = done(GET => $own, 'GET of the session');

    is($s->{status}, 'WORKING', 'the status is WORKING');
    is($s->{phone}, '+4915112345678', 'the session has its number');
    is($s->{name}, 'Acme GmbH', 'the session has its name');
    like($s->{connected_at}, qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
         'the session has the time of its connection');
    ok(!$s->{stale}, 'the session is not stale');
    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');

    is_deeply(done(GET => $sessions, 'GET of the list'),
              { sessions => [ $s ] }, 'the list has the session');

    my $again = done(POST => $sessions, 'POST /sessions again');
    is_deeply($again, $s, 'connecting again changes nothing');
    is_deeply([ $waha->asked ], [],
              'connecting again changes nothing at WAHA');
};


subtest 'WAHA is asked for a status that is old' => sub {
    older(30);
    done(GET => $own, 'GET after 30 seconds');
    is_deeply([ $waha->asked(all => 1) ], [],
              'after 30 seconds WAHA is not asked');

    older(31);
    done(GET => $own, 'GET after 61 seconds');
    is_deeply([ $waha->asked(all => 1) ], [ 'GET /tenant-acme' ],
              'after 61 seconds WAHA is asked');

    done(GET => $own, 'GET right after that');
    is_deeply([ $waha->asked(all => 1) ], [],
              'right after that WAHA is not asked');

    done(GET => "$own?refresh=1", 'GET with refresh=1');
    is_deeply([ $waha->asked(all => 1) ], [ 'GET /tenant-acme' ],
              'with refresh=1 WAHA is asked');

    refused(call(GET => "$own?refresh=perhaps"), 400, 'invalid_argument',
            'GET with refresh=perhaps');
};


subtest 'a session that WAHA has lost' => sub {
    $waha->remove_session('tenant-acme');

    my $s = done(GET => "$own?refresh=true", 'GET with refresh=true');
    is($s->{status}, 'NOT_CREATED', 'the status is NOT_CREATED');
    is($s->{phone}, undef, 'the session has no number');

    for (qw(start stop restart)) {
        refused(call(POST => "$own/$_"), 409, 'not_created',
                "POST $_ of a session that WAHA has lost");
    }

    is(done(POST => "$own/logout", 'POST logout')->{status},
       'NOT_CREATED', 'logout leaves the status NOT_CREATED');
    $waha->asked;

    is(done(POST => "$own/connect", 'POST connect')->{status}, 'STARTING',
       'connect shows STARTING');
    is_deeply([ $waha->asked ], [ 'POST ' ],
              'connect creates the session at WAHA');
    $waha->scan('tenant-acme', phone => '4915112345678');
};


# after a start WAHA is asked for the status, which may be the next one by then

my $runs = qr/^(STARTING|SCAN_QR_CODE|WORKING)$/;


subtest 'stop and start keep the phone linked' => sub {
    $waha->delivered;
    $waha->asked;

    my $s = done(POST => "$own/stop", 'POST stop');
    is($s->{status}, 'STOPPED', 'stop shows STOPPED');
    is($s->{phone}, '+4915112345678', 'a stopped session has its number');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/stop' ],
              'WAHA is asked to stop it');
    is($waha->session('tenant-acme')->{status}, 'STOPPED',
       'the session is stopped at WAHA');

    is(done(POST => "$own/stop", 'POST stop of a stopped session')->{status},
       'STOPPED',
       'stop of a stopped session shows STOPPED');

    like(done(POST => "$own/start", 'POST start')->{status}, $runs,
         'start shows that the session runs');
    is(done(POST => "$own/start",
            'POST start of a started session')->{session},
       'tenant-acme', 'start of a started session is answered');
    ok($waha->reaches('tenant-acme', 'WORKING'),
       'the session works without a new scan');

    $waha->asked;
    like(done(POST => "$own/restart", 'POST restart')->{status}, $runs,
         'restart shows that the session runs');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/restart' ],
              'WAHA is asked to restart it');
    ok($waha->reaches('tenant-acme', 'WORKING'), 'the session works again');
};


subtest 'logout ends the link to the phone' => sub {
    $waha->delivered;
    $waha->asked;

    my $s = done(POST => "$own/logout", 'POST logout');

    is($s->{status}, 'STOPPED', 'logout shows STOPPED');
    is_deeply([ @$s{qw(phone name connected_at)} ], [ (undef) x 3 ],
              'a session that was logged out shows no number');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/logout',
                             'POST /tenant-acme/stop' ],
              'WAHA is asked to log out and to stop');

    $waha->delivered;
    is($waha->session('tenant-acme')->{status}, 'STOPPED',
       'the session is stopped at WAHA');
    is($waha->session('tenant-acme')->{me}, undef,
       'WAHA has no phone for the session');
    is(done(GET => $own, 'it is shown')->{status}, 'STOPPED',
       'GET shows STOPPED');

    is(done(POST => "$own/logout",
            'POST logout of a session that was logged out')->{status},
       'STOPPED', 'logout of a session that was logged out shows STOPPED');
};


# the status, what connecting does at WAHA

my @statuses = (
    [ STOPPED => 'POST /tenant-acme/start' ],
    [ STARTING => () ],
    [ SCAN_QR_CODE => () ],
    [ PASSKEY_REQUIRED => () ],
    [ PASSKEY_CONFIRMATION_REQUIRED => () ],
    [ WORKING => () ],
    [ FAILED => 'POST /tenant-acme/restart' ],
    [ HIBERNATING => () ],
);

for (@statuses) {
    my ($status, @done) = @$_;

    my $shown = $status eq 'HIBERNATING' ? 'UNKNOWN' : $status;

    subtest "operations on a session that is $status" => sub {
        $waha->status('tenant-acme', $status);
        $waha->delivered;

        is(done(GET => "$own?refresh=1",
                'GET of the session')->{status}, $shown,
           "GET shows $shown");
        $waha->asked;

        my $s = done(POST => $sessions, 'POST /sessions');
        is_deeply([ $waha->asked ], \@done,
                  "connecting does at WAHA what $status needs");
        is($s->{status}, @done ? 'STARTING' : $shown,
           'connecting shows the right status');

        refused(call(GET => "$own/qr"), 409, 'no_qr',
                'the QR code of a session that shows none')
            if $status ne 'SCAN_QR_CODE' && !@done;

        like(done(POST => "$own/restart", 'POST restart')->{status}, $runs,
             'restart shows that the session runs');
        is(done(POST => "$own/stop", 'POST stop')->{status}, 'STOPPED',
           'stop shows STOPPED');
        like(done(POST => "$own/start", 'POST start')->{status}, $runs,
             'start shows that the session runs');
        is(done(POST => "$own/logout", 'POST logout')->{status},
           'STOPPED', 'logout shows STOPPED');
        $waha->delivered;
    };
}


subtest 'a status that passes soon is asked for again' => sub {
    $waha->status('tenant-acme', 'STARTING');
    $waha->delivered;
    $waha->asked;

    older(3);
    done(GET => $own, 'GET of STARTING after three seconds');
    is_deeply([ $waha->asked(all => 1) ], [ 'GET /tenant-acme' ],
              'WAHA is asked for STARTING after three seconds');

    done(POST => "$own/restart", 'POST restart of a session that hangs');
};


subtest 'several sessions of an organization' => sub {
    my $s = done(POST => $sessions, 'POST /sessions with an id',
                 { id => 'sales-1', label => 'Sales' });

    like($s->{session}, qr/^waha_[0-9a-f]{32}$/,
         'the name of a further session tells nothing');
    is($s->{id}, 'sales-1', "a further session has the caller's id");
    is($s->{label}, 'Sales', "a further session has the caller's label");
    is($s->{primary}, $false, 'a further session is not the primary one');

    is(done(POST => $sessions, 'POST /sessions with the same id',
            { id => 'sales-1', name => 'Sales EU' })->{session},
       $s->{session}, 'the same id is the same session');
    is(done(GET => "$sessions/sales-1", 'GET by the id')->{label},
       'Sales EU', 'a new label replaces the old one');
    is(done(GET => "$sessions/$s->{session}", 'GET by the name')->{id},
       'sales-1', 'GET by the name has the id');

    is(scalar @{ done(GET => $sessions, 'GET of the list')->{sessions} }, 2,
       'the list has both sessions');

    is_deeply(done(DELETE => "$sessions/sales-1", 'DELETE of a session'),
              { deleted => $true },
              'a deleted session is answered as deleted');
    is($waha->session($s->{session}), undef,
       'a deleted session is deleted at WAHA');
    refused(call(GET => "$sessions/sales-1"), 404, 'unknown_session',
            'GET of a deleted session');

    is(done(POST => $sessions, 'it is made again', { id => 'sales-1' })
       ->{session}, $s->{session},
       'the session of a deleted id has its name again');
    done(DELETE => "$sessions/sales-1", 'DELETE of that session');

    refused(call(POST => $sessions, { id => 'a b' }), 400,
            'invalid_argument', 'an id with a space');
    refused(call(POST => $sessions, { id => '..' }), 400,
            'invalid_argument', 'an id of two dots');
    refused(call(POST => $sessions, { label => 'x' x 256 }), 400,
            'invalid_argument', 'a label of 256 characters');
    refused(call(POST => $sessions, '[1]'), 400, 'invalid_request',
            'a body that is a list');
};


subtest 'sessions of another organization' => sub {
    $waha->asked;

    for (map { [ $_->[0], "$own$_->[1]" ] }
             [ GET => '' ], [ DELETE => '' ], [ GET => '/qr' ],
             (map { [ POST => "/$_" ] }
                  qw(start stop restart logout connect passkey
                     passkey/confirm)),
             [ GET => '/passkey/challenge' ],
             [ GET => '/passkey/confirmation' ])
    {
        my ($method, $path) = @$_;
        my $body = $path =~ /passkey$/ ? {} : undef;

        refused(call($method, $path, $body, as => 'bolt'), 404,
                'unknown_session', "$method $path of another organization");
    }

    refused(call(POST => "$own/pairing-code",
                 { phoneNumber => '+4915112345678' }, as => 'bolt'),
            404, 'unknown_session',
            "a pairing code of another organization's session");

    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');
};


subtest 'a key that may only read' => sub {
    my $r = call(GET => $own, undef, as => 'acme:read');
    is($r->{status}, 200, 'a key that may only read sees the session');

    for ([ GET => "$own/qr" ], [ POST => $sessions ], [ DELETE => $own ],
         [ POST => "$own/connect" ], [ POST => "$own/logout" ],
         [ POST => "$own/pairing-code" ],
         [ GET => "$own/passkey/challenge" ])
    {
        refused(call(@$_, undef, as => 'acme:read'), 403, 'forbidden',
                "@$_ with a key that may only read");
    }
};


# how WAHA fails (see Waha::Standin), status and code of our answer

my @faults = (
    [ [ with => 'close' ], 502, 'waha_unavailable' ],
    [ [ with => 'reset' ], 502, 'waha_unavailable' ],
    [ [ with => 'stall' ], 504, 'waha_timeout' ],
    [ [ with => 'garbage' ], 502, qr/^waha_(unavailable|invalid_answer)$/ ],
    [ [ with => 'html' ], 502, 'waha_invalid_answer' ],
    [ [ with => 'not_json' ], 502, 'waha_invalid_answer' ],
    [ [ with => 'empty' ], 502, 'waha_invalid_answer' ],
    [ [ with => 'truncate' ], 502, 'waha_invalid_answer' ],
    [ [ with => 'error500' ], 502, 'waha_error' ],
    [ [ with => 'huge', huge => 2_000_000 ], 502, 'waha_invalid_answer' ],
    [ [ with => 'status', status => 401,
        body => '{"message":"Unauthorized","statusCode":401}' ],
      502, 'waha_error' ],
    [ [ with => 'status', status => 403 ], 502, 'waha_error' ],
    [ [ with => 'status', status => 503 ], 502, 'waha_error' ],
    [ [ with => 'status', status => 404, type => 'text/html',
        body => '<h1>Not Found</h1>' ], 502, 'waha_error' ],
    [ [ with => 'status', status => 404,
        body => '{"message":"Cannot GET /","statusCode":404}' ],
      502, 'waha_error' ],
    [ [ with => 'status', status => 302,
        headers => [ [ 'Location', 'http://127.0.0.1:1/' ] ] ],
      502, 'waha_error' ],
    [ [ with => 'status', status => 200,
        body => '{"name":"tenant-bolt","status":"WORKING"}' ],
      502, 'waha_invalid_answer' ],
    [ [ with => 'status', status => 200,
        body => '{"name":"tenant-acme","status":"<b>"}' ],
      502, 'waha_invalid_answer' ],
    [ [ with => 'status', status => 200, body => '[]' ],
      502, 'waha_invalid_answer' ],
);

done(POST => $sessions, 'POST /sessions');
$waha->scan('tenant-acme', phone => '4915112345678');
$waha->delivered;

for (@faults) {
    my ($fault, $status, $code) = @$_;
    my %fault = @$fault;

    subtest "WAHA: $fault{with} " . ($fault{body} // $fault{status} // '')
        => sub
    {
        $waha->fail(match => '^GET /api/sessions/', %fault);

        for my $path ("$own?refresh=1", "$own/qr") {
            my $r = call(GET => $path);
            is($r->{status}, $status, "GET $path has the status of the fault");
            like($r->{json}{code}, ref $code ? $code : qr/^$code$/,
                 "GET $path has the code of the fault");
        }

        older(61);
        my $s = done(GET => $own, 'GET of the session while WAHA fails');
        is($s->{status}, 'WORKING', 'the session is shown as it was last');
        is($s->{stale}, $true, 'the session is shown as stale');

        my $r = call(POST => $sessions);
        is($r->{status}, $status,
           'POST /sessions has the status of the fault');
        like($r->{json}{code}, ref $code ? $code : qr/^$code$/,
             'POST /sessions has the code of the fault');
        $waha->heal;

        done(POST => $sessions, 'POST /sessions once WAHA works again');
    };
}


# operations, and the request to WAHA that fails

my @calls = (
    [ [ POST => "$own/start" ], '^POST .*/start' ],
    [ [ POST => "$own/stop" ], '^POST .*/stop' ],
    [ [ POST => "$own/restart" ], '^POST .*/restart' ],
    [ [ POST => "$own/logout" ], '^POST .*/logout' ],
    [ [ POST => "$own/logout" ], '^POST .*/stop' ],
    [ [ DELETE => $own ], '^DELETE ' ],
);

for (@calls) {
    my ($call, $match) = @$_;

    subtest "@$call where $match fails" => sub {
        for ([ 'error500', 502, 'waha_error' ],
             [ 'close', 502, 'waha_unavailable' ],
             [ 'stall', 504, 'waha_timeout' ])
        {
            my ($with, $status, $code) = @$_;

            $waha->fail(match => $match, with => $with);
            refused(call(@$call), $status, $code, $with);
            $waha->heal;
        }

        done(@$call, 'the operation once WAHA works again');

        my $s = done(POST => $sessions, 'POST /sessions afterwards');
        is($s->{session}, 'tenant-acme', 'the session still has its name');
        $waha->delivered;
    };
}


subtest 'WAHA is down' => sub {
    $waha->fail(with => 'refuse');

    refused(call(@$_), 502, 'waha_unavailable', "@$_")
        for [ GET => "$own?refresh=1" ], [ POST => $sessions ],
            [ POST => "$own/stop" ], [ DELETE => $own ];

    is(scalar @{ done(GET => $sessions,
                      'GET of the list while WAHA is down')->{sessions} }, 1,
       'the list needs no WAHA');
    $waha->heal;
    done(POST => $sessions, 'POST /sessions once WAHA is up');
};


subtest 'an organization with WhatsApp switched off' => sub {
    $pg->psql("update organizations set whatsapp_enabled = false
                where slug = 'acme'");

    $waha->asked;

    refused(call(POST => $_), 404, 'disabled_organization',
            "POST $_ of a disabled organization")
        for $sessions, "$own/connect";
    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');

    is(done(GET => $own, 'what is there is shown')->{session},
       'tenant-acme', 'the session of a disabled organization is shown');
    is(done(POST => "$own/stop", 'POST stop of that session')->{status},
       'STOPPED',
       'the session of a disabled organization can be stopped');

    $pg->psql("update organizations set whatsapp_enabled = true
                where slug = 'acme'");
    done(POST => $sessions, 'POST /sessions once the organization is enabled');
};


subtest 'HTTP/2' => sub {
    plan(skip_all => 'curl has no HTTP/2') if !$api->has_http2;

    my $accept = [ '-H', 'Accept: image/png' ];

    for ([ GET => $sessions ], [ GET => "$own?refresh=1" ],
         [ POST => "$own/stop" ], [ POST => $sessions, {} ],
         [ POST => "$own/restart" ], [ POST => "$own/logout" ],
         [ DELETE => $own ], [ POST => $sessions, { label => 'again' } ])
    {
        my ($method, $path, $body) = @$_;
        my $r = $api->http2(acme => $method, $path, $body);

        is("$r->{version} $r->{status}", '2 200', "$method $path over HTTP/2")
            or diag $r->{body};
        ok($r->{json}{success}, "$method $path over HTTP/2: success is true");
    }

    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'the session waits for a scan');

    my $r = $api->http2(acme => GET => "$own/qr");
    like($r->{json}{data}{qr}, qr{^data:image/png;base64,},
         'the QR code over HTTP/2');
    $r = $api->http2(acme => GET => "$own/qr", undef, @$accept);
    like($r->{body}, qr/^\x89PNG/, 'the QR code as a picture over HTTP/2');

    for ([ 'close', 502, 'waha_unavailable' ],
         [ 'stall', 504, 'waha_timeout' ], [ 'error500', 502, 'waha_error' ])
    {
        my ($with, $status, $code) = @$_;

        $waha->fail(with => $with, match => '^GET /api/sessions/');

        for ([ GET => "$own?refresh=1" ], [ POST => $sessions, {} ],
             [ GET => "$own/qr" ])
        {
            refused($api->http2('acme', @$_), $status, $code,
                    "$with over HTTP/2: @$_[0, 1]");
        }

        $waha->heal;
    }

    refused($api->http2(bolt => GET => $own), 404, 'unknown_session',
            'the session of another organization over HTTP/2');
};


subtest 'secrets of WAHA' => sub {
    $api->hides($waha->secrets, 'hmackey');

    like($t->error_log,
         qr/\[error\].*WAHA refuses the API key of instance "waha-1"/,
         'an API key that WAHA refuses is logged');
};


$t->done;
