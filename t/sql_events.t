# Each kind of event: what waha.ingest stores and returns.

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
              [ 0, 'contact_created', 'acme', $acme, undef ],
              'a new message returns contact and organization');
    is(row("select activity_type, direction, message_type, chat, metadata,
                   message_content, session_name
              from contact_activities where id = $r->{activity_id}"),
       'whatsapp_message|inbound|text|person|{"a": 1}'
       . "|it's \xd0\x9f \xf0\x9f\x99\x82 \\ \"|t1",
       'a new message is stored');
    is(row("select occurred_at = to_timestamp(1795226560)
              from contact_activities where id = $r->{activity_id}"), 't',
       "a message has the provider's time");

    my $again = outcome($pg, message(message_id => 'M1', phone => $phone));
    is_deeply([ @$again{qw(action contact_id activity_id)} ],
              [ 'duplicate', $r->{contact_id}, $r->{activity_id} ],
              'the same message again is a duplicate of the same row');

    $again = outcome($pg, message(message_id => 'M1', lid => '1'));
    is("$again->{action} $again->{contact_id}",
       "duplicate $r->{contact_id}",
       'the same message under another identity makes no contact');

    my @r = outcomes($pg, batch =>
        map { message(message_id => 'M2', phone => $phone) } 1 .. 3);
    is(join(' ', map { "$_->{position}$_->{action}" } @r),
       '0activity_logged 1duplicate 2duplicate',
       'duplicates within a batch are recognized');

    is(outcome($pg, message(message_id => 'M1', phone => $phone,
                            session => 't5'))->{action},
       'activity_logged', 'the same id in another session is another message');
};


subtest 'events that store nothing' => sub {
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

    is($pg->messages('X'), 0, 'none of these events is stored');
    is(outcome($pg, message(chat => 'group', message_id => 'G1',
                            phone => $phone))->{action},
       'activity_logged', "a group's message of a known contact is stored");
};


subtest 'unread messages of a conversation' => sub {
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

    is($unread->('inbound', 10), '1|10|at 10', 'one message is unread');
    is($unread->('inbound', 20), '2|10|at 20', 'two messages are unread');
    is($unread->('outbound', 15), '1|20|at 20',
       'an outbound message in between reads the older one');
    is($unread->('inbound', 12), '1|20|at 20',
       'an older message than the last outbound one is read');
    is($unread->('inbound', 17), '2|17|at 20',
       'a newer message than the last outbound one is unread');
    is($unread->('outbound', 30), '0||at 30',
       'an outbound message after all reads all');
    is($unread->('inbound', 30), '0||at 30',
       'a message of the same second is read');
    is($unread->('inbound', 31), '1|31|at 31', 'the next message is unread');

    outcomes($pg, batch => map {
        message(@row, message_id => 'U' . ++$n, sent_at => 1000 * $_->[1],
                direction => $_->[0]) }
        [ 'inbound', 40 ], [ 'outbound', 35 ], [ 'inbound', 33 ],
        [ 'inbound', 45 ]);
    is($unread->('inbound', 50), '3|40|at 50',
       'a batch of both directions counts the same');
};


subtest 'status of delivery' => sub {
    my $state = sub {
        outcome($pg, status(target_id => 'D1', status => $_[0],
                            sent_at => 1000 * ($_[1] // 1)));
        return row("select status, extract(epoch from status_at)::int
                      from waha.message_states where message_id = 'D1'");
    };

    is($state->('pending'), 'pending|1',
       'a status before its message is stored');
    is($state->('sent', 2), 'sent|2', 'a status moves forward');
    is($state->('failed', 3), 'failed|3', '"failed" replaces "sent"');
    is($state->('sent', 4), 'failed|3', '"sent" does not replace "failed"');
    is($state->('delivered', 5), 'delivered|5',
       '"delivered" replaces "failed"');
    is($state->('failed', 6), 'delivered|5',
       '"failed" does not replace "delivered"');
    is($state->('played', 7), 'played|7', 'a status may skip a step');
    is($state->('read', 8), 'played|7', '"read" does not replace "played"');
    is($state->('bogus', 9), 'played|7', 'an unknown status changes nothing');
    is(outcome($pg, status(target_id => 'D1', status => 'played',
                           sent_at => 9000))->{action}, 'duplicate',
       'the same status again is a duplicate');

    outcome($pg, message(message_id => 'D1', direction => 'outbound',
                         phone => $phone));
    is($state->('read'), 'played|7', 'the message has it when it arrives');

    my @r = outcomes($pg, batch => map { status(target_id => 'D2',
        status => $_) } qw(sent read delivered read));
    is(join(' ', map { $_->{action} } @r),
       'status_updated status_updated duplicate duplicate',
       'statuses within a batch follow the same order');
};


subtest 'edits, reactions and deletions' => sub {
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
    is("$action $text", 'status_updated second', 'an edit replaces the text');
    is($meta->{original_content}, 'first', 'the first text is kept');
    is($pg->value("select last_message from waha.conversations "
                  . "where last_message_id = 'C1'"), 'second',
       'the conversation shows the edited text');

    (undef, $text, $meta) = $change->(kind => 'edit', body => 'third',
                                      sent_at => 30000);
    is("$text @{$meta->{edits}} $meta->{original_content}",
       'third second first', 'a second edit keeps the texts before it');
    is($meta->{edited_at}, '1970-01-01T00:00:30.000Z', 'an edit has its time');

    ($action, $text) = $change->(kind => 'edit', body => 'third',
                                 sent_at => 30000, message_id => "K$n");
    is("$action $text", 'duplicate third',
       'the same edit again is a duplicate');

    (undef, $text) = $change->(kind => 'edit', body => 'not mine',
                               sent_at => 90000, direction => 'outbound');
    is($text, 'third', 'an edit by the other side is ignored');

    (undef, undef, $meta) = $change->(kind => 'reaction', body => 'x',
                                      sent_at => 20000);
    (undef, undef, $meta) = $change->(kind => 'reaction', body => 'y',
                                      sent_at => 20000,
                                      direction => 'outbound');
    (undef, undef, $meta) = $change->(kind => 'reaction', body => 'older',
                                      sent_at => 10000);
    is(join(' ', map { "$_->{person}:$_->{emoji}" } @{ $meta->{reactions} }),
       'contact:x me:y', 'each side has its newest reaction');

    (undef, undef, $meta) = $change->(kind => 'reaction', body => '',
                                      sent_at => 30000);
    is(join(' ', map { "$_->{person}:$_->{emoji}" } @{ $meta->{reactions} }),
       'me:y', 'an empty reaction removes the one before');
    (undef, undef, $meta) = $change->(kind => 'reaction', body => 'late',
                                      sent_at => 29000);
    is(scalar @{ $meta->{reactions} }, 1,
       'an older reaction does not come back');

    ($action, $text, $meta) = $change->(kind => 'revoke', sent_at => 40000);
    is("$action $text $meta->{revoked_at}",
       'status_updated third 1970-01-01T00:00:40.000Z',
       'a deleted message is marked and kept');

    outcome($pg, { @of, kind => 'edit', target_id => 'C2', body => 'after',
                   direction => 'inbound', message_id => 'K0',
                   sent_at => 20000 });
    outcome($pg, message(@of, message_id => 'C2', body => 'before'));
    is($pg->value("select message_content from contact_activities "
                  . "where message_id = 'C2'"), 'after',
       'an edit that arrives before its message is applied');
};


subtest 'edits that bring nothing' => sub {
    my @of = (phone => $phone);

    for my $how (qw(ingest batch each)) {
        my ($text, $image, $bare) = map { "N$_$how" } 1 .. 3;
        my $edit = sub {
            my ($id, $body, $at) = @_;
            my ($r) = outcomes($pg, $how, message(@of, kind => 'edit',
                target_id => $id, message_id => "NE$at", body => $body,
                sent_at => 1000 * $at));
            return "$r->{action} " . row(
                "select message_content, metadata->>'original_content',
                        metadata->>'edited_at', metadata->>'edits'
                   from contact_activities where message_id = '$id'");
        };

        outcomes($pg, batch => message(@of, message_id => $text, body => 'a'),
                 message(@of, message_id => $image, body => 'caption',
                         type => 'image', metadata => '{"has_media":true}'),
                 message(@of, message_id => $bare, body => undef));

        is($edit->($text, undef, 10),
           'status_updated a||1970-01-01T00:00:10.000Z|',
           "$how: an edit that cannot be read keeps the text");
        is($edit->($text, '', 20),
           'status_updated a||1970-01-01T00:00:20.000Z|',
           "$how: a text cannot be edited to nothing");
        is($edit->($text, 'b', 15),
           'status_updated b|a|1970-01-01T00:00:20.000Z|[]',
           "$how: an edit between them is taken");
        is($edit->($text, '', 20),
           'duplicate b|a|1970-01-01T00:00:20.000Z|[]',
           "$how: the same edit again is a duplicate");
        is($edit->($image, '', 20),
           'status_updated |caption|1970-01-01T00:00:20.000Z|[]',
           "$how: a caption can be removed");
        is($edit->($image, 'new', 30),
           'status_updated new|caption|1970-01-01T00:00:30.000Z|[""]',
           "$how: and comes back");
        is($edit->($bare, 'found', 10),
           'status_updated found||1970-01-01T00:00:10.000Z|[]',
           "$how: an edit brings a text that was not there");
    }
};


subtest 'edits, reactions and votes have bounds' => sub {
    my @of = (phone => $phone, chat => 'group', chat_id => '1@g.us');
    my $id = outcome($pg, message(@of, message_id => 'O1', body => 'x' x 40))
                 ->{activity_id};
    my $meta = sub {
        return JSON::PP::decode_json($pg->value(
            "select metadata from contact_activities where id = $id"));
    };

    outcomes($pg, batch => map { message(@of, kind => 'edit',
        target_id => 'O1', message_id => "O$_", body => "edit $_",
        sent_at => 1000 * $_) } 10 .. 30);
    is("@{ $meta->()->{edits} }", 'edit 25 edit 26 edit 27 edit 28 edit 29',
       'the last five texts before the newest are kept');
    is($meta->()->{original_content}, 'x' x 40, 'so is the first one');
    is(outcome($pg, message(@of, kind => 'edit', target_id => 'O1',
                            message_id => 'O5', body => 'late',
                            sent_at => 5000))->{action}, 'duplicate',
       'an edit older than these changes nothing');

    outcomes($pg, batch => map { message(@of, kind => 'edit',
        target_id => 'O1', message_id => "OL$_", body => $_ x 20000,
        sent_at => 1000 * (40 + $_)) } 1 .. 4);
    is(join(' ', map { substr($_, 0, 1) . length }
                     @{ $meta->()->{edits} }), 'e7 e7 14096 24096 34096',
       'earlier texts are cut');

    for my $kind (qw(reaction vote)) {
        outcomes($pg, batch => map { message(@of, kind => $kind,
            target_id => 'O1', message_id => "O$kind$_", lid => 5000 + $_,
            phone => undef, body => 'y' x 100, sent_at => 1000 * $_,
            metadata => '{"options": ["' . 'z' x 200 . '"]}') } 1 .. 50);
        my $list = $meta->()->{"${kind}s"};
        is(scalar @$list, 32, "the newest 32 ${kind}s are kept");
        is($list->[0]{person}, '5019', 'the oldest ones are not');
        cmp_ok(length JSON::PP::encode_json($list), '<', 8000,
               'each is cut to what WhatsApp allows');
    }
};


subtest 'votes in a poll' => sub {
    my %poll = (phone => $phone, session => 't1');
    my $vote = sub {
        my ($options, %o) = @_;
        my $r = outcome($pg, message(%poll, kind => 'vote',
            target_id => 'P1', message_id => 'PV' . ++$n, body => undef,
            metadata => '{"options": ' . $options . '}', %o));
        return "$r->{action} " . ($pg->value(
            "select metadata->>'votes' from contact_activities
              where message_id = 'P1'") // '');
    };

    is($vote->('["1"]', sent_at => 1000), 'status_updated ',
       'a vote before its poll waits');
    outcome($pg, message(%poll, message_id => 'P1', type => 'poll',
                         direction => 'outbound', body => 'Grade?'));
    is($vote->('["1"]', sent_at => 1000),
       'duplicate [{"at": "1970-01-01T00:00:01.000Z", "person": "contact", '
       . '"options": ["1"]}]', 'the poll has the vote that came before it');
    is($vote->('["5", "4"]', sent_at => 2000),
       'status_updated [{"at": "1970-01-01T00:00:02.000Z", "person": '
       . '"contact", "options": ["5", "4"]}]', 'a later vote replaces it');
    is($vote->('[]', sent_at => 3000), 'status_updated ',
       'a vote without options takes it back');
    like($vote->('["3"]', sent_at => 3000, direction => 'outbound'),
         qr/"person": "me", "options": \["3"\]/, 'the own vote is "me"');
    is($vote->('"x"', sent_at => 9000) =~ /"contact"/, '',
       'options that are no list are none');
};


subtest 'the status that a message comes with' => sub {
    my $state = sub {
        my ($id) = @_;
        return $pg->value("select status from waha.message_states
                            where message_id = '$id'");
    };

    for my $how (qw(ingest batch each)) {
        my $of = sub { message(message_id => "A$how", phone => $phone,
                               direction => 'outbound', @_) };
        my $r = sub { (outcomes($pg, $how, @_))[0]{action} };

        is($r->($of->(status => 'sent')), 'activity_logged',
           "$how: an outbound message is stored");
        is($state->("A$how"), 'sent', "$how: with its status");
        is($r->($of->(status => 'sent')), 'duplicate',
           "$how: the same again is a duplicate");
        is($r->($of->(status => 'delivered')), 'status_updated',
           "$how: a second delivery moves the status");
        is($r->($of->(status => 'pending')), 'duplicate',
           "$how: not back");
        is($state->("A$how"), 'delivered', "$how: it is the last one");

        outcomes($pg, $how, message(message_id => "I$how", status => 'read',
                                    phone => $phone));
        is($state->("I$how"), undef,
           "$how: an inbound message has no status of delivery");
    }
};


subtest 'messages that were read on the phone' => sub {
    my @orders = ([ 0, 1, 2, 3 ], [ 3, 0, 1, 2 ], [ 2, 3, 1, 0 ]);

    for my $how (qw(ingest batch each)) {
        for my $order (@orders) {
            my $who = '7922' . (1000000 + ++$n);
            my @of = (phone => $who);
            my @events = ((map { message(@of, message_id => "$who$_",
                                         sent_at => 1000 * $_) } 1 .. 3),
                          status(@of, direction => 'inbound',
                                 target_id => "${who}2", status => 'read'));
            my @in = @events[@$order];

            if ($how eq 'ingest') {
                outcome($pg, $_) for @in;
            } else {
                outcomes($pg, $how, @in);
            }

            is(row("select unread_count,
                           extract(epoch from unread_since)::int,
                           last_message_id
                      from waha.conversations v
                      join waha.contact_identities i using (contact_id)
                     where i.key = '$who'"), "1|3|${who}3",
               "$how @$order: only what came after it is unread");
        }
    }

    my $who = '79229999999';
    outcome($pg, message(phone => $who, message_id => 'RO',
                         direction => 'outbound', sent_at => 1000));
    outcome($pg, message(phone => $who, message_id => 'RI', sent_at => 2000));
    outcome($pg, status(phone => $who, target_id => 'RO', status => 'read',
                        sent_at => 3000));
    is(unread($who), 1, 'that the contact has read says nothing of the owner');
    outcome($pg, status(phone => $who, target_id => 'RI',
                        status => 'delivered', direction => 'inbound'));
    is(unread($who), 1, 'nor does a delivery to the phone');
};


subtest 'messages that say nothing' => sub {
    for my $how (qw(ingest batch each)) {
        my $who = '7922' . (5550000 + ++$n);
        my @of = (phone => $who, body => undef, type => 'unknown',
                  empty => 'true', name => 'Nobody');
        my ($id, $later, $new) = map { "V$_$how" } 1 .. 3;
        my $people = $pg->value('select count(*) from contacts');
        my $one = sub { (outcomes($pg, $how, @_))[0] };

        my $r = $one->(message(@of, message_id => $new, phone => "$who$n"));
        is("$r->{action} $r->{code}", 'ignored no_contact',
           "$how: of somebody unknown it is ignored");
        is($pg->value('select count(*) from contacts'), $people,
           "$how: it makes no contact");

        outcome($pg, message(phone => $who, message_id => "V0$how",
                             name => 'Ann', sent_at => 1000));
        my $unread = unread($who);
        $r = $one->(message(@of, message_id => $id, sent_at => 2000));
        is($r->{action}, 'activity_logged',
           "$how: of a contact it is stored");
        is(unread($who), $unread, "$how: it is not unread");
        is(last_message($who), "V0$how", "$how: nor the last message");
        is($pg->value("select first_name from contacts
                        where id = $r->{contact_id}"), 'Ann',
           "$how: its name is not taken");
        is($one->(message(@of, message_id => $id, sent_at => 2000))
               ->{action}, 'duplicate', "$how: again it is a duplicate");

        $r = $one->(message(phone => $who, message_id => $id, body => 'now',
                            name => 'Ann', sent_at => 2000));
        is($r->{action}, 'activity_updated',
           "$how: a fuller delivery fills it");
        is(row("select message_content, message_type, sender_name,
                       metadata ? 'empty'
                  from contact_activities where message_id = '$id'"),
           'now|text|Ann|f', "$how: with text, type and name");
        is(unread($who), $unread + 1, "$how: it is unread now");
        is(last_message($who), $id, "$how: and the last message");

        $one->(message(@of, message_id => $later, sent_at => 3000));
        outcome($pg, status(phone => $who, target_id => $later,
                            status => 'read', direction => 'inbound'));
        is(unread($who), $unread + 1,
           "$how: that it was read says nothing of others");
        $one->(message(phone => $who, message_id => $later, body => 'x',
                       sent_at => 3000));
        is(unread($who), 0, "$how: until it says something");

        $r = $one->(message(message_id => $new, phone => "$who$n"));
        is($r->{action}, 'contact_created',
           "$how: a fuller delivery of a stranger's makes the contact");
        $n++;
    }
};


subtest 'a fuller delivery of a message' => sub {
    my @cases = (
        [ 'a text', { body => undef, type => 'unknown' }, { },
          'hi|text|{}' ],
        [ 'a file', { body => '', type => 'image', metadata =>
                      '{"has_media": true, "media": {"mimetype": "i/j"}}' },
          { body => '', type => 'image', metadata =>
            '{"has_media": true, "media_url": "u", "media": {"url": "u", '
            . '"mimetype": "x"}}' },
          '|image|{"media": {"url": "u", "mimetype": "i/j"}, "has_media": '
          . 'true, "media_url": "u"}' ],
        [ 'a file of what looked like a text', { body => '' },
          { body => 'c', type => 'image', metadata => '{"has_media": true}' },
          'c|image|{"has_media": true}' ],
        [ 'how it came is no news', { metadata => '{"source": "app"}' },
          { metadata => '{"source": "api", "engine": "X"}' }, undef ],
        [ 'nothing replaces something', { body => 'a', type => 'image',
          metadata => '{"media": {"url": "u"}}' },
          { body => undef, type => 'unknown', metadata =>
            '{"media": null, "media_url": null}' }, undef ],
        [ 'something does not replace something', { body => 'a' },
          { body => 'b', type => 'image' }, undef ],
        [ 'it says nothing', { body => undef, type => 'unknown' },
          { empty => 'true' }, undef ],
    );

    for my $how (qw(ingest batch each together)) {
        for my $case (@cases) {
            my ($name, $first, $second, $expected) = @$case;
            my $id = 'FU' . ++$n;
            my @m = map { message(phone => '79226660000', message_id => $id,
                                  sent_at => 1000 * (100 + $n), %$_) }
                        $first, $second;
            my @r = $how eq 'together'
                    ? outcomes($pg, batch => @m)
                    : map { outcomes($pg, $how, $_) } @m;
            my $stored = "select message_content, message_type, metadata
                            from contact_activities where message_id = '$id'";

            is($r[1]{action}, $expected ? 'activity_updated' : 'duplicate',
               "$how: $name");
            is(row($stored), $expected, "$how: it is filled")
                if $expected;
            is(last_message('79226660000', 'last_message') // '',
               row("select message_content from contact_activities
                     where message_id = '$id'"),
               "$how: the conversation follows");
        }
    }

    my @of = (phone => '79226660000', message_id => 'FE');
    outcome($pg, message(@of, body => undef, type => 'unknown'));
    outcome($pg, message(phone => '79226660000', kind => 'edit', body => 'e',
                         message_id => 'FEE', target_id => 'FE',
                         sent_at => 1795226570000));
    outcome($pg, message(@of, body => 'first'));
    is(row("select message_content, metadata->>'original_content'
              from contact_activities where message_id = 'FE'"), 'e|first',
       'the text of a message that was edited before is its original');

    $pg->psql("update contact_activities set message_content = null,
                   metadata = '{\"erased\": true}' where message_id = 'FE'");
    is(outcome($pg, message(@of, body => 'first'))->{action}, 'duplicate',
       'what was erased is not filled');
};


subtest 'a fuller delivery beside another one' => sub {
    my @s = map { $pg->session(user => 'waha_gateway') } 1, 2;
    my @of = (phone => '79226660000', message_id => 'FC', type => 'image');
    my $text = message(@of, body => 'c');
    my $file = message(@of, body => undef, metadata => '{"media_url": "u"}');

    outcome($pg, message(@of, body => undef, type => 'unknown'));
    $s[0]->query('begin');
    $s[0]->query(call_sql(ingest => $text));
    $s[1]->async(call_sql(batch => $file));
    ok($s[1]->wait_blocked, 'the second waits for the first');
    $s[0]->query('commit');
    like($s[1]->result, qr/activity_updated/, 'then it fills, too');
    is(row("select message_content, metadata->>'media_url'
              from contact_activities where message_id = 'FC'"), 'c|u',
       'the message has what both told');
};


subtest 'names with a slash' => sub {
    $pg->organization('a', session => 's/w');
    $pg->organization('a/s', session => 'w');
    outcomes($pg, batch =>
        message(session => 's/w', message_id => 'SL', phone => $phone),
        message(session => 'w', message_id => 'SL', phone => $phone),
        message(session => 's/w', kind => 'reaction', target_id => 'SL',
                phone => $phone, body => 'one'),
        message(session => 'w', kind => 'reaction', target_id => 'SL',
                phone => $phone, body => 'two'));
    is($pg->psql("select organization_slug, metadata->'reactions'->0->'emoji'
                    from contact_activities where message_id = 'SL'
                   order by 1"), qq(a|"one"\na/s|"two"),
       'each organization has its own');
};


subtest 'a call' => sub {
    my @call = (kind => 'call', message_id => 'L1', phone => $phone,
                type => 'video', body => undef);
    my $after = sub {
        my $r = outcome($pg, message(@call, status => $_[0],
                                     sent_at => 1000 * $_[1]));
        return "$r->{action} " . row(
            "select activity_type, message_type, metadata->>'call_status',
                    extract(epoch from occurred_at)::int
               from contact_activities where message_id = 'L1'");
    };

    is($after->('received', 2), 'activity_logged call|video|received|2',
       'a call is stored');
    is($after->('rejected', 3), 'status_updated call|video|rejected|2',
       'the end of a call changes its status');
    is($after->('received', 1), 'duplicate call|video|rejected|1',
       'an older event of a call changes only its time');
    is($pg->value("select count(*) from waha.conversations "
                  . "where last_message_id = 'L1'"), 0,
       'a call is no last message of a conversation');
};


subtest 'the status of a session' => sub {
    my @of = (kind => 'session', session => 't2', provider => 'waha');
    my $after = sub {
        my %e = @_;
        my $r = outcome($pg, { @of, %e });
        return "$r->{action} " . row(
            "select whatsapp_status, whatsapp_phone_number,
                    extract(epoch from whatsapp_connected_at)::int
               from organizations where slug = 'other'");
    };

    is($after->(status => 'SCAN_QR_CODE', sent_at => 1000),
       'session_updated SCAN_QR_CODE||', 'SCAN_QR_CODE is shown');
    is($after->(status => 'WORKING', phone => '7911', name => 'Acme',
               sent_at => 3000), 'session_updated WORKING|+7911|3',
       'WORKING is shown with number and time');
    is($after->(status => 'STARTING', sent_at => 2000),
       'session_updated WORKING|+7911|3', 'an older status is not shown');
    is($after->(status => 'STARTING', sent_at => 4000),
       'session_updated STARTING|+7911|3', 'STARTING keeps the number');
    is($after->(status => 'STOPPED', sent_at => 5000),
       'session_updated STOPPED|+7911|3', 'so does STOPPED');
    is(row("select push_name, phone, instance from waha.sessions
             where name = 't2'"), 'Acme|7911|',
       "the session's row keeps name and number");
    $pg->psql("select waha.add_session('other', 't2', 'waha-1')");
    is($after->(status => 'WORKING', phone => '7912', sent_at => 6000,
               instance => 'waha-1'),
       'session_updated WORKING|+7912|6', 'another number replaces the first');
    is($pg->value("select waha_instance from organizations "
                  . "where slug = 'other'"), 'waha-1',
       'the WAHA server of the session is stored');

    my @r = outcomes($pg, batch =>
        message(session => 'new', message_id => 'S2', phone => $phone),
        { @of, session => 'new', status => 'STARTING', sent_at => 1000,
          organization_slug => 'acme' });
    is(join(' ', map { $_->{action} } @r), 'activity_logged session_updated',
       'a session that is made within the batch itself is known to it');
    is($pg->value("select organization_slug from waha.sessions "
                  . "where name = 'new'"), 'acme',
       'the session made within a batch is stored');
};


subtest 'the organization of an event' => sub {
    my @cases = (
        # session t1, which belongs to acme
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

        # sessions with an instance
        [ 'other', session => 't2', instance => 'waha-1' ],
        [ 'foreign_instance', session => 't2', instance => 'waha-2' ],
        [ 'foreign_instance', session => 't1', instance => 'waha-2' ],

        # an unknown session
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


subtest 'a record that PostgreSQL refuses' => sub {
    my $bad = message(message_id => 'F1', phone => $phone, metadata => '{');
    my $good = message(message_id => 'F2', phone => $phone);

    like(eval { outcomes($pg, batch => $bad, $good); '' } // $@,
         qr/invalid input syntax for type json/,
         'ingest_batch fails as a whole');
    is(join(' ', map { @$_{qw(position action)}, $_->{code} // () }
                     outcomes($pg, each => $bad, $good)),
       '0 failed 22P02 1 activity_logged',
       'ingest_each fails for that record alone');
    like(eval { outcome($pg, message(
             message_id => join('', map { rand } 1 .. 600),
                                     phone => $phone)); '' } // $@,
         qr/index row (size|requires)/,
         'an id that is too long for the index fails');
};


subtest 'modules of older contracts' => sub {
    my %lacks = (3 => qr/, null\)/,
                 2 => qr/(?:, array\[[^]]*\]::text\[\]){2}, null\)/);

    for my $how (qw(batch each)) {
        for my $contract (2, 3) {
            my $sql = call_sql($how, map {
                message(message_id => "OLD$how$contract$_",
                        phone => "7922222220$_") } 1, 2);
            $sql =~ s/$lacks{$contract}/)/ or die $sql;

            is($pg->psql("select count(*) from ($sql) r
                           where action = 'contact_created'
                              or action = 'activity_logged'"), 2,
               "ingest_$how stores the events of contract $contract");
        }
    }
};


subtest 'quarantine' => sub {
    my $event = message(session => 'later', message_id => 'Q1',
                        phone => $phone);
    my $keep = sub {
        return $pg->value("select waha.quarantine('unknown_organization', "
            . "null, E'\\\\x" . unpack('H*', $_[0]) . "', "
            . join(', ', map { quote($event->{$_}) } @arguments) . ')',
            user => 'waha_gateway');
    };

    my $id = $keep->("\0body");
    is($keep->("\0body"), $id, 'a body is kept once');
    isnt($keep->('other'), $id, 'another body is kept, too');
    is($pg->error("select * from waha.replay($id)"), '',
       'replay of an event without an organization succeeds');
    is($pg->value("select resolved_at from waha.quarantine where id = $id"),
       undef, 'an event without an organization stays unresolved');

    $pg->organization('late', session => 'later');
    is($pg->rows("select * from waha.replay($id)")->[0][1],
       'contact_created',
       'replay stores the event once its organization exists');
    is($pg->value("select resolved_at is not null from waha.quarantine "
                  . "where id = $id"), 't', 'replay resolves the event');

    my $torn = $pg->value("select waha.quarantine('not JSON', null, E'\\\\xff', "
                          . join(', ', ('null') x 20) . ')');
    like($pg->error("select * from waha.replay($torn)"),
         qr/body could not be read/,
         'replay of a body that could not be read fails');
};


subtest 'deletion of messages by the CRM' => sub {
    outcome($pg, message(message_id => $_, phone => '79222222222')),
    outcome($pg, status(target_id => $_, status => 'read')) for 'Y1', 'Y2';
    $pg->psql("delete from contact_activities where message_id = 'Y1'");
    is($pg->value("select string_agg(message_id, ' ')
                     from waha.message_states
                    where message_id in ('Y1', 'Y2')"), 'Y2',
       'a deleted message takes its status with it');
};


subtest 'waha.maintain' => sub {
    # versions before contract 3 had rows for messages that never came

    my $old = sub {
        $pg->psql("insert into waha.message_states (organization_slug,
                       session_name, message_id, status)
                   values ('acme', 't1', '$_[0]', 'read')");
    };

    outcome($pg, status(target_id => 'W1', status => 'read'));
    outcome($pg, status(target_id => 'M1', status => 'read'));
    $old->('Z1');
    $pg->psql("update waha.message_states
                  set created_at = now() - interval '31 days'
                where message_id in ('Z1', 'M1');
               update waha.waiting_changes
                  set created_at = now() - interval '31 days'
                where message_id = 'W1';
               update waha.quarantine
                  set resolved_at = resolved_at - interval '31 days'");

    is($pg->value('select waha.maintain(1)'), 4,
       'maintain looks at the old rows');
    is($pg->value("select count(*) from waha.waiting_changes
                    where message_id = 'W1'"), 0,
       'maintain removes a change whose message never came');
    is($pg->value("select string_agg(message_id, ' ') "
                  . "from waha.message_states "
                  . "where message_id in ('Z1', 'M1')"), 'M1',
       'maintain removes a status whose message never came');
    is($pg->value('select count(*) from waha.quarantine'), 2,
       'maintain removes what was resolved in quarantine');
    is($pg->value('select waha.maintain()'), 0,
       'a second maintain finds nothing');

    $old->('Z2');
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
       'maintain removes what stays unresolved in quarantine, and skips a '
       . 'locked row');
    $busy->query('commit');
    is($pg->value('select waha.maintain()'), 1,
       'the next maintain removes the row that was locked');
    is($pg->value("select count(*) from waha.message_states "
                  . "where message_id = 'Z2'"), 0,
       'the status that was locked is removed');
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
       'a duplicate waits for the standby, too');

    $pg->psql("alter system reset synchronous_standby_names");
    $pg->psql('select pg_reload_conf()');
    like($session->result, qr/duplicate/,
         'the duplicate is answered when the standby no longer counts');
};

subtest 'the sender as the source of the organization' => sub {
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
       'unknown_organization',
       'the number of a session that logs in names no organization');
    is(outcome($pg, message(message_id => 'S1', %of))->{organization},
       'knows', 'the sender of a message names the organization');

    like($pg->psql(q{
        set enable_seqscan = off;
        explain select from waha.contact_identities
         where kind collate "POSIX" = 'phone'
           and key = '1' collate "POSIX"}),
         qr/contact_identities_key_idx/,
         'an index finds the organization of a sender');
};

$t->done;


sub unread { return last_message($_[0], 'unread_count') }


sub last_message {
    my ($number, $column) = @_;

    $column //= 'last_message_id';
    return $pg->value("select coalesce($column\::text, '')
                         from waha.conversations v
                         join waha.contact_identities i using (contact_id)
                        where i.key = '$number'");
}


sub row {
    my ($sql) = @_;

    return join '|', map { $_ // '' } @{ $pg->rows($sql)->[0] };
}
