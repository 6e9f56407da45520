# The stand-in for WAHA does what WAHA does, and fails as it is told to.

use Waha::Test;
use Waha::Message ();
use Waha::Process ();

use IO::Socket::INET ();
use JSON::PP ();
use MIME::Base64 ();
use Time::HiRes ();

my $t = Waha::Test->new(timeout => 60);

my $waha = $t->standin(key => 'adminkey', name => 'waha-1');
my $http = Waha::HTTP->new(port => $waha->port);


# a call with the key; the body as data

sub call {
    my ($method, $path, $data, %headers) = @_;

    my $body = ref $data ? Waha::Message::encode($data) : $data;

    return $http->request($method, $path, {
        'X-Api-Key' => 'adminkey',
        defined $body ? ('Content-Type' => 'application/json') : (),
        %headers }, $body);
}


# status and body of an answer, as a test wants to see them

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


# a receiver of webhooks, which answers with one status after the other

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
          '/ping is open');
is_deeply(said($http->get('/api/sessions')), $unauthorized, 'no key: 401');
is_deeply(said($http->get('/health')), $unauthorized, '/health is guarded');
is_deeply(said(call(GET => '/api/sessions', undef, 'X-Api-Key' => 'wrong')),
          $unauthorized, 'a wrong key: 401');
is($http->get('/api/sessions?x-api-key=adminkey')->{status}, 200,
   'the key may stand in the query');
is(call(GET => '/health')->{status}, 200, '/health');
is(call(GET => '/api/server/version')->{json}{engine}, 'NOWEB',
   'the version tells the engine');
is(call(GET => '/api/server/status')->{json}{worker}{id}, 'waha-1',
   'the status tells the worker');
is_deeply(said(call(GET => '/api/nothing/here')),
          not_found('Cannot GET /api/nothing/here'), 'an unknown route');


# a session is made

my $hook = { url => receiver(), events => [ 'session.status' ],
             hmac => { key => 'hook-key-one' },
             customHeaders => [ { name => 'X-Tenant', value => 'custom42' } ] };
my $config = { webhooks => [ $hook ], metadata => { 'tenant.id' => '42' },
               proxy => { server => 'p:1', password => 'proxypass' } };

my $r = call(POST => '/api/sessions', { name => 'idle', config => $config });

is($r->{status}, 201, 'a session is made: 201');
is($r->{json}{status}, 'STOPPED', 'without start it is not started');
is_deeply($r->{json}{config}, $config, 'the answer holds all secrets');
like($r->{headers}{'content-type'}, qr{^application/json}, 'it is JSON');

is_deeply(said(call(POST => '/api/sessions', { name => 'idle' })),
    unprocessable("Session 'idle' already exists. Use PUT to update it."),
    'it exists already: 422');

$r = call(POST => '/api/sessions', { name => 't1', config => $config,
                                     start => JSON::PP::true });
is($r->{json}{status}, 'STARTING', 'a started one is STARTING');
like(call(POST => '/api/sessions', {})->{json}{name},
     qr/^session_[0-9a-z]{26}$/, 'one without a name gets a name');

for my $bad ([ 'a name with a dot', { name => 'a.b' } ],
             [ 'a long name', { name => 'a' x 55 } ],
             [ 'an unknown event', { config => { webhooks => [
                 { url => 'http://x/', events => [ 'no.such' ] } ] } } ],
             [ 'a bad url', { config => { webhooks => [
                 { url => 'x', events => [ '*' ] } ] } } ],
             [ 'metadata with an object', { config => {
                 metadata => { a => {} } } } ])
{
    $r = call(POST => '/api/sessions', $bad->[1]);
    is($r->{status}, 400, "$bad->[0]: 400");
    is(ref $r->{json}{message}, 'ARRAY', "$bad->[0]: message is an array");
}

is(call(POST => '/api/sessions', { name => 'a' x 54 })->{status}, 201,
   'a name of 54 characters');
