# CORS: only pages of the origins in waha_cors_origin may read answers.

use Waha::Test;
use Waha::Api;
use Waha::Conf;

my $t = Waha::Test->new;
$t->postgres->organization('acme', session => 't1');

my $api = Waha::Api->new($t, server => <<'EOF_CONF');
        location /shared/ {
            rewrite ^/shared(/.*)$ $1 break;
            waha_api;
            waha_cors_origin https://crm.example.com http://localhost:3000;
        }

        location /cookies/ {
            rewrite ^/cookies(/.*)$ $1 break;
            waha_api;
            waha_cors_origin https://crm.example.com;
            waha_cors_credentials on;
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


subtest 'waha_cors_credentials on' => sub {
    my $cookies = '/cookies/api/whatsapp/contacts';
    my %request = ('a request' => 'GET', 'a preflight' => 'OPTIONS');

    for my $name (sort keys %request) {
        my $r = $api->request('acme', $request{$name}, $cookies, undef,
                              Origin => 'https://crm.example.com');

        is($r->{headers}{'access-control-allow-credentials'}, 'true',
           "$name of the named origin may have cookies");
        is($r->{headers}{'access-control-allow-origin'},
           'https://crm.example.com', "$name is answered with the origin");

        $r = $api->request('acme', $request{$name}, $cookies, undef,
                           Origin => 'https://evil.example.com');
        is_deeply([ cors($r) ], [], "$name of another origin allows nothing");
    }

    my $r = $api->get(undef, $cookies, undef,
                      Origin => 'https://crm.example.com');
    is($r->{status}, 401, 'a request without credentials is refused');
    is($r->{headers}{'access-control-allow-credentials'}, 'true',
       'the page may read that refusal, sent with cookies');
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


my $conf = Waha::Conf->new($t);
my $database = 'waha_database "host=127.0.0.1 dbname=crm user=waha_gateway";';

$conf->accepted('origins of all forms, with credentials', $database, '',
    'waha_api; waha_api_keys on; waha_cors_credentials on; waha_cors_origin '
    . 'https://crm.example.com http://localhost:3000 http://[::1]:8080;');

$conf->refused('waha_cors_credentials without an origin',
    qr/"waha_cors_credentials on" but no "waha_cors_origin"/, $database, '',
    'waha_api; waha_api_keys on; waha_cors_credentials on;');

$conf->refused('waha_cors_credentials with "waha_cors_origin off"',
    qr/"waha_cors_credentials on" but no "waha_cors_origin"/, $database,
    'waha_cors_credentials on;',
    'waha_api; waha_api_keys on; waha_cors_origin off;');

$conf->refused("waha_cors_origin * with credentials: $_",
    qr/pages of every site.*name the origins/, $database, '',
    "waha_api; waha_api_keys on; waha_cors_origin *;"
    . " waha_cors_credentials $_;") for qw(on off);

$conf->refused("the origin $_, which no browser sends",
    qr/invalid origin.*lower case, without a path/, $database, '',
    "waha_api; waha_api_keys on; waha_cors_origin $_;")
    for qw(https://*.example.com https://CRM.example.com null https://
           https://crm.example.com/ https://crm.example.com/app
           ftp://crm.example.com);

$t->done;
