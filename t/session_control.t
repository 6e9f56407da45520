# The life of a session: what each operation does at WAHA and tells, in every
# status, and what becomes of it when WAHA fails.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin;

$pg->organization($_) for qw(acme bolt);

my $api = Waha::Sessions->new($t, wahas => [ $waha ], timeout => '1s');
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


# makes what is stored so many seconds older

sub older {
    my ($seconds) = @_;

    $pg->psql("update waha.sessions
                  set status_at = status_at - interval '$seconds s',
                      checked_at = checked_at - interval '$seconds s'");
}


subtest 'before there is a session' => sub {
    refused(call(GET => $own), 404, 'unknown_session', 'none is shown');
    refused(call(POST => "$own/$_"), 404, 'unknown_session', "no $_")
        for qw(start stop restart logout connect);
    refused(call(DELETE => $own), 404, 'unknown_session', 'none is deleted');
    is_deeply(done(GET => $sessions, 'a list is given'), { sessions => [] },
              'which is empty');
    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');
};


subtest 'a session is connected' => sub {
    my $s = done(POST => $sessions, 'it is made');

    is($s->{session}, 'tenant-acme', 'named after the organization');
    is($s->{status}, 'STARTING', 'it starts');
    is($s->{primary}, $true, 'it is the primary one');
    is_deeply([ @$s{qw(id label phone name connected_at)} ],
              [ (undef) x 5 ], 'nobody is logged in');

    my $config = $waha->session('tenant-acme')->{config};
    my $id = $pg->organization_id('acme');

    is_deeply($config, {
        metadata => { organization_slug => 'acme', organization_id => $id },
        ignore => { map { $_ => $true } qw(status channels broadcast) },
        webhooks => [ {
            url => $api->url,
            events => [ qw(session.status message.any message.ack
                           message.reaction message.edited
                           message.revoked) ],
            hmac => { key => 'hmackey' },
            retries => { policy => 'exponential', delaySeconds => 2,
                         attempts => 10 },
        } ],
    }, 'WAHA knows all that it has to');

    is_deeply([ $waha->asked ], [ 'POST ' ], 'it was made at once');

    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 'it waits for a phone');
    ok($waha->delivered, 'and tells so');
    is(done(GET => $own, 'it is shown')->{status}, 'SCAN_QR_CODE',
       'with that status');
};


subtest 'a phone is linked' => sub {
    $waha->scan('tenant-acme', phone => '4915112345678',
                push_name => 'Acme GmbH');
    $waha->delivered;
    $waha->asked;

    my $s = done(GET => $own, 'the session is shown');

    is($s->{status}, 'WORKING', 'it works');
    is($s->{phone}, '+4915112345678', 'with its number');
    is($s->{name}, 'Acme GmbH', 'and its name');
    like($s->{connected_at}, qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/, 'since when');
    ok(!$s->{stale}, 'that is no guess');
    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA was not asked');

    is_deeply(done(GET => $sessions, 'the list is given'),
              { sessions => [ $s ] }, 'it has this session');

    my $again = done(POST => $sessions, 'it is connected again');
    is_deeply($again, $s, 'which changes nothing');
    is_deeply([ $waha->asked ], [], 'neither at WAHA');
};


subtest 'the state is asked for when it is old' => sub {
    older(59);
    done(GET => $own, 'after 59 seconds');
    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');

    older(2);
    done(GET => $own, 'after a minute');
    is_deeply([ $waha->asked(all => 1) ], [ 'GET /tenant-acme' ],
              'WAHA is asked');

    done(GET => $own, 'after that');
    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');

    done(GET => "$own?refresh=1", 'with refresh=1');
    is_deeply([ $waha->asked(all => 1) ], [ 'GET /tenant-acme' ],
              'WAHA is asked');

    refused(call(GET => "$own?refresh=perhaps"), 400, 'invalid_argument',
            'with refresh=perhaps');
};


subtest 'WAHA lost the session' => sub {
    $waha->remove_session('tenant-acme');

    my $s = done(GET => "$own?refresh=true", 'it is shown');
    is($s->{status}, 'NOT_CREATED', 'with that status');
    is($s->{phone}, undef, 'without a number');

    for (qw(start stop restart)) {
        refused(call(POST => "$own/$_"), 409, 'not_created', "no $_");
    }

    is(done(POST => "$own/logout", 'it is logged out')->{status},
       'NOT_CREATED', 'which changes nothing');
    $waha->asked;

    is(done(POST => "$own/connect", 'it is connected')->{status}, 'STARTING',
       'and starts');
    is_deeply([ $waha->asked ], [ 'POST ' ], 'it is made anew');
    $waha->scan('tenant-acme', phone => '4915112345678');
};


