# Many connections store events of the same few people, in any order and in
# batches that overlap: no deadlock, and the same rows as one connection
# stores.

use Waha::Test;
use Waha::Ingest;

use List::Util qw(shuffle);

my $t = Waha::Test->new;
my $pg = $t->postgres(conf => 'deadlock_timeout = 20ms');

my $connections = 6;
my $rounds = $ENV{TEST_ROUNDS} || 3;
my $people = 8;

$pg->psql(<<'EOF_SQL');
insert into organizations (slug, whatsapp_enabled)
    values ('acme', true), ('other', true);
select waha.add_session('acme', 't1');
select waha.add_session('other', 't2');
EOF_SQL

my @sessions = map { $pg->session(user => 'waha_gateway') } 1 .. $connections;
my ($retried, $merged) = (0, 0);

for my $round (1 .. $rounds) {
    my @events = events($round);
    my @portions = portions(@events);

    $pg->psql(empty_sql() . script(@portions));
    my $expected = stored($pg);
    $pg->psql(empty_sql());

    # each connection sends everything, in an order of its own

    $_->async(script(shuffle(@portions))) for @sessions;

    my $others = '';

    for my $session (@sessions) {
        my $text = $session->result(120);

        if (!defined $text) {
            $others .= "no answer within 120 s\n";
            next;
        }

        $retried++ while $text =~ /merged or deleted meanwhile/g;
        $others .= "$_\n" for grep { /ERROR/ && !/meanwhile/ }
                              split /\n/, $text;
    }

    is($others, '', "round $round: only errors that are to be retried");

    # everything again, as WAHA would after an error

    $pg->psql(script(@portions));
    my $end = stored($pg);
    is($end, $expected, "round $round: the rows are those of one connection")
        or diag(difference($expected, $end));

    $merged += $pg->value('select count(*) from contacts '
                          . 'where merged_into is not null');
}

$_->close for @sessions;

is($pg->deadlocks, 0, 'PostgreSQL saw no deadlock');

cmp_ok($merged, '>', 0, 'contacts were merged during the test');
note("retried: $retried, merged: $merged");

# two messages of a contact that gets another name while they wait for it

my @same = (phone => '79330000001', name => 'Ann');
outcome($pg, inbound(@same));

