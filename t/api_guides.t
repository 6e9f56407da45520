# Routes and answers as clients of the integration guides know them: each
# client finds the members that it reads.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(wait => 2);

$pg->organization($_) for qw(proxy tenant first pair bridge other), 'a b';

my %id = map { $_ => $pg->organization_id($_) } qw(tenant first);

my $api = Waha::Sessions->new($t, wahas => [ $waha ]);
$t->start;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);


# the JSON of an answer, which has to be 200

sub got { return $api->ok(@_) }


sub scanned {
    my ($name) = @_;

    ok($waha->scan($name, phone => '4915112345678', push_name => 'Acme'),
       'the phone scans the QR code');
    $waha->delivered;
}


# GET, POST, DELETE /api/whatsapp/session: data resembles WAHA's

subtest 'guide of the session proxy: /api/whatsapp/session' => sub {
    my $path = '/api/whatsapp/session?organizationSlug=proxy';

    is_deeply(got(proxy => GET => $path), { success => $true, data => {
        success => $true, exists => $false, status => 'STOPPED',
        waha_status => 'NOT_CREATED', me => undef } },
        'without a session the status is STOPPED, which has a button');

    is_deeply(got(proxy => DELETE => $path)->{data}{success}, $true,
              'DELETE without a session succeeds');

    my $data = got(proxy => POST => '/api/whatsapp/session',
                   { organizationSlug => 'proxy' })->{data};
    is($data->{success}, $true, 'POST succeeds');
    is($data->{sessionName}, 'tenant-proxy', 'POST names the session');

    ok($waha->reaches('tenant-proxy', 'SCAN_QR_CODE'),
       'the session waits for a scan');
    $waha->delivered;

    like(got(proxy => GET => '/api/whatsapp/qr?organizationSlug=proxy')
         ->{data}{qr}, qr{^data:image/png;base64,},
         'GET /api/whatsapp/qr has the QR code as a picture');

    $data = got(proxy => GET => $path)->{data};
    is($data->{exists}, $true, 'GET shows that the session exists');
    is($data->{status}, 'SCAN_QR_CODE', 'GET shows SCAN_QR_CODE');

    scanned('tenant-proxy');

    $data = got(proxy => GET => $path)->{data};
    is($data->{status}, 'WORKING', 'GET shows WORKING after the scan');
    is($data->{name}, 'tenant-proxy', 'GET names the session');
    is_deeply($data->{me}, { id => '4915112345678@c.us',
                             pushName => 'Acme' },
              'GET shows the number and the name of the phone');
    ok(!exists $data->{config}, "GET does not show WAHA's configuration");

    # it starts and does not get on

    $waha->status('tenant-proxy', 'STARTING');
    $waha->delivered;
    is(got(proxy => GET => $path)->{data}{status}, 'STARTING',
       'GET shows STARTING');

    $pg->psql("update waha.sessions
                  set status_at = status_at - interval '3 min'");
    $data = got(proxy => GET => $path)->{data};
    is_deeply([ @$data{qw(status waha_status exists)} ],
              [ 'STOPPED', 'STARTING', $true ],
              'after two minutes the status is STOPPED, which has a button');

    $waha->clear_requests;
    is(got(proxy => POST => '/api/whatsapp/session',
           { organizationSlug => 'proxy' })->{data}{status}, 'STARTING',
       'POST shows that it starts again');
    is(scalar(() = $waha->requests('^POST .*/restart$')), 1,
       'POST restarts the session at WAHA');
    ok($waha->reaches('tenant-proxy', 'WORKING'), 'it works again');
    $waha->delivered;

    $data = got(proxy => DELETE => $path)->{data};
    is($data->{success}, $true, 'DELETE succeeds');
    is($waha->session('tenant-proxy')->{me}, undef,
       'DELETE logs the phone out at WAHA');

    $data = got(proxy => GET => $path)->{data};
    is($data->{status}, 'STOPPED', 'GET shows STOPPED after DELETE');
    is($data->{me}, undef, 'GET shows no phone after DELETE');

    refused($api->get('other', $path), 403, 'forbidden',
            'the session of another organization');
    refused($api->get('other', '/api/whatsapp/qr?organizationSlug=other'),
            404, 'unknown_session',
            'the QR code of an organization without a session');
};


# /api/tenants/{organization}/whatsapp/connect, status, disconnect

subtest 'guide of the tenants: /api/tenants/{organization}/whatsapp' => sub {
    my $path = "/api/tenants/$id{tenant}/whatsapp";

    my $r = got(tenant => GET => "$path/status");
    is($r->{connected}, $false, 'status without a session: not connected');
    is($r->{message}, 'WhatsApp is not connected',
       'status without a session: a message says so');

    $r = got(tenant => POST => "$path/disconnect");
    is($r->{success}, $true, 'disconnect without a session succeeds');

    $r = got(tenant => POST => "$path/connect");
    is($r->{success}, $true, 'connect succeeds');
    is($r->{session}, 'tenant-tenant', 'connect names the session');
    like($r->{qr_url}, qr{^/api/whatsapp/qr/[\w.-]+$},
         'connect gives a path of the QR code, without a key');
    ok(length $r->{message}, 'connect has a message');

    ok($waha->reaches('tenant-tenant', 'SCAN_QR_CODE'),
       'the session waits for a scan');
    $waha->delivered;

    $r = $api->get(undef, $r->{qr_url});
    is($r->{headers}{'content-type'}, 'image/png',
       'the QR code is a picture for an img element');

    $r = got(tenant => GET => "$path/status");
    is($r->{connected}, $false, 'status before the scan: not connected');
    is($r->{status}, 'SCAN_QR_CODE', 'status before the scan: SCAN_QR_CODE');
    is($r->{message}, 'Scan the QR code to connect',
       'status before the scan: the message asks for the scan');

    scanned('tenant-tenant');

    $r = got(tenant => GET => '/api/tenants/tenant/whatsapp/status');
    is($r->{connected}, $true,
       'status after the scan, asked by slug: connected');
    is($r->{status}, 'WORKING', 'status after the scan: WORKING');
    is($r->{phone}, '4915112345678', 'status after the scan: the number');
    is($r->{session}, 'tenant-tenant', 'status after the scan: the session');

    ok(!exists got(tenant => POST => "$path/connect")->{qr_url},
       'connect of a connected session has no QR code');

    $r = got(tenant => POST => "$path/disconnect");
    is($r->{success}, $true, 'disconnect succeeds');
    is($r->{connected}, $false, 'disconnect shows that it is not connected');
    ok(length $r->{message}, 'disconnect has a message');
    is($waha->session('tenant-tenant')->{status}, 'STOPPED',
       'disconnect stops the session at WAHA');

    for my $status (qw(FAILED STARTING PASSKEY_REQUIRED HIBERNATING)) {
        $waha->status('tenant-tenant', $status);
        $waha->delivered;

        $r = got(tenant => GET => "$path/status?refresh=1");
        is($r->{status}, $status eq 'HIBERNATING' ? 'UNKNOWN' : $status,
           "status shows $status");
        isnt($r->{message}, 'Scan the QR code to connect',
             "the message for $status does not ask for a scan");
    }

    refused($api->request('other', @$_), 403, 'forbidden',
            "$_->[0] of another organization's WhatsApp")
        for [ GET => "$path/status" ], [ POST => "$path/connect" ],
            [ POST => "$path/disconnect" ];
};


# /api/whatsapp/sessions/{organization}/initialize

subtest 'guide of the companies: .../{organization}/initialize' => sub {
    my $path = "/api/whatsapp/sessions/$id{first}/initialize";

    my $r = got(first => POST => $path, { usePairingCode => $false });
    is($r->{success}, $true, 'initialize succeeds');
    is($r->{session}, 'tenant-first', 'initialize has the session');
    is($r->{sessionId}, 'tenant-first', 'initialize has the session id');
    is($r->{status}, 'STARTING', 'initialize has the status');
    like($r->{qr_url}, qr{^/api/whatsapp/qr/},
         'initialize has the path of the QR code');
    ok(!exists $r->{pairingCode},
       'initialize without usePairingCode has no pairing code');

    $r = got(pair => POST => '/api/whatsapp/sessions/pair/initialize',
             { companyId => 'pair', usePairingCode => $true,
               phoneNumber => '+49 151 12345678' });
    is($r->{pairingCode},
       $waha->session('tenant-pair')->{pairing}{code},
       "initialize with usePairingCode has WAHA's code");

    scanned('tenant-pair');
    $r = got(pair => POST => '/api/whatsapp/sessions/pair/initialize',
             { usePairingCode => $true, phoneNumber => '4915112345678' });
    is($r->{status}, 'WORKING',
       'initialize of a connected session shows WORKING');
    ok(!exists $r->{pairingCode},
       'initialize of a connected session has no pairing code');

    $waha->clear_requests;
    refused($api->post('first', $path, { usePairingCode => $true }), 400,
            'invalid_argument', 'a pairing code without a phone number');
    refused($api->post('first', $path, { usePairingCode => 'perhaps' }), 400,
            'invalid_argument', 'usePairingCode=perhaps');
    refused($api->post('other', $path, {}), 403, 'forbidden',
            'initialize of another organization');
    is(scalar(() = $waha->requests), 0,
       'a refused initialize asks nothing of WAHA');

    my $name = got('a b' => POST => '/api/whatsapp/sessions/a%20b/initialize')
               ->{session};
    like($name, qr/^waha_/,
         'a slug that cannot be a session name gets a generated one');
};


# /connect, /disconnect, /reconnect, /session-status/{id}, /sessions

subtest 'guide of the bridge: /connect, /reconnect, /sessions' => sub {
    my @ids = ('9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d',
               '1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed');

    is_deeply(got(bridge => GET => '/sessions'),
              { success => $true, sessions => [], total => 0 },
              'no sessions at first');

    my $r = got(bridge => POST => '/connect',
                { sessionId => $ids[0], sessionName => 'Sales',
                  phoneNumber => '4915112345678' });
    is($r->{success}, $true, 'connect succeeds');
    is($r->{sessionId}, $ids[0], "connect has the caller's id");
    is($r->{sessionName}, 'Sales', "connect has the caller's name");
    is($r->{status}, 'connecting', 'connect has the status');
    like($r->{qrCode}, qr{^data:image/png;base64,},
         'connect has the QR code, for which it waits');
    is($r->{phoneNumber}, '+4915112345678', "connect has the caller's number");

    my $name = $r->{session};
    scanned($name);

    $r = got(bridge => GET => "/session-status/$ids[0]");
    is($r->{status}, 'connected', 'session-status after the scan: connected');
    is($r->{connected}, $true, 'session-status after the scan: connected');
    is($r->{phoneNumber}, '+4915112345678',
       'session-status after the scan: the number');

    got(bridge => POST => '/connect', { sessionId => $ids[1] });
    is_deeply([ sort map { $_->{sessionId} }
                     @{ got(bridge => GET => '/sessions')->{sessions} } ],
              [ sort @ids ], '/sessions has both ids');

    $waha->clear_requests;
    $r = got(bridge => POST => '/reconnect',
             { sessionId => $ids[0], sessionName => 'Sales' });
    is($r->{sessionId}, $ids[0], "reconnect has the caller's id");
    is(scalar(() = $waha->requests('^POST .*/restart$')), 1,
       'reconnect restarts the session at WAHA once');
    ok($waha->reaches($name, 'WORKING'),
       'the session works again after the restart');

    $r = got(bridge => POST => '/disconnect', { sessionId => $ids[0] });
    is($r->{success}, $true, 'disconnect succeeds');
    is($waha->session($name)->{status}, 'STOPPED',
       'disconnect stops the session at WAHA');
    is($waha->session($name)->{me}, undef, 'disconnect logs the phone out');

    $waha->clear_requests;
    got(bridge => POST => '/reconnect', { sessionId => $ids[0] });
    is(scalar(() = $waha->requests('^POST .*/restart$')), 0,
       'reconnect of a stopped session starts it without a restart');
    ok($waha->reaches($name, 'SCAN_QR_CODE'), 'the session waits for a scan');

    for (qw(/connect /disconnect /reconnect)) {
        refused($api->post('bridge', $_, { sessionName => 'x' }), 400,
                'invalid_argument', "$_ without sessionId");
    }

    refused($api->get('other', "/session-status/$ids[0]"), 404,
            'unknown_session', "session-status of another organization's id");
    refused($api->post('other', '/disconnect', { sessionId => $ids[0] }),
            404, 'unknown_session', "disconnect of another organization's id");

    $r = got(other => POST => '/connect', { sessionId => $ids[0] });
    isnt($r->{session}, $name,
         'the same id of another organization is another session');
};


subtest "an operator calls the guides' routes" => sub {
    my $r = got(operator => POST => '/api/whatsapp/session',
                { organizationSlug => 'tenant' });
    is($r->{data}{sessionName}, 'tenant-tenant',
       'an operator connects the organization that the body names')
        or diag explain $r;

    $r = got(operator => POST => '/api/tenants/a%20b/whatsapp/connect');
    ok(wait_for(sub { $waha->session($r->{session})->{status}
                      eq 'SCAN_QR_CODE' }, 60), 'the session waits for a scan');
    is($api->get('operator', $r->{qr_url})->{headers}{'content-type'},
       'image/png', 'the operator gets the QR code by that path');

    refused($api->get('operator', '/api/whatsapp/session'), 400,
            'invalid_argument', 'an operator who names no organization');
};


subtest 'secrets of WAHA' => sub { $api->hides($waha->secrets) };


$t->done;
