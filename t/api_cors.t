# CORS: only pages of the origins in waha_cors_origin may read answers.

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


subtest 'an origin that waha_cors_origin allows' => sub {
    for my $origin ('https://crm.example.com', 'http://localhost:3000') {
        my $r = $api->get('acme', $path, undef, Origin => $origin);

        is($r->{status}, 200, "a request from $origin is answered");
        is($r->{headers}{'access-control-allow-origin'}, $origin,
           "a page of $origin may read the answer");
        like($r->{headers}{vary} // '', qr/Origin/,
             'Vary names Origin, so that caches keep answers apart');
        is($r->{headers}{'access-control-allow-credentials'}, undef,
           'cookies are not allowed');
    }

    my $r = $api->get(undef, $path, undef,
                      Origin => 'https://crm.example.com');
    is($r->{status}, 401, 'a request without credentials is refused');
    is($r->{headers}{'access-control-allow-origin'},
       'https://crm.example.com', 'the page may read that refusal');
};


subtest 'a preflight request' => sub {
    my $r = $api->request(undef, 'OPTIONS', $path, undef,
        Origin => 'https://crm.example.com',
        'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Headers' => 'authorization');

    is($r->{status}, 204, 'a preflight passes without credentials');
    is($r->{body}, '', 'the answer to a preflight has no body');
    is($r->{headers}{'access-control-allow-origin'},
       'https://crm.example.com', 'a preflight is answered with the origin');
    is($r->{headers}{'access-control-allow-methods'},
       'GET, HEAD, POST, PUT, DELETE',
       'a preflight is answered with the methods');
    is($r->{headers}{'access-control-allow-headers'},
       'Authorization, Content-Type',
       'a preflight is answered with the headers');
    ok($r->{headers}{'access-control-max-age'} > 0,
       'a preflight is answered with the time for which it holds');

    $r = $api->request(undef, 'OPTIONS', $path, '{"a":1}',
                       Origin => 'https://crm.example.com');
    is($r->{status}, 204, 'a preflight may have a body');
    is($api->get('acme', $path)->{status}, 200,
       'the next request on that connection is answered');
};


subtest 'origins that waha_cors_origin does not allow' => sub {
    for my $origin ('https://evil.example.com', 'null',
                    'https://crm.example.com.evil.com',
                    'https://crm.example.com:8443', 'http://crm.example.com',
                    'https://CRM.example.com')
    {
        my $r = $api->get('acme', $path, undef, Origin => $origin);
        is($r->{status}, 200, "a request from $origin is answered");
        is_deeply([ cors($r) ], [], "no page of $origin may read the answer");

        $r = $api->request(undef, 'OPTIONS', $path, undef,
                           Origin => $origin);
        is_deeply([ cors($r) ], [], "a preflight from $origin allows nothing");
    }

    my $r = $api->get('acme', $path, undef, Origin =>
        [ 'https://crm.example.com', 'https://evil.example.com' ]);
    is_deeply([ cors($r) ], [],
              'a request with two Origin headers allows nothing');
};


subtest 'a location without waha_cors_origin' => sub {
    my $r = $api->get('acme', '/api/whatsapp/contacts', undef,
                      Origin => 'https://crm.example.com');
    is($r->{status}, 200, 'a request from another origin is answered');
    is_deeply([ cors($r) ], [], 'no page may read the answer');

    $r = $api->request(undef, 'OPTIONS', '/api/whatsapp/contacts', undef,
                       Origin => 'https://crm.example.com');
    is($r->{status}, 401, 'OPTIONS without credentials is refused');

    $r = $api->request('acme', 'OPTIONS', '/api/whatsapp/contacts');
    is($r->{status}, 405, 'OPTIONS with credentials is answered 405');
    is($r->{headers}{allow}, 'GET, HEAD', 'the 405 names GET and HEAD');
};

$t->done;
