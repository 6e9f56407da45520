# The database's host name, which gets other addresses while nginx runs: two
# PostgreSQL servers with one port, each on an address of its own, and a name
# server.

use Waha::Test;
use Waha::Dns;
use Waha::Token qw(openssl);

my ($old, $new) = ('127.0.0.2', '127.0.0.3');

# nobody listens there
my $nobody = '127.0.0.4';

# the system knows this name, without asking anybody: it is 127.0.0.1
my $known = '127.1';

my $conf = <<'EOF_CONF';
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DATABASE%%" %%PARAMETERS%%;
    %%HTTP%%

    server {
        listen 127.0.0.1:%%PORT%%;
        %%SERVER%%

        location = /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }

        location = /ping {
            return 204;
        }
    }
}
EOF_CONF

my $t = Waha::Test->new;
my $dns = Waha::Dns->new;
my ($ca, $first, $second) = servers();
my $port = $first->port;
my $resolver = 'resolver 127.0.0.1:' . $dns->port . ' ipv6=off;';


# a name that the system does not know

like(tested(http => ''),
     qr/\[emerg\] host not found in "waha_database": "db\.test" in .*:\d+/,
     'without a resolver, an unknown name is refused');
like(tested(http => '', server => $resolver), qr/\[emerg\] host not found/,
     'the resolver of a server block is not for the database');

my $said = tested();
like($said, qr/\[warn\] host not found in "waha_database": "db\.test"/,
     'with a resolver, an unknown name gives a warning');
like($said, qr/test is successful/, 'and it is accepted');

like(tested(sslmode => undef), qr/\[emerg\] "db\.test" .* is another machine/,
     'a name that is not known yet needs an authority by default');

serve();
is($t->webhook($t->message)->{status}, 503,
   'a name that does not exist: a message gives 503');
