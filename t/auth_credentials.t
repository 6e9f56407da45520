# The credentials that "waha_auth" accepts: tokens of an identity provider, API
# keys, and an organization that nginx itself has found.

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

    waha_database "%%DSN%%" timeout=5s;
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
         "a token signed with $_ is accepted")
    for @algs;

my $good = $idp->token('HS256', { org => 'acme' });

accepted('/jwt', { Authorization => "$_ $good" }, 'acme',
         "the scheme \"$_\" is accepted")
    for qw(bearer BEARER bEaReR), 'Bearer  ';

accepted('/jwt', bearer($idp->token('HS256', { org => $id{acme} })), 'acme',
         'the organization may be named by its id');
accepted('/jwt', bearer($idp->token('HS256', { org => 'globex' })), 'globex',
         'an organization with WhatsApp switched off is accepted');
accepted('/jwt', bearer($idp->token('HS256', { org => "\x{fc}n\x{ef} "
                                               . "c\x{f6}de" })),
         'ünï cöde', 'an organization with a slug beyond ASCII is accepted');

denied('/jwt', bearer($idp->token('HS256', { org => $_ })),
       'the organization is unknown',
       "a token for \"$_\", which is no organization")
    for 'initech', 'Acme', '99999', 'acme ', "acme' or '1'='1", 'x' x 255;
denied('/jwt', bearer($idp->token('HS256', { org => $_ })), undef,
       'a token with an organization that is no name')
    for "ac\nme", 'x' x 256, '', { slug => 'acme' };

denied('/jwt', {}, 'no bearer token', 'no credentials');
denied('/jwt', { Authorization => 'Basic YTpi' }, 'no bearer token',
       'credentials of another scheme');
denied('/jwt', { Authorization => "Bearer$good" }, 'no bearer token',
       'a scheme that only begins with "Bearer"');
denied('/jwt', { Authorization => $good }, 'no bearer token',
       'a token without a scheme');

denied('/jwt', { Authorization => $_->[0] }, 'the token is malformed',
       "malformed token: $_->[1]")
    for [ 'Bearer', 'nothing' ], [ "Bearer $good x", 'two words' ],
        [ "Bearer \"$good\"", 'in quotes' ], [ "Bearer $good,", 'a comma' ],
        [ "Bearer =$good", 'padding before' ], [ "Bearer ==", 'only padding' ],
        [ "Bearer $good\xff", 'not ASCII' ],
        [ "Bearer $good\tx", 'a tab' ];

denied('/jwt', bearer('x' x 8193), 'the token is too long',
       'a token of more than 8 KB');

denied('/jwt', bearer($idp->token('none', { org => 'acme' },
                                  sign => sub { '' })),
       undef, 'a token with the algorithm "none"');
denied('/jwt', bearer($idp->token('HS256', { org => 'acme' },
    sign => sub { hmac_sha256($_[0], slurp($file{RS256})) })),
    'signature does not match',
       'the public key of RS256 used as the secret of HS256');
denied('/operator', bearer($idp->token('HS256', { org => 'acme' },
    sign => sub { hmac_sha256($_[0], slurp($file{RS256})) })),
    undef,
       'the public key of RS256 used as a secret where HS256 is not '
       . 'configured');
denied('/jwt', bearer($idp->token('HS256', { org => 'acme',
                                             exp => time - 120 })),
       undef, 'an expired token');
denied('/jwt', bearer($idp->token('HS256', { org => 'acme', exp => undef })),
       undef, 'a token without an expiry');
denied('/jwt', bearer($idp->token('HS256', { org => 'acme',
                                             nbf => time + 120 })),
       undef, 'a token that is not valid yet');
denied('/jwt', bearer($idp->token('HS256', sprintf '{"exp":%d,"org":"globex"'
                                           . ',"org":"acme"}', time + 60)),
       undef, 'a token with a claim given twice');
denied('/jwt', bearer($idp->token('HS256', {})), undef,
       'a token that names no organization');
