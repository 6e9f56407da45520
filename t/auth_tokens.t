# Limits of tokens that belong to a key: their type and their age; and what
# "nginx -t" says of keys that take tokens of other services.

use Waha::Conf;
use Waha::Test;
use Waha::Token;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $idp = Waha::Token->new($t->dir);
my $file = $idp->file('HS256');

$pg->organization('acme');

my $conf = Waha::Conf->new($t);
my $database = 'waha_database "host=127.0.0.1 user=waha_gateway";';

$conf->accepted("waha_jwt_key with $_", $database, '',
                "waha_auth on; waha_jwt_key HS256 $file $_;")
    for 'typ=JWT', 'typ=at+jwt max_age=1h', 'max_age=90s kid=a';
$conf->refused("waha_jwt_key with $_", qr/invalid parameter/, $database, '',
               "waha_auth on; waha_jwt_key HS256 $file $_;")
    for 'typ=', 'typ=jwe', 'max_age=', 'max_age=0', 'max_age=-1', 'max_age=x';

for (['', 1], ['waha_jwt_issuer i;', 1], ['waha_jwt_audience a;', 1],
     ['waha_jwt_issuer i; waha_jwt_audience a;', 0])
{
    my ($limits, $warned) = @$_;

    my ($status, $text) = $t->nginx(conf => <<"EOF_CONF")->test;
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    $database
    $limits
    waha_auth on;
    waha_jwt_key HS256 $file;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /a { }
        location /b { }
    }
}
EOF_CONF

    my @lines = $text =~ /\[warn\].*tokens that were made for other services/g;
    is($status, 0, "nginx -t accepts a key with \"$limits\"");
    is(@lines, $warned, 'it warns once of tokens of other services')
        if $warned;
    is(@lines, 0, 'it does not warn') if !$warned;
}

$t->nginx(conf => <<"EOF_CONF")->write('ok', 'ok');
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    waha_auth on;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%;

        location /typ {
            waha_jwt_key HS256 $file typ=at+jwt;
            try_files /ok =404;
        }

        location /age {
            waha_jwt_key HS256 $file max_age=1h;
            try_files /ok =404;
        }
    }
}
EOF_CONF

$t->start;

for ([ 'at+jwt', 200 ], [ 'AT+JWT', 200 ], [ 'JWT', 401 ], [ undef, 401 ],
     [ 'at+jwtx', 401 ])
{
    my ($typ, $status) = @$_;

    is(status('/typ', {}, typ => $typ), $status,
       'a token of type ' . ($typ // 'null'));
}

for ([ 0, 200 ], [ 3600, 200 ], [ 3700, 401 ], [ undef, 401 ]) {
    my ($age, $status) = @$_;

    is(status('/age', defined $age ? { iat => time - $age } : {}), $status,
       'a token that was issued ' . ($age // 'no') . ' seconds ago');
}

like($t->error_log, qr/credentials are refused: $_/, "the log says: $_")
    for 'type is another', 'token is too old', 'time of issue is missing';

$t->done;


sub status {
    my ($path, $claims, %header) = @_;

    my $token = $idp->token('HS256', { org => 'acme', %$claims },
                            header => \%header);

    return $t->http->get($path, bearer($token))->{status};
}
