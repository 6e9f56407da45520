# Calls of WAHA: whatever WAHA answers, the client gets a clean answer in
# time.  Nothing that WAHA says leaks to the client, nothing that the client
# sends leaks to WAHA.

use Waha::Test;
use Waha::Api;
use Waha::Process qw(child descriptors kill_hard memory);

use IO::Socket::INET ();
use Time::HiRes ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(key => 'adminkey-of-waha');
my $port = $waha->port;

$pg->organization('acme', session => 't1');
$waha->add_session('t1', start => 1);


# a server that sends the bytes of a file and closes the connection, or goes on
# sending blanks without end

my $server = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1')
    or die "listen: $!";
my $said = $t->dir . '/said';

my $endless = $t->dir . '/endless';    # how much, seconds in between

my $talker = child(sub {
    $SIG{PIPE} = 'IGNORE';

    while (my $client = $server->accept) {
        local $/ = "\r\n\r\n";
        my $request = <$client>;

        print $client slurp($said);

        next if !-e $endless;
        my ($much, $pause) = split ' ', slurp($endless);
        $client->autoflush;
        select undef, undef, undef, $pause while print $client ' ' x $much;
    }
});


sub say_this {
    my ($bytes, @more) = @_;

    unlink $endless;

    spew($said, $bytes);
    spew($endless, "@more") if @more;
}

my $raw = 'proxy_pass http://127.0.0.1:' . $server->sockport . '/;';


# ways to proxy to WAHA: each has a location of the API and an internal one

my %proxy = (
    plain      => '',
    unbuffered => 'proxy_buffering off;',
    chunked    => 'proxy_http_version 1.1;
                   proxy_set_header Connection close;',
    keepalive  => 'proxy_http_version 1.1;
                   proxy_set_header Connection "";
                   proxy_pass http://waha/;',
    pages      => 'proxy_intercept_errors on;
                   error_page 404 500 502 504 =200 /fooled;',
    small      => '',
    hurried    => '',
    patient    => '',
    raw        => $raw,
    flowing    => "proxy_buffering off; $raw",
    modern     => "proxy_http_version 1.1; $raw",
    absent     => 'return 503;',
    closing    => 'return 444;',
);

$proxy{"slow_$_"} = $proxy{$_} for qw(plain unbuffered keepalive);

my $locations = '';

for my $way (sort keys %proxy) {
    my $pass = $proxy{$way} =~ /proxy_pass/ ? ''
               : "proxy_pass http://127.0.0.1:$port/;";
    my $size = $way eq 'small' ? 'waha_call_size 64;' : '';
    my $bound = $way eq 'patient' ? ''
                : $way =~ /^(hurried|raw|flowing|modern)$/
                ? 'waha_call_timeout 3s look=30s;'
                : $way =~ /^slow/ ? 'waha_call_timeout 300s look=300s;'
                : 'waha_call_timeout 60s look=30s;';
    my $wait = $way =~ /^(patient|slow)/ ? '100s' : '3s';

    $locations .= <<"EOF_CONF";
        location /$way/ {
            set \$who client;
            rewrite ^/$way(/.*)\$ \$1 break;
            waha_api;
            waha_instance main /waha-$way;
            $size
            $bound
            add_header X-Who \$who always;
        }

        location /waha-$way/ {
            internal;
            set \$who waha;
            proxy_set_header X-Api-Key adminkey-of-waha;
            proxy_set_header X-Who \$who;
            proxy_connect_timeout 3s;
            proxy_read_timeout $wait;
            $pass
            $proxy{$way}
        }
EOF_CONF
}

my $api = Waha::Api->new($t, http => <<"EOF_HTTP", server => <<"EOF_SERVER");
    waha_webhook_url http://127.0.0.1/api/whatsapp/webhook;

    upstream waha {
        server 127.0.0.1:$port max_fails=0;
        keepalive 4;
    }
EOF_HTTP
        location = /fooled {
            return 200 '{"name":"t1","status":"WORKING"}';
        }
$locations
EOF_SERVER

$t->start;

my $path = '/api/whatsapp/sessions/t1?refresh=1';
my $http2 = $api->has_http2;


sub call {
    my ($way, %headers) = @_;

    return $api->request('acme', 'GET', "/$way$path", undef, %headers);
}


# the same over HTTP/2, if curl knows it

sub call2 {
    my ($way, @more) = @_;

    return call($way) if !$http2;

    return $api->http2('acme', GET => "/$way$path", undef, @more);
}


