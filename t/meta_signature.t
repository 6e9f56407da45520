# Notifications of Meta are believed only with the signature of the app secret
# that speaks at their URL: the operator's, or that of a connection.

use Waha::Test;
use Waha::Conf;
use Waha::Meta qw(sign text);

use Digest::SHA ();
use JSON::PP ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $meta = Waha::Meta->new($t, $pg);

$pg->organization($_) for qw(acme bolt cord);
$pg->organization('waha', session => 't1');

my $conf = <<'EOF_CONF';
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" timeout=9s;
    waha_secret_key ring %%RING%%;
    waha_auth_limit %%LIMIT%%;
    client_max_body_size 8m;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
            waha_meta_app_secret %%SECRET%%;
            waha_meta_app_secret %%OLD%%;
        }

        location /own {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }

        location /open {
            waha_webhook;
            waha_hmac_key off;
        }
    }
}
EOF_CONF

my %vars = ($meta->vars, OLD => spew_secret($t->dir . '/old', 'the old one'));

$t->nginx(conf => $conf, vars => { %vars, LIMIT => '10000r/s' })->start;

my $acme = $meta->connect('acme', '100200300', secret => 'secret of acme');
my $bolt = $meta->connect('bolt', '100200301', secret => 'secret of bolt');
my $cord = $meta->connect('cord', '100200302');
my $unknown = 'u' x 32;

my $body = JSON::PP->new->ascii->canonical->encode(
    text(number => '100200302', id => 'wamid.SIGNED'));


subtest 'the form' => sub {
    my $good = sign($body);
    my ($hex) = $good =~ /=(.*)/;

    my %refused = (
        'none' => {},
        'an empty one' => { 'X-Hub-Signature-256' => '' },
        'no prefix' => { 'X-Hub-Signature-256' => $hex },
        'a prefix alone' => { 'X-Hub-Signature-256' => 'sha256=' },
        'another prefix' => { 'X-Hub-Signature-256' => "sha1=$hex" },
        'a prefix in upper case' => { 'X-Hub-Signature-256' => "SHA256=$hex" },
        '63 digits' => { 'X-Hub-Signature-256' => substr $good, 0, -1 },
        '65 digits' => { 'X-Hub-Signature-256' => "${good}0" },
        'bytes behind it' => { 'X-Hub-Signature-256' => "$good, $good" },
        'another letter' =>
            { 'X-Hub-Signature-256' => $good =~ s/.$/g/r },
        'a digit more in front' =>
            { 'X-Hub-Signature-256' => "sha256=0$hex" },
        'two' => { 'X-Hub-Signature-256' => [ $good, $good ] },
        'two, one of them wrong' =>
            { 'X-Hub-Signature-256' => [ $good, sign($body, 'x') ] },
        'the old SHA-1 alone' => { 'X-Hub-Signature' =>
            'sha1=' . Digest::SHA::hmac_sha1_hex($body, $Waha::Meta::SECRET) },
        'another body' => { 'X-Hub-Signature-256' => sign("$body ") },
    );

    for my $name (sort keys %refused) {
        refuses(send_body(headers => $refused{$name}), $name);
    }

    taken(send_body(headers => { 'X-Hub-Signature-256' => $good }),
          'the signature as Meta writes it');
    taken(send_body(headers => { 'X-Hub-Signature-256' => "sha256=\U$hex" }),
          'its digits in upper case');
    taken(send_body(headers => { 'X-Hub-Signature-256' => $good,
                                 'X-Hub-Signature' => 'sha1=0' }),
          'the old one beside it');

    # bytes count, not what they mean

    for ('{"a":"\u00e4\u00f6"}', "{\"a\":\"\xc3\xa4\xc3\xb6\"}") {
        my $r = $meta->post($_);
        is($r->{status}, 200, 'a body is signed as it is sent');
    }
};