is(call(POST => '/api/sessions', '{"name":')->{status}, 400,
   'broken JSON: 400');
like(call(POST => '/api/sessions', '{"name":"plain"}',
          'Content-Type' => 'text/plain')->{json}{name}, qr/^session_/,
     'a body that does not say it is JSON is none');
is(ref call(GET => '/api/sessions')->{json}, 'ARRAY', 'the list is an array');

is_deeply([ map { $_->{name} } @{ call(GET => '/api/sessions')->{json} } ],
          [ 't1' ], 'the list has what runs');
is(scalar @{ call(GET => '/api/sessions?all=true')->{json} }, 5,
   'with all=true it has all');
is(call(GET => '/api/sessions/t1')->{json}{name}, 't1', 'one session');
is_deeply(said(call(GET => '/api/sessions/none')),
          not_found('Session not found'), 'an unknown one: 404');


# the QR code

ok($waha->reaches('t1', 'SCAN_QR_CODE'), 'it shows a QR code soon');
my $raw = call(GET => '/api/t1/auth/qr?format=raw')->{json}{value};
like($raw, qr/^2@/, 'format=raw is the text of the code');

$r = call(GET => '/api/t1/auth/qr');
is($r->{headers}{'content-type'}, 'image/png', 'usually it is a picture');
like($r->{body}, qr/^\x89PNG\r\n\x1a\n/, 'which is a PNG');

my $qr = call(GET => '/api/t1/auth/qr', undef, Accept => 'application/json');
is($qr->{json}{mimetype}, 'image/png', 'JSON with Accept: application/json');
is(MIME::Base64::decode_base64($qr->{json}{data}), $r->{body},
   'and the same picture in it');
is(call(GET => '/api/t1/auth/qr', undef, Accept => 'application/json, */*')
       ->{headers}{'content-type'}, 'image/png',
   'a list in Accept is not understood');

my $code = call(POST => '/api/t1/auth/request-code',
                { phoneNumber => '4915112345678' });
is($code->{status}, 201, 'a pairing code: 201');
like($code->{json}{code}, qr/^[0-9A-F]{4}-[0-9A-F]{4}$/, 'with a dash');
is($waha->session('t1')->{pairing}{phone}, '4915112345678',
   'the test learns the phone');

is_deeply(said(call(GET => '/api/sessions/t1/me')), [ 200, '' ],
          'me is empty before the login');