my %fault = (
    refuse           => [ 502, 'waha_unavailable' ],
    stall            => [ 504, 'waha_timeout' ],
    reset            => [ 502, 'waha_unavailable' ],
    close            => [ 502, 'waha_unavailable' ],
    truncate         => [ 502, 'waha_invalid_answer' ],
    truncate_chunked => [ 502, 'waha_invalid_answer' ],
    hang             => [ 502, 'waha_invalid_answer' ],
    # bytes that are no HTTP: nginx takes them for HTTP/0.9, freenginx does not
    garbage          => [ 502, qr/^waha_(invalid_answer|unavailable)$/ ],
    html             => [ 502, 'waha_invalid_answer' ],
    not_json         => [ 502, 'waha_invalid_answer' ],
    error500         => [ 502, 'waha_error' ],
    empty            => [ 502, 'waha_invalid_answer' ],
);


for my $way (qw(plain unbuffered chunked keepalive pages)) {
    subtest "WAHA fails, proxied $way" => sub {
        my $r = call($way);

        is($r->{status}, 200, 'a good answer of WAHA gives 200');
        is($r->{json}{data}{session}, 't1', 'the answer shows the session');

        for my $with (sort keys %fault) {
            $waha->fail(with => $with, match => '/api/sessions');
            $r = call($way);
            refused($r, @{ $fault{$with} }, $with);
            cmp_ok($r->{seconds}, '<', 20,
                   "$with: answered by a timeout of the location");
            is($r->{headers}{'x-who'}, 'client',
               "$with: variables are those of the client's request");

            refused(call2($way), @{ $fault{$with} }, "$with over HTTP/2")
                if $way eq 'plain' || $way eq 'keepalive';

            $waha->heal;
        }

        is(call($way)->{status}, 200, 'the API works again when WAHA does');
    };
}


subtest 'slow but good answers of WAHA' => sub {
    for my $way (qw(slow_plain slow_unbuffered slow_keepalive)) {
        $waha->fail(slow => 0.3, match => '/api/sessions');
        is(call($way)->{status}, 200, "$way: a slow answer is waited for");
        is(call2($way)->{status}, 200,
           "$way: a slow answer is waited for over HTTP/2");
        $waha->heal;

        $waha->fail(with => 'trickle', match => '/api/sessions');
        is(call($way)->{status}, 200,
           "$way: an answer byte by byte is put together");
        is(call2($way)->{status}, 200,
           "$way: an answer byte by byte is put together over HTTP/2");
        $waha->heal;
    }
};


subtest 'answers of WAHA beyond waha_call_size' => sub {
    my ($pid) = $t->worker_pids;
    my $before = memory($pid);

    for my $way (qw(plain unbuffered chunked keepalive)) {
        $waha->fail(huge => 20_000_000, match => '/api/sessions');
        my $r = call($way);
        refused($r, 502, 'waha_invalid_answer', "$way: an answer of 20 MB");
        cmp_ok($r->{seconds}, '<', 20,
               "$way: an answer of 20 MB is refused soon");
        refused(call2($way), 502, 'waha_invalid_answer',
                   "$way: an answer of 20 MB over HTTP/2");
        $waha->heal;
    }

    cmp_ok(memory($pid) - $before, '<', 12_000,
           'answers of 20 MB are not kept in the memory of the worker');

    my $good = '{"name":"t1","status":"WORKING"';
    $good .= ',"x":"' . 'x' x (1024 * 1024 - length($good) - 8) . '"}';
    is(length $good, 1024 * 1024,
       "the test's answer is 1 MB long, as waha_call_size allows");

    for my $way (qw(plain unbuffered)) {
        $waha->fail(status => 200, body => $good, match => '/api/sessions');
        is(call($way)->{status}, 200, "$way: an answer of 1 MB is taken");
        $waha->heal;

        $waha->fail(status => 200, body => "$good ",
                    match => '/api/sessions');
        refused(call($way), 502, 'waha_invalid_answer',
                   "$way: an answer one byte longer than 1 MB");
        $waha->heal;
    }

    # blanks follow a complete object, so that what fits the limit is valid
    # JSON

    for my $way (qw(plain unbuffered)) {
        $waha->fail(status => 200, match => '/api/sessions',
                    body => '{"name":"t1","status":"WORKING"}'
                            . ' ' x (2 * 1024 * 1024));
        refused(call($way), 502, 'waha_invalid_answer',
                   "$way: a small object followed by 2 MB of blanks");
        $waha->heal;
    }

    refused(call('small'), 502, 'waha_invalid_answer',
            'an answer beyond waha_call_size 64');
};


