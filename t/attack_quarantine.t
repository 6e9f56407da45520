# A session whose events cannot be stored fills its own quarantine; whoever has
# a key fills that of made-up names.  Then WAHA has to send these again, and
# another organization notices nothing.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');
$pg->psql('select waha.limit_quarantine(5, 100000)');
$t->nginx(vars => { DATABASE => 'timeout=20s' })->start;

my $number = 0;

is(answers(map { unreadable('t1') } 1 .. 12),
   '200 quarantined x 5, 503 quarantine_full x 7',
   'a session may have so many events in quarantine');
is(answers(map { message("made-up-$_", 'x' x 3000) } 1 .. 60),
   '404 unknown_organization x 50, 503 quarantine_full x 10',
   'all sessions that nobody knows share a bound');

is($pg->value('select count(*) from waha.quarantine'), 55,
   'the quarantine has what was not refused');


# what goes on now is refused, and everything else is served meanwhile

my @flood = map { $t->send_webhook(unreadable('t1')) } 1 .. 20;
my @names = map { $t->send_webhook(message("more-$_")) } 1 .. 20;

is($t->webhook(message('t2'))->{json}{data}{action}, 'contact_created',
   'a message of another organization is stored');
is(answers(map { unreadable('t2') } 1 .. 3), '200 quarantined x 3',
   'its quarantine has room');
is($t->webhook(message('t1'))->{json}{data}{action}, 'contact_created',
   'so is a message of the session that is full');

my @refused = map { $_->answer } @flood, @names;
is(scalar(grep { $_->{status} == 503
                 && $_->{json}{code} eq 'quarantine_full' } @refused), 40,
   'each event of the flood is refused');
is(scalar(grep { ($_->{headers}{'retry-after'} // 0) > 0 } @refused), 40,
   'and WAHA is to send it again');
is($pg->value('select count(*) from waha.quarantine'), 58,
   'the quarantine does not grow');

$pg->psql("update waha.quarantine set resolved_at = now()
            where session_name = 't1'");
is($t->webhook(unreadable('t1'))->{json}{data}{action}, 'quarantined',
   'what was resolved makes room');

my $log = $t->error_log;
like($log, qr/\[err\w*\] .*the quarantine of session "t1" is full/,
     'the error log says which quarantine is full');
is(scalar(() = $log =~ /webhook answered 503 quarantine_full/g), 57,
   'each event that is refused has a line at level info');

$t->done;


# payload.id is missing

sub unreadable {
    my ($session) = @_;

    return $t->event('message', $session,
                     { from => '4915110000001@c.us', body => 'x',
                       timestamp => ++$number });
}


sub message {
    my ($session, $text) = @_;

    return $t->message(session => $session, id => 'A' . ++$number,
                       from => '4915110000001', text => $text // 'hi');
}


# how often which answer came

sub answers {
    my %times;

    for my $body (@_) {
        my $r = $t->webhook($body);
        $times{"$r->{status} "
               . ($r->{json}{code} // $r->{json}{data}{action})}++;
    }

    return join ', ', map { "$_ x $times{$_}" } sort keys %times;
}