like(call(GET => '/api/sessions/idle/me')->{json}{message},
     qr/^We didn't find a session with name/, 'me of one that is stopped');

$waha->status('t1', 'SCAN_QR_CODE');
isnt(call(GET => '/api/t1/auth/qr?format=raw')->{json}{value}, $raw,
     'the next code is another one');


# the login

ok($waha->scan('t1', phone => '4915112345678', push_name => "Acme \x{20ac}"),
   'scanned: WORKING');
is_deeply(call(GET => '/api/sessions/t1')->{json}{me},
          { id => '4915112345678@c.us', pushName => "Acme \x{20ac}" },
          'the session tells who it is');
is(call(GET => '/api/sessions/t1/me')->{json}{id}, '4915112345678@c.us',
   'so does me');

my $begin = Time::HiRes::time();
is_deeply(said(call(GET => '/api/t1/auth/qr')), [ 422, {
    error => 'Session status is not as expected. Try again later or restart '
             . 'the session', session => 't1', status => 'WORKING',
    expected => [ 'SCAN_QR_CODE' ] } ], 'no code when it works: 422');
cmp_ok(Time::HiRes::time() - $begin, '>=', 0.19, 'but only after a while');
is(call(POST => '/api/t1/auth/request-code', { phoneNumber => '49' })
       ->{status}, 422, 'nor a pairing code');
is_deeply(said(call(GET => '/api/none/auth/qr')), [ 422, {
    error => 'Session "none" does not exist', session => 'none' } ],
    'no code of an unknown session: 422');


# its webhooks

my @sent = told($waha);

is(join(' ', map { $_->{payload}{status} } @sent), 'STARTING SCAN_QR_CODE '
   . 'SCAN_QR_CODE STARTING WORKING', 'each status has been told');
is_deeply($sent[-1]{metadata}, { 'tenant.id' => '42' }, 'with the metadata');
is($sent[-1]{me}{id}, '4915112345678@c.us', 'with the phone');
is(join(' ', map { $_->{status} } @{ $sent[-1]{payload}{statuses} }),
   'SCAN_QR_CODE STARTING WORKING', 'with the last three statuses');


# start, stop, restart, logout

is_deeply(said(call(POST => '/api/sessions/t1/start')),
          unprocessable("Session 't1' is already started."),
          'it runs already: 422');
is_deeply(said(call(POST => "/api/sessions/none/$_")),
          not_found('Session not found'), "$_ of an unknown one: 404")
    for qw(start restart logout);
is_deeply(said(call(POST => '/api/sessions/none/stop')), [ 201, '' ],
          'stop of an unknown one: 201 and nothing');

$r = call(POST => '/api/sessions/t1/stop');
is_deeply([ @$r{qw(status)}, $r->{json}{status} ], [ 201, 'STOPPED' ],
          'it stops');
is(call(POST => '/api/sessions/t1/stop')->{status}, 201, 'and once more');
is(call(POST => '/api/sessions/t1/start')->{status}, 201, 'it starts');
ok($waha->reaches('t1', 'WORKING'), 'and is still logged in');
is(call(POST => '/api/sessions/t1/restart')->{json}{status}, 'STARTING',
   'it restarts');
ok($waha->reaches('t1', 'WORKING'), 'and works again');

$waha->status('t1', 'FAILED');
is(call(POST => '/api/sessions/t1/start')->{status}, 422,
   'one that failed cannot be started');
is(call(POST => '/api/sessions/t1/restart')->{status}, 201,
   'but be restarted');
ok($waha->reaches('t1', 'WORKING'), 'and works again');

$r = call(POST => '/api/sessions/t1/logout');
is_deeply([ @$r{qw(status)}, $r->{json}{status}, $r->{json}{me} ],
          [ 201, 'STARTING', undef ], 'logged out, it starts again');
ok($waha->reaches('t1', 'SCAN_QR_CODE'), 'with a new QR code');
is(call(POST => '/api/sessions/idle/logout')->{json}{status}, 'STOPPED',
   'one that is stopped stays so');

$waha->scan('t1');
$waha->status('t1', 'FAILED', me => undef);
is_deeply([ @{ call(GET => '/api/sessions/t1')->{json} }{qw(status me)} ],
          [ 'FAILED', undef ], 'the phone itself has logged it out');
call(POST => '/api/sessions/t1/restart');
ok($waha->reaches('t1', 'SCAN_QR_CODE'), 'restarted, it must be scanned');


# another configuration

$waha->scan('t1');
$r = call(PUT => '/api/sessions/t1', { config => { metadata => {} } });
is_deeply([ $r->{status}, $r->{json}{status}, $r->{json}{config} ],
          [ 200, 'STARTING', { metadata => {} } ],
          'PUT replaces all and restarts');
ok($waha->reaches('t1', 'WORKING'), 'logged in as before');
is(call(PUT => '/api/sessions/idle', { config => $config })->{json}{status},
   'STOPPED', 'PUT of one that is stopped');
is_deeply(said(call(PUT => '/api/sessions/none', { config => {} })),
          not_found('Session not found'), 'PUT of an unknown one: 404');
is(call(PUT => '/api/sessions/t1', { config => { webhooks => 1 } })
       ->{status}, 400, 'PUT of nonsense: 400');


# commands of one session come one after the other

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
       '201 422 422 422 422', 'of five at once, one makes the session');

    $_->send($_->format(POST => '/api/sessions/race/restart',
                        { 'X-Api-Key' => 'adminkey' })) for @clients;
    is(join(' ', map { $_->answer->{status} } @clients),
       '201 201 201 201 201', 'five restarts are all done');
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
       'a command that waits for too long: 500');
}


