# What the CRM does to its own tables, meanwhile or before, loses no message
# and makes nobody twice.

use Waha::Test;
use Waha::Ingest;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $n = 0;

$pg->organization('acme', session => 't1');


subtest 'contacts that the CRM merged' => sub {
    my %old = (phone => '491701000001');
    my $old = outcome($pg, from(%old, message_id => 'OLD', name => 'Old'));
    my $new = outcome($pg, from(phone => '491701000002', lid => '11'));

    crm_merges($old, $new);

    my $r = outcome($pg, from(%old, name => 'Bob', sent_at => 1795226570000));
    is($r->{action}, 'activity_logged', 'their messages are stored');
    is($r->{contact_id}, $new->{contact_id}, 'of the one they live on in');
    is(name($new), 'Bob', 'who is called as they are');
    is(messages($new), 3, 'and has all their messages');
    is($pg->value("select string_agg(contact_id || ' ' || unread_count, ',') "
                  . "from waha.conversations where contact_id "
                  . "in ($old->{contact_id}, $new->{contact_id})"),
       "$new->{contact_id} 3", 'and one conversation');
    is($pg->value("select count(*) from waha.contact_identities "
                  . "where contact_id = $old->{contact_id}"), 0,
       'and the number');

    is($_->{contact_id}, $new->{contact_id}, 'known in a batch')
        for outcomes($pg, batch => from(%old), from(%old, lid => '11'));

    # again, and now what is told of a message is the first that comes

    my $newest = outcome($pg, from(phone => '491701000003'));
    crm_merges($new, $newest);

    is(outcome($pg, { %{ from(%old) }, kind => $_, body => $_,
                      message_id => "X$_", target_id => 'OLD' })->{action},
       'status_updated', "$_ of their messages")
        for 'reaction', 'edit';
    is($pg->value("select message_content || ' ' || contact_id "
                  . "from contact_activities where message_id = 'OLD'"),
       "edit $newest->{contact_id}", 'is written into them');

    # both identities, one of them left behind

    my $lid = outcome($pg, from(lid => '12'));
    crm_merges($lid, $newest);
    is(outcome($pg, from(lid => '12', phone => '491701000004'))
           ->{contact_id}, $newest->{contact_id},
       'a number that is told later is of the same');
    is(outcome($pg, from(phone => '491701000004'))->{contact_id},
       $newest->{contact_id}, 'and stays so');

    # a merge into nobody, which no key forbids

    my $lost = outcome($pg, from(phone => '491701000005'));
    crm_merges($lost, { contact_id => 999999 });
    is(outcome($pg, from(phone => '491701000005'))->{contact_id},
       $lost->{contact_id}, 'merged into nobody: stored nevertheless');
};

$t->done;


sub from {
    return message(message_id => 'A' . ++$n, @_);
}


sub crm_merges {
    my ($merged, $kept) = @_;

    $pg->psql("update contacts set merged_into = $kept->{contact_id} "
              . "where id = $merged->{contact_id}");
}


sub name {
    return $pg->value("select first_name from contacts "
                      . "where id = $_[0]{contact_id}");
}


sub messages {
    return $pg->value("select count(*) from contact_activities "
                      . "where contact_id = $_[0]{contact_id}");
}