my ($other, @late) = map { $pg->session } 1 .. 3;
$other->query("begin; select from contacts where whatsapp_name = 'Ann'
                         for update;
               update contacts set whatsapp_name = 'Eve'
                where whatsapp_name = 'Ann'");

for my $s (@late) {
    $s->async(call_sql(ingest => inbound(@same)));
    ok($s->wait_blocked, 'a message waits for its contact');
}

$other->query('commit');
unlike($_->result(60), qr/deadlock/, 'they do not wait for each other then')
    for @late;
is(outcome($pg, inbound(@same))->{action}, 'activity_logged',
   'a message after them is stored');

# the same for batches: of messages alone, and with something else

my $old = 1795226560000;

for my $more ([], [ status(target_id => 'NONE', phone => '79330000009') ]) {
    my $what = @$more ? 'a batch with a status' : 'a batch of messages';
    my $n = 2 + @$more;
    my @known = map { (phone => "7933000000$_") } $n, $n + 2;
    my ($phone, $lid) = ("7933000001$n", 90 + $n);

    outcome($pg, inbound(@$_, name => 'Ann'))
        for [ @known[0, 1] ], [ @known[2, 3] ], [ phone => $phone ],
            [ lid => $lid ];

    my $first = $pg->session;
    my $late = $pg->session;

    $first->query('begin; ' . call_sql(batch => inbound(@known[0, 1],
        name => 'Eve', sent_at => $old + 1000)));
    $late->async(call_sql(batch => inbound(@known[0, 1], name => 'Ann',
        sent_at => $old + 2000), inbound(@known[2, 3]), @$more));
    ok($late->wait_blocked, "$what waits for a name");
    $first->query('commit');
    is($late->result(60) =~ tr/\n//, 1 + @$more, "$what is stored then");
    is(name($known[1]), 'Ann', "$what: the newest name counts");

    $first->query('begin; ' . call_sql(batch => inbound(phone => $phone,
        lid => $lid)));
    $late->async(call_sql(batch => inbound(lid => $lid, message_id => "L$n"),
        inbound(@known[2, 3]), @$more));
    ok($late->wait_blocked, "$what waits for a merge");
    $first->query('commit');
    is($late->result(60) =~ tr/\n//, 1 + @$more, "$what is stored then");
    is($pg->value("select c.merged_into is null
                     from contact_activities a
                     join contacts c on c.id = a.contact_id
                    where a.message_id = 'L$n'"), 't',
       "$what: the message is the kept contact's");
}

# a change of a message that a large batch is just storing, whatever its id

my @ids = map { "LARGE$_" } 1 .. 60;
my %of_lock;

push @{ $of_lock{ $pg->value("select waha.message_bucket('$_')") } }, $_
    for @ids;
is(keys %of_lock, 16, 'the messages have all locks');

my $large = $pg->session;
my @changes = map { [ $pg->session, $_->[0] ] } values %of_lock;

$large->query('begin; ' . call_sql(batch =>
    map { inbound(@same, message_id => $_) } @ids));
$_->[0]->async(call_sql(ingest => status(target_id => $_->[1],
    direction => 'inbound', status => 'read'))) for @changes;
is(scalar(grep { $_->[0]->wait_blocked } @changes), 16,
   'each change waits for its message');
$large->query('commit');
$_->[0]->result(60) for @changes;
is($pg->value("select count(*) from waha.message_states
                where status = 'read' and not waiting
                  and message_id like 'LARGE%'"), 16,
   'then it finds the message');
$_->close for $large, map { $_->[0] } @changes;

$t->done;


sub name {
    my ($phone) = @_;

    return $pg->value("select whatsapp_name from contacts "
                      . "where phone_1 = '+$phone'");
}


sub events {
    my ($round) = @_;
    my @events;

    for my $n (1 .. 60) {
        my $person = 1 + int rand $people;
        my $session = ('t1', 't1', 't2')[rand 3];
        my %who = identity($person);
        my $id = "M$round.$n";

        push @events, message(%who, session => $session, message_id => $id,
            name => ('Bob', 'Bob Dylan', undef)[rand 3], body => $id,
            sent_at => 1000 * int rand 60);

        push @events, { %who, provider => 'waha', session => $session,
            kind => 'edit', direction => 'inbound', chat => 'person',
            message_id => "E$id", target_id => $id, body => "edited $id",
            sent_at => 1000 * (60 + int rand 60) }
            if rand() < 0.3;

        push @events, { %who, provider => 'waha', session => $session,
            kind => 'reaction', direction => 'outbound', chat => 'person',
            message_id => "R$id", target_id => $id, body => 'x',
            sent_at => 1000 * (60 + int rand 60) }
            if rand() < 0.3;

        push @events, status(%who, session => $session, target_id => $id,
            status => ('sent', 'delivered', 'read')[rand 3],
            sent_at => 1000 * int rand 60)
            if rand() < 0.3;
    }

    # both identities of each person, last and in no order

    for my $person (1 .. $people) {
        push @events, message(session => $_, message_id => "B$round.$person",
            phone => "7922000000$person", lid => "70$person", body => 'both',
            sent_at => 5000)
            for 't1', 't2';
    }

    return @events;
}


sub identity {
    my ($person) = @_;

    return rand() < 0.5 ? (phone => "7922000000$person")
                        : (lid => "70$person");
}


sub portions {
    my @events = shuffle(@_);
    my @portions;

    push @portions, [ splice @events, 0, 2 + int rand 10 ] while @events;

    return @portions;
}


sub script {
    return join '', map { call_sql(batch => shuffle(@$_)) . ";\n" } @_;
}
