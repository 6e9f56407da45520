# Guessing API keys: whoever guesses, many at once, makes PostgreSQL look up a
# few of them only, and shuts out nobody who shares the address.

use Waha::Test;
use Waha::Token;

my $t = Waha::Test->new;
my $pg = $t->postgres(conf => "log_statement = 'all'");
my $idp = Waha::Token->new($t->dir);

$pg->organization($_) for map { "org$_" } 1 .. 40;

my @key = map { $pg->api_key($_) } map { ("org$_") x 2 } 1 .. 40;
my $file = $idp->file('HS256');
my $token = $idp->token('HS256', { org => 'org1' });

$t->nginx(workers => 2, conf => <<"EOF_CONF")->write('ok', 'ok');
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" timeout=5s;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location / {
            waha_auth on;
            waha_jwt_key HS256 $file;
            waha_api_keys on;
            try_files /ok =404;
            root %%DIR%%;
        }
    }
}
EOF_CONF

$t->start;


# --- right keys at once ------------------------------------------------------

# no worker knows a key yet: the ten attempts of the address are not enough for
# them, and none of them is an attempt

my @status = at_once(map { [ undef, $_ ] } @key, @key);
is(grep({ $_ != 200 } @status), 0,
   'keys that nobody has used before are accepted, many at once');


# --- wrong keys at once ------------------------------------------------------

my $before = calls();
my @guess = map { guess($_) } 1 .. 150;

@status = at_once((map { [ undef, $_ ] } @guess), [ '127.0.0.2', $key[0] ],
                  [ undef, $key[1] ], [ undef, $token ]);

is(pop @status, 200, 'a signed token of the same address is accepted meanwhile');
is(pop @status, 200, 'a known key of the same address is accepted meanwhile');
is(pop @status, 200, 'a key of another address is accepted meanwhile');
is(grep({ $_ == 200 } @status), 0, 'no guess is accepted');
cmp_ok(grep({ $_ == 401 } @status), '<=', 15, 'most guesses are answered 429');
is(grep({ $_ != 401 && $_ != 429 } @status), 0, 'no guess ends otherwise');
cmp_ok(calls() - $before, '<=', 20,
       'PostgreSQL looks up a few of 150 guesses');

my @limited = $t->error_log =~ /too many wrong credentials/g;
is(@limited, 1, 'one line of the log tells it');


# --- guesses whose clients hang up -------------------------------------------

$before = calls();

for my $n (1 .. 60) {
    my $http = $t->http(from => '127.0.0.3');

    $http->connect;
    $http->send($http->format('GET', '/', bearer(guess(1000 + $n))));
    $http->reset;
}

ok(wait_for(sub { status('127.0.0.3', guess(2000)) == 429 }, 60),
   'a guess is charged though its client does not wait for the answer');
cmp_ok(calls() - $before, '<=', 20, 'PostgreSQL looks up a few of them');


# --- guesses that the database cannot check ----------------------------------

my $lock = $pg->session;
$lock->query('begin; lock table waha.api_keys');

my @waiting = map { send_key('127.0.0.4', guess($_)) } 3001 .. 3030;
ok(wait_for(sub { $pg->blocked > 0 }, 60), 'look-ups wait for a lock');
my $right = send_key('127.0.0.5', $key[2]);
$lock->query('commit');
$lock->close;

is($right->answer('GET')->{status}, 200,
   'a key of another address is accepted after the wait');
my %answered;
$answered{ $_->answer('GET')->{status} }++ for @waiting;
is($answered{200} // 0, 0, 'no guess is accepted after the wait');
cmp_ok($answered{401} // 0, '<=', 15, 'a few guesses are looked up after it');

is(status('127.0.0.4', $token), 200,
   'a signed token of that address is accepted');

$t->done;


# a well-formed key that does not exist

sub guess { my ($n) = @_; return sprintf 'wak_%08d_%s', $n, 'x' x 43 }


sub send_key {
    my ($from, $key) = @_;

    my $http = $t->http(from => $from);

    $http->connect;
    $http->send($http->format('GET', '/', bearer($key)));

    return $http;
}


sub status { return send_key(@_)->answer('GET')->{status} }


# sends a request for each [ address, credentials ]; the statuses in order

sub at_once {
    my @http = map { send_key(@$_) } @_;

    return map { $_->answer('GET')->{status} } @http;
}


# how many keys PostgreSQL has looked up

sub calls {
    my @calls = $pg->log =~ /execute authenticate:/g;

    return scalar @calls;
}
