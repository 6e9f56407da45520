# Routes and answers as clients of the guides know them: each reads what it
# is used to.

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
       'the phone scans it');
    $waha->delivered;
}


# GET, POST, DELETE /api/whatsapp/session: data resembles WAHA's

subtest 'the session of an organization' => sub {
    my $path = '/api/whatsapp/session?organizationSlug=proxy';

    is_deeply(got(proxy => GET => $path), { success => $true, data => {
        success => $true, exists => $false, status => 'NOT_CREATED',
        me => undef } }, 'before there is any');

    is_deeply(got(proxy => DELETE => $path)->{data}{success}, $true,
              'it can be disconnected');

    my $data = got(proxy => POST => '/api/whatsapp/session',
                   { organizationSlug => 'proxy' })->{data};
    is($data->{success}, $true, 'success');
    is($data->{sessionName}, 'tenant-proxy', 'its name');

    ok($waha->reaches('tenant-proxy', 'SCAN_QR_CODE'), 'a code to scan');
    $waha->delivered;

    like(got(proxy => GET => '/api/whatsapp/qr?organizationSlug=proxy')
         ->{data}{qr}, qr{^data:image/png;base64,}, 'is shown');

    $data = got(proxy => GET => $path)->{data};
    is($data->{exists}, $true, 'it exists');
    is($data->{status}, 'SCAN_QR_CODE', 'with its status');

    scanned('tenant-proxy');

    $data = got(proxy => GET => $path)->{data};
    is($data->{status}, 'WORKING', 'it works');
    is($data->{name}, 'tenant-proxy', 'its name');
    is_deeply($data->{me}, { id => '4915112345678@c.us',
                             pushName => 'Acme' }, 'who it is');
    ok(!exists $data->{config}, 'nothing of its configuration');

    $data = got(proxy => DELETE => $path)->{data};
    is($data->{success}, $true, 'it is disconnected');
    is($waha->session('tenant-proxy')->{me}, undef, 'the phone, too');

    $data = got(proxy => GET => $path)->{data};
    is($data->{status}, 'STOPPED', 'it has stopped');
    is($data->{me}, undef, 'nobody');

    refused($api->get('other', $path), 403, 'forbidden',
            'another organization sees nothing');
    refused($api->get('other', '/api/whatsapp/qr?organizationSlug=other'),
            404, 'unknown_session', 'a QR code of no session');
};


# /api/tenants/{organization}/whatsapp/connect, status, disconnect

subtest 'the WhatsApp of a tenant' => sub {
    my $path = "/api/tenants/$id{tenant}/whatsapp";

    my $r = got(tenant => GET => "$path/status");
    is($r->{connected}, $false, 'it is not connected');
    is($r->{message}, 'WhatsApp is not connected', 'which it says');

    $r = got(tenant => POST => "$path/disconnect");
    is($r->{success}, $true, 'it can be disconnected');

    $r = got(tenant => POST => "$path/connect");
    is($r->{success}, $true, 'it is connected');
    is($r->{session}, 'tenant-tenant', 'its session');
    is($r->{qr_url}, '/api/whatsapp/sessions/tenant-tenant/qr',
       'where the code is: here, without a key');
    ok(length $r->{message}, 'what to do');

    ok($waha->reaches('tenant-tenant', 'SCAN_QR_CODE'), 'a code to scan');
    $waha->delivered;

    $r = $api->request('tenant', 'GET', $r->{qr_url}, undef,
                       Accept => 'image/*');
    is($r->{headers}{'content-type'}, 'image/png', 'is shown');

    $r = got(tenant => GET => "$path/status");
    is($r->{connected}, $false, 'it waits');
    is($r->{status}, 'SCAN_QR_CODE', 'for the phone');
    is($r->{message}, 'Scan the QR code to connect', 'which it says');

    scanned('tenant-tenant');

    $r = got(tenant => GET => '/api/tenants/tenant/whatsapp/status');
    is($r->{connected}, $true, 'it is connected, by the slug as well');
    is($r->{status}, 'WORKING', 'its status');
    is($r->{phone}, '4915112345678', 'its number');
    is($r->{session}, 'tenant-tenant', 'its session');

    ok(!exists got(tenant => POST => "$path/connect")->{qr_url},
       'no code is needed any more');

    $r = got(tenant => POST => "$path/disconnect");
    is($r->{success}, $true, 'it is disconnected');
    is($r->{connected}, $false, 'as it says');
    ok(length $r->{message}, 'and tells');
    is($waha->session('tenant-tenant')->{status}, 'STOPPED', 'at WAHA, too');

    for my $status (qw(FAILED STARTING PASSKEY_REQUIRED HIBERNATING)) {
        $waha->status('tenant-tenant', $status);
        $waha->delivered;

        $r = got(tenant => GET => "$path/status?refresh=1");
        is($r->{status}, $status, "it tells $status");
        isnt($r->{message}, 'Scan the QR code to connect',
             'as what it is');
    }

    refused($api->request('other', @$_), 403, 'forbidden', "$_->[0] by others")
        for [ GET => "$path/status" ], [ POST => "$path/connect" ],
            [ POST => "$path/disconnect" ];
};


# /api/whatsapp/sessions/{organization}/initialize