subtest 'whose secret' => sub {
    taken(send_body(), 'the operator\'s at the shared URL');
    taken(send_body(secret => 'the old one'), 'the one before, too');
    refuses(send_body(secret => 'another'), 'another one');
    refuses(send_body(secret => 'secret of acme'),
            'that of a connection at the shared URL');
    refuses(send_body(secret => ''), 'an empty one');

    taken(send_body(connection => $acme, secret => 'secret of acme'),
          'a connection\'s own');
    refuses(send_body(connection => $acme), 'the operator\'s there');
    refuses(send_body(connection => $acme, secret => 'secret of bolt'),
            'another connection\'s');
    refuses(send_body(connection => $bolt, secret => 'secret of acme'),
            'its own elsewhere');

    taken(send_body(connection => $cord),
          'the operator\'s, where a connection has none');
    refuses(send_body(connection => $cord, secret => 'secret of acme'),
            'another one there');
    refuses(send_body(connection => $unknown), 'an unknown connection');

    refuses(send_body(path => '/own'), 'no secret at all');
    taken(send_body(path => "/own/$acme", secret => 'secret of acme'),
          'a connection\'s needs no other');
    refuses(send_body(path => "/own/$cord"),
            'a connection with no secret and no operator\'s');
    refuses(send_body(path => '/open'), '"waha_hmac_key off" is for WAHA');
};


subtest 'WAHA' => sub {
    is($t->webhook($t->message)->{status}, 200, 'is understood as before');
    is($t->webhook($t->message, path => "/api/whatsapp/webhook/$acme")
        ->{status}, 401, 'its key does not speak at the URL of a connection');
    is($t->webhook($t->message, path => '/api/whatsapp/webhook/acme')
        ->{status}, 200, 'any other path is its own');
    is($t->webhook($t->message, key => undef, path => '/open')->{status}, 200,
       'and needs no signature where it is off');
};


subtest 'rotation' => sub {
    $meta->connect('acme', '100200300', secret => 'the next of acme');
    ok(wait_for(sub { send_body(connection => $acme,
                                secret => 'the next of acme')->{status} == 200
    }, 60), 'the new secret is taken at once');
    taken(send_body(connection => $acme, secret => 'secret of acme'),
          'the one before, too');

    $meta->connect('acme', '100200300', secret => 'the last of acme');
    ok(wait_for(sub { send_body(connection => $acme,
                                secret => 'the last of acme')->{status} == 200
    }, 60), 'the next one');
    taken(send_body(connection => $acme, secret => 'the next of acme'),
          'the one before that, too');
    refuses(send_body(connection => $acme, secret => 'secret of acme'),
            'the first no longer');
};


subtest 'secrets that cannot be opened' => sub {
    for my $of (['another place', $meta->seal('bolt', $acme, 'secret')],
                ['altered', $meta->seal('acme', $acme, 'secret') =~ s/..$/AA/r],
                ['empty', $meta->seal('acme', $acme, '')],
                ['plain', 'secret'])
    {
        my ($name, $sealed) = @$of;

        $pg->psql(qq{update waha.connections set app_secret = '$sealed',
                            previous_app_secret = null where id = '$acme';
                     notify waha_tenant, '$acme'});
        ok(wait_for(sub { send_body(connection => $acme,
                                    secret => 'the last of acme')->{status}
                          == 401 }, 60), "$name: the old one is gone");

        for my $secret ('secret', '', $Waha::Meta::SECRET) {
            refuses(send_body(connection => $acme, secret => $secret),
                    "$name: \"$secret\" does not sign");
        }
    }

    $meta->connect('acme', '100200300', secret => 'secret of acme');
    ok(wait_for(sub { send_body(connection => $acme,
                                secret => 'secret of acme')->{status} == 200
    }, 60), 'a good one is taken again');
};


