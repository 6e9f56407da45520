package Waha::Proxy;

# A TCP proxy in front of PostgreSQL that closes or stalls connections.

use strict;
use warnings;

use IO::Socket::INET ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC IPPROTO_TCP TCP_NODELAY
              SOL_SOCKET SO_LINGER);

use Waha::Process qw(child free_port);


# target: port of 127.0.0.1

sub new {
    my ($class, %o) = @_;

    my $port = free_port();
    my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port",
        Listen => 64, ReuseAddr => 1) or die "proxy: $!";

    socketpair my $here, my $there, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";
    $_->autoflush(1) for $here, $there;

    my $pid = child(sub { close $here; _serve($listen, $there, $o{target}) });

    return bless { port => $port, pid => $pid, control => $here }, $class;
}


sub port { return $_[0]{port} }


# From now on a connection is closed on both sides after so many bytes in one
# direction, "up" (to PostgreSQL) or "down", when one more arrives, which is not
# passed on.  how: 'fin' or 'rst'.

sub cut {
    my ($self, $direction, $bytes, $how) = @_;

    return $self->_command("cut $direction $bytes " . ($how // 'rst'));
}


# closes all connections that are open

sub cut_all { return $_[0]->_command('cutall') }


# stops passing bytes on open and on new connections, and passes them again

sub silence { return $_[0]->_command('silence') }
sub resume  { return $_[0]->_command('resume') }


# since the last cut(): [ whether a connection was cut, bytes up, bytes down ]

sub passed {
    my ($self) = @_;

    return [ split / /, $self->_command('passed') ];
}


sub _command {
    my ($self, $line) = @_;

    my $fh = $self->{control};
    print $fh "$line\n";
    my $answer = <$fh> // die "the proxy is gone";
    chomp $answer;

    return $answer;
}


sub _serve {
    my ($listen, $control, $target) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $state = { cut => undef, was_cut => 0, silent => 0, pairs => {},
                  passed => { up => 0, down => 0 } };

    while (1) {
        my $read = '';
        vec($read, fileno $listen, 1) = 1;
        vec($read, fileno $control, 1) = 1;

        if (!$state->{silent}) {
            vec($read, $_, 1) = 1 for keys %{ $state->{pairs} };
        }

        next if select($read, undef, undef, undef) < 0;

        if (vec($read, fileno $control, 1)) {
            my $line = <$control> // return;
            print $control _control($state, $line), "\n";
            next;
        }

        _accept($state, $listen, $target) if vec($read, fileno $listen, 1);

        for my $fd (keys %{ $state->{pairs} }) {
            my $end = $state->{pairs}{$fd};
            _pass($state, $end) if $end && vec($read, $fd, 1);
        }
    }
}


sub _control {
    my ($state, $line) = @_;

    my ($what, @rest) = split ' ', $line;

    if ($what eq 'cut') {
        $state->{cut} = { direction => $rest[0], bytes => $rest[1],
                          how => $rest[2] };
        $state->{was_cut} = 0;
        $state->{passed} = { up => 0, down => 0 };

    } elsif ($what eq 'cutall') {
        my @ends = values %{ $state->{pairs} };
        _close($state, $_, 'rst') for @ends;

    } elsif ($what eq 'passed') {
        return join ' ', $state->{was_cut}, @{ $state->{passed} }{qw(up down)};

    } else {
        $state->{silent} = $what eq 'silence' ? 1 : 0;
    }

    return 'done';
}


sub _accept {
    my ($state, $listen, $target) = @_;

    my $client = $listen->accept or return;
    my $server = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$target")
        or return;

    setsockopt $_, IPPROTO_TCP, TCP_NODELAY, 1 for $client, $server;

    my $pairs = $state->{pairs};
    $pairs->{ fileno $client } = { from => $client, to => $server,
                                   direction => 'up' };
    $pairs->{ fileno $server } = { from => $server, to => $client,
                                   direction => 'down' };
}


sub _pass {
    my ($state, $end) = @_;

    my $n = sysread $end->{from}, my $bytes, 65536;
    return _close($state, $end, 'fin') if !$n;

    my $direction = $end->{direction};
    my $cut = $state->{cut};
    my $left;

    if ($cut && $cut->{direction} eq $direction) {
        $left = $cut->{bytes} - $state->{passed}{$direction};
        $left = undef if $left >= length $bytes;
        substr($bytes, $left) = '' if defined $left;
    }

    $state->{passed}{$direction} += length $bytes;

    while (length $bytes) {
        my $sent = syswrite $end->{to}, $bytes;
        return _close($state, $end, 'fin') if !defined $sent;
        substr $bytes, 0, $sent, '';
    }

    if (defined $left) {
        $state->{was_cut} = 1;
        $state->{cut} = undef;
        _close($state, $end, $cut->{how});
    }
}


sub _close {
    my ($state, $end, $how) = @_;

    for my $socket ($end->{from}, $end->{to}) {
        next if !defined fileno $socket;
        delete $state->{pairs}{ fileno $socket };

        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
            if $how eq 'rst';
        close $socket;
    }
}


1;
