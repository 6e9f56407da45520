# "waha_auth_limit": credentials of an address that sends too many wrong ones
# are refused for a while, by all workers and over reloads, unless they are
# known to be right.

use Waha::Test;
use Waha::Token;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $idp = Waha::Token->new($t->dir);

$pg->organization('acme');
my ($key, $used) = map { $pg->api_key('acme') } 1, 2;
my $token = $idp->token('HS256', { org => 'acme' });
my $file = $idp->file('HS256');

my $nginx = configured('');
$nginx->start;


# --- the limit ---------------------------------------------------------------

my $me = client();
my $other = client('127.0.0.2');

is(get_key($other, $used), 200, 'a key is used by another address');

is(guess($me, $_), 401, 'a wrong token is refused') for 1 .. 10;
is(guess($me, 11), 429, 'after ten wrong tokens an address is limited');

is(get_key($me), 429,
   'a limited address is refused with an API key that was never used');
is(right($me), 200, 'a limited address is accepted with a signed JWT');
is(get_key($me, $used), 200,
   'a limited address is accepted with an API key that was right before');
is(get_key($me, $used), 200, 'the key is accepted by all workers') for 1 .. 4;

guess($me, $_) for 12 .. 30;
my @limited = $nginx->error_log =~ /too many wrong credentials from this/g;
is(@limited, 1, 'the limit of an address is logged once');

is(right($other), 200, 'another address is not limited');
is(guess($other, 1), 401, 'another address may send wrong tokens of its own');

is($me->get('/trusted')->{status}, 401,
   'a limited address without credentials gets 401 as before');
is($me->get('/trusted', { 'X-Test' => 'acme' })->{status}, 200,
   'a limited address is accepted by a variable of nginx');

is(guess(client(), 12), 429, 'a new connection does not lift the limit');

ok($nginx->reload, 'nginx is reloaded');
is(guess(client(), 13), 429, 'the limit holds after the reload');
is(get_key(client(), $used), 200,
   'the key that was right before is known after the reload');
is(guess(client('127.0.0.2'), 2), 401,
   'another address is not limited after the reload');

$pg->psql("delete from waha.api_keys where id = '" . substr($used, 4, 8)
          . "'");
ok(wait_for(sub { get_key(client(), $used) == 429 }, 12),
   'a limited address is refused with a key that is deleted');


# --- which requests count ----------------------------------------------------

my @address = map { "127.0.0.$_" } 10 .. 50;

my %guess = (
    'a JWT with a wrong signature' => bearer("${token}x"),
    'an unknown key' => bearer('wak_00000000_' . 'x' x 43),
    'a malformed key' => bearer('wak_x'),
    'a malformed token' => bearer('"'),
);

for my $name (sort keys %guess) {
    my $http = client(shift @address);

    $http->get('/all', $guess{$name}) for 1 .. 10;
    is(guess($http, 1), 429, "counted: $name");
}

my %no_guess = (
    'no header' => [ '/all', {} ],
    'another scheme' => [ '/all', { Authorization => 'Basic x' } ],
    'a token in the query' => [ '/all?token=x', {} ],
    'a JWT of an organization that is gone' =>
        [ '/all', bearer($idp->token('HS256', { org => 'gone' })) ],
    'a JWT that has expired' =>
        [ '/all', bearer($idp->token('HS256', { org => 'acme',
                                                exp => 1 })) ],
    'a variable that is wrong' => [ '/trusted', { 'X-Test' => 'gone' } ],
    'a webhook' => [ '/webhook', {} ],
);

for my $name (sort keys %no_guess) {
    my $http = client(shift @address);

    $http->get(@{ $no_guess{$name} }) for 1 .. 15;
    is(guess($http, 1), 401, "not counted: $name");
}

my $page = client(shift @address);
is(guess($page, $_, '/page'), 401,
   'a wrong token with an error page is refused')
    for 1 .. 10;
is(guess($page, 11, '/page'), 429,
   'a request counts once, though its error page is refused, too');

my $down = client(shift @address);
$pg->stop;
is(get_key($down), 503, 'an API key while PostgreSQL is stopped gives 503')
    for 1 .. 3;
