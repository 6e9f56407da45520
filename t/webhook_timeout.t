# An event that takes all the time: the first time it gives 503, the second
# time it goes to quarantine, whichever worker has it.  Others of its batch are
# stored.  One that waits for a lock is no such event.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');

# a message with the text "slow" never ends

$pg->psql(<<'EOF_SQL');
create function slow() returns trigger language plpgsql as $$
begin
    perform pg_sleep(60);
    return null;
end
$$;
create trigger slow after insert on contact_activities for each row
    when (new.message_content = 'slow') execute function slow();
EOF_SQL


subtest 'alone' => sub {
    $t->nginx(workers => 2)->start;

    my $body = $t->message(id => 'ALONE', text => 'slow');

    refused($t->webhook($body), 503, 'database_busy', 'the first time');
    is(quarantined('ALONE'), '', 'it is not in quarantine yet');

    ok($t->reload, 'other workers take over');
    my $r = $t->webhook($body);
    is($r->{status}, 200, 'the second time: status 200');
    is($r->{json}{data}{action}, 'quarantined', 'it is quarantined');
    is(quarantined('ALONE'), 'timeout|57014', 'with its reason and SQLSTATE');
    is($t->webhook($body)->{json}{data}{action}, 'quarantined',
       'and once more');

    refused($t->webhook($t->message(id => 'NEXT', text => 'slow')), 503,
            'database_busy', 'another event, the first time');
    is($pg->value('select count(*) from waha.timeouts'), 2,
       'two events are remembered');

    $pg->psql('alter table contact_activities disable trigger slow');
    is($pg->value("select action from waha.replay((select id
                       from waha.quarantine
                      where event->>'message_id' = 'ALONE'))"),
       'contact_created', 'a replay stores it when the cause is removed');
    $pg->psql('alter table contact_activities enable trigger slow');

    $pg->psql("update waha.timeouts
                  set timed_out_at = now() - interval '8 days'");
    $pg->psql('select waha.maintain()');
    is($pg->value('select count(*) from waha.timeouts'), 0,
       'waha.maintain forgets them after a week');
};


subtest 'in a batch' => sub {
    serve('connections=1 timeout=10s');

    my $slow = $t->message(id => 'BATCH', text => 'slow', from => 79000000001);
    my @others = map { $t->message(id => "OTHER$_", from => 79000000100 + $_) }
                 1 .. 8;

    # WAHA repeats what is not taken, so the same ones meet again

    my @first;
    my %taken;
    for (1 .. 5) {
        my @answers = together($slow, @others);
        @first = $answers[0] if !@first;

        $taken{$_}++ for grep { $answers[$_]{status} == 200 } 0 .. $#answers;
        last if keys %taken == @answers;
    }

    is($first[0]{status}, 503, 'the first time it gives 503');
    is_deeply([ sort keys %taken ], [ 0 .. @others ],
              'later it is quarantined, and the others are taken');
    is(quarantined('BATCH'), 'timeout|57014', 'with its reason and SQLSTATE');
    is($pg->messages('OTHER%'), 8, 'the others are stored once');
};


subtest 'what waits for a lock' => sub {
    serve('connections=1');
    is($t->webhook($t->message(id => 'HELD1', from => 79000000201))->{status},
       200, 'a message makes the contact');

    my $other = $pg->session;
    $other->query("begin; select from contacts
                    where phone_1 like '%79000000201' for update");

    my $body = $t->message(id => 'HELD2', from => 79000000201, name => 'New');
    refused($t->webhook($body), 503, 'database_busy', "try $_") for 1 .. 4;

    $other->query('rollback');
    is($t->webhook($body)->{json}{data}{action}, 'activity_logged',
       'it is stored when the lock ends');
    is(quarantined('HELD2'), '', 'it was never in quarantine');
};


subtest 'what an administrator cancels' => sub {
    serve('connections=1 timeout=20s');

    my $body = $t->message(id => 'CANCEL', text => 'slow');

    for my $n (1 .. 3) {
        my $client = $t->send_webhook($body);
        ok(wait_for(sub { $pg->value(q{
            select pg_cancel_backend(pid) from pg_stat_activity
             where application_name = 'nginx-waha'
               and wait_event = 'PgSleep'}) }), "statement $n is cancelled");
        refused($client->answer, 503, 'database_busy', "cancelled $n");
    }

    is(quarantined('CANCEL'), '', 'it is not in quarantine');
};

$t->done;


sub serve {
    my ($parameters) = @_;

    $t->nginx->stop if @{ $t->{nginx} };
    $t->nginx(vars => { DATABASE => $parameters })->start;
}


# the answers to messages that share a batch: they wait while the only
# connection is busy

sub together {
    my (@bodies) = @_;

    my $other = $pg->session;
    $other->query('begin; lock table waha.conversations in exclusive mode');

    my $first = $t->send_webhook($t->message(text => 'first'));
    wait_for(sub { $pg->blocked }, 60) or die 'nothing waits for the lock';

    my @clients = map { $t->send_webhook($_) } @bodies;
    $other->query('rollback');
    $other->close;
    $first->answer;

    return map { $_->answer } @clients;
}


sub quarantined {
    my ($id) = @_;

    return $pg->psql("select reason, sqlstate from waha.quarantine
                       where event->>'message_id' = '$id'
                         and resolved_at is null");
}
