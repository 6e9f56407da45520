package Waha::Standin::Base;

# A stand-in's process: its servers, which log requests and fail as a test
# demands, and the socket by which the test commands it.
#
# A stand-in calls launch() and has a method build(), which makes
# $self->{server} and what it serves; a command "name" is its method _on_name.

use strict;
use warnings;

use IO::Socket::INET ();
use IO::Socket::UNIX ();
use JSON::PP ();
use POSIX ();
use Socket qw(SOCK_STREAM);

use Waha::Process qw(child reap);
use Waha::Standin::Fault;
use Waha::Standin::Loop;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $count = 0;


# starts the process, which listens on the ports; dir: of the control socket

sub launch {
    my ($self, $dir, @ports) = @_;

    $self->{path} = "$dir/standin$$-" . ++$count . '.sock';

    my @listen = map {
        IO::Socket::INET->new(Listen => 511, ReuseAddr => 1,
            LocalAddr => "127.0.0.1:$_") or die "standin: $!";
    } @ports;
    my $control = IO::Socket::UNIX->new(Type => SOCK_STREAM, Listen => 64,
        Local => $self->{path}) or die "standin: $!";

    $self->{pid} = child(sub { $self->_serve($control, @listen) });
    close $_ for @listen, $control;

    return $self;
}


# All requests in order: method, uri, path, query, args, headers, body, data
# (decoded), connection (number), time, status (of the answer), fault, aborted
# (the client did not wait).  match: only those whose "GET /path?query" fits.

sub requests {
    my ($self, $match) = @_;

    my $log = $self->_command('requests');

    return @$log if !defined $match;
    return grep { "$_->{method} $_->{uri}" =~ $match } @$log;
}


sub clear_requests { return $_[0]->_command('clear_requests') }


# From now on requests whose "GET /path?query" fits match fail; times: so many
# of them.  with:
#
#   refuse      connections are refused, open ones are closed (match and times
#               do not count)
#   stall       no answer
#   close, reset    the connection is closed, with FIN or with RST
#   truncate, truncate_chunked    half of the body, then the end
#   hang        half of the body, then nothing more
#   garbage     bytes that are no HTTP
#   html, not_json, empty         200 with a body that is no JSON
#   error500    WAHA's own answer to an error, with its stack
#   status => n    any answer: body, type, headers
#   code => n   Graph's answer to an error: subcode, http (the status)
#   huge => n   that many bytes of JSON
#   slow => s   the right answer after so many seconds
#   trickle     the right answer byte by byte (trickle => seconds between)
#
# acts => 1: WAHA does what it was asked for, and only the answer fails; always
# so for slow, trickle, hang and truncate.

sub fail {
    my ($self, %o) = @_;

    Waha::Standin::Fault->new(%o);
    $o{match} = "$o{match}" if defined $o{match};

    return $self->_command('fail', \%o);
}


sub heal { return $_[0]->_command('heal') }


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return 1;

    eval { $self->_command('end') };
    my $status = reap($pid, 60);
    Waha::Process::kill_hard($pid) if !defined $status;

    return defined $status && $status == 0;
}


sub _command {
    my ($self, @command) = @_;

    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM,
        Peer => $self->{path}) or die "standin: $!";

    print $socket $json->encode(\@command), "\n";
    $socket->flush;

    local $/;
    my $answer = $json->decode(<$socket> || '{"error":"it has ended"}');
    die "standin: $answer->{error}" if defined $answer->{error};

    return $answer->{value};
}


# runs in the process of the server

sub _serve {
    my ($self, $control, @listen) = @_;

    local $SIG{PIPE} = 'IGNORE';

    # A connection of the test must end when the test closes it.  The number
    # stays in use: Perl would never close another file that gets it.
    open my $null, '<', '/dev/null' or die "/dev/null: $!";
    my %ours = map { $_ => 1 } 0 .. 2, map { fileno $_ } $null, $control,
                                                         @listen;
    POSIX::dup2(fileno $null, $_) for grep { !$ours{$_} } map { m{(\d+)$} }
                                      glob '/proc/self/fd/*';

    my $loop = $self->{loop} = Waha::Standin::Loop->new;

    $self->build(@listen);

    $loop->watch($control, sub { $self->_control($control->accept) });
    $loop->run;
}


sub _control {
    my ($self, $socket) = @_;

    my $line = <$socket> // return;
    my ($what, @rest) = @{ $json->decode($line) };

    my $method = $self->can("_on_$what");
    my $value = eval { $self->$method(@rest) };

    print $socket $json->encode($@ ? { error => "$@" } : { value => $value });
    close $socket;
}


sub _on_requests       { return $_[0]{server}->log }
sub _on_clear_requests { $_[0]{server}->clear; return }


sub _on_fail {
    my ($self, $o) = @_;

    $self->{server}->fail(Waha::Standin::Fault->new(%$o));
    return;
}


sub _on_heal { $_[0]{server}->heal; return }
sub _on_end  { $_[0]{loop}->end; return }


1;
