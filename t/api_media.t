# Files of messages: streamed from WAHA to callers who may read the message and
# to no others; nothing else of WAHA can be fetched this way.

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


# stores a message with a file; its path in the API

sub message {
    my ($session, $url, %media) = @_;

    my $r = $t->webhook($t->message(session => $session, media => {
        url => "http://localhost:3000/api/files/$session/x.bin",
        mimetype => 'application/octet-stream', %media }));
    is($r->{status}, 200, 'a message with a file is taken');

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

    is($r->{status}, 200, 'a photo is answered 200');
    ok($r->{body} eq $png, 'the bytes of a photo are unchanged');
    is($r->{headers}{'content-type'}, 'image/png',
       'a photo has its Content-Type');
    is($r->{headers}{'content-length'}, length $png,
       'a photo has its Content-Length');
    is($r->{headers}{'x-content-type-options'}, 'nosniff',
       'a photo has "nosniff"');
    is($r->{headers}{'content-security-policy'}, "sandbox; default-src 'none'",
       'a photo is no page');
    is($r->{headers}{'cross-origin-resource-policy'}, 'same-origin',
       'pages of other origins cannot embed a photo');
    is($r->{headers}{'cache-control'}, 'private',
       'a photo may be kept by the client alone');
    is($r->{headers}{'content-disposition'}, undef,
       'a photo is to be shown, not saved');
    is($r->{headers}{'accept-ranges'}, 'bytes', 'a photo announces ranges');
    like($r->{headers}{etag}, qr/^W?\/?"/, "a photo has WAHA's ETag");
    ok($r->{headers}{'last-modified'}, "a photo has WAHA's Last-Modified");
    like($r->{headers}{server}, qr/^(nginx|freenginx|Angie)\b/,
         'Server is nginx, not WAHA');
    like($api->log, qr{^GET \S+ 200 org=acme action=/api/whatsapp/media}m,
         'the access log has the organization');

    is_deeply([ grep { !/^(server|date|connection|content-type|content-length
                          |x-content-type-options|cache-control|accept-ranges
                          |content-security-policy
                          |cross-origin-resource-policy
                          |etag|last-modified)$/x }
                sort keys %{ $r->{headers} } ], [],
              'a photo has no other headers');

    $r = get('operator', "$photo?org=acme");
    is($r->{status}, 200,
       'an operator who names the organization gets the photo');
};


subtest 'HEAD of a photo' => sub {
    my $r = $api->request('acme', 'HEAD', $photo);

    is($r->{status}, 200, 'HEAD is answered 200');
    is($r->{headers}{'content-length'}, length $png,
       'HEAD has the Content-Length');
    is($r->{headers}{'content-type'}, 'image/png',
       'HEAD has the Content-Type');
    is(get('acme', $photo)->{status}, 200,
       'the next request on that connection is answered');

    my ($request) = $waha->requests('^HEAD');
    ok($request, 'WAHA is asked by HEAD, too');
};


subtest 'methods other than GET and HEAD' => sub {
    for my $method (qw(POST PUT DELETE)) {
        my $r = $api->request('acme', $method, $photo, '{}');
        refused($r, 405, 'method_not_allowed', $method);
    }
};


subtest 'ranges of a photo' => sub {
    my $r = get('acme', $photo, Range => 'bytes=10-19');
    is($r->{status}, 206, 'a range is answered 206');
    ok($r->{body} eq substr($png, 10, 10), 'a range has its bytes');
    is($r->{headers}{'content-range'}, 'bytes 10-19/' . length $png,
       'a range has Content-Range');

    my $etag = $r->{headers}{etag};

    $r = get('acme', $photo, Range => 'bytes=10-19', 'If-Range' => $etag);
    is($r->{status}, 206, 'If-Range with the current ETag gives the range');

    $r = get('acme', $photo, Range => 'bytes=10-19', 'If-Range' => '"x"');
    is($r->{status}, 200, 'If-Range with another ETag gives the whole file');
    ok($r->{body} eq $png, 'the whole file is unchanged');

    $r = get('acme', $photo, Range => 'bytes=999999-');
    is($r->{status}, 416, 'a range beyond the end is answered 416');
    is($r->{headers}{'content-range'}, 'bytes */' . length $png,
       'a 416 has the length of the file');
    is($r->{body}, '', 'a 416 has no page of WAHA');
    is(get('acme', $photo)->{status}, 200,
       'the next request on that connection is answered');

    $r = get('acme', "/pages$photo", Range => 'bytes=999999-');
    is($r->{status}, 416, 'an error page does not replace a 416');
    is($r->{body}, '', 'a 416 has no error page');

    # so does WAHA, as its error handler takes 416 for a failure

    $waha->fail(match => '/api/files', status => 500,
                body => '{"statusCode":500}',
                headers => [ [ 'Content-Range', 'bytes */5008' ] ]);
    $r = get('acme', $photo, Range => 'bytes=999999-');
    is($r->{status}, 416, 'a 500 with the length of the file becomes 416');
    is($r->{headers}{'content-range'}, 'bytes */5008',
       'it has the length of the file');
    is($r->{body}, '', 'it has no body');

    refused(get('acme', $photo), 502, 'waha_error',
            'the same where no range was asked for');
    $waha->heal;
};


subtest 'a photo that the client has' => sub {
    my $r = get('acme', $photo);
    my ($etag, $time) = @{ $r->{headers} }{qw(etag last-modified)};

    for my $way ('', '/pages') {
        $r = get('acme', "$way$photo", 'If-None-Match' => $etag);
        is($r->{status}, 304, "\"$way\": the current ETag is answered 304");
        is($r->{headers}{etag}, $etag, 'a 304 has the ETag');
        is($r->{body}, '', 'a 304 has no body');

        $r = get('acme', "$way$photo", 'If-Modified-Since' => $time);
        is($r->{status}, 304, "\"$way\": so is the current time");

        $r = get('acme', "$way$photo", 'If-None-Match' => '"x"');
        is($r->{status}, 200, "\"$way\": another ETag gets the file");
        ok($r->{body} eq $png, 'the file is unchanged');
    }

    is(get('acme', $photo)->{status}, 200,
       'the next request on that connection is answered');
};


subtest 'requests for files that reach WAHA' => sub {
    $waha->clear_requests;

    my $r = $api->request('acme', 'GET', "$photo?secret=1", '{"a":"SECRET"}',
        'Cookie' => 'SECRET', 'X-Api-Key' => 'SECRET', 'Accept' => 'SECRET',
        'If-None-Match' => '"x"', 'If-Match' => '"SECRET"',
        'If-Modified-Since' => 'Thu, 01 Jan 1998 00:00:00 GMT',
        'Accept-Encoding' => 'gzip', 'X-Forwarded-For' => '198.51.100.7',
        'Upgrade' => 'websocket', 'Origin' => 'http://SECRET',
        'User-Agent' => 'SECRET', 'Referer' => 'http://SECRET/',
        'Range' => 'bytes=0-9', 'If-Range' => 'SECRETTAG');
    is($r->{status}, 200,
       'a request with many headers and a body is answered');
    ok($r->{body} eq $png, 'it gets the file');

    my @requests = $waha->requests;
    is(scalar @requests, 1, 'WAHA gets one request');

    my %headers = %{ $requests[0]{headers} };
    is($requests[0]{uri}, '/api/files/t1/3EB0A.png',
       'WAHA is asked for the file');
    is_deeply([ sort keys %headers ],
              [ qw(host if-modified-since if-none-match if-range range
                   x-api-key) ],
              "of the client's headers WAHA gets which part and version of "
              . 'the file is wanted');
    is($headers{'x-api-key'}, 'adminkey-of-waha', 'WAHA gets its own API key');
    is($headers{host}, 'waha', "WAHA is asked under the upstream's name");
    is($requests[0]{body}, '', 'no body of the client reaches WAHA');

    # on a kept connection a body that was passed on would be read as a request

    $r = $api->request('acme', 'GET', $photo,
                       "GET /smuggled HTTP/1.1\r\nHost: waha\r\n\r\n");
    is($r->{status}, 200, 'a request with a request in its body is answered');
    is(get('acme', $photo)->{status}, 200,
       'the next request on the kept connection is answered');
    is(scalar(@requests = $waha->requests('smuggled')), 0,
       'no request is smuggled to WAHA');
};


subtest 'callers who may not read the message' => sub {
    my $r = get('bolt', $photo);
    refused($r, 404, 'unknown_activity', 'the file of another organization');

    $r = get('bolt', '/api/whatsapp/media/999999');
    refused($r, 404, 'unknown_activity',
            'a file of an activity that does not exist');

    refused(get(undef, $photo), 401, 'unauthorized',
            'a caller without credentials');
    refused(get('bolt', "$photo?org=acme"), 403, 'forbidden',
            "an organization that is not the caller's");

    for my $id ('0', '-1', 'x', '1.5', '1%20', '99999999999999999999') {
        refused(get('acme', "/api/whatsapp/media/$id"), 400,
                   'invalid_argument', "activity id $id");
    }

    is(get('acme', "/guarded$photo")->{status}, 200,
       'a caller is not asked for credentials again by the location of WAHA');
    is(get(undef, "/guarded$photo")->{status}, 401,
       "a caller without credentials is refused where WAHA's location has "
       . "waha_auth");

    for my $path ('/waha/api/files/t1/3EB0A.png', '/waha/api/sessions',
                  '/waha-guarded/api/files/t1/3EB0A.png')
    {
        is(get('acme', $path)->{status}, 404,
           "$path is not to be had by clients");
    }
};


subtest 'URLs in messages that are no files of the session' => sub {
    $waha->clear_requests;
    $other->clear_requests;
    $waha->add_file('t2', '3EB0A.png', 'SECRETOFBOLT', 'image/png');

    my $host = 'http://127.0.0.1:' . $other->port;

    for my $url ("$host/api/files/t2/3EB0A.png",
                 "$host/api/files/t2/api/files/t1/3EB0A.png",
                 "$host/api/files/t1/../t2/3EB0A.png",
                 "$host/api/files/t1/..%2ft2%2f3EB0A.png",
                 "$host/api/files/t1/%2e%2e/t2/3EB0A.png",
                 "$host/api/files/t1%2f..%2ft2/3EB0A.png",
                 "$host/api/files/t1/3EB0A.png/../../t2/3EB0A.png",
                 "$host/api/files/t1/", "$host/api/files/t1",
                 "$host/api/files/t1/..", "$host/api/files/t1/.png",
                 "$host/api/files/t1/a..png", "$host/api/files/t1//3EB0A.png",
                 "$host/api/files/t1/3EB0A.png?x=1",
                 "$host/api/files/t1/3EB0A.png#x",
                 "$host/api/files/t1/x\\..\\..\\y",
                 "$host/api/files/t1/a b", "$host/api/files/t1/a\r\nX: y",
                 "$host/api/files/t1/a\x{1}",
                 "$host/api/files/t11/3EB0A.png",
                 "$host/api/s3/b/t2/3EB0A.png", "$host/api/s3/t1/3EB0A.png",
                 "$host/api/s3/../t1/3EB0A.png", "$host/api/s3/b",
                 "$host/api/s3//t1/3EB0A.png", "$host/api/s3/b/t1/a/b.png",
                 "$host/api/s3/b%2f/t1/3EB0A.png", '/x/api/sessions',
                 '://', '/', 'http', 'http:/', 'file:///etc/passwd', '',
                 'ftp://x/api/files/t1/3EB0A.png',
                 'data:image/png;base64,AAAA', '/etc/passwd',
                 '@127.0.0.1/api/files/t1/x', 'x' x 5000,
                 "$host/api/files/t1/" . '%41' x 10)
    {
        (my $name = substr $url, length($url) > 60 ? 20 : 0, 60)
            =~ s/[^ -~]/?/g;
        refused(get('acme', message('t1', $url)), 404, 'no_media', $name);
    }

    # a file that WAHA has put somewhere else

    my $signed = 'X-Amz-Signature=0f&x=/api/files/t1/3EB0A.png';

    for my $url ("https://b.s3.eu-west-1.amazonaws.com/t1/3EB0A.png?$signed",
                 "HTTPS://minio:9000/b/t1/3EB0A.png?$signed",
                 "https://minio/b?$signed", "https://minio/b#/api/files/t1/x",
                 "$host/api/sessions", "$host/API/files/t1/3EB0A.png",
                 "$host/api/filesx/t1/3EB0A.png", $host, "$host/")
    {
        my $r = get('acme', message('t1', $url));
        refused($r, 404, 'foreign_media', $url);
        like($r->{json}{error}, qr/WAHA_S3_PROXY_FILES/,
             'the sentence says what to do');
    }

    is(scalar(my @none = ($waha->requests, $other->requests)), 0,
       'neither WAHA nor another server is asked for such a URL');

    my $r = get('acme', message('t1', "$host/api/files/t1/3EB0A.png"));
    is($r->{status}, 200, 'the host in a URL does not matter');
    ok($r->{body} eq $png,
       'the file comes from the WAHA server of the instance');
    is(scalar(@none = $other->requests), 0, 'the host in a URL is not asked');

    for my $url ('/api/files/t1/3EB0A.png', '/waha/api/files/t1/3EB0A.png',
                 'https://crm.example/waha/1/api/files/t1/3EB0A.png',
                 "$host//api/files/t1/3EB0A.png")
    {
        $r = get('acme', message('t1', $url));
        is($r->{status}, 200, "$url leads to the file");
        ok($r->{body} eq $png, 'the file is unchanged');
    }

    $waha->add_file('t1', '3EB0S.png', $png, 'image/png', undef, 's3/pictures');
    $r = get('acme', message('t1', "$host/waha/api/s3/pictures/t1/3EB0S.png"));
    is($r->{status}, 200, 'a file of S3 that WAHA passes on is answered');
    ok($r->{body} eq $png, 'the file is unchanged');
    refused(get('acme', message('t1', "$host/api/files/t1/3EB0S.png")), 410,
            'media_expired', 'it is not where other files are');

    $waha->add_file('t1', 'false_1@c.us_3EB0B.png', $png, 'image/png');
    $r = get('acme',
             message('t1', "$host/api/files/t1/false_1\@c.us_3EB0B.png"));
    is($r->{status}, 200, 'the name of a file may hold the id of a chat');
};


subtest 'the WAHA server that has the file' => sub {
    refused(get('acme', "/two$photo"), 409, 'session_without_instance',
               'two instances and a session without one');

    $pg->psql("update waha.sessions set instance = 'main' where name = 't1'");
    is(get('acme', "/two$photo")->{status}, 200,
       'the instance of the session is asked');

    $pg->psql("update waha.sessions set instance = 'other'
               where name = 't1'");
    refused(get('acme', "/two$photo"), 410, 'media_expired',
            'a file that this instance does not have');
    refused(get('acme', $photo), 503, 'no_instance',
            'an instance that is not configured');

    $pg->psql("update waha.sessions set instance = null where name = 't1'");
};


subtest 'types that a browser may show' => sub {
    my %inline = map { $_ => $_ } qw(image/jpeg image/webp audio/ogg
                                     video/mp4 application/pdf);
    $inline{'audio/ogg; codecs=opus'} = 'audio/ogg';
    $inline{'IMAGE/PNG'} = 'IMAGE/PNG';

    for my $type (sort keys %inline) {
        my $r = get('acme', message('t1', file('t1', 'f.bin', 'x', $type)));
        is($r->{headers}{'content-type'}, $inline{$type},
           "the type $type is passed on");
        is($r->{headers}{'content-disposition'}, undef, "$type may be shown");
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
           "$type is answered as bytes without a type");
        like($r->{headers}{'content-disposition'},
             qr/^attachment; filename\*=UTF-8''f\.bin$/,
             "$type is to be saved, not shown");
        is($r->{headers}{'x-content-type-options'}, 'nosniff',
           "$type: no sniffing of the type");
    }
};


subtest 'names of files to be saved' => sub {
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
           "attachment; filename*=UTF-8''$name{$name}", 'a name is encoded');
        is($r->{headers}{'set-cookie'}, undef,
           'a name cannot make a header of its own');
    }
};


