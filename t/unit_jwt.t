# The reader of JWTs without nginx, under ASan and UBSan: which key files it
# accepts, which tokens it accepts, and that it declines every forged token.

use Waha::Test;
use Waha::Token qw(openssl sign);
use Waha::Unit;

use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64 encode_base64url);
use Math::BigInt;

my $json = JSON::PP->new->utf8->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

my $now = 1795226560;
my $order = Math::BigInt->from_hex('ffffffff00000000ffffffffffffffff'
                                   . 'bce6faada7179e84f3b9cac2fc632551');
my $order_25519 = Math::BigInt->new(2)->bpow(252)
                  ->badd('27742317777372353535851937790883648493');

my $unit = Waha::Unit->new('jwt',
    map { source("ngx_http_waha_$_.c") } qw(json string jwt jwt_key));
my $dir = $unit->dir;

my $secret = 'a secret of more than thirty-two bytes';
my $another = 'another secret of thirty-two bytes, too';

my %pem = make_keys();

# A token that is accepted has these claims and this signature.  Tokens below
# differ in the members that they name; undef: the member is missing.

my %claims = (exp => $now + 600, org => 'acme');
my $hs256 = sub { hmac_sha256($_[0], $secret) };
my $good = token({}, {}, $hs256);


# --- keys --------------------------------------------------------------------

for (['RS256', 'rsa'], ['ES256', 'ec'], ['EdDSA', 'ed25519'],
     ['RS256', 'rsa_cert'], ['ES256', 'ec_cert'], ['EdDSA', 'ed25519_cert'])
{
    my ($alg, $name) = @$_;

    key($alg, $pem{$name}, undef, "$alg of $name");
    key($alg, "Subject: somebody\n\n$pem{$name}\n", undef,
        "$alg of $name with text around it");
    key($alg, $pem{$name} =~ s/\n/\r\n/gr, undef,
        "$alg of $name with CRLF");
}

for my $size (32, 33, 64, 1000) {
    key('HS256', "\x00\xff" x ($size / 2) . 'x' x ($size % 2), undef,
        "HS256 of $size bytes");
}

key('HS256', '', qr/32 bytes or more.*openssl rand/, 'HS256 of nothing');
key('HS256', 's' x 31, qr/32 bytes or more/, 'HS256 of 31 bytes');

for my $alg ('none', 'None', '', 'hs256', 'HS384', 'HS512', 'RS512', 'PS256',
             'ES384', 'EDDSA', 'HS256 ', "HS256\0")
{
    key($alg, $secret, qr/HS256, RS256, ES256 or EdDSA/,
        "no algorithm " . printable($alg));
}

for my $name (qw(rsa ec ed25519 rsa_cert)) {
    key('HS256', $pem{$name}, qr/name the algorithm of that key/,
        "$name is no secret");
    key('HS256', "\n $pem{$name}", qr/name the algorithm of that key/,
        "$name behind a blank line is no secret");
}

for my $alg (qw(HS256 RS256 ES256 EdDSA)) {
    key($alg, $pem{$_}, qr/private key.*openssl pkey -pubout/,
        "$alg of a private key: $_")
        for grep { /_private/ } sort keys %pem;
}

key('RS256', $pem{rsa} . $pem{rsa_private}, qr/private key/,
    'a private key behind a public one');

key('RS256', $pem{$_}, qr/no RSA key/, "RS256 of $_")
    for qw(ec ed25519 rsa_pss);
key('ES256', $pem{$_}, qr/P-256/, "ES256 of $_")
    for qw(rsa ed25519 p384 secp256k1);
key('EdDSA', $pem{$_}, qr/Ed25519/, "EdDSA of $_")
    for qw(rsa ec ed448 x25519);

key('RS256', $pem{rsa_1024}, qr/2048 to 8192 bits/, 'RSA of 1024 bits');
key('RS256', $pem{rsa_2040}, qr/2048 to 8192 bits/, 'RSA of 2040 bits');
key('RS256', rsa_pem('ff' x 2048, '0x10001'), qr/2048 to 8192 bits/,
    'RSA of 16384 bits');
key('RS256', rsa_pem(modulus('rsa'), '1'), qr/no sound key/,
    'RSA with an exponent of 1: anybody could sign');
key('RS256', rsa_pem(modulus('rsa'), '2'), qr/no sound key/,
    'RSA with an even exponent');
key('RS256', rsa_pem('80' . '00' x 254 . '01', '0x10001'), qr/no sound key/,
    'RSA with a modulus that has small factors');

