package Bench::Database;

# The PostgreSQL of a measurement: one cluster, tuned the same for all sides,
# with a seeded database of which every measurement gets a copy of its own.

use strict;
use warnings;

use Bench::Machine qw(memory cpu_of);


sub new {
    my ($class, $test) = @_;

    return bless { pg => $test->postgres(conf => _conf(), install => 0) },
                 $class;
}


# A quarter of the memory, as everybody does, and no checkpoint in the midst
# of a measurement: each starts with one.

sub _conf {
    my $buffers = int memory() / 4 / (1 << 20);
    $buffers = 4096 if $buffers > 4096;

    return <<"EOF_CONF";
fsync = on
synchronous_commit = on
dynamic_shared_memory_type = posix
max_connections = 300
shared_buffers = ${buffers}MB
effective_cache_size = @{[ 2 * $buffers ]}MB
max_wal_size = 16GB
checkpoint_timeout = 1h
wal_buffers = 64MB
random_page_cost = 1.1
jit = off
logging_collector = off
EOF_CONF
}


sub pg { return $_[0]{pg} }


sub dsn {
    my ($self, $name) = @_;

    return $self->{pg}->dsn(dbname => $name);
}


sub sql {
    my ($self, $name, $sql) = @_;

    local $self->{pg}{dbname} = $name;

    return $self->{pg}->psql($sql);
}


# runs a file; :name in it stands for a value

sub file {
    my ($self, $name, $file, %vars) = @_;

    open my $fh, '<', $file or die "$file: $!";
    local $/;

    my $set = join '', map { "\\set $_ $vars{$_}\n" } sort keys %vars;

    return $self->sql($name, $set . <$fh>);
}


# a database of a source tree, with organizations and contacts, as others can
# be copied from

sub seed {
    my ($self, $tree, $name, $organizations, $contacts) = @_;

    $self->drop($name);
    $self->sql('postgres', "create database $name");
    $self->{pg}->install(dbname => $name, file => "$tree/sql/install.sql");
    $self->file($name, "$tree/t/bench/one.sql");
    $self->file($name, "$tree/t/bench/seed.sql",
                organizations => $organizations, contacts => $contacts);
}


sub copy {
    my ($self, $from, $to) = @_;

    $self->drop($to);
    $self->sql('postgres', "create database $to template $from");

    # what create database does not copy
    $self->sql('postgres', "grant connect on database $to to waha_gateway");
}


sub drop {
    my ($self, $name) = @_;

    $self->sql('postgres', "drop database if exists $name with (force)");
}


sub set {
    my ($self, %settings) = @_;

    $self->sql('postgres', join '',
        map { "alter system set $_ = '$settings{$_}';\n" } keys %settings);
    $self->sql('postgres', 'select pg_reload_conf()');
}


# CPU seconds of the whole server, backends that have ended included

sub cpu { return cpu_of($_[0]{pg}->pid) }


# what has been committed, transactions and activities, and what has failed

sub counters {
    my ($self, $name) = @_;

    my ($transactions, $deadlocks, $activities) = split /\|/,
        $self->sql($name, 'select xact_commit, deadlocks,'
                          . ' (select count(*) from waha.contact_activities)'
                          . ' from pg_stat_database'
                          . ' where datname = current_database()');

    return { transactions => $transactions, deadlocks => $deadlocks,
             activities => $activities, cpu => $self->cpu };
}


1;
