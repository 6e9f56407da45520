# Files of messages of Meta's Cloud API: Graph gives a URL, and the file is
# streamed from its host, which is the only one that sees the token.

use Waha::Test;
use Waha::Ingest qw(inbound outcome);
use Waha::Numbers;

use IO::Socket::INET ();
use JSON::PP ();
use Waha::Process ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $graph = $t->graph;

$pg->organization($_) for qw(acme bolt);

my $other = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1:0');
my $other_port = $other->sockport;

my $api = Waha::Numbers->new($t, graph => $graph, timeout => '1s',
                             server => <<"EOF_SERVER");
        location /nohost/ {
            rewrite ^/nohost(/.*)\$ \$1 break;
            waha_api;
            waha_meta_media lookaside.fbsbx.com /media;
        }

        location /local/ {
            rewrite ^/local(/.*)\$ \$1 break;
            waha_api;
            waha_meta_media @{[ $graph->media_host ]} /none;
        }

        location /none/ {
            return 200 'SECRETPAGE';
        }
EOF_SERVER

$t->start;

$api->account('acme', number => '100');
$api->account('bolt', number => '200');
is($api->connect($_->[0], $_->[1])->{status}, 200, "$_->[0] is connected")
    for [ acme => '100' ], [ bolt => '200' ];

my $bytes = join '', map { chr(($_ * 7) % 256) } 1 .. 300_000;


# a message with a file of Meta; its path in the API

