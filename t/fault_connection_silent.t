# The connection to PostgreSQL is open and no byte passes, neither data nor a
# reset, as behind a broken switch.

use Waha::Test;
use Waha::Fault;
use Waha::Proxy;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $proxy = Waha::Proxy->new(target => $pg->port);

$t->nginx(vars => { DSN => $pg->dsn(host => '127.0.0.1',
                                    port => $proxy->port) })->start;

for my $retry (0, 1) {
    my $how = $retry ? 'messages are sent again' : 'nothing is sent again';

    Waha::Fault->new($t, $pg, retry => $retry)
        ->runs("no byte passes, $how", \&silent);
}

$t->done;


# until a message was refused for it

sub silent {
    my ($load) = @_;

    $proxy->silence;
    my $refused = $load->refused;
    $proxy->resume;
    die 'no message was refused' if !$refused;
}
