# The connection to PostgreSQL is cut after every single byte of a message's
# transaction, on the way there and on the way back.  Never is such a message
# promised, and sent again it is there once.  The same while a connection is
# made, and anywhere under load.

use Waha::Test;
use Waha::Fault;
use Waha::Proxy;

my $t = Waha::Test->new(timeout => 3600);
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

# a person who is known, so that all transactions are alike

taken('warm up') for 1 .. 2;

# RUNS beyond the usual three: every byte, else every third

my $step = ($ENV{RUNS} // 3) > 3 ? 1 : 3;

for my $direction ('up', 'down') {
    for my $how ('rst', 'fin') {
        cut_everywhere($direction, $how);
    }

    cut_connecting($direction);
}

is($pg->doubled, 0, 'no message is there twice');

is($pg->messages, $number, 'every message is there');

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
            is($r->{status}, 200, "$direction, $how: $bytes bytes are all");
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

    is_deeply(\@promised, [], "$direction, $how: nothing cut is promised");
    is_deeply(\@hung, [], "$direction, $how: each cut is answered 503");
    is_deeply(\@not_taken, [], "$direction, $how: sent again, it is taken");

    # that the cuts were where they should be

    is_deeply(\@not_stored, [], "$how: cut on the way back, it is stored");
    is_deeply(\@stored, [], "$how: cut on the way there, it is not");
}


# a message meanwhile waits for the connection that holds

sub cut_connecting {
    my ($direction) = @_;

    my (@not_cut, @not_taken);
    my $bytes = int rand $step;

    # how many it takes to connect, to prepare and to store a message

    $proxy->cut($direction, 1e9);
    $proxy->cut_all;
    ok(taken(''), "$direction: connected");
    my $all = $proxy->passed->[$direction eq 'up' ? 1 : 2];

    while ($bytes < $all) {
        $proxy->cut($direction, $bytes);
        $proxy->cut_all;

        push @not_taken, $bytes if !taken('');
        push @not_cut, $bytes if !$proxy->passed->[0];

        $cuts{"$direction connecting"}++;
        $bytes += 25 * $step;
    }

    is_deeply(\@not_taken, [], "$direction: a connection comes about");
    is_deeply(\@not_cut, [], "$direction: though cut, within $all bytes");
}


sub cut_under_load {
    my ($load) = @_;

    for (1 .. 5) {
        $proxy->cut(('up', 'down')[rand 2], int rand 10000);
        wait_for(sub { $proxy->passed->[0] }, 10) or die 'not cut';
        $load->progress(20) or die 'no progress';
    }
}


sub taken {
    my ($body) = @_;

    $body = $t->message(id => sprintf 'CUT%06d', ++$number)
        if $body !~ /^\{/;

    return wait_for(sub {
        my $r = $t->webhook($body, http => $http);
        return $r->{status} == 200 ? $r : 0;
    }, 5);
}