sub message {
    my ($id, %o) = @_;

    my $number = $o{number} // '100';
    my $metadata = JSON::PP::encode_json({ media => {
        id => $id, mimetype => 'image/png', %{ $o{media} || {} } } });

    $graph->add_media($id, number => $number, bytes => $bytes,
                      type => 'image/png', %{ $o{file} || {} })
        if !$o{missing};

    my $connection = $pg->value("select id from waha.connections
                                  where phone_number_id = '$number'");

    outcome($pg, inbound(provider => 'meta', session => $number,
        message_id => "wamid.$id", phone => '5511999990000', type => 'image',
        body => undef, sent_at => time . '000', metadata => $metadata,
        meta => JSON::PP::encode_json({ connection => $connection })));

    return '/api/whatsapp/media/'
           . $pg->value("select id from contact_activities
                          where message_id = 'wamid.$id'");
}


sub get {
    my ($who, $path, %headers) = @_;

    return $api->request($who, 'GET', $path, undef, %headers);
}


subtest 'a file' => sub {
    my $path = message('901');
    $graph->clear_requests;
    my $r = get('acme', $path);

    is($r->{status}, 200, 'is answered 200') or diag($r->{body});
    ok($r->{body} eq $bytes, 'with its bytes');
    is($r->{headers}{'content-type'}, 'image/png', 'its type');
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'nosniff');
    is($r->{headers}{'cache-control'}, 'private', 'and is private');

    my ($asked) = $graph->requests('^GET /v25.0/901');
    is($asked->{args}{phone_number_id}, '100', 'Graph checks whose file it is');
    is(($graph->media_requests)[-1]{headers}{authorization}, 'Bearer EAAacme',
       'the host of the file gets the token');
    is(($graph->media_requests)[-1]{headers}{cookie}, undef,
       'and nothing of the client');

    is(get('acme', $path, Range => 'bytes=10-19')->{body},
       substr($bytes, 10, 10), 'a part of it');
    is(get('acme:read', $path)->{status}, 200, 'a key that may only read');

    my ($id) = $path =~ m{(\d+)$};
    my $contact = $pg->value("select contact_id from contact_activities
                               where id = $id");
    my ($one) = grep { $_->{id} == $id }
        @{ get('acme', "/api/whatsapp/contacts/$contact/activities")
               ->{json}{data}{activities} };
    is($one->{metadata}{media}{url}, $path, 'who reads the message finds it');
    is($one->{metadata}{media}{id}, '901', 'with the id that Meta gave it');
    is($api->request('acme', 'HEAD', $path)->{status}, 200, 'HEAD');
    refused(get('bolt', $path), 404, 'unknown_activity',
            'another organization');
    refused(get(undef, $path), 401, 'unauthorized', 'nobody');
};


subtest 'a document' => sub {
    my $path = message('902', media => { mimetype => 'text/html',
        filename => "r\xc3\xa9sum\xc3\xa9.html" },
        file => { type => 'text/html; charset=utf-8' });
    my $r = get('acme', $path);

    is($r->{headers}{'content-type'}, 'application/octet-stream',
       'a page is no page');
    like($r->{headers}{'content-disposition'}, qr/^attachment; filename\*=/,
         'but saved');
};


subtest 'a URL is good for five minutes' => sub {
    my $path = message('903');

    is(get('acme', $path)->{status}, 200, 'a file');
    is(get('acme', $path)->{status}, 200, 'once more');
    is(scalar $graph->requests('^GET /v25.0/903'), 2,
       'Graph is asked each time');

    refused(get('acme', message('904', file => { life => -1 })), 410,
            'media_expired', 'a URL that is too old at once');
};


subtest 'hosts' => sub {
    my $host = $graph->media_host;

    refused(get('acme', '/nohost' . message('910')), 404, 'foreign_media',
            'a host that is not named');
    like($t->error_log, qr/at "\Q$host\E", which no "waha_meta_media"/,
         'the log has it');

    my $n = 911;

    for my $url ("http://127.0.0.1:$other_port/x",
                 "http://$host\@127.0.0.1:$other_port/x",
                 "http://127.0.0.1:$other_port\\\@$host/x",
                 "http://127.0.0.1:$other_port#$host/",
                 "https://$host.example:$other_port/x",
                 "http://$host/../graph/100", "http://$host/%2e%2e/graph/100",
                 "http://$host", "//$host/x", "/x", "ftp://$host/x", '',
                 "http://$host/a\r\nHost: x", "http://$host/" . 'x' x 5000)
    {
        my $r = get('acme', message($n++, file => { url => $url }));

        like($r->{json}{code},
             qr/^(foreign_media|meta_invalid_answer|media_expired)$/,
             'a URL such as ' . substr($url, 0, 60)) or diag($r->{body});
    }

    $other->blocking(0);
    ok(!$other->accept, 'no other host is asked');
    is(scalar(grep { ($_->{headers}{authorization} // '') ne 'Bearer EAAacme' }
              $graph->media_requests), 0, 'with the token');

    refused(get('acme', '/local' . message('930')), 502, 'meta_unavailable',
            'a location that answers by itself');
};


subtest 'sizes' => sub {
    refused(get('acme', message('940', file => { size => 10 })), 502,
            'meta_invalid_answer', 'a file that is longer than Graph says');
    refused(get('acme', message('941', file => { size => 10_000_000 })), 502,
            'meta_invalid_answer', 'a shorter one');
    is(get('acme', message('942', file => { size => '300000' }))->{status},
       200, 'a size as text');
};


subtest 'files that are not there' => sub {
    refused(get('acme', message('950', missing => 1)), 410, 'media_expired',
            'a file that Meta has deleted');
    refused(get('acme', message('951', number => '100',
                                file => { number => '200' })), 410,
            'media_expired', 'a file of another number');

    my $last = 0;
    for my $id ('../100', '9 5', '', 'abc', '1' x 40) {
        my $metadata = JSON::PP::encode_json({ media => { id => $id } });
        my $path = message('96' . $last++);
        my ($activity) = $path =~ /(\d+)$/;
        $pg->psql("update contact_activities set metadata = '$metadata'
                    where id = $activity");
        refused(get('acme', $path), 404, 'no_media', "the id \"$id\"");
    }
};


subtest 'what Graph and the host of files refuse' => sub {
    my $path = message('970');
    my %codes = (190 => [ 400, 'token_refused' ],
                 200 => [ 400, 'token_forbidden' ],
                 4 => [ 429, 'meta_throttled' ],
                 2 => [ 502, 'meta_unavailable' ],
                 100 => [ 502, 'meta_error' ],
                 368 => [ 409, 'account_restricted' ]);

    for my $code (sort keys %codes) {
        $graph->fail(match => '/970', code => $code);
        my $r = get('acme', $path);
        refused($r, @{ $codes{$code} }, "code $code");
        is($r->{json}{data}{meta_code}, $code, "code $code is shown");
        $graph->heal;
    }

    my %status = (401 => 'media_expired', 404 => 'media_expired',
                  500 => 'meta_unavailable', 302 => 'meta_unavailable');

    for my $status (sort keys %status) {
        $graph->fail(on => 'media', status => $status, body => 'SECRETPAGE',
            headers => [ [ Location => "http://127.0.0.1:$other_port/" ] ]);
        my $r = get('acme', $path);
        is($r->{json}{code}, $status{$status}, "the host: $status")
            or diag($r->{body});
        is($r->{headers}{location}, undef, 'no redirect is passed on');
        $graph->heal;
    }

    for my $with (qw(refuse close stall garbage)) {
        $graph->fail(on => 'media', with => $with);
        my $r = get('acme', $path);
        like($r->{json}{code}, qr/^meta_/, "the host: $with")
            or diag($r->{body});
        $graph->heal;
    }

    $graph->fail(on => 'media', with => 'truncate');
    my $r = get('acme', $path);
    isnt($r->{error}, undef, 'a file that is cut off is cut off');
    $graph->heal;

    is(get('acme', $path)->{status}, 200, 'then it is sent');
};


subtest 'a number that is not connected any more' => sub {
    my $path = message('980');

    is($api->post('acme', '/api/integrations/whatsapp/disconnect')->{status},
       200, 'disconnected');
    refused(get('acme', $path), 409, 'not_connected', 'its files');
    is($api->connect('acme', '100')->{status}, 200, 'connected');
    is(get('acme', $path)->{status}, 200, 'they are there again');

    $pg->psql("update waha.connections set access_token = 'waha1.x.y'
                where phone_number_id = '100'");
    refused(get('acme', $path), 503, 'secret_unreadable',
            'a token that cannot be opened');
};

$api->hides('EAAacme', 'EAAbolt', 'app-secret-of-acme', 'SECRETPAGE');

$t->done;
