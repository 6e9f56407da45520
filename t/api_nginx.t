# What nginx offers in the location that leads to WAHA works there as anywhere
# else: caches, threads, slices, filters, limits, conditions, headers.  Requests
# to WAHA and media files are answered as without it.

use Waha::Test;
use Waha::Api;

use Compress::Zlib ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(key => 'adminkey-of-waha');
my $port = $waha->port;
my $dir = $t->dir;

$pg->organization('acme', session => 't1');
$waha->add_session('t1', start => 1);

# as Debian has it
my $params = spew("$dir/proxy_params", <<'EOF_PARAMS');
proxy_set_header Host $http_host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
EOF_PARAMS

my $key = 'proxy_cache waha; proxy_cache_key $uri$is_args$args;
           proxy_ignore_headers Cache-Control;';
my $cache = "$key proxy_cache_valid 200 1h;";


# directives of the location that leads to WAHA

my %way = (
    plain      => '',
    params     => "proxy_http_version 1.1; include $params;",
    host       => 'proxy_http_version 1.1; proxy_set_header Host $host;',
    trace      => 'proxy_set_header X-Trace $http_x_trace;
                   proxy_set_header X-Mapped $mapped;',
    unbuffered => 'proxy_buffering off;',
    cached     => $cache,
    locked     => "$cache proxy_cache_lock on;",
    threads    => "$cache aio threads;",
    stale      => "$key proxy_cache_valid 200 1s;
                   proxy_cache_use_stale updating error timeout http_500;
                   proxy_cache_background_update on;",
    bypassed   => "$cache proxy_cache_bypass \$http_x_fresh;",
    sliced     => "slice 1k; proxy_set_header Range \$slice_range;
                   proxy_cache waha; proxy_cache_key \$uri\$slice_range;
                   proxy_ignore_headers Cache-Control;
                   proxy_cache_valid 200 206 1h; proxy_http_version 1.1;
                   proxy_set_header Connection '';",
    uncached   => 'slice 1k; proxy_set_header Range $slice_range;',
    changed    => "sub_filter_types *; sub_filter nothing_of_it else;",
    gunzipped  => 'gunzip on; proxy_set_header Accept-Encoding gzip;',
    zipped     => 'gzip on; gzip_types *; gzip_min_length 1;',
    marked     => 'add_header X-Operator yes always; expires 1h;',
    pages      => 'proxy_intercept_errors on; recursive_error_pages on;
                   error_page 404 416 500 502 504 =200 /fooled;',
    limited    => 'limit_req zone=requests burst=100; limit_conn perip 100;',
    mirrored   => 'mirror /mirror;',
    authorized => 'auth_request /auth;',
    rewritten  => "if (\$http_x_trace) { set \$traced 1; }
                   rewrite ^/waha-rewritten(/.*)\$ \$1 break;
                   proxy_pass http://127.0.0.1:$port;",
    small      => 'subrequest_output_buffer_size 16;',
    included   => 'ssi on; ssi_types *; charset utf-8;',
    ignoring   => 'proxy_ignore_headers X-Accel-Redirect;',
);

my $locations = join '', map {
    my $pass = $way{$_} =~ /proxy_pass/ ? '' : "proxy_pass http://waha/;";

    <<"EOF_CONF" } sort keys %way;
        location /$_/ {
            rewrite ^/$_(/.*)\$ \$1 break;
            waha_api;
            waha_instance main /waha-$_;
        }

        location /waha-$_/ {
            internal;
            proxy_set_header X-Api-Key adminkey-of-waha;
            $pass
            $way{$_}
        }
EOF_CONF

my $api = Waha::Api->new($t, http => <<"EOF_HTTP", server => <<"EOF_SERVER");
    waha_webhook_url http://127.0.0.1/api/whatsapp/webhook;
    waha_session_budget restarts=off;
    waha_call_timeout 60s look=30s;

    proxy_cache_path $dir/cache keys_zone=waha:1m;
    limit_req_zone \$binary_remote_addr zone=requests:1m rate=1000r/s;
    limit_conn_zone \$binary_remote_addr zone=perip:1m;

    map \$http_x_trace \$mapped {
        default "";
        ~(.+) mapped-\$1;
    }

    upstream waha {
        server 127.0.0.1:$port max_fails=0;
        keepalive 4;
    }
