# A PostgreSQL backend is killed in the middle of a transaction: no message
# that was answered 200 is lost.

use Waha::Test;
use Waha::Fault;

my $t = Waha::Test->new;
my $pg = $t->postgres;
$t->nginx->start;

# after this the server restarts all of its processes

Waha::Fault->new($t, $pg)->runs('a backend is killed with SIGKILL', sub {
    my ($load) = @_;

    my @backends = $pg->backends(q{state = 'active'});
    @backends = $pg->backends if !@backends;
    my $backend = $backends[ rand @backends ] // die 'no backend';

    my $starts = starts();
    kill 'KILL', $backend;
    wait_for(sub { starts() > $starts }, 60) or die 'no restart';
});

Waha::Fault->new($t, $pg, retry => 1)->runs('backends are terminated', sub {
    my ($load) = @_;

    for (1 .. 10) {
        $pg->psql(<<'EOF_SQL');
select pg_terminate_backend(pid) from pg_stat_activity
 where application_name = 'nginx-waha' and random() < 0.5
EOF_SQL
        $load->progress(20) or die 'no progress';
    }
});

$t->done;


sub starts {
    my @lines = $pg->log =~ /ready to accept connections/g;
    return scalar @lines;
}