subtest "headers of WAHA's answer" => sub {
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
    is($r->{status}, 200, 'an answer with many headers is taken');
    unlike($r->{headers}{server}, qr/SECRET/, 'Server is nginx');
    unlike($r->{headers}{date}, qr/1998/, "Date is nginx's own");
    is($r->{headers}{'cache-control'}, 'private', 'Cache-Control is our own');
    is($r->{headers}{'x-content-type-options'}, 'nosniff',
       'X-Content-Type-Options is our own');
    is($r->{headers}{'access-control-allow-origin'}, 'https://crm.example',
       'Access-Control-Allow-Origin is our own');
    is($r->{headers}{etag}, '"t"', 'ETag is passed on');
    is($r->{headers}{'content-encoding'}, 'br',
       'Content-Encoding belongs to the body and is passed on');
    is_deeply([ grep { /^(set-cookie|x-powered-by|location|refresh|link|expires
                          |www-authenticate|content-disposition)$/x }
                sort keys %{ $r->{headers} } ], [],
              'no other header of WAHA is passed on');
    $waha->heal;
};


my %fault = (
    refuse   => [ 502, 'waha_unavailable' ],
    stall    => [ 504, 'waha_timeout' ],
    close    => [ 502, 'waha_unavailable' ],
    reset    => [ 502, 'waha_unavailable' ],
    # bytes that are no HTTP: nginx takes them for HTTP/0.9, freenginx does not
    garbage  => [ 502, qr/^waha_(invalid_answer|unavailable)$/ ],
    error500 => [ 502, 'waha_error' ],
);


