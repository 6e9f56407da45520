# The clients of the integration guides, as their code reads the answers: what
# they show, and which of their buttons leads on.

use Digest::SHA qw(hmac_sha256_hex);
use MIME::Base64 qw(decode_base64url encode_base64url);

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(wait => 2);

$pg->organization('acme', session => 't1');
$pg->organization($_) for qw(other proxy tenant bridge), 'a b';
$pg->organization($_, enabled => 0) for qw(asleep resting);

my $api = Waha::Sessions->new($t, wahas => [ $waha ], server => <<'EOF_CONF');
        location /enabling/ {
            rewrite ^/enabling(/.*)$ $1 break;
            waha_api;
            waha_connect_enables on;
        }

        location /bound/ {
            rewrite ^/bound(/.*)$ $1 break;
            waha_api;
            waha_hmac_key hmac.key instance=another;
            waha_hmac_key new.key;
        }

        location /rotated/ {
            rewrite ^/rotated(/.*)$ $1 break;
            waha_api;
            waha_hmac_key hmac.key;
            waha_hmac_key new.key;
        }
EOF_CONF
$t->nginx->write('new.key', 'newkey');
$t->start;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);


# ContactActivity.jsx: data.data is the list; each row has activity_type,
# direction, message_content, subject, metadata.has_media and created_at

