package Waha::Standin::Session;

# The sessions of the stand-in, with the statuses that they go through.

use strict;
use warnings;

use Digest::SHA ();
use MIME::Base64 ();
use Time::HiRes ();

my $codes = 0;


# loop, webhook, starting and stopping (seconds), codes (list of seconds: how
# long each QR code is valid)

sub new {
    my ($class, %o) = @_;

    return bless { %o, session => {}, waiting => [], lock => {},
                   configs => [], devices => {}, number => 0 }, $class;
}


sub find { return $_[0]{session}{ $_[1] } }


sub all {
    my ($self) = @_;

    return sort { $a->{number} <=> $b->{number} }
           values %{ $self->{session} };
}


sub create {
    my ($self, $name, $config) = @_;

    my $s = $self->{session}{$name} = {
        name => $name, status => 'STOPPED', me => undef, statuses => [],
        data => undef, life => 0, number => ++$self->{number},
    };
    $self->configure($s, $config);

    return $s;
}


sub configure {
    my ($self, $s, $config) = @_;

    $s->{config} = $config;
    push @{ $self->{configs} }, $config if $config;
}


# all configurations since the start, for the secrets in them

sub configs { return @{ $_[0]{configs} } }


sub remove {
    my ($self, $name) = @_;

    my $s = delete $self->{session}{$name} or return;
    $s->{life}++;
}


# The phone is linked to the session.  login: what WAHA has stored to log in
# again; me: the phone as WAHA shows it.

sub link {
    my ($self, $s, $me) = @_;

    $s->{me} = $s->{login} = $me;
    $self->{devices}{ $s->{name} } = $me;
}


# Forgets the login.  The phone is told only while the session runs; it goes on
# to show the device otherwise.

sub logout {
    my ($self, $s) = @_;

    delete $self->{devices}{ $s->{name} }
        if $s->{login} && $s->{status} eq 'WORKING';
    $s->{me} = $s->{login} = undef;
}


# names of the sessions that phones show as linked devices

sub devices { return sort keys %{ $_[0]{devices} } }


# The phone unlinks the session, which stays FAILED: the login is refused from
# then on.

sub unlink {
    my ($self, $s) = @_;

    $s->{life}++;
    $s->{me} = undef;
    delete $self->{devices}{ $s->{name} };
    $self->status($s, 'FAILED');
}


sub running {
    my ($self, $s) = @_;

    return $s->{status} ne 'STOPPED';
}


# sets the status, sends webhooks, continues requests that wait for the status

sub status {
    my ($self, $s, $status, $data) = @_;

    my $now = int(Time::HiRes::time() * 1000);
    my $last = $s->{statuses}[-1];
    $now = $last->{timestamp} + 1 if $last && $now <= $last->{timestamp};

    $s->{status} = $status;
    $s->{data} = $data;
    push @{ $s->{statuses} }, { status => $status, timestamp => $now };
    shift @{ $s->{statuses} } if @{ $s->{statuses} } > 3;

    $s->{qr} = $self->_code if $status eq 'SCAN_QR_CODE';

    $self->{webhook}->event($s, 'session.status', {
        name => $s->{name}, status => $status, data => $data,
        statuses => [ @{ $s->{statuses} } ] });

    $self->_wake($s);
}


sub _code {
    my $seed = Digest::SHA::sha512($$ . Time::HiRes::time() . ++$codes);

    return '2@' . join ',', map { MIME::Base64::encode_base64($_, '') }
                            substr($seed, 0, 32), substr($seed, 32, 16),
                            substr($seed, 48);
}


# calls the code unless another command has changed the session by then

sub _later {
    my ($self, $s, $seconds, $code) = @_;

    my $life = $s->{life};

    $self->{loop}->after($seconds, sub { $code->() if $s->{life} == $life });
}


