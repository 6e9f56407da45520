# Contacts turn out to be the same person while their messages keep coming:
# each person ends as one contact with all messages.

use Waha::Test;
use Waha::Fault;

my $t = Waha::Test->new;

# a deadlock is to be reported as one before lock_timeout ends the wait

my $pg = $t->postgres(conf => 'deadlock_timeout = 20ms');
$t->nginx(workers => 2, vars => { DATABASE => 'timeout=10s' })->start;

my $fault = Waha::Fault->new($t, $pg, retry => 1, people => 60,
    forms => [ ('phone', 'lid') x 5, 'both' ], senders => 2,
    connections => 24);
my $merged = 0;

$fault->runs('contacts merge while messages come', sub {
    my ($load) = @_;

    $load->progress(800, 300) or die 'no progress';

}, bites => sub {

    my $before = $merged;
    $merged = $pg->value('select count(*) from waha.contacts '
                         . 'where merged_into is not null');
    return $merged - $before >= 20;
});

is($pg->deadlocks, 0, 'PostgreSQL saw no deadlock');
note("merged: $merged");

$t->done;