for my $text ('', "\n", $secret, '-----BEGIN PUBLIC KEY-----',
              $pem{rsa} =~ s/^(.{200}).*/$1/sr,
              $pem{rsa} =~ s/MII/MIJ/r,
              $pem{rsa} =~ s/PUBLIC KEY/RSA PUBLIC KEY/gr,
              pem('PUBLIC KEY', der('rsa') . "\0"),
              pem('PUBLIC KEY', ''), pem('CERTIFICATE', der('rsa')),
              pem('PUBLIC KEY', der('rsa_cert')),
              der('rsa'), '{"keys":[]}')
{
    key($_, $text, qr/BEGIN PUBLIC KEY/, "$_ of what is no public key")
        for qw(RS256 ES256 EdDSA);
}

key('RS256', $pem{rsa} . $pem{rsa}, qr/more than one/, 'two keys in one file');
key('RS256', $pem{rsa_cert} . $pem{ec_cert}, qr/more than one/,
    'a chain of certificates');

for my $kid ('a', 'A-Z_a-z.0-9', 'k' x 128) {
    use_keys([ 'HS256', $secret ]);
    is(ask('kid', $kid)->{rc}, 'ok', "a key id of " . length($kid) .
       ' characters is accepted');
}

for my $kid ('', 'k' x 129, 'a b', '../key', "a\n", "a\0", "\xc3\xa9", 'a/b') {
    is(ask('kid', $kid)->{rc}, 'declined',
       'key id declined: ' . printable($kid));
}


# --- algorithms --------------------------------------------------------------

my %sign = (
    HS256 => $hs256,
    RS256 => sub { sign(RS256 => "$dir/rsa.key", $_[0]) },
    ES256 => sub { sign(ES256 => "$dir/ec.key", $_[0]) },
    EdDSA => sub { sign(EdDSA => "$dir/ed25519.key", $_[0]) },
);

my %material = (HS256 => $secret, RS256 => $pem{rsa}, ES256 => $pem{ec},
                EdDSA => $pem{ed25519});
my @algs = sort keys %material;

for my $alg (@algs) {
    my $token = token({ alg => $alg }, {}, $sign{$alg});

    use_keys([ $alg, $material{$alg} ]);
    accepted($token, 'acme', $alg);

    my ($header, $claims, $signature) = split /\./, $token;
    my $raw = MIME::Base64::decode_base64url($signature);

    for my $at (0, length($raw) / 2, length($raw) - 1) {
        my $altered = $raw;
        substr($altered, $at, 1) ^= "\x01";
        declined("$header.$claims." . encode_base64url($altered),
                 'signature does not match', "$alg: altered at $at");
    }

    declined("$header.$claims." . encode_base64url($_->[0]),
             'signature does not match', "$alg: signature $_->[1]")
        for [ '', 'missing' ], [ substr($raw, 0, -1), 'cut' ],
            [ "$raw\0", 'with a zero behind' ],
            [ "\0$raw", 'with a zero before' ], [ $raw x 2, 'twice' ],
            [ "\0" x length $raw, 'of zeros' ],
            [ "\xff" x length $raw, 'of ones' ];

    my $other = $json->encode({ %claims, org => 'globex' });
    declined("$header." . encode_base64url($other) . ".$signature",
             'signature does not match', "$alg: other claims");

    $other = $json->encode({ alg => $alg, x => 1 });
    declined(encode_base64url($other) . ".$claims.$signature",
             'signature does not match', "$alg: other header");

    # the key determines the algorithm, whatever the token names

    for my $says ('none', 'None', 'NONE', 'nOnE', '', lc $alg, "$alg ",
                  'HS384', 'RS512', 'PS256', grep { $_ ne $alg } @algs)
    {
        declined(token({ alg => $says }, {}, $_), 'no key has its algorithm'
                 . ' and key id', "$alg: the token says \"$says\"")
            for $sign{$alg}, sub { '' };
    }
}

use_keys(map { [ $_, $material{$_} ] } @algs);

accepted(token({ alg => $_ }, {}, $sign{$_}), 'acme', "$_ among all keys")
    for @algs;

for my $alg (qw(RS256 ES256 EdDSA)) {
    my ($der) = der({ RS256 => 'rsa', ES256 => 'ec',
                      EdDSA => 'ed25519' }->{$alg});

    for my $forged ($material{$alg}, $material{$alg} =~ s/\n\z//r, $der, '') {
        my $sign = sub { hmac_sha256($_[0], $forged) };

        declined(token({}, {}, $sign), 'signature does not match',
                 "HS256 with what is public of $alg");
        declined(token({ alg => $alg }, {}, $sign),
                 'signature does not match', "$alg with an HMAC");
    }
}

