# Signed bodies that WAHA would never send, and that break parsers and
# databases. Each has a defined answer; a text is stored as it was sent, or the
# row says that it was changed.

use Waha::Test;
use Waha::Process qw(memory);

use utf8;
use Digest::SHA qw(sha256_hex);
use JSON::PP ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $json = JSON::PP->new->utf8->canonical;

$pg->organization('acme', session => ['t1', 'tenant42']);

my $nginx = $t->nginx(conf => <<'EOF_CONF')->start;
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" queue=4096 timeout=20s;
    waha_hmac_key %%KEY%%;
    client_max_body_size 8m;

    server {
        listen 127.0.0.1:%%PORT%%;
        location = /api/whatsapp/webhook { waha_webhook; }
    }
}
EOF_CONF

my $fffd = "\x{fffd}";
my $n = 0;


# --- texts -------------------------------------------------------------------

# sends a message with these bytes, as they stand in JSON, in place of its
# text; the text that has to be stored, and whether the row says that it was
# changed

sub text_is {
    my ($name, $bytes, $want, $changed) = @_;

    my $id = 'H' . ++$n;
    my $body = $t->message(id => $id, text => 'TEXT') =~ s/"TEXT"/"$bytes"/gr;
    my $r = $t->webhook($body);

    subtest $name => sub {
        is($r->{status}, 200,
           'the message is answered 200') or diag $r->{body};

        my $row = row($id);
        is($row->{message_content}, $want, 'the right text is stored');
        is(!!$row->{metadata}{sanitised}, !!$changed,
           $changed ? 'and says that it was changed' : 'unchanged');
    };
}


