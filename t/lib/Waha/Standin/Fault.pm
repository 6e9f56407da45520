package Waha::Standin::Fault;

# Answers of the stand-in that are spoiled by a fault.

use strict;
use warnings;

# these need the right answer

my %acts = map { $_ => 1 } qw(slow trickle hang truncate
                               truncate_chunked);

my %spoil = (
    close     => sub { my ($s, $c) = @_; $s->drop($c) },
    reset     => sub { my ($s, $c) = @_; $s->drop($c, 1) },
    stall     => sub { },
    garbage   => \&_garbage,
    slow      => \&_slow,
    trickle   => \&_trickle,
    hang      => \&_hang,
    truncate  => \&_truncate,
    truncate_chunked => \&_truncate_chunked,
);

my %answer = (
    html     => sub { ({ status => 200, type => 'text/html; charset=utf-8',
                         body => "<html><body><h1>Welcome to "
                                 . "$_[0]{host}</h1></body></html>\n" }) },
    not_json => sub { ({ status => 200,
                         type => 'application/json; charset=utf-8',
                         body => "{\"name\": oops, $_[0]{host}" }) },
    empty    => sub { ({ status => 200 }) },
    status   => sub { ({ status => $_[1]{status},
                         type => $_[1]{type} // 'application/json',
                         body => $_[1]{body} // '',
                         headers => $_[1]{headers} }) },
    huge     => sub { ({ status => 200,
                         type => 'application/json; charset=utf-8',
                         body => '{"name":"' . 'x' x ($_[1]{huge} - 11)
                                 . '"}' }) },
    error500 => sub { $_[0]{api}->error($_[2], 'Error',
                         'Protocol error: Session closed') },
    code     => sub { $_[0]{api}->refusal(@{ $_[1] }{qw(code subcode http)}) },
);


# A fault from the arguments of fail(): match, with, times, acts, and a value
# under the fault's own name.

sub new {
    my ($class, %o) = @_;

    my @given = grep { $spoil{$_} || $answer{$_} } keys %o;
    $o{with} //= @given == 1 ? $given[0] : die "fail: with what?\n";

    die "fail: unknown '$o{with}'\n"
        if !$spoil{ $o{with} } && !$answer{ $o{with} }
           && $o{with} ne 'refuse';
    die "fail: $o{with} => value is missing\n"
        if $o{with} =~ /^(status|huge|slow|code)$/ && !defined $o{ $o{with} };

    $o{match} //= '';
    $o{match} = qr/$o{match}/;
    $o{acts} ||= $acts{ $o{with} };

    return \%o;
}


sub spoil {
    my ($server, $c, $request, $fault, $answer) = @_;

    my $with = $fault->{with};

    if (my $make = $answer{$with}) {
        return $server->reply($c, $request,
                              $make->($server, $fault, $request));
    }

    $spoil{$with}->($server, $c, $request, $fault, $answer);
}


sub _garbage {
    my ($server, $c) = @_;

    $server->send($c, "\0\1\2\xff SSH-2.0-$server->{host}\r\n\r\n\xfe" x 3, 1);
}


sub _slow {
    my ($server, $c, $request, $fault, $answer) = @_;

    $server->{loop}->after($fault->{slow}, sub {
        $server->reply($c, $request, $answer)
            if $server->{connections}{ $c->{number} };
    });
}


# the right answer byte by byte; trickle: seconds between two bytes (0.001)

sub _trickle {
    my ($server, $c, $request, $fault, $answer) = @_;

    my ($bytes, $keep) = $server->format($request, $answer);
    my $pause = $fault->{trickle} // 0.001;
    my $next;

    $c->{held} = 1;

    $next = sub {
        return undef $next if !$server->{connections}{ $c->{number} };

        my $byte = substr $bytes, 0, 1, '';
        my $last = !length $bytes;

        $c->{held} = 0 if $last;
        $server->send($c, $byte, $last && !$keep);
        return undef $next if $last;

        $server->{loop}->after($pause, $next);
    };

    $next->();
}


# half of the body, then nothing more

sub _hang {
    my ($server, $c, $request, $fault, $answer) = @_;

    $c->{held} = 1;
    $server->send($c, _half($server, $request, $answer));
}


# half of the body, then the end

sub _truncate {
    my ($server, $c, $request, $fault, $answer) = @_;

    $server->send($c, _half($server, $request, $answer), 1);
}


sub _half {
    my ($server, $request, $answer) = @_;

    my ($bytes) = $server->format($request, $answer);
    my ($head, $body) = split /\r\n\r\n/, $bytes, 2;

    ($bytes) = $server->format($request, $answer,
                               length => length $body || 100);
    my $missing = int(length($body) / 2 + 0.5);
    substr($bytes, -$missing) = '' if $missing;

    return $bytes;
}


sub _truncate_chunked {
    my ($server, $c, $request, $fault, $answer) = @_;

    my %chunked = (%$answer, headers => [ @{ $answer->{headers} || [] },
                                  [ 'Transfer-Encoding', 'chunked' ] ]);
    my ($bytes) = $server->format($request, \%chunked, length => undef);
    my ($head, $body) = split /\r\n\r\n/, $bytes, 2;
    my $half = substr $body, 0, length($body) / 2;

    $half = '{' if !length $half;
    $server->send($c, sprintf("%s\r\n\r\n%x\r\n%s\r\n", $head, length $half,
                              $half), 1);
}


1;
