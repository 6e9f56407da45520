# "waha_auth" together with the rest of nginx: files, proxies, redirects, other
# ways to allow and deny, subrequests, and mistakes in nginx.conf.

use Waha::Test;
use Waha::Conf;
use Waha::Token;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $idp = Waha::Token->new($t->dir);

$pg->organization('acme');
$pg->organization('globex');
my $token = $idp->token('HS256', { org => 'acme' });
my $file = $idp->file('HS256');
my $right = bearer($token);
my $wrong = bearer("${token}x");

my $nginx = $t->nginx(conf => <<"EOF_CONF");
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    log_format auth '\$uri \$status org=\$waha_organization';
    access_log %%DIR%%/auth.log auth;

    waha_database "%%DSN%%" timeout=5s;
    waha_auth_limit off;
    waha_jwt_key HS256 $file;
    recursive_error_pages on;
    client_max_body_size 4m;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        location = /open {
            return 200 'open';
        }

        location /files/ {
            waha_auth on;
        }

        location /try/ {
            waha_auth on;
            try_files \$uri \@fallback;
        }

        location \@fallback {
            waha_auth on;
            proxy_set_header X-Organization \$waha_organization;
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }

        location /page/ {
            waha_auth on;
            error_page 401 /files/denied.html;
        }

        location /login/ {
            waha_auth on;
            error_page 401 = /open;
        }

        location /named/ {
            waha_auth on;
            error_page 401 \@login;
        }

        location \@login {
            return 302 /sign-in;
        }

        location /retry/ {
            waha_auth on;
            error_page 502 503 = \@later;
            proxy_pass http://127.0.0.1:%%PORT3%%;
        }

        location \@later {
            waha_auth on;
            return 200 'later';
        }

        location /asked/ {
            auth_request /ask;
            auth_request_set \$found \$upstream_http_x_found;
            waha_auth on;
            waha_organization \$found;
            add_header X-Organization \$waha_organization always;
        }

        location = /ask {
            internal;
            waha_auth on;
            proxy_set_header X-Want \$http_x_want;
            proxy_pass http://127.0.0.1:%%PORT2%%/found;
        }

        location /either/ {
            satisfy any;
            allow 127.0.0.9;
            deny all;
            waha_auth on;
        }

        location /both/ {
            allow 127.0.0.1;
            deny all;
            waha_auth on;
        }

        location /asker/ {
            auth_request /guard;
            try_files /files/a.html =404;
        }

        location = /guard {
            waha_auth on;
            proxy_set_header Authorization \$http_authorization;
            proxy_pass http://127.0.0.1:%%PORT%%/files/a.html;
        }

        location /ssi/ {
            waha_auth on;
            ssi on;
        }

        location /protected/ {
            internal;
            waha_auth on;
        }

        location /accel/ {
            proxy_pass http://127.0.0.1:%%PORT2%%/accel/;
        }

        location /upload {
            waha_auth on;
            proxy_pass http://127.0.0.1:%%PORT2%%;
        }

        location = /rewritten {
            rewrite ^ /files/a.html;
        }

        location /off/ {
            waha_auth on;

            location /off/free/ {
                waha_auth off;
            }
        }
    }

    server {
        listen 127.0.0.1:%%PORT2%%;

        location / {
            return 200 "[\$http_x_organization]";
        }

        location = /found {
            add_header X-Found \$http_x_want;
            return 204;
        }

        location /accel/ {
            add_header X-Accel-Redirect /protected/a.html;
            return 200;
        }
    }
}
EOF_CONF

my $html = "$nginx->{dir}/html";
mkdir $_ for $html, map { "$html/$_" } qw(files try page login asked either
    both ssi protected off off/free);
$nginx->write("html/$_/a.html", "$_") for qw(files try page asked either both
    protected off off/free);
$nginx->write('html/files/index.html', 'index');
$nginx->write('html/files/denied.html', 'denied');
$nginx->write('html/ssi/a.html', '<!--#include virtual="/files/a.html" -->'
              . '<!--#include virtual="/open" -->');

$t->start;

my $http = $t->http;


# --- files -------------------------------------------------------------------

is_answer('/files/a.html', $right, '200 files', 'a file with a right token');
is_answer('/files/a.html', $wrong, '401', 'a file with a wrong token');
is_answer('/files/', $right, '200 index',
          'a directory, which is redirected to its index');
is_answer('/files/', {}, '401', 'a directory without a token');
is_answer('/files/none.html', $right, '404', 'a file that does not exist');
is_answer('/files/none.html', {}, '401',
          'a file that does not exist, without a token');
