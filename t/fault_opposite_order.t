# Many workers store messages of the same few people in any order: no deadlock.

use Waha::Test;
use Waha::Fault;

my $t = Waha::Test->new;

# a deadlock is to be reported as one before lock_timeout ends the wait

my $pg = $t->postgres(conf => 'deadlock_timeout = 20ms');
$t->nginx(workers => 4, vars => { DATABASE => 'timeout=10s' })->start;

# every message may change a name, which locks more rows than a plain message

my $fault = Waha::Fault->new($t, $pg, people => 6, names => 3, twin => 3,
    senders => 2, connections => 40);

$fault->runs('few people, many workers', sub {
    my ($load) = @_;

    $load->progress(1500, 300) or die 'no progress';

}, bites => sub { 1 }, calm => 1);

is($pg->deadlocks, 0, 'PostgreSQL saw no deadlock');

$t->done;