subtest 'answers of WAHA that end too early' => sub {
    my $json = '{"name":"t1","status":"WORKING"}';
    my $type = "Content-Type: application/json\r\n";
    my $size = sprintf '%x', length $json;
    my $chunked = "HTTP/1.1 200 OK\r\n${type}Transfer-Encoding: chunked"
                  . "\r\n\r\n$size\r\n$json\r\n";

    my @case = (
        [ 'a good one', "HTTP/1.1 200 OK\r\n${type}Content-Length: "
          . length($json) . "\r\n\r\n$json", 200 ],
        [ 'one without a length', "HTTP/1.0 200 OK\r\n$type\r\n$json",
          200 ],
        [ 'chunks', "${chunked}0\r\n\r\n", 200 ],
        [ 'chunks without the last one', $chunked, 'waha_invalid_answer' ],
        [ 'less than its length', "HTTP/1.1 200 OK\r\n${type}"
          . "Content-Length: 100\r\n\r\n$json", 'waha_invalid_answer' ],
        [ 'no header at all', $json, 'waha_invalid_answer' ],
        [ 'half of a header', "HTTP/1.1 200 OK\r\nConte",
          'waha_unavailable' ],
        [ 'a line of a header', "HTTP/1.1 200 OK\r\n", 'waha_unavailable' ],
        [ 'a header without an end', "HTTP/1.1 200 OK\r\n"
          . "X: y\r\n" x 10_000, 'waha_unavailable' ],
        [ 'nothing', '', 'waha_unavailable' ],
    );

    for my $way (qw(raw flowing modern)) {
        for my $case (@case) {
            my ($name, $bytes, $want) = @$case;

            say_this($bytes);

            my $r = call($way);
            $want eq '200' ? is($r->{status}, 200, "$way: $name is taken")
                           : refused($r, 502, $want, "$way: $name");
        }
    }
};


# each byte comes within proxy_read_timeout

subtest 'answers of WAHA that do not end' => sub {
    my ($pid) = $t->worker_pids;
    my $header = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
                 . '{"name":"t1","status":"WORKING"}';

    is(call('hurried')->{status}, 200,
       'a good answer within waha_call_timeout is taken');
    my $before = descriptors($pid);

    $waha->fail(trickle => 0.3, match => '/api/sessions');
    refused($_, 504, 'waha_timeout', 'a header that comes byte by byte')
        for call('hurried'), call2('hurried');
    $waha->heal;

    for my $way (qw(raw flowing modern)) {
        say_this($header, 1, 0.1);
        refused($_, 504, 'waha_timeout',
                "$way: a body that comes byte by byte")
            for call($way), call2($way);

        say_this($header, 65536, 0);
        refused($_, 502, 'waha_invalid_answer', "$way: a body without end")
            for call($way), call2($way);

        say_this($header);
        is(call($way)->{status}, 200, "$way: a body that ends is taken");
    }

    ok(wait_for(sub { descriptors($pid) <= $before }, 60),
       'the connections to WAHA are closed');
    is(call('hurried')->{status}, 200, 'the next call works');

    like($t->error_log, qr/not complete in "waha_call_timeout"/,
         'waha_call_timeout is logged');
    like($t->error_log, qr/bigger than "waha_call_size"/,
         'waha_call_size is logged');
};