for my $way ('', '/pages') {
    subtest "WAHA fails, error pages: \"$way\"" => sub {
        is(get('acme', "$way$photo")->{status}, 200,
           'the file is answered before');

        for my $with (sort keys %fault) {
            $waha->fail(with => $with, match => '/api/files');
            my $r = get('acme', "$way$photo");
            refused($r, @{ $fault{$with} }, $with);
            is($r->{headers}{'content-type'}, 'application/json',
               "$with: the refusal is JSON");
            unlike($r->{body}, qr/SECRETPAGE|nginx|Angie/,
                   "$with: no error page is shown");

            $r = $api->request('acme', 'HEAD', "$way$photo");
            is($r->{status}, $fault{$with}[0],
               "$with: HEAD has the same status");
            $waha->heal;
        }

        for my $status (201, 204, 301, 302, 400, 401, 403, 405, 503) {
            $waha->fail(match => '/api/files', status => $status,
                        type => 'text/html', body => 'SECRETPAGE' x 10_000,
                        headers => [ [ 'Location', 'http://evil/' ],
                                     [ 'WWW-Authenticate', 'Basic' ],
                                     [ 'ETag', '"e"' ] ]);
            my $r = get('acme', "$way$photo");
            refused($r, 502, 'waha_error', "WAHA answers $status");
            is_deeply([ grep { /^(location|www-authenticate|etag)$/ }
                        keys %{ $r->{headers} } ], [],
                      "no header of WAHA's answer $status is passed on");
            $waha->heal;
        }

        my $gone = message('t1', 'http://x/api/files/t1/gone.png');
        refused(get('acme', "$way$gone"), 410, 'media_expired',
                   'a file that WAHA has deleted');
        is(get('acme', "$way$photo")->{status}, 200,
           'the file is answered afterwards');
    };
}


