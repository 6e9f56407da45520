# Events in any order and in any batches leave the same rows.

use Waha::Test;
use Waha::Ingest;

use List::Util qw(shuffle);

my $t = Waha::Test->new;
my $pg = $t->postgres;

my $sets = $ENV{TEST_SETS} || 20;
my $orders = $ENV{TEST_ORDERS} || 4;

seed();

$pg->psql(<<'EOF_SQL');
insert into organizations (slug, whatsapp_enabled)
    values ('acme', true), ('other', true);
select waha.add_session('acme', 't1');
select waha.add_session('acme', 't2');
select waha.add_session('other', 't3');
EOF_SQL

my $same = 0;
my $equal = 0;

for my $set (1 .. $sets) {
    my @events = events();
    my $first;

    for my $order (1 .. $orders) {
        my @shuffled = shuffle(@events);
        my $state = deliver($set, @shuffled);

        $first //= $state;

        if ($state ne $first) {
            fail("set $set: another order leaves other rows");
            diag(difference($first, $state));
            last;
        }

        $same++;
    }

    my @order = shuffle(@events);
    my @one = map { [ outcome_key($_) ] } answers('ingest', @order);
    my @all = map { [ outcome_key($_) ] } answers('batch', @order);

    if (!is_deeply(\@all, \@one, "set $set: a batch returns what the same "
                                 . "events return one by one"))
    {
        diag(join "\n", map { compact($order[$_])
                              . " : @{$one[$_]} : @{$all[$_]}" } 0 .. $#order);
        last;
    }

    $equal++;
}

is($same, $sets * $orders, 'the rows are the same in every order');
is($equal, $sets, 'a batch and its events one by one return the same');

$t->done;


# Events of a few people in three sessions: messages that are repeated, edited,
# deleted, reacted to and read; calls.  At least one message of each person has
# both the number and the hidden id.

sub events {
    my @people = map { { phone => '5511' . (90000000 + $_),
                         lid => 700 + $_, n => $_ } } 1 .. 1 + int rand 3;
    my @events;
    my $number = 0;

    for my $person (@people) {
        for my $session ('t1', 't2', 't3') {
            push @events, message(session => $session,
                message_id => "B$session$person->{n}",
                phone => $person->{phone}, lid => $person->{lid},
                sent_at => 1000 * int rand 30);
        }
    }

    for (1 .. 4 + int rand 12) {
        my $person = $people[rand @people];
        my $id = 'M' . ++$number;
        my %m = (identity($person),
                 session => ('t1', 't1', 't2', 't3')[rand 4],
                 chat => 'person',
                 direction => rand() < 0.6 ? 'inbound' : 'outbound');

        my $sent = message(%m, message_id => $id, body => "text $id",
            sent_at => 1000 * int rand 30,
            name => $m{direction} eq 'inbound' && rand() < 0.7
                    ? ('Bob', 'Bob Dylan', 'Робот')[rand 3] : undef);

        if (rand() < 0.1) {
            $sent->{kind} = 'call';
            push @events, { %$sent, status => 'received' },
                          { %$sent, status => ('accepted', 'rejected')[rand 2],
                            sent_at => $sent->{sent_at} + 1000 };
            next;
        }

        push @events, $sent;
        push @events, $sent if rand() < 0.3;

        for my $n (1 .. int rand 3) {
            push @events, { %m, kind => 'edit', message_id => "E$id$n",
                target_id => $id, body => "edited $id $n",
                sent_at => 1000 * int rand 60 };
        }

        for my $n (1 .. int rand 3) {
            push @events, { %m, kind => 'reaction', message_id => "R$id$n",
                direction => ('inbound', 'outbound')[rand 2],
                target_id => $id, body => ('x', 'y', '')[rand 3],
                sent_at => 1000 * int rand 60 };
        }

        push @events, { %m, kind => 'revoke', message_id => "V$id",
            target_id => $id, sent_at => 1000 * int rand 60 }
            if rand() < 0.2;

        for my $n (1 .. int rand 3) {
            push @events, status(%m, target_id => $id,
                status => ('sent', 'delivered', 'read', 'failed')[rand 4],
                sent_at => 1000 * int rand 60);
        }
    }

    for (1 .. rand 3) {
        push @events, { kind => 'session', session => 't1', provider => 'waha',
            status => ('STARTING', 'WORKING', 'STOPPED')[rand 3],
            phone => (undef, '5511999')[rand 2], name => 'Acme',
            sent_at => 1000 * int rand 60 };
    }

    return @events;
}


# a person writes with or without the ninth digit, or with a hidden id

sub identity {
    my ($person) = @_;

    my $short = $person->{phone};
    my $long = $short;
    substr $long, 4, 0, '9';

    return (phone => $short, lid => $person->{lid}) if rand() < 0.2;
    return (phone => (rand() < 0.5 ? $short : $long)) if rand() < 0.6;
    return (lid => $person->{lid});
}


# stores events in random batches, each by a random function; all rows as text

sub deliver {
    my ($set, @events) = @_;

    my $sql = empty_sql();

    while (@events) {
        my @some = splice @events, 0, 1 + int rand 6;
        my $how = ('ingest', 'batch', 'each')[rand 3];

        $sql .= "do \$\$ begin perform * from (" . call_sql($_->[0], @{$_->[1]})
                . ") r; end \$\$;\n"
            for $how eq 'ingest' ? map { [ ingest => [ $_ ] ] } @some
                                 : [ $how => \@some ];
    }

    return stored($pg, $sql);
}


sub answers {
    my ($how, @events) = @_;

    my $sql = empty_sql()
        . "create temp table r (n serial, a text, b text, c text);\n";

    $sql .= "insert into r (a, b, c) select action, organization, code "
            . "from (" . call_sql(@$_) . ") o;\n"
        for $how eq 'ingest' ? map { [ ingest => $_ ] } @events
                             : [ batch => @events ];

    return @{ $pg->rows($sql . "select a, b, c from r order by n;") };
}


sub compact {
    my ($e) = @_;

    return join " ", map { "$_=$e->{$_}" }
                     grep { defined $e->{$_} && !/provider|type|metadata/ }
                     @arguments;
}


sub outcome_key { return map { $_ // '-' } @{ $_[0] } }
