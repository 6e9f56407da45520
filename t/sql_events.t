# Every kind of event: what it does, what is answered.

use Waha::Test;
use Waha::Ingest;

use JSON::PP ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $n = 0;
my $phone = '79222222222';

$pg->organization('acme', session => [ 't1', 't5' ]);
$pg->organization('other', session => 't2');
$pg->organization('off', session => 't3', enabled => 0);
my ($acme, $other) = map { $pg->organization_id($_) } qw(acme other);


subtest 'a message' => sub {
    my $r = outcome($pg, message(message_id => 'M1', phone => $phone,
        body => "it's \xd0\x9f \xf0\x9f\x99\x82 \\ \"", metadata => '{"a":1}'));
    is_deeply([ @$r{qw(position action organization tenant_id code)} ],
              [ 0, 'contact_created', 'acme', $acme, undef ], 'is answered');
    is(row("select activity_type, direction, message_type, chat, metadata,
                   message_content, session_name
              from contact_activities where id = $r->{activity_id}"),
       'whatsapp_message|inbound|text|person|{"a": 1}'
       . "|it's \xd0\x9f \xf0\x9f\x99\x82 \\ \"|t1", 'is stored');
    is(row("select occurred_at = to_timestamp(1795226560)
              from contact_activities where id = $r->{activity_id}"), 't',
       "at the provider's time");

    my $again = outcome($pg, message(message_id => 'M1', phone => $phone));
    is_deeply([ @$again{qw(action contact_id activity_id)} ],
              [ 'duplicate', $r->{contact_id}, $r->{activity_id} ],
              'again: the same row');

    $again = outcome($pg, message(message_id => 'M1', lid => '1'));
    is("$again->{action} $again->{contact_id}",
       "duplicate $r->{contact_id}", 'under another identity: nobody new');

    my @r = outcomes($pg, batch =>
        map { message(message_id => 'M2', phone => $phone) } 1 .. 3);
    is(join(' ', map { "$_->{position}$_->{action}" } @r),
       '0activity_logged 1duplicate 2duplicate', 'within a batch');

    is(outcome($pg, message(message_id => 'M1', phone => $phone,
                            session => 't5'))->{action},
       'activity_logged', 'the same id on another number: another message');
};


subtest 'what is not stored' => sub {
    my @cases = (
        [ message(message_id => 'X'), 'ignored no_contact' ],
        [ message(phone => $phone), 'ignored no_message_id' ],
        [ status(status => 'read'), 'ignored no_target' ],
        [ message(kind => 'other', message_id => 'X', phone => $phone),
          'ignored unknown_kind' ],
        [ message(chat => 'group', message_id => 'X', phone => '79000000001'),
          'ignored no_contact' ],
        [ message(session => 't3', message_id => 'X', phone => $phone),
          'disabled_organization' ],
        [ message(session => 'tx', message_id => 'X', phone => $phone),
          'unknown_organization' ],
    );

    for (@cases) {
        my ($event, $expected) = @$_;

        for my $how ('ingest', 'batch', 'each') {
            my ($r) = outcomes($pg, $how, $event);
            is(join(' ', $r->{action}, $r->{code} // ()), $expected,
               "$how: $expected");
        }
    }

    is($pg->messages('X'), 0, 'and none of it is');
    is(outcome($pg, message(chat => 'group', message_id => 'G1',
                            phone => $phone))->{action},
       'activity_logged', "a group's message of somebody known is");
};


subtest 'unread' => sub {
    my @row = (phone => '79000000002');
    my $unread = sub {
        outcome($pg, message(@row, message_id => 'U' . ++$n,
                             direction => $_[0], sent_at => 1000 * $_[1],
                             body => "at $_[1]"));
        return row("select unread_count, extract(epoch from unread_since)::int,
                           last_message from waha.conversations v
                      join waha.contact_identities i using (contact_id)
                     where i.key = '79000000002'");
    };

    is($unread->('inbound', 10), '1|10|at 10', 'one');
    is($unread->('inbound', 20), '2|10|at 20', 'two');
    is($unread->('outbound', 15), '1|20|at 20', 'an answer in between');
    is($unread->('inbound', 12), '1|20|at 20', 'one that was answered');
    is($unread->('inbound', 17), '2|17|at 20', 'one that was not');
    is($unread->('outbound', 30), '0||at 30', 'an answer to all');
    is($unread->('inbound', 30), '0||at 30', 'at the same moment');
    is($unread->('inbound', 31), '1|31|at 31', 'the next');

    outcomes($pg, batch => map {
        message(@row, message_id => 'U' . ++$n, sent_at => 1000 * $_->[1],
                direction => $_->[0]) }
        [ 'inbound', 40 ], [ 'outbound', 35 ], [ 'inbound', 33 ],
        [ 'inbound', 45 ]);
    is($unread->('inbound', 50), '3|40|at 50', 'mixed in a batch');
};


subtest 'delivery' => sub {
    my $state = sub {
        outcome($pg, status(target_id => 'D1', status => $_[0],
                            sent_at => 1000 * ($_[1] // 1)));
        return row("select status, extract(epoch from status_at)::int
                      from waha.message_states where message_id = 'D1'");
    };

    is($state->('pending'), 'pending|1', 'before the message');
    is($state->('sent', 2), 'sent|2', 'forward');
    is($state->('failed', 3), 'failed|3', 'failed before it was delivered');
    is($state->('sent', 4), 'failed|3', 'not back');
    is($state->('delivered', 5), 'delivered|5', 'delivered after all');
    is($state->('failed', 6), 'delivered|5', 'which cannot fail any more');
    is($state->('played', 7), 'played|7', 'forward by more than one');
    is($state->('read', 8), 'played|7', 'not back');
    is($state->('bogus', 9), 'played|7', 'a word that is none');
    is(outcome($pg, status(target_id => 'D1', status => 'played',
                           sent_at => 9000))->{action}, 'duplicate',
       'the same again');

    my @r = outcomes($pg, batch => map { status(target_id => 'D2',
        status => $_) } qw(sent read delivered read));
    is(join(' ', map { $_->{action} } @r),
       'status_updated status_updated duplicate duplicate', 'in a batch');
};


subtest 'changes' => sub {
    my @of = (phone => $phone, chat => 'person', session => 't1');
    outcome($pg, message(@of, message_id => 'C1', body => 'first',
                         sent_at => 2e12));
    my $change = sub {
        my %e = @_;
        my $r = outcome($pg, { @of, provider => 'waha', target_id => 'C1',
            direction => 'inbound', message_id => 'K' . ++$n, %e });
        my ($text, $json) = @{ $pg->rows("select message_content, metadata
            from contact_activities where message_id = 'C1'")->[0] };
        return ($r->{action}, $text, JSON::PP::decode_json($json));
    };

    my ($action, $text, $meta) = $change->(kind => 'edit', body => 'second',
                                           sent_at => 20000);
    is("$action $text", 'status_updated second', 'an edit');
    is($meta->{original_content}, 'first', 'keeps what was there');
    is($pg->value("select last_message from waha.conversations "
                  . "where last_message_id = 'C1'"), 'second',
       'and shows in the inbox');

    (undef, $text, $meta) = $change->(kind => 'edit', body => 'third',
                                      sent_at => 30000);
    is("$text @{$meta->{edits}} $meta->{original_content}",
       'third second first', 'another edit');
    is($meta->{edited_at}, '1970-01-01T00:00:30.000Z', 'with its time');

    ($action, $text) = $change->(kind => 'edit', body => 'third',
                                 sent_at => 30000, message_id => "K$n");
    is("$action $text", 'duplicate third', 'the same edit again');

    (undef, $text) = $change->(kind => 'edit', body => 'not mine',
                               sent_at => 90000, direction => 'outbound');
    is($text, 'third', 'nobody edits what another one wrote');

    (undef, undef, $meta) = $change->(kind => 'reaction', body => 'x',
                                      sent_at => 20000);
    (undef, undef, $meta) = $change->(kind => 'reaction', body => 'y',
                                      sent_at => 20000,
                                      direction => 'outbound');
    (undef, undef, $meta) = $change->(kind => 'reaction', body => 'older',
                                      sent_at => 10000);
    is(join(' ', map { "$_->{person}:$_->{emoji}" } @{ $meta->{reactions} }),
       'contact:x me:y', 'the newest reaction of each');

    (undef, undef, $meta) = $change->(kind => 'reaction', body => '',
                                      sent_at => 30000);
    is(join(' ', map { "$_->{person}:$_->{emoji}" } @{ $meta->{reactions} }),
       'me:y', 'one is taken back');
    (undef, undef, $meta) = $change->(kind => 'reaction', body => 'late',
                                      sent_at => 29000);
    is(scalar @{ $meta->{reactions} }, 1, 'for good');

    ($action, $text, $meta) = $change->(kind => 'revoke', sent_at => 40000);
    is("$action $text $meta->{revoked_at}",
       'status_updated third 1970-01-01T00:00:40.000Z',
       'deleted for everyone: marked, and kept');

    outcome($pg, { @of, kind => 'edit', target_id => 'C2', body => 'after',
                   direction => 'inbound', message_id => 'K0',
                   sent_at => 20000 });
    outcome($pg, message(@of, message_id => 'C2', body => 'before'));
    is($pg->value("select message_content from contact_activities "
                  . "where message_id = 'C2'"), 'after',
       'an edit that comes before its message');
};


subtest 'a call' => sub {
    my @call = (kind => 'call', message_id => 'L1', phone => $phone,
                type => 'video', body => undef);
    my $told = sub {
        my $r = outcome($pg, message(@call, status => $_[0],
                                     sent_at => 1000 * $_[1]));
        return "$r->{action} " . row(
            "select activity_type, message_type, metadata->>'call_status',
                    extract(epoch from occurred_at)::int
               from contact_activities where message_id = 'L1'");
    };

    is($told->('received', 2), 'activity_logged call|video|received|2',
       'comes in');
    is($told->('rejected', 3), 'status_updated call|video|rejected|2',
       'is rejected');
    is($told->('received', 1), 'duplicate call|video|rejected|1',
       'is told of again');
    is($pg->value("select count(*) from waha.conversations "
                  . "where last_message_id = 'L1'"), 0,
       'and is no message of the inbox');
};


subtest 'a session' => sub {
    my @of = (kind => 'session', session => 't2', provider => 'waha');
    my $told = sub {
        my %e = @_;
        my $r = outcome($pg, { @of, %e });
        return "$r->{action} " . row(
            "select whatsapp_status, whatsapp_phone_number,
                    extract(epoch from whatsapp_connected_at)::int
               from organizations where slug = 'other'");
    };

    is($told->(status => 'SCAN_QR_CODE', sent_at => 1000),
       'session_updated SCAN_QR_CODE||', 'waits for its owner');
    is($told->(status => 'WORKING', phone => '7911', name => 'Acme',
               sent_at => 3000), 'session_updated WORKING|+7911|3', 'works');
    is($told->(status => 'STARTING', sent_at => 2000),
       'duplicate WORKING|+7911|3', 'older news change nothing');
    is($told->(status => 'STARTING', sent_at => 4000),
       'session_updated STARTING|+7911|3', 'starts again, logged in');
    is($told->(status => 'STOPPED', sent_at => 5000),
       'session_updated STOPPED||', 'is logged out');
    is(row("select push_name, phone, instance from waha.sessions
             where name = 't2'"), 'Acme|7911|', 'its own row has it all');
    is($told->(status => 'WORKING', phone => '7912', sent_at => 6000,
               instance => 'waha-1'),
       'session_updated WORKING|+7912|6', 'works with another number');
    is($pg->value("select waha_instance from organizations "
                  . "where slug = 'other'"), 'waha-1', 'on a known server');

    my @r = outcomes($pg, batch =>
        message(session => 'new', message_id => 'S2', phone => $phone),
        { @of, session => 'new', status => 'STARTING', sent_at => 1000,
          organization_slug => 'acme' });
    is(join(' ', map { $_->{action} } @r), 'activity_logged session_updated',
       'a session that the batch itself tells of');
    is($pg->value("select organization_slug from waha.sessions "
                  . "where name = 'new'"), 'acme', 'is recorded');
};


subtest 'whose it is' => sub {
    my @cases = (
        # known session t1 of acme
        [ 'acme', session => 't1', organization_slug => 'acme' ],
        [ 'acme', session => 't1', organization_id => $acme ],
        [ 'acme', session => 't1', tenant => $acme ],
        [ 'acme', session => 't1', tenant => 'acme' ],
        [ 'acme', session => 't1', tenant => 'nobody' ],
        [ 'acme', session => 't1', organization_slug => 'nobody',
          organization_id => '999999999999999999999' ],
        [ 'contradiction', session => 't1', organization_slug => 'other' ],
        [ 'contradiction', session => 't1', organization_id => $other ],
        [ 'contradiction', session => 't1', tenant => $other ],
        [ 'contradiction', session => 't1', tenant => 'other' ],
        [ 'acme', session => 't1', claims => { query => 'acme' } ],
        [ 'acme', session => 't1', claims => { query => "$acme" } ],
        [ 'contradiction', session => 't1', claims => { query => 'other' } ],
        [ 'contradiction', session => 't1', claims => { query => 'none' } ],
        [ 'contradiction', session => 't1',
          claims => { pattern_slug => 'other' } ],
        [ 'acme', session => 't1', claims => { pattern_slug => 'none' } ],
        [ 'acme', session => 't1', claims => { default => 'other' } ],
        [ 'acme', session => 't1', claims => { sender => JSON::PP::true } ],

        # of an instance
        [ 'other', session => 't2', instance => 'waha-1' ],
        [ 'contradiction', session => 't2', instance => 'waha-2' ],
        [ 'acme', session => 't1', instance => 'waha-2' ],

        # unknown session
        [ 'unknown_organization', session => 'x' ],
        [ 'acme', session => 'x', organization_slug => 'acme' ],
        [ 'acme', session => 'x', organization_id => $acme ],
        [ 'acme', session => 'x', tenant => 'acme' ],
        [ 'contradiction', session => 'x', organization_slug => 'acme',
          tenant => 'other' ],
        [ 'acme', session => 'x', claims => { pattern_slug => 'acme' } ],
        [ 'acme', session => 'x', claims => { pattern_id => "$acme" } ],
        [ 'unknown_organization', session => 'x',
          claims => { query => 'acme' } ],
        [ 'acme', session => 'x', claims => { query => 'acme',
          query_trusted => JSON::PP::true } ],
        [ 'acme', session => 'x', claims => { query => "$acme",
          query_trusted => JSON::PP::true } ],
        [ 'contradiction', session => 'x', organization_slug => 'other',
          claims => { query => 'acme', query_trusted => JSON::PP::true } ],
        [ 'acme', session => 'x', claims => { default => 'acme' } ],
        [ 'other', session => 'x', organization_slug => 'other',
          claims => { default => 'acme' } ],
        [ 'unknown_organization', session => 'x',
          claims => { default => 'nobody' } ],
        [ 'disabled_organization', session => 'x',
          organization_slug => 'off' ],
        [ 'acme', session => 'x', phone => '79000000007',
          claims => { sender => JSON::PP::true } ],
        [ 'unknown_organization', session => 'x', phone => '79000000008',
          claims => { sender => JSON::PP::true } ],
        [ 'other', session => 'x', phone => '79000000008',
          claims => { sender => JSON::PP::true, default => 'other' } ],
    );

    outcome($pg, message(session => $_->[0], phone => $_->[1],
                         message_id => "W$_->[0]$_->[1]"))
        for [ 't1', '79000000007' ], [ 't1', '79000000008' ],
            [ 't2', '79000000008' ];

    for (@cases) {
        my ($expected, %e) = @$_;
        my $name = join ' ', map { "$_="
            . (ref $e{$_} ? JSON::PP->new->canonical->encode($e{$_})
                          : $e{$_}) } sort keys %e;
        $e{claims} &&= JSON::PP::encode_json($e{claims});
        $e{phone} //= $phone;

        for my $how ('ingest', 'batch') {
            my ($r) = outcomes($pg, $how,
                               message(message_id => 'W' . ++$n, %e));
            my $got = $r->{action} =~ /logged|created/ ? $r->{organization}
                                                       : $r->{action};
            is($got, $expected, "$how $name");
        }
    }
};


subtest 'a record that cannot be stored' => sub {
    my $bad = message(message_id => 'F1', phone => $phone, metadata => '{');
    my $good = message(message_id => 'F2', phone => $phone);

    like(eval { outcomes($pg, batch => $bad, $good); '' } // $@,
         qr/invalid input syntax for type json/, 'fails its batch');
    is(join(' ', map { @$_{qw(position action)}, $_->{code} // () }
                     outcomes($pg, each => $bad, $good)),
       '0 failed 22P02 1 activity_logged', 'and alone by ingest_each');
    like(eval { outcome($pg, message(
             message_id => join('', map { rand } 1 .. 600),
                                     phone => $phone)); '' } // $@,
         qr/index row (size|requires)/, 'an id that is too long for a key');
};


subtest 'quarantine' => sub {
    my $event = message(session => 'later', message_id => 'Q1',
                        phone => $phone);
    my $keep = sub {
        return $pg->value("select waha.quarantine('unknown_organization', "
            . "null, '\\x" . unpack('H*', $_[0]) . "', "
            . join(', ', map { quote($event->{$_}) } @arguments) . ')',
            user => 'waha_gateway');
    };

    my $id = $keep->("\0body");
    is($keep->("\0body"), $id, 'keeps a body once');
    isnt($keep->('other'), $id, 'and another one beside it');
    is($pg->error("select * from waha.replay($id)"), '', 'is replayed');
    is($pg->value("select resolved_at from waha.quarantine where id = $id"),
       undef, 'to no end while there is no organization');

    $pg->organization('late', session => 'later');
    is($pg->rows("select * from waha.replay($id)")->[0][1],
       'contact_created', 'and stored when there is');
    is($pg->value("select resolved_at is not null from waha.quarantine "
                  . "where id = $id"), 't', 'which resolves it');

    my $torn = $pg->value("select waha.quarantine('not JSON', null, '\\xff', "
                          . join(', ', ('null') x 20) . ')');
    like($pg->error("select * from waha.replay($torn)"),
         qr/body could not be read/, 'what could not be read stays');
};


subtest 'deleted messages' => sub {
    outcome($pg, message(message_id => $_, phone => '79222222222')),
    outcome($pg, status(target_id => $_, status => 'read')) for 'Y1', 'Y2';
    $pg->psql("delete from contact_activities where message_id = 'Y1'");
    is($pg->value("select string_agg(message_id, ' ')
                     from waha.message_states
                    where message_id in ('Y1', 'Y2')"), 'Y2',
       'take their state with them');
};


subtest 'cleaning' => sub {
    outcome($pg, status(target_id => $_, status => 'read')) for 'Z1', 'M1';
    $pg->psql("update waha.message_states
                  set created_at = now() - interval '31 days'
                where message_id in ('Z1', 'M1');
               update waha.quarantine
                  set resolved_at = resolved_at - interval '31 days'");

    is($pg->value('select waha.maintain(1)'), 3, 'looks at what is old');
    is($pg->value("select string_agg(message_id, ' ') "
                  . "from waha.message_states "
                  . "where message_id in ('Z1', 'M1')"), 'M1',
       'removes what no message came for');
    is($pg->value('select count(*) from waha.quarantine'), 2,
       'and quarantine that was resolved');
    is($pg->value('select waha.maintain()'), 0, 'and is done');

    outcome($pg, status(target_id => 'Z2', status => 'read'));
    $pg->psql("update waha.message_states
                  set created_at = now() - interval '30 days 1 hour'
                where message_id = 'Z2';
               update waha.quarantine
                  set seen_at = now() - interval '91 days'
                where id in (select id from waha.quarantine limit 1)");

    my $busy = $pg->session;
    $busy->query('begin');
    $busy->query("select from waha.message_states where message_id = 'Z2' "
                 . 'for update');
    is($pg->value('select waha.maintain()'), 1,
       'quarantine that nobody resolves has an end; what is locked is left');
    $busy->query('commit');
    is($pg->value('select waha.maintain()'), 1, 'to the next time');
    is($pg->value("select count(*) from waha.message_states "
                  . "where message_id = 'Z2'"), 0, 'and removed then');
};


subtest 'a synchronous standby' => sub {
    my $session = $pg->session(user => 'waha_gateway');
    $pg->psql("alter system set synchronous_standby_names = 'nobody'");
    $pg->psql('select pg_reload_conf()');
    wait_for(sub { $pg->value('show synchronous_standby_names') });

    $session->query('select waha.check(1, 1)');
    $session->async(call_sql(ingest => status(target_id => 'D1',
                                              status => 'sent')));
    ok(wait_for(sub { $pg->value("select count(*) from pg_stat_activity "
        . "where wait_event = 'SyncRep'") }),
       'is waited for, even by a duplicate');

    $pg->psql("alter system reset synchronous_standby_names");
    $pg->psql('select pg_reload_conf()');
    like($session->result, qr/duplicate/, 'which is then answered');
};

subtest 'the sender as the last resort' => sub {
    $pg->organization('knows');
    $pg->psql("insert into contacts (organization_slug, first_name, phone_1)
               values ('knows', 'Own', '+4915100000001')");

    my %of = (session => 'stranger', phone => '4915100000001',
              claims => '{"sender": true}');

    is(outcome($pg, message(message_id => 'S1', %of, @$_[1, 2]))->{action},
       'unknown_organization', $_->[0])
        for [ 'the number of a session says nothing', kind => 'session' ],
            [ 'nor does whom we write to', direction => 'outbound' ];

    is(outcome($pg, { %{ message(%of) }, kind => 'session',
                      direction => undef, status => 'WORKING' })->{action},
       'unknown_organization', 'nor a number that logs in');
    is(outcome($pg, message(message_id => 'S1', %of))->{organization},
       'knows', 'a message does');

    like($pg->psql(q{
        set enable_seqscan = off;
        explain select from waha.contact_identities
         where kind collate "POSIX" = 'phone'
           and key = '1' collate "POSIX"}),
         qr/contact_identities_key_idx/, 'by an index of its own');
};

$t->done;


sub row {
    my ($sql) = @_;

    return join '|', map { $_ // '' } @{ $pg->rows($sql)->[0] };
}
