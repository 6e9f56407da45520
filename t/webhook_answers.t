# Webhooks: the answer to each kind of event, what it stores, and the variables
# of the access log.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('closed', session => 't2', enabled => 0);

$t->nginx(conf => <<'EOF_CONF');
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%

    log_format waha '$waha_organization|$waha_session|$waha_event|'
                    '$waha_action|$waha_batch|$waha_db_time|$status';

    waha_database "%%DSN%%" timeout=20s;
    waha_hmac_key %%KEY%%;

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/waha.log waha;

        location = /api/whatsapp/webhook {
            waha_webhook;
        }

        location = /small {
            waha_webhook;
            client_max_body_size 10;
        }

        location = /static {
            return 204;
        }
    }
}
EOF_CONF

$t->start;


# a new person, the same message again, the next message

my $message = $t->message(id => 'A1', name => 'Ann Lee', text => 'hello');
my $r = $t->webhook($message);

is($r->{status}, 200, 'a message of a new person is answered 200');
is($r->{headers}{'content-type'}, 'application/json', 'the answer is JSON');

my $data = $r->{json}{data};
my ($contact, $activity) = @$data{qw(contactId activityId)};

is_deeply($r->{json}, { success => $data && $r->{json}{success}, data => {
    received => $data->{received}, action => 'contact_created',
    organization => 'acme',
    tenantId => $pg->organization_id('acme'),
    contactId => $contact, activityId => $activity } },
    'the answer has action, organization, contact and activity');

ok($r->{json}{success} && $data->{received},
   'the answer says that the message was received');

is_deeply($pg->rows(qq{
    select first_name, last_name, phone_1, contact_type
    from contacts where id = $contact and organization_slug = 'acme'}),
    [['Ann', 'Lee', '+79222222222', 'lead']], 'the contact is stored');

is_deeply($pg->rows(qq{
    select contact_id, activity_type, direction, message_content
    from contact_activities where id = $activity}),
    [[$contact, 'whatsapp_message', 'inbound', 'hello']],
    'the message is stored');

$r = $t->webhook($message);
is($r->{status}, 200, 'the same message again is answered 200');
is($r->{json}{data}{action}, 'duplicate',
   'the same message again is a duplicate');
is($r->{json}{data}{contactId}, $contact,
   'the duplicate has the same contact');
is($pg->messages, 1, 'the duplicate stores nothing');

$r = $t->webhook($t->message(id => 'A2', event => 'message.any',
                             name => 'Ann Lee'));
is($r->{json}{data}{action}, 'activity_logged', 'the next message is logged');
is($r->{json}{data}{contactId}, $contact,
   'the next message has the same contact');

$r = $t->webhook($t->event('message.ack', 't1',
    { id => 'false_79222222222@c.us_A2', ack => 3, ackName => 'READ',
      from => '79222222222@c.us', fromMe => undef }));
is($r->{json}{data}{action}, 'status_updated',
   'a status of delivery is stored');

$r = $t->webhook($t->session_status('t1', 'WORKING'));
is($r->{json}{data}{action}, 'session_updated',
   'a status of the session is stored');

for my $event (qw(presence.update group.v2.join poll.vote.failed unheard.of)) {
    $r = $t->webhook($t->event($event, 't1', {}));
    is($r->{status}, 200, "$event is answered 200");
    is_deeply([@{ $r->{json}{data} }{qw(action reason)}],
              ['ignored', 'event'], "$event is ignored");
}


# refusals

my $before = $pg->messages;
my $quarantined = 'select count(*) from waha.quarantine';

refused($t->webhook($message, key => undef), 401, 'invalid_signature',
        'a webhook without a signature');

refused($t->webhook($message, key => 'x'), 401, 'invalid_signature',
        'a webhook signed with another key');

refused($t->webhook(''), 400, 'invalid_event', 'an empty body');
refused($t->webhook('hello'), 400, 'invalid_event', 'a body that is no JSON');
refused($t->webhook('{"a":1}'), 400, 'invalid_event',
        'JSON that is no event of WAHA');

refused($t->webhook($t->message(session => 'none')),
        404, 'unknown_organization', 'an unknown session');
is($pg->value($quarantined), 1,
   'an event of an unknown session is kept in quarantine');

