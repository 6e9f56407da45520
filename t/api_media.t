# Files of messages: streamed from WAHA to those who may read the message, and
# to nobody else; nothing else of WAHA is to be had this way.

use Waha::Test;
use Waha::Api;
use Waha::Process qw(descriptors memory);

use Time::HiRes ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(key => 'adminkey-of-waha');
my $other = $t->standin(key => 'otherkey-of-waha', name => 'other');
my $port = $waha->port;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');

my $api = Waha::Api->new($t, http => <<"EOF_HTTP", server => <<"EOF_SERVER");
    waha_webhook_url http://127.0.0.1/api/whatsapp/webhook;
    waha_instance main /waha;

    upstream waha {
        server 127.0.0.1:$port max_fails=0;
        keepalive 4;
    }
EOF_HTTP
        location /two/ {
            rewrite ^/two(/.*)\$ \$1 break;
            waha_api;
            waha_instance main /waha;
            waha_instance other /other;
        }

        location /pages/ {
            rewrite ^/pages(/.*)\$ \$1 break;
            waha_api;
            waha_instance main /waha-pages;
        }

        location /guarded/ {
            rewrite ^/guarded(/.*)\$ \$1 break;
            waha_api;
            waha_instance main /waha-guarded;
        }

        location /cors/ {
            rewrite ^/cors(/.*)\$ \$1 break;
            waha_api;
            waha_cors_origin https://crm.example;
        }

        location /waha/ {
            internal;
            proxy_pass http://waha/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Api-Key adminkey-of-waha;
            proxy_pass_header Server;
            proxy_pass_header Date;
            proxy_read_timeout 1s;
            proxy_connect_timeout 1s;
        }

        location /other/ {
            internal;
            proxy_pass http://127.0.0.1:@{[ $other->port ]}/;
            proxy_set_header X-Api-Key otherkey-of-waha;
        }

        location /waha-pages/ {
            internal;
            proxy_pass http://127.0.0.1:$port/;
            proxy_set_header X-Api-Key adminkey-of-waha;
            proxy_intercept_errors on;
            proxy_read_timeout 1s;
            error_page 404 416 500 502 504 =200 /fooled;
        }

        location /waha-guarded/ {
            internal;
            waha_auth on;
            proxy_pass http://127.0.0.1:$port/;
            proxy_set_header X-Api-Key adminkey-of-waha;
        }

        location = /fooled {
            return 200 'SECRETPAGE';
        }
EOF_SERVER

$t->start;

my $png = "\x89PNG\r\n\x1a\n" . join '', map { chr($_ % 256) } 1 .. 5000;


# a message with a file; the path of our route

