# Meta asks with a GET whether a callback URL is ours: the token of the
# connection, or of the operator's app, is compared, the challenge sent back.

use Waha::Test;
use Waha::Meta;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $meta = Waha::Meta->new($t, $pg);

$pg->organization($_) for qw(acme bolt);

my $conf = <<'EOF_CONF';
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%

    log_format waha '$request_method $waha_uri $waha_action $status';

    waha_database "%%DSN%%" timeout=9s;
    waha_secret_key ring %%RING%%;
    waha_auth_limit 10000r/s;

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/waha.log waha;

        location /api/whatsapp/webhook {
            waha_webhook;
            waha_meta_app_secret %%SECRET%%;
            waha_meta_verify_token %%VERIFY%%;
        }

        location /waha {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }

        location ~ ^/any/ {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }
    }
}
EOF_CONF

$t->nginx(conf => $conf, vars => { $meta->vars })->start;

my $acme = $meta->connect('acme', '100200300', verify => 'token of acme',
                          secret => 'secret of acme');
my $bolt = $meta->connect('bolt', '100200301', verify => 'token of bolt');

my $path = '/api/whatsapp/webhook';
my $http = $t->http;


subtest 'the operator\'s app' => sub {
    my $r = ask($path, $Waha::Meta::VERIFY, '1158201444');

    is($r->{status}, 200, 'its token is right');
    is($r->{body}, '1158201444', 'the challenge comes back as it is');
    is($r->{headers}{'content-type'}, 'text/plain', 'as plain text');
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'and nothing else');

    refuses(ask($path, 'token of acme'), 'the token of a connection');
    refuses(ask($path, "$Waha::Meta::VERIFY "), 'a longer token');
    refuses(ask($path, substr $Waha::Meta::VERIFY, 1), 'a shorter token');
};


subtest 'a connection' => sub {
    my $r = ask("$path/$acme", 'token of acme');
    is($r->{status}, 200, 'its token is right');
    is($r->{body}, 'c0ffee', 'the challenge comes back');

    is(ask("/waha/$bolt", 'token of bolt')->{status}, 200,
       'at each location with webhooks');
    is(ask("/any/thing/$bolt", 'token of bolt')->{status}, 200,
       'at one whose name is a regular expression, too');

    refuses(ask("$path/$acme", 'token of bolt'), 'that of another one');
    refuses(ask("$path/$acme", $Waha::Meta::VERIFY), 'the operator\'s');
    refuses(ask("$path/" . 'x' x 32, 'token of acme'), 'an unknown connection');
    refuses(ask("$path/x", 'token of acme'), 'what is no id');
    refuses(ask("$path/$acme/", 'token of acme'), 'a longer path');
    refuses(ask("$path/%01$acme", 'token of acme'), 'another byte');
};


subtest 'queries' => sub {
    my $good = 'hub.mode=subscribe&hub.verify_token=token+of%20acme'
               . '&hub.challenge=a%2Bb+c%26';
    my $r = query($good);
    is($r->{status}, 200, 'percent signs and pluses are decoded');
    is($r->{body}, 'a+b c&', 'in the challenge, too');

    is(query("x=1&$good&hub")->{status}, 200, 'other arguments are ignored');
    is(query(join '&', reverse split /&/, $good)->{status}, 200,
       'in any order');
    is(query($good =~ s/hub\./hub%2E/gr)->{status}, 200,
       'the names are decoded');

    my %bad = (
        'no query' => '',
        'another mode' => $good =~ s/subscribe/unsubscribe/r,
        'no mode' => $good =~ s/hub\.mode=subscribe&//r,
        'no token' => $good =~ s/hub\.verify_token=[^&]+&//r,
        'an empty token' => $good =~ s/(hub\.verify_token=)[^&]+/$1/r,
        'no challenge' => $good =~ s/&hub\.challenge=.*//r,
        'an empty challenge' => $good =~ s/a%2B.*//r,
        'underscores for dots' => $good =~ s/hub\./hub_/gr,
        'upper case' => $good =~ s/hub\./Hub./gr,
        'two modes' => "$good&hub.mode=subscribe",
        'two tokens' => "$good&hub.verify_token=token+of+acme",
        'two challenges' => "$good&hub.challenge=2",
        'a page' => "$good%3Cscript%3E",
        'a line end' => "$good%0d%0aSet-Cookie:x",
        'a NUL' => "$good%00",
        'DEL' => "$good%7f",
        'a NUL in the token' => $good =~ s/acme/acme%00/r,
        'a challenge of 257 bytes' => $good =~ s/a%2B.*/'x' x 257/er,
    );

    refuses(query($bad{$_}), $_) for sort keys %bad;

    is(length query($good =~ s/a%2B.*/'x' x 256/er)->{body}, 256,
       'a challenge of 256 bytes is sent back');
};


