package Waha::Test;

# The test library: a scratch directory with a private PostgreSQL and nginx, and
# webhooks to send.  At the end the logs are searched for alerts, and nothing is
# left behind.  It brings strict, warnings and Test::More.
#
#   use Waha::Test;
#
#   my $t = Waha::Test->new;
#   my $pg = $t->postgres;
#   $pg->organization('acme', session => 't1');
#   $t->nginx->start;
#
#   my $r = $t->webhook($t->message(text => 'hi'));
#   is($r->{status}, 200, 'a signed message is taken');
#
#   $t->done;

use strict;
use warnings;

use File::Temp ();
use JSON::PP ();
use Test::More ();

use Waha::File;
use Waha::Graph;
use Waha::HTTP;
use Waha::Message ();
use Waha::Nginx;
use Waha::Postgres;
use Waha::Process qw(wait_for);
use Waha::Standin;

my $current;


my $default_conf = <<'EOF_CONF';
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" %%DATABASE%%;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
            client_max_body_size 8m;
        }
    }
}
EOF_CONF


sub import {
    strict->import;
    warnings->import;

    my $caller = caller;
    no strict 'refs';
    *{"${caller}::$_"} = \&{"Test::More::$_"}
        for qw(ok is isnt like unlike cmp_ok is_deeply pass fail diag note
               plan done_testing BAIL_OUT subtest explain);
    *{"${caller}::$_"} = \&$_
        for qw(wait_for root source sources slurp spew spew_secret bearer
               refused seed has_sanitizer);
}


# true if nginx is built with AddressSanitizer, the module in it

sub has_sanitizer {
    my $binary = $ENV{TEST_NGINX_BINARY} // '';

    return $binary ne '' && slurp($binary) =~ /__asan_init/;
}


# timeout: seconds after which the test fails as a whole (3600)

