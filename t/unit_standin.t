# The stand-in for WAHA of the test library behaves as WAHA does, and fails as
# a test demands.

use Waha::Test;
use Waha::Message ();
use Waha::Process ();

use IO::Socket::INET ();
use JSON::PP ();
use MIME::Base64 ();
use Time::HiRes ();

my $t = Waha::Test->new;

my $waha = $t->standin(key => 'adminkey', name => 'waha-1');
my $http = Waha::HTTP->new(port => $waha->port);


# a request with the API key; a hash is sent as JSON

sub call {
    my ($method, $path, $data, %headers) = @_;

    my $body = ref $data ? Waha::Message::encode($data) : $data;

    return $http->request($method, $path, {
        'X-Api-Key' => 'adminkey',
        defined $body ? ('Content-Type' => 'application/json') : (),
        %headers }, $body);
}


# status and body of an answer, to be compared

sub said {
    my ($r) = @_;

    return [ $r->{status}, $r->{json} // $r->{body} ];
}


sub not_found {
    return [ 404, { message => $_[0], error => 'Not Found',
                    statusCode => 404 } ];
}


sub unprocessable {
    return [ 422, { message => $_[0], error => 'Unprocessable Entity',
                    statusCode => 422 } ];
}


sub status { return ($waha->session($_[0]) || {})->{status} // 'none' }


# the bodies of all webhooks that were sent, the oldest first

sub told {
    my ($waha) = @_;

    ok($waha->delivered, 'all webhooks are delivered');

    return sort { $a->{timestamp} <=> $b->{timestamp} }
           map { JSON::PP::decode_json($_->{body}) } $waha->deliveries;
}


# a receiver of webhooks that answers with one status after the other; its URL

sub receiver {
    my (@answers) = @_;

    my $socket = IO::Socket::INET->new(Listen => 64,
        LocalAddr => '127.0.0.1:0') or die "listen: $!";

    Waha::Process::child(sub {
        while (my $client = $socket->accept) {
            my ($head, $body) = ('', '');
            local $/ = "\r\n";

            while (my $line = <$client>) {
                last if $line eq "\r\n";
                $head .= $line;
            }

            read $client, $body, $head =~ /^Content-Length: (\d+)/m;
            my $answer = @answers ? shift @answers : 200;
            print $client "HTTP/1.1 $answer Some\r\nContent-Length: 0\r\n"
                          . "Connection: close\r\n\r\n";
        }
    });

    return 'http://127.0.0.1:' . $socket->sockport . '/hook?org=acme';
}


# who may call

my $unauthorized = [ 401, { message => 'Unauthorized', statusCode => 401 } ];

is_deeply(said($http->get('/ping')), [ 200, { message => 'pong' } ],
          '/ping needs no key');
is_deeply(said($http->get('/api/sessions')), $unauthorized,
          'a request without a key is answered 401');
is_deeply(said($http->get('/health')), $unauthorized, '/health needs a key');
is_deeply(said(call(GET => '/api/sessions', undef, 'X-Api-Key' => 'wrong')),
          $unauthorized, 'a wrong key is answered 401');
is($http->get('/api/sessions?x-api-key=adminkey')->{status}, 200,
   'the key may stand in the query');
is(call(GET => '/health')->{status}, 200, '/health');
is(call(GET => '/api/server/version')->{json}{engine}, 'NOWEB',
   'the version has the engine');
is(call(GET => '/api/server/status')->{json}{worker}{id}, 'waha-1',
   'the status has the worker');
is_deeply(said(call(GET => '/api/nothing/here')),
          not_found('Cannot GET /api/nothing/here'),
          'an unknown route is answered 404');


# sessions are created

my $hook = { url => receiver(), events => [ 'session.status' ],
             hmac => { key => 'hook-key-one' },
             customHeaders => [ { name => 'X-Tenant', value => 'custom42' } ] };
my $config = { webhooks => [ $hook ], metadata => { 'tenant.id' => '42' },
               proxy => { server => 'p:1', password => 'proxypass' } };

my $r = call(POST => '/api/sessions', { name => 'idle', config => $config });

is($r->{status}, 201, 'creating a session is answered 201');
is($r->{json}{status}, 'STOPPED', 'a session without "start" is STOPPED');
$hook->{retries} = {};
is_deeply($r->{json}{config}, $config,
          'the answer has the whole configuration, secrets included; a webhook '
          . 'without retries gets an empty one');
like($r->{headers}{'content-type'}, qr{^application/json},
     'the answer is JSON');

is_deeply(said(call(POST => '/api/sessions', { name => 'idle' })),
    unprocessable("Session 'idle' already exists. Use PUT to update it."),
    'a session that exists is answered 422');

$r = call(POST => '/api/sessions', { name => 't1', config => $config,
                                     start => JSON::PP::true });
is($r->{json}{status}, 'STARTING', 'a session with "start" is STARTING');
like(call(POST => '/api/sessions', {})->{json}{name},
     qr/^session_[0-9a-z]{26}$/, 'a session without a name gets one');

for my $bad ([ 'a name with a dot', { name => 'a.b' } ],
             [ 'a long name', { name => 'a' x 55 } ],
             [ 'an unknown event', { config => { webhooks => [
                 { url => 'http://x/', events => [ 'no.such' ] } ] } } ],
             [ 'a bad url', { config => { webhooks => [
                 { url => 'x', events => [ '*' ] } ] } } ],
             [ 'metadata with an object', { config => {
                 metadata => { a => {} } } } ],
             [ 'metadata with a number', { config => {
                 metadata => { a => 1 } } } ],
             [ 'a host name with "_"', { config => { webhooks => [
                 { url => 'http://a_b/', events => [ '*' ] } ] } } ],
             [ 'ignore with a string', { config => {
                 ignore => { status => 'true' } } } ],
             [ 'an unknown policy of retries', { config => { webhooks => [
                 { url => 'http://x/', events => [ '*' ],
                   retries => { policy => 'never' } } ] } } ])
{
    $r = call(POST => '/api/sessions', $bad->[1]);
    is($r->{status}, 400, "$bad->[0]: 400");
    is(ref $r->{json}{message}, 'ARRAY', "$bad->[0]: message is an array");
}

is(call(GET => '/api/sessions?all=yes')->{status}, 400,
   'all=yes is answered 400');
$r = call(POST => '/api/sessions', { name => '', config => {
    strange => 1, webhooks => [ { url => 'http://x/', events => [ '*' ],
                                  strange => 2 } ] } });
like($r->{json}{name}, qr/^session_/, 'an empty name is made up');
is_deeply($r->{json}{config}, { webhooks => [ { url => 'http://x/',
    events => [ '*' ], retries => {} } ] }, 'unknown members are dropped');
$waha->remove_session($r->{json}{name});
is(call(POST => '/api/sessions', { name => 'a' x 54 })->{status}, 201,
   'a name of 54 characters is accepted');
is(call(POST => '/api/sessions', '{"name":')->{status}, 400,
   'broken JSON is answered 400');
like(call(POST => '/api/sessions', '{"name":"plain"}',
          'Content-Type' => 'text/plain')->{json}{name}, qr/^session_/,
     'a body with another Content-Type is ignored');
is(ref call(GET => '/api/sessions')->{json}, 'ARRAY',
   'the list of sessions is an array');

is_deeply([ map { $_->{name} } @{ call(GET => '/api/sessions')->{json} } ],
          [ 't1' ], 'the list has running sessions');
is(scalar @{ call(GET => '/api/sessions?all=true')->{json} }, 5,
   'the list with all=true has all sessions');
is(call(GET => '/api/sessions/t1')->{json}{name}, 't1', 'a session is shown');
is_deeply(said(call(GET => '/api/sessions/none')),
          not_found('Session not found'),
          'an unknown session is answered 404');


# QR codes and pairing codes

ok($waha->reaches('t1', 'SCAN_QR_CODE'),
   'a started session reaches SCAN_QR_CODE');
my $raw = call(GET => '/api/t1/auth/qr?format=raw')->{json}{value};
like($raw, qr/^2@/, 'format=raw gives the text of the QR code');

$r = call(GET => '/api/t1/auth/qr');
is($r->{headers}{'content-type'}, 'image/png',
   'without a format the QR code is a picture');
like($r->{body}, qr/^\x89PNG\r\n\x1a\n/, 'the picture is a PNG');

my $qr = call(GET => '/api/t1/auth/qr', undef, Accept => 'application/json');
is($qr->{json}{mimetype}, 'image/png', 'Accept: application/json gives JSON');
is(MIME::Base64::decode_base64($qr->{json}{data}), $r->{body},
   'the JSON has the same picture');
is(call(GET => '/api/t1/auth/qr', undef, Accept => 'application/json, */*')
       ->{headers}{'content-type'}, 'image/png',
   'a list in Accept gives the picture');

my $code = call(POST => '/api/t1/auth/request-code',
                { phoneNumber => '4915112345678' });
is($code->{status}, 201, 'a pairing code is answered 201');
like($code->{json}{code}, qr/^[0-9A-F]{4}-[0-9A-F]{4}$/,
     'a pairing code has a dash');
is($waha->session('t1')->{pairing}{phone}, '4915112345678',
   'the test can read the number of the pairing code');

is_deeply(call(GET => '/api/sessions/t1')->{json}{me},
          { id => '4915112345678@c.us', pushName => '~' },
          'the number of a pairing code is shown as "me"');
call(POST => '/api/sessions/t1/restart');
ok($waha->reaches('t1', 'SCAN_QR_CODE'), 'the session is restarted');
is_deeply(said(call(GET => '/api/sessions/t1/me')), [ 200, '' ],
          '"me" is empty before the login');
like(call(GET => '/api/sessions/idle/me')->{json}{message},
     qr/^We didn't find a session with name/, 'me of one that is stopped');

$waha->status('t1', 'SCAN_QR_CODE');
isnt(call(GET => '/api/t1/auth/qr?format=raw')->{json}{value}, $raw,
     'the next QR code is another one');


# the login

ok($waha->scan('t1', phone => '4915112345678', push_name => "Acme \x{20ac}"),
   'a scan makes the session WORKING');
is_deeply(call(GET => '/api/sessions/t1')->{json}{me},
          { id => '4915112345678@c.us', pushName => "Acme \x{20ac}" },
          'a session shows its phone');
is(call(GET => '/api/sessions/t1/me')->{json}{id}, '4915112345678@c.us',
   '"me" shows the phone');

my $begin = Time::HiRes::time();
is_deeply(said(call(GET => '/api/t1/auth/qr')), [ 422, {
    error => 'Session status is not as expected. Try again later or restart '
             . 'the session', session => 't1', status => 'WORKING',
    expected => [ 'SCAN_QR_CODE' ] } ],
          'a QR code of a WORKING session is answered 422');
cmp_ok(Time::HiRes::time() - $begin, '>=', 0.19,
       'WAHA waits before it refuses a QR code');
is_deeply(said(call(POST => '/api/t1/auth/request-code',
                    { phoneNumber => '49' })),
          unprocessable('Can request code only in SCAN_QR_CODE status. The '
                        . 'current status is WORKING'),
          'a pairing code of a WORKING session is answered 422');
is(call(POST => "/api/$_/auth/request-code", { phoneNumber => '49' })
       ->{status}, 404, "a pairing code of $_ is answered 404")
    for qw(none idle);
is_deeply(said(call(GET => '/api/none/auth/qr')), [ 422, {
    error => 'Session "none" does not exist', session => 'none' } ],
    'a QR code of an unknown session is answered 422');


# webhooks of the session

my @sent = told($waha);

# in any order: each has a connection of its own

is(join(' ', sort map { $_->{payload}{status} } @sent), 'SCAN_QR_CODE '
   . 'SCAN_QR_CODE SCAN_QR_CODE STARTING STARTING STARTING STOPPED WORKING',
   'each status has a webhook');
is_deeply($sent[-1]{metadata}, { 'tenant.id' => '42' },
          'webhooks have the metadata of the configuration');
is($sent[-1]{me}{id}, '4915112345678@c.us', 'webhooks have the phone');
is(join(' ', map { $_->{status} } @{ $sent[-1]{payload}{statuses} }),
   'SCAN_QR_CODE STARTING WORKING', 'webhooks have the last three statuses');


# start, stop, restart, logout

is_deeply(said(call(POST => '/api/sessions/t1/start')),
          unprocessable("Session 't1' is already started."),
          'starting a running session is answered 422');
is_deeply(said(call(POST => "/api/sessions/none/$_")),
          not_found('Session not found'),
          "$_ of an unknown session is answered 404")
    for qw(start restart logout);
is_deeply(said(call(POST => '/api/sessions/none/stop')), [ 201, '' ],
          'stopping an unknown session is answered 201');

$r = call(POST => '/api/sessions/t1/stop');
is_deeply([ @$r{qw(status)}, $r->{json}{status} ], [ 201, 'STOPPED' ],
          'a session is stopped');
is(call(POST => '/api/sessions/t1/stop')->{status}, 201,
   'stopping a stopped session is answered 201');
is(call(POST => '/api/sessions/t1/start')->{status}, 201,
   'a session is started');
ok($waha->reaches('t1', 'WORKING'),
   'a session that was stopped is still logged in');
is(call(POST => '/api/sessions/t1/restart')->{json}{status}, 'STARTING',
   'a session is restarted');
ok($waha->reaches('t1', 'WORKING'), 'a restarted session works again');

$waha->status('t1', 'FAILED');
is(call(POST => '/api/sessions/t1/start')->{status}, 422,
   'a FAILED session cannot be started');
is(call(POST => '/api/sessions/t1/restart')->{status}, 201,
   'a FAILED session can be restarted');
ok($waha->reaches('t1', 'WORKING'), 'a FAILED session works after a restart');

$r = call(POST => '/api/sessions/t1/logout');
is_deeply([ @$r{qw(status)}, $r->{json}{status}, $r->{json}{me} ],
          [ 201, 'STARTING', undef ], 'logout starts the session again');
ok($waha->reaches('t1', 'SCAN_QR_CODE'),
   'a session that was logged out shows a QR code');
is(call(POST => '/api/sessions/idle/logout')->{json}{status}, 'STOPPED',
   'logout of a stopped session does not start it');

$waha->scan('t1');
$waha->status('t1', 'FAILED', me => undef);
is_deeply([ @{ call(GET => '/api/sessions/t1')->{json} }{qw(status me)} ],
          [ 'FAILED', undef ],
          'a logout by the phone leaves FAILED and no phone');
call(POST => '/api/sessions/t1/restart');
ok($waha->reaches('t1', 'SCAN_QR_CODE'),
   'a session that the phone logged out has to be scanned');


# the phone and its devices

{
    my $slow = $t->standin(starting => 60, early => 'never');

    $http = Waha::HTTP->new(port => $slow->port, timeout => 1);
    call(POST => '/api/sessions', { name => 's', start => JSON::PP::true });
    is(call(POST => '/api/s/auth/request-code', { phoneNumber => '49' })
           ->{error}, 'timeout',
       'early => "never": a pairing code while a session starts never comes');

    $slow->add_session('linked', start => 1, me => { id => '49@c.us' });
    $http = Waha::HTTP->new(port => $slow->port);
    is(call(POST => '/api/sessions/linked/stop')->{json}{me}, undef,
       'a session that is stopped while it starts shows no phone');
    call(POST => '/api/sessions/linked/logout');
    is_deeply([ $slow->devices ], [ 'linked' ],
              'the phone goes on to show a session that is logged out while '
              . 'it is stopped');

    $http = Waha::HTTP->new(port => $waha->port);
    is_deeply(call(POST => '/api/t1/auth/request-code',
                   { phoneNumber => '49' })->{status}, 201,
              'a pairing code once the session shows a QR code');

    $waha->scan('t1');
    is_deeply([ $waha->devices ], [ 't1' ], 'the phone shows the device');
    $waha->unlink('t1');
    is_deeply([ $waha->devices ], [], 'the phone has unlinked the device');

    for (1, 2) {
        call(POST => '/api/sessions/t1/restart');
        ok($waha->reaches('t1', 'FAILED'),
           'a session that the phone unlinked fails after a restart');
    }

    call(POST => '/api/sessions/t1/logout');
    ok($waha->reaches('t1', 'SCAN_QR_CODE'),
       'a session that the phone unlinked shows a QR code after a logout');

    $waha->scan('t1');
    call(POST => '/api/sessions/t1/logout');
    is_deeply([ $waha->devices ], [],
              'the logout of a session that works unlinks the device');
    ok($waha->reaches('t1', 'SCAN_QR_CODE'), 'the session can be scanned');
}


# the configuration is replaced

$waha->scan('t1');
$r = call(PUT => '/api/sessions/t1', { config => { metadata => {} } });
is_deeply([ $r->{status}, $r->{json}{status}, $r->{json}{config} ],
          [ 200, 'STARTING', { metadata => {} } ],
          'PUT replaces the configuration and restarts');
ok($waha->reaches('t1', 'WORKING'), 'PUT keeps the phone');
is(call(PUT => '/api/sessions/idle', { config => $config })->{json}{status},
   'STOPPED', 'PUT does not start a stopped session');
is_deeply(said(call(PUT => '/api/sessions/none', { config => {} })),
          not_found('Session not found'),
          'PUT of an unknown session is answered 404');
is(call(PUT => '/api/sessions/t1', { config => { webhooks => 1 } })
       ->{status}, 400, 'PUT of an invalid configuration is answered 400');


# commands of one session run one after the other

{
    my @clients = map { Waha::HTTP->new(port => $waha->port) } 1 .. 5;
    my $body = '{"name":"race","start":true}';

    for (@clients) {
        $_->connect;
        $_->send($_->format(POST => '/api/sessions', {
            'X-Api-Key' => 'adminkey',
            'Content-Type' => 'application/json' }, $body));
    }

    is(join(' ', sort map { $_->answer->{status} } @clients),
       '201 422 422 422 422',
       'of five requests at the same time one creates the session');

    $_->send($_->format(POST => '/api/sessions/race/restart',
                        { 'X-Api-Key' => 'adminkey' })) for @clients;
    is(join(' ', map { $_->answer->{status} } @clients),
       '201 201 201 201 201', 'five restarts at the same time are all done');
}

my $busy = $t->standin(stopping => 1, lock => 0.1);
$busy->add_session('t1', start => 1, me => { id => '49@c.us' });
{
    my @clients = map { Waha::HTTP->new(port => $busy->port) } 1 .. 2;

    for (@clients) {
        $_->connect;
        $_->send($_->format(POST => '/api/sessions/t1/stop',
                            { 'X-Api-Key' => 'adminkey' }));
    }

    is(join(' ', sort map { $_->answer->{status} } @clients), '201 500',
       'a command that waits too long is answered 500');
}


# a session that is stopped while it starts

my $calm = $t->standin(starting => 0.3, stopping => 0.01);
$calm->add_session('t1', start => 1);
is(Waha::HTTP->new(port => $calm->port)->post('/api/sessions/t1/stop',
       { 'X-Api-Key' => 'adminkey' })->{json}{status}, 'STOPPED',
   'a starting session can be stopped');
$calm->add_session('t2', start => 1);
ok($calm->reaches('t2', 'SCAN_QR_CODE'),
   'a session started later shows its QR code');
is($calm->session('t1')->{status}, 'STOPPED',
   'the session stopped while it started stays stopped');


# sessions are deleted

is_deeply(said(call(DELETE => '/api/sessions/race')), [ 200, '' ],
          'deleting a session is answered 200 without a body');
is_deeply(said(call(DELETE => '/api/sessions/race')), [ 200, '' ],
          'deleting it again is answered the same');
is(status('race'), 'none', 'the session is gone');


# passkeys

is(call(GET => '/api/t1/auth/passkey/challenge')->{status}, 501,
   'the engine NOWEB has no passkeys');

my $gows = $t->standin(engine => 'GOWS');
$http = Waha::HTTP->new(port => $gows->port);
$gows->add_session('p1', start => 1);
is(call(GET => '/api/p1/auth/passkey/challenge')->{status}, 422,
   'a challenge before the scan is answered 422');
ok($gows->scan('p1', phone => '4915', passkey => { challenge => 'abc' }),
   'a scan with a passkey makes the session PASSKEY_REQUIRED');
is_deeply(said(call(GET => '/api/p1/auth/passkey/challenge')),
          [ 200, { challenge => 'abc' } ], 'the challenge is shown');
is(call(GET => '/api/p1/auth/passkey/confirmation')->{status}, 422,
   'a confirmation before the passkey is answered 422');
is(call(POST => '/api/p1/auth/passkey', { id => 'cred' })->{status}, 201,
   'the passkey is taken');
is_deeply($gows->session('p1')->{credential}, { id => 'cred' },
          'the passkey is stored unchanged');
is(call(GET => '/api/p1/auth/passkey/confirmation')->{json}{code},
   'WXYZ-5678', 'the confirmation code is shown');
is(call(POST => '/api/p1/auth/passkey/confirm')->{status}, 201,
   'the confirmation is taken');
ok($gows->reaches('p1', 'WORKING'),
   'the session works after the confirmation');
$http = Waha::HTTP->new(port => $waha->port);


# QR codes expire

my $short = $t->standin(codes => [ 0.1, 0.05, 0.05 ], retry => 0.01);
$short->add_session('t1', start => 1,
    config => { webhooks => [ { %$hook, url => receiver() } ] });
ok($short->reaches('t1', 'FAILED'),
   'a session that nobody scans becomes FAILED');
is(join(' ', map { $_->{payload}{status} } told($short)),
   'STARTING SCAN_QR_CODE SCAN_QR_CODE SCAN_QR_CODE FAILED',
   'each QR code has a webhook');


# webhooks are sent until they are answered 2xx

{
    my $config = { webhooks => [ {
        url => receiver(401, 503), events => [ 'message' ],
        hmac => { key => 'k2' }, retries => { attempts => 4 } } ] };

    $short->add_session('t2', config => $config);
    $short->event('t2', 'session.status', {});
    $short->event('t2', 'message', { id => 'x' });
    $short->delivered;

    my @tries = grep { $_->{session} eq 't2' } $short->deliveries;
    is(join(' ', map { "$_->{event}:$_->{status}" } @tries),
       'message:401 message:503 message:200',
       'a wanted event is sent until it is answered 200, other events are not');

    $short->add_session('t3', config => { webhooks => [ {
        url => 'http://127.0.0.1:1/', events => [ '*' ],
        retries => { attempts => 2 } } ] });
    $short->event('t3', 'message', { id => 'x' });
    $short->delivered;
    is(scalar(grep { $_->{session} eq 't3' } $short->deliveries), 3,
       'a webhook to a closed port is tried three times with two retries');
}

my $pair = $t->standin;
$pair->add_session('hook', config => { webhooks => [ { %$hook,
    url => $waha->url . '/hook?org=acme' } ] });
$waha->clear_requests;
$waha->fail(match => '^POST /hook', status => 200, body => 'OK');
$pair->event('hook', 'session.status', { status => 'X' });
$pair->delivered;

my ($sent) = $waha->requests(qr{^POST /hook});
is($sent->{headers}{'x-webhook-hmac'},
   Waha::Message::sign($sent->{body}, 'hook-key-one'), 'webhooks are signed');
is($sent->{headers}{'x-webhook-hmac-algorithm'}, 'sha512',
   'webhooks are signed with SHA-512');
is($sent->{headers}{'x-webhook-timestamp'},
   JSON::PP::decode_json($sent->{body})->{timestamp},
   'webhooks have their time in a header');
ok($sent->{headers}{'x-webhook-request-id'}, 'webhooks have an id');
is($sent->{headers}{'x-tenant'}, 'custom42',
   'webhooks have the headers of the configuration');
is($sent->{query}, 'org=acme', 'webhooks keep the query of their URL');
$waha->heal;


# messages and contacts

$r = call(POST => '/api/sendText', { session => 't1', chatId => '49@c.us' });
is($r->{status}, 500, 'a message without text is answered 500');
like($r->{json}{exception}{stack}, qr{/app/dist/core/manager\.core\.js:123},
     'a 500 shows the stack');
is($r->{json}{request}{body}{chatId}, '49@c.us', 'a 500 shows the request');

$r = call(POST => '/api/sendText', { session => 't1', chatId => '49@c.us',
                                     text => 'Hi' });
is($r->{status}, 201, 'a message is answered 201');
is($r->{json}{key}{remoteJid}, '49@c.us',
   'the answer to a message is that of the engine');
is(call(POST => '/api/sendText', { text => 'Hi' })->{json}{session},
   'default', 'a message without a session goes to "default"');
is(call(POST => '/api/sendText', { session => 'idle', text => 'Hi' })
       ->{status}, 422, 'a message of a stopped session is answered 422');
is(call(POST => '/api/sendSeen', { session => 't1' })->{status}, 201,
   'a seen message is answered 201');
is_deeply(call(GET => '/api/contacts/check-exists?phone=49&session=t1')
              ->{json}{chatId}, '49@c.us', 'a number can be checked');
is_deeply(said(call(GET => '/api/t1/chats/overview')), [ 200, [] ],
          'the overview of chats is empty');

$waha->lid('555@lid', '49@c.us');
is(call(GET => '/api/t1/lids/555%40lid')->{json}{pn}, '49@c.us',
   'the number of a hidden id is known');
is_deeply(said(call(GET => '/api/t1/lids/556')),
          [ 200, { lid => '556@lid', pn => undef } ],
          'the number of another hidden id is not known');


# deprecated routes

is(call(POST => '/api/sessions/start', { name => 'old' })->{status}, 201,
   'the deprecated start is answered 201');
isnt(status('old'), 'none', 'the deprecated start creates the session');
is(call(POST => '/api/sessions/stop', { name => 'old' })->{status}, 201,
   'the deprecated stop is answered 201');
is(status('old'), 'STOPPED', 'the deprecated stop stops the session');
is(call(POST => '/api/sessions/logout', { name => 'old' })->{status}, 201,
   'the deprecated logout is answered 201');
is(status('old'), 'none', 'the deprecated logout deletes the session');


# API keys of one session

my $forbidden = [ 403, { message => 'Forbidden', statusCode => 403 } ];
my $key = call(POST => '/api/keys', { session => 't1' })->{json};
my @as = (undef, 'X-Api-Key' => $key->{key});

like($key->{key}, qr/^key_/, 'a key of a session is created');
is(call(GET => '/api/sessions/t1', @as)->{status}, 200,
   'a key of a session reads its session');
is_deeply(said(call(GET => '/api/sessions/idle', @as)), $forbidden,
          'a key of a session is refused for another one');
is_deeply(said(call(DELETE => '/api/sessions/t1', @as)), $forbidden,
          'a key of a session cannot delete it');
is_deeply(said(call(POST => '/api/sessions', { name => 'x' }, @as[1, 2])),
          $forbidden, 'a key of a session cannot create sessions');
is(call(POST => '/api/keys/media', { session => 't1' })->{json}{key},
   call(POST => '/api/keys/media', { session => 't1' })->{json}{key},
   'the key for media stays the same');
is(scalar @{ call(GET => '/api/keys')->{json} }, 2, 'both keys are listed');
call(DELETE => "/api/keys/$key->{id}");
is_deeply(said(call(GET => '/api/sessions/t1', @as)), $unauthorized,
          'a deleted key is refused');


# media files

my $bytes = join '', map { chr } 0 .. 255;
my $path = $waha->add_file('t1', 'A1.jpg', $bytes, 'image/jpeg', 1e9);

is($http->get($path)->{status}, 401, 'a file needs the key');
$r = call(GET => $path);
is($r->{body}, $bytes, 'a file has its bytes');
is($r->{headers}{'content-type'}, 'image/jpeg', 'a file has its type');
is($r->{headers}{'last-modified'}, 'Sun, 09 Sep 2001 01:46:40 GMT',
   'a file has its time');

my $etag = $r->{headers}{etag};
my $head = call(HEAD => $path);
is_deeply([ $head->{body}, $head->{headers}{'content-length'} ], [ '', 256 ],
          'HEAD has the length and no body');
is(call(GET => $path, undef, 'If-None-Match' => $etag)->{status}, 304,
   'If-None-Match with the current ETag is answered 304');

for my $range ([ 'bytes=0-9', 206, 'bytes 0-9/256', 10 ],
               [ 'bytes=250-', 206, 'bytes 250-255/256', 6 ],
               [ 'bytes=-4', 206, 'bytes 252-255/256', 4 ],
               [ 'bytes=200-999', 206, 'bytes 200-255/256', 56 ],
               [ 'bytes=256-', 416, 'bytes */256', 0 ],
               [ 'bytes=0-1,3-4', 200, undef, 256 ],
               [ 'lines=0-1', 200, undef, 256 ])
{
    my ($range, $status, $told, $length) = @$range;

    $r = call(GET => $path, undef, Range => $range);
    is_deeply([ $r->{status}, $r->{headers}{'content-range'},
                length $r->{body} ], [ $status, $told, $length ], $range);
}

is(call(GET => $path, undef, Range => 'bytes=0-9', 'If-Range' => $etag)
       ->{status}, 206, 'If-Range with the current ETag gives the range');
is(call(GET => $path, undef, Range => 'bytes=0-9', 'If-Range' => 'W/"x"')
       ->{status}, 200, 'If-Range with another ETag gives the whole file');
$waha->remove_file('t1', 'A1.jpg');
is_deeply(said(call(GET => $path)), not_found("Cannot GET $path"),
          'a removed file is answered 404');


# connections and the log of requests

$waha->clear_requests;
call(GET => '/api/sessions/t1?a=b%20c');
ok(call(POST => '/api/sessions/none/stop', '{"a":1}')->{reused},
   'the connection is kept');

my @log = $waha->requests;
is(join('|', map { "$_->{method} $_->{path} $_->{query} $_->{status}" } @log),
   'GET /api/sessions/t1 a=b%20c 200|POST /api/sessions/none/stop  201',
   'the log has the requests in their order');
is($log[0]{args}{a}, 'b c', 'the log has the arguments');
is($log[0]{headers}{'x-api-key'}, 'adminkey', 'the log has the headers');
is($log[1]{body}, '{"a":1}', 'the log has the body');
is_deeply($log[1]{data}, { a => 1 }, 'the log has the decoded body');
is($log[0]{connection}, $log[1]{connection}, 'the log has the connection');


# sends bytes and reads until the server closes

sub raw {
    my ($bytes) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $waha->port) or return 'refused';
    print $socket $bytes;

    my $all = '';
    1 while sysread $socket, $all, 65536, length $all;

    return $all;
}


like(raw("GET /ping HTTP/1.0\r\n\r\n"),
     qr{^HTTP/1\.1 200 OK\r\n.*Connection: close\r\n\r\n\{"message":"pong"\}$}s,
     'HTTP/1.0 is answered and closed');
my @pongs = raw("GET /ping HTTP/1.1\r\n\r\nGET /ping HTTP/1.1\r\n"
                . "Connection: close\r\n\r\n") =~ /pong/g;
is(scalar @pongs, 2, 'two requests sent together are both answered');
like(raw("POST /api/sessions/none/stop HTTP/1.1\r\nX-Api-Key: adminkey\r\n"
         . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
         . "2\r\n{}\r\n0\r\n\r\n"), qr{^HTTP/1\.1 201},
     'a chunked request is answered');
is(($waha->requests)[-1]{body}, '{}', 'a chunked body is read');
like(raw("POST /api/sessions/none/stop HTTP/1.1\r\nX-Api-Key: adminkey\r\n"
         . "Expect: 100-continue\r\nContent-Length: 2\r\n"
         . "Connection: close\r\n\r\n{}"),
     qr{^HTTP/1\.1 100 Continue\r\n\r\nHTTP/1\.1 201},
     'Expect: 100-continue is answered');
like(raw("what\r\n\r\n"), qr{^HTTP/1\.1 400},
     'bytes that are no HTTP are answered 400');

my $hurry = $t->standin(idle => 0.1);
my $lazy = Waha::HTTP->new(port => $hurry->port);
$lazy->get('/ping');
ok($lazy->closed(2), 'an idle connection is closed');


# faults

sub fault {
    my ($with, %o) = @_;

    $waha->fail(match => '^GET /api/sessions', with => $with, %o);
    my $r = $o{raw} ? raw("GET /api/sessions HTTP/1.1\r\nX-Api-Key: "
                          . "adminkey\r\nConnection: close\r\n\r\n")
                    : Waha::HTTP->new(port => $waha->port, timeout => 1)
                          ->get('/api/sessions/t1',
                                { 'X-Api-Key' => 'adminkey' });
    $waha->heal;

    return $r;
}


is(fault('refuse')->{error}, 'connect', 'refuse: connections are refused');
$http = Waha::HTTP->new(port => $waha->port);
is($http->get('/ping')->{status}, 200, 'heal: connections are accepted again');

is(fault('stall')->{error}, 'timeout', 'stall: there is no answer');
ok(wait_for(sub { ($waha->requests)[-1]{aborted} }),
   'stall: the log shows that the client left');
is(fault('close')->{error}, 'closed', 'close: the connection is closed');
is(fault('close', raw => 1), '', 'close: no byte is sent');

{
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $waha->port);
    $waha->fail(with => 'reset', times => 1);
    print $socket "GET /ping HTTP/1.1\r\n\r\n";
    ok(!defined sysread($socket, my $byte, 1), 'reset: no byte is sent');
    ok($!{ECONNRESET}, 'reset: the connection is reset');
}

is(fault('truncate')->{error}, 'closed', 'truncate: the body ends too early');
like(fault('truncate', raw => 1), qr/^Content-Length: \d+\r\n.*\r\n\r\n\[/ims,
     'truncate: the body begins');
is(fault('truncate_chunked')->{error}, 'closed',
   'truncate_chunked: the last chunk is missing');
like(fault('truncate_chunked', raw => 1),
     qr/^Transfer-Encoding: chunked\r\n.*\r\n\r\n[0-9a-f]+\r\n\[.*\r\n$/ims,
     'truncate_chunked: one chunk is sent');
is(fault('hang')->{error}, 'timeout', 'hang: the body does not go on');
unlike(fault('garbage', raw => 1), qr{^HTTP/},
       'garbage: the answer is no HTTP');

my $html = fault('html');
is("$html->{status} $html->{headers}{'content-type'}",
   '200 text/html; charset=utf-8', 'html: the answer is a page');
my $broken = fault('not_json');
like($broken->{headers}{'content-type'}, qr/json/,
     'not_json: the type is JSON');
is($broken->{json}, undef, 'not_json: the body is not JSON');
is_deeply(said(fault('empty')), [ 200, '' ], 'empty: 200 without a body');
like(fault('error500')->{json}{exception}{stack}, qr{manager\.core\.js:123},
     'error500: the answer shows a stack');
is_deeply(said(fault('status', status => 503, body => '{"a":1}')),
          [ 503, { a => 1 } ], 'status: any status with a body');
is(fault('status', status => 302, headers => [ [ Location => '/x' ] ])
       ->{headers}{location}, '/x', 'status: any header');
like(fault('huge', huge => 2e7, raw => 1),
     qr/^Content-Length: 20000000\r\n.*\r\n\r\n\{"name":"x+"\}$/ms,
     'huge: the body has 20 MB');

$begin = Time::HiRes::time();
is(fault('slow', slow => 0.3)->{json}{name}, 't1',
   'slow: the answer is complete');
cmp_ok(Time::HiRes::time() - $begin, '>=', 0.29, 'slow: the answer is late');
is(fault('slow', slow => 2)->{error}, 'timeout',
   'slow: the answer is later than the client waits');
is(fault('trickle', trickle => 0)->{json}{name}, 't1',
   'trickle: the answer is complete');

$http = Waha::HTTP->new(port => $waha->port);
$waha->fail(match => '/stop$', with => 'close', acts => 1, times => 1);
is(call(POST => '/api/sessions/t1/stop')->{error}, 'closed',
   'acts: there is no answer');
is(status('t1'), 'STOPPED', 'acts: the command was done');
is(call(POST => '/api/sessions/t1/stop')->{status}, 201,
   'times: the next request is answered');
ok(!eval { $waha->fail(with => 'nonsense'); 1 },
   'an unknown fault is refused');


# texts that no client may see

my %secret = map { $_ => 1 } $waha->secrets;
ok($secret{$_}, "$_ is among the secrets")
    for qw(adminkey hook-key-one custom42 proxypass waha-1.internal
           /app/dist/core/manager.core.js);


# a test that is killed leaves no process behind

my $pid = open my $other, '-|', $^X, (map { "-I$_" } @INC), '-e', <<'EOF_PERL';
use Waha::Test;
my $t = Waha::Test->new;
my $waha = $t->standin;
$| = 1;
print "$waha->{pid}\n";
sleep 60;
EOF_PERL
chomp(my $server = <$other>);
ok(Waha::Process::alive($server), 'the stand-in of another test runs');
kill 'KILL', $pid;
ok(wait_for(sub { !Waha::Process::alive($server) }),
   'the stand-in ends when its test is killed');
close $other;
$? = 0;


$t->done;
