# Changes that the CRM makes to its own tables, before or during ingest: no
# message is lost, no person becomes two contacts.

use Waha::Test;
use Waha::Ingest;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');


subtest 'contacts that the CRM has merged' => sub {
    my %old = (phone => '491701000001');
    my $old = outcome($pg, inbound(%old, message_id => 'OLD', name => 'Old'));
    my $new = outcome($pg, inbound(phone => '491701000002', lid => '11'));

    crm_merges($old, $new);

    my $r = outcome($pg, inbound(%old, name => 'Bob',
                                 sent_at => 1795226570000));
    is($r->{action}, 'activity_logged',
       'a message of a merged contact is stored');
    is($r->{contact_id}, $new->{contact_id},
       'the message belongs to the contact that was kept');
    is(name($new), 'Bob', 'the kept contact gets the new name');
    is(messages($new), 3, 'the kept contact has all messages');
    is($pg->value("select string_agg(contact_id || ' ' || unread_count, ',') "
                  . "from waha.conversations where contact_id "
                  . "in ($old->{contact_id}, $new->{contact_id})"),
       "$new->{contact_id} 3", 'the kept contact has one conversation');
    is($pg->value("select count(*) from waha.contact_identities "
                  . "where contact_id = $old->{contact_id}"), 0,
       'the kept contact has the number');

    is($_->{contact_id}, $new->{contact_id}, 'a batch finds the kept contact')
        for outcomes($pg, batch => inbound(%old), inbound(%old, lid => '11'));

    # merged once more, and the next event is a change of an old message

    my $newest = outcome($pg, inbound(phone => '491701000003'));
    crm_merges($new, $newest);

    is(outcome($pg, { %{ inbound(%old) }, kind => $_, body => $_,
                      message_id => "X$_", target_id => 'OLD' })->{action},
       'status_updated', "$_ of an old message of a merged contact is stored")
        for 'reaction', 'edit';
    is($pg->value("select message_content || ' ' || contact_id "
                  . "from contact_activities where message_id = 'OLD'"),
       "edit $newest->{contact_id}",
       'the edit changes the old message, which belongs to the kept contact');

    # two identities, one of them of a merged contact

    my $lid = outcome($pg, inbound(lid => '12'));
    crm_merges($lid, $newest);
    is(outcome($pg, inbound(lid => '12', phone => '491701000004'))
           ->{contact_id}, $newest->{contact_id},
       "a new number with a merged contact's hidden id: the kept contact");
    is(outcome($pg, inbound(phone => '491701000004'))->{contact_id},
       $newest->{contact_id},
       'a message from that number finds the kept contact');

    # a merge into a contact that does not exist, which no key forbids

    my $lost = outcome($pg, inbound(phone => '491701000005'));
    crm_merges($lost, { contact_id => 999999 });
    is(outcome($pg, inbound(phone => '491701000005'))->{contact_id},
       $lost->{contact_id},
       'a contact merged into none still gets its messages');
};

# the unique index of the integration guide, and numbers typed by a person

subtest 'a CRM that allows a number once' => sub {
    $pg->psql("create unique index once on contacts (organization_slug,
        replace(replace(phone_1, '+', ''), ' ', ''))
        where phone_1 is not null");

    my $lid = outcome($pg, inbound(lid => '21'));
    my $phone = outcome($pg, inbound(phone => '491702000001'));
    $pg->psql("update contacts set phone_2 = '+49 170 2000002', "
              . "phone_3 = 'ask Bob' where id = $phone->{contact_id}");

    my $r = outcome($pg, inbound(lid => '21', phone => '491702000001'));
    is($r->{contact_id}, $lid->{contact_id}, 'the older contact stays');
    is(phones($lid), '+491702000001|+491702000002|-',
       'the older contact has the numbers');
    is(phones($phone), '-|-|ask Bob',
       'the younger contact keeps only what is no number');

    # a contact without a free column, and a number that both have

    $lid = outcome($pg, inbound(lid => '22'));
    $pg->psql("update contacts set phone_1 = '+49 1', "
              . "phone_2 = '+491702000003', phone_3 = '+491702000005' "
              . "where id = $lid->{contact_id}");
    $phone = outcome($pg, inbound(phone => '491702000004'));
    $pg->psql("update contacts set phone_2 = '+491702000003' "
              . "where id = $phone->{contact_id}");

    is(outcome($pg, inbound(lid => '22', phone => '491702000004'))
           ->{contact_id}, $lid->{contact_id},
       'a contact without a free column stays');
    is(phones($lid), '+49 1|+491702000003|+491702000005',
       'its numbers stay as they are');
    is(phones($phone), '+491702000004|-|-',
       'the number without room stays at the younger contact');
    is(outcome($pg, inbound(phone => '491702000004'))->{contact_id},
       $lid->{contact_id}, 'messages from that number find the older contact');

    $pg->psql('drop index once');
};