declined(token({ alg => undef }, {}, $hs256), 'header has no algorithm',
         'no algorithm');
declined(token(qq({"alg":$_}), {}, $hs256), 'header has no algorithm',
         "an algorithm of $_")
    for 'null', '256', '["HS256"]', '{}', 'true';


# --- ES256: a signature of two numbers ---------------------------------------

use_keys([ 'ES256', $pem{ec} ]);

my $text = unsigned({ alg => 'ES256' }, {});
my $ec = $sign{ES256}->($text);
my ($r, $s) = map { Math::BigInt->from_bytes($_) } unpack 'a32 a32', $ec;

accepted(signed($text, $ec), 'acme', 'ES256 as it is');

for ([ 0, 0, 'zeros' ], [ 0, $s, 'r of 0' ], [ $r, 0, 's of 0' ],
     [ $order, $s, 'r of the order' ], [ $r, $order, 's of the order' ],
     [ $order, $order, 'both the order' ], [ 1, 1, 'ones' ],
     [ $order - 1, $s, 'another r' ], [ $s, $r, 'exchanged' ])
{
    declined(signed($text, number($_->[0]) . number($_->[1])),
             'signature does not match', "ES256: $_->[2]");
}

declined(signed($text, der_of($r, $s)), 'signature does not match',
         'ES256: in DER');
declined(signed($text, "\0" . number($r) . "\0" . number($s)),
         'signature does not match', 'ES256: 66 bytes');

# one number in 256 begins with a zero byte

my $short;

for my $n (1 .. 5000) {
    $text = unsigned({ alg => 'ES256' }, { jti => "$n" });
    $short = $sign{ES256}->($text);
    last if $short =~ /^\0|^.{32}\0/s;
}

like($short, qr/^\0|^.{32}\0/s,
     'ES256: a signature with a short number was found');
accepted(signed($text, $short), 'acme', 'ES256: a short number');
declined(signed($text, $short =~ s/^\0|^(.{32})\0/$1 \/\/ ''/ser),
         'signature does not match', 'ES256: a short number made shorter');


# --- EdDSA, RS256 ------------------------------------------------------------

use_keys([ 'EdDSA', $pem{ed25519} ]);

$text = unsigned({ alg => 'EdDSA' }, {});
my ($first, $scalar) = unpack 'a32 a32', $sign{EdDSA}->($text);
my $second = Math::BigInt->from_bytes(scalar reverse $scalar) + $order_25519;

accepted(signed($text, $first . $scalar), 'acme', 'EdDSA as it is');
declined(signed($text, $first . reverse number($second)),
         'signature does not match', 'EdDSA: the order added to S');
declined(signed($text, sign(EdDSA => "$dir/ed25519_other.key", $text)),
         'signature does not match', 'EdDSA: of another key');

use_keys([ 'RS256', $pem{rsa} ]);

$text = unsigned({ alg => 'RS256' }, {});

declined(signed($text, sign(RS256 => "$dir/rsa.key", $text, @$_)),
         'signature does not match', "RS256: @$_")
    for [ '-sha512' ], [ '-sha1' ],
        [ '-sha256', '-sigopt', 'rsa_padding_mode:pss' ],
        [ '-sha256', '-sigopt', 'rsa_padding_mode:x931' ];

declined(signed($text, sign(RS256 => "$dir/rsa_other.key", $text)),
         'signature does not match', 'RS256: of another key');


# --- key ids -----------------------------------------------------------------

use_keys([ 'HS256', $secret, 'one' ], [ 'HS256', $another, 'two' ]);

my $two = sub { hmac_sha256($_[0], $another) };

accepted(token({ kid => 'one' }, {}, $hs256), 'acme', 'the first key');
accepted(token({ kid => 'two' }, {}, $two), 'acme', 'the second key');
accepted(token({}, {}, $two), 'acme', 'no key id: all keys are tried');
declined(token({ kid => 'two' }, {}, $hs256), 'signature does not match',
         'the key id of another key');
declined(token({ kid => $_ }, {}, $hs256), 'no key has its algorithm and key'
         . ' id',
         "an unknown key id: $_") for qw(three One on onee), 'k' x 128;

declined(token({ kid => $_ }, {}, $hs256), 'key id is malformed',
         'key id ' . printable($_))
    for '', 'k' x 129, '../../dev/null', "one\n", 'one two', "o'ne",
        'one;--', "one\x{7f}", "\x{e9}";
declined(token(qq({"alg":"HS256","kid":$_}), {}, $hs256),
         'key id is malformed', "a key id of $_")
    for 'null', '1', '["one"]', '{}', 'false';

