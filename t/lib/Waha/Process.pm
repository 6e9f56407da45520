package Waha::Process;

# Processes of a test, each in a group of its own.  A guard process ends them
# and removes the scratch directory, even if the test is killed.

use strict;
use warnings;

use File::Path ();
use IO::Handle ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use IPC::SysV qw(IPC_RMID);
use POSIX ();
use Socket ();
use Time::HiRes ();

use Exporter qw(import);
our @EXPORT_OK = qw(spawn child reap alive kill_hard wait_for free_port
                    guard_dir guard_end within children_of memory
                    descriptors);

my $guard;              # pipe to the guard process
my $guard_pid;
my $owner = $$;
my @ports;              # sockets that reserve our ports


# starts a program; cmd => [...], user => name, dir => cwd, log => file

sub spawn {
    my (%o) = @_;

    _guard();

    my $pid = fork();
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        POSIX::setpgid(0, 0);

        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $o{log} // '/dev/null';
        open STDERR, '>&', \*STDOUT;

        _drop($o{user}) if $o{user};

        $ENV{$_} = $o{env}{$_} for keys %{ $o{env} || {} };

        if (defined $o{dir} && !chdir $o{dir}) {
            print STDERR "chdir $o{dir}: $!\n";
            POSIX::_exit(126);
        }

        { no warnings 'exec'; exec { $o{cmd}[0] } @{ $o{cmd} }; }

        print STDERR "exec $o{cmd}[0]: $!\n";
        POSIX::_exit(127);
    }

    POSIX::setpgid($pid, $pid);
    _tell("pid $pid");

    return $pid;
}


# runs a piece of Perl in a process of its own

sub child {
    my ($code) = @_;

    _guard();

    my $pid = fork();
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        POSIX::setpgid(0, 0);
        close $guard;
        undef $guard;
        @SIG{qw(INT TERM HUP ALRM)} = ('DEFAULT') x 4;
        alarm 0;

        my $rc = eval { $code->(); 1 };
        print STDERR $@ unless $rc;
        STDOUT->flush;
        POSIX::_exit($rc ? 0 : 1);
    }

    POSIX::setpgid($pid, $pid);
    _tell("pid $pid");

    return $pid;
}


# waits for the end of a process that was started here; its status, or undef if
# it has not ended in time

sub reap {
    my ($pid, $timeout) = @_;

    my $status;

    wait_for(sub {
        my $rc = waitpid $pid, POSIX::WNOHANG();
        return 0 if $rc == 0;
        $status = $rc == $pid ? $? : 0;
        return 1;
    }, $timeout // 10) or return undef;

    _tell("gone $pid");

    return $status;
}


sub alive {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/stat" or return 0;
    my $stat = <$fh> // '';

    return $stat =~ /\) [^ZX]/ ? 1 : 0;
}


sub kill_hard {
    my ($pid) = @_;

    kill 'CONT', -$pid;
    kill 'KILL', -$pid;
    kill 'KILL', $pid;

    return reap($pid, 10);
}


# polls a condition until it is true; its value, or nothing after the timeout

sub wait_for {
    my ($condition, $timeout) = @_;

    my $end = Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC())
              + ($timeout // 60);
    my $pause = 0.002;

    while (1) {
        my $value = $condition->();
        return $value if $value;

        return if Time::HiRes::clock_gettime(
                      Time::HiRes::CLOCK_MONOTONIC()) > $end;

        Time::HiRes::sleep($pause);
        $pause *= 1.5 if $pause < 0.05;
    }
}


# children of a process: pid => command line