subtest 'stop and start keep the phone' => sub {
    $waha->delivered;
    $waha->asked;

    my $s = done(POST => "$own/stop", 'it is stopped');
    is($s->{status}, 'STOPPED', 'it has stopped');
    is($s->{phone}, '+4915112345678', 'the number is there');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/stop' ],
              'so is it at WAHA');
    is($waha->session('tenant-acme')->{status}, 'STOPPED', 'stopped');

    is(done(POST => "$own/stop", 'it is stopped again')->{status}, 'STOPPED',
       'which is fine');

    is(done(POST => "$own/start", 'it is started')->{status}, 'STARTING',
       'it starts');
    is(done(POST => "$own/start", 'it is started again')->{session},
       'tenant-acme', 'which is fine');
    ok($waha->reaches('tenant-acme', 'WORKING'), 'it works without a QR code');

    $waha->asked;
    is(done(POST => "$own/restart", 'it is restarted')->{status}, 'STARTING',
       'it starts');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/restart' ],
              'so at WAHA');
    ok($waha->reaches('tenant-acme', 'WORKING'), 'it works again');
};


subtest 'logout ends it' => sub {
    $waha->delivered;
    $waha->asked;

    my $s = done(POST => "$own/logout", 'it is logged out');

    is($s->{status}, 'STOPPED', 'it has stopped');
    is_deeply([ @$s{qw(phone name connected_at)} ], [ (undef) x 3 ],
              'no number is shown');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/logout',
                             'POST /tenant-acme/stop' ],
              'it does not come back by itself');

    $waha->delivered;
    is($waha->session('tenant-acme')->{status}, 'STOPPED', 'WAHA stopped it');
    is($waha->session('tenant-acme')->{me}, undef, 'and forgot the phone');
    is(done(GET => $own, 'it is shown')->{status}, 'STOPPED', 'as stopped');

    is(done(POST => "$own/logout", 'it is logged out again')->{status},
       'STOPPED', 'which is fine');
};


# the status, what connect does at WAHA

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

    subtest "a session that is $status" => sub {
        $waha->status('tenant-acme', $status);
        $waha->delivered;

        is(done(GET => "$own?refresh=1", 'is shown')->{status}, $status,
           'with that status');
        $waha->asked;

        my $s = done(POST => $sessions, 'is connected');
        is_deeply([ $waha->asked ], \@done, 'by what its status asks for');
        is($s->{status}, @done ? 'STARTING' : $status, 'it goes on');

        refused(call(GET => "$own/qr"), 409, 'no_qr', 'shows no QR code')
            if $status ne 'SCAN_QR_CODE' && !@done;

        is(done(POST => "$own/restart", 'is restarted')->{status},
           'STARTING', 'it starts');
        is(done(POST => "$own/stop", 'is stopped')->{status}, 'STOPPED',
           'it stops');
        is(done(POST => "$own/start", 'is started')->{status}, 'STARTING',
           'it starts');
        is(done(POST => "$own/logout", 'is logged out')->{status},
           'STOPPED', 'it stops');
        $waha->delivered;
    };
}


subtest 'a status that passes is not believed for long' => sub {
    $waha->status('tenant-acme', 'STARTING');
    $waha->delivered;
    $waha->asked;

    older(3);
    done(GET => $own, 'STARTING, three seconds ago');
    is_deeply([ $waha->asked(all => 1) ], [ 'GET /tenant-acme' ],
              'WAHA is asked');

    done(POST => "$own/restart", 'what hangs is restarted');
};


subtest 'several sessions' => sub {
    my $s = done(POST => $sessions, 'one is made under an id',
                 { id => 'sales-1', label => 'Sales' });

    like($s->{session}, qr/^waha_[0-9a-f]{32}$/, 'its name tells nothing');
    is($s->{id}, 'sales-1', 'it has the id');
    is($s->{label}, 'Sales', 'and the label');
    is($s->{primary}, $false, 'it is not the primary one');

    is(done(POST => $sessions, 'the same again',
            { id => 'sales-1', name => 'Sales EU' })->{session},
       $s->{session}, 'it is the same');
    is(done(GET => "$sessions/sales-1", 'found by its id')->{label},
       'Sales EU', 'with the new label');
    is(done(GET => "$sessions/$s->{session}", 'found by its name')->{id},
       'sales-1', 'it has the id');

    is(scalar @{ done(GET => $sessions, 'the list')->{sessions} }, 2,
       'two are listed');

    is_deeply(done(DELETE => "$sessions/sales-1", 'it is deleted'),
              { deleted => $true }, 'deleted');
    is($waha->session($s->{session}), undef, 'at WAHA, too');
    refused(call(GET => "$sessions/sales-1"), 404, 'unknown_session',
            'it is gone');

    is(done(POST => $sessions, 'it is made again', { id => 'sales-1' })
       ->{session}, $s->{session}, 'it comes back');
    done(DELETE => "$sessions/sales-1", 'it is deleted again');

    refused(call(POST => $sessions, { id => 'a b' }), 400,
            'invalid_argument', 'an id with a space');
    refused(call(POST => $sessions, { id => '..' }), 400,
            'invalid_argument', 'an id that is no name in a path');
    refused(call(POST => $sessions, { label => 'x' x 256 }), 400,
            'invalid_argument', 'a label that is too long');
    refused(call(POST => $sessions, '[1]'), 400, 'invalid_request',
            'a body that is a list');
};