sub row {
    my ($id) = @_;

    my $row = $pg->value("
        select row_to_json(q) from (
            select message_content, sender_name, message_type, metadata,
                   waha.milliseconds(occurred_at) as at, session_name
              from contact_activities where message_id = '$id') q");

    return $row ? $json->decode($row) : {};
}


text_is('letters of many scripts', "\xd0\x96\xe2\x82\xac\xf0\x9f\x99\x82",
        'Ж€🙂');
text_is('every escape', '\"\\\\\/\b\f\n\r\t\u00e9\ud83d\ude42',
        "\"\\/\b\f\n\r\té🙂");
text_is('text that resembles SQL', q{'; drop table contacts; --\\\\'},
        q{'; drop table contacts; --\\'});
text_is('text that resembles an array of PostgreSQL', '{a,\"b\",NULL}',
        '{a,"b",NULL}');
text_is('control characters', '\u0001\u001f\u007f\u0080',
        "\x{1}\x{1f}\x{7f}\x{80}");
text_is('a separator of lines', '\u2028\u2029', "\x{2028}\x{2029}");
text_is('noncharacters', '\uffff\ufffe', "\x{ffff}\x{fffe}");
text_is('U+FFFD itself', "\xef\xbf\xbd", $fffd);

text_is('H5: a NUL in two bytes', "a\xc0\x80b", "a$fffd${fffd}b", 1);
text_is('H5: a surrogate in UTF-8', "a\xed\xa0\xbdb", "a${\($fffd x 3)}b", 1);
text_is('H5: a code point beyond Unicode',
        "a\xf5\x80\x80\x80b", "a${\($fffd x 4)}b", 1);
text_is('H5: a character cut short', "a\xf0\x9f\x99", "a$fffd", 1);
text_is('H5: bytes of Latin-1', "caf\xe9", "caf$fffd", 1);
text_is('H6: an escaped NUL', 'ab\u0000cd', "ab${fffd}cd", 1);
text_is('H6: a raw NUL', "ab\0cd", "ab${fffd}cd", 1);
text_is('H6: nothing but NULs', '\u0000\u0000', $fffd x 2, 1);
text_is('H7: a lone high surrogate', 'a\ud83db', "a${fffd}b", 1);
text_is('H7: a lone low surrogate', 'a\ude42b', "a${fffd}b", 1);
text_is('H7: a reversed pair', '\ude42\ud83d', $fffd x 2, 1);
text_is('an escape without digits', '\uzz', "${fffd}zz", 1);
text_is('an escape of three digits', '\u004g', "${fffd}004g", 1);
text_is('an escape as in C', '\u0x41', "${fffd}0x41", 1);


# the same bytes in everything that is stored beside the text

for my $bad ("\xff", "\0", '\u0000', '\ud800') {

    (my $shown = $bad) =~ s/[^ -~]/?/g;
    my $id = 'H' . ++$n;
    my $r = $t->webhook($t->message(id => $id, name => 'NAME', payload => {
        hasMedia => JSON::PP::true, source => 'xBAD',
        media => { url => 'uBAD', mimetype => 'image/BAD',
                   filename => 'fBAD' },
        location => { name => 'nBAD', address => 'aBAD', latitude => 'lBAD' },
        vCards => [ 'cBAD' ], replyTo => { id => 'iBAD', body => 'bBAD' },
    }, engine => 'eBAD') =~ s/BAD|(?<=NAM)E/$bad/gr);

    subtest "names and metadata with $shown" => sub {
        is($r->{status}, 200,
           'the message is answered 200') or diag $r->{body};

        my $row = row($id);
        is($row->{sender_name}, "NAM$fffd", 'the name is repaired');

        my $m = $row->{metadata};
        is_deeply([ $m->{sanitised}, $m->{source}, $m->{media_url},
                    @{ $m->{media} }{qw(mimetype filename)},
                    @{ $m->{location} }{qw(name address latitude)},
                    $m->{vcards}[0], @{ $m->{reply_to} }{qw(id body)},
                    $m->{engine} ],
                  [ JSON::PP::true, map { "$_$fffd" } 'x', 'u', 'image/', 'f',
                    'n', 'a', 'l', 'c', 'i', 'b', 'e' ],
                  'the metadata are repaired and flagged');
    };
}


# --- bodies that are no event ------------------------------------------------

my $good = $t->message(id => 'GOOD');

for my $case (
    [ 'an event with garbage behind it', "$good}" ],
    [ 'two events', $good . $good ],
    [ 'half of an event', substr $good, 0, length($good) / 2 ],
    [ 'a number', '42' ], [ 'an array of it', "[$good]" ],
    [ 'a NUL behind it', "$good\0" ],
    [ 'a NUL in the session', $good =~ s/"t1"/"t1\\u0000"/r ],
    [ 'a session of 3 kB', $good =~ s/"t1"/'"' . 't' x 3000 . '"'/er ],
    [ 'NaN', $good =~ s/"ack":2/"ack":NaN/r ],
    [ 'names in capitals', $good =~ s/"session"/"Session"/r ],
    [ 'UTF-16', join '', map { "$_\0" } split //, $good ],
    [ 'a gzip', "\x1f\x8b\x08" . 'x' x 100 ])
{
    my ($name, $body) = @$case;

    my $r = $t->webhook($body);
    is("$r->{status} $r->{json}{code}", '400 invalid_event',
       "no event: $name");
}

for my $case (
    [ 'payload.id', 'a NUL in the id', $good =~ s/GOOD/GOOD\\u0000/gr ],
    [ 'payload.id', 'a line break in the id', $good =~ s/GOOD/GO\\nOD/gr ],
    [ 'payload.id', 'an id of 3 kB', $good =~ s/GOOD/'G' x 3000/egr ],
    [ 'payload', 'no payload', $good =~ s/"payload"/"pay"/r ])
{
    my ($member, $name, $body) = @$case;

    for (1, 2) {
        my $r = $t->webhook($body);
        is_deeply([ $r->{status}, @{ $r->{json}{data} }{qw(action reason)} ],
                  [ 200, 'quarantined', "unreadable:$member" ],
                  "a known session, and $name");
    }

    is_deeply($pg->rows(q{select reason, octet_length(raw), event
                          from waha.quarantine
                          where encode(hash, 'hex') = '}
                        . sha256_hex($body) . q{'}),
              [ [ "unreadable:$member", length $body, undef ] ],
              "$name: kept once, byte for byte");
}

like($t->error_log, qr/webhook answered 200 quarantined: unreadable:payload.id/,
     'the error log says which member is missing');

for my $case ([ 'session', $good =~ s/"t1"/"t 1"/r ],
              [ 'event', $good =~ s/"event"/"Event"/r ])
{
    my ($member, $body) = @$case;

    like($t->webhook($body)->{json}{error}, qr/"$member" is missing/,
         "the answer says that the $member is missing");
    like($t->error_log, qr/answered 400 invalid_event: .*"$member" is missing/,
         'so does the error log');
}

is($pg->messages('G%'), 0, 'no such body is stored');

$pg->value('delete from waha.quarantine');

is($t->webhook("\r\n\t $good \n")->{status}, 200,
   'white space around an event is accepted');


# --- H8: numbers -------------------------------------------------------------

my $now = time;

for my $number ('1e400', '-1e400', '1e131000', '1e200000', '-0', '1e14', '-1',
                '9223372036854775808', '1e-400', '-0.' . '3' x 40,
                '"1e14"', '"nan"', '[]', '{}', 'true', '""')
{
    my $id = 'H' . ++$n;
    my $body = $t->message(id => $id, payload => {
        ack => 'NUMBER', media => { size => 'NUMBER' },
        timestamp => 'NUMBER', hasMedia => 'NUMBER',
        location => { latitude => 'NUMBER', longitude => 'NUMBER' },
        _data => { size => 'NUMBER', messageTimestamp => 'NUMBER' },
    }, metadata => { organization_id => 'NUMBER' }) =~ s/"NUMBER"/$number/gr;

    # 1e14 and others name an organization that does not exist, which is
    # ignored
    my $r = $t->webhook($body);
    my $row = row($id);

    subtest 'H8: ' . substr($number, 0, 20) => sub {
        is($r->{status}, 200,
           'the message is answered 200') or diag $r->{body};
        cmp_ok(abs($row->{at} / 1000 - $now), '<', 300,
               'the message has the time of the event');
        cmp_ok(length $json->encode($row->{metadata}), '<', 1000,
               'the metadata stay small');
    };
}

my $r = $t->webhook($t->message(id => 'NOTIME', payload => { timestamp => 0,
                                                             _data => {} })
                    =~ s/"timestamp":\d{13}/"timestamp":1e400/r);
is($r->{status}, 200, 'an event without any time is answered 200');
cmp_ok(abs(row('NOTIME')->{at} / 1000 - $now), '<', 300,
       'an event without any time gets the present time');
ok(row('NOTIME')->{metadata}{time_guessed},
   'the row says that the time is guessed');


# --- H9: names ---------------------------------------------------------------

my $twice = $t->message(id => 'TWICE', text => 'first')
            =~ s/"body":"first"/"body":"first","body":"last"/r
            =~ s/"session":"t1"/"session":"t1","session":"none"/r;
is($t->webhook($twice)->{status}, 200, 'H9: a member given twice is accepted');
is_deeply([ @{ row('TWICE') }{qw(message_content session_name)} ],
          [ 'first', 't1' ], 'H9: the first of two members counts everywhere');

is($t->webhook($t->message(id => 'PROTO', payload => {
       __proto__ => { body => 'x' }, BODY => 'y', constructor => 'z' }))
     ->{status}, 200,
   'H9: member names special to other languages are accepted');
is(row('PROTO')->{message_content}, 'hello', 'H9: such names have no effect');


# --- H4: bodies beyond the bounds --------------------------------------------

sub payload {
    my ($bytes) = @_;

    return $t->message(id => 'H' . ++$n, payload => { x => 'HERE' })
           =~ s/"HERE"/$bytes/r;
}

my %beyond = (
    'nested 65 deep' => payload('[' x 63 . ']' x 63),
    'nested 100,000 deep' => payload('[' x 1e5 . ']' x 1e5),
    'objects in objects' => payload('{"a":' x 1e5 . '1' . '}' x 1e5),
    'a million zeros' => payload('[' . '0,' x 1e6 . '0]'),
    'half a million keys' => payload('{' . join(',', map { "\"k$_\":0" }
                                                 1 .. 5e5) . '}'),
);

for my $name (sort keys %beyond) {
    my $body = $beyond{$name};

    for (1, 2) {
        my $r = $t->webhook($body);

        is($r->{status}, 200, "H4: $name is answered 200") or diag $r->{body};
        is($r->{json}{data}{action}, 'quarantined',
           "H4: $name goes to quarantine");
    }

    is_deeply($pg->rows(q{select reason, octet_length(raw), event
                          from waha.quarantine
                          where encode(hash, 'hex') = '}
                        . sha256_hex($body) . q{'}),
              [ [ 'too_complex', length $body, undef ] ],
              "H4: $name is kept once, byte for byte");
}

is($pg->value('select count(*) from waha.quarantine'), scalar keys %beyond,
   'no other body is in quarantine');

is($t->webhook(payload('[' x 62 . ']' x 62))->{status}, 200,
   '64 levels are taken');
is($t->webhook(payload('{"' . 'k' x 1e6 . '":0}'))
     ->{status}, 200, 'a member name of a megabyte is taken');
is($t->webhook(payload('[' . '0,' x 18999 . '0]'))->{status},
   200, '19,000 values are taken');
is($t->webhook('[' x 60 . '0' x 1e6)->{status},
   400, 'brackets that never close are refused');
is(row("H$n")->{message_type}, 'text',
   'a message within the bounds is stored');


# --- big messages ------------------------------------------------------------

my $thumbnail = '/9j/' . 'QUJD' x 5e5;

$t->webhook($t->message(id => 'THUMB', payload => {
    body => $thumbnail, hasMedia => JSON::PP::true,
    _data => { type => 'image', body => $thumbnail,
               thumbnail => $thumbnail } }));
is(row('THUMB')->{message_type}, 'image',
   'a message with a thumbnail is an image');
is(row('THUMB')->{message_content}, undef,
   'a thumbnail is not stored as text');
cmp_ok(length $json->encode(row('THUMB')->{metadata}), '<', 1000,
       'a thumbnail is not stored in the metadata');

$t->webhook($t->message(id => 'LONG', text => 'Ж' x 1e6));
is(row('LONG')->{message_content}, 'Ж' x 1e6,
   'a text of 2 MB is stored in full');

$t->webhook($t->message(id => 'NAME', name => 'Ж' x 5e4));
is(row('NAME')->{message_content}, 'hello',
   'a message with a name of 100 kB is stored');

$t->webhook($t->message(id => 'CARDS', text => '',
    payload => { vCards => [ ('BEGIN:VCARD' . 'x' x 2e4) x 100 ] }));
is(scalar @{ row('CARDS')->{metadata}{vcards} }, 20,
   'twenty of a hundred cards are stored');
ok(row('CARDS')->{metadata}{truncated},
   'the metadata say that they are truncated');

is($t->webhook('x' x 8.4e6)->{status}, 413,
   'a body beyond client_max_body_size is answered 413');


# --- bad bytes in some records of a batch ------------------------------------

my @clients;
my $before = $pg->messages;

for my $i (1 .. 60) {
    my $bytes = $i % 6 ? "text $i" : "bad\xff\\u0000\\ud800 $i";
    my $body = $t->message(id => "B$i", from => 79222220000 + $i,
                           text => 'TEXT') =~ s/"TEXT"/"$bytes"/gr;

    push @clients, $t->send_webhook($body);
}

is_deeply([ grep { $_->answer->{status} != 200 } @clients ], [],
          'sixty messages at the same time, ten with bad bytes, are answered '
          . '200');
is($pg->messages, $before + 60, 'all sixty messages are stored');
is($pg->value(q{select count(*) from contact_activities
                where metadata ? 'sanitised' and message_id like 'B%'}), 10,
   'the ten messages with bad bytes are flagged');


# --- deliveries with random changes ------------------------------------------

seed();

my @bodies = map { ($t->fixture($_))[0] } $t->fixtures;
my %answers;
my $http = $t->http;

for (1 .. 600) {
    my $body = $bodies[rand @bodies];

    for (0 .. rand 4) {
        my $at = int rand length $body;
        my $how = int rand 4;

        substr($body, $at, 1) = chr int rand 256 if $how == 0;
        substr($body, $at, int rand 20) = '' if $how == 1;
        substr($body, $at, 0) = ('"', '{', '\u0000', "\xff", 'null', '1e400',
                                 '\\', ',')[rand 8] if $how == 2;
        substr($body, $at, int rand 20) = substr $body,
            int rand length $body, int rand 40 if $how == 3;
    }

    my $r = $t->webhook($body, http => $http);
    $answers{ $r->{status} }++;

    diag("$r->{status}: $body") if $r->{status} !~ /^(200|400|403|404)$/;
}

is_deeply([ grep { !/^(200|400|403|404)$/ } sort keys %answers ], [],
          'deliveries with random changes have defined answers: '
          . join ', ', map { "$answers{$_} x $_" } sort keys %answers);
cmp_ok($answers{200} // 0, '>', 0, 'some of them are taken');
cmp_ok($answers{400} // 0, '>', 0, 'some of them are refused');

my $complaints = $pg->rows(q{select sqlstate, event from waha.quarantine
                             where sqlstate is not null});
is_deeply($complaints, [], 'none of all these bodies made PostgreSQL fail')
    or diag explain $complaints;


# --- memory of the worker ----------------------------------------------------

SKIP: {
    my ($pid) = $nginx->worker_pids;
    Test::More::skip('a sanitizer keeps freed memory', 2)
        if slurp("/proc/$pid/maps") =~ /libasan|libclang_rt/;

    my @big = ($beyond{'a million zeros'}, $beyond{'half a million keys'},
               $t->message(id => 'THUMB', payload => { _data => {
                   type => 'image', body => $thumbnail } }));

    $t->webhook($_, http => $http) for @big;
    my $start = memory($pid) / 1024;

    for (1 .. 20) {
        $t->webhook($_, http => $http) for @big;
    }

    my $end = memory($pid) / 1024;
    cmp_ok($end - $start, '<', 16, sprintf
           'sixty big bodies one after the other leave no memory behind: '
           . '%.1f MB, then %.1f MB', $start, $end);
    cmp_ok($end, '<', 96, 'the memory for one big body is bounded');
}

$t->done;
