# What was erased does not come back, whoever sends it again, by whichever way,
# also while it is being erased.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');

my @ann = (phone => '4915110000001', name => 'Ann');
my @bob = (phone => '4915110000002', name => 'Bob');
my @changes = map { { %{ message(@ann, kind => $_->[0], target_id => $_->[1],
                                 message_id => "C$_->[0]$_->[1]",
                                 body => $_->[2]) } } }
    [ edit => 'A1', 'secret' ], [ edit => 'EARLY', 'secret' ],
    [ reaction => 'A1', 'heart' ], [ revoke => 'A1' ];
my @sent = (message(@ann, message_id => 'A1', body => 'secret'),
            message(@ann, message_id => 'A2', direction => 'outbound',
                    body => 'secret', status => 'sent'),
            message(@ann, message_id => 'A3', kind => 'call',
                    status => 'received'),
            message(@ann, message_id => 'A4', chat => 'group',
                    chat_id => '1@g.us', body => 'secret'),
            @changes,
            vote('POLL', @ann), status(target_id => 'A2', status => 'read'));
my @others = (message(@bob, message_id => 'POLL', chat => 'group',
                      chat_id => '1@g.us', type => 'poll'),
              vote('POLL', @bob),
              message(@ann, message_id => 'A1', session => 't2'));


subtest 'nothing was erased' => sub {
    my $calls = $pg->psql(
        "begin; set local track_functions = 'all';"
        . call_sql(batch => map { inbound(@ann) } 1 .. 3) . ';'
        . "select string_agg(
               p.proname || ' '
               || coalesce(pg_stat_get_xact_function_calls(p.oid), 0), ', '
               order by p.proname)
             from pg_proc p
            where p.pronamespace = 'waha'::regnamespace
              and p.proname in ('lock_messages', 'places_erased');"
        . 'rollback');

    like($calls, qr/lock_messages 1, places_erased 0/,
         'no record is looked for');
};


subtest 'every way' => sub {
    outcome($pg, $_) for @others, @sent;
    like(rows(), qr/secret.*secret/s, 'there is something to erase');
    my $others = $pg->psql('select * from waha.contact_activities
                             where organization_slug = \'bolt\'');
    my $contact = $pg->value("select contact_id from waha.contact_identities
                               where key = '4915110000001'
                                 and organization_slug = 'acme'");
    is(reply($pg, erase_contact => 'acme', $contact)->{data}{activities}, 4,
       'it is erased');
    my $left = rows();
    unlike($left, qr/secret|4915110000001|heart|CallA/i, 'nothing is left');
    like($left, qr/4915110000002/, "another person's vote stays");

    for my $how (qw(ingest batch each)) {
        is(join(' ', map { $_->{action} } again($how)),
           join(' ', ('duplicate') x @sent), "$how: each is a duplicate");
        is(rows(), $left, "$how: nothing is written");
    }

    # modules of older contracts do not have the last three arguments

    for my $how (qw(batch each)) {
        my $sql = call_sql($how, @sent);
        $sql =~ s/(, array\[[^]]*\]::text\[\]){2}, null\)/)/ or die $sql;
        is($pg->value("select string_agg(distinct action, ' ') from ($sql) r"),
           'duplicate', "$how: so it is without the newer arguments");
    }
    is(rows(), $left, 'nothing is written');

    is($pg->psql('select * from waha.contact_activities
                   where organization_slug = \'bolt\''), $others,
       'the same message of another organization stays');
    is(outcome($pg, $others[2])->{activity_id},
       $pg->value("select id from waha.contact_activities
                    where organization_slug = 'bolt'"),
       'and is known');
    is(outcome($pg, message(@ann, message_id => 'NEW'))->{action},
       'contact_created', 'a new message of the same person is stored');
    is(outcome($pg, vote('POLL', phone => '4915110000003'))->{action},
       'status_updated', 'others still vote');
};


subtest 'other keys' => sub {
    my @raw = map { message(message_id => "K$_", phone => '4915110000004') }
              1 .. 3;
    outcome($pg, $_) for @raw;
    erase('4915110000004');
    is(outcome($pg, { %{ $raw[0] }, phone => undef, lid => '7004' })
           ->{action}, 'duplicate', 'by its other identity');
    is(outcome($pg, { %{ $raw[1] }, phone => '4915110000005',
                      chat => 'group' })->{action}, 'duplicate',
       'in another chat');
    is(outcome($pg, { %{ $raw[2] }, organization_slug => 'acme' })
           ->{action}, 'duplicate', 'with its organization');
    is(outcome($pg, { %{ $raw[2] }, session => 'tn',
                      organization_slug => 'acme' })->{action},
       'contact_created', 'not in another session');
};