EOF_HTTP
        # what operators check before all else

        if (\$http_x_forwarded_proto != https) {
            return 421;
        }

        if (\$http_user_agent !~ ^crm) {
            return 421;
        }

        location = /fooled {
            return 200 '{"name":"t1","status":"FAILED"}';
        }

        location = /mirror {
            internal;
            proxy_pass http://waha/mirrored;
            proxy_set_header X-Api-Key adminkey-of-waha;
        }

        location = /auth {
            internal;
            if (\$http_authorization = "") {
                return 403;
            }
            return 204;
        }

        location /absent/ {
            rewrite ^/absent(/.*)\$ \$1 break;
            waha_api;
            waha_instance main /waha-absent;
        }

        location /waha-absent/ {
            return 200 '{"name":"t1","status":"WORKING"}';
        }

        location /replaced/ {
            rewrite ^/replaced(/.*)\$ \$1 break;
            waha_api;
            waha_instance main /waha-replaced;
        }

        location /waha-replaced/ {
            error_page 418 =200 /fooled;
            return 418;
        }

        location /denied/ {
            rewrite ^/denied(/.*)\$ \$1 break;
            waha_api;
            waha_instance main /waha-denied;
        }

        location /waha-denied/ {
            deny all;
            proxy_pass http://waha/;
        }

$locations
EOF_SERVER

$t->start;

my %client = ('X-Forwarded-Proto' => 'https', 'User-Agent' => 'crm/1',
              'X-Trace' => 't-1', Host => 'crm.example:80',
              Cookie => 'SECRETCOOKIE');
my @client = map { ('-H', "$_: $client{$_}") } sort keys %client;

my $session = '/api/whatsapp/sessions/t1?refresh=1';
my $file = join ' ', 1001 .. 2000;
my $size = length $file;
my $photo = photo();
my $http2 = $api->has_http2;


sub photo {
    my $r = $t->webhook($t->message(session => 't1', media => {
        url => $waha->url
               . $waha->add_file('t1', '3EB0A.png', $file, 'image/png'),
        mimetype => 'image/png' }), headers => \%client);
    is($r->{status}, 200, 'a message with a file is taken');

    return '/api/whatsapp/media/'
           . $pg->value('select max(id) from contact_activities');
}


sub get {
    my ($way, $path, %headers) = @_;

    return $api->request('acme', GET => "/$way$path", undef, %client,
                         %headers);
}