refused($t->webhook($t->message(session => 't2')),
        404, 'disabled_organization', 'a disabled organization');
is($pg->value($quarantined), 1,
   'an event of a disabled organization is not kept');

refused($t->webhook($t->message, path => '/api/whatsapp/webhook?org=closed'),
        403, 'contradiction', 'a query that names another organization');

my $http = $t->http;
$r = $http->request('GET', '/api/whatsapp/webhook');
refused($r, 405, 'method_not_allowed', 'GET');
is($r->{headers}{allow}, 'POST', 'the 405 names POST');

$r = $t->webhook($message, path => '/small');
is($r->{status}, 413, 'a body beyond client_max_body_size is answered 413');

is($pg->messages, $before, 'no refused webhook is stored');


# a body in a temporary file, and one in chunks

my $long = 'x' x 100_000;
$r = $t->webhook($t->message(id => 'A3', text => $long));
is($r->{status}, 200, 'a body in a temporary file is taken');
is($pg->value(q{select message_content = repeat('x', 100000)
    from contact_activities where message_id = 'A3'}), 't',
    'a body in a temporary file is stored in full');

my $chunked = $t->message(id => 'A3c', text => 'in chunks');
my $headers = $t->headers($chunked);
my $client = $t->http;

$client->connect;
$client->send("POST /api/whatsapp/webhook HTTP/1.1\r\nHost: localhost\r\n"
    . join('', map { "$_: $headers->{$_}\r\n" } keys %$headers)
    . "Transfer-Encoding: chunked\r\n\r\n"
    . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
               $chunked =~ /(.{1,50})/gs) . "0\r\n\r\n");
is($client->answer->{json}{data}{action}, 'activity_logged',
   'a body in chunks is taken');


# PostgreSQL is stopped

$pg->stop('fast');

$r = $t->webhook($t->message(id => 'A4'));
refused($r, 503, 'database_unavailable', 'PostgreSQL is stopped');
cmp_ok($r->{headers}{'retry-after'}, '>', 0, 'the 503 has Retry-After');

$pg->start;

ok(wait_for(sub {
    return $t->webhook($t->message(id => 'A4'))->{status} == 200;
}, 60), 'webhooks are taken once PostgreSQL has started');

is($pg->messages('A4'), 1, 'the message that was sent again is stored once');


# variables of the access log

$http->request('GET', '/static');

ok(wait_for(sub { $t->nginx->log('waha.log') =~ /\|204$/m }, 60),
   'the access log is written');

my $log = $t->nginx->log('waha.log');
like($log, qr/\Aacme\|t1\|message\|contact_created\|1\|\d+\.\d{3}\|200$/m,
     'the log of a message has all variables');
like($log, qr/^-\|t1\|presence\.update\|ignored\|-\|-\|200$/m,
     'the log of an ignored event has no batch and no time of the database');
like($log, qr/^-\|-\|-\|invalid_signature\|-\|-\|401$/m,
     'the log of a refusal has its code');
like($log, qr/^-\|-\|-\|-\|-\|-\|204$/m,
     'the log of another location has no variable');



# refusals in the error log: one line each, with the reason and the session

my $error_log = $t->error_log;
my @lines = grep { /waha: webhook answered/ } split /\n/, $error_log;

for (['401 invalid_signature: it has no signature', '-', 1],
     ['401 invalid_signature: no "waha_hmac_key" has made', '-', 1],
     ['400 invalid_event: ', '-', 3],
     ['404 unknown_organization: ', 'none', 1],
     ['404 disabled_organization: ', 't2', 1],
     ['403 contradiction: ', 't1', 1],
     ['405 method_not_allowed: ', '-', 1],
     ['503 database_unavailable: ', 't1'])
{
    my ($reason, $session, $count) = @$_;
    my @found = grep { /\[info\].* answered \Q$reason\E/
                       && /session "\Q$session\E"/ } @lines;

    cmp_ok(@found, '>=', $count // 1,
           "the error log tells \"$reason\" and the session $session");
    is(@found, $count, 'one line for each webhook') if $count;
}

unlike(join("\n", @lines), qr/\?org=closed/, 'the lines do not show the query');

$t->done;
