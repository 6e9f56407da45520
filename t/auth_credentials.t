# Who may come in where "waha_auth" is on: tokens of an identity provider,
# API keys, and what nginx itself has found out.

use Waha::Test;
use Waha::Token;

use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $idp = Waha::Token->new($t->dir);
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

$pg->organization('acme');
$pg->organization('globex', enabled => 0);
$pg->organization('ünï cöde');
my %id = map { $_ => $pg->organization_id($_) } qw(acme globex);

my @algs = qw(HS256 RS256 ES256 EdDSA);
my %file = map { $_ => $idp->file($_) } @algs;
my $keys = join ' ', map { "waha_jwt_key $_ $file{$_};" } @algs;

my $nginx = $t->nginx(conf => <<"EOF_CONF");
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    log_format auth '\$uri \$status org=\$waha_organization '
                    'action=\$waha_action';
    access_log %%DIR%%/auth.log auth;

    waha_database "%%DSN%%" timeout=1s;
    waha_auth_limit off;

    server {
        listen 127.0.0.1:%%PORT%%;

        proxy_set_header X-Organization \$waha_organization;
        large_client_header_buffers 4 32k;

        location /jwt {
            waha_auth on;
            $keys
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }

        location /strict {
            waha_auth on;
            waha_jwt_key HS256 $file{HS256};
            waha_jwt_issuer https://idp.example;
            waha_jwt_audience waha;
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }

        location /claim {
            waha_auth on;
            waha_jwt_key HS256 $file{HS256};
            waha_jwt_claim https://example.com/tenant;
            waha_jwt_claim role=admin role=operator;
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }

        location /operator {
            waha_auth on;
            waha_jwt_key ES256 $file{ES256} role=operator;
            waha_jwt_key RS256 $file{RS256};
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }

        location /keys {
            waha_auth on;
            waha_api_keys on;
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }

        location /any {
            waha_auth on;
            $keys
            waha_api_keys on;
            waha_organization \$trusted;
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }

        location /trusted {
            waha_auth on;
            waha_organization \$trusted;
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }
    }

    map \$http_x_test \$trusted {
        default \$http_x_test;
    }

    server {
        listen 127.0.0.1:%%PORT2%%;

        location / {
            return 200 "[\$http_x_organization]";
        }
    }
}
EOF_CONF

$t->start;

my $http = $t->http;


# --- tokens ------------------------------------------------------------------

accepted('/jwt', bearer($idp->token($_, { org => 'acme' })), 'acme',
         "$_ through nginx")
    for @algs;

my $good = $idp->token('HS256', { org => 'acme' });

accepted('/jwt', { Authorization => "$_ $good" }, 'acme', "scheme $_")
    for qw(bearer BEARER bEaReR), 'Bearer  ';

accepted('/jwt', bearer($idp->token('HS256', { org => $id{acme} })), 'acme',
         'the id of an organization instead of its slug');
accepted('/jwt', bearer($idp->token('HS256', { org => 'globex' })), 'globex',
         'an organization without WhatsApp may read what it has');
accepted('/jwt', bearer($idp->token('HS256', { org => "\x{fc}n\x{ef} "
                                               . "c\x{f6}de" })),
         'ünï cöde', 'an organization by a slug that is not ASCII');

denied('/jwt', bearer($idp->token('HS256', { org => $_ })),
       'the organization is unknown', "no such organization: \"$_\"")
    for 'initech', 'Acme', '99999', 'acme ', "acme' or '1'='1", 'x' x 255;
denied('/jwt', bearer($idp->token('HS256', { org => $_ })), undef,
       'what is no name')
    for "ac\nme", 'x' x 256, '', { slug => 'acme' };

denied('/jwt', {}, 'no bearer token', 'no credentials');
denied('/jwt', { Authorization => 'Basic YTpi' }, 'no bearer token',
       'credentials of another scheme');
denied('/jwt', { Authorization => "Bearer$good" }, 'no bearer token',
       'a scheme that only begins like it');
denied('/jwt', { Authorization => $good }, 'no bearer token',
       'a token without a scheme');

denied('/jwt', { Authorization => $_->[0] }, 'the token is malformed',
       "malformed: $_->[1]")
    for [ 'Bearer', 'nothing' ], [ "Bearer $good x", 'two words' ],
        [ "Bearer \"$good\"", 'in quotes' ], [ "Bearer $good,", 'a comma' ],
        [ "Bearer =$good", 'padding before' ], [ "Bearer ==", 'only padding' ],
        [ "Bearer $good\xff", 'not ASCII' ],
        [ "Bearer $good\tx", 'a tab' ];

denied('/jwt', bearer('x' x 8193), 'the token is too long',
       'a token of more than 8 KB');

denied('/jwt', bearer($idp->token('none', { org => 'acme' },
                                  sign => sub { '' })),
       undef, 'no algorithm');
denied('/jwt', bearer($idp->token('HS256', { org => 'acme' },
    sign => sub { hmac_sha256($_[0], slurp($file{RS256})) })),
    'signature does not match', 'the public key of RS256 as a secret');