$down->get('/all', bearer('wak_11111111_' . 'x' x 43)) for 1 .. 12;
$pg->start;
ok(wait_for(sub { get_key($down) == 200 }, 60),
   'not counted: credentials that could not be checked');


# --- the limit ends ----------------------------------------------------------

$nginx = configured('waha_auth_limit 2r/s;');
$nginx->start;

$me = client();
ok(wait_for(sub { guess($me, 1) == 429 }, 60),
   'with 2r/s an address is limited soon');

# refused requests do not prolong the limit

my $started = time;
ok(wait_for(sub { guess($me, 1) == 401 }, 60),
   'a limited address may try again');
cmp_ok(time - $started, '<=', 3, 'it may try within three seconds');

$nginx = configured('waha_auth_limit off;');
$nginx->start;

$me = client();
guess($me, $_) for 1 .. 30;
is(guess($me, 31), 401, 'with "off" no address is limited');


# --- IPv6, and addresses behind a proxy --------------------------------------

$nginx = configured('set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;');
$nginx->start;

$me = client();
for my $n (1 .. 10) {
    behind_proxy($me, $_) for "2001:db8:0:1::$n", "2001:db8::$n";
}

for (['2001:db8:0:1::99', 429, 'the same /64'],
     ['2001:db8:0:2::1', 401, 'another'],
     ['::ffff:192.0.2.1', 401, 'an IPv4 address written as IPv6'],
     ['184.13.1.32', 401, 'an IPv4 address of the same bytes'])
{
    my ($address, $status, $name) = @$_;

    is(behind_proxy($me, $address), $status, "IPv6: $name");
}

behind_proxy($me, '::ffff:192.0.2.1') for 1 .. 10;
is(behind_proxy($me, $_->[0]), $_->[1],
   "an IPv4 address written as IPv6 is that address: $_->[0]")
    for [ '192.0.2.1', 429 ], [ '192.0.2.2', 401 ];


# --- more addresses than the zone holds -----------------------------

# the oldest are forgotten, and nothing breaks

behind_proxy($me, join '.', 10, $_ >> 16, $_ >> 8 & 255, $_ & 255)
    for 1 .. 24000;

is(behind_proxy($me, '192.0.2.1'), 401,
   'after thousands of addresses the oldest is forgotten');
behind_proxy($me, '192.0.2.9') for 1 .. 10;
is(behind_proxy($me, '192.0.2.9'), 429, 'a new address is still counted');
unlike($nginx->error_log, qr/could not allocate|no memory/,
       'the zone never runs out of memory');

$t->done;


sub behind_proxy {
    my ($http, $address) = @_;

    return $http->get('/all', { Authorization => 'Bearer x',
                                'X-Real-IP' => $address })->{status};
}


sub configured {
    my ($http) = @_;

    $t->stop if $t->{nginx}[0];

    my $nginx = $t->nginx(workers => 2, conf => <<"EOF_CONF");
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" timeout=5s;
    $http

    server {
        listen 127.0.0.1:%%PORT%%;

        location /all {
            waha_auth on;
            waha_jwt_key HS256 $file;
            waha_api_keys on;
            try_files /ok =404;
            root %%DIR%%;
        }

        location /page {
            waha_auth on;
            waha_jwt_key HS256 $file;
            error_page 401 /page/401;
        }

        location /trusted {
            waha_auth on;
            waha_organization \$trusted;
            try_files /ok =404;
            root %%DIR%%;
        }

        location = /webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }
    }

    map \$http_x_test \$trusted {
        default \$http_x_test;
    }
}
EOF_CONF

    $nginx->write('ok', 'ok');

    return $nginx;
}


# a client with an address of its own

sub client { return $t->http(from => $_[0]) }


sub guess {
    my ($http, $n, $path) = @_;

    return $http->get($path // '/all', bearer("$token$n"))->{status};
}


sub right {
    my ($http) = @_;

    return $http->get('/all', bearer($token))->{status};
}


sub get_key {
    my ($http, $token) = @_;

    return $http->get('/all', bearer($token // $key))->{status};
}
