package Waha::Standin;

# A server that behaves as WAHA does, and fails as a test demands.
#
#   my $waha = $t->standin(key => 'adminkey');
#   ... the session t1 is created at $waha->url ...
#   $waha->scan('t1', phone => '4915112345678', push_name => 'Acme');
#   is($waha->session('t1')->{status}, 'WORKING', 'logged in');
#
#   $waha->fail(match => '^GET /api/sessions', with => 'stall', times => 1);
#   $waha->heal;

use strict;
use warnings;

use parent 'Waha::Standin::Base';

use Waha::Process qw(wait_for free_port);
use Waha::Standin::Api;
use Waha::Standin::Files;
use Waha::Standin::Server;
use Waha::Standin::Session;
use Waha::Standin::Webhook;

my $count = 0;

# the file in WAHA's stack traces

my $file = '/app/dist/core/manager.core.js';

# texts of WAHA's answers that no client may see

my @texts = ($file, 'SessionManagerCore', 'Protocol error',
             'Session status is not as expected', 'Use PUT to update it',
             "We didn't find a session with name", 'is already started.',
             'async-lock timed out', 'Can request code only in',
             'waitForConnectionUpdate');


# dir (for the control socket), key, name, engine (NOWEB), and times in seconds:
# wait (before a status that does not fit is refused, 0.2; WAHA: 10), starting,
# stopping (0.05; WAHA: 1 and 3), retry (of a webhook, 0.05), lock (a command
# waits for another one, 5), idle (of a connection, 5), codes (list: how long
# each QR code is shown, 3600; WAHA: 60 and five times 20).  early: what a
# pairing code of a session that is STARTING gets, "error" (the default) or
# "never".

sub new {
    my ($class, %o) = @_;

    my $dir = delete $o{dir};
    my $port = free_port();

    my $self = bless {
        key => 'adminkey', name => 'waha-' . ++$count, engine => 'NOWEB',
        wait => 0.2, starting => 0.05, stopping => 0.05, retry => 0.05,
        lock => 5, idle => 5, early => 'error', codes => [ 3600 ], %o,
        port => $port,
    }, $class;

    $self->{host} = "$self->{name}.internal";

    return $self->launch($dir, $port);
}


sub port { return $_[0]{port} }
sub key  { return $_[0]{key} }
sub url  { return "http://127.0.0.1:$_[0]{port}" }


# The phone scans the QR code; the session is WORKING when this returns.  phone,
# push_name, lid: of the phone.  passkey: a challenge; the session is then
# PASSKEY_REQUIRED.

sub scan {
    my ($self, $name, %o) = @_;

    $o{phone} //= '79111111111';

    $self->reaches($name, 'SCAN_QR_CODE')
        or die "standin: $name shows no QR code\n";
    $self->_command('scan', $name, \%o);

    return $self->reaches($name, $o{passkey} ? 'PASSKEY_REQUIRED' : 'WORKING');
}


# The phone unlinks the session: WAHA's login is refused from now on, until the
# session is logged out.

sub unlink { return $_[0]->_command('unlink', $_[1]) }


# names of the sessions that phones show as linked devices, also of those that
# WAHA has deleted

sub devices { return @{ $_[0]->_command('devices') } }


# true when the session has the status within timeout seconds

