# Only who knows a key is heard, and only for the sessions of that key.

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
    waha_database "%%DSN%%";
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


# what nobody may learn from a refusal

sub unsigned {
    my ($name, $r) = @_;

    subtest "refused: $name" => sub {
        is($r->{status}, 401, 'status 401');
        is($r->{json}{code}, 'invalid_signature', 'one code for all');
        unlike($r->{body}, qr/[0-9a-f]{32}|secret|hmackey/,
               'the answer tells nothing');
        is($pg->messages, $stored, 'nothing is stored');
        is($pg->value('select count(*) from waha.quarantine'), 0,
           'nor kept');
    };
}


sub taken {
    my ($name, $r) = @_;

    subtest "taken: $name" => sub {
        is($r->{status}, 200, 'status 200') or diag $r->{body};
        is($pg->messages, ++$stored, 'and stored');
    };
}


# a fresh message, sent with the given headers only

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
taken('in capitals', given('/usual', signed(sub { uc $_[0] })));
taken('in both', given('/usual', signed(sub { ucfirst lc $_[0] })));

unsigned('no signature', given('/usual', {}));
unsigned('an empty one', given('/usual', { 'X-Webhook-Hmac' => '' }));
unsigned('only the name of the algorithm',
         given('/usual', { 'X-Webhook-Hmac-Algorithm' => 'sha512' }));
unsigned('zeros', given('/usual', signed(sub { '0' x 128 })));
unsigned("another tenant's key", given('/usual', signed(undef, 'other')));
unsigned('an empty key', given('/usual', sub {
    +{ 'X-Webhook-Hmac' => hmac_sha512_hex($_[0], '') } }));
unsigned('the key and a line break', given('/usual', sub {
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

unsigned('the right one twice',
         given('/usual', signed(sub { [ $_[0], $_[0] ] })));
unsigned('the right one, then a wrong one',
         given('/usual', signed(sub { [ $_[0], '0' x 128 ] })));
unsigned('a wrong one, then the right one',
         given('/usual', signed(sub { [ '0' x 128, $_[0] ] })));
unsigned('the right one and an empty one',
         given('/usual', signed(sub { [ $_[0], '' ] })));

unsigned('SHA-256 where SHA-512 is asked', given('/usual', sub {
    +{ 'X-Webhook-Hmac' => hmac_sha256_hex($_[0], 'hmackey'),
      'X-Webhook-Hmac-Algorithm' => 'sha256' } }));
unsigned('in the query', given('/usual?x-webhook-hmac='
    . hmac_sha512_hex('', 'hmackey'), {}));
unsigned('the signature of an empty body', given('/usual', {
    'X-Webhook-Hmac' => hmac_sha512_hex('', 'hmackey') }));

my $r = given('/usual', signed, body => '', sent => '');
is($r->{status}, 400, 'an empty body, signed, is no event');
unsigned('an empty body, not signed', given('/usual', {}, body => ''));


# a body altered by one bit

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
taken('the body itself', given('/usual', signed, body => $body));


# a body in a temporary file

my $long = body(text => 'x' x 1_000_000);
my $altered = $long;
substr($altered, 500_000, 1) = 'y';

unsigned('a byte of a megabyte in a file altered',
         given('/usual', signed, body => $long, sent => $altered));
taken('a megabyte in a file', given('/usual', signed, body => $long));
is($pg->value("select message_content = repeat('x', 1000000)
               from contact_activities where message_id = 'S$n'"), 't',
   'as it was signed');


# the header of older installations

my $legacy = sub {
    return { 'X-Webhook-Hmac-Signature' => hmac_sha256_hex($_[0], 'hmackey') };
};

unsigned('the legacy header where it is off', given('/usual', $legacy));
taken('the legacy header where it is on', given('/legacy', $legacy));
taken('the usual one there', given('/legacy', signed));
taken('both', given('/legacy', sub {
    +{ %{ $legacy->($_[0]) }, %{ signed()->($_[0]) } } }));
unsigned('both, the legacy one wrong', given('/legacy', sub {
    +{ 'X-Webhook-Hmac-Signature' => '0' x 64, %{ signed()->($_[0]) } } }));
unsigned('both, the usual one wrong', given('/legacy', sub {
    +{ %{ $legacy->($_[0]) }, 'X-Webhook-Hmac' => '0' x 128 } }));
unsigned('both, the usual one empty', given('/legacy', sub {
    +{ %{ $legacy->($_[0]) }, 'X-Webhook-Hmac' => '' } }));
unsigned('63 digits', given('/legacy', sub {
    +{ 'X-Webhook-Hmac-Signature' =>
          substr hmac_sha256_hex($_[0], 'hmackey'), 0, 63 } }));
unsigned('the legacy one twice', given('/legacy', sub {
    +{ 'X-Webhook-Hmac-Signature' =>
          [ (hmac_sha256_hex($_[0], 'hmackey')) x 2 ] } }));
unsigned('neither', given('/legacy', {}));


# two keys while one replaces the other

taken('the old key', given('/rotation', signed(undef, 'the old secret')));
taken('the new key', given('/rotation', signed(undef, 'the new secret')));
unsigned('neither of two keys', given('/rotation', signed));
unsigned('two headers by two keys', given('/rotation', sub {
    +{ 'X-Webhook-Hmac' => hmac_sha512_hex($_[0], 'the old secret'),
      'X-Webhook-Hmac-Signature' =>
          hmac_sha256_hex($_[0], 'the new secret') } }));
unsigned('the key of another location',
         given('/usual', signed(undef, 'the old secret')));

$nginx->write('old.key', "the newest secret\n");
ok($nginx->reload, 'a key is replaced by a reload');

taken('the newest key', given('/rotation', signed(undef, 'the newest secret')));
taken('the one that stays',
      given('/rotation', signed(undef, 'the new secret')));
unsigned('the one that is gone',
         given('/rotation', signed(undef, 'the old secret')));


# a key signs only for its instance

taken('an instance for its own session',
      given('/bound', signed(undef, 'the one secret'),
            body => body(session => 't1')));
taken('the other for its own',
      given('/bound', signed(undef, 'the two secret'),
            body => body(session => 't2')));

$r = given('/bound', signed(undef, 'the one secret'),
           body => body(session => 't2'));
is($r->{status}, 403, "an instance for another's session");
is($r->{json}{code}, 'contradiction', 'contradicts');
is($pg->messages, $stored, 'and stores nothing');


# how keys are written in files

taken('a key whose line ends as on Windows',
      given('/crlf', signed(undef, 'the crlf secret')));
unsigned('the same with its end of line',
         given('/crlf', signed(undef, "the crlf secret\r")));
taken('nothing signed where that is said', given('/off', {}));

unlike($nginx->error_log, qr/secret|hmackey|[0-9a-f]{64}/,
       'no key and no signature is logged');

$t->done;