# a session that is stopped while it starts stays so

my $calm = $t->standin(starting => 0.3, stopping => 0.01);
$calm->add_session('t1', start => 1);
is(Waha::HTTP->new(port => $calm->port)->post('/api/sessions/t1/stop',
       { 'X-Api-Key' => 'adminkey' })->{json}{status}, 'STOPPED',
   'stopped while it starts');
$calm->add_session('t2', start => 1);
ok($calm->reaches('t2', 'SCAN_QR_CODE'), 'a later one shows its code');
is($calm->session('t1')->{status}, 'STOPPED', 'the stopped one does not');


# deletion

is_deeply(said(call(DELETE => '/api/sessions/race')), [ 200, '' ],
          'deleted: 200 and nothing');
is_deeply(said(call(DELETE => '/api/sessions/race')), [ 200, '' ],
          'and once more');
is(status('race'), 'none', 'it is gone');


# passkeys

is(call(GET => '/api/t1/auth/passkey/challenge')->{status}, 501,
   'NOWEB has no passkeys');

my $gows = $t->standin(engine => 'GOWS');
$http = Waha::HTTP->new(port => $gows->port);
$gows->add_session('p1', start => 1);
is(call(GET => '/api/p1/auth/passkey/challenge')->{status}, 422,
   'no challenge before it is asked for');
ok($gows->scan('p1', phone => '4915', passkey => { challenge => 'abc' }),
   'scanned: PASSKEY_REQUIRED');
is_deeply(said(call(GET => '/api/p1/auth/passkey/challenge')),
          [ 200, { challenge => 'abc' } ], 'the challenge');
is(call(GET => '/api/p1/auth/passkey/confirmation')->{status}, 422,
   'no confirmation yet');
is(call(POST => '/api/p1/auth/passkey', { id => 'cred' })->{status}, 201,
   'the credential is taken');
is_deeply($gows->session('p1')->{credential}, { id => 'cred' },
          'as it was sent');
is(call(GET => '/api/p1/auth/passkey/confirmation')->{json}{code},
   'WXYZ-5678', 'the code to be confirmed');
is(call(POST => '/api/p1/auth/passkey/confirm')->{status}, 201, 'confirmed');
ok($gows->reaches('p1', 'WORKING'), 'it works');
$http = Waha::HTTP->new(port => $waha->port);


# QR codes end

my $short = $t->standin(codes => [ 0.1, 0.05, 0.05 ], retry => 0.01);
$short->add_session('t1', start => 1,
    config => { webhooks => [ { %$hook, url => receiver() } ] });
ok($short->reaches('t1', 'FAILED'), 'nobody scans: FAILED in the end');
is(join(' ', map { $_->{payload}{status} } told($short)),
   'STARTING SCAN_QR_CODE SCAN_QR_CODE SCAN_QR_CODE FAILED',
   'each code has been told');


# webhooks are sent until they are taken

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
       'message:401 message:503 message:200', 'three tries of what is wanted');

    $short->add_session('t3', config => { webhooks => [ {
        url => 'http://127.0.0.1:1/', events => [ '*' ],
        retries => { attempts => 2 } } ] });
    $short->event('t3', 'message', { id => 'x' });
    $short->delivered;
    is(scalar(grep { $_->{session} eq 't3' } $short->deliveries), 3,
       'nobody there: one and two more, no further');
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
   Waha::Message::sign($sent->{body}, 'hook-key-one'), 'they are signed');
