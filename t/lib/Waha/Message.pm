package Waha::Message;

# WAHA's webhooks, made and signed as WAHA makes and signs them.

use strict;
use warnings;

use Digest::SHA ();
use JSON::PP ();
use Time::HiRes ();

use Waha::File;

use Exporter qw(import);
our @EXPORT_OK = qw(sign event message session_status encode fixtures
                    fixture);

my $json = JSON::PP->new->utf8->canonical;
my $sequence = 0;


sub encode { return $json->encode($_[0]) }


sub sign {
    my ($body, $key) = @_;

    return Digest::SHA::hmac_sha512_hex($body, $key // 'hmackey');
}


# An event: its name, session, payload, and members other than usual: metadata,
# me, engine, id, timestamp (ms).

sub event {
    my ($name, $session, $payload, %o) = @_;

    my $engine = $o{engine} // 'NOWEB';

    return encode({
        id        => $o{id} // sprintf('evt_%d_%d_%d', $$, time, ++$sequence),
        timestamp => int($o{timestamp} // Time::HiRes::time() * 1000),
        event     => $name,
        session   => $session,
        engine    => $engine,
        me        => exists $o{me} ? $o{me}
                     : { id => '79111111111@c.us', pushName => 'Acme' },
        payload   => $payload,
        environment => { version => '2026.7.1', engine => $engine,
                         tier => 'CORE' },
        $o{metadata} ? (metadata => $o{metadata}) : (),
    });
}


# A message of the NOWEB engine: id, from (number or chat id of the other side),
# text, name, session, phone (of a chat with a hidden id), from_me, timestamp
# (s), participant, event, media, payload (replaces members), metadata, me.

sub message {
    my (%o) = @_;

    my $id = $o{id} // sprintf 'TEST%06d%06d%06d', $$ % 1e6, time % 1e6,
                               ++$sequence;
    my $chat = $o{from} // '79222222222';
    my $seconds = int($o{timestamp} // time);
    my $from_me = $o{from_me} ? JSON::PP::true : JSON::PP::false;

    $chat .= '@c.us' if $chat =~ /^\d+$/;
    (my $jid = $chat) =~ s/\@c\.us$/\@s.whatsapp.net/;

    my $payload = {
        id        => join('_', $o{from_me} ? 'true' : 'false', $chat, $id,
                          $o{participant} // ()),
        timestamp => $seconds,
        from      => $chat,
        fromMe    => $from_me,
        source    => 'app',
        body      => $o{text} // 'hello',
        hasMedia  => $o{media} ? JSON::PP::true : JSON::PP::false,
        media     => $o{media},
        ack       => 2,
        ackName   => 'DEVICE',
        _data     => {
            key => { remoteJid => $jid, fromMe => $from_me, id => $id,
                     $o{phone} ? (remoteJidAlt => "$o{phone}\@s.whatsapp.net")
                               : () },
            messageTimestamp => $seconds,
            message => { conversation => $o{text} // 'hello' },
            defined $o{name} && !$o{from_me} ? (pushName => $o{name}) : (),
        },
        $o{participant} ? (participant => $o{participant},
                           to => $chat) : (),
        %{ $o{payload} || {} },
    };

    return event($o{event} // ($o{from_me} ? 'message.any' : 'message'),
                 $o{session} // 't1', $payload,
                 map { exists $o{$_} ? ($_ => $o{$_}) : () }
                     qw(metadata me engine));
}


# names of the deliveries that WAHA made, in their order

sub fixtures {
    my @names = sort map { m{([^/]+)\.body\z} }
                     glob root() . '/t/fixtures/waha/*.body';

    return @names;
}


# one of them: its body and its headers

sub fixture {
    my ($name) = @_;

    my $path = root() . "/t/fixtures/waha/$name";
    my %headers = map { /^([^:]+): (.*?)\r?$/ ? ($1 => $2) : () }
                  split /\n/, slurp("$path.headers");

    return (slurp("$path.body"), \%headers);
}


sub session_status {
    my ($session, $status, %o) = @_;

    my $ms = int($o{timestamp} // Time::HiRes::time() * 1000);

    return event('session.status', $session,
        { name => $session, status => $status, data => undef,
          statuses => [ { status => $status, timestamp => $ms } ] },
        timestamp => $ms, %o);
}


1;
