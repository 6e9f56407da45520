# Signatures of webhooks: only a sender who knows a key of the location is
# heard, and only for the sessions of the key's instance.

use Waha::Test;

use Digest::SHA qw(hmac_sha256_hex hmac_sha512_hex);

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');
$pg->psql(q{update waha.sessions set instance = 'waha-1' where name = 't1';
            update waha.sessions set instance = 'waha-2' where name = 't2'});

my $nginx = $t->nginx(conf => <<'EOF_CONF');
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    client_body_buffer_size 4k;
    client_max_body_size 8m;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /usual { waha_webhook; waha_hmac_key %%KEY%%; }

        location = /legacy {
            waha_webhook;
            waha_hmac_key %%KEY%%;
            waha_hmac_legacy on;
        }

        location = /rotation {
            waha_webhook;
            waha_hmac_key old.key;
            waha_hmac_key new.key;
            waha_hmac_legacy on;
        }

        location = /bound {
            waha_webhook;
            waha_hmac_key one.key instance=waha-1;
            waha_hmac_key two.key instance=waha-2;
        }

        location = /crlf { waha_webhook; waha_hmac_key crlf.key; }

        location = /off { waha_webhook; waha_hmac_key off; }
    }
}
EOF_CONF

$nginx->write("$_.key", "the $_ secret\n") for qw(old new one two);
$nginx->write('crlf.key', "the crlf secret\r\n");
$nginx->start;

my $n = 0;
my $stored = 0;


# tests that a webhook is refused with an answer that helps no attacker

sub unsigned {
    my ($name, $r) = @_;

    subtest "refused: $name" => sub {
        is($r->{status}, 401, 'the status is 401');
        is($r->{json}{code}, 'invalid_signature',
           'the code is the same for every reason');
        unlike($r->{body}, qr/[0-9a-f]{32}|secret|hmackey/,
               'the answer shows no key and no signature');
        is($pg->messages, $stored, 'no message is stored');
        is($pg->value('select count(*) from waha.quarantine'), 0,
           'no body is kept in quarantine');
    };
}


sub taken {
    my ($name, $r) = @_;

    subtest "taken: $name" => sub {
        is($r->{status}, 200, 'the status is 200') or diag $r->{body};
        is($pg->messages, ++$stored, 'the message is stored');
    };
}


# sends a new message with these headers only

sub given {
    my ($path, $headers, %o) = @_;

    my $body = $o{body} // body();
    my %headers = ref $headers eq 'CODE' ? %{ $headers->($body) } : %$headers;

    return $t->webhook($o{sent} // $body, path => $path, key => undef,
                       headers => \%headers);
}


sub body { return $t->message(id => 'S' . ++$n, @_) }


