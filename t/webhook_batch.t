# Events leave alone while the database is idle, together while it is busy,
# and nobody waits for somebody else's trouble.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');

sub configure {
    my ($parameters) = @_;

    my $conf = <<"EOF_CONF";
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    log_format batch '\$waha_batch';
    waha_database "%%DSN%%" $parameters;
    waha_hmac_key %%KEY%%;

    server {
        listen 127.0.0.1:%%PORT%%;
        client_max_body_size 8m;
        access_log %%DIR%%/batch.log batch;
        location = /api/whatsapp/webhook { waha_webhook; }
    }
}
EOF_CONF

    return $conf;
}

$t->nginx(conf => configure('connections=1 timeout=10s'));
$t->start;


# sends a message without waiting for the answer

sub begin { return $t->send_webhook($t->message(@_)) }


# the size of the batch of each webhook so far

sub batches {
    my @sizes = split /\n/, $t->nginx->log('batch.log');
    return @sizes;
}


# true when a statement of the module waits for a lock

sub stuck { return wait_for(sub { $pg->blocked }, 5) }


is($t->webhook($t->message(id => 'B0'))->{status}, 200, 'an event');
ok(wait_for(sub { batches() == 1 }, 5), 'is logged');
is_deeply([batches()], [1], 'and left alone');


# one connection that is busy: what comes meanwhile leaves together

my $lock = $pg->session;
$lock->query('begin');
$lock->query('lock table contact_activities in access exclusive mode');

my @waiting = begin(id => 'B1');
ok(stuck(), 'a statement that takes its time');
push @waiting, map { begin(id => "B$_", from => 4915100000000 + $_) } 2 .. 10;

# the worker has read them when it answers what came later
is($t->http->get('/nothing')->{status}, 404, 'all were read');

$lock->query('rollback');
is_deeply([map { $_->answer->{status} } @waiting], [(200) x 10],
          'all are stored');
ok(wait_for(sub { batches() == 12 }, 5), 'all are logged');
is_deeply([sort { $a <=> $b } grep { $_ ne '-' } batches()],
          [1, 1, (9) x 9], 'those that waited left together');
is($pg->value('select count(*) from contacts'), 10, 'each has its contact');


# bodies are bounded in their sum, too

$lock->query('begin');
$lock->query('lock table contact_activities in access exclusive mode');

@waiting = begin(id => 'C0');
ok(stuck(), 'a statement that takes its time');
push @waiting, map { begin(id => "C$_", text => 'x' x 400_000) } 1 .. 6;
is($t->http->get('/nothing')->{status}, 404, 'all were read');

$lock->query('rollback');
is_deeply([map { $_->answer->{status} } @waiting], [(200) x 7],
          'long messages are stored');
ok(wait_for(sub { batches() == 20 }, 5), 'all are logged');
my @sizes = grep { $_ ne '-' } (batches())[-8 .. -1];
is(scalar(grep { $_ > 3 } @sizes), 0, 'never more than a megabyte together');
isnt(scalar(grep { $_ > 1 } @sizes), 0, 'but together');


# another connection that is idle

$t->nginx->conf(configure('connections=2 timeout=10s'));
ok($t->reload, 'two connections');

is($t->webhook($t->message(id => 'D0', from => '4915100000100'))->{status},
   200, 'somebody');

$lock->query('begin');
$lock->query(q{select from contacts where phone_1 = '+4915100000100'
               for update});

my $locked = begin(id => 'D1', from => '4915100000100');
ok(stuck(), 'a contact that somebody else has locked');

my $r = $t->webhook($t->message(id => 'D2', from => '4915100000101'));
is($r->{status}, 200, 'another is stored');
ok(stuck(), 'while the first still waits');

$lock->query('rollback');
like($locked->answer->{status}, qr/^(?:200|503)$/, 'the first has its answer');

$t->done;
