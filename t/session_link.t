# Linking a phone to a session: QR codes as a picture, as JSON and as text,
# pairing codes, passkeys, and the answers of sessions that have none of them.

use Waha::Test;
use Waha::Sessions;

use MIME::Base64 qw(decode_base64);

my $t = Waha::Test->new;
my $pg = $t->postgres;

my $waha = $t->standin(engine => 'GOWS');

$pg->organization('acme');

my $api = Waha::Sessions->new($t, unlimited => 1, wahas => [ $waha ],
                              timeout => '2s');
$t->start;

my $own = '/api/whatsapp/sessions/tenant-acme';
my $png = qr/^\x89PNG\r\n\x1a\n/;

my @statuses = qw(STOPPED STARTING SCAN_QR_CODE PASSKEY_REQUIRED
                  PASSKEY_CONFIRMATION_REQUIRED WORKING FAILED HIBERNATING);


# Tests that there is no code in this status, and that it is answered at once:
# WAHA itself would wait before it refuses.

sub none {
    my ($status, $method, $what, $body) = @_;

    $waha->clear_requests;
    my $r = $api->request('acme', $method, "$own/$what", $body);

    refused($r, 409, 'no_qr', "$what while the session is $status");
    is($r->{json}{data}{status}, $status, 'the refusal has the status');
    is_deeply([ map { "$_->{method} $_->{path}" } $waha->requests ],
              [ 'GET /api/sessions/tenant-acme' ],
              'WAHA is asked for the status alone');
}


sub shows_qr {
    $api->post('acme', "$own/logout");
    $api->post('acme', "$own/connect");
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'the session waits for a scan');
}

$api->post('acme', '/api/whatsapp/sessions');
shows_qr();