is_answer('/open', {}, '200 open', 'a location without waha_auth');
is_answer('/off/a.html', {}, '401', 'a location with waha_auth');
is_answer('/off/free/a.html', {}, '200 off/free',
          '"waha_auth off" within a location with waha_auth');

is_answer('/try/a.html', $right, '200 try', 'try_files: a file');
is_answer('/try/b.html', $right, '200 [acme]',
          'try_files: the named location knows the organization');
is_answer('/try/b.html', {}, '401',
          'try_files: the named location without a token');
is_answer('/rewritten', $right, '200 files', 'a rewrite');
is_answer('/rewritten', {}, '401', 'a rewrite without a token');

is($http->request('HEAD', '/files/a.html', $_->[0])->{status}, $_->[1],
   "HEAD of a file: $_->[1]")
    for [ $right, 200 ], [ {}, 401 ];

my $r = $http->post('/upload', $wrong, 'x' x 3_000_000);
is($r->{status}, 401, 'a body of 3 MB with a wrong token');
is($http->post('/upload', $right, 'x' x 3_000_000)->{status}, 200,
   'a body of 3 MB with a right token, on the same connection');


# --- error pages -------------------------------------------------------------

is_answer('/page/a.html', $right, '200 page', 'a location with an error page');
is_answer('/page/a.html', {}, '401',
          'an error page that needs a token itself does not loop');

$r = $http->get('/page/a.html');
is($r->{headers}{'www-authenticate'} =~ tr/B//, 1,
   'a 401 with an error page has one WWW-Authenticate');

is_answer('/login/a.html', {}, '200 open', 'an error page without waha_auth');
$r = $http->get('/named/', {});
is($r->{status}, 302,
   'an error page in a named location that redirects to a login');
is_answer('/retry/', $right, '200 later',
          "another error's page in a named location with waha_auth");
is_answer('/retry/', {}, '401', 'that named location without a token');


# --- other modules that allow and deny ---------------------------------------

for my $name (qw(acme globex)) {
    $r = $http->get('/asked/a.html', { 'X-Want' => $name });
    is("$r->{status} $r->{headers}{'x-organization'}", "200 $name",
       "a variable of auth_request: $name");
}

is_answer('/asked/a.html', {}, '401',
          'a variable that auth_request did not set');
is_answer('/asked/a.html', { 'X-Want' => 'umbrella' }, '401',
          'a variable of auth_request that is no organization');

is_answer('/either/a.html', $right, '200 either', 'satisfy any: a token');
is_answer('/either/a.html', {}, '401',
          'satisfy any: neither a token nor an address');

my $other = $t->http(from => '127.0.0.9');
is($other->get('/either/a.html')->{status}, 200, 'satisfy any: an address');
is($other->get('/both/a.html', $right)->{status}, 403,
   'satisfy all: a token without an address');
is_answer('/both/a.html', $right, '200 both',
          'satisfy all: a token and an address');
is_answer('/both/a.html', {}, '401',
          'satisfy all: an address without a token');

is_answer('/asker/', $right, '200 files',
          'auth_request to a location with waha_auth: a right token');
is_answer('/asker/', $wrong, '401',
          'auth_request to a location with waha_auth: a wrong token');


# --- subrequests -------------------------------------------------------------

is_answer('/ssi/a.html', $right, '200 filesopen',
          'SSI includes of an allowed page are allowed');
is_answer('/ssi/a.html', {}, '401', 'a page with SSI without a token');
is_answer('/protected/a.html', $right, '404',
          'an internal location with waha_auth is closed to clients');
is_answer('/accel/x', $right, '200 protected',
          'X-Accel-Redirect to an internal location with a token');
is_answer('/accel/x', {}, '401',
          'X-Accel-Redirect to an internal location without a token');

my $log = $nginx->log('auth.log');
like($log, qr{^/files/a\.html 200 org=acme$}m,
     'the access log has the organization of a caller');
like($log, qr{^/files/index\.html 200 org=acme$}m,
     'the access log has the organization after an internal redirect');
like($log, qr{^/files/a\.html 401 org=-$}m,
     'the access log has no organization of a refused caller');


# --- clients that leave, and a database that does not answer -----------------

$pg->organization('initech');
my $lock = $pg->session;
$lock->query('begin; lock table waha.organizations');

my $unseen = bearer($idp->token('HS256', { org => 'initech' }));
my $gone = $t->http;
$gone->connect;
$gone->send($gone->format('GET', '/files/a.html', $unseen));
wait_for(sub { $pg->blocked }, 60);
$gone->reset;

