# Attacks that succeeded once.

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


subtest 'a WAHA server that leads elsewhere' => sub {
    my $name = $api->post('acme', '/api/whatsapp/sessions')
                   ->{json}{data}{session};
    my $foreign = $api->post('bolt', '/api/whatsapp/sessions')
                      ->{json}{data}{session};
    is($pg->value("select count(distinct instance) from waha.sessions"), 2,
       'each has a server of its own');

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
            is($r->{json}{code}, 'waha_invalid_answer', "$to: $path");
            unlike($r->{body}, qr/hidden|config/, 'nothing of it');
            is($other->requests, 0, 'the other WAHA is not asked');
            cmp_ok(scalar $waha->requests, '<=', 2, 'nor is this one again');
        }
    }

    $waha->heal;
    is($api->get('acme', "/api/whatsapp/media/$file")->{body}, 'x',
       'a file is still served');

    like($t->error_log, qr/\[error\] .*WAHA's answer has "X-Accel-Redirect"/,
         'an operator is told');
};


subtest 'a location of WAHA without "internal"' => sub {
    $waha->clear_requests;

    for my $path ('/open/api/sessions?all=true', '/open/',
                  '/OPEN/api/sessions', '/x/../open/api/sessions',
                  '//open/api/sessions', '/%6fpen/api/sessions')
    {
        is($t->http->get($path)->{status}, 404, "$path is closed");
    }

    is(scalar(my @none = $waha->requests), 0, 'WAHA is not asked');
    is($t->http->get('/opening')->{status}, 401, 'its neighbour is not');

    my $r = $api->get('acme', '/forgetful/api/whatsapp/sessions/tenant-acme'
                              . '?refresh=1');
    is($r->{status}, 200, 'calls go there');
    is(scalar(@none = $waha->requests), 1, 'and arrive');
};


subtest 'a page of another origin' => sub {
    my $id = $t->webhook($t->message(session => 'tenant-acme',
        from => '4915233333333'))->{json}{data}{contactId};
    my $talk = "/api/whatsapp/conversations/$id-tenant-acme/read";

    my %sent = (
        'another site'        => [ 403, 'Sec-Fetch-Site' => 'cross-site' ],
        'another origin'      => [ 403, 'Sec-Fetch-Site' => 'same-site' ],
        'it and what is ours' => [ 403, 'Sec-Fetch-Site' => [
                                        'same-origin', 'cross-site' ] ],
        'another host'        => [ 403, Origin => 'https://evil.example' ],
        'a longer name'       => [ 403, Origin => 'https://localhost.evil' ],
        'another port'        => [ 403, Origin => 'https://localhost:81' ],
        'a file'              => [ 403, Origin => 'null' ],
        'two origins'         => [ 403, Origin => [ 'https://localhost',
                                                    'https://x.example' ] ],
        'the same host'       => [ 200, Origin => 'https://localhost' ],
        'the same origin'     => [ 200, 'Sec-Fetch-Site' => 'same-origin',
                                   Origin => 'https://front.example' ],
        'no page'             => [ 200, 'Sec-Fetch-Site' => 'none' ],
        'no browser'          => [ 200 ],
        'one that is named'   => [ 200, 'Sec-Fetch-Site' => 'cross-site',
                                   Origin => 'https://crm.example' ],
    );

    for my $who (sort keys %sent) {
        my ($status, @headers) = @{ $sent{$who} };

        my $r = $api->request(undef, 'POST', "/known$talk", '{}',
                              'Content-Type' => 'text/plain', @headers);
        is($r->{status}, $status, "$who writes for a known browser");

        $r = $api->request('acme', 'POST', $talk, '{}', @headers);
        is($r->{status}, 200, "$who with a key, which no browser has");

        $r = $api->request(undef, 'GET', '/known/api/whatsapp/contacts',
                           undef, @headers);
        is($r->{status}, 200, "$who asks: no other page reads the answer");
    }
};


subtest 'a token in a query that is taken away' => sub {
    my $token = $api->token('acme');

    for my $path ('/bare/api/whatsapp/contacts', '/pages/x') {
        for my $who (undef, 'acme') {
            my $r = $api->get($who, "$path?token=$token");
            is($r->{status}, 401, "$path is refused");
        }
    }

    unlike($t->error_log, qr/\Q$token\E/, 'the log does not learn it');
};


subtest 'a flood of the API' => sub {
    my $lock = $pg->session;
    $lock->query('begin; lock waha.api_keys in access exclusive mode');

    my %unknown = %{ bearer('wak_00000000_' . 'a' x 43) };
    my @flood = map { $api->send($t->http, undef, GET =>
        '/api/whatsapp/contacts', undef, %unknown) } 1 .. 60;

    ok(wait_for(sub { $pg->blocked == 2 }, 5),
       'all connections of the API wait');

    my $http = $t->http;
    my @status = map { $t->webhook($t->message(session => 'tenant-acme',
                           from => '4915244444444'), http => $http)->{status}
                     } 1 .. 20;
    is_deeply(\@status, [ (200) x 20 ], 'webhooks are taken meanwhile');

    $lock->query('rollback');
    $lock->close;

    my @bad = grep { !/^(401|503)$/ } map { $_->answer->{status} } @flood;
    is_deeply(\@bad, [], 'who waited is answered');
};


$t->done;
