package Waha::Load;

# Senders of webhooks, which log each message and its answer.
#
# Every line of a log is "<what> <organization> <id> <phone> <digest> ...":
#   sent   before the first byte leaves
#   ok     answered 2xx: the message has to be stored
#   fail   answered otherwise, or not connected: it may not be stored
#   info   sent without an answer: it may be stored or not
#   stale  the same on a kept connection, with no byte of an answer, if
#          resend is set: sent again at once on a new connection, as HTTP
#          clients do with a connection that the server has just closed

use strict;
use warnings;

use Digest::SHA ();
use IO::Handle ();
use IO::Socket::INET ();
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes ();

use Waha::Message ();
use Waha::Meta ();
use Waha::Process qw(child reap wait_for);


# texts that are easily damaged: as bytes, and as WAHA writes them in JSON
my @texts = map { [ $_, _json($_) ] } (
    'hello', 'Привет "мир" \\ end', "two\nlines\tand a tab", '',
    "it's 100% \$1 {braces} [x] -- ; drop", "\xf0\x9f\x99\x82 ok",
    'long ' . 'abcdefghij' x 150,
);


# port, dir (for the logs), organizations ([ [slug, session], ... ]), and:
#   senders: processes (2), connections: of each process (12), people: of each
#   organization (20), fresh: one request of so many closes its connection (8),
#   twin: one message of so many is sent twice at the same time (10), retry:
#   messages that were not answered 2xx are sent again (0), meta: the app
#   secret, of notifications of Meta in place of WAHA's webhooks, pause: seconds
#   between two requests of a connection (0), timeout (5), seed, path, key

sub new {
    my ($class, %o) = @_;

    return bless {
        senders => 2, connections => 12, people => 20, fresh => 8,
        twin => 10, retry => 0, pause => 0, timeout => 5, seed => 1,
        path => '/api/whatsapp/webhook', key => 'hmackey', tag => 'L',
        resend => 0, names => 1, forms => [ 'phone' ], %o,
        pids => [], logs => [],
    }, $class;
}


sub start {
    my ($self) = @_;

    for my $number (1 .. $self->{senders}) {
        my $log = "$self->{dir}/$self->{tag}.$number.log";
        push @{ $self->{logs} }, $log;
        push @{ $self->{pids} }, child(sub { $self->_send($number, $log) });
    }

    return $self;
}


# waits until so many more messages are answered 2xx

