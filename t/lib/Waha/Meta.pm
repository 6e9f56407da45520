package Waha::Meta;

# Notifications of Meta's Cloud API, made and signed as Meta makes and signs
# them, and connections that verify them.
#
#   my $meta = Waha::Meta->new($t, $pg);          # writes the key files
#   $meta->connect('acme', '100200300', secret => 'own');
#
#   my $r = $meta->post(text(id => 'wamid.A', number => '100200300'),
#                       connection => $meta->connection('100200300'));

use strict;
use warnings;

use Digest::SHA ();
use JSON::PP ();

use Waha::File;
use Waha::Sealed ();

use Exporter qw(import);
our @EXPORT_OK = qw(sign text status notification change);

our $SECRET = '0123456789abcdef0123456789abcdef';
our $VERIFY = 'the operator asks';

my $json = JSON::PP->new->ascii->canonical;
my $sequence = 0;


# key files of nginx: app.secret, verify.token, ring.key

sub new {
    my ($class, $t, $pg) = @_;

    my $self = bless { t => $t, pg => $pg, connections => {},
                       ring => join '', map { chr int rand 256 } 1 .. 32 },
               $class;

    $self->{dir} = $t->dir . '/meta';
    mkdir $self->{dir} or die "$self->{dir}: $!";

    spew_secret("$self->{dir}/app.secret", $SECRET);
    spew_secret("$self->{dir}/verify.token", $VERIFY);
    spew_secret("$self->{dir}/ring.key", unpack 'H*', $self->{ring});

    return $self;
}


# variables of a configuration

sub vars {
    my ($self) = @_;

    return (SECRET => "$self->{dir}/app.secret",
            VERIFY => "$self->{dir}/verify.token",
            RING => "$self->{dir}/ring.key");
}


# Connects an organization to a number; the id of the connection.  secret,
# verify: of an app of its own (none: the operator's); account; id.

sub connect {
    my ($self, $organization, $number, %o) = @_;

    my $id = $o{id} // $self->{connections}{$number}
             // sprintf '%032d', ++$sequence . $number;
    $id = substr $id, -32;

    my %details = (account => $o{account} // "9$number",
        own_secret => defined $o{secret} ? JSON::PP::true : JSON::PP::false,
        defined $o{verify}
            ? (verify_token_hash => Digest::SHA::sha256_hex($o{verify})) : (),
        defined $o{secret}
            ? (app_secret => $self->seal($organization, $id, $o{secret})) : (),
    );

    my $code = $self->{pg}->value('select coalesce(code, \'\') from '
        . 'waha.connect_number(' . join(', ', map { _quote($_) }
              $organization, $number, $id, $json->encode(\%details)) . ')');
    die "connect_number: $code" if $code;

    return $self->{connections}{$number} = $id;
}


sub seal {
    my ($self, $organization, $id, $secret) = @_;

    return Waha::Sealed::seal('ring', $self->{ring},
                [ 'connections', $organization, $id, 'app_secret' ], $secret);
}


sub connection { return $_[0]{connections}{ $_[1] } }


# Sends a notification, a text or a hash; its answer.  secret: signs it (the
# operator's; undef: no signature), connection: an id, headers, http, path.

sub post {
    my ($self, $body, %o) = @_;

    my ($path, $headers, $text) = $self->request($body, %o);

    return ($o{http} // $self->{t}->http)->post($path, $headers, $text);
}


# path, headers and body

sub request {
    my ($self, $body, %o) = @_;

    $body = $json->encode($body) if ref $body;

    my $path = $o{path} // '/api/whatsapp/webhook'
               . (defined $o{connection} ? "/$o{connection}" : '');
    my $secret = exists $o{secret} ? $o{secret} : $SECRET;

    return ($path, { 'Content-Type' => 'application/json',
        'User-Agent' => 'facebookexternalua',
        defined $secret
            ? ('X-Hub-Signature-256' => sign($body, $secret)) : (),
        %{ $o{headers} || {} } }, $body);
}


sub sign {
    my ($body, $secret) = @_;

    return 'sha256=' . Digest::SHA::hmac_sha256_hex($body, $secret // $SECRET);
}


# An inbound message: id, from, name, text, timestamp, message (members of it);
# what a change needs: number, account.

sub text {
    my (%o) = @_;

    my $from = $o{from} // '5511988887777';

    return notification(change(%o, messages => [ {
        from => $from,
        id => $o{id} // sprintf('wamid.TEST%d.%d', $$, ++$sequence),
        timestamp => '' . int($o{timestamp} // time), type => 'text',
        text => { body => $o{text} // 'hello' },
        %{ $o{message} || {} },
    } ], contacts => [ { wa_id => $from,
                         profile => { name => $o{name} // 'Ana' } } ]));
}


# of a message: id, status, to, timestamp

sub status {
    my (%o) = @_;

    return notification(change(%o, statuses => [ {
        id => $o{id}, status => $o{status},
        timestamp => '' . int($o{timestamp} // time),
        recipient_id => $o{to} // '5511988887777',
    } ]));
}


# an entry: number, account, field, messages, statuses, contacts, value

sub change {
    my (%o) = @_;

    my $number = $o{number} // '100200300';

    return {
        id => $o{account} // "9$number",
        changes => [ {
            field => $o{field} // 'messages',
            value => $o{value} // {
                messaging_product => 'whatsapp',
                metadata => { display_phone_number => '5511900000001',
                              phone_number_id => $number },
                map { $o{$_} ? ($_ => $o{$_}) : () }
                    qw(contacts messages statuses),
            },
        } ],
    };
}


sub notification {
    my (@entries) = @_;

    return { object => 'whatsapp_business_account', entry => \@entries };
}


sub _quote {
    my ($text) = @_;

    $text =~ s/'/''/g;

    return "'$text'";
}


1;
