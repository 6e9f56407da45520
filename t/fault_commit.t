# PostgreSQL runs the statement and then cannot commit: the message is not
# answered 200.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;
$t->nginx->start;

$pg->organization('acme', session => 't1');
is($t->webhook($t->message)->{status}, 200,
   'a message is taken before the trigger exists')
    for 1 .. 2;

# the trigger fails at commit, after the statement has returned its result

$pg->psql(<<'EOF_SQL');
create function refuse() returns trigger language plpgsql as $$
begin
    raise exception 'refused at commit' using errcode = '40001';
end
$$;
create constraint trigger refuse after insert on contact_activities
    deferrable initially deferred for each row
    when (new.message_content like 'refuse%') execute function refuse();
EOF_SQL

my $body = $t->message(id => 'COMMIT1', text => 'refuse this');

is($t->webhook($body)->{status}, 503,
   'a message whose commit fails gives 503');
is($pg->messages('COMMIT1'), 0, 'a message whose commit fails is not stored');

# the same in a batch whose result is bigger than PostgreSQL's send buffer

my @many = map { $t->message(id => "COMMITMANY$_", text => "refuse $_") }
           1 .. 300;

my @clients = map { $t->send_webhook($_) } @many;
my @status = map { $_->answer->{status} } @clients;
my @bad = grep { $_ != 503 } @status;

is(scalar @status, 300, 'all messages of the batch are answered');
is_deeply(\@bad, [], 'every message of a batch whose commit fails gives 503');
is($pg->messages('COMMITMANY%'), 0,
   'no message of a batch whose commit fails is stored');

$pg->psql('drop trigger refuse on contact_activities');

is($t->webhook($body)->{status}, 200, 'the message sent again is taken');
is($pg->messages('COMMIT1'), 1, 'the message sent again is stored');

$t->done;