logged('the log names it',
       qr/\[error\].*database db\.test: the name could not be resolved \(3/);
$dns->set('db.test', A => [ $old ]);
heals('the name becomes known');
is($first->messages, 1, 'the message is at its address');


# the name moves

$dns->set('db.test', A => [ $new ]);
$first->crash;
heals('the name has moved, the old address refuses');
cmp_ok($second->messages, '>=', 1, 'the message is at the new address');
like($t->error_log, qr/\[notice\].*db\.test:$port \($new\): a new address/,
     'the log names the new address');
like($t->error_log, qr/\[notice\].*db\.test:$port \($old\): no longer an/,
     'and the former one');

$first->start;
$dns->set('db.test', A => [ $old ]);
my $stored = $first->messages;
$second->freeze;
heals('the name has moved back, the other address hangs');
cmp_ok($first->messages, '>', $stored, 'the message is at the first address');
$second->thaw;

# connections that work are left alone, and all follow the first that breaks

$dns->set('db.test', A => [ $new ]);
is(taken(), 200, 'a message is taken while the name moves');
ok(wait_for(sub { $first->backends == 4 }), 'over the connections there are');
ok(wait_for(sub {
    kill 'TERM', ($first->backends)[0] // ();
    return taken() == 200 && $second->backends == 4 && !$first->backends;
}), 'when one of them ends, all go to the new address');


# the resolver does not know

for ([ 'is silent', silent => 1 ], [ 'fails', rcode => 'SERVFAIL' ],
     [ 'refuses', rcode => 'REFUSED' ],
     [ 'says that there is no such name', rcode => 'NXDOMAIN' ],
     [ 'knows no address', A => [] ])
{
    my ($what, @answer) = @$_;

    $dns->set('db.test', @answer);
    ok(reconnects(), "a resolver that $what is asked");
    is(taken(), 200, "a resolver that $what: the last address is used");
}

logged('the log says so', qr/\[warn\].*db\.test: the name .* \(110: .*keeps/);

$dns->set('db.test', A => [ $old ]);
$stored = $first->messages;
ok(reconnects(), 'the resolver is asked again');
heals('a resolver that answers again');
cmp_ok($first->messages, '>', $stored, 'the new address is used');

# while it is silent, the worker serves others

serve(parameters => 'timeout=20s connect_timeout=8s', silent => 1);
my $waits = $t->send_webhook($t->message);
my $ping = $t->http->get('/ping');
is($ping->{status}, 204, 'a look-up that hangs: others are served');
cmp_ok($ping->{seconds}, '<', 6, 'and at once');
$dns->set('db.test', A => [ $old ]);
is($waits->answer->{status}, 200,
   'a message waits for the resolver, which is asked again');

serve(host => $known, silent => 1, parameters => 'timeout=10s');
is($t->webhook($t->message)->{status}, 503,
   'a name that the system knows, a silent resolver: its address is tried');
like($t->error_log, qr/\Q$known\E:$port \(127\.0\.0\.1\): .*refused/,
     'which is the one that the system knows');
$dns->set($known, A => [ $old ]);
heals('the resolver knows better');


# the time that an answer is valid

$dns->set('db.test', A => [ $old ], ttl => 3600);
serve();
is(taken(), 200, 'an answer that is valid for an hour');
my $asked = $dns->asked('db.test');
$first->terminate_backends;
is(taken(), 200, 'the connections are opened again');
is($dns->asked('db.test'), $asked, 'the resolver was not asked again');


# more and fewer addresses

$dns->set('db.test', A => [ $old ]);
serve();

for ([ $old ], [ $nobody, $old, $new ], [ $nobody, $new ], [ $new ],
     [ $nobody, $nobody, $old ], [ (map { "127.0.1.$_" } 1 .. 200), $old ],
     [ $old, $new ])
{
    my @addresses = @$_;

    $dns->set('db.test', A => \@addresses);
    ok(reconnects(), 'the resolver is asked');
    heals(scalar(@addresses) . ' addresses');
}

logged('there may be too many addresses', qr/32 of its 201 addresses are used/);

for my $n (1 .. 6) {
    $dns->set('db.test', A => [ $n % 2 ? $new : $old ]);
    ok(reconnects(), 'the name moves again and again');
    heals('a name that moves again and again');
}

my ($worker) = $t->worker_pids;
my $sockets = Waha::Process::descriptors($worker);
cmp_ok($sockets, '<', 40, 'the worker has closed what it does not use');

# IPv6 and IPv4

for ([ 'no IPv6', AAAA => [] ], [ 'IPv6 that refuses', AAAA => [ '::1' ] ]) {
    my ($what, @answer) = @$_;

    $dns->set('db.test', A => [ $old ], @answer);
    serve(http => $resolver =~ s/ipv6=off//r);
    heals($what);
}

$dns->set('six.test', AAAA => [ '::1' ]);
serve(http => $resolver =~ s/ipv6=off//r, host => "six.test,$old");
heals('a name with IPv6 only, and an address');


# several hosts

$dns->set('db.test', A => [ $old ]);
$dns->set('other.test', A => [ $new ]);

serve(host => "none.test,$nobody,db.test", port => "1,$port,$port");
heals('a name that does not exist, an address that refuses, a name');

serve(host => 'none.test,' . $first->socket_dir, port => $port);
heals('a name that does not exist and a socket');

serve(host => 'db.test,other.test');
heals('two names');
$first->crash;
heals('the second name, when the first refuses');
$first->start;

serve(host => 'db.test', hostaddr => $new);
$stored = $second->messages;
heals('a name with "hostaddr"');
cmp_ok($second->messages, '>', $stored, 'the address that was given is used');

serve(uri => "postgresql://waha_gateway\@db.test:$port/crm?sslmode=disable");
heals('a URI');
$dns->set('db.test', A => [ $new ]);
$first->crash;
heals('a URI whose name has moved');
$first->start;


# the certificate is verified by the name

$dns->set('db.test', A => [ $old ]);
serve(sslmode => undef, sslrootcert => $ca);
heals('verify-full, with a certificate for the name');
is($first->value(<<'EOF_SQL'), 't', 'all connections are encrypted');
select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid)
 where application_name = 'nginx-waha'
EOF_SQL

$dns->set('db.test', A => [ $new ]);
ok(reconnects(), 'the name moves to another server');
logged('an address whose certificate is for another name',
       qr/\($new\): .*"other\.test".* does not match host name "db\.test"/);
$stored = $second->messages;
ok(wait_for(sub {
    $_->terminate_backends for $first, $second;
    return taken() == 503;
}), 'a message is not taken');
is($second->messages, $stored, 'none is sent there');
$dns->set('db.test', A => [ $old ]);
heals('the name gets the right address');


# workers that leave while a look-up hangs

serve(silent => 1, parameters => 'connect_timeout=100s timeout=3s');
ok($t->reload, 'a reload while a look-up hangs');
ok(wait_for(sub { $t->nginx->worker_pids(all => 1) == 1 }, 60),
   'the old worker does not wait for it');

$waits = $t->send_webhook($t->message);
ok($t->reload, 'a reload while a message waits for a look-up');
is($waits->answer->{status}, 503, 'the message ends by its time');
ok(wait_for(sub { $t->nginx->worker_pids(all => 1) == 1 }),
   'the old worker leaves');

serve(silent => 1, parameters => 'timeout=20s connect_timeout=1s');
$waits = $t->send_webhook($t->message);
ok($t->reload, 'a reload while a message waits for a look-up');
$dns->set('db.test', A => [ $old ]);
is($waits->answer->{status}, 200,
   'the old worker looks up once more and stores it');

serve(silent => 1);
ok($t->nginx->stop('TERM'), 'nginx stops while a look-up hangs');

$t->done;


# the file of the authority; a server whose certificate is for db.test, and one
# for other.test

sub servers {
    my $dir = $t->dir;
    my $made = 'req -newkey rsa:2048 -nodes';
    my ($first, @servers);

    openssl("$made -x509 -days 2 -subj /CN=ca -keyout $dir/ca.key"
            . " -out $dir/ca.pem");

    for ([ $old, 'db.test' ], [ $new, 'other.test' ]) {
        my ($address, $name) = @$_;

        openssl("$made -subj /CN=$name -keyout $dir/$name.key"
                . " -out $dir/$name.csr");
        spew("$dir/$name.ext", "subjectAltName=DNS:$name\n");
        openssl("x509 -req -in $dir/$name.csr -CA $dir/ca.pem"
                . " -CAkey $dir/ca.key -CAcreateserial -days 2"
                . " -extfile $dir/$name.ext -out $dir/$name.pem");

        my $pg = $t->postgres(port => @servers ? $servers[0]->port : undef,
                              conf => "listen_addresses = '$address'");

        system('install', '-m', '600', $pg->{user} ? ('-o', $pg->{user}) : (),
               "$dir/$name.key", "$dir/$name.pem", $pg->{data}) == 0
            or die 'install failed';

        $pg->psql("alter system set ssl_cert_file = '$name.pem';"
                  . "alter system set ssl_key_file = '$name.key';"
                  . 'alter system set ssl = on; select pg_reload_conf()');
        $pg->organization('acme', session => 't1');
        push @servers, $pg;
    }

    return ("$dir/ca.pem", @servers);
}


# what "nginx -t" says

sub tested {
    configure(@_);
    return ($t->nginx->test)[1];
}


# starts nginx; silent: when it waits for a name server that is silent

sub serve {
    my (%o) = @_;

    my $name = $o{host} // 'db.test';

    $dns->set($name, silent => 1) if $o{silent};
    my $asked = $dns->asked($name);

    $t->nginx->stop if @{ $t->{nginx} };
    configure(%o);
    $t->nginx->start;

    if ($o{silent}) {
        wait_for(sub { $dns->asked($name) > $asked })
            or die 'the name server is not asked';
    }
}


sub configure {
    my (%o) = @_;

    my %c = (host => 'db.test', port => $port, dbname => 'crm',
             user => 'waha_gateway', sslmode => 'disable',
             map { $_ => $o{$_} }
             grep { exists $o{$_} } qw(host hostaddr port sslmode sslrootcert));
    my $database = $o{uri} // join ' ', map { "$_=$c{$_}" }
                                        grep { defined $c{$_} } sort keys %c;

    $t->nginx(conf => $conf, vars => {
        DATABASE => $database, HTTP => $o{http} // $resolver,
        SERVER => $o{server} // '',
        PARAMETERS => $o{parameters} // 'timeout=5s',
    });
}


sub taken { return $t->webhook($t->message)->{status} }


# ends all connections until the name server is asked; true if it was

sub reconnects {
    my $asked = $dns->asked('db.test');

    return wait_for(sub {
        $_->terminate_backends for $first, $second;
        taken();
        return $dns->asked('db.test') > $asked;
    });
}


sub heals {
    my ($what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(wait_for(sub { taken() == 200 }), "$what: messages are taken")
        or die $t->error_log;
}


sub logged {
    my ($what, $pattern) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(wait_for(sub { $t->error_log =~ $pattern }), $what)
        or diag($t->error_log);
}