sub start {
    my ($self, $s) = @_;

    $s->{life}++;
    $self->status($s, 'STARTING');

    $self->_later($s, $self->{starting}, sub {
        return $self->_show($s, @{ $self->{codes} }) if !$s->{login};
        return $self->status($s, 'FAILED')
            if !$self->{devices}{ $s->{name} };

        $s->{me} = $s->{login};
        $self->status($s, 'WORKING');
    });
}


# shows one QR code after the other; without a scan the session is FAILED

sub _show {
    my ($self, $s, $seconds, @more) = @_;

    return $self->status($s, 'FAILED') if !defined $seconds;

    $self->status($s, 'SCAN_QR_CODE');
    $self->_later($s, $seconds, sub { $self->_show($s, @more) });
}


# calls then once the session has stopped; the phone is shown afterwards only
# if the session worked

sub stop {
    my ($self, $s, $then) = @_;

    return $then->() if !$self->running($s);

    $s->{life}++;
    $s->{me} = undef if $s->{status} ne 'WORKING';
    $self->_later($s, $self->{stopping}, sub {
        $self->status($s, 'STOPPED');
        $then->();
    });
}


# the phone has scanned the code; passkey: a challenge comes before the login

sub scan {
    my ($self, $s, %o) = @_;

    $s->{life}++;
    $s->{next} = { id => "$o{phone}\@c.us",
                   defined $o{push_name} ? (pushName => $o{push_name}) : (),
                   defined $o{lid} ? (lid => "$o{lid}\@lid") : () };

    return $self->status($s, 'PASSKEY_REQUIRED', $o{passkey}) if $o{passkey};

    $self->login($s);
}


sub login {
    my ($self, $s) = @_;

    $s->{life}++;
    $self->link($s, delete $s->{next} // { id => '79111111111@c.us' });
    $self->status($s, 'STARTING');
    $self->_later($s, $self->{starting},
                  sub { $self->status($s, 'WORKING') });
}


# calls ok as soon as the session has one of the statuses, or late when that
# does not happen within seconds

sub when {
    my ($self, $name, $expected, $seconds, $ok, $late) = @_;

    my $s = $self->find($name);
    return $ok->($s) if $s && grep { $_ eq $s->{status} } @$expected;

    my $waiting = { name => $name, expected => $expected, ok => $ok };
    push @{ $self->{waiting} }, $waiting;

    $self->{loop}->after($seconds, sub {
        return if $waiting->{done}++;
        @{ $self->{waiting} } = grep { !$_->{done} } @{ $self->{waiting} };
        $late->($self->find($name));
    });
}


sub _wake {
    my ($self, $s) = @_;

    for my $waiting (@{ $self->{waiting} }) {
        next if $waiting->{done} || $waiting->{name} ne $s->{name};
        next if !grep { $_ eq $s->{status} } @{ $waiting->{expected} };

        $waiting->{done} = 1;
        $waiting->{ok}->($s);
    }

    @{ $self->{waiting} } = grep { !$_->{done} } @{ $self->{waiting} };
}


# Runs the commands of a session one after the other.  code gets a sub to call
# at its end; late is called instead if the command has to wait too long.

sub locked {
    my ($self, $name, $seconds, $code, $late) = @_;

    my $entry = { code => $code };
    push @{ $self->{lock}{$name} }, $entry;

    return $self->_enter($name) if @{ $self->{lock}{$name} } == 1;

    $self->{loop}->after($seconds, sub {
        return if $entry->{entered};

        my $queue = $self->{lock}{$name};
        @$queue = grep { $_ != $entry } @$queue;
        $late->();
    });
}


sub _enter {
    my ($self, $name) = @_;

    my $queue = $self->{lock}{$name};
    my $entry = $queue->[0] or return delete $self->{lock}{$name};

    $entry->{entered} = 1;
    $entry->{code}->(sub {
        return if $entry->{left}++;
        shift @$queue;
        $self->_enter($name);
    });
}


1;