use_keys([ 'HS256', $secret, 'one' ], [ 'HS256', $another ]);

accepted(token({ kid => 'one' }, {}, $hs256), 'acme', 'the key of that id');
accepted(token({ kid => 'x' }, {}, $two), 'acme',
         'a key without id is tried for any');
declined(token({ kid => 'x' }, {}, $hs256), 'signature does not match',
         'a key of another id is not tried');


# --- headers -----------------------------------------------------------------

use_keys([ 'HS256', $secret ]);

accepted(token({ typ => $_ }, {}, $hs256), 'acme', "type $_")
    for qw(JWT jwt Jwt at+jwt AT+JWT);
declined(token({ typ => $_ }, {}, $hs256), 'type is not JWT', "type \"$_\"")
    for '', 'JWE', 'JWT ', 'application/jwt', 'at+jwtx', 'dpop+jwt';
declined(token(qq({"alg":"HS256","typ":$_}), {}, $hs256), 'type is not JWT',
         "a type of $_")
    for 'null', '1', '["JWT"]';

declined(token(qq({"alg":"HS256","crit":$_}), {}, $hs256),
         'header has "crit"', "crit of $_")
    for '["exp"]', '["b64"]', '[]', 'null', '""', '{}';

accepted(token({ jku => 'https://evil.example/keys', x5u => 'file:///etc',
                 jwk => { kty => 'oct', k => encode_base64url($another) },
                 x5c => [ encode_base64(der('rsa_cert'), '') ] }, {},
               $hs256), 'acme', 'foreign keys in the header are ignored');
declined(token({ jwk => { kty => 'oct', k => encode_base64url($another) } },
               {}, $two), 'signature does not match',
         'a key of the header is not used');

declined(token($_->[0], {}, $hs256), 'header is malformed',
         "header: $_->[1]")
    for bad_objects(['"alg":"HS256"', '"alg":"none"'], '"alg":"HS256"'),
        [ '{"alg":"none","alg":"HS256"}', 'none, then an algorithm' ],
        [ '{"alg":"HS256","\u0061lg":"HS256"}', 'a name twice, escaped' ],
        [ '{"alg":"HS256","kid":"a","kid":"a"}', 'a key id twice' ],
        [ '{"alg":"HS256","jwk":{"k":1,"k":2}}', 'a name twice, deeper' ];


# --- claims ------------------------------------------------------------------

declined(token({}, $_->[0], $hs256), 'claims are malformed',
         "claims: $_->[1]")
    for bad_objects([ '"org":"acme"', '"org":"globex"' ],
                    qq("exp":$claims{exp},"org":"acme")),
        [ qq({"exp":1,"exp":$claims{exp},"org":"acme"}), 'exp twice' ],
        [ qq({"exp":$claims{exp},"org":"acme","x":[{"y":1,"y":1}]}),
          'a name twice, deeper' ];

# malformed claims without a right signature fail by their signature

declined(token({}, $_->[0], $two), 'signature does not match',
         "claims unsigned: $_->[1]")
    for bad_objects([ '"a":1' ], '"a":1');

accepted(token({}, { map { ("c$_" => $_) } 1 .. 126 }, $hs256), 'acme',
         '128 claims');
declined(token({}, { map { ("c$_" => $_) } 1 .. 127 }, $hs256),
         'claims are malformed', '129 claims');


# --- times -------------------------------------------------------------------

for ([ exp => [ $now - 59, $now - 59.5, $now + 1, $now + 315360000, '1.9e9' ],
              [ $now - 60, $now - 60.5, 0, '-0', 1, '1e-9' ],
       'token has expired' ],
     [ nbf => [ 0, $now, $now + 60, "$now.5", '0.0' ],
              [ $now + 61, $now + 60.5, 2 ** 53 ],
       'token is not valid yet' ],
     [ iat => [ 0, $now, $now + 60, "$now.5" ],
              [ $now + 61, $now + 60.5, 2 ** 53 ],
       'token is of the future' ])
{
    my ($name, $fit, $unfit, $reason) = @$_;

    accepted(timed($name, $_), 'acme', "$name of $_") for @$fit;
    declined(timed($name, $_), $reason, "$name of $_") for @$unfit;
    declined(timed($name, $_), 'a time is malformed', "$name of $_")
        for 'null', '"1795227160"', 'true', '[1795227160]', '{}', '-1',
            '-0.001', '9007199254740994', '1e16', '1e308', '1e999', '-1e999',
            '9' x 60;
    declined(timed($name, $_), 'claims are malformed', "$name of $_")
        for qw(NaN Infinity -Infinity nan 0x7fffffff +1);
}