is($sent->{headers}{'x-webhook-hmac-algorithm'}, 'sha512', 'with SHA-512');
is($sent->{headers}{'x-webhook-timestamp'},
   JSON::PP::decode_json($sent->{body})->{timestamp}, 'the time is a header');
ok($sent->{headers}{'x-webhook-request-id'}, 'they have an id');
is($sent->{headers}{'x-tenant'}, 'custom42', 'with our own headers');
is($sent->{query}, 'org=acme', 'the query is kept');
$waha->heal;


# messages, contacts

$r = call(POST => '/api/sendText', { session => 't1', chatId => '49@c.us' });
is($r->{status}, 500, 'a message without text: 500');
like($r->{json}{exception}{stack}, qr{/app/dist/core/manager\.core\.js:123},
     'with the stack');
is($r->{json}{request}{body}{chatId}, '49@c.us', 'and the request');

$r = call(POST => '/api/sendText', { session => 't1', chatId => '49@c.us',
                                     text => 'Hi' });
is($r->{status}, 201, 'a message is sent: 201');
is($r->{json}{key}{remoteJid}, '49@c.us', 'the answer is the raw one');
is(call(POST => '/api/sendText', { text => 'Hi' })->{json}{session},
   'default', 'without a session it is "default"');
is(call(POST => '/api/sendText', { session => 'idle', text => 'Hi' })
       ->{status}, 422, 'it does not work: 422');
is(call(POST => '/api/sendSeen', { session => 't1' })->{status}, 201,
   'a message is seen');
is_deeply(call(GET => '/api/contacts/check-exists?phone=49&session=t1')
              ->{json}{chatId}, '49@c.us', 'a number exists');
is_deeply(said(call(GET => '/api/t1/chats/overview')), [ 200, [] ],
          'no chats');

$waha->lid('555@lid', '49@c.us');
is(call(GET => '/api/t1/lids/555%40lid')->{json}{pn}, '49@c.us',
   'the phone of a hidden number');
is_deeply(said(call(GET => '/api/t1/lids/556')),
          [ 200, { lid => '556@lid', pn => undef } ], 'which is not known');


# what is deprecated

is(call(POST => '/api/sessions/start', { name => 'old' })->{status}, 201,
   'the old start');
isnt(status('old'), 'none', 'makes and starts it');
is(call(POST => '/api/sessions/stop', { name => 'old' })->{status}, 201,
   'the old stop');
is(status('old'), 'STOPPED', 'stops it');
is(call(POST => '/api/sessions/logout', { name => 'old' })->{status}, 201,
   'the old logout');
is(status('old'), 'none', 'deletes it');


# keys of one session

my $forbidden = [ 403, { message => 'Forbidden', statusCode => 403 } ];
my $key = call(POST => '/api/keys', { session => 't1' })->{json};
my @as = (undef, 'X-Api-Key' => $key->{key});

like($key->{key}, qr/^key_/, 'a key of a session');
is(call(GET => '/api/sessions/t1', @as)->{status}, 200, 'its session');
is_deeply(said(call(GET => '/api/sessions/idle', @as)), $forbidden,
          'another one: 403');
is_deeply(said(call(DELETE => '/api/sessions/t1', @as)), $forbidden,
          'it may not delete');
is_deeply(said(call(POST => '/api/sessions', { name => 'x' }, @as[1, 2])),
          $forbidden, 'nor make sessions');
is(call(POST => '/api/keys/media', { session => 't1' })->{json}{key},
   call(POST => '/api/keys/media', { session => 't1' })->{json}{key},
   'a key for media stays the same');
is(scalar @{ call(GET => '/api/keys')->{json} }, 2, 'both are listed');
call(DELETE => "/api/keys/$key->{id}");
is_deeply(said(call(GET => '/api/sessions/t1', @as)), $unauthorized,
          'a deleted one is not known');


# media

my $bytes = join '', map { chr } 0 .. 255;
my $path = $waha->add_file('t1', 'A1.jpg', $bytes, 'image/jpeg', 1e9);

