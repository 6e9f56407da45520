# One session sends more than PostgreSQL takes: it fills its share of the queue
# and no more, and the events of another session are taken meanwhile.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('other', session => 't2');
$t->nginx(vars => { DATABASE => 'connections=1 queue=8 timeout=20s' })->start;

is($t->webhook($t->message(session => $_))->{status}, 200,
   "a message of $_ is taken before") for qw(t1 t2);

for my $round (1 .. 2) {
    my $lock = $pg->session;
    $lock->query('begin; lock table contact_activities');

    my $first = $t->send_webhook($t->message(session => 't1'));
    ok(wait_for(sub { $pg->blocked }), 'PostgreSQL is busy');

    my @flood = map { $t->send_webhook($t->message(session => 't1')) } 1 .. 20;

    refused($flood[$_]->answer, 503, 'overloaded', "flood $_, round $round")
        for 5 .. 19;

    my @victims = map { $t->send_webhook($t->message(session => 't2')) }
                  1 .. 3;

    # connections are served in the order in which they were made

    refused($t->webhook($t->message(session => 't1')), 503, 'overloaded',
            'the flooding session is still refused');

    $lock->query('rollback');
    $lock->close;

    is_deeply([ map { $_->answer->{status} } @victims ], [ (200) x 3 ],
              'all events of the other session are taken');
    my @taken = grep { $_->answer->{status} == 200 } $first, @flood[0 .. 4];
    cmp_ok(scalar @taken, '>=', 4, 'what fits is taken');
}

is($t->webhook($t->message(session => 't1'))->{status}, 200,
   'afterwards the session is served as before');

$t->done;