subtest 'the CRM makes the contact during ingest' => sub {
    my ($crm, $ingest) = ($pg->session, $pg->session(user => 'waha_gateway'));
    my $m = inbound(phone => '491703000001');

    $crm->query('begin');
    $crm->query(insert_sql('491703000001'));
    $ingest->async(call_sql(ingest => $m));
    ok($ingest->wait_blocked, 'ingest waits for the CRM');
    $crm->query('commit');
    like($ingest->result, qr/ERROR:.*meanwhile/,
         'ingest fails, to be retried');

    is(outcome($pg, $m)->{action}, 'activity_logged',
       "the retry finds the CRM's contact");
    is(people('491703000001'), 1, 'the number has one contact');
};

subtest 'one message at the same time by number and by hidden id' => sub {
    my @s = map { $pg->session(user => 'waha_gateway') } 1, 2;
    my $m = inbound(lid => '31');
    my $before = $pg->value('select count(*) from contacts');

    $s[0]->query('begin');
    like($s[0]->query(call_sql(ingest => $m)), qr/contact_created/,
         'the first connection makes a contact');
    $s[1]->async(call_sql(ingest => { %$m, lid => undef,
                                      phone => '491704000001' }));
    ok($s[1]->wait_blocked, 'the second connection waits for the first');
    $s[0]->query('commit');
    like($s[1]->result, qr/duplicate/,
         'the second connection finds a duplicate');
    is($pg->value('select count(*) from contacts'), $before + 1,
       'one contact was made');
    is(outcome($pg, { %$m, phone => '491704000001' })->{action}, 'duplicate',
       'the message with both identities is a duplicate');
    is(outcome($pg, inbound(phone => '491704000001'))->{contact_id},
       outcome($pg, inbound(lid => '31'))->{contact_id},
       'both identities belong to one contact');

    # a contact that exists, with a new hidden id

    $m = inbound(phone => '491704000001');
    $s[0]->query('begin');
    $s[0]->query(call_sql(ingest => $m));
    $s[1]->async(call_sql(ingest => { %$m, lid => 32, phone => undef }));
    ok($s[1]->wait_blocked, 'the second connection waits for the first');
    $s[0]->query('commit');
    like($s[1]->result, qr/ERROR:.*meanwhile/,
         'the second connection fails, to be retried');
    is(outcome($pg, { %$m, lid => 32, phone => undef })->{action},
       'duplicate', 'the retry is a duplicate');
    is($pg->value('select count(*) from contacts'), $before + 1,
       'no contact was made');
};

subtest 'the CRM makes contacts during a batch' => sub {
    my ($crm, $ingest) = ($pg->session, $pg->session(user => 'waha_gateway'));
    my @phones = map { "49170500000$_" } 1 .. 3;

    # the CRM has made the first contact and goes on with the last

    $crm->query('begin');
    $crm->query(insert_sql($phones[0]));
    $ingest->async(call_sql(batch => inbound(phone => $phones[2]),
                                     inbound(lid => 41),
                                     inbound(phone => $phones[0], lid => 41),
                                     inbound(phone => $phones[1])));
    ok($ingest->wait_blocked, 'the batch waits for the CRM');
    $crm->query("set local lock_timeout = '5s'");
    is($crm->query(insert_sql(@phones[2, 1])), '',
       'the CRM does not wait for the batch');
    $crm->query('commit');
    like($ingest->result, qr/ERROR:.*meanwhile/,
         'the batch fails, to be retried');
    is($pg->value("select count(*) from waha.contact_identities "
                  . "where seen like '49170500000%'"), 3,
       'all three numbers are known');
};

