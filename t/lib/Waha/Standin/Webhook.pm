package Waha::Standin::Webhook;

# Sends signed webhooks as WAHA does: at once, in no order, and again until the
# answer is 2xx.

use strict;
use warnings;

use Errno qw(EAGAIN EINPROGRESS EINTR EWOULDBLOCK);
use Socket qw(AF_INET SOCK_STREAM inet_aton pack_sockaddr_in);

use Waha::Message ();


# loop, engine, delay (seconds between two tries)

sub new {
    my ($class, %o) = @_;

    return bless { %o, log => [], pending => 0, number => 0 }, $class;
}


sub log     { return $_[0]{log} }
sub pending { return $_[0]{pending} }


# sends an event of a session to each of its webhooks that wants it

sub event {
    my ($self, $session, $event, $payload) = @_;

    my $config = $session->{config} || {};
    my $body = Waha::Message::event($event, $session->{name}, $payload,
        engine => $self->{engine}, me => $session->{me},
        metadata => $config->{metadata});

    for my $hook (@{ $config->{webhooks} || [] }) {
        next if !grep { $_ eq $event || $_ eq '*' } @{ $hook->{events} || [] };

        my ($host, $port, $path)
            = ($hook->{url} // '') =~ m{^http://([^/:]+)(?::(\d+))?(/.*)?$}
            or next;

        $self->{pending}++;
        $self->_try({
            session => $session->{name}, event => $event, body => $body,
            url => $hook->{url}, host => $host, port => $port // 80,
            path => $path // '/', tries => 0,
            attempts => $hook->{retries}{attempts} // 15,
            bytes => $self->_bytes($hook, "$host:" . ($port // 80),
                                   $path // '/', $body),
        });
    }
}


sub _bytes {
    my ($self, $hook, $host, $path, $body) = @_;

    my $key = $hook->{hmac}{key};
    my ($time) = $body =~ /"timestamp":(\d{13})/;
    my $id = sprintf '%x%08x', time, ++$self->{number};

    my @headers = (
        'Accept: application/json, text/plain, */*',
        'Content-Type: application/json',
        'User-Agent: WAHA/2026.7.1',
        (map { "$_->{name}: $_->{value}" } @{ $hook->{customHeaders} || [] }),
        "X-Webhook-Request-Id: $id",
        'X-Webhook-Timestamp: ' . ($time // time . '000'),
        defined $key ? ('X-Webhook-Hmac: ' . Waha::Message::sign($body, $key),
                        'X-Webhook-Hmac-Algorithm: sha512') : (),
        'Content-Length: ' . length $body,
        'Accept-Encoding: gzip, compress, deflate, br',
        "Host: $host",
        'Connection: close',
    );

    return join("\r\n", "POST $path HTTP/1.1", @headers) . "\r\n\r\n" . $body;
}


sub _try {
    my ($self, $d) = @_;

    $d->{tries}++;
    $d->{in} = '';
    $d->{out} = $d->{bytes};

    my $address = inet_aton($d->{host});
    socket(my $socket, AF_INET, SOCK_STREAM, 0) or die "socket: $!";
    $socket->blocking(0);
    $d->{socket} = $socket;

    return $self->_tried($d, 0) if !$address;

    return $self->_tried($d, 0)
        if !connect($socket, pack_sockaddr_in($d->{port}, $address))
           && $! != EINPROGRESS;

    $self->{loop}->watch($socket, undef, sub { $self->_write($d) });
}


sub _write {
    my ($self, $d) = @_;

    my $n = syswrite $d->{socket}, $d->{out};

    if (!defined $n) {
        return if _again();
        return $self->_tried($d, 0);
    }

    substr $d->{out}, 0, $n, '';
    return if length $d->{out};

    $self->{loop}->watch($d->{socket}, sub { $self->_read($d) });
}


sub _read {
    my ($self, $d) = @_;

    my $n = sysread $d->{socket}, $d->{in}, 65536, length $d->{in};

    return if !defined $n && _again();
    return if $n;

    my ($status) = $d->{in} =~ m{^HTTP/1\.\d (\d{3})};
    $self->_tried($d, $status // 0);
}


# status 0: no answer

sub _tried {
    my ($self, $d, $status) = @_;

    $self->{loop}->forget($d->{socket});

    push @{ $self->{log} }, {
        status => $status, number => $d->{tries},
        map { $_ => $d->{$_} } qw(session event url body),
    };

    if ($status =~ /^2/ || $d->{tries} > $d->{attempts}) {
        $self->{pending}--;
        return;
    }

    $self->{loop}->after($self->{delay}, sub { $self->_try($d) });
}


sub _again {
    return $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
}


1;