sub children_of {
    my ($parent) = @_;

    my %found;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my ($pid, $state, $ppid) = (<$fh> // '') =~ /^(\d+) .*\) (\S) (\d+)/s
            or next;
        next if $ppid != $parent || $state eq 'Z';

        open my $cmd, '<', "/proc/$pid/cmdline" or next;
        local $/;
        ($found{$pid} = <$cmd> // '') =~ tr/\0/ /;
    }

    return %found;
}


# pids of processes that have their working directory below dir

sub within {
    my ($dir) = @_;

    my @pids;

    for my $link (glob '/proc/[0-9]*/cwd') {
        my $cwd = readlink $link // next;
        next if index("$cwd/", "$dir/") != 0;
        push @pids, $link =~ /(\d+)/;
    }

    return grep { $_ != $$ } @pids;
}


# the memory of a process, in KB

sub memory {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!";
    my ($kb) = map { /^VmRSS:\s+(\d+)/ } <$fh>;

    return $kb;
}


# how many files and connections a process has open

sub descriptors {
    my ($pid) = @_;

    return scalar(my @open = glob "/proc/$pid/fd/*");
}


# A port below those the kernel gives to clients.  An abstract socket keeps
# it from other tests for as long as this test lives.

sub free_port {

    for (1 .. 500) {
        my $port = 18000 + int rand 12000;

        my $mark = IO::Socket::UNIX->new(Type => Socket::SOCK_STREAM(),
            Local => "\0waha-test-port-$port", Listen => 1) or next;

        IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
            LocalAddr => "127.0.0.1:$port") or next;

        push @ports, $mark;
        return $port;
    }

    die "no free port on 127.0.0.1";
}


sub guard_dir {
    my ($dir) = @_;

    _guard();
    _tell("dir $dir");
}


# lets the guard end what is left, and waits for it

sub guard_end {
    return if !$guard || $$ != $owner;

    close $guard;
    undef $guard;
    waitpid $guard_pid, 0;
}


sub _tell {
    my ($line) = @_;

    print $guard "$line\n" if $guard;
}


sub _guard {
    return if $guard;

    $owner = $$;

    pipe my $read, my $write or die "pipe: $!";
    $write->autoflush(1);

    $guard_pid = fork();
    die "fork: $!" unless defined $guard_pid;

    if ($guard_pid == 0) {
        close $write;
        POSIX::setsid();
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE);
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        POSIX::close($_) for grep { $_ != fileno $read } 3 .. 63;

        _watch($read);
        POSIX::_exit(0);
    }

    close $read;
    $guard = $write;
}


sub _watch {
    my ($read) = @_;

    my (%pid, %dir);

    while (my $line = <$read>) {
        my ($what, $value) = $line =~ /^(\w+) (.*)$/ or next;

        $pid{$value} = 1 if $what eq 'pid';
        delete $pid{$value} if $what eq 'gone';
        $dir{$value} = 1 if $what eq 'dir';
    }

    for my $pid (keys %pid) {
        kill 'CONT', -$pid;
        kill 'KILL', -$pid, $pid;
    }

    for my $dir (keys %dir) {
        my @shared = _shared_memory($dir);

        wait_for(sub {
            my @left = within($dir) or return 1;
            kill 'CONT', @left;
            kill 'KILL', @left;
            return 0;
        }, 10);

        shmctl $_, IPC_RMID, 0 for @shared;
        File::Path::remove_tree($dir) unless $ENV{TEST_LEAVE};
    }
}


# shared memory of a killed PostgreSQL, whose lock file has the id

sub _shared_memory {
    my ($dir) = @_;

    my @ids;

    for my $file (glob "$dir/*/data/postmaster.pid") {
        open my $fh, '<', $file or next;
        push @ids, map { /^\s*\d+\s+(\d+)\s*$/ ? $1 : () } (<$fh>)[6];
    }

    return @ids;
}


sub _drop {
    my ($user) = @_;

    my ($uid, $gid) = (getpwnam $user)[2, 3];

    $) = "$gid $gid";
    POSIX::setgid($gid);
    POSIX::setuid($uid);

    if ($> != $uid || $< != $uid) {
        print STDERR "cannot become $user: $!\n";
        POSIX::_exit(125);
    }
}


1;
