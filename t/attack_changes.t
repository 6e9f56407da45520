# Changes of other people's messages are not taken: neither from a stranger,
# nor from another contact, nor from another group, nor before the message is
# there.  Meanwhile another tenant's messages are stored.

use Waha::Test;
use Waha::Ingest;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $n = 0;

$pg->organization('acme', session => 't1');
$pg->organization('other', session => 't2');
$t->nginx(vars => { DATABASE => 'timeout=20s' })->start;

my ($victim, $contact, $stranger) = map { "7922000000$_" } 1 .. 3;
my @group = (chat => 'group', chat_id => '1@g.us');

outcomes($pg, batch =>
    message(message_id => 'IN', phone => $victim, body => 'mine'),
    message(message_id => 'OUT', phone => $victim, body => 'ours',
            direction => 'outbound'),
    message(message_id => 'C', phone => $contact),
    message(message_id => 'GR', phone => $victim, body => 'group', @group));

my $before = stored($pg);

for my $who ([ 'another contact', phone => $contact ],
             [ 'a stranger', phone => $stranger ],
             [ "a stranger's hidden id", lid => '999' ],
             [ 'nobody' ])
{
    my ($name, @who) = @$who;

    my @changes = map {
        (change('edit', $_, @who),
         change('edit', $_, @who, direction => 'outbound'),
         change('revoke', $_, @who),
         change('revoke', $_, @who, direction => 'outbound'),
         change('reaction', $_, @who),
         change('vote', $_, @who, metadata => '{"options": ["x"]}'))
    } 'IN', 'OUT', 'EARLY';

    $pg->psql(join '; ', map { call_sql(ingest => $_) } @changes);
    outcomes($pg, $_ => @changes) for 'batch', 'each';

    outcomes($pg, batch => change('edit', 'GR', @who, @group),
             change('edit', 'GR', @who, chat => 'group', chat_id => '2@g.us'),
             change('revoke', 'GR', @who, chat => 'group',
                    chat_id => '2@g.us'),
             change('reaction', 'GR', @who, chat => 'group',
                    chat_id => '2@g.us'));

    is(without_waiting(stored($pg)), without_waiting($before),
       "$name changes nothing");

    my $r = $t->webhook($t->message(id => 'O' . ++$n, session => 't2'));
    is($r->{status}, 200, 'a message of another tenant is stored meanwhile');
}

outcome($pg, status(target_id => 'OUT', status => 'read',
                    phone => $contact));
is(state('OUT'), undef, 'another contact cannot have read it');
outcome($pg, status(target_id => 'OUT', status => 'delivered', lid => '998'));
is(state('OUT'), 'delivered', 'a hidden id that nobody has may have');

outcome($pg, message(message_id => 'EARLY', phone => $victim,
                     body => 'early', direction => 'outbound'));