denied('/operator', bearer($idp->token('HS256', { org => 'acme' },
    sign => sub { hmac_sha256($_[0], slurp($file{RS256})) })),
    undef, 'the same where HS256 is not configured');
denied('/jwt', bearer($idp->token('HS256', { org => 'acme',
                                             exp => time - 120 })),
       undef, 'expired');
denied('/jwt', bearer($idp->token('HS256', { org => 'acme', exp => undef })),
       undef, 'without an end');
denied('/jwt', bearer($idp->token('HS256', { org => 'acme',
                                             nbf => time + 120 })),
       undef, 'not valid yet');
denied('/jwt', bearer($idp->token('HS256', sprintf '{"exp":%d,"org":"globex"'
                                           . ',"org":"acme"}', time + 60)),
       undef, 'a claim given twice');
denied('/jwt', bearer($idp->token('HS256', {})), undef,
       'a token that names no organization');
denied('/jwt', bearer($good =~ s/.\z//r), undef, 'a signature cut off');

my %strict = (org => 'acme', iss => 'https://idp.example', aud => 'waha');

accepted('/strict', bearer($idp->token('HS256', \%strict)), 'acme',
         'issuer and audience as demanded');
accepted('/strict', bearer($idp->token('HS256', { %strict,
                                                  aud => [ 'x', 'waha' ] })),
         'acme', 'an audience of several');
denied('/strict', bearer($idp->token('HS256', { %strict, @$_ })), undef,
       "not: @$_[0] " . ($_->[1] // 'missing'))
    for [ iss => 'https://idp.example/' ], [ iss => undef ],
        [ aud => 'other' ], [ aud => undef ], [ aud => [] ];

accepted('/claim', bearer($idp->token('HS256',
             { 'https://example.com/tenant' => 'acme', org => 'globex' })),
         'acme', 'a claim of another name');
accepted('/claim', bearer($idp->token('HS256', { role => 'admin' })), '',
         'a claim makes an operator, who has no organization');
denied('/claim', bearer($idp->token('HS256', { role => 'user' })), undef,
       'another value of it does not');

accepted('/operator', bearer($idp->token('ES256', { sub => 'o' })), '',
         'a key that signs for operators');
denied('/operator', bearer($idp->token('RS256', { sub => 'o' })), undef,
       'another key does not');
accepted('/operator', bearer($idp->token('RS256', { org => 'acme' })),
         'acme', 'it signs for organizations');


# --- where tokens may stand --------------------------------------------------

# nginx itself refuses a second header, and tells it in its log

for ([ '/jwt', "Bearer $good", "Bearer $good" ],
     [ '/trusted', 'Basic x', 'Basic y' ])
{
    my ($path, @twice) = @$_;

    like(ask($path, { Authorization => \@twice, 'X-Test' => 'acme' })
         ->{status}, qr/^40[01]$/, "two headers: $path");
}

for my $arg (qw(access_token token api_key apikey x-api-key jwt Access_Token))
{
    denied("/jwt?x=1&$arg=$good&y=2", bearer($good), undef,
           "a token in the query: $arg");
}

denied('/jwt?token', bearer($good), undef, 'the name alone');
denied('/trusted?jwt=1', { 'X-Test' => 'acme' }, undef,
       'where no token is expected, too');
accepted('/jwt?tokens=1&my_token=2&=token&jwt.x=3&&', bearer($good), 'acme',
         'arguments whose names are others');


# --- API keys ----------------------------------------------------------------

my $key = $pg->api_key('acme');
my ($id, $secret) = $key =~ /^wak_(.{8})_(.{43})\z/;

accepted('/keys', bearer($key), 'acme', 'an API key');
accepted('/keys', bearer($pg->api_key('acme', 'read')), 'acme',
         'one that may only read');
accepted('/keys', bearer($pg->operator_key), '', "an operator's");

denied('/keys', bearer("wak_${id}_" . reverse $secret),
       'the API key is unknown', 'a wrong secret');
denied('/keys', bearer("wak_00000000_$secret"), 'the API key is unknown',
       'a wrong id');

denied('/keys', bearer($_), 'the API key is malformed', "malformed: $_")
    for 'wak_', "wak_${id}_", "wak_${id}_${secret}x", "wak_${id}x${secret}",
        'wak_' . uc("${id}a") . "_$secret", "wak_${id}_" . '.' x 43,
        'wak_' . 'A' x 8 . "_$secret", "wak_${id}_" . '~' x 43;

denied('/keys', bearer("WAK_${id}_$secret"), 'the token is not an API key',
       'the prefix in upper case');
denied('/keys', bearer($good), 'the token is not an API key',
       'a JWT where there are only keys');
denied('/jwt', bearer($key), undef, 'a key where there are only JWTs');

my $short = $pg->api_key('globex', undef, 3600);
accepted('/keys', bearer($short), 'globex', 'one that ends in an hour');
$pg->psql("update waha.api_keys set expires_at = now() - interval '1 second'"
          . " where organization_slug = 'globex'");
wait_for(sub { ask('/keys', bearer($short))->{status} == 401 }, 5);
denied('/keys', bearer($short), 'the API key is unknown', 'it has ended');


# --- what nginx has found out ------------------------------------------------

accepted('/trusted', { 'X-Test' => 'acme' }, 'acme', 'a variable');
accepted('/trusted', { 'X-Test' => $id{acme} }, 'acme', 'by its id');
accepted('/trusted', { 'X-Test' => 'acme', %{ bearer('x') } }, 'acme',
         'a token is nothing where none is configured');
denied('/trusted', {}, 'is empty', 'an empty variable');
denied('/trusted', { 'X-Test' => $_ }, 'the organization is unknown',
       "no organization: $_")
    for 'initech', '0', "\xff", "\xf8\x90\x80\x80", 'y' x 300;

accepted('/keys', bearer($key), 'acme', 'a key that is remembered');
denied('/trusted', { 'X-Test' => $key }, 'the organization is unknown',
       'is not the name of an organization');

accepted('/any', { 'X-Test' => 'globex' }, 'globex', 'no token: the variable');
accepted('/any', { 'X-Test' => 'globex', Authorization => 'Basic x' },
         'globex', 'a header of another scheme: the variable');
accepted('/any', { 'X-Test' => 'globex', %{ bearer($key) } }, 'acme',
         'a key counts more than the variable');
accepted('/any', { 'X-Test' => 'globex', %{ bearer($good) } }, 'acme',
         'and so does a JWT');
denied('/any', { 'X-Test' => 'globex', %{ bearer("${good}x") } }, undef,
       'a wrong token is not made good by the variable');
denied('/any', { 'X-Test' => 'globex', Authorization => 'Bearer' },
       'the token is malformed', 'nor is a missing one');


# --- what is told ------------------------------------------------------------

my $r = ask('/jwt', {});
like($r->{headers}{'www-authenticate'}, qr/^Bearer realm=/,
     'an answer with 401 asks for a token');
unlike($r->{headers}{'content-type'}, qr/json/, "the page is nginx's own");

my $log = $nginx->log('auth.log');
like($log, qr{^/jwt 200 org=acme action=-$}m, 'the log tells who called');
like($log, qr{^/jwt 401 org=- action=unauthorized$}m, 'and who was refused');

my $errors = $nginx->error_log =~ s/^.*duplicate header line.*\n//gmr;
unlike($errors, qr/\Q$_\E/, 'no token is in the error log')
    for $secret, $good =~ /([^.]+)\z/, $good =~ /^[^.]+\.(.{20})/;
like($errors, qr/a token in the query is refused, client: 127\.0\.0\.1/,
     'a token in the query is told without it');


# --- without a database ------------------------------------------------------

my $unseen = $idp->token('HS256', { org => $id{globex} });
my $unseen_key = $pg->api_key('ünï cöde');

$pg->stop;

my %down = (
    'an API key' => [ '/keys', bearer($unseen_key) ],
    'a JWT' => [ '/jwt', bearer($unseen) ],
    'a variable' => [ '/trusted', { 'X-Test' => 'ünï cöde' } ],
);

for my $name (sort keys %down) {
    $r = ask(@{ $down{$name} });
    is($r->{status}, 503, "database stopped: $name is not refused");
    ok(!$r->{headers}{'www-authenticate'}, 'nobody is asked for a token');
}

denied('/jwt', bearer("${good}x"), undef,
       'database stopped: a wrong signature is wrong');
accepted('/operator', bearer($idp->token('ES256', {})), '',
         "database stopped: an operator's JWT needs none");

$pg->start;
wait_for(sub { ask('/keys', bearer($unseen_key))->{status} == 200 }, 10);
accepted($down{$_}[0], $down{$_}[1],
         { 'an API key' => 'ünï cöde', 'a JWT' => 'globex',
           'a variable' => 'ünï cöde' }->{$_}, "it is back: $_")
    for sort keys %down;

# --- a database that says what nobody understands ----------------------------

$pg->psql(<<'EOF_SQL');
create or replace function waha.find_organization(organization text)
returns waha.reply language sql security definer
set search_path = waha, pg_temp
as $$ select ('strange', null)::waha.reply $$
EOF_SQL

is(ask('/trusted', { 'X-Test' => 'hooli' })->{status}, 503,
   'a code that is unknown is a fault of the database');
like($nginx->error_log,
     qr/"find_organization" answers with the code "strange"/,
     'which the log tells');

$t->done;


sub ask {
    my ($path, $headers) = @_;

    return $http->get($path, $headers);
}


sub accepted {
    my ($path, $headers, $organization, $name) = @_;

    my $r = ask($path, $headers);
    is("$r->{status} $r->{body}", "200 [$organization]", $name);
}


# reason: words of the log, undef: any

sub denied {
    my ($path, $headers, $reason, $name) = @_;

    my $length = length $nginx->error_log;
    my $r = ask($path, $headers);
    my $log = substr $nginx->error_log, $length;

    $reason = defined $reason ? quotemeta $reason : 'refused';

    ok($r->{status} == 401 && $log =~ /waha: .*$reason/, $name)
        or diag("$r->{status} $log");
}