subtest 'a look at a session while WAHA hangs' => sub {
    is(call('patient')->{status}, 200, 'a good answer is taken');

    for my $with (qw(stall hang)) {
        $waha->fail(with => $with, match => '^GET /api/sessions');
        $pg->psql("update waha.sessions
                      set status_at = status_at - interval '1 day',
                          checked_at = checked_at - interval '1 day'");

        my $r = $api->get('acme', '/patient/api/whatsapp/sessions/t1');
        is($r->{status}, 200, "$with: the session is shown");
        is($r->{json}{data}{stale}, JSON::PP::true,
           "$with: it is shown as stale");
        cmp_ok($r->{seconds}, '<', 30, "$with: soon");

        $r = call('patient');
        refused($r, 504, 'waha_timeout', "$with: its refreshed state");
        cmp_ok($r->{seconds}, '<', 30, "$with: soon");
        $waha->heal;
    }

    $waha->fail(slow => 4, match => '^POST');
    my $r = $api->post('acme', '/patient/api/whatsapp/sessions/t1/stop');
    is($r->{status}, 200, 'what changes a session has its time');
    $waha->heal;
    $waha->status('t1', 'WORKING');
};


subtest 'bodies of WAHA that are not the JSON expected' => sub {
    my $deep = '[' x 100 . ']' x 100;

    for my $body ("\0", '{"name":"t1"', '{"name":"t1"} x', "\xff\xfe{}",
                  qq({"a":$deep}), '[]', '7', 'null', '""', '{}')
    {
        $waha->fail(status => 200, body => $body, match => '/api/sessions');
        (my $name = substr $body, 0, 20) =~ s/[^ -~]/?/g;
        refused(call('plain'), 502, 'waha_invalid_answer', $name);
        $waha->heal;
    }

    for my $status (201, 204, 301, 302, 400, 401, 403, 422, 429, 501, 503) {
        $waha->fail(status => $status, match => '/api/sessions',
                    type => 'text/html', body => '<html>SECRETPAGE</html>',
                    headers => [ [ 'Location', 'http://evil.example/' ] ]);
        my $r = call('plain');
        is($r->{status}, 502, "status $status of WAHA gives 502");
        unlike($r->{body}, qr/SECRETPAGE|evil/,
               "status $status: WAHA's page is not shown");
        is($r->{headers}{location}, undef,
           "status $status: WAHA's Location is not passed on");
        $waha->heal;
    }
};


subtest 'answers that nginx itself makes in the location of WAHA' => sub {
    refused(call('absent'), 502, 'waha_unavailable', "return 503");
    refused(call2('absent'), 502, 'waha_unavailable',
            '"return 503" over HTTP/2');
    refused(call('closing'), 502, 'waha_unavailable', "return 444");

    $waha->remove_session('t1');
    is(call('pages')->{json}{data}{status}, 'NOT_CREATED',
       'proxy_intercept_errors does not replace a 404');
    is(call('plain')->{json}{data}{status}, 'NOT_CREATED',
       'a 404 of WAHA means that the session is not there');
    $waha->add_session('t1', start => 1);
};


subtest 'X-Accel-Redirect from WAHA' => sub {
    $waha->fail(status => 200, body => '{}', match => '/api/sessions',
                headers => [ [ 'X-Accel-Redirect', '/fooled' ] ]);
    my $r = call('plain');
    like($r->{status}, qr/^(200|502)$/,
         'X-Accel-Redirect does not hang the request');
    is_deeply([ sort keys %{ $r->{json} } ],
              $r->{status} == 200 ? [ 'data', 'success' ]
                                  : [ 'code', 'error', 'success' ],
              "the answer has our own members, not those of the redirect's "
              . "target");
    $waha->heal;
};


subtest 'requests that reach WAHA' => sub {
    $waha->clear_requests;

    my %client = (
        'Cookie' => 'sid=SECRETCOOKIE', 'X-Forwarded-For' => '198.51.100.7',
        'Accept' => 'text/html', 'Accept-Encoding' => 'gzip',
        'User-Agent' => 'SECRETAGENT', 'Range' => 'bytes=0-1',
        'If-Modified-Since' => 'Thu, 01 Jan 2099 00:00:00 GMT',
        'Content-Type' => 'application/json', 'X-Who' => 'SECRETWHO',
        'X-Api-Key' => 'SECRETKEY', 'Expect' => undef,
    );

    my $r = call('plain', %client);
    is($r->{status}, 200, 'a request with many headers is answered');
    call2('plain', map { ('-H', "$_: $client{$_}") }
                   grep { defined $client{$_} } sort keys %client);

    $r = $api->request('acme', 'GET', "/plain$path", '{"SECRET":"BODY"}');
    is($r->{status}, 200, 'a request with a body is answered');

    my @requests = $waha->requests('^GET /api/sessions/t1$');
    is(scalar @requests, 3, 'all three calls reach WAHA');

    for my $request (@requests) {
        is_deeply([ grep { $_ ne 'connection' }
                    sort keys %{ $request->{headers} } ],
                  [ qw(accept host x-api-key x-who) ],
                  'no header of the client reaches WAHA');
        is($request->{headers}{accept}, 'application/json',
           'WAHA is asked for JSON');
        is($request->{headers}{'x-who'}, 'waha',
           'variables in the location of WAHA are evaluated for it');
        is($request->{body}, '', 'no body of the client reaches WAHA');
    }

    # on a kept connection a body that was passed on would be read as a request

    $r = $api->request('acme', 'GET', "/keepalive$path",
                       "GET /smuggled HTTP/1.1\r\nHost: waha\r\n\r\n");
    is($r->{status}, 200, 'a request with a request in its body is answered');
    is(call('keepalive')->{status}, 200,
       'the next call on the kept connection is answered');
    is(scalar(my @smuggled = $waha->requests('smuggled')), 0,
       'no request is smuggled to WAHA');

    $waha->clear_requests;
    $r = $api->request('acme', 'POST', '/plain/api/whatsapp/sessions/t1/stop',
                       '{"SECRET":"BODY"}', Cookie => 'SECRETCOOKIE');
    is($r->{status}, 200, 'stopping a session is answered');
    my ($stop) = $waha->requests('^POST');
    is($stop->{headers}{'content-length'}, 0, "WAHA's POST has an empty body");
    is($stop->{headers}{'content-type'}, undef,
       "WAHA's POST has no Content-Type");
    unlike(join("\n", %{ $stop->{headers} }, $stop->{body}), qr/SECRET/,
           "WAHA's POST has nothing of the client's request");

    $waha->status('t1', 'WORKING');
};


subtest "WAHA's reason is in the error log and nowhere else" => sub {
    my $long = 'x' x 250 . "\x{44f}" x 200;
    my @case = (
        [ 400, { message => [ 'name is wrong', 'so is its type' ] },
          'answers 400: name is wrong' ],
        [ 403, { message => 'Forbidden for this key' },
          'refuses the API key of instance "main" with 403: Forbidden for' ],
        [ 401, { message => 'Unauthorized by Y' },
          'refuses the API key of instance "main" with 401: Unauthorized' ],
        [ 404, { message => 'Session is missing' },
          'answers 404: Session is missing' ],
        [ 500, { exception => { message => 'It broke', stack => 'STACK' } },
          'answers 500: It broke' ],
        [ 422, { error => "a\nb\x{1b}[31m\x{7f}\x{9b}c" },
          'answers 422: a b \[31m +c' ],
        [ 502, { message => $long }, 'answers 502: x{250}' ],
        [ 503, { message => { a => 1 } }, 'answers 503' ],
        [ 302, undef, 'answers 302' ],
        [ 422, { message => 'WAHA Core support only \'default\' session. '
                            . 'Please get WAHA Plus' },
          "answers 422: WAHA Core support only .*: this WAHA Core has no "
          . 'other session than "default", install' ],
    );

    for my $case (@case) {
        my ($status, $json, $want) = @$case;
        my $before = length $t->error_log;

        $waha->fail(status => $status, match => '^GET /api/sessions',
                    body => $json ? JSON::PP->new->utf8->encode($json) : '');
        my $r = call('plain');
        $waha->heal;

        my @lines = grep { /waha: WAHA/ } split /\n/,
                    substr $t->error_log, $before;
        is(scalar @lines, 1, "$status: one line in the log");

        # the client's address and the like follow
        my ($text) = $lines[0] =~ /(waha: WAHA.*?)(?: while |, client: )/;
        like($text, qr/$want/, 'it has the reason');
        unlike($text, qr/[\0-\x1f\x7f]|\xc2[\x80-\x9f]|STACK/,
               'it has no control characters');
        cmp_ok(length $text, '<', 500, 'it is short');
        unlike($r->{body}, qr/wrong|broke|Forbidden for|by Y|Core|missing/,
               'the client does not see it');
    }
};


subtest 'clients that close their connection while WAHA is called' => sub {
    my ($pid) = $t->worker_pids;
    is(call('plain')->{status}, 200, 'a call before is answered');
    my $before = descriptors($pid);

    for my $with ('stall', 'hang') {
        $waha->fail(with => $with, match => '/api/sessions');
        $waha->clear_requests;

        my @clients = map { $api->send($t->http, acme => GET =>
                                       "/plain$path") } 1 .. 20;

        ok(wait_for(sub { $waha->requests == 20 }, 60),
           "$with: twenty calls are under way");
        $_->reset for @clients;
        call2('plain', '--max-time', 0.3) for 1 .. 3;

        ok(wait_for(sub { descriptors($pid) <= $before }, 60),
           "$with: connections to WAHA are closed with those of the clients");
        $waha->heal;
    }

    is(call('plain')->{status}, 200, 'a call afterwards is answered');
};


subtest 'a hundred calls at the same time' => sub {
    for my $way (qw(slow_plain slow_keepalive)) {
        $waha->fail(slow => 1, match => '/api/sessions');

        my $start = Time::HiRes::time();
        my @clients = map { $api->send($t->http, acme => GET =>
                                       "/$way$path") } 1 .. 100;
        my @answers = map { $_->answer } @clients;

        is(scalar(grep { $_->{status} == 200
                         && $_->{json}{data}{session} eq 't1' } @answers),
           100, "$way: all hundred are answered");
        cmp_ok(Time::HiRes::time() - $start, '<', 60,
               "$way: they are answered side by side, not one after the other");
        $waha->heal;
    }
};


subtest 'secrets of WAHA' => sub {
    $api->hides($waha->secrets);
    unlike($t->error_log, qr/SECRETPAGE/,
           'error.log does not show a page of WAHA');
};


kill_hard($talker);
$t->done;