is($http->get($path)->{status}, 401, 'files need the key, too');
$r = call(GET => $path);
is($r->{body}, $bytes, 'the file');
is($r->{headers}{'content-type'}, 'image/jpeg', 'its type');
is($r->{headers}{'last-modified'}, 'Sun, 09 Sep 2001 01:46:40 GMT', 'its age');

my $etag = $r->{headers}{etag};
my $head = call(HEAD => $path);
is_deeply([ $head->{body}, $head->{headers}{'content-length'} ], [ '', 256 ],
          'HEAD');
is(call(GET => $path, undef, 'If-None-Match' => $etag)->{status}, 304,
   'not modified');

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
       ->{status}, 206, 'If-Range with its tag');
is(call(GET => $path, undef, Range => 'bytes=0-9', 'If-Range' => 'W/"x"')
       ->{status}, 200, 'If-Range with another one');
$waha->remove_file('t1', 'A1.jpg');
is_deeply(said(call(GET => $path)), not_found("Cannot GET $path"),
          'a file that is gone');


# connections and the log of requests

$waha->clear_requests;
call(GET => '/api/sessions/t1?a=b%20c');
ok(call(POST => '/api/sessions/none/stop', '{"a":1}')->{reused},
   'the connection stays');

my @log = $waha->requests;
is(join('|', map { "$_->{method} $_->{path} $_->{query} $_->{status}" } @log),
   'GET /api/sessions/t1 a=b%20c 200|POST /api/sessions/none/stop  201',
   'the requests in order');
is($log[0]{args}{a}, 'b c', 'the arguments');
is($log[0]{headers}{'x-api-key'}, 'adminkey', 'the headers');
is($log[1]{body}, '{"a":1}', 'the body');
is_deeply($log[1]{data}, { a => 1 }, 'the body, decoded');
is($log[0]{connection}, $log[1]{connection}, 'one connection');


# the bytes of an answer to bytes, until the server closes

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
     'HTTP/1.0: closed after the answer');
my @pongs = raw("GET /ping HTTP/1.1\r\n\r\nGET /ping HTTP/1.1\r\n"
                . "Connection: close\r\n\r\n") =~ /pong/g;
is(scalar @pongs, 2, 'two requests at once');
like(raw("POST /api/sessions/none/stop HTTP/1.1\r\nX-Api-Key: adminkey\r\n"
         . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
         . "2\r\n{}\r\n0\r\n\r\n"), qr{^HTTP/1\.1 201}, 'a chunked request');
is(($waha->requests)[-1]{body}, '{}', 'its body');
like(raw("POST /api/sessions/none/stop HTTP/1.1\r\nX-Api-Key: adminkey\r\n"
         . "Expect: 100-continue\r\nContent-Length: 2\r\n"
         . "Connection: close\r\n\r\n{}"),
     qr{^HTTP/1\.1 100 Continue\r\n\r\nHTTP/1\.1 201}, '100 Continue');
like(raw("what\r\n\r\n"), qr{^HTTP/1\.1 400}, 'no HTTP');

my $hurry = $t->standin(idle => 0.1);
my $lazy = Waha::HTTP->new(port => $hurry->port);
$lazy->get('/ping');
ok($lazy->closed(2), 'a connection that is not used is closed');


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


is(fault('refuse')->{error}, 'connect', 'refuse: nobody listens');
$http = Waha::HTTP->new(port => $waha->port);
is($http->get('/ping')->{status}, 200, 'healed: somebody does');

is(fault('stall')->{error}, 'timeout', 'stall: no answer');
ok(wait_for(sub { ($waha->requests)[-1]{aborted} }), 'stall: the client left');
is(fault('close')->{error}, 'closed', 'close: closed');
is(fault('close', raw => 1), '', 'close: without a byte');