subtest "WAHA's reason is in the error log and nowhere else" => sub {
    my %want = (
        401 => 'refuses the API key of instance "main" with 401: For agents',
        403 => 'refuses the API key of instance "main" with 403: For agents',
        404 => 'WAHA, instance "main", answers 404: For agents',
        500 => 'WAHA, instance "main", answers 500: For agents',
    );

    for my $way ('', '/pages') {
        for my $status (sort keys %want) {
            my $before = length $t->error_log;

            $waha->fail(match => '/api/files', status => $status,
                        body => '{"message":"For agents"}');
            my $r = get('acme', "$way$photo");
            $waha->heal;

            unlike($r->{body}, qr/For agents/, "$status: not for the client");
            my $log = substr $t->error_log, $before;
            is(scalar(() = $log =~ /\Q$want{$status}/g), 1,
               "$status: one line in the log has it");
        }
    }
};


subtest 'WAHA breaks off in the middle of a file' => sub {
    for my $with (qw(truncate truncate_chunked hang)) {
        $waha->fail(with => $with, match => '/api/files');
        my $r = get('acme', $photo);
        is($r->{status}, 0,
           "$with: the client sees that the file is not complete");
        $waha->heal;
    }

    is(get('acme', $photo)->{status}, 200, 'the file is answered afterwards');
};