subtest 'methods' => sub {
    refused($http->request($_, "$path/$acme"), 405, 'method_not_allowed', $_)
        for qw(PUT DELETE);
    refused($http->request('GET', '/waha'), 405, 'method_not_allowed',
            'GET where the operator has no verify token');
};


subtest 'the database is down' => sub {
    # what the worker remembers is not current any more

    is(ask("$path/$acme", 'token of acme')->{status}, 200,
       'the worker has looked the connection up');
    $pg->psql('notify waha_tenant');
    $pg->stop('fast');

    is(ask("$path/$acme", 'token of acme')->{status}, 200,
       'a connection that is remembered is verified');
    refuses(ask("$path/$acme", 'token of bolt'), 'with its token only');
    is(ask($path, $Waha::Meta::VERIFY)->{status}, 200,
       'and so is the operator\'s app');

    my $r = ask("$path/" . 'y' x 32, 'token of acme');
    refused($r, 503, qr/^(database_unavailable|overloaded)$/,
            'a connection that is not known');

    ok($t->reload, 'workers begin without a database');
    refused(ask("$path/$acme", 'token of acme'), 503,
            qr/^(database_unavailable|overloaded)$/, 'and know nothing');
    is(ask($path, $Waha::Meta::VERIFY)->{status}, 200,
       'but for the operator\'s app');

    $pg->start;
    ok(wait_for(sub { ask("$path/$acme", 'token of acme')->{status} == 200 },
                60), 'until it is back');
};


subtest 'changes' => sub {
    my $new = 'z' x 32;
    refuses(ask("$path/$new", 'token of new'), 'an unknown connection');
    $pg->organization('dawn');
    $meta->connect('dawn', '100200302', id => $new, verify => 'token of new');
    ok(wait_for(sub { ask("$path/$new", 'token of new')->{status} == 200 }, 60),
       'is known once it is there');

    $meta->connect('dawn', '100200302', verify => 'another token');
    ok(wait_for(sub { ask("$path/$new", 'another token')->{status} == 200 },
                60), 'a new token is taken');
    refuses(ask("$path/$new", 'token of new'), 'the old one');

    $pg->value(q{select code from waha.disconnect_number('dawn',
                                                         '100200302')});
    ok(wait_for(sub { ask("$path/$new", 'another token')->{status} == 403 },
                60), 'a connection that has ended verifies nothing');
};


subtest 'the logs' => sub {
    my $log = $t->error_log . $t->nginx->log('waha.log');

    unlike($log, qr/$acme|$bolt|z{32}/, 'no id of a connection is in a log');
    unlike($log, qr/token of|the operator asks|token\+of/,
           'nor is a verify token');
    like($log, qr{^GET /api/whatsapp/webhook/\* verified 200$}m,
         '$waha_uri has the path without the id');
    like($log, qr{^GET /api/whatsapp/webhook verified 200$}m,
         'and without one it is the path');
    like($log, qr{^GET /any/thing/\* verified 200$}m,
         'where the location is a regular expression, too');
    like($log, qr/403 unknown_connection: .*request: "GET", location: /,
         'a line tells the location');
};


subtest 'nothing of Meta is configured' => sub {
    $t->stop;
    $t->nginx(conf => $conf =~ s/^.*waha_(?:meta|secret).*\n//mgr
                            =~ s/(waha_webhook;)/$1 waha_hmac_key off;/r)
      ->start;

    my $r = $t->http->request('GET', "$path?hub.mode=subscribe");
    refused($r, 405, 'method_not_allowed', 'GET');
    is($r->{headers}{allow}, 'POST', 'the 405 names POST');
};

$t->done;


sub ask {
    my ($path, $token, $challenge) = @_;

    $token =~ s/ /+/g;
    $challenge //= 'c0ffee';

    return $t->http->request('GET', "$path?hub.mode=subscribe"
        . "&hub.challenge=$challenge&hub.verify_token=$token");
}


sub query { return $t->http->request('GET', "$path/$acme?$_[0]") }


sub refuses {
    my ($r, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    refused($r, 403, 'unknown_connection', $name);
}