sub reaches {
    my ($self, $name, $status, $timeout) = @_;

    return wait_for(sub {
        (($self->session($name) || {})->{status} // '') eq $status;
    }, $timeout // 60);
}


# Sets a session's status and sends its webhook.  data: of the webhook; me: the
# phone as WAHA shows it (undef: the phone has logged out).

sub status {
    my ($self, $name, $status, %o) = @_;

    return $self->_command('status', $name, $status, \%o);
}


# a session as in WAHA's answers, or undef; all sessions in the order of their
# creation; also while fail() is in force

sub session  { return $_[0]->_command('session', $_[1]) }
sub sessions { return @{ $_[0]->_command('sessions') } }


# creates a session without a request: config, start, me

sub add_session {
    my ($self, $name, %o) = @_;

    return $self->_command('add_session', $name, \%o);
}


sub remove_session { return $_[0]->_command('remove_session', $_[1]) }


# Requests since the last call, as "POST /t1/start" (without "/api/sessions"):
# those that change something, with all => 1 all of them.

sub asked {
    my ($self, %o) = @_;

    my @asked = map { "$_->{method} $_->{uri}" =~ s{/api/sessions}{}r }
                $self->requests;
    $self->clear_requests;

    return $o{all} ? @asked : grep { !/^GET / } @asked;
}


# A media file; its path.  time: when it was changed last; where: "files", or
# "s3/BUCKET".

sub add_file {
    my ($self, $session, $name, $bytes, $type, $time, $where) = @_;

    $where //= 'files';
    $self->_command('add_file', $session, $name, $bytes, $type, $time, $where);

    return "/api/$where/$session/$name";
}


sub remove_file { my ($self, @file) = @_;
                  return $self->_command('remove_file', @file) }


# sets the number of a hidden id

sub lid { my ($self, @lid) = @_; return $self->_command('lid', @lid) }


# sends an event to the webhooks of a session

sub event {
    my ($self, $name, $event, $payload) = @_;

    return $self->_command('event', $name, $event, $payload);
}


# all tries to deliver a webhook: session, event, url, body, number, status
# (0: no answer)

sub deliveries { return @{ $_[0]->_command('deliveries') } }


# true when no webhook is under way any more

sub delivered {
    my ($self, $timeout) = @_;

    return wait_for(sub { !$self->_command('pending') }, $timeout // 60);
}


# texts that no client and no log may show

sub secrets {
    my ($self) = @_;

    return ($self->{host}, @texts, @{ $self->_command('secrets') });
}


# Whether such a text is WAHA's reason for an answer, which the error log shows
# to the operator.

sub is_reason {
    my ($text) = @_;

    return scalar grep { $_ eq $text && $_ ne $file
                         && $_ ne 'SessionManagerCore' } @texts;
}


# runs in the process of the server

sub build {
    my ($self, $listen) = @_;

    srand;

    my $loop = $self->{loop};

    $self->{webhook} = Waha::Standin::Webhook->new(loop => $loop,
        engine => $self->{engine}, delay => $self->{retry});
    $self->{sessions} = Waha::Standin::Session->new(loop => $loop,
        webhook => $self->{webhook},
        map { $_ => $self->{$_} } qw(starting stopping codes));
    $self->{api} = Waha::Standin::Api->new(sessions => $self->{sessions},
        file => $file,
        map { $_ => $self->{$_} } qw(key engine name wait lock early));
    $self->{server} = Waha::Standin::Server->new(loop => $loop,
        listen => $listen, api => $self->{api},
        map { $_ => $self->{$_} } qw(port host idle));
}


sub _known {
    my ($self, $name) = @_;

    return $self->{sessions}->find($name) // die "no session $name\n";
}


sub _on_scan {
    my ($self, $name, $o) = @_;

    $self->{sessions}->scan($self->_known($name), %$o);
    return;
}


sub _on_status {
    my ($self, $name, $status, $o) = @_;

    my $s = $self->_known($name);

    $s->{life}++;
    $s->{me} = $o->{me} if exists $o->{me};
    $s->{login} = $o->{me} if exists $o->{me};
    $self->{sessions}->status($s, $status, $o->{data});
    return;
}


sub _on_unlink {
    my ($self, $name) = @_;

    $self->{sessions}->unlink($self->_known($name));
    return;
}


sub _on_devices { return [ $_[0]{sessions}->devices ] }


sub _on_session {
    my ($self, $name) = @_;

    my $s = $self->{sessions}->find($name) or return;

    return { %{ $self->{api}->info($s) },
             map { $_ => $s->{$_} } qw(qr pairing credential data statuses) };
}


sub _on_sessions {
    my ($self) = @_;

    return [ map { $self->_on_session($_->{name}) } $self->{sessions}->all ];
}


sub _on_add_session {
    my ($self, $name, $o) = @_;

    my $s = $self->{sessions}->create($name, $o->{config} || {});

    $self->{sessions}->link($s, $o->{me}) if $o->{me};
    $self->{sessions}->start($s) if $o->{start};
    return;
}


sub _on_remove_session { $_[0]{sessions}->remove($_[1]); return }

sub _on_add_file {
    my ($self, @file) = @_;

    Waha::Standin::Files::add($self->{api}, @file);
    return;
}


sub _on_remove_file { delete $_[0]{api}{files}{"files/$_[1]/$_[2]"}; return }

sub _on_lid { $_[0]{api}{lids}{ $_[1] } = $_[2]; return }


sub _on_event {
    my ($self, $name, $event, $payload) = @_;

    $self->{webhook}->event($self->_known($name), $event, $payload);
    return;
}


sub _on_deliveries { return $_[0]{webhook}->log }
sub _on_pending    { return $_[0]{webhook}->pending }


sub _on_secrets {
    my ($self) = @_;

    my %secret = map { $_ => 1 } $self->{key}, keys %{ $self->{api}{keys} };

    for my $config ($self->{sessions}->configs) {
        $secret{$_} = 1 for grep { defined && length }
            $config->{proxy}{password},
            map { $_->{hmac}{key},
                  map { $_->{value} } @{ $_->{customHeaders} || [] } }
            @{ $config->{webhooks} || [] };
    }

    return [ sort keys %secret ];
}


1;
