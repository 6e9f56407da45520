# Connections to PostgreSQL over TLS and over its unix socket.

use Waha::Test;
use Waha::Token qw(openssl);

use IO::Socket::INET ();

my $t = Waha::Test->new;
my $dir = $t->dir;
my $pg = certified();
my $port = $pg->port;

$pg->organization('acme', session => 't1');


taken('verify-full with the right authority',
      "host=localhost sslmode=verify-full sslrootcert=$dir/ca.pem");

is($pg->value(<<'EOF_SQL'), 't', 'all connections are encrypted');
select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid)
 where application_name = 'nginx-waha'
EOF_SQL

taken('sslrootcert relative to nginx.conf',
      'host=localhost sslmode=verify-full sslrootcert=../ca.pem');

taken('a connection URI with sslmode',
      undef, "postgresql://waha_gateway\@localhost:$port/crm"
             . "?sslmode=verify-full&sslrootcert=$dir/ca.pem");

taken('verify-ca, which ignores the host name',
      "host=127.0.0.1 sslmode=verify-ca sslrootcert=$dir/ca.pem");

not_taken('verify-full with another host name',
          qr/does not match host name "127\.0\.0\.1"/,
          "host=127.0.0.1 sslmode=verify-full sslrootcert=$dir/ca.pem");

not_taken('verify-full with another authority', qr/certificate verify failed/,
          "host=localhost sslmode=verify-full sslrootcert=$dir/other.pem");

# errors that libpq leaves in OpenSSL must not reach nginx's own TLS

is(https(), 503, 'nginx answers over TLS after libpq failed with TLS');

not_taken('sslmode=disable where the server demands TLS',
          qr/28000: no pg_hba\.conf entry/,
          'host=localhost sslmode=disable');

taken('the unix socket', 'host=' . $pg->socket_dir);

is($pg->value(<<'EOF_SQL'), 't', 'the connection is over the unix socket');
select bool_and(client_addr is null) from pg_stat_activity
 where application_name = 'nginx-waha'
EOF_SQL

# another machine: this one by its address in the network

SKIP: {
    my $address = other_address() or last SKIP;
    my $hba = slurp("$pg->{data}/pg_hba.conf");

    # a server that asks for the password in cleartext

    spew("$pg->{data}/pg_hba.conf", "local all all trust\n"
         . "hostssl all all $address/32 password\n");
    $pg->psql("alter role waha_gateway password 'secret';
               select pg_reload_conf()");

    my $login = "host=$address password=secret";
    my $root = "sslrootcert=$dir/ca.pem";

    like(tested($login), qr/\[emerg\] "$address" in .* is another machine.*sslrootcert=/,
         'another machine needs an authority by default');

    not_taken('another machine, by default',
              qr/does not match host name "$address"/, "$login $root");
    not_taken('another machine, sslmode=require',
              qr/channel binding required/, "$login sslmode=require");

    for ("sslmode=require channel_binding=prefer", 'sslmode=disable') {
        like(tested("$login $_"), qr/\[warn\] "sslmode=\w+".* use "sslmode=verify-full/,
             "a warning of $_");
    }

    unlike(tested("$login $_"), qr/\[(?:warn|emerg)\]/, "no warning of $_")
        for "sslmode=require channel_binding=require", 'sslmode=require',
            $root, "sslmode=verify-ca $root";

    # that one does, who asks for it

    taken('another machine, with the risk taken',
          "$login sslmode=require channel_binding=prefer");

    # a server that knows the password proves it

    spew("$pg->{data}/pg_hba.conf", "local all all trust\n"
         . "hostssl all all $address/32 scram-sha-256\n");
    $pg->psql('select pg_reload_conf()');
    taken('another machine, sslmode=require and SCRAM',
          "$login sslmode=require");

    spew("$pg->{data}/pg_hba.conf", $hba);
}

$pg->psql('alter system set ssl = off; select pg_reload_conf()');

not_taken('sslmode=require where the server has no TLS',
          qr/does not support SSL, but SSL was req/,
          'host=localhost sslmode=require');

$t->done;


sub certified {
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$_"
            . " -keyout $dir/$_.key -out $dir/$_.pem") for 'ca', 'other';
    openssl('req -newkey rsa:2048 -nodes -subj /CN=localhost'
            . " -keyout $dir/server.key -out $dir/server.csr");
    spew("$dir/server.ext", "subjectAltName=DNS:localhost\n");
    openssl("x509 -req -in $dir/server.csr -CA $dir/ca.pem"
            . " -CAkey $dir/ca.key -CAcreateserial -days 2"
            . " -extfile $dir/server.ext -out $dir/server.pem");

    my $pg = $t->postgres(install => 0, conf => "listen_addresses = '*'");

    system('install', '-m', '600', $pg->{user} ? ('-o', $pg->{user}) : (),
           "$dir/server.key", "$dir/server.pem", $pg->{data}) == 0
        or die 'install failed';

    spew("$pg->{data}/pg_hba.conf",
         "local all all trust\nhostssl all all 127.0.0.1/32 trust\n");
    $pg->psql("alter system set ssl_cert_file = 'server.pem';"
              . 'alter system set ssl = on; select pg_reload_conf()');
    $pg->install;

    return $pg;
}


# an address of this machine that is not a loopback one, if it has any

sub other_address {
    my $socket = IO::Socket::INET->new(Proto => 'udp',
                                       PeerAddr => '198.51.100.1:9') or return;
    my $address = $socket->sockhost;

    return $address =~ /^(?:127|0)\./ ? undef : $address;
}


# what "nginx -t" says

sub tested {
    my ($options) = @_;

    configure("$options port=$port dbname=crm user=waha_gateway");
    return ($t->nginx->test)[1];
}


sub serve {
    my ($options, $uri) = @_;

    $t->nginx->stop if @{ $t->{nginx} };

    configure($uri // "$options port=$port dbname=crm user=waha_gateway");
    $t->nginx->start;
}


sub configure {
    my ($uri) = @_;

    $t->nginx(vars => { DATABASE => $uri, DIR => $dir },
              conf => <<'EOF_CONF');
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DATABASE%%" timeout=1s;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT1%% ssl;

        ssl_certificate %%DIR%%/server.pem;
        ssl_certificate_key %%DIR%%/server.key;

        location = /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }
    }
}
EOF_CONF
}


sub taken {
    my ($name, @database) = @_;

    serve(@database);
    is($t->webhook($t->message)->{status}, 200, $name)
        or diag($t->error_log);
}


sub not_taken {
    my ($name, $pattern, @database) = @_;

    serve(@database);
    is($t->webhook($t->message)->{status}, 503, "$name: a message gives 503");
    like($t->error_log, $pattern, "$name: the log says why");
}


# a webhook by HTTPS, with curl, since core Perl has no TLS; its status

sub https {
    my $body = $t->message;
    my $headers = $t->headers($body);
    my $port = $t->port(1);

    spew("$dir/body", $body);

    my @headers = map { ('-H', "$_: $headers->{$_}") } keys %$headers;

    open my $curl, '-|', 'curl', '-s', '--cacert', "$dir/ca.pem", '-o',
        '/dev/null', '-w', '%{http_code}', @headers, '--data-binary',
        "\@$dir/body", "https://localhost:$port/api/whatsapp/webhook"
        or die "curl: $!";

    return scalar <$curl>;
}
