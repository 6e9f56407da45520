package Waha::Standin::Server;

# The stand-in's HTTP server: reads and logs requests, and sends the answer of
# the API or of a fault.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);
use Time::HiRes ();

use Waha::Standin::Fault;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my %reason = (
    200 => 'OK', 201 => 'Created', 206 => 'Partial Content',
    304 => 'Not Modified', 400 => 'Bad Request', 401 => 'Unauthorized',
    403 => 'Forbidden', 404 => 'Not Found', 413 => 'Payload Too Large',
    416 => 'Range Not Satisfiable', 422 => 'Unprocessable Entity',
    500 => 'Internal Server Error', 501 => 'Not Implemented',
    503 => 'Service Unavailable',
);


# loop, port, listen (a socket), api (object with handle()), idle (seconds
# after which a connection that is not used is closed), banner (headers that
# all answers have)

sub new {
    my ($class, %o) = @_;

    my $self = bless { %o, log => [], faults => [], connections => {},
                       number => 0 }, $class;
    $self->_listen($o{listen});

    return $self;
}


sub log { return $_[0]{log} }


sub clear { @{ $_[0]{log} } = () }


# adds a fault; the first that fits a request counts

sub fail {
    my ($self, $fault) = @_;

    return $self->_refuse if $fault->{with} eq 'refuse';

    push @{ $self->{faults} }, $fault;
}


sub heal {
    my ($self) = @_;

    $self->{faults} = [];
    return if $self->{listen};

    $self->_listen(IO::Socket::INET->new(Listen => 511, ReuseAddr => 1,
        LocalAddr => "127.0.0.1:$self->{port}") || die "listen: $!");
}


sub _listen {
    my ($self, $listen) = @_;

    $self->{listen} = $listen;
    $listen->blocking(0);
    $self->{loop}->watch($listen, sub { $self->_accept });
}


sub _refuse {
    my ($self) = @_;

    my $listen = delete $self->{listen} or return;
    $self->{loop}->forget($listen);

    $self->drop($_) for values %{ $self->{connections} };
}


sub _accept {
    my ($self) = @_;

    while ($self->{listen} and my $socket = $self->{listen}->accept) {
        $socket->blocking(0);
        setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;

        my $c = { socket => $socket, number => ++$self->{number},
                  in => '', out => '' };
        $self->{connections}{ $c->{number} } = $c;
        $self->_watch($c);
        $self->_idle($c);
    }
}


sub _watch {
    my ($self, $c) = @_;

    $self->{loop}->watch($c->{socket}, sub { $self->_read($c) },
        length $c->{out} ? sub { $self->_write($c) } : undef);
}


sub _idle {
    my ($self, $c) = @_;

    $c->{idle} = $self->{loop}->after($self->{idle}, sub { $self->drop($c) });
}


# closes a connection; reset: with RST

sub drop {
    my ($self, $c, $reset) = @_;

    return if !delete $self->{connections}{ $c->{number} };

    $self->{loop}->cancel($c->{idle});
    setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if $reset;
    $self->{loop}->forget($c->{socket});
}


sub _read {
    my ($self, $c) = @_;

    my $n = sysread $c->{socket}, $c->{in}, 65536, length $c->{in};

    if (!$n) {
        return if !defined $n && _again();
        $c->{request}{aborted} = 1 if $c->{request};
        return $self->drop($c);
    }

    $self->_next($c);
}


# handles the next request, once it is complete