subtest 'the database is down' => sub {
    taken(send_body(connection => $bolt, secret => 'secret of bolt'),
          'a connection is known');
    $pg->stop('fast');

    refuses(send_body(connection => $bolt, secret => 'secret of acme'),
            'a forged notification is told from a true one');
    is(send_body(connection => $bolt, secret => 'secret of bolt')->{status},
       503, 'which is not promised');
    is(send_body(connection => 'a' x 32)->{status}, 503,
       'what was never asked for may be true');

    $pg->start;
    ok(wait_for(sub { send_body(connection => $bolt,
                                secret => 'secret of bolt')->{status} == 200
    }, 60), 'it is taken when the database is back');
};


subtest 'a flood of forged notifications' => sub {
    $t->stop;
    $t->nginx(conf => $conf, vars => { %vars, LIMIT => '1r/m' })->start;

    my $long = '{"a":"' . 'x' x 100_000 . '"}';

    is($meta->post($long)->{status}, 200, 'a long one is taken');
    is($meta->post($long, secret => 'forged')->{status}, 401,
       'a forged one is refused') for 1 .. 10;

    my $r = $meta->post($long, secret => 'forged');
    refused($r, 429, 'too_many_attempts', 'after some, a long one');
    ok($r->{headers}{'retry-after'}, 'the sender may come back');
    refused($meta->post($long), 429, 'too_many_attempts',
            'whoever signs it: nobody has looked');
    is($meta->post($body)->{status}, 200, 'a short one costs little');
    is($meta->post($body, secret => 'forged')->{status}, 401,
       'and is looked at');
    is($meta->post($long, connection => $bolt, secret => 'secret of bolt')
        ->{status}, 200, 'another URL is not concerned');

    my @codes = map { $meta->post($body, connection => $_ x 32)->{status} }
                'a' .. 'l';
    is_deeply([ @codes[0 .. 9] ], [ (401) x 10 ],
              'ids of no connection are looked up');
    is_deeply([ @codes[10, 11] ], [ (429) x 2 ], 'up to a limit');
    is($meta->post($long, connection => $bolt, secret => 'secret of bolt')
        ->{status}, 200, 'which does not concern those that are known');
};


subtest 'the logs' => sub {
    my $log = join '', map { $_->error_log } @{ $t->{nginx} };

    unlike($log, qr/$acme|$bolt|$cord|$unknown|a{32}/,
           'no id of a connection is in the error log');
    unlike($log, qr/sha256=/, 'nor is a signature');
    like($log, qr/401 invalid_signature: another app secret has made/,
         'a line says why');
};


subtest 'configurations' => sub {
    my $test = Waha::Conf->new($t, files => {
        'empty' => '', 'one' => 'one', 'two' => 'two' });
    my $database = 'waha_database "%%DSN%%";';
    my $location = 'location /w { waha_webhook; %s }';

    $test->refused('an empty app secret', qr/is empty/, $database,
        sprintf($location, 'waha_meta_app_secret empty;'), '');
    $test->refused('a missing file', qr/No such file/, $database,
        sprintf($location, 'waha_meta_app_secret none;'), '');
    $test->refused('an empty verify token', qr/is empty/, $database,
        sprintf($location, 'waha_meta_verify_token empty;'), '');
    $test->refused('two verify tokens', qr/is duplicate/, $database,
        sprintf($location,
            'waha_meta_verify_token one; waha_meta_verify_token two;'), '');
    $test->refused('no key at all', qr/no "waha_hmac_key"/, $database,
        sprintf($location, ''), '');
    $test->accepted('an app secret alone', $database,
        sprintf($location, 'waha_meta_app_secret one;'), '');
    $test->accepted('two of them', $database, sprintf($location,
        'waha_meta_app_secret one; waha_meta_app_secret two;'), '');
};

$t->done;


sub send_body {
    my (%o) = @_;

    return $meta->post($body,
        exists $o{headers} ? (secret => undef) : (), %o);
}


sub taken {
    my ($r, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($r->{status}, 200, "$name: is taken") or diag($r->{body});
}


sub refuses {
    my ($r, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    refused($r, 401, 'invalid_signature', $name);
}