subtest "X-Accel-Redirect in WAHA's answer" => sub {
    $waha->fail(match => '/api/files', status => 200, body => 'x',
                headers => [ [ 'X-Accel-Redirect', '/fooled' ] ]);
    my $r = get('acme', $photo);
    refused($r, 502, 'waha_invalid_answer', 'X-Accel-Redirect');
    unlike($r->{body}, qr/SECRETPAGE/,
           'the target of X-Accel-Redirect is not shown');
    $waha->heal;
};


subtest 'HTTP/2' => sub {
    plan(skip_all => 'curl has no HTTP/2') if !$api->has_http2;

    # HTTP version, status, and how many bytes the body has

    my $get = sub {
        my ($method, @more) = @_;

        my $r = $api->http2(acme => $method => $photo, @more);
        return "$r->{version} $r->{status} " . length $r->{body};
    };

    is($get->('GET'), '2 200 ' . length $png, 'a file over HTTP/2');
    is($get->(GET => undef, '-r', '0-9'), '2 206 10', 'a range over HTTP/2');
    is($get->('HEAD'), '2 200 0', 'HEAD over HTTP/2');
    is($get->(GET => '{}'), '2 200 ' . length $png,
       'a request with a body over HTTP/2');
    is($get->(GET => undef, '-r', '99999-'), '2 416 0',
       'a range beyond the end over HTTP/2');

    for my $with (sort keys %fault) {
        $waha->fail(with => $with, match => '/api/files');
        refused($api->http2(acme => GET => $photo), @{ $fault{$with} }, $with);
        $waha->heal;
    }
};


