package Waha::Standin::Client;

# Requests of a stand-in to the server under test.

use strict;
use warnings;

use Errno qw(EAGAIN EINPROGRESS EINTR EWOULDBLOCK);
use Socket qw(AF_INET SOCK_STREAM inet_aton pack_sockaddr_in);


# host, port and path of a URL; nothing: it is no URL of HTTP

sub split_url {
    my ($host, $port, $path)
        = ($_[0] // '') =~ m{^http://([^/:]+)(?::(\d+))?(/.*)?$} or return;

    return ($host, $port // 80, $path // '/');
}


# Sends the bytes of a request, and calls done with the status of the answer
# (0: none) and all its bytes.

sub request {
    my ($loop, $host, $port, $bytes, $done) = @_;

    socket(my $socket, AF_INET, SOCK_STREAM, 0) or die "socket: $!";
    $socket->blocking(0);

    my $r = { loop => $loop, socket => $socket, in => '', out => $bytes,
              done => $done };
    my $address = inet_aton($host);

    return _end($r, 0) if !$address;

    return _end($r, 0)
        if !connect($socket, pack_sockaddr_in($port, $address))
           && $! != EINPROGRESS;

    $loop->watch($socket, undef, sub { _write($r) });
}


sub _write {
    my ($r) = @_;

    my $n = syswrite $r->{socket}, $r->{out};

    if (!defined $n) {
        return if _again();
        return _end($r, 0);
    }

    substr $r->{out}, 0, $n, '';
    return if length $r->{out};

    $r->{loop}->watch($r->{socket}, sub { _read($r) });
}


sub _read {
    my ($r) = @_;

    my $n = sysread $r->{socket}, $r->{in}, 65536, length $r->{in};

    return if !defined $n && _again();
    return if $n;

    my ($status) = $r->{in} =~ m{^HTTP/1\.\d (\d{3})};
    _end($r, $status // 0);
}


sub _end {
    my ($r, $status) = @_;

    $r->{loop}->forget($r->{socket});
    $r->{done}->($status, $r->{in});
}


sub _again {
    return $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
}


1;
