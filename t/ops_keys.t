# Files with secrets are refused while other users can read or change them.

use Waha::Test;
use Waha::Token;

my $t = Waha::Test->new;
my $idp = Waha::Token->new($t->dir);
my $hmac = spew_secret($t->dir . '/some.key', 'the first of all keys');

my $secret = spew_secret($t->dir . '/secret.key', '0123456789abcdef' x 4);

my %key = (
    waha_hmac_key        => $hmac,
    'waha_secret_key k'  => $secret,
    'waha_jwt_key HS256' => $idp->file('HS256'),
);

for my $directive (sort keys %key) {
    my $file = $key{$directive};

    for my $mode (0644, 0604, 0602, 0660, 0620) {
        chmod $mode, $file;

        my ($status, $text) = check("$directive $file;");
        my ($line) = $text =~ /\[emerg\] (.*)/;

        like($line // 'it is accepted',
             qr/"\Q$file\E" holds .* "chmod 600 \Q$file\E", or "chmod 640 \Q/,
             sprintf "$directive refuses a file of mode %04o", $mode);
    }

    for my $mode (0600, 0400, 0440, 0640) {
        chmod $mode, $file;

        is((check("$directive $file;"))[0], 0,
           sprintf "$directive takes a file of mode %04o", $mode);
    }
}

symlink $hmac, "$hmac.link";
chmod 0644, $hmac;
like((check("waha_hmac_key $hmac.link;"))[1], qr/holds a secret/,
     'the mode of the file counts, not that of a link to it');
chmod 0600, $hmac;

for my $alg (qw(RS256 ES256 EdDSA)) {
    my $file = $idp->file($alg);
    chmod 0644, $file;

    is((check("waha_jwt_key $alg $file;"))[0], 0,
       "everybody may read a public key of $alg");
}

# keys that seal

my $dir = $t->dir;

for ([ 'raw', join('', map { chr } 0 .. 31) ],
     [ 'raw_line', join('', map { chr } reverse 10 .. 41) ],
     [ 'hex', '0123456789abcdef' x 4 . "\n" ],
     [ 'base64', "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n" ])
{
    spew_secret("$dir/$_->[0]", $_->[1]);
    is((check("waha_secret_key k $dir/$_->[0];"))[0], 0,
       "waha_secret_key takes a key: $_->[0]");
}

spew_secret("$dir/short", '0123456789abcdef' x 3);
spew_secret("$dir/empty", '');
spew_secret("$dir/equal", '0' x 64);

for ([ "k $dir/short",
       qr/short" cannot be used as the secret key "k": a key is 32 random/,
       'a file that is too short' ],
     [ "k $dir/empty", qr/is empty/, 'an empty file' ],
     [ "k $dir/equal", qr/bytes are equal.*"openssl rand -hex 32"/,
       'a key that anybody can guess' ],
     [ "k $dir/missing", qr/missing" failed \(2:/, 'no file' ],
     [ "k.1 $dir/hex", qr/"k\.1": its id can only be/, 'an id with a dot' ],
     [ 'i' x 33 . " $dir/hex", qr/its id can only be/, 'an id of 33' ],
     [ "k $dir/raw; waha_secret_key k $dir/hex", qr/has the same id/,
       'an id twice' ],
     [ "k $dir/raw; waha_secret_key j $dir/base64", qr/has the same key/,
       'a key twice' ],
     [ "k", qr/invalid number of arguments/, 'no file named' ])
{
    my ($arguments, $reason, $what) = @$_;
    my ($status, $text) = check("waha_secret_key $arguments;");

    isnt($status, 0, "waha_secret_key refuses $what");
    like($text, $reason, "it says why: $what");
}

is((check("waha_secret_key new $dir/hex; waha_secret_key old $dir/raw;"))[0],
   0, 'several keys for rotation');

$t->done;


# waha_secret_key stands in the "http" block

sub conf {
    my ($directives) = @_;

    my $http = $directives =~ /^waha_secret_key/ ? $directives : '';
    $directives = '' if $http;

    return <<"EOF_CONF";
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "host=127.0.0.1 dbname=crm user=waha_gateway";
    $http
    server {
        listen 127.0.0.1:%%PORT%%;
        $directives
    }
}
EOF_CONF
}


sub check {
    my ($directives) = @_;

    return $t->nginx(conf => conf($directives))->test;
}