subtest 'a new name for a contact with many messages' => sub {
    my %who = (phone => '491706000001', name => 'Bob');
    my $r = outcome($pg, inbound(%who));
    my $session = $pg->session;

    $pg->psql("insert into contact_activities (organization_slug, contact_id,
        session_name, message_id, direction, activity_type, chat, sender_name,
        occurred_at) select 'acme', $r->{contact_id}, 't1', 'S' || n,
        'inbound', 'whatsapp_message', 'person', 'Bob', '2020-01-01'
        from generate_series(1, 500) n");

    $session->query('begin');
    $session->query(call_sql(ingest => inbound(%who, name => 'Bobby',
                                            sent_at => 1795226570000)));
    cmp_ok($session->query("select idx_tup_fetch
               from pg_stat_xact_user_tables
              where relname = 'contact_activities'"), '<', 20,
           'the new name reads fewer than 20 of 500 messages');
    $session->query('commit');
    is(name($r), 'Bobby', 'the contact gets the new name');
};

subtest 'deletion of a contact in a big table' => sub {
    my $r = outcome($pg, inbound(phone => '491706000002'));
    my $session = $pg->session;

    $session->query('begin');
    $session->query("delete from contacts where id = $r->{contact_id}");
    cmp_ok($session->query("select seq_tup_read + idx_tup_fetch
               from pg_stat_xact_user_tables
              where relname = 'contact_activities'"), '<', 20,
           'the messages of other contacts are not read');
    $session->query('commit');
};

subtest 'an unknown status of delivery' => sub {
    my $state = sub {
        return $pg->value("select status from waha.message_states "
                          . "where message_id = 'S'");
    };

    is(outcome($pg, status(target_id => 'S', status => $_))->{action},
       'duplicate', defined $_ ? "\"$_\" changes nothing" :
       'a status that is null changes nothing')
        for 'bogus', undef;
    is($state->(), undef, 'no status is stored');
    outcome($pg, status(target_id => 'S', status => 'sent'));
    outcome($pg, status(target_id => 'S', status => 'bogus'));
    is($state->(), 'sent', 'the status before stays');
};

subtest 'a message that a trigger of the CRM drops' => sub {
    my %who = (phone => '491707000001');
    outcome($pg, inbound(%who));

    $pg->psql(q{
        create function drop_it() returns trigger language plpgsql as
            'begin if new.message_content = ''bad'' then return null; end if;
             return new; end';
        create trigger drop_it before insert on contact_activities
            for each row execute function drop_it()});

    for (['of a known contact', %who],
         ['of a new contact', phone => '491707000002'])
    {
        my ($whose, @whose) = @$_;
        my $bad = inbound(@whose, body => 'bad');

        for my $how (qw(ingest batch)) {
            eval { outcomes($pg, $how => $bad) };
            like($@, qr/ERROR:.*refused message "$bad->{message_id}"/,
                 "the message is refused: $whose, $how");
        }

        my @r = outcomes($pg, each => inbound(@whose), $bad);
        is($r[1]{action} . $r[1]{code}, 'failedP0001',
           'ingest_each fails for that message alone');
        is($r[0]{contact_id} && 'stored', 'stored',
           'ingest_each stores the other message');
    }

    $pg->psql('drop function drop_it cascade');
};

subtest 'texts with replaced bytes' => sub {
    my %who = (phone => '491708000001');
    my $flag = '{"sanitised":true}';
    my $number = 0;

    # the message and its changes in every order

    for my $kind (qw(edit reaction)) {
        my @changes = map { { %{ inbound(%who) }, kind => $kind, %$_ } }
            { sent_at => 1795226570000, body => 'x', metadata => $flag },
            { sent_at => 1795226580000, body => '', metadata => undef };

        for ([0, 1, 2], [1, 0, 2], [2, 1, 0]) {
            my $m = inbound(%who, message_id => 'F' . ++$number);
            my @events = ($m, map { { %$_, target_id => $m->{message_id} } }
                                  @changes);
            outcome($pg, $_) for @events[@$_];
            is($pg->value("select metadata->>'sanitised' "
                          . "from contact_activities "
                          . "where message_id = '$m->{message_id}'"),
               'true',
               "$kind with replaced bytes flags the message, order @$_");
        }
    }

    my $clean = inbound(%who);
    outcome($pg, $clean);
    outcome($pg, { %{ inbound(%who) }, kind => $_, metadata => undef,
                   target_id => $clean->{message_id} })
        for 'edit', 'reaction';
    is($pg->value("select metadata->>'sanitised' from contact_activities "
                  . "where message_id = '$clean->{message_id}'"), undef,
       'changes without replaced bytes do not flag the message');
};

$t->done;


sub crm_merges {
    my ($merged, $kept) = @_;

    $pg->psql("update contacts set merged_into = $kept->{contact_id} "
              . "where id = $merged->{contact_id}");
}


sub name {
    return $pg->value("select first_name from contacts "
                      . "where id = $_[0]{contact_id}");
}


sub phones {
    return $pg->value("select concat_ws('|', coalesce(phone_1, '-'), "
                      . "coalesce(phone_2, '-'), coalesce(phone_3, '-')) "
                      . "from contacts where id = $_[0]{contact_id}");
}


sub insert_sql {
    return 'insert into contacts (organization_slug, phone_1) values '
           . join ', ', map { "('acme', '+$_')" } @_;
}


sub people {
    return $pg->value("select count(*) from contacts "
                      . "where phone_1 = '+$_[0]'");
}


sub messages {
    return $pg->value("select count(*) from contact_activities "
                      . "where contact_id = $_[0]{contact_id}");
}