subtest 'sessions of others' => sub {
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
                'unknown_session', "$method $path as another organization");
    }

    refused(call(POST => "$own/pairing-code",
                 { phoneNumber => '+4915112345678' }, as => 'bolt'),
            404, 'unknown_session', 'nor a pairing code');

    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');
};


subtest 'who may only read' => sub {
    my $r = call(GET => $own, undef, as => 'acme:read');
    is($r->{status}, 200, 'sees the session');

    for ([ GET => "$own/qr" ], [ POST => $sessions ], [ DELETE => $own ],
         [ POST => "$own/connect" ], [ POST => "$own/logout" ],
         [ POST => "$own/pairing-code" ],
         [ GET => "$own/passkey/challenge" ])
    {
        refused(call(@$_, undef, as => 'acme:read'), 403, 'forbidden',
                "but no @$_");
    }
};


# what WAHA does, what it is called: with => ..., status and code of ours

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

done(POST => $sessions, 'for what follows it is connected');
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
            is($r->{status}, $status, "GET $path");
            like($r->{json}{code}, ref $code ? $code : qr/^$code$/,
                 'with its code');
        }

        older(61);
        my $s = done(GET => $own, 'what is known is shown');
        is($s->{status}, 'WORKING', 'as it was last');
        is($s->{stale}, $true, 'and that it may be old');

        my $r = call(POST => $sessions);
        is($r->{status}, $status, 'it is not connected');
        like($r->{json}{code}, ref $code ? $code : qr/^$code$/,
             'with its code');
        $waha->heal;

        done(POST => $sessions, 'later it is');
    };
}


# operations whose call of WAHA fails, and the call

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

        done(@$call, 'is done later');

        my $s = done(POST => $sessions, 'and connected again');
        is($s->{session}, 'tenant-acme', 'under the same name');
        $waha->delivered;
    };
}


subtest 'WAHA is down' => sub {
    $waha->fail(with => 'refuse');

    refused(call(@$_), 502, 'waha_unavailable', "@$_")
        for [ GET => "$own?refresh=1" ], [ POST => $sessions ],
            [ POST => "$own/stop" ], [ DELETE => $own ];

    is(scalar @{ done(GET => $sessions, 'the list')->{sessions} }, 1,
       'needs no WAHA');
    $waha->heal;
    done(POST => $sessions, 'it is up again');
};


subtest 'the organization is disabled' => sub {
    $pg->psql("update organizations set whatsapp_enabled = false
                where slug = 'acme'");

    $waha->asked;

    refused(call(POST => $_), 404, 'disabled_organization', "no POST $_")
        for $sessions, "$own/connect";
    is_deeply([ $waha->asked(all => 1) ], [], 'WAHA is not asked');

    is(done(GET => $own, 'what is there is shown')->{session}, 'tenant-acme',
       'the session');
    is(done(POST => "$own/stop", 'and can be stopped')->{status}, 'STOPPED',
       'it has stopped');

    $pg->psql("update organizations set whatsapp_enabled = true
                where slug = 'acme'");
    done(POST => $sessions, 'enabled again it connects');
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

        is("$r->{version} $r->{status}", '2 200', "$method $path")
            or diag $r->{body};
        ok($r->{json}{success}, 'with success');
    }

    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 'it waits for a phone');

    my $r = $api->http2(acme => GET => "$own/qr");
    like($r->{json}{data}{qr}, qr{^data:image/png;base64,}, 'a QR code');
    $r = $api->http2(acme => GET => "$own/qr", undef, @$accept);
    like($r->{body}, qr/^\x89PNG/, 'as a picture');

    for ([ 'close', 502, 'waha_unavailable' ],
         [ 'stall', 504, 'waha_timeout' ], [ 'error500', 502, 'waha_error' ])
    {
        my ($with, $status, $code) = @$_;

        $waha->fail(with => $with, match => '^GET /api/sessions/');

        for ([ GET => "$own?refresh=1" ], [ POST => $sessions, {} ],
             [ GET => "$own/qr" ])
        {
            refused($api->http2('acme', @$_), $status, $code,
                    "$with: @$_[0, 1]");
        }

        $waha->heal;
    }

    refused($api->http2(bolt => GET => $own), 404, 'unknown_session',
            'nothing of another organization');
};


subtest 'nothing of WAHA is told' => sub {
    $api->hides($waha->secrets, 'hmackey');

    like($t->error_log,
         qr/\[error\].*WAHA refuses the API key of instance "waha-1"/,
         'a key that WAHA refuses is in the log');
};


$t->done;
