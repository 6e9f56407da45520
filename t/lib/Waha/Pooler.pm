package Waha::Pooler;

# PgBouncer in front of a test's PostgreSQL.  It drops the "options" of a
# connection, so the role has what they would have set.

use strict;
use warnings;

use IO::Socket::INET ();

use Waha::File;
use Waha::Process qw(spawn wait_for free_port kill_hard);


# the path of PgBouncer, if it is installed

sub binary {
    my ($path) = grep { -x } map { "$_/pgbouncer" }
                 '/usr/sbin', '/usr/local/bin', split /:/, $ENV{PATH};

    return $path;
}


# dir, pg; mode: transaction (usual), session or statement; size: sessions of
# the server (2)

sub new {
    my ($class, %o) = @_;

    my $port = free_port();
    my $target = $o{pg}->port;
    my $dir = "$o{dir}/pooler$port";

    mkdir $dir or die "mkdir $dir: $!";
    chmod 0777, $dir;
    spew("$dir/users.txt", qq{"waha_gateway" ""\n});
    spew("$dir/pgbouncer.ini", <<"EOF_INI");
[databases]
crm = host=127.0.0.1 port=$target

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = trust
auth_file = $dir/users.txt
pool_mode = @{[ $o{mode} // 'transaction' ]}
default_pool_size = @{[ $o{size} // 2 ]}
ignore_startup_parameters = options,extra_float_digits
logfile = $dir/pgbouncer.log
EOF_INI

    my $pid = spawn(cmd => [ binary(), "$dir/pgbouncer.ini" ],
                    user => $> == 0 ? $o{pg}{user} : undef, dir => $dir,
                    log => "$dir/stderr.log");

    wait_for(sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") }, 60)
        or die "PgBouncer does not start:\n" . slurp("$dir/stderr.log");

    return bless { port => $port, pid => $pid }, $class;
}


sub port { return $_[0]{port} }
sub stop { return kill_hard(delete $_[0]{pid}) }


1;