is($t->http->get('/files/a.html', $unseen)->{status}, 503,
   'a caller who cannot be checked in time gets 503');
$lock->query('rollback');
$lock->close;
wait_for(sub { $http->get('/files/a.html', $unseen)->{status} == 200 }, 60);
is_answer('/files/a.html', $unseen, '200 files',
          'the caller is accepted when PostgreSQL answers again');


# --- mistakes ----------------------------------------------------------------

my $conf = Waha::Conf->new($t);
my $database = 'waha_database "host=127.0.0.1 user=waha_gateway";';
my $key = "waha_jwt_key HS256 $file;";
my $variables = 'set $other $ssl_client_s_dn; set $a x; set $b x;';

$conf->accepted("waha_auth_limit: \"$_\"", "$database $_", '',
                'waha_auth on; waha_api_keys on;')
    for '', 'waha_auth_limit off;', 'waha_auth_limit 1r/m;',
        'waha_auth_limit 10000r/s;';

$conf->accepted("waha_organization $_", $database, $variables,
                "waha_auth on; waha_organization $_;")
    for '$ssl_client_s_dn', '$remote_user', '$other';

$conf->accepted('waha_auth in a server whose locations have the keys',
                $database,
                'waha_auth on; location /open { waha_auth off; }', $key);

$conf->refused('waha_auth without any way to prove who calls',
               qr/nothing that tells who calls/,
               $database, '', 'waha_auth on;');
$conf->refused('waha_auth with "waha_api_keys off" alone',
               qr/nothing that tells who calls/,
               $database, '', 'waha_auth on; waha_api_keys off;');
$conf->refused('waha_auth without a database',
               qr/"waha_auth" needs "waha_database"/,
               '', '', "waha_auth on; $key");
$conf->refused('waha_auth for a webhook', qr/WAHA has no token/,
               $database, '', "waha_auth on; $key waha_webhook;"
                              . ' waha_hmac_key %%KEY%%;');

$conf->refused("waha_organization $_, which the client sets",
               qr/is what the client says/,
               $database, '', "waha_auth on; waha_organization $_;")
    for qw($http_x $arg_x $cookie_x $args $uri $host $HTTP_X $request_uri
           $query_string $request_body $content_type $request_filename
           $ssl_server_name $proxy_add_x_forwarded_for);
$conf->refused('waha_organization without a variable',
               qr/invalid variable name "org"/,
               $database, '', 'waha_auth on; waha_organization org;');
$conf->refused('waha_organization twice',
               qr/is duplicate/, $database, $variables,
               'waha_auth on; waha_organization $a; waha_organization $b;');

$conf->refused("waha_auth_limit $_",
               qr/invalid rate .*can only be "off" or as "10r\/m"/,
               "$database waha_auth_limit $_;", '', "waha_auth on; $key")
    for qw(10 0r/m -1r/m 10r/h r/m 10001r/s 1.5r/s on 10r/mm);
$conf->refused('waha_auth_limit twice', qr/is duplicate/,
               "$database waha_auth_limit off; waha_auth_limit 1r/s;", '',
               "waha_auth on; $key");
$conf->refused('waha_auth_limit in a location',
               qr/not allowed here/, $database, '',
               "waha_auth on; $key waha_auth_limit off;");

$conf->refused('waha_jwt_key with another algorithm',
               qr/HS256, RS256, ES256 or EdDSA/,
               $database, '', "waha_auth on; waha_jwt_key HS512 $file;");
$conf->refused('waha_jwt_key with a file that does not exist',
               qr/No such file/,
               $database, '', 'waha_auth on; waha_jwt_key HS256 none.key;');
$conf->refused('waha_jwt_key with an unknown parameter',
               qr/"kid=<id>".* or "role=operator"/,
               $database, '',
               "waha_auth on; waha_jwt_key HS256 $file role=admin;");
$conf->refused('waha_jwt_key with a key id that no token may have',
               qr/invalid key id "a b"/,
               $database, '',
               "waha_auth on; waha_jwt_key HS256 $file 'kid=a b';");
$conf->refused('waha_jwt_claim without a value', qr/"<claim>=<value>"/,
               $database, '',
               "waha_auth on; $key waha_jwt_claim role role=operator;");
$conf->refused('waha_jwt_claim twice', qr/is duplicate/, $database, '',
               "waha_auth on; $key waha_jwt_claim a; waha_jwt_claim b;");

$t->done;


sub is_answer {
    my ($path, $headers, $expected, $name) = @_;

    my $r = $http->get($path, $headers);
    my $body = $r->{status} == 200 ? " $r->{body}" : '';

    is("$r->{status}$body", $expected, $name);
}
