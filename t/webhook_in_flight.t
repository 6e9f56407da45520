# Batches under way: two while commits are quick, and as many as there are
# connections while they are slow.  What waits meanwhile leaves together.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');

# the commit of a message with this text takes long, as that of a disk that is
# far away

$pg->psql(<<'EOF_SQL');
create function linger() returns trigger language plpgsql as $$
begin
    perform pg_sleep(0.3);
    return null;
end
$$;
create constraint trigger linger after insert on contact_activities
    deferrable initially deferred for each row
    when (new.message_content = 'slow') execute function linger();
EOF_SQL

sub configure {
    my ($parameters) = @_;

    return <<"EOF_CONF";
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    log_format batch '\$waha_batch';
    waha_database "%%DSN%%" $parameters;
    waha_hmac_key %%KEY%%;

    server {
        listen 127.0.0.1:%%PORT%%;
        location = /api/whatsapp/webhook {
            waha_webhook;
            access_log %%DIR%%/batch.log batch;
        }
    }
}
EOF_CONF
}

# a batch counts while it takes less than a twentieth of the timeout, which is
# longer than this test waits for anything
$t->nginx(conf => configure('connections=4 timeout=1h'))->start;


# sends as many messages while no statement can end, and tells the sizes of
# their batches

my $number = 0;

sub sizes {
    my ($alone, $count) = @_;

    logged($number);

    my $lock = $pg->session;

    $lock->query('begin');
    $lock->query('lock table contact_activities in access exclusive mode');

    my @sent;

    for my $n (1 .. $count) {
        push @sent, $t->send_webhook($t->message(id => 'L' . ++$number));

        # requests are read in their order
        $t->http->get('/nothing');
        wait_for(sub { $pg->blocked == $n }, 60) if $n <= $alone;
    }

    is(scalar $pg->blocked, $alone, "$alone statements are under way");
    $lock->query('rollback');
    $lock->close;

    is_deeply([ map { $_->answer->{status} } @sent ], [ (200) x $count ],
              'all messages are taken');

    my @log = logged($number);

    return [ sort { $a <=> $b } @log[-$count .. -1] ];
}


# the sizes in the log, which is written after the answer

sub logged {
    my ($count) = @_;

    my @log;

    wait_for(sub {
        @log = split /\n/, $t->nginx->log('batch.log');
        return @log == $count;
    }, 60) or diag(scalar(@log) . " webhooks in the log, not $count");

    return @log;
}


sub send_one_by_one {
    my ($count, @with) = @_;

    my @bad = grep { $_ != 200 }
              map { $t->webhook($t->message(id => 'O' . ++$number,
                                            @with))->{status} } 1 .. $count;

    is_deeply(\@bad, [], "$count messages are taken, one after the other");
}


subtest 'commits are quick' => sub {
    send_one_by_one(10);
    is_deeply(sizes(2, 9), [ 1, 1, (7) x 7 ],
              'two leave alone, what comes then leaves together');
};

subtest 'commits are slow' => sub {
    ok($t->reload, 'a new worker knows nothing of earlier commits');
    send_one_by_one(5, text => 'slow');
    is_deeply(sizes(4, 9), [ 1, 1, 1, 1, (5) x 5 ],
              'each connection is used before records wait');
};

subtest 'commits are quick again' => sub {
    send_one_by_one(80);
    is_deeply(sizes(2, 9), [ 1, 1, (7) x 7 ],
              'two leave alone, what comes then leaves together');
};

subtest 'statements that wait are not counted' => sub {
    $t->nginx->conf(configure('connections=3 timeout=20s'));
    ok($t->reload, 'nginx is reloaded');

    my @from = map { 4915100000000 + $_ } 1 .. 3;

    send_one_by_one(1, from => $_) for @from;

    my $lock = $pg->session;
    $lock->query('begin');
    $lock->query("select from contacts where phone_1 in ('+$from[0]',"
                 . " '+$from[1]') for update");

    my @locked = map { $t->send_webhook($t->message(id => "W$_",
                                                    from => $from[$_])) }
                 0, 1;

    ok(wait_for(sub { $pg->blocked == 2 }, 60),
       'two messages wait for their contacts');
    is($t->webhook($t->message(id => 'W2', from => $from[2]))->{status}, 200,
       'a message of somebody else is taken');
    is(scalar $pg->blocked, 2, 'the others still wait');

    $lock->query('rollback');
    is_deeply([ map { $_->answer->{status} } @locked ], [ 200, 200 ],
              'they are taken when the locks end');
};

$t->done;
