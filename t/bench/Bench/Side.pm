package Bench::Side;

# The sides of the comparison.  Each is started afresh on its own copy of the
# database, warmed up, measured and stopped.

use strict;
use warnings;

use Bench::Machine qw(cpu_of);


# name; bench: the whole, with database, test, directories and lengths;
# variants: what to try before the rounds; seeded: the database to copy, if not
# "seeded"; floor: mode of floor.sql; idle: webhooks are answered, not stored;
# event: of all webhooks, if not "message"; readers: clients that read
# conversations from the API meanwhile; updates: of each notification, if Meta
# sends them and not WAHA; script: of pgbench

sub new {
    my ($class, %o) = @_;

    return bless { %o }, $class;
}


sub name { return $_[0]{name} }
sub variants { return @{ $_[0]{variants} } }
sub choose { my ($self, $variant) = @_; $self->{variant} = $variant }


# One measurement: seconds, rate (offered; none: as fast as it goes),
# database (one that is there, with its organizations and contacts; none: a
# fresh copy, and a checkpoint so that none falls into the measurement).

sub measure {
    my ($self, %o) = @_;

    my $database = $self->{bench}{database};
    my $name = $o{database} // 'measured';

    if (!$o{database}) {
        $database->copy($self->{seeded} // 'seeded', $name);
        $database->file($name, "$self->{bench}{source}/floor.sql",
                        mode => "'$self->{floor}'") if $self->{floor};
        $database->file($name, "$self->{bench}{source}/meta.sql",
                        organizations => $self->{bench}{organizations})
            if $self->{updates};
        $database->sql($name, 'checkpoint');
    }

    $self->start($name);

    my $result = eval { $self->run($name, %o) };
    my $error = $@;

    $self->stop;
    die $error if $error;

    return $result;
}


# CPU of the processes of this side other than PostgreSQL

sub cpu {
    my ($self) = @_;

    return cpu_of($self->{pid});
}


# what happened between two readings, for each webhook

sub per_webhook {
    my ($from, $to, $webhooks, %result) = @_;

    my $transactions = $to->{transactions} - $from->{transactions};

    die "deadlocks: $to->{deadlocks}\n" if $to->{deadlocks};

    return {
        %result,
        activities   => $to->{activities} - $from->{activities},
        batch        => $transactions ? $webhooks / $transactions : 0,
        cpu_postgres => ($to->{cpu} - $from->{cpu}) / $webhooks * 1e6,
    };
}


package Bench::Side::Service;

# a side that is an HTTP server

use strict;
use warnings;

use JSON::PP ();
use Socket ();

use Waha::Process qw(wait_for reap alive);

our @ISA = 'Bench::Side';

my $seed = 0;


sub run {
    my ($self, $name, %o) = @_;

    my $bench = $self->{bench};
    my $warm = $self->load($bench->{warm}, $o{rate}, %o);

    my $from = $bench->{database}->counters($name);
    my $cpu = $self->cpu;

    my $readers = $self->{readers} && $self->start_readers($o{seconds});
    my $load = $self->load($o{seconds}, $o{rate}, %o);
    my $read = $readers && report($readers);

    my $to = $bench->{database}->counters($name);
    $cpu = $self->cpu - $cpu;

    die "$self->{name}: no webhook was answered 200\n" if !$load->{ok};

    $self->{fastest} = $load->{rate}
        if !$o{rate} && $load->{rate} > ($self->{fastest} // 0);

    my $result = Bench::Side::per_webhook($from, $to, $load->{ok},
        rate     => $load->{rate},
        reads    => $read && $read->{rate},
        p50      => $load->{p50_us} / 1000,
        p99      => $load->{p99_us} / 1000,
        max      => $load->{max_us} / 1000,
        ok       => $load->{ok},
        refused  => $load->{sent} - $load->{ok},
        cpu_side => $cpu / $load->{ok} * 1e6,
        cpu_load => ($load->{cpu_user} + $load->{cpu_system})
                    / $load->{ok} * 1e6);

    die "$self->{name}: $load->{ok} webhooks were answered 200, but "
        . "$result->{activities} activities were committed\n"
        if ($self->{idle} ? 0 : $load->{ok} * ($self->{updates} // 1))
           != $result->{activities};

    return $result;
}


# the load generator's report

sub load {
    my ($self, $seconds, $rate, %o) = @_;

    my $bench = $self->{bench};
    my $expected = $rate // ($self->{fastest} ? 1.5 * $self->{fastest}
                                              : 40000);

    my @cmd = ($bench->{load}, '-a', "127.0.0.1:$self->{port}",
               '-k', "$bench->{dir}/key", '-t', $seconds, '-s', ++$seed,
               '-c', $bench->{connections},
               '-n', int(1.1 * $expected * $seconds)
                     + ($self->{updates} ? 10 : 1000),
               '-o', $o{organizations} // $bench->{organizations},
               '-m', $o{contacts} // $bench->{contacts},
               $bench->{strangers} ? ('-w', $bench->{strangers}) : (),
               $self->{event} ? ('-e', $self->{event}) : (),
               $self->{updates} ? ('-u', $self->{updates}) : (),
               $rate ? ('-r', int $rate) : ());

    open my $out, '-|', @cmd or die "$cmd[0]: $!\n";

    return report($out);
}


# clients of the API, each of which asks again when it was answered

sub start_readers {
    my ($self, $seconds) = @_;

    my @cmd = ($self->{bench}{load}, '-a', "127.0.0.1:$self->{port}",
               '-g', '/api/whatsapp/conversations?size=20',
               '-c', $self->{readers}, '-t', $seconds,
               '-n', 20000 * $seconds);

    open my $out, '-|', @cmd or die "$cmd[0]: $!\n";

    return $out;
}


sub report {
    my ($out) = @_;

    local $/;
    my $json = <$out>;
    close $out or die "the load generator failed\n";

    return JSON::PP::decode_json($json);
}


sub wait_port {
    my ($self) = @_;

    my $up = wait_for(sub {
        die "$self->{name} ended, see $self->{bench}{dir}\n"
            if !alive($self->{pid});
        socket my $s, Socket::PF_INET(), Socket::SOCK_STREAM(), 0 or return 0;
        return connect $s, Socket::pack_sockaddr_in($self->{port},
            Socket::inet_aton('127.0.0.1'));
    }, 30);

    die "$self->{name} does not start\n" if !$up;
}


package Bench::Side::Nginx;

# a service that is nginx with some module

use strict;
use warnings;

use File::Copy ();
use File::Path ();

our @ISA = 'Bench::Side::Service';


sub start {
    my ($self, $name) = @_;

    local $ENV{TEST_NGINX_MODULE} = '' if !$self->{own};

    $self->{nginx} = $self->{bench}{test}->nginx(
        conf => $self->conf($name), workers => $self->{variant}{workers});

    $self->{nginx}->start;
    $self->{pid} = $self->{nginx}->pid;
    $self->{port} = $self->{nginx}->port;
    $self->wait_port;
}


sub stop {
    my ($self) = @_;

    my $bench = $self->{bench};
    my $nginx = pop @{ $bench->{test}{nginx} };

    $nginx->stop;

    if (my @bad = $nginx->complaints) {
        my $log = "$bench->{build}/error.log";

        File::Copy::copy("$nginx->{dir}/error.log", $log);
        push @{ $bench->{complaints} }, "$self->{name}: @bad, see $log";
        print "$bench->{complaints}[-1]\n";
    }

    File::Path::remove_tree($nginx->{dir});
}


sub frame {
    my ($self, $modules, $http, $location, $more) = @_;

    $more //= '';

    my $user = $> == 0 ? 'user root;' : '';

    return <<"EOF_CONF";
$modules
$user
daemon off;
worker_processes $self->{variant}{workers};
error_log %%DIR%%/error.log error;
pid %%DIR%%/nginx.pid;

events {
    worker_connections 4096;
}

http {
    %%HTTP_GLOBALS%%
    access_log off;
    keepalive_requests 100000000;
    client_body_buffer_size 16k;

$http

    server {
        listen 127.0.0.1:%%PORT%% backlog=4096;

        location = /api/whatsapp/webhook {
$location
        }
$more
    }
}
EOF_CONF
}


package Bench::Side::Webhook;

use strict;
use warnings;

our @ISA = 'Bench::Side::Nginx';


sub conf {
    my ($self, $name) = @_;

    my $bench = $self->{bench};
    my $dsn = $bench->{database}->dsn($name);
    my $options = $self->{variant}{options} // '';

    return $self->frame("load_module $self->{module};",
        qq(    waha_database "$dsn" $options;),
        qq(            waha_webhook;\n)
        . qq(            waha_hmac_key $bench->{dir}/key;\n)
        . qq(            waha_meta_app_secret $bench->{dir}/key;\n)
        . qq(            client_max_body_size 4m;),
        $self->{readers} ? <<'EOF_API' : '');

        location /api/whatsapp/ {
            set $bench_organization t0;
            waha_api;
            waha_organization $bench_organization;
        }
EOF_API
}


package Bench::Side::Static;

# nginx without any module

use strict;
use warnings;

our @ISA = 'Bench::Side::Nginx';


sub conf {
    my ($self) = @_;

    return $self->frame('', '', '            return 200 "{}";');
}


package Bench::Side::Lua;

use strict;
use warnings;

our @ISA = 'Bench::Side::Nginx';


sub conf {
    my ($self, $name) = @_;

    my $bench = $self->{bench};
    my $pg = $bench->{database}->pg;
    my $socket = $pg->socket_dir . '/.s.PGSQL.' . $pg->port;
    my $pool = int($self->{variant}{connections}
                   / $self->{variant}{workers});

    return $self->frame(
        join("\n", map { "load_module $_;" } @{ $self->{modules} }),
        <<"EOF_HTTP", <<'EOF_LOCATION');
    lua_package_path
        "$bench->{source}/lua/?.lua;$self->{pgmoon}/?.lua;$self->{pgmoon}/?/init.lua;;";

    init_by_lua_block {
        require("webhook").init({
            key = "$bench->{key}",
            call = "$bench->{function}",
            postgres = {
                socket_path = "$socket",
                database = "$name",
                user = "waha_gateway",
                pool_size = $pool,
                backlog = 1024
            }
        })
    }
EOF_HTTP
            content_by_lua_block { require("webhook").handle() }
EOF_LOCATION
}


package Bench::Side::Node;

use strict;
use warnings;

use Waha::Process qw(spawn reap free_port);

our @ISA = 'Bench::Side::Service';


sub start {
    my ($self, $name) = @_;

    my $bench = $self->{bench};
    my $pg = $bench->{database}->pg;
    my $variant = $self->{variant};

    $self->{port} = free_port();
    $self->{pid} = spawn(
        cmd => [ 'node', "$self->{dir}/server.js" ],
        dir => $self->{dir},
        log => "$bench->{dir}/node.log",
        env => {
            NODE_ENV          => 'production',
            PGHOST            => $pg->socket_dir,
            PGPORT            => $pg->port,
            PGUSER            => 'waha_gateway',
            PGDATABASE        => $name,
            BENCH_KEY         => "$bench->{dir}/key",
            BENCH_FUNCTION    => $bench->{function},
            BENCH_PORT        => $self->{port},
            BENCH_WORKERS     => $variant->{workers},
            BENCH_CONNECTIONS =>
                int($variant->{connections} / $variant->{workers}),
        });

    $self->wait_port;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    # a group of its own: the workers of a cluster with it
    kill 'TERM', -$pid;
    defined reap($pid, 10) or Waha::Process::kill_hard($pid);
}


package Bench::Side::Pgbench;

# No HTTP at all: what a client that calls a function for each webhook can
# get from this PostgreSQL at best.

use strict;
use warnings;

use Bench::Machine ();

our @ISA = 'Bench::Side';


sub start {}
sub stop {}


sub run {
    my ($self, $name, %o) = @_;

    my $bench = $self->{bench};
    my $from = $bench->{database}->counters($name);
    my $cpu = (times)[2] + (times)[3];

    my $text = $self->pgbench($name, $bench->{warm} + $o{seconds}, %o);

    my $to = $bench->{database}->counters($name);
    $cpu = (times)[2] + (times)[3] - $cpu;

    my ($done) = $text =~ /actually processed: (\d+)/;
    my ($failed) = $text =~ /failed transactions: (\d+)/;

    die "pgbench does not work:\n$text" if !$done || $failed;

    my $result = Bench::Side::per_webhook($from, $to, $done,
        ok => $done, refused => 0, cpu_load => 0,
        cpu_side => $cpu / $done * 1e6,
        $self->seconds($text), $self->latencies);

    die "pgbench: $done transactions, but $result->{activities} activities "
        . "were committed\n" if $done != $result->{activities};

    return $result;
}


sub pgbench {
    my ($self, $name, $seconds, %o) = @_;

    my $bench = $self->{bench};
    my $pg = $bench->{database}->pg;
    my $dsn = $bench->{database}->dsn($name);

    unlink glob "$bench->{dir}/latency.*";

    my @cmd = ("$pg->{bin}/pgbench", '-n', '-M', 'prepared', '-j', 2,
               '-c', $self->{variant}{clients}, '-T', $seconds, '-P', 1,
               '-f', $self->script($self->{variant}{function}),
               '-l', '--sampling-rate=0.2', "--log-prefix=latency",
               '-D', 'n=0', '-D', 'base=' . time,
               '-D', "strangers=$bench->{strangers}",
               '-D', 'organizations=' . ($o{organizations}
                                         // $bench->{organizations}),
               '-D', 'contacts=' . ($o{contacts} // $bench->{contacts}),
               $o{rate} ? ('-R', int $o{rate}) : (), "'$dsn'");

    $self->{began} = time;

    my $cmd = join ' ', @cmd;

    return `cd $bench->{dir} && $cmd 2>&1`;
}


sub script {
    my ($self, $function) = @_;

    my $bench = $self->{bench};

    my $script = $self->{script} // 'webhook.pgbench';

    open my $in, '<', "$bench->{source}/$script" or die "$script: $!";
    local $/;
    my $text = <$in>;
    $text =~ s/%%FUNCTION%%/$function/;

    open my $out, '>', "$bench->{dir}/$function.pgbench" or die $!;
    print $out $text;
    close $out;

    return "$bench->{dir}/$function.pgbench";
}


# transactions per second, without the seconds of warming up

sub seconds {
    my ($self, $text) = @_;

    my @tps = map { $_->[1] }
              grep { $_->[0] > $self->{bench}{warm} + 0.5 }
              map { [ /^progress: ([\d.]+) s, ([\d.]+) tps/ ] }
              grep { /^progress: / } split /\n/, $text;

    die "pgbench tells no progress:\n$text" if !@tps;

    my $sum = 0;
    $sum += $_ for @tps;

    return (rate => $sum / @tps);
}


sub latencies {
    my ($self) = @_;

    my $bench = $self->{bench};
    my @us;

    for my $file (glob "$bench->{dir}/latency.*") {
        open my $fh, '<', $file or die "$file: $!";

        while (my $line = <$fh>) {
            my ($us, $when) = (split ' ', $line)[2, 4];
            push @us, $us if $when > $self->{began} + $bench->{warm};
        }
    }

    die "pgbench logged nothing\n" if !@us;

    @us = sort { $a <=> $b } @us;

    return (p50 => $us[@us * 0.50] / 1000, p99 => $us[@us * 0.99] / 1000,
            max => $us[-1] / 1000);
}


1;
