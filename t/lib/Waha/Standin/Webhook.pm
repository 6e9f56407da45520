package Waha::Standin::Webhook;

# Sends signed webhooks as WAHA does: at once, in no order, and again until the
# answer is 2xx.

use strict;
use warnings;

use Waha::Message ();
use Waha::Standin::Client ();


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
            = Waha::Standin::Client::split_url($hook->{url}) or next;

        $self->{pending}++;
        $self->_try({
            session => $session->{name}, event => $event, body => $body,
            url => $hook->{url}, host => $host, port => $port, tries => 0,
            attempts => $hook->{retries}{attempts} // 15,
            bytes => $self->_bytes($hook, "$host:$port", $path, $body),
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

    Waha::Standin::Client::request($self->{loop}, @$d{qw(host port bytes)},
                                   sub { $self->_tried($d, $_[0]) });
}


# status 0: no answer

sub _tried {
    my ($self, $d, $status) = @_;

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


1;
