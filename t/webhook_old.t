# "waha_max_age": a recorded webhook cannot be sent again later, whatever the
# headers say; the signed timestamp counts.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');

$t->nginx(conf => <<'EOF_CONF');
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    waha_hmac_key %%KEY%%;

    server {
        listen 127.0.0.1:%%PORT%%;
        location = /usual { waha_webhook; }
        location = /hour { waha_webhook; waha_max_age 1h; }
    }
}
EOF_CONF

$t->start;

my $n = 0;
my $old = 1000 * (time - 3700);
my $new = 1000 * (time - 3000);

is(sent('/hour', $new), 'contact_created', 'an event of this hour is stored');
is(sent('/hour', $old), 'ignored old', 'an older event is ignored');
is(sent('/hour', undef), 'ignored old',
   'an event that does not say its time is ignored');
is(sent('/hour', '"yesterday"'), 'ignored old',
   'an event with another timestamp is ignored');
is(sent('/hour', $old, 'X-Webhook-Timestamp' => time . '000'), 'ignored old',
   'a header that nothing signs does not count');
is(sent('/hour', $new, 'X-Webhook-Timestamp' => $old), 'activity_logged',
   'it does not count in the other direction either');
is(sent('/hour', 1000 * (time + 600)), 'activity_logged',
   'a clock that is ahead loses nothing');
is(sent('/usual', $old), 'activity_logged', 'by default the age is no matter');

for my $change ($t->session_status('t1', 'WORKING'),
                $t->event('presence.update', 't1', {}))
{
    $change =~ s/"timestamp":\d+/"timestamp":$old/g;
    is($t->webhook($change, path => '/hour')->{json}{data}{reason}, 'old',
       'other old events are ignored, too');
}

is($pg->messages, 4, 'ignored events are not stored');

$t->done;


# a message in an envelope of that time; the action and its reason

sub sent {
    my ($path, $timestamp, %headers) = @_;

    my $body = $t->message(id => 'O' . ++$n);

    my $data = JSON::PP::decode_json($body);
    $data->{timestamp} = 'HERE';
    delete $data->{timestamp} if !defined $timestamp;
    $body = JSON::PP->new->canonical->utf8->encode($data);
    $body =~ s/"HERE"/$timestamp/ if defined $timestamp;

    my $r = $t->webhook($body, path => $path, headers => \%headers);

    return join ' ', grep { defined } @{ $r->{json}{data} }{qw(action reason)};
}
