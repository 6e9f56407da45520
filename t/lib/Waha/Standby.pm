package Waha::Standby;

# A synchronous standby of a PostgreSQL.
#
#   my $standby = Waha::Standby->new($t, $pg);
#   ...
#   $pg->crash;
#   $standby->promote;

use strict;
use warnings;

use parent -norequire, 'Waha::Postgres';

use Waha::Postgres ();
use Waha::Process qw(spawn reap wait_for free_port);

my $number = 0;


sub new {
    my ($class, $t, $primary) = @_;

    my $name = 'standby' . ++$number;
    my $dir = $t->dir . "/$name";

    my $self = bless {
        %$primary,
        dir     => $dir,
        data    => "$dir/data",
        log     => "$dir/postgres.log",
        port    => free_port(),
        primary => $primary,
        name    => $name,
    }, $class;

    mkdir $dir or die "mkdir $dir: $!";
    $self->_own($dir);

    $self->_copy;
    $self->start;
    push @{ $t->{postgres} }, $self;

    $primary->psql(<<"EOF_SQL");
alter system set synchronous_standby_names = '$name';
select pg_reload_conf();
EOF_SQL

    $self->wait_synchronous or die "$name does not follow:\n" . $self->log;

    return $self;
}


# true when the primary waits for this one

sub wait_synchronous {
    my ($self) = @_;

    return wait_for(sub {
        $self->{primary}->value(<<"EOF_SQL");
select 1 from pg_stat_replication
 where application_name = '$self->{name}' and sync_state = 'sync'
EOF_SQL
    }, 60);
}


sub promote {
    my ($self) = @_;

    $self->psql('select pg_promote()');
}


sub _copy {
    my ($self) = @_;

    my $primary = $self->{primary};
    my $from = $primary->admin_dsn(dbname => 'replication');

    my $pid = spawn(
        cmd  => [ "$self->{bin}/pg_basebackup", '-d', $from, '-R', '-X',
                  'stream', '-c', 'fast', '--no-sync', '-D', $self->{data} ],
        user => $self->{user}, dir => $self->{dir}, log => $self->{log});

    die "pg_basebackup failed:\n" . $self->log if reap($pid, 300);

    $from = $primary->_conninfo('postgres', application_name => $self->{name});
    $from =~ s/dbname=\S+ //;

    open my $fh, '>>', "$self->{data}/postgresql.auto.conf" or die $!;
    print $fh <<"EOF_CONF";
port = $self->{port}
unix_socket_directories = '$self->{dir}'
primary_conninfo = '$from'
EOF_CONF
    close $fh or die $!;
}


1;
