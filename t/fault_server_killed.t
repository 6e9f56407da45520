# PostgreSQL is killed or stopped under load and starts again.

use Waha::Test;
use Waha::Fault;

my $t = Waha::Test->new;
my $pg = $t->postgres;
$t->nginx(workers => 2)->start;

for my $retry (0, 1) {
    my $fault = Waha::Fault->new($t, $pg, retry => $retry);
    my $how = $retry ? 'messages are sent again' : 'nothing is sent again';

    $fault->runs("the server is killed, $how", sub { interrupt(@_, 'kill') });

    $fault->runs("the server is stopped at once, $how",
                 sub { interrupt(@_, 'immediate') });

    $fault->runs("the server is stopped and started, $how",
                 sub { interrupt(@_, 'fast') });
}

$t->done;


sub interrupt {
    my ($load, $where, $mode) = @_;

    $pg->stop($mode);

    $load->refused('fail', 'info') or die 'no message was refused';

    $pg->start;
}