{
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $waha->port);
    $waha->fail(with => 'reset', times => 1);
    print $socket "GET /ping HTTP/1.1\r\n\r\n";
    ok(!defined sysread($socket, my $byte, 1), 'reset: no byte, no end');
    ok($!{ECONNRESET}, 'reset: ECONNRESET');
}

is(fault('truncate')->{error}, 'closed', 'truncate: the body ends too early');
like(fault('truncate', raw => 1), qr/^Content-Length: \d+\r\n.*\r\n\r\n\[/ims,
     'truncate: but it begins');
is(fault('truncate_chunked')->{error}, 'closed',
   'truncate_chunked: the last chunk is missing');
like(fault('truncate_chunked', raw => 1),
     qr/^Transfer-Encoding: chunked\r\n.*\r\n\r\n[0-9a-f]+\r\n\[.*\r\n$/ims,
     'truncate_chunked: one chunk comes');
is(fault('hang')->{error}, 'timeout', 'hang: the body stands still');
unlike(fault('garbage', raw => 1), qr{^HTTP/}, 'garbage: no HTTP');

my $html = fault('html');
is("$html->{status} $html->{headers}{'content-type'}",
   '200 text/html; charset=utf-8', 'html: a page');
my $broken = fault('not_json');
like($broken->{headers}{'content-type'}, qr/json/, 'not_json: says it is');
is($broken->{json}, undef, 'not_json: and is not');
is_deeply(said(fault('empty')), [ 200, '' ], 'empty: 200 and nothing');
like(fault('error500')->{json}{exception}{stack}, qr{manager\.core\.js:123},
     'error500: a stack');
is_deeply(said(fault('status', status => 503, body => '{"a":1}')),
          [ 503, { a => 1 } ], 'status: any answer');
is(fault('status', status => 302, headers => [ [ Location => '/x' ] ])
       ->{headers}{location}, '/x', 'status: with headers');
like(fault('huge', huge => 2e7, raw => 1),
     qr/^Content-Length: 20000000\r\n.*\r\n\r\n\{"name":"x+"\}$/ms,
     'huge: 20 MB');

$begin = Time::HiRes::time();
is(fault('slow', slow => 0.3)->{json}{name}, 't1', 'slow: the true answer');
cmp_ok(Time::HiRes::time() - $begin, '>=', 0.29, 'slow: but late');
is(fault('slow', slow => 2)->{error}, 'timeout', 'slow: too late');
is(fault('trickle', trickle => 0)->{json}{name}, 't1',
   'trickle: the true answer');

$http = Waha::HTTP->new(port => $waha->port);
$waha->fail(match => '/stop$', with => 'close', acts => 1, times => 1);
is(call(POST => '/api/sessions/t1/stop')->{error}, 'closed',
   'acts: no answer');
is(status('t1'), 'STOPPED', 'acts: but it was done');
is(call(POST => '/api/sessions/t1/stop')->{status}, 201, 'times: only once');
ok(!eval { $waha->fail(with => 'nonsense'); 1 }, 'an unknown fault');


# what must stay secret

my %secret = map { $_ => 1 } $waha->secrets;
ok($secret{$_}, "$_ is a secret")
    for qw(adminkey hook-key-one custom42 proxypass waha-1.internal
           /app/dist/core/manager.core.js);


# nothing stays when a test is killed

my $pid = open my $other, '-|', $^X, (map { "-I$_" } @INC), '-e', <<'EOF_PERL';
use Waha::Test;
my $t = Waha::Test->new;
my $waha = $t->standin;
$| = 1;
print "$waha->{pid}\n";
sleep 60;
EOF_PERL
chomp(my $server = <$other>);
ok(Waha::Process::alive($server), 'a stand-in of another test runs');
kill 'KILL', $pid;
ok(wait_for(sub { !Waha::Process::alive($server) }),
   'the test is killed: it ends');
close $other;
$? = 0;


$t->done;
