package Waha::Standin::Loop;

# The event loop of the stand-in: sockets and timers.

use strict;
use warnings;

use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);


sub new {
    my ($class) = @_;

    return bless { io => {}, timers => {}, number => 0 }, $class;
}


# sets the subs that are called when a socket can be read or written

sub watch {
    my ($self, $socket, $read, $write) = @_;

    my $fd = fileno $socket // return;

    return delete $self->{io}{$fd} if !$read && !$write;

    $self->{io}{$fd} = { socket => $socket, read => $read, write => $write };
}


sub forget {
    my ($self, $socket) = @_;

    my $fd = fileno $socket // return;
    delete $self->{io}{$fd};
    close $socket;
}


# calls a sub once after so many seconds; a number for cancel()

sub after {
    my ($self, $seconds, $code) = @_;

    my $id = ++$self->{number};
    $self->{timers}{$id} = [ clock_gettime(CLOCK_MONOTONIC) + $seconds,
                             $code ];

    return $id;
}


sub cancel {
    my ($self, $id) = @_;

    delete $self->{timers}{$id} if $id;
}


sub end { $_[0]{ended} = 1 }


sub run {
    my ($self) = @_;

    while (!$self->{ended}) {
        my ($read, $write) = ('', '');

        for my $fd (keys %{ $self->{io} }) {
            vec($read, $fd, 1) = 1 if $self->{io}{$fd}{read};
            vec($write, $fd, 1) = 1 if $self->{io}{$fd}{write};
        }

        my $n = select $read, $write, undef, $self->_timeout;

        if ($n > 0) {
            $self->_ready('read', $read);
            $self->_ready('write', $write);
        }

        $self->_expire;
    }
}


sub _ready {
    my ($self, $what, $bits) = @_;

    for my $fd (keys %{ $self->{io} }) {
        next if !vec $bits, $fd, 1;

        my $io = $self->{io}{$fd} or next;
        $io->{$what}->() if $io->{$what};
    }
}


sub _timeout {
    my ($self) = @_;

    my $next;

    for my $timer (values %{ $self->{timers} }) {
        $next = $timer->[0] if !defined $next || $timer->[0] < $next;
    }

    return if !defined $next;

    my $left = $next - clock_gettime(CLOCK_MONOTONIC);
    return $left > 0 ? $left : 0;
}


sub _expire {
    my ($self) = @_;

    my $now = clock_gettime(CLOCK_MONOTONIC);
    my $timers = $self->{timers};

    my @due = sort { $timers->{$a}[0] <=> $timers->{$b}[0] || $a <=> $b }
              grep { $timers->{$_}[0] <= $now } keys %$timers;

    for my $id (@due) {
        my $timer = delete $timers->{$id} or next;
        $timer->[1]->();
    }
}


1;
