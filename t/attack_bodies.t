# Bodies of strangers: who cannot show a signature of the right form is refused
# before a byte of the body is stored, and costs another tenant nothing.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');

$t->nginx(workers => 1, conf => <<'EOF_CONF');
%%GLOBALS%%

events {
    worker_connections 1024;
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" timeout=20s;
    waha_hmac_key %%KEY%%;
    client_body_buffer_size 4k;
    client_max_body_size 8m;
    client_body_timeout 60s;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /api/whatsapp/webhook {
            waha_webhook;
        }

        location = /legacy {
            waha_webhook;
            waha_hmac_legacy on;
        }
    }
}
EOF_CONF

$t->start;

my $size = 8_000_000;
my $sent = 1_000_000;
my $hex = '0' x 128;
my $body = 'x' x $size;

my %shape = (
    'no signature' => {},
    'an empty one' => { 'X-Webhook-Hmac' => '' },
    'one that is too short' => { 'X-Webhook-Hmac' => substr $hex, 1 },
    'one that is too long' => { 'X-Webhook-Hmac' => "${hex}0" },
    'another letter' => { 'X-Webhook-Hmac' => 'g' . substr $hex, 1 },
    'SHA-256 instead of SHA-512' => { 'X-Webhook-Hmac' => substr $hex, 64 },
    'two' => { 'X-Webhook-Hmac' => [ $hex, $hex ] },
    'another header' => { 'X-Hub-Signature-256' => $hex },
    'the legacy header where it is off' =>
        { 'X-Webhook-Hmac-Signature' => substr $hex, 64 },
    'the legacy header in a wrong form' =>
        { path => '/legacy', 'X-Webhook-Hmac-Signature' => $hex },
    'both headers, one in a wrong form' =>
        { path => '/legacy', 'X-Webhook-Hmac' => $hex,
          'X-Webhook-Hmac-Signature' => $hex },
);


# --- the form of the signature -----------------------------------------------

# the answer comes although most of the body is never sent

for my $name (sort keys %shape) {
    my $http = part($shape{$name});
    my $r = $http->answer('POST');

    is($r->{status}, 401, "$name: 401 before the end of the body");
    is($r->{json}{code}, 'invalid_signature', "$name: the code says why");
    is(stored(), 0, "$name: no file holds the body");
    $http->reset;
}

# a body that is sent in full does not become the next request

my $http = $t->http;
my $r = $http->post('/api/whatsapp/webhook', { 'Content-Length' => 100 },
                    "GET / HTTP/1.1\r\nHost: x\r\n\r\n" . 'x' x 73);
is($r->{status}, 401, 'a small body is refused');
is($t->webhook($t->message(id => 'AFTER'), http => $http)->{status}, 200,
   'the connection serves the next webhook');
ok(!$http->closed, 'nothing else is answered');


# --- many at once ------------------------------------------------------------

my @strangers = map { part($shape{ (sort keys %shape)[$_ % keys %shape] }) }
                1 .. 40;

is($t->webhook($t->message(id => "M$_"))->{status}, 200,
   'a signed webhook is taken meanwhile')
    for 1 .. 5;
is(stored(), 0, 'no file holds a body of 40 strangers');
is(scalar(grep { $_->answer('POST')->{status} == 401 } @strangers), 40,
   'each of them is refused');
$_->reset for @strangers;

# with the right form the body has to be read: nothing else can tell

$http = part({ 'X-Webhook-Hmac' => $hex });
ok(wait_for(sub { stored() == 1 }, 60),
   'with a signature of the right form a body is read');
$http->reset;
ok(wait_for(sub { stored() == 0 }, 60), 'its file goes with its client');

$t->done;


# sends a part of a body

sub part {
    my ($shape) = @_;

    my %headers = %$shape;
    my $path = delete $headers{path};

    # nginx may answer, and read no more, before the part has been sent
    return $t->send_webhook($body, key => undef, headers => \%headers,
                            bytes => $sent, $path ? (path => $path) : ());
}


# nginx unlinks the file of a body as soon as it has opened it

sub stored {
    my $dir = $t->nginx->{dir};
    my $files = 0;

    for my $pid ($t->worker_pids) {
        $files += grep { (readlink($_) // '') =~ m{^\Q$dir\E/body/} }
                       glob "/proc/$pid/fd/*";
    }

    return $files;
}
