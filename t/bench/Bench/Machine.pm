package Bench::Machine;

# What is measured of processes, and on what.

use strict;
use warnings;

use POSIX ();

use Waha::Process qw(children_of);

use Exporter qw(import);
our @EXPORT_OK = qw(memory cpu_of rss_of median describe);

my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK());


# bytes of memory the machine has

sub memory {
    my ($kb) = _file('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/m;

    return $kb * 1024;
}


# CPU seconds of a process and all below it, ended ones included

sub cpu_of {
    my ($pid) = @_;

    my @field = split ' ', (_file("/proc/$pid/stat") =~ /\) (.*)/s)[0] // '';
    return 0 if !@field;

    # utime, stime, and those of children that were waited for
    my $ticks = 0;
    $ticks += $_ for @field[11 .. 14];

    my %child = children_of($pid);
    my $sum = $ticks / $tick;
    $sum += cpu_of($_) for keys %child;

    return $sum;
}


# bytes of memory that a process alone has in use

sub rss_of {
    my ($pid) = @_;

    my ($kb) = _file("/proc/$pid/smaps_rollup") =~ /^Pss_Anon:\s+(\d+)/m;

    return ($kb // 0) * 1024;
}


sub median {
    my @sorted = sort { $a <=> $b } @_;

    return if !@sorted;
    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}


# one line each: what the figures hold for

sub describe {
    my ($pg, $dir) = @_;

    my $cpu = _file('/proc/cpuinfo');
    my ($model) = $cpu =~ /^model name\s*:\s*(.*)/m;
    my $cores = () = $cpu =~ /^processor\s*:/mg;
    my (undef, undef, $kernel) = POSIX::uname();

    my ($nginx) = `nginx -v 2>&1` =~ m{nginx/(\S+)};
    my ($postgres) = `$pg->{bin}/postgres --version` =~ /(\d+[.\d]*)/;
    my ($sync) = `$pg->{bin}/pg_test_fsync -s 1 -f $dir/sync 2>&1`
                 =~ /fdatasync\s.*?(\d+) usecs/;

    return sprintf "%s, %d cores, %.0f GB, Linux %s\n"
                   . "nginx %s, PostgreSQL %s, fdatasync %s us\n",
           $model // 'unknown processor', $cores, memory() / (1 << 30),
           $kernel, $nginx // 'unknown', $postgres, $sync // 'unknown';
}


sub _file {
    my ($name) = @_;

    open my $fh, '<', $name or return '';
    local $/;

    # a process may be gone by now
    return <$fh> // '';
}


1;
