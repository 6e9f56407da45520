package Waha::HTTP;

# A small HTTP/1.1 client that keeps its connection, and distinguishes an
# answer, a refused connection and a missing answer.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Socket::INET ();
use JSON::PP ();
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);
use Time::HiRes ();

use Exporter qw(import);
our @EXPORT = qw(bearer);


# the header that carries a token or an API key

sub bearer { return { Authorization => "Bearer $_[0]" } }


# host, port, from (the client's own address), timeout (seconds for one
# answer, 60)

sub new {
    my ($class, %o) = @_;

    return bless { host => '127.0.0.1', timeout => 60, %o, buffer => '' },
                 $class;
}


# A request and its answer: { status, headers, body, json, reused, seconds }.
# Without an answer status is 0 and error is 'connect', 'send', 'timeout' or
# 'closed'.

sub request {
    my ($self, $method, $path, $headers, $body) = @_;

    my $start = Time::HiRes::time();
    my $reused = $self->{socket} ? 1 : 0;

    $self->connect or return $self->_failed('connect');
    $self->send($self->format($method, $path, $headers, $body))
        or return $self->_failed('send');

    my $answer = $self->answer($method);
    $answer->{reused} = $reused;
    $answer->{seconds} = Time::HiRes::time() - $start;

    return $answer;
}


sub get  { my ($self, @rest) = @_; return $self->request('GET', @rest) }
sub post { my ($self, @rest) = @_; return $self->request('POST', @rest) }


# the bytes of a request

sub format {
    my ($self, $method, $path, $headers, $body) = @_;

    my %h = (Host => 'localhost', %{ $headers || {} });
    $h{'Content-Length'} = length $body
        if defined $body && !grep { /^(content-length|transfer-encoding)$/i }
                                  keys %h;

    my $head = "$method $path HTTP/1.1\r\n";

    for my $name (sort keys %h) {
        my $values = ref $h{$name} ? $h{$name} : [ $h{$name} ];
        $head .= "$name: $_\r\n" for grep { defined } @$values;
    }

    return $head . "\r\n" . ($body // '');
}


sub connect {
    my ($self) = @_;

    return $self->{socket} if $self->{socket};

    my $socket = IO::Socket::INET->new(PeerAddr => $self->{host},
        PeerPort => $self->{port}, Proto => 'tcp',
        defined $self->{from} ? (LocalAddr => $self->{from}) : ())
        or return;

    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    $socket->blocking(0);

    $self->{buffer} = '';
    return $self->{socket} = $socket;
}


sub send {
    my ($self, $bytes) = @_;

    my $end = Time::HiRes::time() + $self->{timeout};
    my $sent = 0;

    local $SIG{PIPE} = 'IGNORE';

    while ($sent < length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, length($bytes) - $sent,
                         $sent;

        if (defined $n) {
            $sent += $n;
            next;
        }

        next if $! == EINTR;
        return if $! != EAGAIN && $! != EWOULDBLOCK;

        # a server may answer and close before it has read everything
        $self->_wait(1, $end) or return;
    }

    return 1;
}


# reads one answer

sub answer {
    my ($self, $method) = @_;

    my $end = Time::HiRes::time() + $self->{timeout};
    my ($head, $body);

    while (1) {
        while ($self->{buffer} !~ /\r\n\r\n/) {
            $self->_fill($end) or return $self->_failed;
        }

        ($head, $self->{buffer}) = split /\r\n\r\n/, $self->{buffer}, 2;
        last if $head !~ m{^HTTP/1\.\d 1\d\d };
    }

    my ($line, @lines) = split /\r\n/, $head;
    my ($status) = $line =~ m{^HTTP/1\.\d (\d{3})};
    my %headers;

    for (@lines) {
        my ($name, $value) = /^([^:]+):\s*(.*)$/ or next;
        $name = lc $name;
        $headers{$name} = exists $headers{$name}
                          ? "$headers{$name}, $value" : $value;
    }

    if (($method // '') eq 'HEAD' || $status =~ /^(204|304)$/) {
        $body = '';

    } elsif (($headers{'transfer-encoding'} // '') =~ /chunked/i) {
        $body = $self->_chunked($end) // return $self->_failed;

    } elsif (defined $headers{'content-length'}) {
        while (length $self->{buffer} < $headers{'content-length'}) {
            $self->_fill($end) or return $self->_failed;
        }
        $body = substr $self->{buffer}, 0, $headers{'content-length'}, '';

    } else {
        1 while $self->_fill($end);
        ($body, $self->{buffer}) = ($self->{buffer}, '');
        $self->close;
    }

    $self->close if ($headers{connection} // '') =~ /close/i;

    my $json = ($headers{'content-type'} // '') =~ /json/
               ? eval { JSON::PP::decode_json($body) } : undef;

    return { status => $status, headers => \%headers, body => $body,
             json => $json };
}


# true when the other side has closed the connection

sub closed {
    my ($self, $timeout) = @_;

    return 1 if !$self->{socket};
    my $end = Time::HiRes::time() + ($timeout // 0);

    1 while $self->_fill($end);

    return $self->{error} eq 'closed' ? 1 : 0;
}


sub close {
    my ($self) = @_;

    CORE::close($self->{socket}) if $self->{socket};
    undef $self->{socket};
}


# closes by a reset, not by the usual handshake

sub reset {
    my ($self) = @_;

    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if $self->{socket};
    $self->close;
}


sub _chunked {
    my ($self, $end) = @_;

    my $body = '';

    while (1) {
        while ($self->{buffer} !~ /\r\n/) {
            $self->_fill($end) or return;
        }

        $self->{buffer} =~ s/^([0-9a-fA-F]+)[^\r]*\r\n// or return;
        my $size = hex $1;

        while (length $self->{buffer} < $size + 2) {
            $self->_fill($end) or return;
        }

        $body .= substr $self->{buffer}, 0, $size, '';
        substr $self->{buffer}, 0, 2, '';

        return $body if $size == 0;
    }
}


sub _fill {
    my ($self, $end) = @_;

    while (1) {
        my $n = sysread $self->{socket}, $self->{buffer}, 65536,
                        length $self->{buffer};

        return 1 if $n;

        if (defined $n || ($! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR)) {
            $self->{error} = 'closed';
            return;
        }

        if (!$self->_wait(0, $end)) {
            $self->{error} = 'timeout';
            return;
        }
    }
}


sub _wait {
    my ($self, $write, $end) = @_;

    my $left = $end - Time::HiRes::time();
    return if $left < 0;

    my $bits = '';
    vec($bits, fileno $self->{socket}, 1) = 1;

    my $n = $write ? select undef, $bits, undef, $left
                   : select $bits, undef, undef, $left;

    return 1 if $n > 0 || $! == EINTR;
    return;
}


sub _failed {
    my ($self, $error) = @_;

    $error //= $self->{error} // 'closed';
    $self->close;

    return { status => 0, error => $error, headers => {}, body => '' };
}


1;
