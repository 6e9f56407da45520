# "waha_organization": a variable that clients can choose is refused, when the
# configuration is read or, where only the request can tell, at the request.

use Waha::Conf;
use Waha::Test;
use Waha::Token qw(openssl);

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization($_) for 'acme', 'CN=acme';

my $dir = $t->dir;


# --- the configuration -------------------------------------------------------

my $conf = Waha::Conf->new($t);
my $database = 'waha_database "host=127.0.0.1 user=waha_gateway";';
my $location = 'waha_auth on; waha_organization';

my %set = (
    'set' => [ '', 'set $x acme;' ],
    'map' => [ 'map $remote_addr $x { default ""; 127.0.0.1 acme; }', '' ],
    'a map of a host name' => [ 'map $host $x { hostnames; default ""; }', '' ],
    'geo' => [ 'geo $x { default ""; 127.0.0.1/32 acme; }', '' ],
    'split_clients' => [ 'split_clients $remote_addr $x { * acme; }', '' ],
);

for my $name (sort keys %set) {
    $conf->accepted("a variable of $name", "$database $set{$name}[0]",
                    $set{$name}[1], "$location \$x;");
}

$conf->accepted("\$$_", $database, '', "$location \$$_;")
    for qw(ssl_client_s_dn ssl_client_fingerprint remote_user);

# in each case the client decides, or nobody does

$conf->refused("\$$_", qr/"\$$_" in "waha_organization" is what the client/,
               $database, '', "$location \$$_;")
    for qw(uid_got uid_set fastcgi_script_name fastcgi_path_info realpath_root
           document_root request_method request_id remote_addr remote_port
           server_name server_protocol hostname sent_http_x upstream_http_x
           cookie_x http_x arg_x Http_X is_args args query_string uri
           http_user_agent http_referer realip_remote_addr proxy_host
           ssl_server_name ssl_session_id ssl_protocol ssl_cipher
           limit_rate waha_organization waha_session waha_capture 1 unset);

$conf->refused('a name in a location', qr/"\$x" in "waha_organization" is what/,
               $database, "location ~ ^/(?<x>[^/]+)/ { $location \$x; }", '');
$conf->refused('a name in a server name',
               qr/"\$x" in "waha_organization" is what/, $database,
               'server_name "~^(?<x>[^.]+)\.example\.com$";', "$location \$x;");
$conf->refused('a name in a map', qr/"\$x" in "waha_organization" is what/,
               "$database map \$uri \$y { ~^/(?<x>.*) 1; }", '',
               "$location \$x;");
$conf->refused('a name that is set, too, in a location',
               qr/"\$x" in "waha_organization" is what/, $database,
               "set \$x acme; location ~ ^/(?<x>.+)/ { $location \$x; }", '');
$conf->refused('the place of the mistake', qr/in \S+nginx\.conf:\d+/,
               $database, '', "$location \$uri;");


# --- requests ----------------------------------------------------------------

# a certificate of our authority, and one that anybody can make

openssl("req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -days 2"
        . " -keyout $dir/ca.key -out $dir/ca.pem");
openssl("req -newkey rsa:2048 -nodes -subj /CN=acme -keyout $dir/good.key"
        . " -out $dir/good.csr");
openssl("x509 -req -in $dir/good.csr -CA $dir/ca.pem -CAkey $dir/ca.key"
        . " -CAcreateserial -days 2 -out $dir/good.pem");
openssl("req -x509 -newkey rsa:2048 -nodes -subj /CN=acme -days 2"
        . " -keyout $dir/forged.key -out $dir/forged.pem");

my $nginx = $t->nginx(conf => <<"EOF_CONF");
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    waha_auth on;

    server {
        listen 127.0.0.1:%%PORT2%% ssl;
        ssl_certificate $dir/ca.pem;
        ssl_certificate_key $dir/ca.key;
        ssl_client_certificate $dir/ca.pem;
        ssl_verify_client optional_no_ca;

        location / {
            waha_organization \$ssl_client_s_dn;
            try_files /ok =404;
            root %%DIR%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        waha_organization \$remote_user;
        root %%DIR%%;

        location /basic {
            try_files /ok =404;
            auth_basic crm;
            auth_basic_user_file users;
        }

        location /any {
            try_files /ok =404;
            auth_basic crm;
            auth_basic_user_file users;
            deny all;
            satisfy any;
        }

        location /off {
            try_files /ok =404;
            auth_basic off;
            auth_basic_user_file users;
        }

        location /no-users {
            try_files /ok =404;
            auth_basic crm;
        }

        location /plain {
            try_files /ok =404;
        }
    }
}
EOF_CONF

$nginx->write('ok', 'ok');
$nginx->write('users', "acme:{PLAIN}secret\n");
$nginx->start;

is(certified('good'), 200, 'a verified certificate names its organization');
is(certified('forged'), 401, 'one that nobody has verified does not');
is(certified(), 401, 'no certificate names none');
like($nginx->error_log, qr/the client certificate is not verified/,
     'the error log says why');

my %basic = (Authorization => 'Basic YWNtZTpzZWNyZXQ=');
my %wrong = (Authorization => 'Basic YWNtZTpndWVzcw==');

is(status('/basic', \%basic), 200, 'a user whom auth_basic has verified');
is(status('/basic', \%wrong), 401, 'a user with a wrong password');
is(status($_, \%wrong), 401, "$_: a user whom nothing has verified")
    for qw(/any /off /no-users /plain);
like($nginx->error_log, qr/"auth_basic" does not verify \$remote_user here/,
     'the error log says why');

$t->done;


sub status {
    my ($path, $headers) = @_;

    return $t->http->get($path, $headers)->{status};
}


# the status of a request with a client certificate

sub certified {
    my ($name) = @_;

    my $cert = $name ? "--cert $dir/$name.pem --key $dir/$name.key" : '';
    my $port = $t->port(2);

    return `curl -sk --max-time 60 -o /dev/null -w '%{http_code}' \\
                 $cert https://127.0.0.1:$port/`;
}