sub signed {
    my ($change, $key) = @_;

    return sub {
        my $hex = hmac_sha512_hex($_[0], $key // 'hmackey');
        return { 'X-Webhook-Hmac' => $change ? $change->($hex) : $hex };
    };
}


# one header, one key

taken('the usual signature', given('/usual', signed));
taken('a signature in capitals', given('/usual', signed(sub { uc $_[0] })));
taken('a signature in mixed case',
      given('/usual', signed(sub { ucfirst lc $_[0] })));

unsigned('no signature', given('/usual', {}));
unsigned('an empty signature', given('/usual', { 'X-Webhook-Hmac' => '' }));
unsigned('the name of the algorithm without a signature',
         given('/usual', { 'X-Webhook-Hmac-Algorithm' => 'sha512' }));
unsigned('a signature of zeros', given('/usual', signed(sub { '0' x 128 })));
unsigned("another tenant's key", given('/usual', signed(undef, 'other')));
unsigned('a signature made with an empty key', given('/usual', sub {
    +{ 'X-Webhook-Hmac' => hmac_sha512_hex($_[0], '') } }));
unsigned('a signature made with the line break too', given('/usual', sub {
    +{ 'X-Webhook-Hmac' => hmac_sha512_hex($_[0], "hmackey\n") } }));

my %changes = (
    '127 digits' => sub { substr $_[0], 0, 127 },
    '129 digits' => sub { "$_[0]0" },
    '126 digits' => sub { substr $_[0], 0, 126 },
    'one digit' => sub { substr $_[0], 0, 1 },
    'twice as many' => sub { $_[0] x 2 },
    '64 digits' => sub { substr $_[0], 0, 64 },
    'a prefix' => sub { "sha512=$_[0]" },
    '0x' => sub { '0x' . substr $_[0], 2 },
    'a letter beyond F' => sub { 'g' . substr $_[0], 1 },
    'a space within' => sub { substr($_[0], 0, 64) . ' ' . substr $_[0], 65 },
    'two, with a comma' => sub { "$_[0], $_[0]" },
    'the first digit altered' => sub { ($_[0] =~ /^0/ ? '1' : '0')
                                       . substr $_[0], 1 },
    'the last digit altered' => sub { substr($_[0], 0, 127)
                                . (substr($_[0], 127) eq '0' ? '1' : '0') },
    'bytes beyond ASCII' => sub { "\xe0" . substr $_[0], 1 },
);

unsigned($_, given('/usual', signed($changes{$_}))) for sort keys %changes;

unsigned('the right signature twice',
         given('/usual', signed(sub { [ $_[0], $_[0] ] })));
unsigned('the right signature, then a wrong one',
         given('/usual', signed(sub { [ $_[0], '0' x 128 ] })));
unsigned('a wrong signature, then the right one',
         given('/usual', signed(sub { [ '0' x 128, $_[0] ] })));
unsigned('the right signature and an empty one',
         given('/usual', signed(sub { [ $_[0], '' ] })));

unsigned('SHA-256 where SHA-512 is expected', given('/usual', sub {
    +{ 'X-Webhook-Hmac' => hmac_sha256_hex($_[0], 'hmackey'),
      'X-Webhook-Hmac-Algorithm' => 'sha256' } }));
unsigned('the signature in the query', given('/usual?x-webhook-hmac='
    . hmac_sha512_hex('', 'hmackey'), {}));
unsigned('the signature of an empty body', given('/usual', {
    'X-Webhook-Hmac' => hmac_sha512_hex('', 'hmackey') }));

my $r = given('/usual', signed, body => '', sent => '');
is($r->{status}, 400, 'an empty body with its signature is no event');
unsigned('an empty body without a signature', given('/usual', {}, body => ''));


# bodies that differ from the signed one

my $body = body();

for my $at (0, int(length($body) / 2), length($body) - 1) {
    for my $bit (0, 7) {
        my $altered = $body;
        substr($altered, $at, 1) ^= chr(1 << $bit);

        unsigned("bit $bit of byte $at altered",
                 given('/usual', signed, body => $body, sent => $altered));
    }
}

unsigned('a byte more', given('/usual', signed, body => $body,
                              sent => "$body "));
unsigned('a byte less', given('/usual', signed, body => $body,
                              sent => substr $body, 0, -1));
unsigned('the same JSON, written differently',
         given('/usual', signed, body => $body,
               sent => $body =~ s/,"/, "/r));
taken('the signed body itself', given('/usual', signed, body => $body));


# a body in a temporary file

my $long = body(text => 'x' x 1_000_000);
my $altered = $long;
substr($altered, 500_000, 1) = 'y';

unsigned('a megabyte in a temporary file with one byte changed',
         given('/usual', signed, body => $long, sent => $altered));
taken('a megabyte in a temporary file', given('/usual', signed,
                                              body => $long));
is($pg->value("select message_content = repeat('x', 1000000)
               from contact_activities where message_id = 'S$n'"), 't',
   'a megabyte in a temporary file is stored unchanged');


# the header of older versions of WAHA

my $legacy = sub {
    return { 'X-Webhook-Hmac-Signature' => hmac_sha256_hex($_[0], 'hmackey') };
};

unsigned('the legacy header where waha_hmac_legacy is off',
         given('/usual', $legacy));
taken('the legacy header where waha_hmac_legacy is on',
      given('/legacy', $legacy));
taken('the usual header where waha_hmac_legacy is on',
      given('/legacy', signed));
taken('both headers', given('/legacy', sub {
    +{ %{ $legacy->($_[0]) }, %{ signed()->($_[0]) } } }));
unsigned('both headers, the legacy one wrong', given('/legacy', sub {
    +{ 'X-Webhook-Hmac-Signature' => '0' x 64, %{ signed()->($_[0]) } } }));
unsigned('both headers, the usual one wrong', given('/legacy', sub {
    +{ %{ $legacy->($_[0]) }, 'X-Webhook-Hmac' => '0' x 128 } }));
unsigned('both headers, the usual one empty', given('/legacy', sub {
    +{ %{ $legacy->($_[0]) }, 'X-Webhook-Hmac' => '' } }));
unsigned('a legacy header of 63 digits', given('/legacy', sub {
    +{ 'X-Webhook-Hmac-Signature' =>
          substr hmac_sha256_hex($_[0], 'hmackey'), 0, 63 } }));
unsigned('the legacy header twice', given('/legacy', sub {
    +{ 'X-Webhook-Hmac-Signature' =>
          [ (hmac_sha256_hex($_[0], 'hmackey')) x 2 ] } }));
unsigned('neither header', given('/legacy', {}));


# two keys, while one replaces the other

taken('the old of two keys',
      given('/rotation', signed(undef, 'the old secret')));
taken('the new of two keys',
      given('/rotation', signed(undef, 'the new secret')));
unsigned('neither of two keys', given('/rotation', signed));
unsigned('two headers signed with different keys', given('/rotation', sub {
    +{ 'X-Webhook-Hmac' => hmac_sha512_hex($_[0], 'the old secret'),
      'X-Webhook-Hmac-Signature' =>
          hmac_sha256_hex($_[0], 'the new secret') } }));
unsigned('the key of another location',
         given('/usual', signed(undef, 'the old secret')));

$nginx->write('old.key', "the newest secret\n");
ok($nginx->reload, 'nginx is reloaded with a new key');

taken('the newest key', given('/rotation', signed(undef, 'the newest secret')));
taken('the key that stays',
      given('/rotation', signed(undef, 'the new secret')));
unsigned('the key that was replaced',
         given('/rotation', signed(undef, 'the old secret')));


# a key bound to an instance

taken('a bound key for a session of its instance',
      given('/bound', signed(undef, 'the one secret'),
            body => body(session => 't1')));
taken('another bound key for a session of its instance',
      given('/bound', signed(undef, 'the two secret'),
            body => body(session => 't2')));

$r = given('/bound', signed(undef, 'the one secret'),
           body => body(session => 't2'));
is($r->{status}, 200, 'a bound key for a session of another instance');
is($r->{json}{data}{action}, 'quarantined', 'the event is quarantined');
is($r->{json}{data}{reason}, 'foreign_instance', 'with its reason');
is($pg->messages, $stored, 'the message is not stored');
$pg->psql('delete from waha.quarantine');


# key files

taken('a key file whose line ends with CRLF',
      given('/crlf', signed(undef, 'the crlf secret')));
unsigned('the key with a CR',
         given('/crlf', signed(undef, "the crlf secret\r")));
taken('no signature where waha_hmac_key is off', given('/off', {}));

unlike($nginx->error_log, qr/secret|hmackey|[0-9a-f]{64}/,
       'no key and no signature is in the error log');

$t->done;
