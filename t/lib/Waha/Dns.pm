package Waha::Dns;

# A name server on 127.0.0.1 for UDP, whose answers a test changes.
#
#   my $dns = Waha::Dns->new;
#   $dns->set('db.test', A => [ '127.0.0.1' ], AAAA => [ '::1' ], ttl => 60);
#   $dns->set('db.test', rcode => 'SERVFAIL');      # or NXDOMAIN
#   $dns->set('db.test', silent => 1);
#
# A name that was not set does not exist.  The usual ttl is 0: nginx asks again
# in the next second.

use strict;
use warnings;

use IO::Socket::INET ();
use JSON::PP ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC inet_pton AF_INET AF_INET6);

use Waha::Process qw(child);

my %type = (1 => 'A', 28 => 'AAAA');
my %rcode = (NOERROR => 0, SERVFAIL => 2, NXDOMAIN => 3, REFUSED => 5);


sub new {
    my ($class) = @_;

    my $udp = IO::Socket::INET->new(Proto => 'udp',
        LocalAddr => '127.0.0.1:0') or die "dns: $!";

    socketpair my $here, my $there, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";
    $_->autoflush(1) for $here, $there;

    my $pid = child(sub { close $here; _serve($udp, $there) });

    return bless { port => $udp->sockport, pid => $pid, control => $here },
                 $class;
}


sub port { return $_[0]{port} }


# what a name is answered from now on

sub set {
    my ($self, $name, %answer) = @_;

    return $self->_command({ set => $name, answer => \%answer });
}


# how many questions about a name have arrived

sub asked {
    my ($self, $name) = @_;

    return $self->_command({ asked => $name });
}


sub _command {
    my ($self, $command) = @_;

    my $fh = $self->{control};
    print $fh JSON::PP::encode_json($command), "\n";
    my $answer = <$fh> // die 'the name server is gone';
    chomp $answer;

    return $answer;
}


sub _serve {
    my ($udp, $control) = @_;

    my (%answer, %asked);

    while (1) {
        my $read = '';
        vec($read, fileno $_, 1) = 1 for $udp, $control;

        next if select($read, undef, undef, undef) < 0;

        if (vec($read, fileno $control, 1)) {
            my $c = JSON::PP::decode_json(<$control> // return);

            $answer{ lc $c->{set} } = $c->{answer} if defined $c->{set};
            print $control $asked{ lc($c->{asked} // '') } // 0, "\n";
        }

        if (vec($read, fileno $udp, 1)) {
            my $peer = recv $udp, my $question, 4096, 0;
            my ($name, $reply) = _reply($question, \%answer);

            $asked{$name}++;
            send $udp, $reply, 0, $peer if defined $reply;
        }
    }
}


# the name in a question, and the reply; none if the server is silent

sub _reply {
    my ($question, $answers) = @_;

    my ($id, $flags, $count, $rest) = unpack 'nnnx6a*', $question;
    my @labels;

    while (length $rest) {
        my $label = unpack 'C/a', $rest;
        substr $rest, 0, 1 + length $label, '';
        last if $label eq '';
        push @labels, $label;
    }

    my $name = lc join '.', @labels;
    my $type = $type{ unpack 'n', $rest } // '';
    my $answer = $answers->{$name} // { rcode => 'NXDOMAIN' };

    return $name if $answer->{silent};

    my @data = map { inet_pton($type eq 'A' ? AF_INET : AF_INET6, $_) }
               @{ $answer->{$type} || [] };
    my $length = 4 + length join '', map { pack 'C/a', $_ } @labels, '';
    my $code = $rcode{ $answer->{rcode} // 'NOERROR' };

    # 0xc00c points to the name in the question

    return ($name, pack('nnnnnn', $id, 0x8180 | $code, 1, scalar @data, 0, 0)
                   . substr($question, 12, $length)
                   . join '', map { pack 'nnnNn/a', 0xc00c, unpack('n', $rest),
                                         1, $answer->{ttl} // 0, $_ } @data);
}


1;