declined(token({}, { exp => undef }, $hs256), 'expiry is missing',
         'no expiry');


# --- issuer and audience -----------------------------------------------------

use_keys([ 'HS256', $secret ]);

accepted(token({}, { iss => 'x', aud => [ 'y' ] }, $hs256), 'acme',
         'issuer and audience are of no concern when none is set');

ask('issuer', 'https://id.example');
accepted(token({}, { iss => 'https://id.example' }, $hs256), 'acme',
         'the issuer');
declined(token({}, { iss => $_ }, $hs256), 'issuer is another',
         'issuer ' . $json->encode([ $_ ]))
    for undef, '', 'https://id.example/', 'https://id.exampl',
        'HTTPS://id.example', [ 'https://id.example' ], 1,
        { 'https://id.example' => 1 };

use_keys([ 'HS256', $secret ]);

ask('audience', 'waha');
accepted(token({}, { aud => $_ }, $hs256), 'acme',
         'audience ' . $json->encode([ $_ ]))
    for 'waha', [ 'waha' ], [ 'crm', 'waha' ], [ 'waha', 'crm' ];
declined(token({}, { aud => $_ }, $hs256), 'audience is another',
         'audience ' . $json->encode([ $_ ]))
    for undef, '', 'wah', 'wahaa', 'WAHA', [], [ 'crm' ], [ [ 'waha' ] ],
        [ 'waha', 1 ], [ undef, 'waha' ], { waha => 'waha' }, 1, $true;


declined(timed('exp', $_), 'expiry is years away', "exp of $_")
    for $now + 315360001, 2 ** 53;


# --- organizations -----------------------------------------------------------

use_keys([ 'HS256', $secret ]);

for ([ '"a"', 'a' ], [ '"' . 'o' x 255 . '"', 'o' x 255 ], [ '"42"', '42' ],
     [ '42', '42' ], [ '0', '0' ], [ '42.0', '42' ], [ '4.2e1', '42' ],
     [ '9007199254740991', '9007199254740991' ],
     [ '9007199254740992', '9007199254740992' ],
     [ '9007199254740993', '9007199254740993' ],
     [ '9223372036854775807', '9223372036854775807' ],
     [ '"\u00e9"', "\xe9" ], [ '"a\u002fb"', 'a/b' ])
{
    accepted(timed('org', $_->[0]), $_->[1],
             'organization ' . substr $_->[0], 0, 20);
}

declined(timed('org', $_), 'organization is malformed',
         'organization ' . substr $_, 0, 20)
    for '""', '"' . 'o' x 256 . '"', '-1', '4.2', '9007199254740993.0',
        '-9007199254740993', '9.1e15', '1e300', '1e999', 'true', 'false', '["acme"]',
        '{}', '{"slug":"acme"}', '"a\nb"', '"\u0001"', '"\u007f"';

declined(timed('org', 'null'), 'organization is missing',
         'organization null');
declined(token({}, { org => undef, Org => 'acme', organization => 'acme' },
               $hs256), 'organization is missing', 'no organization');

ask('claim', 'https://crm.example/tenant');
accepted(token({}, { 'https://crm.example/tenant' => 7 }, $hs256), '7',
         'a claim with a name of its own');


# --- operators ---------------------------------------------------------------

use_keys([ 'HS256', $secret ], [ 'HS256', $another, '', 1 ]);

accepted(token({}, {}, $two), 'acme', "an operator's key", $true);
accepted(token({}, { org => undef }, $two), undef,
         "an operator's key without organization", $true);
declined(token({}, { org => [] }, $two), 'organization is malformed',
         'an operator with a malformed organization');
declined(token({}, { org => undef, operator => $true, role => 'operator' },
               $hs256), 'organization is missing',
         'no claim makes an operator when none is set');
accepted(token({}, { '' => '' }, $hs256), 'acme',
         'nor does one without name', $false);

use_keys([ 'HS256', $secret ]);
ask('operator_claim', 'roles');
ask('operator_value', 'wa-admin');

accepted(token({}, { roles => $_, org => undef }, $hs256), undef,
         'operator: roles ' . $json->encode([ $_ ]), $true)
    for 'wa-admin', [ 'wa-admin' ], [ 'x', 'wa-admin' ];
accepted(token({}, { roles => $_ }, $hs256), 'acme',
         'no operator: roles ' . $json->encode([ $_ ]), $false)
    for undef, '', 'wa-admi', 'wa-admin,x', 'x wa-admin', [], [ 'x' ],
        [ [ 'wa-admin' ] ], [ 'wa-admin', 1 ], { 'wa-admin' => $true },
        $true, 1;