is($pg->psql("select message_content, metadata - 'whatsapp_chat_id'
                from contact_activities where message_id = 'EARLY'"),
   'early|{}', 'what was told of a message before it was there does not count');


# --- those who may -----------------------------------------------------------

outcome($pg, change('edit', 'IN', phone => $victim, body => 'new'));
is(text('IN'), 'new', 'the author edits');
outcome($pg, change('revoke', 'GR', phone => $contact, @group));
is($pg->value("select metadata->>'revoked_at' is not null
                 from contact_activities where message_id = 'GR'"), 't',
   'a member of the group deletes');
outcome($pg, change('reaction', 'GR', lid => '997', @group));
like($pg->value("select metadata->>'reactions' from contact_activities
                  where message_id = 'GR'"), qr/"997"/,
     'a member of the group reacts');


# --- identities that are joined later ----------------------------------------

for my $how (qw(ingest batch each)) {
    my ($id, $lid, $phone) = ("J$how", 8000 + ++$n, 79230000000 + $n);

    outcome($pg, message(message_id => $id, phone => $phone, body => 'a'));
    outcomes($pg, $how, change('edit', $id, lid => $lid, body => 'b'));
    is(text($id), 'a', "$how: the edit of an unknown hidden id waits");
    outcomes($pg, $how, message(message_id => "K$how", phone => $phone,
                                lid => $lid));
    is(text($id), 'b', "$how: until it is the author's");
}

outcomes($pg, batch => message(message_id => 'P', phone => '79260000001',
                               body => 'a'),
                       message(message_id => 'L', lid => '8500'));
outcome($pg, change('edit', 'P', lid => '8500', body => 'b'));
is(text('P'), 'a', "another contact's edit waits");
outcome($pg, message(message_id => 'PL', phone => '79260000001',
                     lid => '8500'));
is(text('P'), 'b', 'until the two contacts are one');

outcomes($pg, batch => message(message_id => 'Q', phone => '79260000011',
                               body => 'a'),
                       message(message_id => 'QL', phone => '79260000012',
                               lid => '8501'));
outcome($pg, change('edit', 'Q', phone => '79260000012', body => 'b'));
outcome($pg, message(message_id => 'QM', phone => '79260000011',
                     lid => '8501'));
is(text('Q'), 'b', 'also by an identity that the merge does not name');

my @s = map { $pg->session(user => 'waha_gateway') } 1, 2;

for my $order (0, 1) {
    my ($id, $lid, $phone) = ("R$order", 9000 + $order, 79240000000 + $order);
    my @events = (change('edit', $id, lid => $lid, body => 'b'),
                  message(message_id => "L$id", phone => $phone,
                          lid => $lid));

    @events = reverse @events if $order;

    outcome($pg, message(message_id => $id, phone => $phone, body => 'a'));
    $s[0]->query('begin');
    $s[0]->query(call_sql(ingest => $events[0]));
    $s[1]->async(call_sql(batch => $events[1]));
    ok($s[1]->wait_blocked, 'the second waits for the first');
    $s[0]->query('commit');
    $s[1]->result;
    is(text($id), 'b', "an edit beside the message that shows whose it is");
}


# --- bounds ------------------------------------------------------------------

my ($loud, $quiet) = ('79250000001', '79250000002');

outcomes($pg, batch => map { status(target_id => sprintf('T%03d', $_),
                                    status => 'read', phone => $loud) }
                           1 .. 130);
is(waiting("phone = '$loud'"), 100, 'of one person, 100 changes wait');
is(waiting("message_id in ('T030', 'T031', 'T130')"), 2,
   'these are the newest ones');

outcomes($pg, batch => change('edit', 'CROWD', phone => $quiet),
         map { change('edit', 'CROWD', phone => $loud) } 1 .. 40);
is(waiting("message_id = 'CROWD'"), 32,
   'of one kind, 32 changes wait for a message');
is(waiting("message_id = 'CROWD' and phone = '$quiet'"), 1,
   'who makes many does not take the place of others');

outcomes($pg, batch => map { change('reaction', 'CROWD', lid => 96000 + $_,
                                    @group) } 1 .. 40);
is(waiting("message_id = 'CROWD' and kind = 'edit'"), 32,
   'nor do reactions take the place of edits');

$t->done;


sub waiting {
    my ($condition) = @_;

    return $pg->value("select count(*) from waha.waiting_changes
                        where $condition");
}


sub change {
    my ($kind, $target, %e) = @_;

    return message(kind => $kind, target_id => $target, body => 'hacked',
                   message_id => 'X' . ++$n, sent_at => 1795226570000, %e);
}


sub without_waiting {
    return join "\n", grep { !/^state .* EARLY / && !/\bother\b|\bt2\b/ }
                      split /\n/, $_[0];
}


sub text {
    return $pg->value("select message_content from contact_activities
                        where message_id = '$_[0]'");
}


sub state {
    return $pg->value("select status from waha.message_states
                        where message_id = '$_[0]'");
}
