# The connection to PostgreSQL is cut after every byte of a message's
# transaction, in both directions, while a connection is made, and anywhere
# under load.  No such message is answered 200, and sent again it is stored
# once.

use Waha::Test;
use Waha::Fault;
use Waha::Proxy;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $proxy = Waha::Proxy->new(target => $pg->port);

$pg->organization('acme', session => 't1');
$t->nginx(vars => { DSN => $pg->dsn(host => '127.0.0.1',
                                    port => $proxy->port) },
          conf => <<'EOF_CONF')->start;
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" connections=1;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }
    }
}
EOF_CONF

my $http = $t->http;
my $number = 0;
my %cuts;

# a contact that exists, so that all transactions have the same length

taken() for 1 .. 2;

# with RUNS over 3 after every byte, else after every third

my $step = ($ENV{RUNS} // 3) > 3 ? 1 : 3;

for my $direction ('up', 'down') {
    for my $how ('rst', 'fin') {
        cut_everywhere($direction, $how);
    }

    cut_connecting($direction);
}

is($pg->doubled, 0, 'no message is stored twice');

is($pg->messages, $number, 'every message is stored');

note("cuts: ", join ', ', map { "$_ $cuts{$_}" } sort keys %cuts);

for my $retry (0, 1) {
    my $how = $retry ? 'messages are sent again' : 'nothing is sent again';

    Waha::Fault->new($t, $pg, retry => $retry)
        ->runs("cut anywhere under load, $how", \&cut_under_load);
}

$t->done;


sub cut_everywhere {
    my ($direction, $how) = @_;

    my (@promised, @hung, @not_taken, @not_stored, @stored);
    my $bytes = int rand $step;

    while (1) {
        my $body = $t->message(id => sprintf('CUT%06d', ++$number));

        $proxy->cut($direction, $bytes, $how);
        my $r = $t->webhook($body, http => $http);
        my $cut = $proxy->passed->[0];

        if (!$cut) {
            is($r->{status}, 200,
               "$direction, $how: a transaction has fewer than $bytes bytes");
            last;
        }

        push @promised, $bytes if $r->{status} == 200;
        push @hung, $bytes if $r->{status} != 503;

        my $again = taken($body);
        push @not_taken, $bytes if !$again;

        my $duplicate = $again && $again->{json}{data}{action} eq 'duplicate';
        push @not_stored, $bytes if $direction eq 'down' && !$duplicate;
        push @stored, $bytes if $direction eq 'up' && $duplicate;

        $cuts{"$direction $how"}++;
        $bytes += $step;
    }

    is_deeply(\@promised, [],
              "$direction, $how: no message that was cut is answered 200");
    is_deeply(\@hung, [],
              "$direction, $how: each message that was cut gives 503");
    is_deeply(\@not_taken, [],
              "$direction, $how: each message sent again is taken");

    # the cuts were on the intended side of the commit

    is_deeply(\@not_stored, [],
              "$how: a message whose result was cut is stored");
    is_deeply(\@stored, [],
              "$how: a message that was cut before it arrived is not stored");
}


# cuts while a connection is made; a message waits for the one that holds

sub cut_connecting {
    my ($direction) = @_;

    my (@not_cut, @not_taken);
    my $bytes = int rand $step;

    # how many bytes it takes to connect, to prepare and to store a message

    $proxy->cut($direction, 1e9);
    $proxy->cut_all;
    ok(taken(), "$direction: a message is taken over a new connection");
    my $all = $proxy->passed->[$direction eq 'up' ? 1 : 2];

    while ($bytes < $all) {
        $proxy->cut($direction, $bytes);
        $proxy->cut_all;

        push @not_taken, $bytes if !taken();
        push @not_cut, $bytes if !$proxy->passed->[0];

        $cuts{"$direction connecting"}++;
        $bytes += 25 * $step;
    }

    is_deeply(\@not_taken, [],
              "$direction: a message is taken in spite of cuts while "
              . "connecting");
    is_deeply(\@not_cut, [],
              "$direction: each cut was within the $all bytes of a new "
              . "connection");
}


sub cut_under_load {
    my ($load) = @_;

    for (1 .. 5) {
        $proxy->cut(('up', 'down')[rand 2], int rand 10000);
        wait_for(sub { $proxy->passed->[0] }, 60) or die 'not cut';
        $load->progress(20) or die 'no progress';
    }
}


# sends a message (a new one) until it is taken; the answer, or nothing

sub taken {
    my ($body) = @_;

    $body //= $t->message(id => sprintf 'CUT%06d', ++$number);

    return wait_for(sub {
        my $r = $t->webhook($body, http => $http);
        return $r->{status} == 200 ? $r : 0;
    }, 60);
}
