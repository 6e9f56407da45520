# One event says that two contacts are one person.  However many messages they
# have, this takes no longer than any event, nothing is invisible meanwhile,
# and an administrator can take it back.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');

my @one = (phone => '4915110000001', name => 'Ann');
my @other = (lid => '7001', name => 'Bob');

outcome($pg, inbound(@one, sent_at => 1000));
outcome($pg, inbound(@other, sent_at => 2000));
outcome($pg, inbound(session => 't2', phone => '4915110000001'));

my ($kept, $merged) = map { $_->[0] } @{ $pg->rows(
    "select id from contacts where organization_slug = 'acme' order by id") };

history($merged, 'H', 2500);

my $before = people();
my $conversations = conversations();


subtest 'the merge' => sub {
    my $r = outcome_in('30s', inbound(message_id => 'JOIN', @one[0, 1], @other,
                                      sent_at => 70_000_000));
    is("$r->{action} $r->{contact_id}", "activity_logged $kept",
       'the event is stored for the older contact');
    is($pg->value("select count(*) from contact_activities
                    where contact_id = $kept"), 1002,
       'a portion of the messages is moved');
    is($pg->value("select merged_into from contacts where id = $merged"),
       $kept, 'the other contact is merged');

    is(listed($kept), 2503, "the list of the contact's messages is complete");
    is(listed($merged), 2503, 'so is that of the merged one');
    is(scalar @{ reply($pg, list_messages => 'acme', "$kept-t1", undef, 200)
                     ->{data}{messages} }, 200,
       'the conversation has its messages');
    is($pg->value("select unread_count from waha.conversations
                    where organization_slug = 'acme'"), 2503,
       'all of them are unread');
    is(exported(), 2503, 'the export has each message once');

    is(outcome($pg, message(message_id => 'H5', @other))->{contact_id}, $kept,
       'a repeated message names the contact that was kept');
    outcome($pg, message(message_id => 'E1', kind => 'edit', @other,
                         target_id => 'H2500', body => 'edited'));
    is($pg->value("select count(*) from waha.conversations
                    where contact_id = $merged"), 0,
       'an edit makes no conversation for the merged one');
};


subtest 'the rest' => sub {
    is($pg->value('select waha.maintain(700)'), 700,
       'maintain moves a portion');
    is(listed($kept), 2503, 'the list is complete meanwhile');
    1 while $pg->value('select waha.maintain()') > 0;
    is($pg->value("select count(*) from contact_activities
                    where contact_id = $merged"), 0, 'all are moved');
    is($pg->value('select count(*) from waha.moves'), 0,
       'nothing is left to move');
    is(listed($kept), 2503, 'the list is complete at the end');
};


subtest 'taken back' => sub {
    is_deeply($pg->rows("select kept_id, merged_id, evidence->>'message_id',
                                evidence->>'at', evidence->>'phone',
                                evidence->>'lid'
                           from waha.merges"),
              [ [ $kept, $merged, 'JOIN', '1970-01-01T19:26:40.000Z',
                  '4915110000001', '7001' ] ],
              'the evidence names event and identities');

    like($pg->error("select waha.unmerge('acme', $kept)"),
         qr/was not merged by an event/, 'the kept contact is refused');
    like($pg->error("select waha.unmerge('bolt', $merged)"),
         qr/was not merged by an event/, 'another organization is refused');
    $pg->psql("delete from contact_activities where message_id = 'JOIN';
               select waha.unmerge('acme', $merged)");

    is(people(), $before, 'names, numbers and identities are as before');
    is(conversations(), $conversations =~ s/text 2500/edited/r,
       'so are the conversations');
    is($pg->value("select count(*) from contact_activities
                    where contact_id = $merged"), 2501,
       'the messages are back');

    outcome($pg, inbound(@one[0, 1], @other, sent_at => 71_000_000));
    is($pg->value("select merged_into is null from contacts
                    where id = $merged"), 't',
       'the same claim does not merge them again');
    is($pg->value("select count(*) from contacts
                    where organization_slug = 'bolt'"), 1,
       'another organization has seen nothing');
};


subtest 'a long history' => sub {
    outcome($pg, inbound(phone => '4915110000009', sent_at => 500));
    my $long = outcome($pg, inbound(lid => '9001', sent_at => 1000));
    history($long->{contact_id}, 'L', 60_000);

    is(outcome_in('30s', inbound(phone => '4915110000009', lid => '9001'))
           ->{action}, 'activity_logged',
       'contacts with 60,000 messages merge in the time of an event');
};


subtest 'a contact without a number stays' => sub {
    outcome($pg, inbound(lid => 8002, sent_at => 1000));
    outcome($pg, inbound(phone => '4915110000008', sent_at => 500));
    my %c = map { $_->[0] => $_->[1] } @{ $pg->rows(
        "select key, contact_id from waha.contact_identities
          where key like '800%' or key = '4915110000008'") };
    outcome($pg, inbound(phone => '4915110000008', lid => 8002));
    is($pg->value("select merged_into from contacts
                    where id = $c{4915110000008}"), $c{8002},
       'the newer one is merged');
    $pg->psql("select waha.unmerge('acme', $c{4915110000008})");
    is($pg->value("select contact_id from waha.contact_identities
                    where key = '4915110000008'"), $c{4915110000008},
       'a merge into a contact without number is taken back, too');
    is($pg->value("select coalesce(phone_1, 'none') from contacts
                    where id = $c{8002}"), 'none', 'the number as well');
};


$t->done;


# within a time limit

sub outcome_in {
    my ($time, $event) = @_;

    my ($row) = @{ $pg->rows("set statement_timeout = '$time'; "
                             . call_sql(ingest => $event),
                             user => 'waha_gateway') };
    return { action => $row->[1], contact_id => $row->[4] };
}


# unread messages of a contact

sub history {
    my ($contact, $ids, $count) = @_;

    $pg->psql("insert into contact_activities (organization_slug, contact_id,
                   activity_type, direction, message_content, metadata,
                   session_name, message_id, message_type, chat, sender_name,
                   occurred_at)
               select 'acme', $contact, 'whatsapp_message', 'inbound',
                      'text ' || n, '{}', 't1', '$ids' || n, 'text',
                      'person', 'Bob', to_timestamp(3 + n)
                 from generate_series(1, $count) n;
               select waha.rebuild_conversations('acme', $contact, '{}')");
}


sub people {
    return join "\n", map { join '|', map { $_ // '-' } @$_ } @{ $pg->rows(
        "select c.id, c.first_name, c.last_name, c.whatsapp_name, c.phone_1,
                c.phone_2, c.phone_3, c.merged_into, i.kind, i.key
           from contacts c
           join waha.contact_identities i on i.contact_id = c.id
          where c.organization_slug = 'acme'
          order by c.id, i.kind") };
}


sub conversations {
    return join "\n", map { join '|', map { $_ // '-' } @$_ } @{ $pg->rows(
        "select contact_id, session_name, last_message_id, last_message,
                last_message_at, unread_count, last_inbound_at
           from waha.conversations where organization_slug = 'acme'
          order by contact_id") };
}


# the number of activities in all pages

sub listed {
    my ($contact) = @_;

    return $pg->value(<<"EOF_SQL", user => 'waha_gateway');
do \$\$
declare
    r     waha.reply;
    next  text;
    n     int := 0;
begin
    loop
        r := waha.list_activities('acme', $contact, null, null, next, 0, 200);
        n := n + json_array_length(r.data->'activities');
        next := r.data->>'next';
        exit when next is null;
    end loop;
    perform set_config('test.n', n::text, false);
end \$\$;
select current_setting('test.n');
EOF_SQL
}


sub exported {
    return $pg->value(<<"EOF_SQL", user => 'waha_gateway');
do \$\$
declare
    r     waha.reply;
    next  text;
    n     int := 0;
begin
    loop
        r := waha.export_contact('acme', $kept, next, 200);
        n := n + (select count(*) from json_array_elements(r.data->'items') i
                   where i->'activity' is not null);
        next := r.data->>'next';
        exit when next is null;
    end loop;
    perform set_config('test.n', n::text, false);
end \$\$;
select current_setting('test.n');
EOF_SQL
}