accepted(token({}, { Roles => 'wa-admin', role => 'wa-admin' }, $hs256),
         'acme', 'another claim makes no operator', $false);
declined(token({}, { roles => 'user', org => undef }, $hs256),
         'organization is missing', 'no operator and no organization');


# --- forms -------------------------------------------------------------------

use_keys([ 'HS256', $secret ]);

my ($header, $body, $signature) = split /\./, $good;

declined($_->[0], 'token has not three parts', $_->[1])
    for [ '', 'nothing' ], [ 'x', 'one part' ], [ "$header.$body", 'two' ],
        [ "$good.", 'four' ], [ ".$good", 'four, the first empty' ],
        [ "$good.$signature.$signature", 'five' ], [ '.', 'a dot' ],
        [ '.' x 8192, 'dots' ];

declined('..', 'header is malformed', 'two dots');
declined(".$body.$signature", 'header is malformed', 'no header');
declined("$header..$signature", 'signature does not match', 'no claims');
declined("$header.$body.", 'signature does not match', 'no signature');
declined(signed("$header.", $hs256->("$header.")), 'claims are malformed',
         'no claims, signed');

my $room = 8192 - length token({}, { pad => '' }, $hs256);
my $large;

for my $n (reverse 0 .. int($room * 3 / 4) + 3) {
    $large = token({}, { pad => 'x' x $n }, $hs256);
    last if length $large <= 8192;
}

cmp_ok(length $large, '>=', 8191, 'a token of the greatest length was made');
accepted($large, 'acme', 'a token of ' . length($large) . ' bytes');
declined($large . 'A' x (8193 - length $large), 'token is too long',
         'a token of 8193 bytes');
declined($good . 'A' x 100000, 'token is too long', 'a very long token');

# characters that base64url does not have, in each part of a signed token

for my $what ('=', '==', ' ', "\n", "\r\n", "\t", "\0", '+', '/', '%', '*',
              "\xff", "\x80", '~', '@', '[', '`', '{', ':', ',')
{
    my $shown = printable($what);

    for ([ 'behind', sub { "$_[0]$what" } ],
         [ 'before', sub { "$what$_[0]" } ],
         [ 'within', sub { substr($_[0], 0, 8) . $what
                           . substr($_[0], 8) } ])
    {
        my ($where, $put) = @$_;

        $text = $put->($header) . ".$body";
        declined(signed($text, $hs256->($text)), 'header is malformed',
                 "$shown $where the header");

        $text = "$header." . $put->($body);
        declined(signed($text, $hs256->($text)), 'claims are malformed',
                 "$shown $where the claims");

        declined("$header.$body." . $put->($signature),
                 'signature is not base64url',
                 "$shown $where the signature");
    }
}

# two or four bits of the last letter are not used: they have to be 0

my @letters = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');
my %number = map { $letters[$_] => $_ } 0 .. 63;

for my $bits (1 .. 3) {
    my $last = $letters[$number{substr $signature, -1} | $bits];

    declined("$header.$body." . substr($signature, 0, -1) . $last,
             'signature is not base64url', "bits $bits behind a signature");
}

for my $pad (0 .. 2) {
    my $claims = $json->encode({ %claims, pad => 'x' x $pad });
    my $part = encode_base64url($claims);

    accepted(signed("$header.$part", $hs256->("$header.$part")), 'acme',
             'claims of ' . length($claims) . ' bytes');

    for my $bits (1, 2, 4, 8) {
        my $unused = (0, 4, 2)[length($claims) % 3];
        next if $bits >= 2 ** $unused;

        my $other = substr($part, 0, -1)
                    . $letters[$number{substr $part, -1} | $bits];
        declined(signed("$header.$other", $hs256->("$header.$other")),
                 'claims are malformed', "bits $bits behind $unused unused");
    }

    next if length($claims) % 3;

    declined(signed("$header.${part}A", $hs256->("$header.${part}A")),
             'claims are malformed', 'one letter more');
}


# --- out of memory, and time -------------------------------------------------

for my $alg (@algs) {
    use_keys([ $alg, $material{$alg} ]);

    my $token = token({ alg => $alg }, { org => 42 }, $sign{$alg});
    my ($n, $got) = (0);

    do {
        ask('fail', ++$n);
        $got = ask('verify', $token);
    } while ($got->{rc} eq 'error' && $n < 1000);

    is($got->{organization}, '42', "$alg: each allocation may fail, 1 to $n");
    cmp_ok($n, '>', 10, "$alg: more than ten allocations failed");
}