denied('/jwt', bearer($good =~ s/.\z//r), undef,
       'a token whose signature is cut off');

my %strict = (org => 'acme', iss => 'https://idp.example', aud => 'waha');

accepted('/strict', bearer($idp->token('HS256', \%strict)), 'acme',
         'a token with the issuer and audience that are configured is '
         . 'accepted');
accepted('/strict', bearer($idp->token('HS256', { %strict,
                                                  aud => [ 'x', 'waha' ] })),
         'acme', 'an audience of several is accepted');
denied('/strict', bearer($idp->token('HS256', { %strict, @$_ })), undef,
       "not: @$_[0] " . ($_->[1] // 'missing'))
    for [ iss => 'https://idp.example/' ], [ iss => undef ],
        [ aud => 'other' ], [ aud => undef ], [ aud => [] ];

accepted('/claim', bearer($idp->token('HS256',
             { 'https://example.com/tenant' => 'acme', org => 'globex' })),
         'acme', 'the organization in another claim is accepted');
accepted('/claim', bearer($idp->token('HS256', { role => 'admin' })), '',
         'a claim of an operator is accepted, without an organization');
denied('/claim', bearer($idp->token('HS256', { role => 'user' })), undef,
       "another value of the operator's claim");

accepted('/operator', bearer($idp->token('ES256', { sub => 'o' })), '',
         "a token signed with the operators' key is accepted");
denied('/operator', bearer($idp->token('RS256', { sub => 'o' })), undef,
       'a token without an organization signed with another key');
accepted('/operator', bearer($idp->token('RS256', { org => 'acme' })),
         'acme',
         'a token with an organization signed with that key is accepted');


# --- where a token may stand -------------------------------------------------

# nginx itself refuses a second Authorization header, and logs it

for ([ '/jwt', "Bearer $good", "Bearer $good" ],
     [ '/trusted', 'Basic x', 'Basic y' ])
{
    my ($path, @twice) = @$_;

    like(ask($path, { Authorization => \@twice, 'X-Test' => 'acme' })
         ->{status}, qr/^40[01]$/,
         "two Authorization headers are refused: $path");
}

for my $arg (qw(access_token token api_key apikey x-api-key jwt Access_Token))
{
    denied("/jwt?x=1&$arg=$good&y=2", bearer($good), undef,
           "a token in the query: $arg");
}

denied('/jwt?token', bearer($good), undef,
       'an argument "token" without a value');
denied('/trusted?jwt=1', { 'X-Test' => 'acme' }, undef,
       'an argument "jwt" where no token is expected');
accepted('/jwt?tokens=1&my_token=2&=token&jwt.x=3&&', bearer($good), 'acme',
         "arguments that only resemble a token's are accepted");


# --- API keys ----------------------------------------------------------------

my $key = $pg->api_key('acme');
my ($id, $secret) = $key =~ /^wak_(.{8})_(.{43})\z/;

accepted('/keys', bearer($key), 'acme', 'an API key is accepted');
accepted('/keys', bearer($pg->api_key('acme', 'read')), 'acme',
         'an API key that may only read is accepted');
accepted('/keys', bearer($pg->operator_key), '',
         "an operator's key is accepted");

denied('/keys', bearer("wak_${id}_" . reverse $secret),
       'the API key is unknown', 'an API key with a wrong secret');
denied('/keys', bearer("wak_00000000_$secret"), 'the API key is unknown',
       'an API key with a wrong id');

denied('/keys', bearer($_), 'the API key is malformed',
       "malformed API key: $_")
    for 'wak_', "wak_${id}_", "wak_${id}_${secret}x", "wak_${id}x${secret}",
        'wak_' . uc("${id}a") . "_$secret", "wak_${id}_" . '.' x 43,
        'wak_' . 'A' x 8 . "_$secret", "wak_${id}_" . '~' x 43;

denied('/keys', bearer("WAK_${id}_$secret"), 'the token is not an API key',
       'an API key with its prefix in capitals');
denied('/keys', bearer($good), 'the token is not an API key',
       'a JWT where only API keys are configured');
denied('/jwt', bearer($key), undef,
       'an API key where only JWTs are configured');

my $short = $pg->api_key('globex', undef, 3600);
accepted('/keys', bearer($short), 'globex',
         'an API key that expires in an hour is accepted');
$pg->psql("update waha.api_keys set expires_at = now() - interval '1 second'"
          . " where organization_slug = 'globex'");
wait_for(sub { ask('/keys', bearer($short))->{status} == 401 }, 60);
denied('/keys', bearer($short), 'the API key is unknown',
       'an API key that has expired');


# --- an organization that nginx has found ------------------------------------

accepted('/trusted', { 'X-Test' => 'acme' }, 'acme',
         'an organization in the variable is accepted');
accepted('/trusted', { 'X-Test' => $id{acme} }, 'acme',
         'an id in the variable is accepted');
accepted('/trusted', { 'X-Test' => 'acme', %{ bearer('x') } }, 'acme',
         'a token is ignored where none is configured');
denied('/trusted', {}, 'is empty', 'an empty variable');
denied('/trusted', { 'X-Test' => $_ }, 'the organization is unknown',
       "a variable with \"$_\", which is no organization")
    for 'initech', '0', "\xff", "\xf8\x90\x80\x80", 'y' x 300;

accepted('/keys', bearer($key), 'acme',
         'an API key is accepted, and so known to the worker');
denied('/trusted', { 'X-Test' => $key }, 'the organization is unknown',
       'a variable that holds a known API key');

accepted('/any', { 'X-Test' => 'globex' }, 'globex',
         'without a token the variable counts');
accepted('/any', { 'X-Test' => 'globex', Authorization => 'Basic x' },
         'globex', 'with another scheme the variable counts');
accepted('/any', { 'X-Test' => 'globex', %{ bearer($key) } }, 'acme',
         'an API key counts more than the variable');
accepted('/any', { 'X-Test' => 'globex', %{ bearer($good) } }, 'acme',
         'a JWT counts more than the variable');
denied('/any', { 'X-Test' => 'globex', %{ bearer("${good}x") } }, undef,
       'a wrong token is not replaced by the variable');
denied('/any', { 'X-Test' => 'globex', Authorization => 'Bearer' },
       'the token is malformed',
       '"Bearer" without a token is not replaced by the variable');


# --- what clients and logs see -----------------------------------------------

my $r = ask('/jwt', {});
like($r->{headers}{'www-authenticate'}, qr/^Bearer realm=/,
     'a 401 names the scheme "Bearer"');
unlike($r->{headers}{'content-type'}, qr/json/,
       "the page of the 401 is nginx's own");

my $log = $nginx->log('auth.log');
like($log, qr{^/jwt 200 org=acme action=-$}m,
     'the access log has the organization of a caller');
like($log, qr{^/jwt 401 org=- action=unauthorized$}m,
     'the access log has the refusal');

my $errors = $nginx->error_log =~ s/^.*duplicate header line.*\n//gmr;
unlike($errors, qr/\Q$_\E/, 'no token and no key is in the error log')
    for $secret, $good =~ /([^.]+)\z/, $good =~ /^[^.]+\.(.{20})/;
like($errors, qr/a token in the query is refused, client: 127\.0\.0\.1/,
     'a token in the query is logged without the token');


# --- while PostgreSQL is stopped ---------------------------------------------

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
    is($r->{status}, 503, "PostgreSQL stopped: $name gives 503, not 401");
    ok(!$r->{headers}{'www-authenticate'},
       'PostgreSQL stopped: the 503 does not ask for credentials');
}

denied('/jwt', bearer("${good}x"), undef,
       'PostgreSQL stopped: a wrong signature');
accepted('/operator', bearer($idp->token('ES256', {})), '',
         "PostgreSQL stopped: an operator's JWT needs no database");

$pg->start;
wait_for(sub { ask('/keys', bearer($unseen_key))->{status} == 200 }, 60);
accepted($down{$_}[0], $down{$_}[1],
         { 'an API key' => 'ünï cöde', 'a JWT' => 'globex',
           'a variable' => 'ünï cöde' }->{$_},
         "PostgreSQL started again: accepted by $_")
    for sort keys %down;

# --- a function of the database that answers with an unknown code ------------

$pg->psql(<<'EOF_SQL');
create or replace function waha.find_organization(organization text)
returns waha.reply language sql security definer
set search_path = waha, pg_temp
as $$ select ('strange', null)::waha.reply $$
EOF_SQL

is(ask('/trusted', { 'X-Test' => 'hooli' })->{status}, 503,
   'an unknown code of the database gives 503');
like($nginx->error_log,
     qr/"find_organization" answers with the code "strange"/,
     'an unknown code of the database is logged');

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


# reason: words that the log must have (undef: any)

sub denied {
    my ($path, $headers, $reason, $name) = @_;

    my $length = length $nginx->error_log;
    my $r = ask($path, $headers);
    my $log = substr $nginx->error_log, $length;

    $reason = defined $reason ? quotemeta $reason : 'refused';

    ok($r->{status} == 401 && $log =~ /waha: .*$reason/, $name)
        or diag("$r->{status} $log");
}
