# Files with secrets are refused while other users can read or change them.

use Waha::Test;
use Waha::Token;

my $t = Waha::Test->new;
my $idp = Waha::Token->new($t->dir);
my $hmac = spew_secret($t->dir . '/some.key', 'the first of all keys');

my %key = (
    waha_hmac_key        => $hmac,
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


$t->done;


sub conf {
    my ($directives) = @_;

    return <<"EOF_CONF";
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "host=127.0.0.1 dbname=crm user=waha_gateway";
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