sub _next {
    my ($self, $c) = @_;

    return if $c->{request} || $c->{in} !~ /\r\n\r\n/;

    $self->{loop}->cancel($c->{idle});

    my ($head, $rest) = split /\r\n\r\n/, $c->{in}, 2;
    my $request = _head($head);

    if (!$request) {
        $self->send($c, "HTTP/1.1 400 Bad Request\r\nConnection: close"
                        . "\r\n\r\n", 1);
        return;
    }

    my $headers = $request->{headers};

    if (lc($headers->{expect} // '') eq '100-continue' && !$c->{continued}++) {
        $self->send($c, "HTTP/1.1 100 Continue\r\n\r\n");
    }

    if (lc($headers->{'transfer-encoding'} // '') eq 'chunked') {
        ($request->{body}, $rest) = _chunked($rest);
        return if !defined $rest;

    } else {
        my $length = $headers->{'content-length'} // 0;
        return if length $rest < $length;
        $request->{body} = substr $rest, 0, $length, '';
    }

    $c->{in} = $rest;
    $c->{continued} = 0;
    $c->{request} = $request;
    $request->{connection} = $c->{number};
    push @{ $self->{log} }, $request;

    $self->_dispatch($c, $request);
}


sub _head {
    my ($head) = @_;

    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $uri, $version) = $line =~ m{^(\w+) (\S+) HTTP/(1\.[01])$}
        or return;
    my ($path, $query) = split /\?/, $uri, 2;
    my (%headers, %args);

    for (@lines) {
        my ($name, $value) = /^([^:\s]+):\s*(.*?)\s*$/ or return;
        $name = lc $name;
        $headers{$name} = exists $headers{$name}
                          ? "$headers{$name}, $value" : $value;
    }

    for (split /&/, $query // '') {
        my ($name, $value) = split /=/, $_, 2;
        $args{ unescape($name) } = unescape($value // '');
    }

    return { method => $method, uri => $uri, path => $path,
             query => $query // '', args => \%args, version => $version,
             headers => \%headers, time => Time::HiRes::time() };
}


sub unescape {
    my ($text) = @_;

    $text =~ tr/+/ /;
    $text =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;

    return $text;
}


# a chunked body and the bytes behind it; nothing while it is not complete

sub _chunked {
    my ($rest) = @_;

    my $body = '';

    while ($rest =~ s/^([0-9a-fA-F]+)[^\r]*\r\n//) {
        my $size = hex $1;
        return if length $rest < $size + 2;

        $body .= substr $rest, 0, $size, '';
        substr $rest, 0, 2, '';
        return ($body, $rest) if $size == 0;
    }

    return;
}


sub _dispatch {
    my ($self, $c, $request) = @_;

    my $fault = $self->_fault($request);

    if ($fault && !$fault->{acts}) {
        $request->{fault} = $fault->{with};
        return Waha::Standin::Fault::spoil($self, $c, $request, $fault);
    }

    $self->{api}->handle($request, sub {
        my ($answer) = @_;

        return if !$self->{connections}{ $c->{number} };
        return $self->reply($c, $request, $answer) if !$fault;

        $request->{fault} = $fault->{with};
        Waha::Standin::Fault::spoil($self, $c, $request, $fault, $answer);
    });
}


sub _fault {
    my ($self, $request) = @_;

    my $line = "$request->{method} $request->{uri}";

    for my $fault (@{ $self->{faults} }) {
        next if $line !~ $fault->{match};
        next if defined $fault->{times} && $fault->{times}-- <= 0;
        return $fault;
    }

    return;
}


# An answer: status, json (data) or body with type, headers ([name, value]).

sub reply {
    my ($self, $c, $request, $answer) = @_;

    my ($bytes, $keep) = $self->format($request, $answer);

    $self->send($c, $bytes, !$keep);
}


# the bytes of an answer, and whether the connection is kept; length: value of
# Content-Length (undef: no such header)

sub format {
    my ($self, $request, $answer, %o) = @_;

    my ($body, $type) = ($answer->{body} // '', $answer->{type});

    if (exists $answer->{json}) {
        $body = $json->encode($answer->{json});
        $type = 'application/json; charset=utf-8';
    }

    my $status = $request->{status} = $answer->{status};
    my $wish = lc($request->{headers}{connection} // '');
    my $keep = $request->{version} eq '1.1' ? $wish ne 'close'
                                            : $wish eq 'keep-alive';
    my $length = exists $o{length} ? $o{length} : length $body;

    my @headers = (
        @{ $self->{banner} || [ [ 'X-Powered-By', 'Express' ] ] },
        defined $type ? [ 'Content-Type', $type ] : (),
        @{ $answer->{headers} || [] },
        defined $length && $status != 304 ? [ 'Content-Length', $length ] : (),
        [ 'Date', date(time) ],
        $keep ? ([ 'Connection', 'keep-alive' ],
                 [ 'Keep-Alive', "timeout=$self->{idle}" ])
              : [ 'Connection', 'close' ],
    );

    my $head = "HTTP/1.1 $status " . ($reason{$status} // 'Status') . "\r\n"
               . join('', map { "$_->[0]: $_->[1]\r\n" } @headers) . "\r\n";

    $body = '' if $request->{method} eq 'HEAD' || $status == 304;

    return ($head . $body, $keep);
}


sub date {
    my ($time) = @_;

    my @day = qw(Sun Mon Tue Wed Thu Fri Sat);
    my @month = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);
    my @t = gmtime $time;

    return sprintf '%s, %02d %s %d %02d:%02d:%02d GMT', $day[$t[6]], $t[3],
                   $month[$t[4]], $t[5] + 1900, @t[2, 1, 0];
}


# sends bytes; close: and closes the connection

sub send {
    my ($self, $c, $bytes, $close) = @_;

    $c->{out} .= $bytes;
    $c->{close} = 1 if $close;
    $self->_write($c);
}


sub _write {
    my ($self, $c) = @_;

    while (length $c->{out}) {
        my $n = syswrite $c->{socket}, $c->{out}, 1048576;

        if (!defined $n) {
            return $self->_watch($c) if _again();
            $c->{request}{aborted} = 1 if $c->{request};
            return $self->drop($c);
        }

        substr $c->{out}, 0, $n, '';
    }

    return $self->drop($c) if $c->{close};

    $self->_watch($c);
    $self->_answered($c) if $c->{request} && $c->{request}{status};
}


sub _answered {
    my ($self, $c) = @_;

    return if $c->{held};

    $c->{request} = undef;
    $self->_idle($c);
    $self->_next($c);
}


sub _again {
    return $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
}


1;
