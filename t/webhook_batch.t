# Batches: a record leaves alone while a connection is idle; records that wait
# for a busy connection leave together; one locked row does not delay others.

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

$t->nginx(conf => configure('connections=1 timeout=60s'));
$t->start;


# sends a message without waiting for the answer

sub begin { return $t->send_webhook($t->message(@_)) }


# the size of the batch of each webhook so far

sub batches {
    my @sizes = split /\n/, $t->nginx->log('batch.log');
    return @sizes;
}


# true when a statement of the module waits for a lock

sub stuck { return wait_for(sub { $pg->blocked }, 60) }


is($t->webhook($t->message(id => 'B0'))->{status}, 200,
   'a webhook on an idle connection is taken');
ok(wait_for(sub { batches() == 1 }, 60), 'the webhook is in the access log');
is_deeply([batches()], [1], 'it was a batch of one');


# one connection that is busy: records that come meanwhile leave together

my $lock = $pg->session;
$lock->query('begin');
$lock->query('lock table contact_activities in access exclusive mode');

my @waiting = begin(id => 'B1');
ok(stuck(), 'the first statement waits for a lock');
push @waiting, map { begin(id => "B$_", from => 4915100000000 + $_) } 2 .. 10;

# the worker reads requests in their order, so it has read those before this
# one
is($t->http->get('/nothing')->{status}, 404,
   'the worker has read all webhooks');

$lock->query('rollback');
is_deeply([map { $_->answer->{status} } @waiting], [(200) x 10],
          'all webhooks are taken');
ok(wait_for(sub { batches() == 12 }, 60), 'all webhooks are in the access log');
is_deeply([sort { $a <=> $b } grep { $_ ne '-' } batches()],
          [1, 1, (9) x 9], 'the records that waited left in one batch');
is($pg->value('select count(*) from contacts'), 10,
   'each record has its contact');


# the size of a batch is bounded, too

$lock->query('begin');
$lock->query('lock table contact_activities in access exclusive mode');

@waiting = begin(id => 'C0');
ok(stuck(), 'the first statement waits for a lock');
push @waiting, map { begin(id => "C$_", text => 'x' x 400_000) } 1 .. 6;
is($t->http->get('/nothing')->{status}, 404,
   'the worker has read all webhooks');

$lock->query('rollback');
is_deeply([map { $_->answer->{status} } @waiting], [(200) x 7],
          'all long messages are taken');
ok(wait_for(sub { batches() == 20 }, 60),
   'all long messages are in the access log');
my @sizes = grep { $_ ne '-' } (batches())[-8 .. -1];
is(scalar(grep { $_ > 3 } @sizes), 0, 'no batch is bigger than a megabyte');
isnt(scalar(grep { $_ > 1 } @sizes), 0,
     'long messages share batches as far as they fit');


# a second connection that is idle

$t->nginx->conf(configure('connections=2 timeout=60s'));
ok($t->reload, 'nginx is reloaded with two connections');

is($t->webhook($t->message(id => 'D0', from => '4915100000100'))->{status},
   200, 'a message makes the contact');

$lock->query('begin');
$lock->query(q{select from contacts where phone_1 = '+4915100000100'
               for update});

my $locked = begin(id => 'D1', from => '4915100000100');
ok(stuck(), 'a message waits for its locked contact');

my $r = $t->webhook($t->message(id => 'D2', from => '4915100000101'));
is($r->{status}, 200, 'a message of another contact is taken');
ok(stuck(), 'the first message still waits');

$lock->query('rollback');
like($locked->answer->{status}, qr/^(?:200|503)$/,
     'the first message is answered when the lock ends');

$t->done;