ask('fail', 1);
ask('alg', 'RS256');
is(ask('key', $pem{rsa})->{rc}, 'error',
   'a key file for which memory is missing is an error');

$unit->end;

# the limits are far from what is measured, for busy machines

$unit->start_fast;

for my $alg (@algs) {
    use_keys([ $alg, $material{$alg} ]);

    my $fast = ask('time', token({ alg => $alg }, {}, $sign{$alg}));
    is($fast->{rc}, 'ok', "$alg can be timed");
    cmp_ok($fast->{ns}, '<', 5e6, sprintf '%s takes %.1f us', $alg,
           $fast->{ns} / 1000);
}

# a token without a right signature costs little, whatever it holds

use_keys([ 'HS256', $secret ]);

for ([ 'many names', '{' . join(',', map { qq("$_":1) } 1 .. 700) . '}' ],
     [ 'objects of many names', '{"a":[' . join(',', ('{' . join(',',
           map { sprintf '"%x":1', $_ } 1 .. 128) . '}') x 6) . ']}' ],
     [ 'many values', '{"a":[' . '0,' x 3000 . '0]}' ],
     [ 'deep values', '{"a":' . '[' x 62 . ']' x 62 . '}' ])
{
    my ($what, $text) = @$_;

    my $fast = ask('time', token($text, '{}', sub { '' }));
    cmp_ok($fast->{ns}, '<', 1e7, sprintf 'a header of %s takes %.1f us', $what,
           $fast->{ns} / 1000);
}

done_testing();


# --- helpers -----------------------------------------------------------------

sub ask { return $unit->ask(@_) }


# Sets the keys: [ algorithm, content of the key file, key id, whether it is an
# operator's ], ...

sub use_keys {
    ask('forget', '');
    ask('now', $now);
    ask('claim', 'org');

    for (@_) {
        my ($alg, $material, $kid, $operator) = @$_;

        ask('alg', $alg);
        ask('key', $material)->{rc} eq 'ok' or die "no key of $alg";
        ask('kid', $kid) if $kid;
        ask('operator', '') if $operator;
    }
}


sub key {
    my ($alg, $material, $reason, $what) = @_;

    ask('forget', '');
    ask('alg', $alg);

    my $got = ask('key', $material);

    $what = ($reason ? 'key declined: ' : 'key accepted: ') . $what;

    is($got->{rc}, $reason ? 'declined' : 'ok', $what)
        or diag $got->{reason};
    like($got->{reason}, $reason, "$what: the reason") if $reason;
    ok(!$got->{errors}, "$what: OpenSSL's queue of errors is empty");
}