subtest 'the activity tab of a contact' => sub {
    my $id = $t->webhook($t->message(session => 't1', from => 4915112345678,
        text => 'a question', id => 'Q1'))->{json}{data}{contactId};

    $t->webhook($t->message(session => 't1', from => 4915112345678,
        id => 'Q2', text => 'a photo', media => { mimetype => 'image/png',
            url => $waha->url . '/api/files/t1/a.png', filename => undef }));

    my $by_crm = 'insert into contact_activities (organization_slug,
        contact_id, activity_type, subject, message_content, created_by,
        metadata)';
    $pg->psql("$by_crm values ('acme', $id, 'note', 'A visit',
        'wants a quote', 7, '{\"n\": 12345678901234567890}')");
    $pg->psql("$by_crm values ('acme', $id, 'meeting', null, 'at ten',
        null, null)");

    my $path = "/api/contacts/$id/activities?org=acme";
    my $r = $api->ok('acme', GET => $path);

    is(ref $r->{data}, 'ARRAY', 'data is the list that the client maps over');
    is($r->{next}, undef, 'next stands beside data');

    my %row = map { $_->{message_content} => $_ } @{ $r->{data} };

    is_deeply([ map { $_->{activity_type} } @{ $r->{data} } ],
              [ qw(meeting note whatsapp_message whatsapp_message) ],
              'the list has activities of all types, the newest first');
    is_deeply([ map { $row{'a question'}{$_} }
                    qw(direction subject session_name organization_slug) ],
              [ 'inbound', undef, 't1', 'acme' ],
              'a message has the columns of the table');
    is($row{'a photo'}{metadata}{has_media}, $true,
       'a message with a file says so in its metadata');
    is($row{'a photo'}{metadata}{media_url},
       "/api/whatsapp/media/$row{'a photo'}{id}",
       "the URL of the file is the API's, not WAHA's");
    is_deeply([ @{ $row{'wants a quote'} }{qw(subject created_by)} ],
              [ 'A visit', 7 ], "a note has the CRM's subject and author");
    is_deeply([ grep { ($_->{created_at} // '')
                       !~ /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z$/ }
                @{ $r->{data} } ], [], 'each activity has a time');

    like($api->get('acme', $path)->{body}, qr/12345678901234567890/,
         "the CRM's numbers keep their digits");

    for my $type (qw(whatsapp_message note call)) {
        is_deeply([ grep { $_->{activity_type} ne $type }
                    @{ $api->ok('acme', GET => "$path&type=$type")->{data} } ],
                  [], "the tab $type has nothing else");
    }

    my @pages;
    my $after = '';

    for (1 .. 4) {
        my $page = $api->ok('acme', GET => "$path&limit=1$after");
        push @pages, map { $_->{id} } @{ $page->{data} };
        $after = '&after=' . ($page->{next} // last);
    }

    is_deeply(\@pages, [ map { $_->{id} } @{ $r->{data} } ],
              'pages by next have all rows once');
    is_deeply($api->ok('acme', GET => "$path&limit=2&offset=2")->{data},
              [ @{ $r->{data} }[2, 3] ], 'limit and offset choose rows');

    is_deeply($api->ok('acme', GET => "$path&type=email")->{data}, [],
              'no rows are an empty list');
    refused($api->get('other', "/api/contacts/$id/activities"), 404,
            'unknown_contact', "another organization's contact");
    is(ref $api->ok('acme',
           GET => "/api/whatsapp/contacts/$id/activities")
       ->{data}{activities}, 'ARRAY', "the module's own route keeps its form");
};


# WhatsAppSettings.jsx: data.data.status; a button to connect for STOPPED and
# UNKNOWN only, a spinner for STARTING, the QR code for SCAN_QR_CODE

subtest 'the settings page of an organization' => sub {
    my $path = '/api/whatsapp/session?organizationSlug=proxy';
    my %button = (STOPPED => 1, UNKNOWN => 1);
    my $name = 'tenant-proxy';

    my $data = $api->ok('proxy', GET => $path)->{data};
    ok($button{$data->{status}}, 'there is a button before the first session');
    is($data->{exists}, $false, 'the session does not exist');

    $api->ok('proxy', POST => $path);
    ok($waha->reaches($name, 'SCAN_QR_CODE'), 'the button leads to a QR code');

    for my $status (qw(FAILED STOPPED PASSKEY_REQUIRED
                       PASSKEY_CONFIRMATION_REQUIRED))
    {
        $waha->status($name, $status);
        $waha->delivered;

        $data = $api->ok('proxy', GET => "$path&refresh=1")->{data};
        ok($button{$data->{status}}, "there is a button in $status");
        is($data->{waha_status}, $status, "waha_status is $status");
        is($data->{exists}, $true, 'the session exists');

        $api->ok('proxy', POST => $path);
        ok($waha->reaches($name, 'SCAN_QR_CODE'),
           "the button leads on from $status");
    }

    $waha->status($name, 'HIBERNATING');
    $waha->delivered;
    ok($button{ $api->ok('proxy', GET => "$path&refresh=1")
                    ->{data}{status} }, 'there is a button in a new status');

    # the module's own clients can show a passkey: connect leaves it alone

    $waha->status($name, 'PASSKEY_REQUIRED');
    $waha->delivered;
    $waha->clear_requests;
    $api->ok('proxy', POST => '/api/whatsapp/sessions');
    is(scalar(() = $waha->requests('^POST .*/restart$')), 0,
       'the own route does not restart a session that waits for a passkey');
};


subtest 'waha_connect_enables' => sub {
    my $path = '/api/whatsapp/session?organizationSlug=asleep';

    refused($api->post('asleep', $path), 404, 'disabled_organization',
            'POST for a disabled organization');

    $api->ok('asleep', POST => "/enabling$path");
    is($pg->value("select whatsapp_enabled from organizations
                   where slug = 'asleep'"), 't',
       'POST of a session has enabled the organization');
    $api->ok('asleep', POST => $path);

    refused($api->post('resting:read', '/enabling/api/whatsapp/session'), 403,
            'forbidden', 'POST with a key that may only read');
    $api->get('resting', '/enabling/api/whatsapp/session');
    is($pg->value("select whatsapp_enabled from organizations
                   where slug = 'resting'"), 'f',
       'GET of a session enables nothing');
};


# <Image src={qr_url}>, which sends no credentials and asks once

my $png = qr/^\x89PNG\r\n\x1a\n/;

subtest 'the QR code in an <img>' => sub {
    my $path = '/api/tenants/tenant/whatsapp';
    my $url = $api->ok('tenant', POST => "$path/connect")->{qr_url};

    my $r = $api->get(undef, $url);
    is($r->{status}, 200, 'the picture comes without credentials, once the '
                          . 'session has started');
    like($r->{body}, $png, 'it is a picture');
    is($r->{headers}{'content-type'}, 'image/png', 'its type says so');
    is($r->{headers}{'cache-control'}, 'no-store', 'no cache may keep it');

    is($api->request(undef, 'HEAD', $url)->{status}, 200, 'HEAD is answered');
    refused($api->post(undef, $url), 401, 'unauthorized', 'POST of the path');

    for my $other (link_of(undef, 'tenant-tenant', 'proxy'),
                   link_of(undef, 'tenant-proxy', 'tenant'))
    {
        refused($api->get(undef, $other), 404, 'unknown_session',
                'a link for a session of another organization');
    }

    refused($api->get(undef, $_->[1]), 401, 'unauthorized', $_->[0]) for
        [ 'a link that is too old' => link_of(time - 1) ],
        [ 'a link signed with another key' => link_of(undef, 'tenant-tenant',
                                                      'tenant', 'newkey') ],
        [ 'a link without a signature' => $url =~ s/\..*//r ],
        [ 'a link with a short signature' => $url =~ s/.$//r ],
        [ 'a link with another time' => $url =~ s{qr/.}{qr/N}r ],
        [ 'a link with bytes that are no code' => $url =~ s{qr/}{qr/*}r ],
        [ 'a link of nothing' => '/api/whatsapp/qr/.' ],
        [ 'an empty text, signed' => sign('') ],
        [ 'a text of one line, signed' => sign(time + 60) ],
        [ 'no time, signed' => sign("x\ntenant-tenant\ntenant") ];

    refused($api->get(undef, $url =~ s{/qr/}{/sessions/}r), 401,
            'unauthorized', 'the link on another route');

    is($api->ok('tenant:read', GET => "$path/status")->{qr_url}, undef,
       'who may only read gets no link');
    like($api->ok('tenant', GET => "$path/status")->{qr_url}, qr{/qr/},
         'who may write does');

    is($api->get(undef, "/rotated$url")->{status}, 200,
       'a link holds while its key is rotated');
    my $new = $api->ok('tenant', GET => "/rotated$path/status")->{qr_url};
    is($new, link_of($new, 'tenant-tenant', 'tenant', 'newkey'),
       'the newest key signs');
    is($api->get(undef, "/rotated$new")->{status}, 200, 'its links are valid');
    refused($api->get(undef, "/bound$url"), 403, 'forbidden',
            'a link signed with the key of another WAHA server');

    $waha->scan('tenant-tenant', phone => '4915112345678');
    $waha->delivered;
    refused($api->get(undef, $url), 409, 'no_qr',
            'the link of a session that is connected');

    my $spaced = $api->ok('a b',
        POST => '/api/tenants/a%20b/whatsapp/connect')->{qr_url};
    is($api->get(undef, $spaced)->{status}, 200,
       'the slug of an organization may have a space');
};


# init-companies.js calls it for each company of its list

subtest 'initialize of a company that nobody knows' => sub {
    my $path = '/api/whatsapp/sessions';

    my $r = $api->ok('operator', POST => "$path/salon-1/initialize",
                     { usePairingCode => $false });
    is($r->{session}, 'tenant-salon-1', 'an operator makes the organization');
    is($pg->value("select whatsapp_enabled from organizations
                   where slug = 'salon-1'"), 't', 'which is enabled');

    $api->ok('operator', POST => "$path/salon-1/initialize", {});
    $api->ok('operator', POST => "$path/962302/initialize",
             { companyId => 962302 });
    is($pg->value("select count(*) from organizations
                   where slug in ('salon-1', '962302')"), 2,
       'each is made once, also one whose name is a number');

    refused($api->post('operator', "$path/salon-2/initialize",
                       { companyId => $_ }), 403, 'forbidden',
            "a body that names another company: $_") for qw(salon-3 acme);
    refused($api->post('operator', "$path/salon-2/initialize?org=acme"), 403,
            'forbidden', 'a query that names another company');
    refused($api->post('acme', "$path/salon-2/initialize"), 403, 'forbidden',
            "a tenant's initialize of a company that nobody knows");
    refused($api->post('operator', '/api/tenants/salon-2/whatsapp/connect'),
            404, 'unknown_organization', 'another route');
    is($pg->value("select count(*) from organizations
                   where slug like 'salon-_'"), 1, 'none of them made one');

    $r = $api->post('operator', "$path/a%20c/initialize");
    refused($r, 400, 'invalid_argument', 'a name that cannot be a slug');
    is($r->{json}{data}{argument}, 'organization', 'the answer names it');
};


# the accounts page reads qrCode of /connect and /reconnect; status is
# connected, connecting or disconnected, phoneNumber begins with "+"

subtest 'the accounts page' => sub {
    my $id = '9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d';
    my $number = '+49 151 12345678';
    my %body = (sessionId => $id, sessionName => 'Sales',
                phoneNumber => $number);

    my $r = $api->ok('bridge', POST => '/connect', \%body);
    my $name = $r->{session};
    like($r->{qrCode}, qr{^data:image/png;base64,},
         'connect waits for the QR code');
    is_deeply([ @$r{qw(sessionId sessionName phoneNumber status)} ],
              [ $id, 'Sales', '+4915112345678', 'connecting' ],
              'connect has the members of the guide');
    ok(length $r->{message}, 'connect has a message');

    $r = $api->ok('bridge', GET => "/session-status/$id");
    is_deeply([ @$r{qw(sessionId sessionName phoneNumber status)} ],
              [ $id, 'Sales', '+4915112345678', 'connecting' ],
              'session-status has them, too');
    like($r->{createdAt}, qr/^20\d\d-.*Z$/, 'session-status has a time');
    like($r->{qrCode}, qr{^data:image/png;base64,},
         'session-status has the QR code');
    is($api->ok('bridge:read', GET => "/session-status/$id")->{qrCode}, undef,
       'who may only read gets no QR code');

    $waha->scan($name, phone => '4917000000001');
    $waha->delivered;
    $r = $api->ok('bridge', GET => "/session-status/$id");
    is_deeply([ @$r{qw(status phoneNumber qrCode)} ],
              [ 'connected', '+4917000000001', undef ],
              'after the scan it is connected, with the number that it was');

    my %shown = (STOPPED => 'disconnected', FAILED => 'disconnected',
                 STARTING => 'connecting', PASSKEY_REQUIRED => 'disconnected',
                 HIBERNATING => 'disconnected');

    for my $status (sort keys %shown) {
        $waha->status($name, $status);
        $waha->delivered;
        $r = $api->ok('bridge', GET => "/session-status/$id?refresh=1");
        is($r->{status}, $shown{$status}, "$status is $shown{$status}");
        is($r->{data}{status}, $status eq 'HIBERNATING' ? 'UNKNOWN' : $status,
           "data has the status of WAHA, $status");
    }

    $r = $api->ok('bridge', GET => '/sessions');
    is($r->{total}, 1, 'sessions has a total');
    is_deeply([ sort grep { /^(sessionId|status|sessionName|phoneNumber|
                               createdAt)$/x } keys %{ $r->{sessions}[0] } ],
              [ qw(createdAt phoneNumber sessionId sessionName status) ],
              'each session has the members of the guide');

    $api->ok('bridge', POST => '/disconnect', { sessionId => $id });
    like($api->ok('bridge', POST => '/reconnect', { sessionId => $id })
         ->{qrCode}, qr{^data:image/png;base64,},
         'reconnect waits for the QR code');
    is($api->ok('bridge', GET => "/session-status/$id")->{phoneNumber},
       '+4915112345678', 'the number that the client named is kept');

    my $bad = $api->post('bridge', '/connect',
                         { %body, phoneNumber => 'mine' });
    refused($bad, 400, 'invalid_argument', 'a number that is none');
    is($bad->{json}{data}{argument}, 'phoneNumber', 'the answer names it');

    # the token of the platform, which acts for all users

    refused($api->post('operator', '/connect', \%body), 400,
            'invalid_argument', 'a platform that names no user');

    for my $member (qw(user_id userId)) {
        is($api->ok('operator', POST => '/connect',
                    { %body, $member => 'bridge' })->{session}, $name,
           "a platform that names the user as $member");
    }

    is($api->ok('operator', GET => "/session-status/$id?user_id=bridge")
       ->{session}, $name, 'a platform that names the user in the query');
    refused($api->post('other', '/connect', { %body, user_id => 'bridge' }),
            403, 'forbidden', "another user's session");
};


$t->done;


# a path of ngx_http_waha_qr_link.c; time: or a link that has it

sub link_of {
    my ($time, $session, $organization, $key) = @_;

    ($time) = decode_base64url($time =~ m{/qr/([\w-]+)}) =~ /(\d+)/
        if ($time // '') =~ m{/};

    return sign(join("\n", $time // time + 60, $session // 'tenant-tenant',
                     $organization // 'tenant'), $key);
}


sub sign {
    my ($text, $key) = @_;

    return '/api/whatsapp/qr/' . encode_base64url($text) . '.'
           . hmac_sha256_hex("waha qr\n$text", $key // 'hmackey');
}
