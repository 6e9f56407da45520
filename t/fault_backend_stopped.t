# PostgreSQL hangs: its backends are alive and do nothing.

use Waha::Test;
use Waha::Fault;

my $t = Waha::Test->new(timeout => 3600);
my $pg = $t->postgres;
$t->nginx->start;

my $fault = Waha::Fault->new($t, $pg);

$fault->runs('all backends stand still', sub {
    my ($load) = @_;

    my @backends = $pg->backends or die 'no backends';
    kill 'STOP', @backends;

    my $refused = $load->refused;
    kill 'CONT', @backends;
    die 'no message was refused' if !$refused;
});

$fault->runs('one backend stands still', sub {
    my ($load) = @_;

    my ($backend) = $pg->backends(q{state = 'active'});
    $backend //= ($pg->backends)[0];

    kill 'STOP', $backend;
    my $refused = $load->refused;
    kill 'CONT', $backend;
    die 'no message was refused' if !$refused;
});

$t->done;