sub new {
    my ($class, %o) = @_;

    delete @ENV{ grep { /^PG/ } keys %ENV };

    umask 022;
    my $dir = File::Temp::tempdir('waha-test-XXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    Waha::Process::guard_dir($dir);

    my $self = bless { dir => $dir, owner => $$, postgres => [],
                       nginx => [], standins => [] }, $class;
    $current = $self;

    $SIG{PIPE} = 'IGNORE';
    $SIG{INT} = sub { exit 130 };
    $SIG{TERM} = $SIG{HUP} = sub { exit 143 };
    $SIG{ALRM} = sub { Test::More::diag('the test takes too long'); exit 142 };
    alarm($o{timeout} // 3600);

    return $self;
}


sub dir { return $_[0]{dir} }


sub postgres {
    my ($self, %o) = @_;

    my $number = @{ $self->{postgres} };
    my $pg = Waha::Postgres->new(dir => "$self->{dir}/pg$number", %o);
    push @{ $self->{postgres} }, $pg;

    return $pg;
}


# An nginx that is configured but not started: conf, workers, vars.  %%DSN%% is
# the first PostgreSQL of the test, %%DATABASE%% stands for more parameters in
# the default configuration.  Without arguments: the last nginx, if any.

sub nginx {
    my ($self, %o) = @_;

    return $self->{nginx}[-1] if !%o && @{ $self->{nginx} };

    my $number = @{ $self->{nginx} };
    my $pg = $self->{postgres}[0];
    my %vars = (DATABASE => '', $pg ? (DSN => $pg->dsn) : (),
                %{ $o{vars} || {} });

    my $nginx = Waha::Nginx->new(dir => "$self->{dir}/nginx$number",
        conf => $default_conf, %o, vars => \%vars);
    push @{ $self->{nginx} }, $nginx;

    return $nginx;
}


# a stand-in for WAHA: see Waha::Standin

sub standin {
    my ($self, %o) = @_;

    my $standin = Waha::Standin->new(dir => $self->{dir}, %o);
    push @{ $self->{standins} }, $standin;

    return $standin;
}


# a stand-in for Meta's Graph API: see Waha::Graph

sub graph {
    my ($self, %o) = @_;

    my $graph = Waha::Graph->new(dir => $self->{dir}, %o);
    push @{ $self->{standins} }, $graph;

    return $graph;
}


sub start       { my $self = shift; $self->nginx->start(@_); return $self }
sub stop        { my $self = shift; return $self->nginx->stop(@_) }
sub reload      { my $self = shift; return $self->nginx->reload(@_) }
sub port        { my $self = shift; return $self->nginx->port(@_) }
sub error_log   { my $self = shift; return $self->nginx->error_log(@_) }
sub worker_pids { my $self = shift; return $self->nginx->worker_pids(@_) }


sub http {
    my ($self, %o) = @_;

    return Waha::HTTP->new(port => $self->port, %o);
}


# Sends a webhook; its answer.  The body is a text or a hash.  key: signs it
# ('hmackey'; undef: no signature); headers: added, or with undef removed; path;
# http: the client.

sub webhook {
    my ($self, $body, %o) = @_;

    $body = Waha::Message::encode($body) if ref $body;

    my $http = $o{http} // $self->http;

    return $http->post($o{path} // '/api/whatsapp/webhook',
                       $self->headers($body, %o), $body);
}


# Sends a webhook without waiting; the client, whose answer() can be read later.
# bytes: only so many of the body are sent.

sub send_webhook {
    my ($self, $body, %o) = @_;

    my $http = $o{http} // $self->http;
    my $request = $http->format('POST', $o{path} // '/api/whatsapp/webhook',
                                $self->headers($body, %o), $body);

    substr($request, $o{bytes} - length $body) = '' if defined $o{bytes};

    $http->connect or die 'no connection to nginx';
    $http->send($request) or die 'nginx takes no request';

    return $http;
}


# the headers of WAHA's webhooks

sub headers {
    my ($self, $body, %o) = @_;

    my $key = exists $o{key} ? $o{key} : 'hmackey';

    return {
        'Content-Type' => 'application/json',
        'User-Agent'   => 'WAHA/2026.7.1',
        'X-Webhook-Request-Id' => 'test',
        'X-Webhook-Timestamp'  => time . '000',
        defined $key ? ('X-Webhook-Hmac' => Waha::Message::sign($body, $key),
                        'X-Webhook-Hmac-Algorithm' => 'sha512') : (),
        %{ $o{headers} || {} },
    };
}


sub sign    { my $self = shift; return Waha::Message::sign(@_) }
sub event   { my $self = shift; return Waha::Message::event(@_) }
sub message { my $self = shift; return Waha::Message::message(@_) }

sub session_status {
    my $self = shift;
    return Waha::Message::session_status(@_);
}


sub fixtures { return Waha::Message::fixtures() }
sub fixture  { my $self = shift; return Waha::Message::fixture(@_) }


# Seeds rand(): with TEST_SEED, with what the test gives, or with a number that
# the output shows.

sub seed {
    my $seed = $ENV{TEST_SEED} // $_[0] // time ^ $$;

    Test::More::note("TEST_SEED=$seed repeats this run");
    srand $seed;

    return $seed;
}


# tests that an answer of the webhook or of the API refuses with a status and
# a code, or one of the codes that a pattern names

sub refused {
    my ($r, $status, $code, $name) = @_;

    # a failure has the line of the caller
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::is($r->{status}, $status, "$name: status $status")
        or Test::More::diag($r->{body});
    my $same = ref $code ? \&Test::More::like : \&Test::More::is;
    $same->($r->{json}{code}, $code, "$name: code $code");
    Test::More::is($r->{json}{success}, JSON::PP::false,
                   "$name: success is false");
    Test::More::ok(length($r->{json}{error} // ''),
                   "$name: a sentence says why");
}


# ends all servers and searches their logs; the last call of a test

sub done {
    my ($self) = @_;

    my @bad = $self->_end;
    Test::More::is_deeply(\@bad, [], 'the logs hold no alert');
    Test::More::done_testing();
}


sub _end {
    my ($self) = @_;

    return if $self->{ended}++;

    my @bad;

    # first, so that nginx does not wait for their answers
    for my $standin (@{ $self->{standins} }) {
        $standin->stop or push @bad, 'a stand-in did not end';
    }

    for my $nginx (@{ $self->{nginx} }) {
        $nginx->stop;
        push @bad, $nginx->complaints;
    }

    $_->stop for @{ $self->{postgres} };

    return @bad;
}


END {
    if ($current && $current->{owner} == $$) {
        my $status = $?;

        alarm 0;
        local @SIG{qw(INT TERM HUP)} = ('IGNORE') x 3;

        # the guard ends what a failed test has left
        my @bad = $status ? () : eval { $current->_end };
        Test::More::diag($_) for @bad, $@ || ();
        Waha::Process::guard_end();

        $? = $status || (@bad || $@ ? 1 : 0);
    }
}


1;