sub accepted {
    my ($token, $organization, $what, $operator) = @_;

    my $got = ask('verify', $token);

    is_deeply([ @$got{qw(rc organization operator)} ],
              [ 'ok', $organization, $operator // $false ],
              "accepted: $what")
        or diag explain $got;
    ok(!$got->{errors}, "accepted: $what: OpenSSL's queue of errors is empty");
}


sub declined {
    my ($token, $reason, $what) = @_;

    my $got = ask('verify', $token);

    is_deeply([ @$got{qw(rc reason)} ], [ 'declined', $reason ],
              "declined: $what")
        or diag explain $got;
    ok(!$got->{errors}, "declined: $what: OpenSSL's queue of errors is empty");
}


# The first two parts of a token.  A hash replaces members of the usual header
# or claims, a text is taken as it is.

sub unsigned {
    my @parts = @_;

    for my $usual ({ alg => 'HS256', typ => 'JWT' }, \%claims) {
        my $part = shift @parts;

        if (ref $part) {
            my %all = (%$usual, %$part);

            delete @all{ grep { !defined $all{$_} } keys %all };
            $part = $json->encode(\%all);
        }

        push @parts, encode_base64url($part);
    }

    return join '.', @parts;
}


sub signed { return $_[0] . '.' . encode_base64url($_[1]) }


sub token {
    my ($header, $claims, $sign) = @_;

    my $text = unsigned($header, $claims);

    return signed($text, $sign->($text));
}


# a token with a claim whose value is this JSON

sub timed {
    my ($name, $value) = @_;

    my %all = (exp => $claims{exp}, org => '"acme"', $name => $value);

    return token({}, '{' . join(',', map { qq("$_":$all{$_}) }
                                sort keys %all) . '}', $hs256);
}


# texts that are no JSON object, or one that parsers read differently

sub bad_objects {
    my ($twice, $fit) = @_;

    my $text = "{$fit}";

    return (
        [ '', 'nothing' ], [ 'null', 'null' ], [ '[]', 'an array' ],
        [ '"x"', 'a string' ], [ '1', 'a number' ], [ "[$text]", 'within' ],
        [ "{$fit", 'not closed' ], [ "$text}", 'closed twice' ],
        [ "$text$text", 'two objects' ], [ "$text\0", 'a zero behind' ],
        [ "{$fit,\"x\":\"\xff\"}", 'no UTF-8' ],
        [ "{$fit,\"x\":\"\xed\xa0\x80\"}", 'a surrogate' ],
        [ "{$fit,\"x\":\"\\ud800\"}", 'half a surrogate' ],
        [ "{$fit,\"x\":\"\\u0000\"}", 'an escaped zero' ],
        [ "{$fit,\"x\\u0000y\":1}", 'a zero in a name' ],
        [ "{$fit,\"x\":" . '[' x 64 . ']' x 64 . '}', 'too deep' ],
        [ '{' . join(',', $twice->[0], $fit, $twice->[-1]) . '}',
          'a name twice' ],
        [ "{$fit,\"x\":1,\"x\":1}", 'a name twice, the same value' ],
        [ "{$fit,\"x\":1,\"\\u0078\":1}", 'a name twice, escaped' ],
    );
}


sub printable {
    return join '', map { /[!-~]/ ? $_ : sprintf '\x%02x', ord }
                    split //, substr $_[0], 0, 20;
}


sub make_keys {
    my %pem;
    my %options = (
        rsa => 'RSA -pkeyopt rsa_keygen_bits:2048',
        rsa_other => 'RSA -pkeyopt rsa_keygen_bits:2048',
        rsa_1024 => 'RSA -pkeyopt rsa_keygen_bits:1024',
        rsa_2040 => 'RSA -pkeyopt rsa_keygen_bits:2040',
        rsa_pss => 'RSA-PSS -pkeyopt rsa_keygen_bits:2048',
        ec => 'EC -pkeyopt ec_paramgen_curve:P-256',
        p384 => 'EC -pkeyopt ec_paramgen_curve:P-384',
        secp256k1 => 'EC -pkeyopt ec_paramgen_curve:secp256k1',
        ed25519 => 'ED25519', ed25519_other => 'ED25519', ed448 => 'ED448',
        x25519 => 'X25519',
    );

    for my $name (sort keys %options) {
        my $key = "$dir/$name.key";

        openssl("genpkey -algorithm $options{$name} -out $key");
        $pem{$name} = openssl("pkey -in $key -pubout");

        next if $name !~ /^(?:rsa|ec|ed25519)\z/;

        $pem{"${name}_private"} = slurp($key);
        $pem{"${name}_encrypted_private"} =
            openssl("pkey -in $key -aes128 -passout pass:xxxx");
        $pem{"${name}_cert"} =
            openssl("req -x509 -new -key $key -subj /CN=issuer -days 1");
    }

    $pem{rsa_traditional_private} =
        openssl("pkey -in $dir/rsa.key -traditional");
    $pem{ec_traditional_private} =
        openssl("pkey -in $dir/ec.key -traditional");

    return %pem;
}


sub number {
    return substr "\0" x 32 . Math::BigInt->new($_[0])->to_bytes, -32;
}


sub der_of {
    my $numbers = join '', map {
        my $bytes = $_->to_bytes;
        $bytes = "\0$bytes" if ord($bytes) >= 0x80;
        pack 'C C/a', 2, $bytes;
    } @_;

    return pack 'C C/a', 0x30, $numbers;
}


sub der {
    my ($name) = @_;

    return decode_base64($pem{$name} =~ s/-----.*//gr);
}


sub pem {
    my ($label, $der) = @_;

    return "-----BEGIN $label-----\n" . encode_base64($der)
           . "-----END $label-----\n";
}


sub modulus {
    my ($name) = @_;

    return openssl("rsa -in $dir/$name.key -noout -modulus") =~ s/.*=|\s//gr;
}


sub rsa_pem {
    my ($modulus, $exponent) = @_;

    spew("$dir/asn1", <<~"END");
        asn1=SEQUENCE:info
        [info]
        algorithm=SEQUENCE:algorithm
        key=BITWRAP,SEQUENCE:key
        [algorithm]
        algorithm=OID:rsaEncryption
        parameter=NULL
        [key]
        n=INTEGER:0x$modulus
        e=INTEGER:$exponent
        END

    openssl("asn1parse -genconf $dir/asn1 -noout -out $dir/asn1.der");

    return pem('PUBLIC KEY', slurp("$dir/asn1.der"));
}
