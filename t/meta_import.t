# build/import-secrets: tokens that another CRM has encrypted as the integration
# guides say become SQL, which connects the numbers with tokens that nginx can
# open.  openssl's command line derives the keys, the test encrypts.

use Waha::Test;
use Waha::Api;
use Waha::Sealed qw(gcm unseal);

use Digest::SHA qw(sha256_hex);
use MIME::Base64 qw(encode_base64 encode_base64url);

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $dir = $t->dir;

my $root = root();
my $built = `make -s -C $root import-secrets 2>&1`;
is($?, 0, 'make import-secrets builds the program') or BAIL_OUT($built);

my $passphrase = 'correct horse battery staple, 32 characters';
my %key = (k1 => 'The key that seals: 32 bytes....',
           k2 => 'The key after it: 32 bytes too..');

spew_secret("$dir/$_.key", $key{$_}) for keys %key;
spew_secret("$dir/passphrase", "$passphrase\n");

$pg->psql('create role operator login in role waha_admin');
$pg->organization($_) for 'acme', 'bolt', "o'neill \\ co, \"q\"", 'früh';


# --- what is read ------------------------------------------------------------

my @forms = (
    [ 'hex, as the guide writes it', parts(64, 16, 'hex', ':', 0 .. 3) ],
    [ 'capital hex', uc parts(64, 16, 'hex', ':', 0 .. 3) ],
    [ 'base64', parts(64, 16, 'base64', ':', 0 .. 3) ],
    [ 'base64url', parts(64, 16, 'base64url', ':', 0 .. 3) ],
    [ 'a salt of 16, an IV of 12 bytes', parts(16, 12, 'hex', ':', 0 .. 3) ],
    [ 'a salt of 32', parts(32, 12, 'base64', ':', 0 .. 3) ],
    [ 'the tag at the end', parts(32, 16, 'hex', ':', 0, 1, 3, 2) ],
    [ 'the IV first', parts(32, 16, 'hex', ':', 1, 0, 2, 3) ],
    [ 'the text first', parts(16, 12, 'base64', ':', 3, 2, 1, 0) ],
    [ 'a key of the digits of the salt',
      parts(32, 16, 'hex', ':', 0 .. 3, 'digits') ],
    [ 'one part in base64', parts(64, 16, 'base64', '', 0 .. 3) ],
    [ 'one part in hex', parts(64, 16, 'hex', '', 0 .. 3) ],
    [ 'one part, the tag at the end', parts(64, 12, 'base64', '', 0, 1, 3, 2) ],
    [ 'one part, a salt of 32', parts(32, 16, 'base64', '', 0 .. 3) ],
    [ 'one part, a salt of 16', parts(16, 12, 'hex', '', 0 .. 3) ],
);

my $n = 0;
my ($status, $sql, $said) = import(join '', map {
    sprintf "acme,%d,77,verify,%s\n", 1000 + $n++, $_->[1] } @forms);

is($status, 0, 'all forms are read') or diag $said;
like($said, qr/15 of 15 rows written/, 'the program counts them');
psql($sql);

for my $i (0 .. $#forms) {
    is(token(1000 + $i), "EAAG token", $forms[$i][0]);
}


# --- rows --------------------------------------------------------------------

my $text = parts(64, 16, 'hex', ':', 0 .. 3);
my $slug = "o'neill \\ co, \"q\"";
my $quoted = '"' . $slug =~ s/"/""/gr . '"';

($status, $sql, $said) = import("\xef\xbb\xbforganization,phoneNumberId,waba,"
    . "verify,token\r\n"
    . "$quoted,2001,78,\"a \"\"token\"\"\",$text\r\n"
    . "\r\n"
    . "fr\xc3\xbch,2002,78,,\"$text\"\r\n"
    . "bolt,2003,78,v,$text");

is($status, 0, 'CSV with names of columns, quotes, CRLF and empty lines')
    or diag $said;
like(psql($sql), qr/\Q$slug\E.*2001.*imported/, 'the result has a line');

