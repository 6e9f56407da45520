# The tenant API and WhatsApp at the same time: sessions, keys, contacts and
# organizations are made and deleted while messages come.  No deadlock.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;

# delete_session waits for a lock for 10 ms only

my $pg = $t->postgres(conf => 'deadlock_timeout = 200ms');

my $connections = 8;
my $rounds = $ENV{TEST_ROUNDS} || 4;
my $statements = 60;
my @slugs = qw(acme other third);
my $number = 0;

srand 3;

$pg->organization($_) for @slugs;
my @sessions = map { $pg->session(user => 'waha_gateway') } 1 .. $connections;
my $cleaner = $pg->session;
my %done;
my @seen = ('an organization is gone',
            qw(contact_created erased session_updated complete created deleted
               activity_logged removed status_updated));

# which statements meet depends on the machine: more rounds until all were seen

for my $round (1 .. 10 * $rounds) {
    last if $round > $rounds && !grep { !$done{$_} } @seen;

    my $people = $pg->rows('select organization_slug, id from contacts
                             order by random() limit 40');

    $_->async(join(";\n", map { statement($people) } 1 .. $statements))
        for @sessions;

    # deleted sessions are made old at once, so that maintain removes them

    $cleaner->async("update waha.sessions set deleted_at = '2026-01-01'
                      where name in (select name from waha.sessions
                                      where deleted_at is not null
                                        for update skip locked);
                     select 'removed' where waha.maintain() > 0;\n" x 30);

    my $others = '';

    for my $session (@sessions, $cleaner) {
        my $text = $session->result(120) // "no answer within 120 s\n";

        # errors that the module retries, and rows that were deleted, are
        # expected

        $others .= "$_\n"
            for grep { /ERROR|no answer/ && !/meanwhile|foreign key/ }
                     split /\n/, $text;
        $done{$1}++ while $text =~ /\b(contact_created|erased|too_many_keys|
            session_updated|activity_logged|complete|created|deleted|
            sessions_exist|status_updated|removed|organization_id)\b/gx;
        $done{'an organization is gone'}++
            while $text =~ /"organization" : "deleted"/g;
    }

    is($others, '', "round $round: only errors that are to be retried");
}

is($pg->deadlocks, 0, 'PostgreSQL saw no deadlock');
ok($pg->log !~ m{deadlock detected}, 'PostgreSQL logged no deadlock');
cmp_ok($done{$_} // 0, '>', 0, "the test saw \"$_\"") for @seen;

is($pg->value("select count(*) from waha.$_->[0] k where not exists (
                   select from $_->[1])"), 0, "no $_->[0] without a contact")
    for map { [ $_, 'contacts c where c.id = k.contact_id and
                     c.organization_slug = k.organization_slug' ] }
        qw(contact_identities conversations contact_activities);


$t->done;


sub any { return $_[rand @_] }


sub statement {
    my ($people) = @_;

    my $slug = any(@slugs);
    my $session = any(undef, 'tenant-' . any(@slugs), 'shop');

    return any(
        [ call_sql(batch => map { event() } 1 .. 12) ],
        [ call_sql(batch => map { event() } 1 .. 12) ],
        [ call_sql(ingest => event()) ],
        [ reply_sql(reserve_session => $slug, any(undef, 'shop'), 'x',
                    [ 'w1', 'w2' ], 3) ],
        [ reply_sql(reserve_session => $slug, undef, 'x', [ 'w1' ], 3) ],
        [ reply_sql(record_session_check => $slug, $session,
                    any('WORKING', 'NOT_CREATED'), any(undef, '4915'),
                    undef) ],
        [ reply_sql(disconnect_session => $slug, $session) ],
        [ reply_sql(delete_session => $slug, $session) ],
        [ reply_sql(create_api_key => $slug, 'x', undef, any(undef, 1)) ],
        [ reply_sql(put_organization => $slug, 'x', undef, 'true') ],
        [ @$people ? reply_sql(erase_contact => @{ any(@$people) })
                   : 'select 1' ],
        [ reply_sql(delete_session => $slug, undef) . ";\n"
          . reply_sql(delete_session => $slug, 'shop') . ";\n"
          . join(";\n", (reply_sql(delete_organization => $slug)) x 3) ],
    )->[0];
}


# an event of a few people and messages, the same ones in each organization

sub event {
    my %event = (session => 'tenant-' . any(@slugs), sent_at => 1795226560000
                     + int rand 9000);
    my $who = int rand 6;

    return { provider => 'waha', kind => 'session', %event,
             status => any('WORKING', 'STOPPED', 'FAILED'),
             phone => any(undef, '4915'), instance => any(undef, 'w1') }
        if rand() < 0.2;

    my $target = 'M' . int rand 40;

    return status(%event, target_id => $target,
                  status => any('sent', 'read')) if rand() < 0.2;

    my $person = any({ phone => "7922000000$who" }, { lid => "9$who" },
                     { phone => "7922000000$who", lid => "9$who" });
    my $message = message(%event, %$person, name => any(undef, "N$who"),
                          chat => any('person', 'person', 'group'));

    return { %$message, kind => any('reaction', 'edit', 'revoke'),
             target_id => $target, message_id => 'X' . ++$number }
        if rand() < 0.3;

    return { %$message, message_id => any($target, 'N' . ++$number) };
}
