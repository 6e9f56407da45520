# The CRM holds a lock on one contact: messages of that person give 503, all
# others of the same batch are stored.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $nginx = $t->nginx(conf => <<'EOF_CONF')->start;
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

my $number = 0;
my @people = map { 79000000100 + $_ } 0 .. 15;

$pg->organization('acme', session => 't1');
is($_->{status}, 200,
   'a first message makes the contact')
    for deliver(@people);

my %lock = (
    'the contact' => <<'EOF_SQL',
select 1 from contacts where phone_1 like '%79000000107' for update
EOF_SQL
    'the conversation' => <<'EOF_SQL',
update waha.conversations set read_at = now()
 where contact_id in (select id from contacts
                       where phone_1 like '%79000000107')
EOF_SQL
);

for my $run (1 .. $ENV{RUNS} // 3) {
    for my $what (sort keys %lock) {
        my $other = $pg->session;
        $other->query('begin');
        $other->query($lock{$what});

        my @answers = deliver(@people);
        my @status = map { $_->{status} } @answers;
        my @want = map { $_ == 79000000107 ? 503 : 200 } @people;

        is_deeply(\@status, \@want,
                  "$what is locked: only messages of that person give 503, "
                  . "run $run");
        ok($answers[7]{headers}{'retry-after'}, 'the 503 has Retry-After');

        $other->query('rollback');
        $other->close;

        is($_->{status}, 200, "$what is free again: the message is taken")
            for deliver(79000000107);
    }
}

my $refused = 2 * ($ENV{RUNS} // 3);
is($pg->messages, $number - $refused,
   'messages that were answered 200 are stored, the others are not');
is($pg->doubled, 0, 'no message is stored twice');

$t->done;


# the answers to one message of each person, all sent at the same time

sub deliver {
    my (@phones) = @_;

    my @clients = map { $t->send_webhook($t->message(
        id => sprintf('LOCK%05d', ++$number), from => $_,
        name => 'Somebody')) } @phones;

    return map { $_->answer } @clients;
}
