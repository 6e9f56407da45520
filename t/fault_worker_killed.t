# A worker of nginx is killed under load: the other one and its successor
# serve.

use Waha::Test;
use Waha::Fault;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $nginx = $t->nginx(workers => 2);

$nginx->allow(qr/worker process \d+ exited on signal 9/);
$nginx->start;

for my $retry (0, 1) {
    my $fault = Waha::Fault->new($t, $pg, retry => $retry);
    my $how = $retry ? 'messages are sent again' : 'nothing is sent again';

    $fault->runs("a worker is killed, $how", sub {
        my @workers = $nginx->worker_pids;
        kill 'KILL', $workers[ rand @workers ];
    });
}

$t->done;
