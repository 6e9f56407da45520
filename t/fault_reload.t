# Reload after reload under load: no request is lost, none is even refused.

use Waha::Test;
use Waha::Fault;

use Time::HiRes ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
# the reloads are the fault, not a slow disk that makes locks wait
my $nginx = $t->nginx(workers => 2, vars => { DATABASE => 'timeout=10s' })
              ->start;
my $reloads;

my $fault = Waha::Fault->new($t, $pg, fresh => 3, resend => 1);

$fault->runs('reloads every 200 ms', sub {
    my ($load) = @_;

    $reloads = 0;

    for (1 .. 10) {
        my $next = Time::HiRes::time() + 0.2;
        $nginx->reload or die 'the reload was refused';
        $load->progress(1) or die 'no answers';
        $reloads++;
        my $left = $next - Time::HiRes::time();
        Time::HiRes::sleep($left) if $left > 0;
    }

}, calm => 1, ok => 1, bites => sub { $reloads == 10 }, check => sub {

    return wait_for(sub { $nginx->worker_pids(all => 1) == 2 }, 60)
           ? () : 'old workers do not quit';
});

$t->done;
