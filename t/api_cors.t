# Pages of other origins: only those of waha_cors_origin may read answers.

use Waha::Test;
use Waha::Api;

my $t = Waha::Test->new;
$t->postgres->organization('acme', session => 't1');

my $api = Waha::Api->new($t, server => <<'EOF_CONF');
        location /shared/ {
            rewrite ^/shared(/.*)$ $1 break;
            waha_api;
            waha_cors_origin https://crm.example.com http://localhost:3000;
        }
EOF_CONF

$t->start;

my $path = '/shared/api/whatsapp/contacts';


sub cors {
    my ($r) = @_;
    return grep { /^access-control/ } sort keys %{ $r->{headers} };
}


subtest 'an origin that is allowed' => sub {
    for my $origin ('https://crm.example.com', 'http://localhost:3000') {
        my $r = $api->get('acme', $path, undef, Origin => $origin);

        is($r->{status}, 200, "$origin is answered");
        is($r->{headers}{'access-control-allow-origin'}, $origin,
           'and may read it');
        like($r->{headers}{vary} // '', qr/Origin/, 'caches are told');
        is($r->{headers}{'access-control-allow-credentials'}, undef,
           'cookies do not count');
    }

    my $r = $api->get(undef, $path, undef,
                      Origin => 'https://crm.example.com');
    is($r->{status}, 401, 'without credentials it is refused');
    is($r->{headers}{'access-control-allow-origin'},
       'https://crm.example.com', 'and may read that');
};


subtest 'a preflight' => sub {
    my $r = $api->request(undef, 'OPTIONS', $path, undef,
        Origin => 'https://crm.example.com',
        'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Headers' => 'authorization');

    is($r->{status}, 204, 'passes without credentials');
    is($r->{body}, '', 'without a body');
    is($r->{headers}{'access-control-allow-origin'},
       'https://crm.example.com', 'names the origin');
    is($r->{headers}{'access-control-allow-methods'},
       'GET, HEAD, POST, PUT, DELETE', 'methods');
    is($r->{headers}{'access-control-allow-headers'},
       'Authorization, Content-Type', 'headers');
    ok($r->{headers}{'access-control-max-age'} > 0, 'and how long it holds');

    $r = $api->request(undef, 'OPTIONS', $path, '{"a":1}',
                       Origin => 'https://crm.example.com');
    is($r->{status}, 204, 'a body does no harm');
    is($api->get('acme', $path)->{status}, 200, 'the connection goes on');
};


subtest 'other origins' => sub {
    for my $origin ('https://evil.example.com', 'null',
                    'https://crm.example.com.evil.com',
                    'https://crm.example.com:8443', 'http://crm.example.com',
                    'https://CRM.example.com')
    {
        my $r = $api->get('acme', $path, undef, Origin => $origin);
        is($r->{status}, 200, "$origin is answered");
        is_deeply([ cors($r) ], [], 'but no page may read it');

        $r = $api->request(undef, 'OPTIONS', $path, undef,
                           Origin => $origin);
        is_deeply([ cors($r) ], [], 'nor send');
    }

    my $r = $api->get('acme', $path, undef, Origin =>
        [ 'https://crm.example.com', 'https://evil.example.com' ]);
    is_deeply([ cors($r) ], [], 'two origins are none');
};


subtest 'switched off' => sub {
    my $r = $api->get('acme', '/api/whatsapp/contacts', undef,
                      Origin => 'https://crm.example.com');
    is($r->{status}, 200, 'answered');
    is_deeply([ cors($r) ], [], 'no page may read it');

    $r = $api->request(undef, 'OPTIONS', '/api/whatsapp/contacts', undef,
                       Origin => 'https://crm.example.com');
    is($r->{status}, 401, 'OPTIONS needs credentials');

    $r = $api->request('acme', 'OPTIONS', '/api/whatsapp/contacts');
    is($r->{status}, 405, 'and is no method then');
    is($r->{headers}{allow}, 'GET, HEAD', 'what is allowed is told');
};

$t->done;
