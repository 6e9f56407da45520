# PostgreSQL hangs: its backends are stopped, their connections stay open.

use Waha::Test;
use Waha::Fault;

my $t = Waha::Test->new;
my $pg = $t->postgres;
$t->nginx->start;

my $fault = Waha::Fault->new($t, $pg);

$fault->runs('all backends are stopped', sub {
    my ($load) = @_;

    my @backends = $pg->backends or die 'no backends';
    kill 'STOP', @backends;

    my $refused = $load->refused;
    kill 'CONT', @backends;
    die 'no message was refused' if !$refused;
});

$fault->runs('one backend is stopped', sub {
    my ($load) = @_;

    # one that is idle may stay so: then it is another's turn

    for my $backend ($pg->backends(q{state = 'active'}), $pg->backends) {
        kill 'STOP', $backend;
        my $refused = $load->refused;
        kill 'CONT', $backend;
        return if $refused;
    }

    die 'no message was refused';
});

$t->done;