sub progress {
    my ($self, $number, $timeout) = @_;

    my $before = $self->count('ok');
    return wait_for(sub { $self->count('ok') >= $before + $number },
                    $timeout // 60);
}


# waits for one more answer other than 2xx; what: lines that count (fail)

sub refused {
    my ($self, @what) = @_;

    @what = 'fail' if !@what;

    my $count = sub { my $n = 0; $n += $self->count($_) for @what; $n };
    my $before = $count->();

    return wait_for(sub { $count->() > $before }, 60);
}


sub count {
    my ($self, $what) = @_;

    my $count = 0;

    for my $log (@{ $self->{logs} }) {
        open my $fh, '<', $log or next;
        while (my $line = <$fh>) { $count++ if index($line, "$what ") == 0 }
    }

    return $count;
}


# ends the senders; false if they do not end

sub stop {
    my ($self) = @_;

    kill 'TERM', @{ $self->{pids} };

    my $fine = 1;

    for my $pid (splice @{ $self->{pids} }) {
        my $status = reap($pid, 60);
        $fine = 0 if !defined $status || $status;
    }

    return $fine;
}


# Each message with its result: { "<organization> <id>" => { organization, id,
# phone, digest, class } }, and how often each kind of line was logged.

sub outcome {
    my ($self) = @_;

    my %rank = (fail => 0, stale => 1, info => 1, ok => 2);
    my (%message, %tally, %status);
    my $slowest = 0;

    for my $log (@{ $self->{logs} }) {
        open my $fh, '<', $log or die "$log: $!";

        while (<$fh>) {
            my ($what, $slug, $id, $phone, $digest, $status, $time) = split;
            my $m = $message{"$slug $id"} //= {
                organization => $slug, id => $id, phone => $phone,
                digest => $digest };

            if ($what eq 'sent') {
                $m->{open}++;
                next;
            }

            $m->{open}--;
            $tally{$what}++;
            $status{$status}++;
            $slowest = $time if $time > $slowest && $what ne 'info';

            $m->{class} = $what if !defined $m->{class}
                                   || $rank{$what} > $rank{ $m->{class} };
        }
    }

    for my $m (values %message) {
        # a sender that died has messages without an answer
        $m->{class} = 'info' if ($m->{open} > 0 || $m->{class} eq 'stale')
                                && ($m->{class} // '') ne 'ok';
    }

    return (\%message, \%tally, \%status, $slowest);
}


sub _json {
    my ($text) = @_;

    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/\n/\\n/g;
    $text =~ s/\t/\\t/g;

    return $text;
}


sub _send {
    my ($self, $number, $log) = @_;

    open my $out, '>>', $log or die "$log: $!";
    $out->autoflush(1);

    $self->{out} = $out;
    $self->{number} = $number;
    $self->{template} = $self->{meta} ? _notification() : _template();
    $self->{again} = [];
    my $settled = $number > 1 || !grep { $_ eq 'both' } @{ $self->{forms} };

    srand $self->{seed} * 1000 + $number;
    my $stop = 0;
    $SIG{TERM} = sub { $stop = Time::HiRes::time() };
    $SIG{PIPE} = 'IGNORE';

    my @connections = map { { free_at => 0 } } 1 .. $self->{connections};

    while (1) {
        my $now = Time::HiRes::time();

        for my $c (@connections) {
            next if $c->{message} || $c->{free_at} > $now;

            my $message = $self->_next($stop, $now) // next;
            $self->_begin($c, $message);
        }

        my @busy = grep { $_->{message} } @connections;

        if ($stop && !$settled++) {
            $self->_settle;
            next;
        }

        last if $stop && !@busy
                && (!@{ $self->{again} } || $now > $stop + 30);

        $self->_turn(\@busy, $now);
    }

    $out->sync;
}


# the next message: one to be sent again, else a new one

sub _next {
    my ($self, $stop, $now) = @_;

    my $again = $self->{again};

    for my $i (0 .. $#$again) {
        return splice @$again, $i, 1 if $again->[$i]{due} <= $now;
    }

    return if $stop;
    return $self->_new_message;
}


sub _new_message {
    my ($self, $where, $phone, $form) = @_;

    $where //= $self->{organizations}[ rand @{ $self->{organizations} } ];
    $phone //= 79000000000 + int rand $self->{people};
    $form //= $self->{forms}[ rand @{ $self->{forms} } ];

    my ($slug, $session) = @$where;
    my $text = $texts[ rand @texts ];
    my $id = sprintf '%s%d%06d', $self->{tag}, $self->{number},
                     ++$self->{sequence};
    my $name = 'Person ' . $phone . '.' . int rand $self->{names};
    my $lid = $phone =~ s/^7/5/r;

    my %value = (SESSION => $session, ID => $id, NAME => $name,
                 PHONE => $phone,
                 CHAT => $form eq 'phone' ? "$phone\@c.us" : "$lid\@lid",
                 JID => $form eq 'phone' ? "$phone\@s.whatsapp.net"
                                         : "$lid\@lid",
                 ALT => $form eq 'both'
                        ? qq{"remoteJidAlt":"$phone\@s.whatsapp.net",} : '',
                 TEXT => "$text->[1] $id", TIME => time);

    my @bodies;

    for my $event ('message',
                   rand $self->{twin} < 1 ? 'message.any' : ())
    {
        my $body = $self->{template};
        $value{EVENT} = $event;
        $body =~ s/%(\w+)%/$value{$1}/g;
        push @bodies, $body;
    }

    my $m = { slug => $slug, id => $id, phone => $phone, due => 0,
              digest => Digest::SHA::sha256_hex("$text->[0] $id"),
              body => $bodies[0] };

    push @{ $self->{again} }, { %$m, body => $bodies[1] } if @bodies > 1;

    return $m;
}


# sends a message of each person with the number and the hidden id

sub _settle {
    my ($self) = @_;

    for my $where (@{ $self->{organizations} }) {
        for my $person (0 .. $self->{people} - 1) {
            push @{ $self->{again} },
                 $self->_new_message($where, 79000000000 + $person, 'both');
        }
    }
}


sub _begin {
    my ($self, $c, $m) = @_;

    $c->{message} = $m;
    $c->{started} = Time::HiRes::time();
    $c->{in} = '';
    $c->{reused} = $c->{socket} ? 1 : 0;
    $c->{last} = rand $self->{fresh} < 1 ? 1 : 0;

    if (!$c->{socket}) {
        $c->{socket} = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port}, Proto => 'tcp', Timeout => 5);

        if (!$c->{socket}) {
            $self->_log('sent', $m);
            return $self->_end($c, 'fail', 'refused');
        }

        setsockopt $c->{socket}, IPPROTO_TCP, TCP_NODELAY, 1;
        $c->{socket}->blocking(0);
    }

    $c->{out} = "POST $self->{path} HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Type: application/json\r\n"
        . $self->_signature($m->{body})
        . ($c->{last} ? "Connection: close\r\n" : '')
        . 'Content-Length: ' . length($m->{body}) . "\r\n\r\n$m->{body}";

    $self->_log('sent', $m);
    $self->_write($c);
}


sub _signature {
    my ($self, $body) = @_;

    return 'X-Hub-Signature-256: '
           . Waha::Meta::sign($body, $self->{meta}) . "\r\n"
        if $self->{meta};

    return 'X-Webhook-Hmac: ' . Waha::Message::sign($body, $self->{key})
           . "\r\nX-Webhook-Hmac-Algorithm: sha512\r\n";
}


