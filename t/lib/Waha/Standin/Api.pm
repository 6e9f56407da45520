package Waha::Standin::Api;

# WAHA's REST API: routes, rights, texts and delays.

use strict;
use warnings;

use Compress::Zlib ();
use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();
use POSIX ();
use Time::HiRes ();

use Waha::Standin::Files;
use Waha::Standin::Keys;
use Waha::Standin::Server;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my $session = qr/([^\/]+)/;

# method, path, handler, right that a session's key needs (admin: only the
# administrator's key), where the session's name stands

my @routes = map { [ $_->[0], qr/^$_->[1]$/, @$_[2 .. 4] ] } (
    [ GET    => '/ping', \&_ping, '' ],
    [ GET    => '/health', \&_health, 'admin' ],
    [ GET    => '/api/server/version', \&_version, 'admin' ],
    [ GET    => '/api/server/status', \&_server_status, 'admin' ],
    [ GET    => '/api/server/environment', \&_environment, 'admin' ],

    [ GET    => '/api/sessions', \&_list, 'admin' ],
    [ POST   => '/api/sessions', \&_create, 'admin' ],
    [ POST   => '/api/sessions/start', \&_old_start, 'admin' ],
    [ POST   => '/api/sessions/stop', \&_old_stop, 'control', 'name' ],
    [ POST   => '/api/sessions/logout', \&_old_logout, 'delete', 'name' ],
    [ GET    => "/api/sessions/$session", \&_show, 'read', 'path' ],
    [ PUT    => "/api/sessions/$session", \&_update, 'setting', 'path' ],
    [ DELETE => "/api/sessions/$session", \&_delete, 'delete', 'path' ],
    [ POST   => "/api/sessions/$session/start", \&_start, 'control', 'path' ],
    [ POST   => "/api/sessions/$session/stop", \&_stop, 'control', 'path' ],
    [ POST   => "/api/sessions/$session/restart", \&_restart, 'control',
      'path' ],
    [ POST   => "/api/sessions/$session/logout", \&_logout, 'control',
      'path' ],
    [ GET    => "/api/sessions/$session/me", \&_me, 'read', 'path' ],

    [ GET    => "/api/$session/auth/qr", \&_qr, 'control', 'path' ],
    [ POST   => "/api/$session/auth/request-code", \&_request_code, 'control',
      'path' ],
    [ GET    => "/api/$session/auth/passkey/challenge", \&_challenge,
      'control', 'path' ],
    [ POST   => "/api/$session/auth/passkey", \&_passkey, 'control', 'path' ],
    [ GET    => "/api/$session/auth/passkey/confirmation", \&_confirmation,
      'control', 'path' ],
    [ POST   => "/api/$session/auth/passkey/confirm", \&_confirm, 'control',
      'path' ],

    [ POST   => '/api/send\w+', \&_send, 'send', 'session' ],
    [ POST   => '/api/(?:start|stop)Typing', \&_send, 'send', 'session' ],
    [ PUT    => '/api/reaction', \&_send, 'send', 'session' ],
    [ GET    => '/api/contacts/check-exists', \&_check_exists, 'read',
      'session' ],
    [ GET    => '/api/contacts/all', \&_nothing, 'read', 'session' ],
    [ GET    => "/api/$session/chats/overview", \&_nothing, 'read', 'path' ],
    [ GET    => "/api/$session/chats/[^/]+/messages", \&_nothing, 'read',
      'path' ],
    [ GET    => "/api/$session/lids/([^/]+)", \&_lid, 'read', 'path' ],

    [ POST   => '/api/keys', \&Waha::Standin::Keys::create, 'admin' ],
    [ GET    => '/api/keys', \&Waha::Standin::Keys::list, 'admin' ],
    [ DELETE => '/api/keys/([^/]+)', \&Waha::Standin::Keys::remove, 'admin' ],
    [ POST   => '/api/keys/(media|control)', \&Waha::Standin::Keys::scoped,
      'admin' ],

    [ GET    => "/api/files/$session/([^/]+)", \&Waha::Standin::Files::get,
      'read', 'path' ],
    [ GET    => '/api/s3/.+', \&Waha::Standin::Files::get, 'admin' ],
);