subtest 'a company is initialized' => sub {
    my $path = "/api/whatsapp/sessions/$id{first}/initialize";

    my $r = got(first => POST => $path, { usePairingCode => $false });
    is($r->{success}, $true, 'success');
    is($r->{session}, 'tenant-first', 'its session');
    is($r->{sessionId}, 'tenant-first', 'its id');
    is($r->{status}, 'STARTING', 'its status');
    is($r->{qr_url}, '/api/whatsapp/sessions/tenant-first/qr', 'the code');
    ok(!exists $r->{pairingCode}, 'no pairing code');

    $r = got(pair => POST => '/api/whatsapp/sessions/pair/initialize',
             { companyId => 'pair', usePairingCode => $true,
               phoneNumber => '+49 151 12345678' });
    is($r->{pairingCode},
       $waha->session('tenant-pair')->{pairing}{code},
       'a pairing code in the first answer');

    scanned('tenant-pair');
    $r = got(pair => POST => '/api/whatsapp/sessions/pair/initialize',
             { usePairingCode => $true, phoneNumber => '4915112345678' });
    is($r->{status}, 'WORKING', 'a session that works');
    ok(!exists $r->{pairingCode}, 'needs none');

    $waha->clear_requests;
    refused($api->post('first', $path, { usePairingCode => $true }), 400,
            'invalid_argument', 'a pairing code for no number');
    refused($api->post('first', $path, { usePairingCode => 'perhaps' }), 400,
            'invalid_argument', 'perhaps a pairing code');
    refused($api->post('other', $path, {}), 403, 'forbidden', 'of others');
    is(scalar(() = $waha->requests), 0, 'and nothing is done');

    my $name = got('a b' => POST => '/api/whatsapp/sessions/a%20b/initialize')
               ->{session};
    like($name, qr/^waha_/, 'an organization whose slug is no name');
};


# /connect, /disconnect, /reconnect, /session-status/{id}, /sessions

subtest 'sessions under ids of the caller' => sub {
    my @ids = ('9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d',
               '1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed');

    is_deeply(got(bridge => GET => '/sessions'),
              { success => $true, sessions => [] }, 'none at first');

    my $r = got(bridge => POST => '/connect',
                { sessionId => $ids[0], sessionName => 'Sales',
                  phoneNumber => '4915112345678' });
    is($r->{success}, $true, 'success');
    is($r->{sessionId}, $ids[0], 'the id of the caller');
    is($r->{sessionName}, 'Sales', 'and the name');
    is($r->{status}, 'STARTING', 'its status');
    is($r->{qr_url}, "/api/whatsapp/sessions/$r->{session}/qr",
       'where the code is');

    my $name = $r->{session};
    scanned($name);

    $r = got(bridge => GET => "/session-status/$ids[0]");
    is($r->{status}, 'WORKING', 'it works');
    is($r->{connected}, $true, 'it is connected');
    is($r->{phoneNumber}, '4915112345678', 'with the number');

    got(bridge => POST => '/connect', { sessionId => $ids[1] });
    is_deeply([ sort map { $_->{sessionId} }
                     @{ got(bridge => GET => '/sessions')->{sessions} } ],
              [ sort @ids ], 'both are listed');

    $waha->clear_requests;
    $r = got(bridge => POST => '/reconnect',
             { sessionId => $ids[0], sessionName => 'Sales' });
    is($r->{sessionId}, $ids[0], 'it is connected anew');
    is(scalar(() = $waha->requests('^POST .*/restart$')), 1, 'restarted');
    ok($waha->reaches($name, 'WORKING'), 'it works again');

    $r = got(bridge => POST => '/disconnect', { sessionId => $ids[0] });
    is($r->{success}, $true, 'it is disconnected');
    is($waha->session($name)->{status}, 'STOPPED', 'stopped');
    is($waha->session($name)->{me}, undef, 'and logged out');

    $waha->clear_requests;
    got(bridge => POST => '/reconnect', { sessionId => $ids[0] });
    is(scalar(() = $waha->requests('^POST .*/restart$')), 0,
       'what is started needs no restart');
    ok($waha->reaches($name, 'SCAN_QR_CODE'), 'a code to scan');

    for (qw(/connect /disconnect /reconnect)) {
        refused($api->post('bridge', $_, { sessionName => 'x' }), 400,
                'invalid_argument', "$_ without an id");
    }

    refused($api->get('other', "/session-status/$ids[0]"), 404,
            'unknown_session', 'others do not see it');
    refused($api->post('other', '/disconnect', { sessionId => $ids[0] }),
            404, 'unknown_session', 'nor end it');

    $r = got(other => POST => '/connect', { sessionId => $ids[0] });
    isnt($r->{session}, $name, 'the same id of others is another session');
};


subtest 'an operator' => sub {
    my $r = got(operator => POST => '/api/whatsapp/session',
                { organizationSlug => 'tenant' });
    is($r->{data}{sessionName}, 'tenant-tenant',
       'connects for an organization') or diag explain $r;

    $r = got(operator => POST => '/api/tenants/a%20b/whatsapp/connect');
    like($r->{qr_url}, qr{/qr\?organization=a%20b$},
         'gets an address that names it');
    ok(wait_for(sub { $waha->session($r->{session})->{status}
                      eq 'SCAN_QR_CODE' }, 5), 'a code to scan');
    like(got(operator => GET => $r->{qr_url})->{data}{qr}, qr/^data:/,
         'which works');

    refused($api->get('operator', '/api/whatsapp/session'), 400,
            'invalid_argument', 'has to name one');
};


subtest 'nothing of WAHA is told' => sub { $api->hides($waha->secrets) };


$t->done;