sub message {
    my ($session, $url, %media) = @_;

    my $r = $t->webhook($t->message(session => $session, media => {
        url => "http://localhost:3000/api/files/$session/x.bin",
        mimetype => 'application/octet-stream', %media }));
    is($r->{status}, 200, 'a message with a file');

    my $id = $pg->value('select max(id) from contact_activities');

    if (defined $url) {
        $url =~ s/'/''/g;
        $pg->psql("update contact_activities set metadata
                   = jsonb_set(metadata - 'media_url', '{media,url}',
                               to_jsonb('$url'::text)) where id = $id");
    }

    return "/api/whatsapp/media/$id";
}


sub get {
    my ($who, $path, %headers) = @_;

    return $api->request($who, 'GET', $path, undef, %headers);
}


sub file {
    my ($session, $name, $bytes, $type) = @_;

    return 'http://localhost:3000'
           . $waha->add_file($session, $name, $bytes, $type);
}


my $photo = message('t1', file('t1', '3EB0A.png', $png, 'image/png'));


subtest 'a photo' => sub {
    my $r = get('acme', $photo);

    is($r->{status}, 200, 'is there');
    ok($r->{body} eq $png, 'byte for byte');
    is($r->{headers}{'content-type'}, 'image/png', 'with its type');
    is($r->{headers}{'content-length'}, length $png, 'and length');
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'to be trusted');
    is($r->{headers}{'cache-control'}, 'private', 'for one person');
    is($r->{headers}{'content-disposition'}, undef, 'to be shown');
    is($r->{headers}{'accept-ranges'}, 'bytes', 'in parts, too');
    like($r->{headers}{etag}, qr/^W?\/?"/, 'with a tag');
    ok($r->{headers}{'last-modified'}, 'and a time');
    like($r->{headers}{server}, qr/^nginx/, 'from us');
    like($api->log, qr{^GET \S+ 200 org=acme action=/api/whatsapp/media}m,
         'and the log knows for whom');

    is_deeply([ grep { !/^(server|date|connection|content-type|content-length
                          |x-content-type-options|cache-control|accept-ranges
                          |etag|last-modified)$/x }
                sort keys %{ $r->{headers} } ], [], 'and no more headers');

    $r = get('operator', "$photo?org=acme");
    is($r->{status}, 200, 'an operator who names the organization gets it');
};


subtest 'HEAD' => sub {
    my $r = $api->request('acme', 'HEAD', $photo);

    is($r->{status}, 200, 'is answered');
    is($r->{headers}{'content-length'}, length $png, 'with the length');
    is($r->{headers}{'content-type'}, 'image/png', 'and the type');
    is(get('acme', $photo)->{status}, 200, 'the connection goes on');

    my ($request) = $waha->requests('^HEAD');
    ok($request, 'WAHA is asked by HEAD');
};


subtest 'other methods' => sub {
    for my $method (qw(POST PUT DELETE)) {
        my $r = $api->request('acme', $method, $photo, '{}');
        refused($r, 405, 'method_not_allowed', $method);
    }
};


subtest 'parts' => sub {
    my $r = get('acme', $photo, Range => 'bytes=10-19');
    is($r->{status}, 206, 'a part');
    ok($r->{body} eq substr($png, 10, 10), 'has those bytes');
    is($r->{headers}{'content-range'}, 'bytes 10-19/' . length $png,
       'and says so');

    my $etag = $r->{headers}{etag};

    $r = get('acme', $photo, Range => 'bytes=10-19', 'If-Range' => $etag);
    is($r->{status}, 206, 'a part of what is known');

    $r = get('acme', $photo, Range => 'bytes=10-19', 'If-Range' => '"x"');
    is($r->{status}, 200, 'all, when it has changed');
    ok($r->{body} eq $png, 'byte for byte');

    $r = get('acme', $photo, Range => 'bytes=999999-');
    is($r->{status}, 416, 'no such part');
    is($r->{headers}{'content-range'}, 'bytes */' . length $png,
       'with the length');
    is($r->{body}, '', 'and no page of WAHA');
    is(get('acme', $photo)->{status}, 200, 'the connection goes on');

    refused(get('acme', "/pages$photo", Range => 'bytes=999999-'), 502,
               'waha_invalid_answer', 'an error page instead');
};


subtest 'what arrives at WAHA' => sub {
    $waha->clear_requests;

    my $r = $api->request('acme', 'GET', "$photo?secret=1", '{"a":"SECRET"}',
        'Cookie' => 'SECRET', 'X-Api-Key' => 'SECRET', 'Accept' => 'SECRET',
        'If-None-Match' => '*', 'If-Match' => '"SECRET"',
        'If-Modified-Since' => 'Thu, 01 Jan 2099 00:00:00 GMT',
        'Accept-Encoding' => 'gzip', 'X-Forwarded-For' => '198.51.100.7',
        'Upgrade' => 'websocket', 'Origin' => 'http://SECRET',
        'User-Agent' => 'SECRET', 'Referer' => 'http://SECRET/',
        'Range' => 'bytes=0-9', 'If-Range' => 'SECRETTAG');
    is($r->{status}, 200, 'a request with all sorts of headers and a body');
    ok($r->{body} eq $png, 'gets the file');

    my @requests = $waha->requests;
    is(scalar @requests, 1, 'one request');

    my %headers = %{ $requests[0]{headers} };
    is($requests[0]{uri}, '/api/files/t1/3EB0A.png', 'for the file');
    is_deeply([ sort keys %headers ],
              [ qw(host if-range range x-api-key) ],
              'only Range and If-Range come along');
    is($headers{'x-api-key'}, 'adminkey-of-waha', 'with the key of WAHA');
    is($headers{host}, 'waha', 'under its name');
    is($requests[0]{body}, '', 'without the body');

    # where a connection goes on, it would be a request of its own

    $r = $api->request('acme', 'GET', $photo,
                       "GET /smuggled HTTP/1.1\r\nHost: waha\r\n\r\n");
    is($r->{status}, 200, 'a request with another in its body');
    is(get('acme', $photo)->{status}, 200, 'and one after it');
    is(scalar(@requests = $waha->requests('smuggled')), 0,
       'no request is smuggled');
};


subtest 'tenants' => sub {
    my $r = get('bolt', $photo);
    refused($r, 404, 'unknown_activity', 'of another organization');

    $r = get('bolt', '/api/whatsapp/media/999999');
    refused($r, 404, 'unknown_activity', 'of nobody');

    refused(get(undef, $photo), 401, 'unauthorized', 'without a key');
    refused(get('bolt', "$photo?org=acme"), 403, 'forbidden', 'named');

    for my $id ('0', '-1', 'x', '1.5', '1%20', '99999999999999999999') {
        refused(get('acme', "/api/whatsapp/media/$id"), 400,
                   'invalid_argument', "id $id");
    }

    is(get('acme', "/guarded$photo")->{status}, 200,
       'nobody is asked twice, where "waha_auth" is inherited');
    is(get(undef, "/guarded$photo")->{status}, 401, 'but once');

    for my $path ('/waha/api/files/t1/3EB0A.png', '/waha/api/sessions',
                  '/waha-guarded/api/files/t1/3EB0A.png')
    {
        is(get('acme', $path)->{status}, 404, "$path is internal");
    }
};


subtest 'urls in messages' => sub {
    $waha->clear_requests;
    $other->clear_requests;
    $waha->add_file('t2', '3EB0A.png', 'SECRETOFBOLT', 'image/png');

    my $host = 'http://127.0.0.1:' . $other->port;

    for my $url ("$host/api/files/t2/3EB0A.png", "$host/api/sessions",
                 "$host/api/files/t1/../t2/3EB0A.png",
                 "$host/api/files/t1/..%2ft2%2f3EB0A.png",
                 "$host/api/files/t1/%2e%2e/t2/3EB0A.png",
                 "$host/api/files/t1%2f..%2ft2/3EB0A.png",
                 "$host/api/files/t1/3EB0A.png/../../t2/3EB0A.png",
                 "$host/api/files/t1/", "$host/api/files/t1",
                 "$host/api/files/t1/..", "$host/api/files/t1/.png",
                 "$host/api/files/t1/a..png", "$host/api/files/t1//3EB0A.png",
                 "$host/api/files/t1/3EB0A.png?x=1", "$host//api/files/t1/x",
                 "$host/api/files/t1/3EB0A.png#x",
                 "$host/api/files/t1/x\\..\\..\\y", "$host/x/api/files/t1/x",
                 "$host/api/files/t1/a b", "$host/api/files/t1/a\r\nX: y",
                 "$host/api/files/t1/a\x{1}", "$host/API/files/t1/x",
                 "$host/api/files/t11/3EB0A.png", $host, "$host/", '://', '/',
                 'http', 'http:/', 'http://', 'file:///etc/passwd', '',
                 'data:image/png;base64,AAAA', '/etc/passwd',
                 '@127.0.0.1/api/files/t1/x', 'x' x 5000,
                 "$host/api/files/t1/" . '%41' x 10)
    {
        (my $name = substr $url, length($url) > 60 ? 20 : 0, 60)
            =~ s/[^ -~]/?/g;
        refused(get('acme', message('t1', $url)), 404, 'no_media', $name);
    }

    is(scalar(my @none = ($waha->requests, $other->requests)), 0,
       'WAHA and others are not even asked');

    my $r = get('acme', message('t1', "$host/api/files/t1/3EB0A.png"));
    is($r->{status}, 200, 'another host counts as ours');
    ok($r->{body} eq $png, 'the file is of our WAHA');
    is(scalar(@none = $other->requests), 0, 'the other one is not asked');

    $r = get('acme', message('t1', '/api/files/t1/3EB0A.png'));
    is($r->{status}, 200, 'a path alone will do');

    $waha->add_file('t1', 'false_1@c.us_3EB0B.png', $png, 'image/png');
    $r = get('acme',
             message('t1', "$host/api/files/t1/false_1\@c.us_3EB0B.png"));
    is($r->{status}, 200, 'a name may hold the id of a chat');
};


subtest 'instances' => sub {
    refused(get('acme', "/two$photo"), 409, 'session_without_instance',
               'two, and the session has none');

    $pg->psql("update waha.sessions set instance = 'main' where name = 't1'");
    is(get('acme', "/two$photo")->{status}, 200, 'the one of the session');

    $pg->psql("update waha.sessions set instance = 'other'
               where name = 't1'");
    refused(get('acme', "/two$photo"), 410, 'media_expired', 'the other');
    refused(get('acme', $photo), 503, 'no_instance', 'not configured');

    $pg->psql("update waha.sessions set instance = null where name = 't1'");
};


subtest 'what may be shown' => sub {
    my %inline = map { $_ => $_ } qw(image/jpeg image/webp audio/ogg
                                     video/mp4 application/pdf);
    $inline{'audio/ogg; codecs=opus'} = 'audio/ogg';
    $inline{'IMAGE/PNG'} = 'IMAGE/PNG';

    for my $type (sort keys %inline) {
        my $r = get('acme', message('t1', file('t1', 'f.bin', 'x', $type)));
        is($r->{headers}{'content-type'}, $inline{$type}, $type);
        is($r->{headers}{'content-disposition'}, undef, "$type is shown");
    }

    for my $type ('image/svg+xml', 'IMAGE/SVG+XML', 'image/svg',
                  'text/html', 'text/html; charset=utf-8', 'text/xml',
                  'application/xhtml+xml', 'application/javascript',
                  'application/pdfx', 'image/', 'image', 'imagex/png',
                  'text/plain', 'application/zip', 'audio/x"y',
                  'multipart/x-mixed-replace', 'x image/png')
    {
        my $r = get('acme', message('t1', file('t1', 'f.bin', 'x', $type)));
        is($r->{headers}{'content-type'}, 'application/octet-stream',
           "$type is bytes");
        like($r->{headers}{'content-disposition'},
             qr/^attachment; filename\*=UTF-8''f\.bin$/, "$type is saved");
        is($r->{headers}{'x-content-type-options'}, 'nosniff', 'as that');
    }
};


subtest 'names of files' => sub {
    my %name = (
        'report.docx'      => 'report.docx',
        'my report.docx'   => 'my%20report.docx',
        "a\"b;c'd.docx"    => 'a%22b%3Bc%27d.docx',
        '../../etc/passwd' => '.._.._etc_passwd',
        "a\r\nSet-Cookie: x=1" => 'a__Set-Cookie%3A%20x%3D1',
        'x' x 400          => 'x' x 255,
        "\x{44f}" x 200    => '%D1%8F' x 127,
        "a\\b%2f"          => 'a_b%252f',
    );

    for my $name (sort keys %name) {
        my $path = message('t1', file('t1', 'f.docx', 'x', 'application/x'),
                           filename => $name);
        my $r = get('acme', $path);
        is($r->{headers}{'content-disposition'},
           "attachment; filename*=UTF-8''$name{$name}", 'is harmless');
        is($r->{headers}{'set-cookie'}, undef, 'and stays in its header');
    }
};


subtest 'headers of WAHA' => sub {
    $waha->fail(match => '/api/files', status => 200, type => 'image/png',
        body => 'x', headers => [
            [ 'Set-Cookie', 'a=SECRETCOOKIE' ], [ 'X-Powered-By', 'WAHA' ],
            [ 'Server', 'SECRETSERVER' ], [ 'Location', '/evil' ],
            [ 'Refresh', '0; url=/evil' ], [ 'Link', '</evil>' ],
            [ 'Content-Disposition', 'inline' ], [ 'Vary', '*' ],
            [ 'Cache-Control', 'public' ], [ 'Expires', 'never' ],
            [ 'Date', 'Thu, 01 Jan 1998 00:00:00 GMT' ],
            [ 'Access-Control-Allow-Origin', '*' ],
            [ 'WWW-Authenticate', 'Basic' ], [ 'Content-Encoding', 'br' ],
            [ 'X-Content-Type-Options', 'sniff' ], [ 'ETag', '"t"' ] ]);

    my $r = get('acme', "/cors$photo", Origin => 'https://crm.example');
    is($r->{status}, 200, 'an answer with many headers');
    unlike($r->{headers}{server}, qr/SECRET/, 'the server is nginx');
    unlike($r->{headers}{date}, qr/1998/, 'now is now');
    is($r->{headers}{'cache-control'}, 'private', 'not public');
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'no sniffing');
    is($r->{headers}{'access-control-allow-origin'}, 'https://crm.example',
       'the origin is ours');
    is($r->{headers}{etag}, '"t"', 'the tag passes');
    is_deeply([ grep { /^(set-cookie|x-powered-by|location|refresh|link|expires
                          |www-authenticate|content-encoding
                          |content-disposition)$/x }
                sort keys %{ $r->{headers} } ], [], 'the rest does not');
    $waha->heal;
};


my %fault = (
    refuse   => [ 502, 'waha_unavailable' ],
    stall    => [ 504, 'waha_timeout' ],
    close    => [ 502, 'waha_unavailable' ],
    reset    => [ 502, 'waha_unavailable' ],
    garbage  => [ 502, 'waha_invalid_answer' ],
    error500 => [ 502, 'waha_error' ],
);


for my $way ('', '/pages') {
    subtest "faults of WAHA $way" => sub {
        is(get('acme', "$way$photo")->{status}, 200, 'all is well');

        for my $with (sort keys %fault) {
            $waha->fail(with => $with, match => '/api/files');
            my $r = get('acme', "$way$photo");
            refused($r, @{ $fault{$with} }, $with);
            is($r->{headers}{'content-type'}, 'application/json', 'as JSON');
            unlike($r->{body}, qr/SECRETPAGE|nginx/, "$with: no page");

            $r = $api->request('acme', 'HEAD', "$way$photo");
            is($r->{status}, $fault{$with}[0], "$with: HEAD");
            $waha->heal;
        }

        for my $status (201, 204, 301, 302, 400, 401, 403, 405, 503) {
            $waha->fail(match => '/api/files', status => $status,
                        type => 'text/html', body => 'SECRETPAGE' x 10_000,
                        headers => [ [ 'Location', 'http://evil/' ],
                                     [ 'WWW-Authenticate', 'Basic' ],
                                     [ 'ETag', '"e"' ] ]);
            my $r = get('acme', "$way$photo");
            refused($r, 502, 'waha_error', "status $status");
            is_deeply([ grep { /^(location|www-authenticate|etag)$/ }
                        keys %{ $r->{headers} } ], [], 'no header of WAHA');
            $waha->heal;
        }

        my $gone = message('t1', 'http://x/api/files/t1/gone.png');
        refused(get('acme', "$way$gone"), 410, 'media_expired',
                   'a file that is deleted');
        is(get('acme', "$way$photo")->{status}, 200, 'all is well again');
    };
}


subtest 'half of a file' => sub {
    for my $with (qw(truncate truncate_chunked hang)) {
        $waha->fail(with => $with, match => '/api/files');
        my $r = get('acme', $photo);
        is($r->{status}, 0, "$with: is not taken for the whole");
        $waha->heal;
    }

    is(get('acme', $photo)->{status}, 200, 'all is well again');
};


subtest 'a redirect of WAHA' => sub {
    $waha->fail(match => '/api/files', status => 200, body => 'x',
                headers => [ [ 'X-Accel-Redirect', '/fooled' ] ]);
    my $r = get('acme', $photo);
    refused($r, 502, 'waha_invalid_answer', 'is not followed');
    unlike($r->{body}, qr/SECRETPAGE/, 'nor shown');
    $waha->heal;
};


subtest 'HTTP/2' => sub {
    plan(skip_all => 'curl has no HTTP/2') if !$api->has_http2;

    # version, status, and bytes of the body

    my $get = sub {
        my ($method, @more) = @_;

        my $r = $api->http2(acme => $method => $photo, @more);
        return "$r->{version} $r->{status} " . length $r->{body};
    };

    is($get->('GET'), '2 200 ' . length $png, 'a file');
    is($get->(GET => undef, '-r', '0-9'), '2 206 10', 'a part');
    is($get->('HEAD'), '2 200 0', 'HEAD');
    is($get->(GET => '{}'), '2 200 ' . length $png, 'with a body');
    is($get->(GET => undef, '-r', '99999-'), '2 416 0', 'no such part');

    for my $with (sort keys %fault) {
        $waha->fail(with => $with, match => '/api/files');
        refused($api->http2(acme => GET => $photo), @{ $fault{$with} }, $with);
        $waha->heal;
    }
};


subtest 'a big file' => sub {
    my $size = 64 * 1024 * 1024;
    my $big = message('t1', file('t1', 'big.mp4', 'v' x $size, 'video/mp4'));
    my ($pid) = $t->worker_pids;
    my $before = memory($pid);

    # nobody reads: nginx must not take it all from WAHA

    my $http = $t->http(timeout => 60);
    $http->connect;
    setsockopt $http->{socket}, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(),
               pack 'i', 65536;
    $api->send($http, acme => GET => $big);

    ok(wait_for(sub {
        my $bits = '';
        vec($bits, fileno $http->{socket}, 1) = 1;
        return select $bits, undef, undef, 0;
    }, 10), 'the answer begins');

    my $peak = 0;
    for (1 .. 10) {
        my $now = memory($pid) - $before;
        $peak = $now if $now > $peak;
        Time::HiRes::sleep(0.02);
    }

    unlike($t->error_log, qr/buffered to a temporary file/,
           'it is not stored on disk');

    my $r = $http->answer;
    is($r->{status}, 200, 'then it is read');
    is(length $r->{body}, $size, 'to its end');

    my $now = memory($pid) - $before;
    $peak = $now if $now > $peak;
    cmp_ok($peak, '<', 4_000, 'the memory of the worker stays flat');
};


subtest 'a client that does not wait' => sub {
    my ($pid) = $t->worker_pids;
    $api->{http}->close;
    is(get('acme', $photo)->{status}, 200, 'all is well');
    my $before = descriptors($pid);

    for my $with ('stall', 'hang') {
        $waha->fail(with => $with, match => '/api/files');
        $waha->clear_requests;

        my @clients = map { $api->send($t->http, acme => GET => $photo) }
                      1 .. 10;

        ok(wait_for(sub { $waha->requests == 10 }, 5), "$with: 10 requests");
        $_->reset for @clients;

        ok(wait_for(sub { descriptors($pid) <= $before }, 5),
           "$with: connections to WAHA end with those of the clients");
        $waha->heal;
    }
};


subtest 'secrets of WAHA' => sub {
    $api->hides($waha->secrets, qw(SECRETOFBOLT SECRETPAGE SECRETCOOKIE));
};


$t->done;