my $row = $pg->rows(q{select organization_slug, waba_id, verify_token_hash,
                             own_secret, app_secret
                        from waha.connections
                       where phone_number_id = '2001'})->[0];
is_deeply($row, [ $slug, 78, sha256_hex('a "token"'), 'f', undef ],
          'a row is as it was given');
is(token(2001), 'EAAG token', 'its token');
is(token(2002), 'EAAG token', 'an organization beyond ASCII');
is($pg->value(q{select verify_token_hash from waha.connections
                 where phone_number_id = '2002'}), undef,
   'an empty verify token is none');
is(token(2003), 'EAAG token', 'the last line without its end');
like($pg->value("select id from waha.connections
                  where phone_number_id = '2003'"),
     qr/^[A-Za-z0-9_-]{32}\z/, 'the id of a connection is random');

($status, $sql) = import("bolt\t2004\t78\ta,\"b\t$text\n");
is($status, 0, 'separated by tabs');
psql($sql);
is($pg->value(q{select verify_token_hash from waha.connections
                 where phone_number_id = '2004'}), sha256_hex('a,"b'),
   'a comma in a column');

like(psql($sql), qr/it was there before/, 'a second run changes nothing');
($status, $sql) = import("acme,2004,78,v,$text\n");
like(psql($sql), qr/that of another organization/,
     'a number of another organization is refused');
($status, $sql) = import("nobody,2005,78,v,$text\n");
like(psql($sql), qr/there is no such organization/, 'nor is one of nobody');


# --- what is left out --------------------------------------------------------

my @bad = (
    [ "acme,3001,78,v,EAAGplain", qr/cannot be opened/, 'a plain token' ],
    [ "acme,3001,78,v,", qr/cannot be opened/, 'no token' ],
    [ "acme,3001,78,v," . $text =~ s/.\z/x/r, qr/cannot be opened/,
      'no hex' ],
    [ "acme,3001,78,v," . $text =~ s/(.)\z/$1 eq '0' ? '1' : '0'/er,
      qr/cannot be opened/, 'an altered one' ],
    [ "acme,3001,78,v,$text:00", qr/cannot be opened/, 'five parts' ],
    [ "acme,3001,78,v," . $text =~ s/:[^:]*\z//r, qr/cannot be opened/,
      'three parts' ],
    [ "acme,3001,78,v,::::", qr/cannot be opened/, 'colons' ],
    [ "acme,3001,78,v,:::", qr/cannot be opened/, 'four empty parts' ],
    [ "acme,3001,78,v," . 'A' x 70000, qr/cannot be opened/, 'a long one' ],
    [ "acme,3001,78,v", qr/five columns/, 'four columns' ],
    [ "acme,3001,78,v,$text,x", qr/five columns/, 'six columns' ],
    [ ",3001,78,v,$text", qr/its organization/, 'no organization' ],
    [ "a\x01b,3001,78,v,$text", qr/control character/, 'a control character' ],
    [ "acme,,78,v,$text", qr/its phone number id/, 'no number' ],
    [ "acme,3001,7'8,v,$text", qr/its account id/, 'a quote in an id' ],
    [ "acme,3001,,v,$text", qr/its account id/, 'no account' ],
);

($status, $sql, $said) = import(join "\n", "acme,3000,78,v,$text",
                                map { $_->[0] } @bad);

is($status, 1, 'rows that are left out show in the status');
like($said, qr/1 of 17 rows written/, 'the good row is written');
is(() = $sql =~ /^select /mg, 1, 'no other one is');

my %line = $said =~ /^import-secrets: row (\d+) is left out: (.*)$/mg;

for my $i (0 .. $#bad) {
    like($line{$i + 2} // '', $bad[$i][1], "left out: $bad[$i][2]");
}

unlike($said . $sql, qr/EAAG|\Q$passphrase\E|\Q$key{k1}\E/,
       'nothing shows a token, the passphrase or the key');

spew_secret("$dir/other", 'another passphrase of the same kind');
($status, $sql, $said) = import("acme,3002,78,v,$text\n", "$dir/other");
is($status, 1, 'another passphrase');
like($said, qr/the passphrase is another one/, 'it says so');


# --- arguments ---------------------------------------------------------------

spew_secret("$dir/short", 'short');
spew_secret("$dir/empty", "\n");
spew_secret("$dir/open", $passphrase);
chmod 0644, "$dir/open";

for ([ [ 'k1', "$dir/k1.key" ], qr/^usage: / ],
     [ [ 'k.1', "$dir/k1.key", "$dir/passphrase" ], qr/its id can only be/ ],
     [ [ 'k1', "$dir/short", "$dir/passphrase" ], qr/32 random bytes/ ],
     [ [ 'k1', "$dir/none", "$dir/passphrase" ], qr/No such file/ ],
     [ [ 'k1', "$dir/k1.key", "$dir/empty" ], qr/is empty/ ],
     [ [ 'k1', "$dir/k1.key", "$dir/open" ], qr/chmod 600/ ])
{
    my ($arguments, $reason) = @$_;

    ($status, $sql, $said) = run('', @$arguments);
    is($status, 2, "refused: @$arguments[0, 1]");
    like($said, $reason, 'it says why');
    is($sql, '', 'it writes nothing');
}


# --- nginx -------------------------------------------------------------------

my $api = Waha::Api->new($t, http => join '', map {
    "waha_secret_key $_ $dir/$_.key;\n" } qw(k2 k1));
$t->start;

my $all = $pg->value('select count(*) from waha.connections
                       where access_token is not null');
my $data = $api->ok('operator', POST => '/api/whatsapp/secrets/rotate')->{data};

is_deeply([ @$data{qw(rotated refused)} ], [ $all, 0 ],
          'nginx opens all that was imported');
is(token(2001, 'k2'), 'EAAG token', 'and seals it');

$t->done;


# A token as a guide encrypts it: the bytes of salt and IV, the encoding of the
# parts, what is between them, and their order (salt, IV, tag, text).

sub parts {
    my ($salt_size, $iv_size, $encoding, $between, @order) = @_;

    my $digits = $order[4];
    my $salt = join '', map { chr int rand 256 } 1 .. $salt_size;
    my $iv = join '', map { chr int rand 256 } 1 .. $iv_size;
    my $given = unpack 'H*', $digits ? unpack 'H*', $salt : $salt;

    my ($hex) = `openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt \\
                 'pass:$passphrase' -kdfopt hexsalt:$given \\
                 -kdfopt iter:100000 PBKDF2` =~ /^([0-9A-F:]+)$/m;
    my $whole = gcm(pack('H*', $hex =~ s/://gr), $iv, '', 'EAAG token');
    my ($ciphertext, $tag) = $whole =~ /^(.*)(.{16})\z/s;

    my @bytes = ($salt, $iv, $tag, $ciphertext)[@order[0 .. 3]];
    @bytes = join '', @bytes if $between eq '';

    return join $between,
           map { $encoding eq 'hex' ? unpack 'H*', $_
                 : $encoding eq 'base64' ? encode_base64($_, '')
                 : encode_base64url($_) } @bytes;
}


sub import {
    my ($rows, $file) = @_;

    return run($rows, 'k1', "$dir/k1.key", $file // "$dir/passphrase");
}


# the status, what is written, and what is said

sub run {
    my ($rows, @arguments) = @_;

    spew("$dir/rows", $rows);
    my $status = system("$root/build/import-secrets @arguments"
                        . " < $dir/rows > $dir/sql 2> $dir/said");

    return ($status >> 8, slurp("$dir/sql"), slurp("$dir/said"));
}


sub psql { return $pg->psql($_[0], user => 'operator') }


# the token of a number, opened; undef if it is not sealed for its row

sub token {
    my ($number, $id) = @_;

    my ($connection, $organization, $sealed)
        = @{ $pg->rows("select id, organization_slug, access_token
                          from waha.connections
                         where phone_number_id = '$number'")->[0] // [] };

    return if !defined $sealed;
    return unseal($key{ $id // 'k1' }, [ 'connections', $organization,
                                         $connection, 'access_token' ],
                  $sealed);
}