my %events = map { $_ => 1 } qw(
    * session.status message message.reaction message.any message.ack
    message.ack.group message.waiting message.revoked message.edited
    state.change group.join group.leave group.v2.join group.v2.leave
    group.v2.update group.v2.participants presence.update poll.vote
    poll.vote.failed chat.archive call.received call.accepted call.rejected
    label.upsert label.deleted label.chat.added label.chat.deleted
    event.response event.response.failed engine.event
);


# sessions, key, engine, name (of the worker), wait (seconds before a status
# that does not fit is refused), lock (seconds a command waits for another one),
# early (a pairing code of a session that is STARTING: "error" or "never")

sub new {
    my ($class, %o) = @_;

    return bless { %o, keys => {}, files => {}, lids => {},
                   started => time }, $class;
}


# answers a request, now or later

sub handle {
    my ($self, $request, $done) = @_;

    my @access = $self->_access($request);
    return $done->($access[0]) if $access[0];

    # body-parser ignores bodies of other types
    if (length $request->{body}
        && ($request->{headers}{'content-type'} // '') =~ m{^application/json})
    {
        $request->{data} = eval { $json->decode($request->{body}) };
        return $done->(_bad('Unexpected token in JSON at position 0'))
            if ref $request->{data} ne 'HASH';
    }

    return if eval { $self->_route($request, $done, $access[1]); 1 };

    warn "standin: $@";
    $done->($self->error($request, 'TypeError', $@));
}


sub _route {
    my ($self, $request, $done, $key) = @_;

    my $wanted = $request->{method} eq 'HEAD' ? 'GET' : $request->{method};

    for my $route (@routes) {
        my ($method, $pattern, $code, $right, $where) = @$route;
        next if $method ne $wanted;

        my @values = $request->{path} =~ $pattern or next;
        @values = map { _unescape($_) } @values;

        my $name = !$where ? undef : $where eq 'path' ? $values[0]
                   : $request->{data}{$where} // $request->{args}{$where}
                     // 'default';

        return $done->(_plain(403, 'Forbidden'))
            if !Waha::Standin::Keys::allows($key, $right, $name);

        return $self->$code($request, $done, @values);
    }

    $done->(_not_found("Cannot $request->{method} $request->{path}"));
}


# an answer that refuses, or nothing and the key

sub _access {
    my ($self, $request) = @_;

    return if $request->{path} !~ m{^/(?:api|health|ws|mcp)(?:/|$)};

    my $given = $request->{headers}{'x-api-key'}
                // $request->{args}{'x-api-key'} // '';

    return if $given eq $self->{key};

    my $key = $self->{keys}{$given};
    return _plain(401, 'Unauthorized') if !$key || !$key->{isActive};

    return (undef, $key);
}


sub _unescape {
    my ($text) = @_;

    $text =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;

    return $text;
}


sub _json { return { status => $_[0], json => $_[1] } }


sub _plain {
    my ($status, $message) = @_;

    return _json($status, { message => $message, statusCode => $status });
}


sub _bad {
    return _json(400, { message => $_[0], error => 'Bad Request',
                        statusCode => 400 });
}


sub _not_found {
    return _json(404, { message => $_[0], error => 'Not Found',
                        statusCode => 404 });
}


sub _unprocessable {
    return _json(422, { message => $_[0], error => 'Unprocessable Entity',
                        statusCode => 422 });
}


# WAHA's answer to an unexpected error, with stack and request

sub error {
    my ($self, $request, $name, $message) = @_;

    chomp $message;

    return _json(500, {
        statusCode => 500,
        timestamp  => POSIX::strftime('%Y-%m-%dT%H:%M:%S.000Z', gmtime),
        exception  => {
            name => $name, message => $message,
            stack => "$name: $message\n    at SessionManagerCore.run "
                     . "($self->{file}:123:15)\n    at process."
                     . "processTicksAndRejections "
                     . "(node:internal/process/task_queues:95:5)",
        },
        request => {
            path => $request->{uri}, method => $request->{method},
            body => $request->{data} // {}, query => $request->{args},
        },
        version => $self->_about,
    });
}


sub _about {
    my ($self) = @_;

    return { version => '2026.7.1', engine => $self->{engine},
             tier => 'CORE', browser => undef, platform => 'linux/x64',
             worker => { id => $self->{name} } };
}


sub _ping { $_[2]->(_json(200, { message => 'pong' })) }


sub _health {
    my ($self, $request, $done) = @_;

    $done->(_json(200, { status => 'ok', info => {}, error => {},
                         details => {} }));
}


sub _version { $_[2]->(_json(200, $_[0]->_about)) }


sub _server_status {
    my ($self, $request, $done) = @_;

    $done->(_json(200, {
        startTimestamp => $self->{started} * 1000,
        uptime => (time - $self->{started}) * 1000,
        worker => { id => $self->{name} } }));
}


sub _environment {
    my ($self, $request, $done) = @_;

    $done->(_json(200, { WAHA_API_KEY => $self->{key},
                         WAHA_WORKER_ID => $self->{name} }));
}


# a session as WAHA shows it, with the secrets of its configuration

sub info {
    my ($self, $s) = @_;

    my $running = $self->{sessions}->running($s);
    my %state = (SCAN_QR_CODE => 'OPENING', WORKING => 'CONNECTED');

    return {
        name => $s->{name}, status => $s->{status}, me => $s->{me},
        $s->{config} ? (config => $s->{config}) : (),
        presence => undef,
        timestamps => { activity => $running ? int(time * 1000) : undef },
        $running ? (engine => { engine => $self->{engine},
                       state => $state{ $s->{status} } // 'STARTING' }) : (),
    };
}


sub _list {
    my ($self, $request, $done) = @_;

    my $all = $request->{args}{all} // 'false';
    return $done->(_bad([ 'all must be a boolean value' ]))
        if $all !~ /^(?:true|false|1|0)\z/;
    $all = $all =~ /^(?:true|1)\z/;

    $done->(_json(200, [ map { $self->info($_) }
                         grep { $all || $self->{sessions}->running($_) }
                         $self->{sessions}->all ]));
}


sub _create {
    my ($self, $request, $done) = @_;

    my $data = $request->{data} || {};
    my @wrong = _invalid($data);
    return $done->(_bad(\@wrong)) if @wrong;

    my $name = $data->{name} // '';
    $name = 'session_' . _ulid() if $name eq '';

    $self->_locked($request, $name, $done, sub {
        my ($done) = @_;

        return $done->(_unprocessable("Session '$name' already exists. "
                                      . 'Use PUT to update it.'))
            if $self->{sessions}->find($name);

        my $s = $self->{sessions}->create($name, _stored($data->{config}));
        $self->{sessions}->start($s) if $data->{start};
        $done->(_json(201, $self->info($s)));
    });
}


sub _ulid {
    my @digit = (0 .. 9, grep { !/[ilou]/ } 'a' .. 'z');

    return join '', map { $digit[ rand 32 ] } 1 .. 26;
}


# the complaints of class-validator about a session's name and configuration

sub _invalid {
    my ($data) = @_;

    my @wrong;
    my ($name, $config) = @$data{qw(name config)};

    if (defined $name) {
        push @wrong, 'name must match /^[a-zA-Z0-9_-]*$/ regular expression'
            if ref $name || $name !~ /^[a-zA-Z0-9_-]*\z/;
        push @wrong, 'name must be shorter than or equal to 54 characters'
            if length $name > 54;
    }

    return @wrong if !defined $config;
    return (@wrong, 'config must be an object') if ref $config ne 'HASH';

    my $metadata = $config->{metadata} // {};
    push @wrong, 'config.metadata must be a map of strings'
        if ref $metadata ne 'HASH'
           || grep { !_is_string($_) } values %$metadata;

    my $ignore = $config->{ignore} // {};
    push @wrong, map { "config.ignore.$_ must be a boolean value" }
                 grep { defined $ignore->{$_}
                        && !JSON::PP::is_bool($ignore->{$_}) }
                 qw(status groups channels broadcast);

    my $hooks = $config->{webhooks} // [];
    return (@wrong, 'config.webhooks must be an array')
        if ref $hooks ne 'ARRAY';

    return (@wrong, map { _invalid_webhook("config.webhooks.$_",
                                           $hooks->[$_]) } 0 .. $#$hooks);
}


# the same about a webhook; a host name may not have "_"

sub _invalid_webhook {
    my ($at, $hook) = @_;

    my @wrong;
    my $events = $hook->{events};
    my $hmac = $hook->{hmac} // {};
    my $retries = $hook->{retries} // {};
    my $headers = $hook->{customHeaders} // [];

    push @wrong, "$at.url must be a URL address"
        if ($hook->{url} // '') !~ m{^https?://[A-Za-z0-9.-]+(?::\d+)?
                                     (?:[/?\#]\S*)?\z}x;
    push @wrong, "$at.events must be an array" if ref $events ne 'ARRAY';
    push @wrong, "each value in $at.events must be one of the following "
                 . 'values: ' . join ', ', sort keys %events
        if ref $events eq 'ARRAY' && grep { !$events{$_} } @$events;

    push @wrong, "$at.hmac.key must be a string"
        if defined $hmac->{key} && !_is_string($hmac->{key});
    push @wrong, "$at.retries.policy must be one of the following values: "
                 . 'linear, exponential, constant'
        if defined $retries->{policy}
           && $retries->{policy} !~ /^(?:linear|exponential|constant)\z/;
    push @wrong, map { "$at.retries.$_ must be a number conforming to the "
                       . 'specified constraints' }
                 grep { defined $retries->{$_} && _is_string($retries->{$_}) }
                 qw(delaySeconds attempts);
    push @wrong, "$at.customHeaders must be an array"
        if ref $headers ne 'ARRAY';

    return @wrong;
}


# "1" and 1 differ in JSON

sub _is_string {
    my ($value) = @_;

    return defined $value && !ref $value && $json->encode($value) =~ /^"/;
}


# A configuration as WAHA stores it: members that it does not know are gone, and
# a webhook without retries gets an empty one.

sub _stored {
    my ($config) = @_;

    return $config if ref $config ne 'HASH';

    $config = _only($config, qw(metadata webhooks ignore proxy debug client
                                noweb gows webjs));

    $config->{ignore} = _only($config->{ignore},
                              qw(status groups channels broadcast))
        if $config->{ignore};

    $config->{webhooks} = [ map { { retries => {},
        %{ _only($_, qw(url events hmac retries customHeaders)) } } }
        @{ $config->{webhooks} } ] if $config->{webhooks};

    return $config;
}


sub _only {
    my ($object, @members) = @_;

    return { map { $_ => $object->{$_} }
             grep { exists $object->{$_} } @members };
}


# runs a command of a session after those that are under way

sub _locked {
    my ($self, $request, $name, $done, $code) = @_;

    $self->{sessions}->locked($name, $self->{lock}, sub {
        my ($leave) = @_;

        $code->(sub { $leave->(); $done->(@_) });
    }, sub {
        $done->($self->error($request, 'Error', 'async-lock timed out in '
                             . "queue session:$name"));
    });
}


# the same for a session that has to exist, which code gets

sub _command {
    my ($self, $request, $name, $done, $code) = @_;

    $self->_locked($request, $name, $done, sub {
        my ($done) = @_;

        my $s = $self->{sessions}->find($name)
            or return $done->(_not_found('Session not found'));

        $code->($s, $done);
    });
}


sub _show {
    my ($self, $request, $done, $name) = @_;

    my $s = $self->{sessions}->find($name)
        or return $done->(_not_found('Session not found'));

    $done->(_json(200, $self->info($s)));
}


sub _update {
    my ($self, $request, $done, $name) = @_;

    my @wrong = _invalid($request->{data} || {});
    return $done->(_bad(\@wrong)) if @wrong;

    $self->_command($request, $name, $done, sub {
        my ($s, $done) = @_;

        my $running = $self->{sessions}->running($s);

        $self->{sessions}->stop($s, sub {
            $self->{sessions}->configure($s,
                _stored($request->{data}{config}));
            $self->{sessions}->start($s) if $running;
            $done->(_json(200, $self->info($s)));
        });
    });
}


sub _delete {
    my ($self, $request, $done, $name) = @_;

    $self->_locked($request, $name, $done, sub {
        my ($done) = @_;

        my $s = $self->{sessions}->find($name)
            or return $done->({ status => 200 });

        $self->{sessions}->logout($s);
        $self->{sessions}->stop($s, sub {
            $self->{sessions}->remove($name);
            $done->({ status => 200 });
        });
    });
}


sub _start {
    my ($self, $request, $done, $name) = @_;

    $self->_command($request, $name, $done, sub {
        my ($s, $done) = @_;

        return $done->(_unprocessable("Session '$name' is already started."))
            if $self->{sessions}->running($s);

        $self->{sessions}->start($s);
        $done->(_json(201, $self->info($s)));
    });
}


sub _stop {
    my ($self, $request, $done, $name) = @_;

    $self->_locked($request, $name, $done, sub {
        my ($done) = @_;

        my $s = $self->{sessions}->find($name)
            or return $done->({ status => 201 });

        $self->{sessions}->stop($s, sub {
            $done->(_json(201, $self->info($s)));
        });
    });
}


sub _restart {
    my ($self, $request, $done, $name) = @_;

    $self->_command($request, $name, $done, sub {
        my ($s, $done) = @_;

        $self->{sessions}->stop($s, sub {
            $self->{sessions}->start($s);
            $done->(_json(201, $self->info($s)));
        });
    });
}


sub _logout {
    my ($self, $request, $done, $name) = @_;

    $self->_command($request, $name, $done, sub {
        my ($s, $done) = @_;

        my $running = $self->{sessions}->running($s);

        $self->{sessions}->logout($s);
        $self->{sessions}->stop($s, sub {
            $self->{sessions}->start($s) if $running;
            $done->(_json(201, $self->info($s)));
        });
    });
}


sub _old_start {
    my ($self, $request, $done) = @_;

    my $name = $request->{data}{name} // 'default';

    $self->{sessions}->find($name)
        or $self->{sessions}->create($name, $request->{data}{config});
    $self->_start($request, $done, $name);
}


sub _old_stop {
    my ($self, $request, $done) = @_;

    return $self->_old_logout($request, $done) if $request->{data}{logout};
    $self->_stop($request, sub { $done->({ status => 201 }) },
                 $request->{data}{name} // 'default');
}


sub _old_logout {
    my ($self, $request, $done) = @_;

    $self->_delete($request, sub { $done->({ status => 201 }) },
                   $request->{data}{name} // 'default');
}


sub _not_running {
    my ($name) = @_;

    return _not_found("We didn't find a session with name '$name'.\n"
                      . 'Please start it first by using POST '
                      . "/api/sessions/$name/start request");
}


sub _me {
    my ($self, $request, $done, $name) = @_;

    my $s = $self->{sessions}->find($name);

    return $done->(_not_running($name))
        if !$s || !$self->{sessions}->running($s);

    $done->($s->{me} ? _json(200, $s->{me}) : { status => 200 });
}


# runs code as soon as the session has one of the statuses

sub _when {
    my ($self, $name, $expected, $done, $code) = @_;

    my $sessions = $self->{sessions};

    $sessions->when($name, $expected, $self->{wait}, $code, sub {
        my ($s) = @_;

        return $done->(_json(422, {
            error => 'Session status is not as expected. Try again later or '
                     . 'restart the session', session => $name,
            status => $s->{status}, expected => $expected }))
            if $s;

        return $done->(_json(422, {
            error => "Session \"$name\" does not exist",
            session => $name }));
    });
}


sub _qr {
    my ($self, $request, $done, $name) = @_;

    $self->_when($name, [ 'SCAN_QR_CODE' ], $done, sub {
        my ($s) = @_;

        return $done->(_json(200, { value => $s->{qr} }))
            if ($request->{args}{format} // '') eq 'raw';

        my $png = _png($s->{qr});

        return $done->(_json(200, { mimetype => 'image/png',
            data => MIME::Base64::encode_base64($png, '') }))
            if ($request->{headers}{accept} // '') eq 'application/json';

        $done->({ status => 200, type => 'image/png', body => $png });
    });
}


# a small picture, another one for each code

sub _png {
    my ($text) = @_;

    my $bits = Digest::SHA::sha256($text);
    my $rows = join '', map { "\0" . substr $bits, 2 * $_, 2 } 0 .. 15;

    return "\x89PNG\r\n\x1a\n" . join '', map {
        my ($type, $data) = @$_;
        pack('N', length $data) . $type . $data
            . pack 'N', Compress::Zlib::crc32($type . $data);
    } [ IHDR => pack 'NNC5', 16, 16, 1, 0, 0, 0, 0 ],
      [ IDAT => Compress::Zlib::compress($rows) ], [ IEND => '' ];
}


sub _request_code {
    my ($self, $request, $done, $name) = @_;

    my $phone = $request->{data}{phoneNumber}
        // return $done->($self->error($request, 'TypeError', 'Cannot read '
               . "properties of undefined (reading 'replace')"));

    my $s = $self->{sessions}->find($name)
        or return $done->(_not_found('Session not found'));

    return $done->(_not_running($name)) if !$self->{sessions}->running($s);

    # the socket does not exist yet, or never answers

    if ($s->{status} eq 'STARTING') {
        return if $self->{early} eq 'never';
        return $done->($self->error($request, 'TypeError', 'Cannot read '
            . "properties of undefined (reading 'waitForConnectionUpdate')"));
    }

    return $done->(_unprocessable('Can request code only in SCAN_QR_CODE '
                                  . "status. The current status is "
                                  . $s->{status}))
        if $s->{status} ne 'SCAN_QR_CODE';

    my $digest = uc Digest::SHA::sha1_hex("$s->{qr}$phone");
    $s->{pairing} = { phone => $phone,
        code => substr($digest, 0, 4) . '-' . substr $digest, 4, 4 };
    $s->{me} = { id => ($phone =~ s/\D//gr) . '@c.us', pushName => '~' };
    $done->(_json(201, { code => $s->{pairing}{code} }));
}


# for the passkey routes: runs code once the session has the status

sub _pending {
    my ($self, $status, $done, $name, $code) = @_;

    return $done->(_json(501, { message => 'The method is not implemented '
        . 'by the engine.', error => 'Not Implemented', statusCode => 501 }))
        if $self->{engine} ne 'GOWS';

    $self->_when($name, [ $status ], $done, $code);
}


sub _challenge {
    my ($self, $request, $done, $name) = @_;

    $self->_pending('PASSKEY_REQUIRED', $done, $name,
                    sub { $done->(_json(200, $_[0]{data})) });
}


sub _passkey {
    my ($self, $request, $done, $name) = @_;

    $self->_pending('PASSKEY_REQUIRED', $done, $name, sub {
        my ($s) = @_;

        $s->{credential} = $request->{data};
        $self->{sessions}->status($s, 'PASSKEY_CONFIRMATION_REQUIRED',
                                  { code => 'WXYZ-5678' });
        $done->({ status => 201 });
    });
}


sub _confirmation {
    my ($self, $request, $done, $name) = @_;

    $self->_pending('PASSKEY_CONFIRMATION_REQUIRED', $done, $name,
                    sub { $done->(_json(200, $_[0]{data})) });
}


sub _confirm {
    my ($self, $request, $done, $name) = @_;

    $self->_pending('PASSKEY_CONFIRMATION_REQUIRED', $done, $name, sub {
        $self->{sessions}->login($_[0]);
        $done->({ status => 201 });
    });
}


sub _send {
    my ($self, $request, $done) = @_;

    my $data = $request->{data} || {};
    my $name = $data->{session} // 'default';

    $self->_when($name, [ 'WORKING' ], $done, sub {
        return $done->($self->error($request, 'TypeError', 'Cannot read '
            . "properties of undefined (reading 'match')"))
            if $request->{path} eq '/api/sendText' && !defined $data->{text};

        $done->(_json(201, {
            key => { remoteJid => $data->{chatId}, fromMe => JSON::PP::true,
                     id => '3EB0' . uc substr Digest::SHA::sha1_hex(rand), 0,
                                              18 },
            message => { conversation => $data->{text} },
            messageTimestamp => time . '', status => 1 }));
    });
}


sub _check_exists {
    my ($self, $request, $done) = @_;

    my $phone = $request->{args}{phone} // '';

    $done->(_json(200, { numberExists => JSON::PP::true,
                         chatId => "$phone\@c.us" }));
}


sub _nothing { $_[2]->(_json(200, [])) }


sub _lid {
    my ($self, $request, $done, $name, $lid) = @_;

    $lid .= '@lid' if $lid =~ /^\d+$/;

    $done->(_json(200, { lid => $lid, pn => $self->{lids}{$lid} }));
}


1;
