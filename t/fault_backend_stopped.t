# PostgreSQL hangs: its backends are alive and do nothing.

use Waha::Test;
use Waha::Fault;

my $t = Waha::Test->new(timeout => 3600);
my $pg = $t->postgres;
$t->nginx->start;

my $fault = Waha::Fault->new($t, $pg);

$fault->runs('all backends stand still', sub {
    my ($load) = @_;

    my @backends = $fault->backends or die 'no backends';
    kill 'STOP', @backends;

    # stand still until somebody was told so
    my $before = $load->count('fail');
    my $told = wait_for(sub { $load->count('fail') > $before }, 5);

    kill 'CONT', @backends;
    die 'nobody was refused' if !$told;
});

$fault->runs('one backend stands still', sub {
    my ($load) = @_;

    my ($backend) = $fault->backends(q{state = 'active'});
    $backend //= ($fault->backends)[0];

    kill 'STOP', $backend;
    my $before = $load->count('fail');
    my $told = wait_for(sub { $load->count('fail') > $before }, 5);
    kill 'CONT', $backend;
    die 'nobody was refused' if !$told;
});

$t->done;