subtest 'the QR code as JSON' => sub {
    for my $accept (undef, '*/*', 'application/json',
                    'application/json, text/plain, */*',
                    'application/json, image/png')
    {
        $waha->clear_requests;

        my $r = $api->request('acme', 'GET', "$own/qr", undef,
                              Accept => $accept);

        is($r->{status}, 200,
           'the QR code is answered 200') or diag $r->{body};
        like($r->{headers}{'content-type'}, qr{^application/json},
             'the QR code is JSON');
        is($r->{headers}{'cache-control'}, 'no-store',
           'no cache may keep the QR code');

        my $data = $r->{json}{data};
        is_deeply([ sort keys %$data ], [ qw(expires_in mimetype qr) ],
                  'the QR code has its type and its time and nothing else');
        is($data->{mimetype}, 'image/png', 'the QR code is a PNG');
        is($data->{expires_in}, 20, 'the QR code holds for 20 seconds');
        like($data->{qr}, qr{^data:image/png;base64,[A-Za-z0-9+/]+=*$},
             'the QR code is a data URL');
        like(decode_base64($data->{qr} =~ s/.*,//r), $png,
             'the data are a PNG');

        my ($asked) = $waha->requests('/auth/qr');
        is($asked->{headers}{accept}, 'application/json',
           'WAHA is asked for JSON');
        ok(!exists $asked->{headers}{authorization},
           'our credentials do not reach WAHA');
    }
};


subtest 'the QR code as a picture' => sub {
    for my $accept ('image/png', 'image/png, application/json',
                    'image/avif,image/webp,image/apng,image/*,*/*;q=0.8')
    {
        my $r = $api->request('acme', 'GET', "$own/qr", undef,
                              Accept => $accept);

        is($r->{status}, 200,
           'the picture is answered 200') or diag $r->{body};
        is($r->{headers}{'content-type'}, 'image/png',
           'the picture has the type image/png');
        is($r->{headers}{'cache-control'}, 'no-store',
           'no cache may keep the picture');
        like($r->{body}, $png, 'the picture is a PNG');
    }
};


subtest 'the QR code as text' => sub {
    my $r = $api->get('acme', "$own/qr?format=raw");

    is_deeply($r->{json}{data},
              { value => $waha->session('tenant-acme')->{qr},
                expires_in => 20 }, "the text is the value of WAHA's QR code");

    refused($api->get('acme', "$own/qr?format=gif"), 400, 'invalid_argument',
            'an unknown format');
};


subtest 'a pairing code' => sub {
    my $r = $api->post('acme', "$own/pairing-code",
                       { phoneNumber => '+49 (151) 1234-5678' });

    is($r->{status}, 200,
       'the pairing code is answered 200') or diag $r->{body};

    my $pairing = $waha->session('tenant-acme')->{pairing};
    is_deeply($r->{json}{data}, { code => $pairing->{code} },
              "the pairing code is WAHA's");
    is($pairing->{phone}, '4915112345678',
       "the pairing code is for the caller's number");

    for ({}, { phoneNumber => 'mine' }, { phoneNumber => '12' },
         { phoneNumber => [ '4915112345678' ] }, undef)
    {
        refused($api->post('acme', "$own/pairing-code", $_), 400,
                'invalid_argument', 'a pairing code without a valid number');
    }
};


for my $status (@statuses) {
    subtest "codes of a session that is $status" => sub {
        $waha->status('tenant-acme', $status, data => { x => 1 });
        $waha->delivered;

        if ($status ne 'SCAN_QR_CODE') {
            none($status, GET => 'qr');
            none($status, GET => 'qr?format=raw');
            none($status, POST => 'pairing-code',
                 { phoneNumber => '4915112345678' });
        }

        if ($status ne 'PASSKEY_REQUIRED') {
            none($status, GET => 'passkey/challenge');
            none($status, POST => 'passkey', {});
        }

        if ($status ne 'PASSKEY_CONFIRMATION_REQUIRED') {
            none($status, GET => 'passkey/confirmation');
            none($status, POST => 'passkey/confirm');
        }
    };
}


subtest 'codes of a session that WAHA has lost' => sub {
    my $config = $waha->session('tenant-acme')->{config};

    $waha->remove_session('tenant-acme');
    none('NOT_CREATED', GET => 'qr');
    is($api->get('acme', $own)->{json}{data}{status}, 'NOT_CREATED',
       'the session shows NOT_CREATED afterwards');
    $waha->add_session('tenant-acme', config => $config);
};


subtest 'the phone scans the code just before WAHA is asked' => sub {
    shows_qr();

    for my $fault ([ '{"status":"WORKING","expected":["SCAN_QR_CODE"]}',
                     'WORKING' ],
                   [ '{"error":"Session \"x\" does not exist"}',
                     'NOT_CREATED' ],
                   [ '{"status":"secret text"}', 'NOT_CREATED' ])
    {
        my ($body, $status) = @$fault;

        $waha->fail(match => '/auth/', with => 'status', status => 422,
                    body => $body);

        for my $accept ('application/json', 'image/png') {
            my $r = $api->request('acme', 'GET', "$own/qr", undef,
                                  Accept => $accept);
            refused($r, 409, 'no_qr', "the QR code as $accept");
            is($r->{json}{data}{status}, $status,
               'the refusal has the new status');
        }

        refused($api->post('acme', "$own/pairing-code",
                           { phoneNumber => '4915112345678' }),
                409, 'no_qr', 'the pairing code');
        $waha->heal;
    }
};


# how WAHA fails (see Waha::Standin), status and code of our answer

my @faults = (
    [ [ with => 'close' ], 502, 'waha_unavailable' ],
    [ [ with => 'stall' ], 504, 'waha_timeout' ],
    [ [ with => 'html' ], 502, 'waha_invalid_answer' ],
    [ [ with => 'empty' ], 502, 'waha_invalid_answer' ],
    [ [ with => 'error500' ], 502, 'waha_error' ],
    [ [ with => 'huge', huge => 2_000_000 ], 502, 'waha_invalid_answer' ],
    [ [ with => 'status', status => 403 ], 502, 'waha_error' ],
    [ [ with => 'status', status => 501 ], 502, 'waha_error' ],
    [ [ with => 'status', status => 200, body => '{"mimetype":"image/png",'
        . '"data":"\"><script>","value":"","code":"a b"}' ],
      502, 'waha_invalid_answer' ],
    [ [ with => 'status', status => 200, body => '{"mimetype":"text/html",'
        . '"data":"PGI+","value":1,"code":"' . 'x' x 33 . '"}' ],
      502, 'waha_invalid_answer' ],
    [ [ with => 'status', status => 200, body => '[]' ],
      502, 'waha_invalid_answer' ],
);

subtest 'a QR code is there again' => \&shows_qr;

for (@faults) {
    my ($fault, $status, $code) = @$_;
    my %fault = @$fault;

    subtest "WAHA: $fault{with} " . ($fault{body} // $fault{status} // '')
        => sub
    {
        $waha->fail(match => '/auth/', %fault);

        refused($api->get('acme', "$own/qr"), $status, $code,
                'the QR code as JSON');
        refused($api->request('acme', 'GET', "$own/qr", undef,
                              Accept => 'image/png'),
                $status, $code, 'the QR code as a picture');
        refused($api->get('acme', "$own/qr?format=raw"), $status, $code,
                'the QR code as text');
        refused($api->post('acme', "$own/pairing-code",
                           { phoneNumber => '4915112345678' }),
                $status, $code, 'the pairing code');
        $waha->heal;

        is($api->get('acme', "$own/qr")->{status}, 200,
           'the QR code is answered once WAHA works again');
    };
}


subtest 'a passkey' => sub {
    my $challenge = { challenge => 'AbC_-', rpId => 'whatsapp.com',
                      allowCredentials => [ { id => "\x{e4}\"" } ],
                      timeout => 60000, none => undef };

    $waha->scan('tenant-acme', phone => '4915112345678',
                passkey => $challenge);

    my $r = $api->get('acme', "$own/passkey/challenge");
    is($r->{status}, 200, 'the challenge is answered 200') or diag $r->{body};
    is_deeply($r->{json}{data}, $challenge,
              'the challenge is passed on unchanged');

    refused($api->post('acme', "$own/passkey"), 400, 'invalid_request',
            'a passkey without a body');
    refused($api->post('acme', "$own/passkey", 'secret'), 400,
            'invalid_request', 'a passkey that is no JSON');

    my $answer = { id => 'cred', response => { signature => 'x/y+z=',
                                               number => 1.5 } };

    # WAHA may answer a passkey with all that it has of the session

    $waha->fail(match => '^POST .*/passkey$', with => 'status',
                status => 201, body => JSON::PP::encode_json({
                    name => 'tenant-acme', status => 'PASSKEY_REQUIRED',
                    config => { webhooks => [ { hmac =>
                                                { key => 'hmackey' } } ] } }));
    $r = $api->post('acme', "$own/passkey", $answer);
    is($r->{json}{data}{session}, 'tenant-acme',
       'the answer shows the session')
        or diag $r->{body};
    unlike($r->{body}, qr/hmackey|config/,
           'the answer shows no key and no configuration');
    $waha->heal;

    $r = $api->post('acme', "$own/passkey", $answer);
    is($r->{status}, 200, 'the passkey is taken') or diag $r->{body};
    is($r->{json}{data}{status}, 'PASSKEY_CONFIRMATION_REQUIRED',
       'the session waits for a confirmation');
    is_deeply($waha->session('tenant-acme')->{credential}, $answer,
              'WAHA has the passkey unchanged');

    $r = $api->get('acme', "$own/passkey/confirmation");
    is_deeply($r->{json}{data}, { code => 'WXYZ-5678' },
              'the confirmation code is shown');

    $r = $api->post('acme', "$own/passkey/confirm");
    is($r->{status}, 200,
       'the confirmation is answered 200') or diag $r->{body};
    ok($waha->reaches('tenant-acme', 'WORKING'), 'the session works');
};


subtest 'secrets of WAHA' => sub { $api->hides($waha->secrets) };


$t->done;
