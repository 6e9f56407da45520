# Attacks that succeeded once: each must fail for ever.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(key => 'key-of-one');
my $other = $t->standin(key => 'key-of-two');

$pg->organization($_) for 'acme', 'bolt';

my $api = Waha::Sessions->new($t, wahas => [ $waha, $other ],
                              server => <<'EOF_CONF' =~ s/OPEN/$waha->port/er);
        location /hidden/ {
            internal;
            return 200 '{"hidden":true}';
        }

        location @hidden {
            return 200 '{"hidden":true}';
        }

        location /bare/ {
            rewrite ^/bare(/.*)$ $1? break;
            waha_api;
        }

        location /pages/ {
            error_page 404 = /api/whatsapp/contacts;
            return 404;
        }

        location /known/ {
            set $known acme;
            rewrite ^/known(/.*)$ $1 break;
            waha_api;
            waha_organization $known;
            waha_cors_origin https://crm.example;
        }

        location /file/ {
            internal;
            alias /etc/;
        }

        location /forgetful/ {
            rewrite ^/forgetful(/.*)$ $1 break;
            waha_api;
            waha_instance waha-1 /open/;
        }

        location /open/ {
            proxy_pass http://127.0.0.1:OPEN/;
            proxy_set_header X-Api-Key key-of-one;
        }
EOF_CONF

$t->start;


subtest 'X-Accel-Redirect in an answer of WAHA' => sub {
    my $name = $api->post('acme', '/api/whatsapp/sessions')
                   ->{json}{data}{session};
    my $foreign = $api->post('bolt', '/api/whatsapp/sessions')
                      ->{json}{data}{session};
    is($pg->value("select count(distinct instance) from waha.sessions"), 2,
       'each organization has a WAHA server of its own');

    my $url = $waha->url . $waha->add_file($name, 'a.png', 'x', 'image/png');
    $waha->scan($name, phone => '4915112345678');

    my $file = $t->webhook($t->message(session => $name,
        from => '4915222222222', media => {
            url => $url, mimetype => 'image/png' }))->{json}{data}{activityId};

    $waha->status($name, 'PASSKEY_REQUIRED');

    my $slash = $other->{name};
    my %where = (
        'another WAHA'     => "/$slash/api/sessions?all=true",
        'another session'  => "/$slash/api/sessions/$foreign",
        'itself'           => "/$waha->{name}/api/sessions/$name",
        'a page'           => '/hidden/',
        'a named location' => '@hidden',
        'a file'           => '/file/hostname',
        'the API'          => '/api/whatsapp/contacts',
    );

    for my $to (sort keys %where) {
        for my $path ("/api/whatsapp/media/$file",
                      "/api/whatsapp/sessions/$name/passkey/challenge")
        {
            $waha->heal;
            $waha->fail(match => '/api/files|/challenge', with => 'status',
                status => 200, body => '{}',
                headers => [ [ 'X-Accel-Redirect', $where{$to} ] ]);
            $waha->clear_requests;
            $other->clear_requests;

            my $r = $api->get('acme', $path);
            is($r->{json}{code}, 'waha_invalid_answer',
               "X-Accel-Redirect to $to is refused: $path");
            unlike($r->{body}, qr/hidden|config/,
                   'the answer shows nothing of the place that '
                   . 'X-Accel-Redirect names');
            is($other->requests, 0, 'the other WAHA server is not asked');
            cmp_ok(scalar $waha->requests, '<=', 2,
                   'this WAHA server is not asked for anything else');
        }
    }

    $waha->heal;
    is($api->get('acme', "/api/whatsapp/media/$file")->{body}, 'x',
       'the file is served once the header is gone');

    like($t->error_log, qr/\[error\] .*an answer has "X-Accel-Redirect"/,
         'the refused header is logged as an error');
};


