# PostgreSQL has run the statement and then cannot commit: no promise.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;
$t->nginx->start;

$pg->organization('acme', session => 't1');
is($t->webhook($t->message)->{status}, 200, 'warm up') for 1 .. 2;

# fails when the transaction ends, after the result was made

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

is($t->webhook($body)->{status}, 503, 'one that cannot commit is refused');
is($pg->messages('COMMIT1'), 0, 'and not stored');

# the same in a batch, of more rows than PostgreSQL keeps back until the end

my @many = map { $t->message(id => "COMMITMANY$_", text => "refuse $_") }
           1 .. 300;

my @clients = map { $t->send_webhook($_) } @many;
my @status = map { $_->answer->{status} } @clients;
my @bad = grep { $_ != 503 } @status;

is(scalar @status, 300, 'all are answered');
is_deeply(\@bad, [], 'a batch that cannot commit is refused');
is($pg->messages('COMMITMANY%'), 0, 'and not stored');

$pg->psql('drop trigger refuse on contact_activities');

is($t->webhook($body)->{status}, 200, 'sent again, it is taken');
is($pg->messages('COMMIT1'), 1, 'and stored');

$t->done;