sub _turn {
    my ($self, $busy, $now) = @_;

    my ($read, $write) = ('', '');
    my %by_fd;

    for my $c (@$busy) {
        my $fd = fileno $c->{socket};
        $by_fd{$fd} = $c;
        vec($read, $fd, 1) = 1;
        vec($write, $fd, 1) = 1 if length $c->{out};
    }

    return if select($read, $write, undef, 0.02) < 0;

    for my $fd (keys %by_fd) {
        my $c = $by_fd{$fd};

        $self->_write($c) if vec($write, $fd, 1) && length $c->{out};
        $self->_read($c) if $c->{message} && vec($read, $fd, 1);

        $self->_end($c, 'info', 'timeout')
            if $c->{message} && $now > $c->{started} + $self->{timeout};
    }
}


sub _write {
    my ($self, $c) = @_;

    my $n = syswrite $c->{socket}, $c->{out};

    if (defined $n) {
        substr $c->{out}, 0, $n, '';

    } elsif (!$!{EAGAIN} && !$!{EINTR}) {
        # the server may have answered before it closed
        $c->{out} = '';
    }
}


sub _read {
    my ($self, $c) = @_;

    my $n = sysread $c->{socket}, $c->{in}, 65536, length $c->{in};

    return if !defined $n && ($!{EAGAIN} || $!{EINTR});

    if (!$n) {
        my $stale = $self->{resend} && $c->{reused} && !length $c->{in};
        return $self->_end($c, $stale ? 'stale' : 'info',
                           defined $n ? 'closed' : 'reset');
    }

    my ($status, $length) = $c->{in} =~
        m{^HTTP/1\.1 (\d+) .*?\r\nContent-Length: (\d+)\r\n.*?\r\n\r\n}si
        or return;

    return if length($c->{in}) < $+[0] + $length;

    $c->{last} = 1 if $c->{in} =~ /^Connection: close/mi;

    $self->_end($c, $status =~ /^2/ ? 'ok' : 'fail', $status);
}


sub _end {
    my ($self, $c, $what, $status) = @_;

    my $m = delete $c->{message};
    my $now = Time::HiRes::time();

    $self->_log($what, $m, $status, sprintf '%.3f', $now - $c->{started});

    if ($what eq 'info' || $what eq 'stale' || $c->{last}) {
        close delete $c->{socket} if $c->{socket};
    }

    if ($what eq 'stale') {
        push @{ $self->{again} }, { %$m, due => 0 };

    } elsif ($what ne 'ok' && $self->{retry}) {
        push @{ $self->{again} }, { %$m, due => $now + 0.1 };
    }

    # a connection that was refused pauses, so that others are served
    my $pause = $what eq 'ok' ? $self->{pause} : 0.01;
    $c->{free_at} = $now + $pause;
}


sub _log {
    my ($self, $what, $m, @rest) = @_;

    syswrite $self->{out},
             join(' ', $what, @$m{qw(slug id phone digest)}, @rest) . "\n";
}


# a notification of Meta with the message between two statuses

sub _notification {

    return <<'EOF_BODY' =~ s/\n\s*//gr;
{"object":"whatsapp_business_account","entry":[{"id":"9%SESSION%","changes":[
 {"field":"messages","value":{"messaging_product":"whatsapp","metadata":{
 "display_phone_number":"79111111111","phone_number_id":"%SESSION%"},
 "contacts":[{"wa_id":"%PHONE%","profile":{"name":"%NAME%"}}],
 "statuses":[{"id":"wamid.S%ID%","status":"sent","timestamp":"%TIME%",
 "recipient_id":"%PHONE%"},{"id":"wamid.S%ID%","status":"read",
 "timestamp":"%TIME%","recipient_id":"%PHONE%"}],
 "messages":[{"from":"%PHONE%","id":"%ID%","timestamp":"%TIME%",
 "type":"text","text":{"body":"%TEXT%"}}]}}]}]}
EOF_BODY
}


sub _template {

    return <<'EOF_BODY' =~ s/\n\s*//gr;
{"id":"evt_%ID%","timestamp":%TIME%000,"event":"%EVENT%",
 "session":"%SESSION%","me":{"id":"79111111111@c.us","pushName":"Acme"},
 "payload":{"id":"false_%CHAT%_%ID%","timestamp":%TIME%,
 "from":"%CHAT%","fromMe":false,"source":"app","body":"%TEXT%",
 "hasMedia":false,"media":null,"ack":2,"ackName":"DEVICE","location":null,
 "vCards":null,"replyTo":null,
 "_data":{"key":{"remoteJid":"%JID%",%ALT%"fromMe":false,
 "id":"%ID%"},"messageTimestamp":%TIME%,
 "pushName":"%NAME%","broadcast":false,
 "message":{"conversation":"%TEXT%"},"status":3}},
 "engine":"NOWEB","environment":{"version":"2026.7.1","engine":"NOWEB",
 "tier":"CORE","browser":null,"platform":"linux/x64","worker":{"id":null}}}
EOF_BODY
}


1;