subtest 'quarantine' => sub {
    my @event = (phone => '4915110000006', message_id => 'Q1');
    outcome($pg, message(phone => '4915110000006', message_id => 'Q0'));
    quarantined(message(@event));
    quarantined(message(@event, session => 'tq', message_id => 'Q2',
                        organization_slug => 'acme'));
    erase('4915110000006');
    is($pg->value('select count(*) from waha.quarantine'), 0,
       'the events of the person are gone');

    is(outcome($pg, message(@event))->{action}, 'duplicate',
       'the event comes again');
    quarantined(message(@event));
    quarantined(message(@event, session => 'tq', message_id => 'Q2',
                        organization_slug => 'acme'));
    is($pg->value('select count(*) from waha.quarantine'), 0,
       'it is not kept again');

    $pg->psql("insert into waha.quarantine (hash, reason, raw, event)
                   select 'x', 'data_error', '', to_jsonb(k)
                     from (select 't1' as session, 'message' as kind,
                                  'inbound' as direction, 'person' as chat,
                                  'Q1' as message_id, 1 as sent_at,
                                  '4915110000006' as phone) k");
    is($pg->value("select (waha.replay(id)).action from waha.quarantine"),
       'duplicate', 'a replay stores nothing');
    is($pg->value("select count(*) from waha.quarantine
                    where resolved_at is null"), 0, 'and is done');
};


subtest 'a merge whose messages are still moved' => sub {
    outcome($pg, message(message_id => 'M1', phone => '4915110000007',
                         sent_at => 1000));
    outcome($pg, message(message_id => 'M2', lid => '7007', sent_at => 2000));
    my ($kept) = $pg->value("select contact_id from waha.contact_identities
                              where key = '4915110000007'");
    my ($merged) = $pg->value("select contact_id from waha.contact_identities
                                where key = '7007'");
    $pg->psql("insert into contact_activities (organization_slug, contact_id,
                   activity_type, direction, message_content, metadata,
                   session_name, message_id, message_type, chat, occurred_at)
               select 'acme', $merged, 'whatsapp_message', 'inbound',
                      'text ' || n, '{}', 't1', 'H' || n, 'text', 'person',
                      to_timestamp(3 + n)
                 from generate_series(1, 2500) n");
    outcome($pg, message(message_id => 'M3', phone => '4915110000007',
                         lid => '7007', sent_at => 70_000_000));
    is($pg->value('select count(*) from waha.moves'), 1,
       'messages are still to be moved');
    cmp_ok($pg->value('select waha.maintain(500)'), '>=', 500,
           'a portion is moved');

    is(reply($pg, erase_contact => 'acme', $kept)->{data}{activities}, 2503,
       'all are erased');
    is($pg->value("select count(*) from waha.$_"), 0, "no $_ are left")
        for qw(moves moved_messages merges);
    is($pg->value("select count(*) from contact_activities
                    where message_id ~ '^[HM][0-9]'"), 0,
       'no message is left');
    like($pg->error("select waha.unmerge('acme', $merged)"),
         qr/was not merged/, 'the merge cannot be taken back');
    is(join(' ', map { $_->{action} } outcomes($pg, batch => map {
           message(message_id => $_, lid => '7007') } qw(H1 H900 H2500 M2))),
       'duplicate duplicate duplicate duplicate',
       'the messages of both are remembered');
    is($pg->value("select count(*) from waha.contact_identities
                    where key in ('7007', '4915110000007')"), 0,
       'there is no contact');
};


# the CRM refers to the contact, so that the row that messages lock stays

subtest 'while it is erased' => sub {
    $pg->psql('create table deals (contact_id bigint references contacts)');

    for my $case ([ ingest => 'R1' ], [ batch => 'R2' ], [ each => 'R3' ],
                  [ ingest => 'R4', lid => '7008' ],
                  [ batch => 'R5', lid => '7008' ],
                  [ ingest => 'R6', kind => 'edit' ],
                  [ batch => 'R7', kind => 'edit' ])
    {
        my ($how, $id, %other) = @$case;
        my @event = (phone => '4915110000008', message_id => $id,
                     body => 'secret');
        outcome($pg, message(message_id => "L$id", lid => '7008'));
        my $contact = outcome($pg, message(@event))->{contact_id};
        $pg->psql("insert into deals values ($contact)") if !$other{lid};

        my $erasure = $pg->session(user => 'waha_gateway');
        my $retry = $pg->session(user => 'waha_gateway');
        $erasure->query('begin; '
                        . reply_sql(erase_contact => 'acme', $contact));
        my %event = %{ message(@event) };
        $event{phone} = undef if $other{lid};
        @event{qw(target_id message_id)} = ($id, "E$id") if $other{kind};
        $retry->async(call_sql($how => { %event, %other }));
        $retry->wait_blocked;
        $erasure->query('commit');
        like($retry->result, qr/40001|55P03|meanwhile|duplicate/,
             "$how: the delivery fails, or is one that was erased");
        is(outcome($pg, { %event, %other })->{action}, 'duplicate',
           'repeated, it is a duplicate');
        is($pg->value("select count(*) from contact_activities
                        where message_content = 'secret'")
           + $pg->value("select count(*) from waha.waiting_changes
                          where body = 'secret'"), 0, 'nothing is stored');
    }
};


subtest 'how long' => sub {
    outcome($pg, message(message_id => 'T1', phone => '4915110000009'));
    erase('4915110000009');
    my $kept = $pg->value('select count(*) from waha.erased');
    like($pg->error("select waha.remember_erased('-1 day')"),
         qr/not negative/, 'a time that makes no sense is refused');

    $pg->psql("update waha.erased set erased_at = now() - interval '6 days'");
    1 while $pg->value('select waha.maintain()') > 0;
    is($pg->value('select count(*) from waha.erased'), $kept,
       'it is remembered for days');

    $pg->psql("select waha.remember_erased('5 days')");
    is($pg->value('select waha.maintain(3)'), 3,
       'then it is forgotten, in portions');
    1 while $pg->value('select waha.maintain()') > 0;
    is($pg->value('select count(*) from waha.erased'), 0, 'all of it');
    is(outcome($pg, message(message_id => 'T1', phone => '4915110000009'))
           ->{action}, 'contact_created', 'the message would be stored');
};


subtest 'an organization' => sub {
    outcome($pg, message(message_id => 'O1', session => 't2',
                         phone => '4915110000010'));
    erase('4915110000010', 'bolt');
    $pg->psql("update waha.sessions set deleted_at = now() where name = 't2'");
    my $data;
    do {
        $data = reply($pg, delete_organization => 'bolt')->{data};
    } while (!$data->{complete});

    my @event = (session => 't2', phone => '4915110000011', body => 'secret');
    is(outcome($pg, message(@event, message_id => 'O2'))->{action},
       'unknown_organization', 'its session is unknown');
    quarantined(message(@event, message_id => 'O2'));
    is($pg->value("select count(*) from waha.quarantine
                    where event->>'session' = 't2'"), 0,
       'its events are not kept in quarantine');

    $pg->organization('bolt', session => 't2');
    is(outcome($pg, message(@event, message_id => 'O3'))->{action},
       'contact_created', 'a new organization may have the session');
    is(outcome($pg, message(@event, phone => '4915110000010',
                            message_id => 'O1'))->{action}, 'duplicate',
       'a person who was erased before stays erased');
    quarantined(message(@event, message_id => 'O4'));
    is($pg->value("select count(*) from waha.quarantine
                    where event->>'session' = 't2'"), 1,
       'new events are kept in quarantine');
};


$t->done;


sub vote {
    my ($target, @person) = @_;

    return message(kind => 'vote', target_id => $target, @person,
                   message_id => "V$person[1]", chat => 'group',
                   chat_id => '1@g.us', metadata => '{"options": ["yes"]}');
}


# the same events again, in another order, too

sub again {
    my ($how) = @_;

    outcomes($pg, $how => reverse @sent) if $how ne 'ingest';
    return outcomes($pg, $how => @sent) if $how ne 'ingest';
    return map { outcome($pg, $_) } @sent;
}


sub erase {
    my ($key, $organization) = @_;

    $organization //= 'acme';
    my $contact = $pg->value("select contact_id from waha.contact_identities
                               where key = '$key'
                                 and organization_slug = '$organization'");
    return reply($pg, erase_contact => $organization, $contact)->{data};
}


sub quarantined {
    my ($event) = @_;

    $pg->psql("select waha.quarantine('data_error', null, 'raw', "
              . join(', ', map { quote($event->{$_}) } @arguments) . ')',
              user => 'waha_gateway');
}


# all that is stored for the organization

sub rows {
    return join "\n", map {
        $pg->psql("select '$_', t.*::text from waha.$_ t
                    where organization_slug = 'acme' order by 2") }
        qw(contacts contact_activities conversations message_states
           waiting_changes contact_identities merges);
}