subtest 'a location of WAHA that is not "internal"' => sub {
    $waha->clear_requests;

    for my $path ('/open/api/sessions?all=true', '/open/',
                  '/OPEN/api/sessions', '/x/../open/api/sessions',
                  '//open/api/sessions', '/%6fpen/api/sessions')
    {
        is($t->http->get($path)->{status}, 404, "$path is closed to clients");
    }

    is(scalar(my @none = $waha->requests), 0,
       'no request of a client reaches WAHA');
    is($t->http->get('/opening')->{status}, 401,
       'a location whose name begins alike is not closed');

    my $r = $api->get('acme', '/forgetful/api/whatsapp/sessions/tenant-acme'
                              . '?refresh=1');
    is($r->{status}, 200, 'the API calls WAHA through that location');
    is(scalar(@none = $waha->requests), 1, 'WAHA gets the call of the API');
};


subtest "a page of another site uses nginx's knowledge of a user" => sub {
    my $id = $t->webhook($t->message(session => 'tenant-acme',
        from => '4915233333333'))->{json}{data}{contactId};
    my $talk = "/api/whatsapp/conversations/$id-tenant-acme/read";

    my $own = 'https://localhost';
    my $site = 'Sec-Fetch-Site';

    my %sent = (
        'another site'   => [ 403, $site => 'cross-site' ],
        'another origin' => [ 403, $site => 'same-site' ],
        'another site besides the own origin' =>
            [ 403, $site => [ 'same-origin', 'cross-site' ] ],
        'another host'   => [ 403, Origin => 'https://evil.example' ],
        'a longer name'  => [ 403, Origin => "$own.evil" ],
        'another port'   => [ 403, Origin => "$own:81" ],
        'a file'         => [ 403, Origin => 'null' ],
        'two origins'    => [ 403, Origin => [ $own, 'https://x.example' ] ],
        'the same host'  => [ 200, Origin => $own ],
        'the same origin as the browser says' =>
            [ 200, $site => 'same-origin', Origin => 'https://front.example' ],
        'a user without a page' => [ 200, $site => 'none' ],
        'a client that is no browser' => [ 200 ],
        'an origin in waha_cors_origin' =>
            [ 200, $site => 'cross-site', Origin => 'https://crm.example' ],
    );

    for my $who (sort keys %sent) {
        my ($status, @headers) = @{ $sent{$who} };

        my $r = $api->request(undef, 'POST', "/known$talk", '{}',
                              'Content-Type' => 'text/plain', @headers);
        is($r->{status}, $status, "$who writes: status $status");

        $r = $api->request('acme', 'POST', $talk, '{}', @headers);
        is($r->{status}, 200, "$who writes with a key, which no page has");

        $r = $api->request(undef, 'GET', '/known/api/whatsapp/contacts',
                           undef, @headers);
        is($r->{status}, 200,
           "$who reads, and the browser keeps the answer from other pages");
    }
};


subtest 'a token in the query of a request redirected by nginx' => sub {
    my $token = $api->token('acme');

    for my $path ('/bare/api/whatsapp/contacts', '/pages/x') {
        for my $who (undef, 'acme') {
            my $r = $api->get($who, "$path?token=$token");
            is($r->{status}, 401, "$path?token= is refused");
        }
    }

    unlike($t->error_log, qr/\Q$token\E/, 'the token is not in the error log');
};


subtest 'a flood of requests to the API' => sub {
    my $lock = $pg->session;
    $lock->query('begin; lock waha.api_keys in access exclusive mode');

    my %unknown = %{ bearer('wak_00000000_' . 'a' x 43) };
    my @flood = map { $api->send($t->http, undef, GET =>
        '/api/whatsapp/contacts', undef, %unknown) } 1 .. 60;

    ok(wait_for(sub { $pg->blocked == 2 }, 60),
       'all connections of the API wait for the lock');

    my $http = $t->http;
    my @status = map { $t->webhook($t->message(session => 'tenant-acme',
                           from => '4915244444444'), http => $http)->{status}
                     } 1 .. 20;
    is_deeply(\@status, [ (200) x 20 ],
              'webhooks are taken while the API is flooded');

    $lock->query('rollback');
    $lock->close;

    my @bad = grep { !/^(401|429|503)$/ } map { $_->answer->{status} } @flood;
    is_deeply(\@bad, [], 'the flooding clients are answered in the end');
};


$t->done;