subtest 'a file of 64 MB' => sub {
    my $size = 64 * 1024 * 1024;
    my $big = message('t1', file('t1', 'big.mp4', 'v' x $size, 'video/mp4'));
    my ($pid) = $t->worker_pids;
    my $before = memory($pid);

    # the client reads nothing: nginx must not fetch it all from WAHA

    my $http = $t->http(timeout => 60);
    $http->connect;
    setsockopt $http->{socket}, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(),
               pack 'i', 65536;
    $api->send($http, acme => GET => $big);

    ok(wait_for(sub {
        my $bits = '';
        vec($bits, fileno $http->{socket}, 1) = 1;
        return select $bits, undef, undef, 0;
    }, 60), 'the answer begins');

    my $peak = 0;
    for (1 .. 10) {
        my $now = memory($pid) - $before;
        $peak = $now if $now > $peak;
        Time::HiRes::sleep(0.02);
    }

    unlike($t->error_log, qr/buffered to a temporary file/,
           'the file is not buffered on disk');

    my $r = $http->answer;
    is($r->{status}, 200, 'the answer goes on when the client reads');
    is(length $r->{body}, $size, 'the file arrives whole');

    my $now = memory($pid) - $before;
    $peak = $now if $now > $peak;
    cmp_ok($peak, '<', 4_000,
           'the memory of the worker does not grow with the file');
};


subtest 'clients that close their connection while a file is sent' => sub {
    my ($pid) = $t->worker_pids;
    $api->{http}->close;
    is(get('acme', $photo)->{status}, 200, 'the file is answered before');
    my $before = descriptors($pid);

    for my $with ('stall', 'hang') {
        $waha->fail(with => $with, match => '/api/files');
        $waha->clear_requests;

        my @clients = map { $api->send($t->http, acme => GET => $photo) }
                      1 .. 10;

        ok(wait_for(sub { $waha->requests == 10 }, 60),
           "$with: ten requests are under way");
        $_->reset for @clients;

        ok(wait_for(sub { descriptors($pid) <= $before }, 60),
           "$with: connections to WAHA are closed with those of the clients");
        $waha->heal;
    }
};


subtest 'secrets of WAHA' => sub {
    $api->hides($waha->secrets, qw(SECRETOFBOLT SECRETPAGE SECRETCOOKIE));
};


$t->done;