sub is_file {
    my ($r, $status, $bytes, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($r->{status}, $status, "$name: status $status");
    ok($r->{body} eq $bytes, "$name: the bytes of the file");
}


is($api->get('acme', $session)->{status}, 421,
   'a client without the headers that the server wants is refused');


for my $way (sort keys %way) {
    subtest "$way: requests to WAHA" => sub {
        for my $n (1, 2) {
            my $r = get($way, $session);
            is($r->{status}, 200, "request $n is answered") or diag $r->{body};
            is($r->{json}{data}{session}, 't1', 'it shows the session');

            $r = $api->http2('acme', GET => "/$way$session", undef, @client)
                if $http2;
            is($r->{status}, 200, "request $n over HTTP/2 is answered");
        }

        # the first one may have to repair the session's configuration

        my $path = "/$way/api/whatsapp/sessions/t1/restart";
        $api->request('acme', POST => $path, '{}', %client);
        $waha->clear_requests;

        my $r = $api->request('acme', POST => $path, '{"a":"SECRETBODY"}',
                              %client);
        is($r->{status}, 200, 'a restart is answered') or diag $r->{body};

        my ($post) = $waha->requests('^POST /api');
        is($post->{body}, '', "the client's body does not reach WAHA");
        unlike(join("\n", %{ $post->{headers} }), qr/SECRET/,
               "the client's headers do not reach WAHA");
        ok(length $post->{headers}{host}, 'WAHA gets a Host');
    };

    subtest "$way: media files" => sub {
        for my $n (1, 2) {
            is_file(get($way, $photo), 200, $file, "file $n");
            is_file(get($way, $photo, Range => 'bytes=1500-2600'), 206,
                    substr($file, 1500, 1101), "range $n");
        }

        my $r = get($way, $photo, Range => 'bytes=9999-');
        is($r->{status}, 416, 'a range behind the end');
        is($r->{headers}{'content-range'}, "bytes */$size",
           'it has the length of the file');
        is($r->{body}, '', 'it has no body');

        my $etag = get($way, $photo)->{headers}{etag};
        $r = get($way, $photo, 'If-None-Match' => $etag // '"y"');

        # filters that may change a body take the ETag away
        defined $etag ? is($r->{status}, 304, 'a known version')
                      : is_file($r, 200, $file, 'a known version');
        is_file(get($way, $photo, 'If-None-Match' => '"x"'), 200, $file,
                'another version');

        is_file(get($way, $photo, Range => 'bytes=0-9', 'If-Range' => '"x"'),
                200, $file, 'a range of another version');

        is($api->request('acme', HEAD => "/$way$photo", undef,
                         %client)->{status}, 200, 'HEAD');

        is_file($api->http2('acme', GET => "/$way$photo", undef, @client), 200,
                $file, 'over HTTP/2') if $http2;
    };
}


subtest 'headers that the configuration adds' => sub {
    $waha->clear_requests;
    get($_, $session) for qw(params host trace);
    get($_, $photo) for qw(params host trace);

    for my $kind (qw(sessions files)) {
        my ($params, $host, $trace) = map { $_->{headers} }
                                      $waha->requests("^GET /api/$kind");

        is($params->{host}, 'crm.example:80',
           "$kind: \$http_host is the client's");
        is($params->{'x-real-ip'}, '127.0.0.1', "$kind: \$remote_addr");
        is($params->{'x-forwarded-for'}, '127.0.0.1',
           "$kind: \$proxy_add_x_forwarded_for");
        is($host->{host}, 'crm.example', "$kind: \$host");
        is($trace->{'x-trace'}, 't-1', "$kind: a header of the client");
        is($trace->{'x-mapped'}, 'mapped-t-1', "$kind: a map of it");
    }

    is(get('marked', $photo)->{headers}{'x-operator'}, 'yes', 'add_header');
};


subtest 'caches' => sub {
    for my $way (qw(cached locked threads)) {
        $waha->clear_requests;
        is(get($way, $session)->{status}, 200, "$way: a cached answer");
        is_file(get($way, $photo), 200, $file, "$way: a cached file");
        is(scalar(my @none = $waha->requests), 0, 'WAHA is not asked');

        $waha->fail(with => 'refuse');
        is(get($way, $session)->{status}, 200, "$way: also without WAHA");
        $waha->heal;
    }

    $waha->clear_requests;
    get('bypassed', $_, 'X-Fresh' => 1) for $session, $photo;
    is(scalar(my @two = $waha->requests), 2,
       'conditions see the headers of the client');
};


# after a second an answer is stale, and renewed in the background

subtest 'a cache that is updated in the background' => sub {
    my $asked = sub { scalar(my @all = $waha->requests($_[0])) };

    for my $path ($session, $photo) {
        my $match = $path eq $session ? '^GET /api/sessions'
                                      : '^GET /api/files';
        get('stale', $path);

        ok(wait_for(sub {
            $waha->clear_requests;
            my $r = get('stale', $path);
            return 'bad' if $r->{status} != 200;
            return $asked->($match);
        }, 60), "$path is asked for again");

        $waha->fail(with => 'error500');
        is(get('stale', $path)->{status}, 200, "$path is shown though stale")
            for 1 .. 3;
        $waha->heal;
    }
};


subtest 'compressed answers of WAHA' => sub {
    my $zip = sub { Compress::Zlib::memGzip($_[0]) };

    $waha->fail(match => '/api/sessions', status => 200,
                headers => [ [ 'Content-Encoding', 'gzip' ] ],
                body => $zip->('{"name":"t1","status":"WORKING"}'));
    is(get('gunzipped', $session)->{json}{data}{status}, 'WORKING',
       'gunzip: the state of a session');
    $waha->heal;

    $waha->fail(match => '/api/files', status => 200, type => 'image/png',
                headers => [ [ 'Content-Encoding', 'gzip' ] ],
                body => $zip->($file));
    is_file(get('gunzipped', $photo), 200, $file, 'gunzip: a file');

    my $r = get('plain', $photo);
    is($r->{headers}{'content-encoding'}, 'gzip',
       'without gunzip a client learns how a file is packed');
    is_file({ %$r, body => Compress::Zlib::memGunzip($r->{body}) }, 200,
            $file, 'unpacked');
    $waha->heal;
};


subtest 'mirrored requests' => sub {
    ok(scalar(my @mirrored = $waha->requests('/mirrored'))
       || do { get('mirrored', $photo);
               wait_for(sub { scalar(my @m = $waha->requests('/mirrored')) },
                        10) },
       'a request for a file is mirrored');
};


subtest 'a location that answers by itself' => sub {
    for my $way (qw(absent replaced)) {
        my $status = $way eq 'absent' ? 200 : 418;

        refused(get($way, $session), 502, 'waha_unavailable', $way);
        refused(get($way, $photo), 502, 'waha_unavailable', "$way: a file");

        my $line = qq("/waha-$way/" of instance "main" answers);
        my @said = $t->error_log =~ /$line (\d+) by itself/g;
        is($said[0], $status, "$way: the log has its status");
        is(scalar @said, 2, "$way: once for each request");
    }

    refused(get('denied', $photo), 502, 'waha_unavailable', 'deny');
    like($t->error_log, qr{"/waha-denied/" of instance "main" answers 403 by},
         'deny: the log has the status');
};


subtest 'secrets' => sub {
    $api->hides($waha->secrets, qw(SECRETCOOKIE SECRETBODY));
};


$t->done;
