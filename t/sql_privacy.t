# Erasure and export of contacts and of organizations, in tables of a CRM whose
# own rows may refer to them.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

use Time::HiRes ();

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0);
my $n = 0;

# the CRM's own tables: a deal refers to its contact, an invoice to an
# activity, a plan to an organization

$pg->psql(<<'EOF_SQL');
create table organizations (id serial primary key,
    slug varchar(255) not null unique);
create table contacts (id serial primary key,
    organization_slug varchar(255) not null,
    first_name varchar(100) not null, last_name varchar(100) not null,
    phone_1 varchar(50), phone_2 varchar(50), phone_3 varchar(50));
create table contact_activities (id serial primary key,
    contact_id int not null references contacts on delete cascade,
    organization_slug varchar(255) not null,
    activity_type varchar(50) not null, message_content text,
    created_at timestamp default now());
create table deals (contact_id int not null references contacts
                        deferrable initially deferred);
create table invoices (activity_id int not null
                           references contact_activities);
create table plans (slug varchar(255) not null
                        references organizations (slug));
EOF_SQL
$pg->install;

$pg->organization('acme', session => 't1');
$pg->organization('other', session => 't2');


subtest 'a contact' => sub {
    my ($id, $gone) = person('7922', 't1');
    my ($theirs) = person('7922', 't2');
    quarantined(session => 't1', phone => '79220000001');
    quarantined(session => 't1', lid => '79225');
    quarantined(session => 't1', phone => '7999');
    quarantined(session => 't2', phone => '79220000001');
    quarantined(session => 'tx', phone => '79220000001');
    quarantined(session => 'ty', phone => '79220000001',
                organization_slug => 'acme');
    my $others = everything('other');

    my $items = exported('acme', $id);
    is(join(' ', sort map { $_->{id} } map { $_->{contact} // () } @$items),
       join(' ', sort $id, $gone),
       'the export has the contact and those merged into it');
    is(join(' ', sort map { $_->{text} }
                             map { $_->{activity} // () } @$items),
       'a note hi hi hi hi', 'the export has all activities');
    my $first = reply($pg, export_contact => 'acme', $id, undef, 50)->{data};
    is(scalar @{ $first->{quarantine} }, 3,
       'the export has what is in quarantine');
    is_deeply(exported('acme', $gone), $items,
              'the export by the id of a merged contact is the same');
    is(code($pg, export_contact => 'acme', $id, $_, 50), 'invalid_argument',
       "from \"$_\" on")
        for 'x', '', 'MTIz', '!';

    my $r = reply($pg, erase_contact => 'acme', $gone);
    is_deeply($r->{data}, { erased => JSON::PP::true, contact => 'deleted',
                            merged => 1, activities => 5, identities => 3,
                            conversations => 1, quarantine => 3,
                            reactions => 0 },
              'the answer to an erasure counts what was erased');
    is(traces('acme', '7922'), '', 'an erased contact leaves no trace');
    is(everything('other'), $others,
       "another organization's rows are unchanged");
    is($pg->value("select count(*) from waha.quarantine"), 3,
       'quarantine of others and of no organization is unchanged');
    is(code($pg, erase_contact => 'acme', $id), 'unknown_contact',
       'an erased contact cannot be erased again');
    is(code($pg, export_contact => 'acme', $id, undef, 50),
       'unknown_contact', 'an erased contact cannot be exported');
    is(code($pg, erase_contact => 'acme', undef), 'unknown_contact',
       'a contact that is null cannot be erased');

    is(outcome($pg, message(message_id => 'BACK', phone => '79220000001'))
           ->{action}, 'contact_created',
       'a message of the same person makes a new contact');
};


subtest 'a contact to which the CRM refers' => sub {
    my ($id) = person('7933', 't1');
    $pg->psql("insert into deals values ($id)");

    my $r = reply($pg, erase_contact => 'acme', $id);
    is("$r->{data}{contact} $r->{data}{activities}", 'emptied 5',
       'a contact with a deal is emptied');
    is($pg->psql("select first_name, last_name, phone_1, phone_2, phone_3,
                         state, whatsapp_name
                    from contacts where id = $id"), '||||||',
       'an emptied contact has no name and no number');
    is(traces('acme', '7933'), '', 'an emptied contact has no messages');
    is($pg->value("select count(*) from deals"), 1, 'the deal stays');

    ($id) = person('7944', 't1');
    $pg->psql("insert into invoices select min(id) from contact_activities
                where contact_id = $id");
    is(reply($pg, erase_contact => 'acme', $id)->{data}{contact}, 'emptied',
       'a contact with an invoiced activity is emptied');
    is(traces('acme', '7944'), '', 'the invoiced activity has no text');
    is($pg->value("select count(*) from waha.message_states s
                     join contact_activities a using (message_id)
                    where a.contact_id = $id"), 0,
       'the invoiced activity has no status');
};


# a group of three persons

subtest 'a contact that reacted to messages of others' => sub {
    my ($id) = person('5511998877', 't1');
    my ($other) = person('7977', 't1');
    my ($theirs) = person('7978', 't2');
    my @group = (session => 't1', chat => 'group');
    my $metadata = "select metadata->'reactions' from contact_activities
                     where message_id = 'G1' and session_name =";

    for my $session ('t1', 't2') {
        outcome($pg, message(message_id => 'G1', chat => 'group',
            session => $session, body => 'hello',
            phone => ($session eq 't1' ? '7977' : '7978') . '0000001'));
        outcome($pg, { %{ message(message_id => "G$_->[0]",
            session => $session, chat => 'group', target_id => 'G1',
            body => $_->[1]) }, kind => 'reaction', @$_[2, 3] })
            for [ 2, 'thumb', phone => '5511998877' . '0000001' ],
                [ 3, 'heart', phone => '79770000001' ],
                [ 4, 'smile', lid => '55119988775' ];
    }
    outcome($pg, { %{ message(@group, message_id => 'G5', body => 'me',
                              target_id => 'G1') },
                   kind => 'reaction', direction => 'outbound' });
    my $others = everything('other');

    like($pg->value("$metadata 't1'"), qr/thumb.*smile/,
         'the message shows the reactions of three persons');
    is(reply($pg, erase_contact => 'acme', $id)->{data}{reactions}, 1,
       'the answer to an erasure counts the reactions');
    my $left = $pg->value("$metadata 't1'");
    like($left, qr/heart.*me/, 'reactions of other persons stay');
    unlike($left . $pg->value("select string_agg(s::text, ' ')
                                 from waha.message_states s
                                where organization_slug = 'acme'"),
           qr/5511998877|thumb|smile/,
           'reactions of the erased contact are gone');
    is($pg->value("select message_content from contact_activities
                    where message_id = 'G1' and session_name = 't1'"),
       'hello', 'the message with the reactions stays');
    is(everything('other'), $others,
       "another organization's rows are unchanged");

    reply($pg, erase_contact => 'acme', $other);
    is($pg->value("select count(*) from contact_activities
                    where message_id = 'G1' and session_name = 't1'"), 0,
       "an erased contact's own message in a group is gone");
};


subtest 'quarantine that another source assigns to the organization' => sub {
    my ($id) = person('7988', 't1');
    quarantined(session => 'tz', phone => '79880000001', tenant => 'acme');
    quarantined(session => 'tz', phone => '79880000001',
                claims => '{"default":"acme"}');
    quarantined(session => 'tz', phone => '79880000001', tenant => 'other');
    quarantined(session => 'tz', phone => '79880000001', lid => 'x' x 9000);
    is(reply($pg, erase_contact => 'acme', $id)->{data}{quarantine}, 2,
       'erasure of a contact removes it');
};


subtest 'a contact with 20,010 activities' => sub {
    my ($id) = person('7923', 't1');
    $pg->psql("insert into contact_activities (organization_slug, contact_id,
                   activity_type, message_content)
               select 'acme', $id, 'note', 'x'
                 from generate_series(1, 20010)");
    is_deeply(reply($pg, erase_contact => 'acme', $id)->{data},
              { erased => JSON::PP::false, activities => 20000 },
              'the first call erases 20,000 activities');
    is_deeply([ @{ reply($pg, erase_contact => 'acme', $id)->{data} }
                    {qw(erased activities contact)} ],
              [ JSON::PP::true, 15, 'deleted' ],
              'the second call erases the contact');
    is(traces('acme', '7923'), '', 'the contact leaves no trace');
};


subtest 'a number of two contacts' => sub {
    $pg->psql("insert into contacts (organization_slug, first_name,
                                     last_name, phone_1)
                   values ('acme', 'A', 'A', '+49301234567'),
                          ('acme', 'B', 'B', '0049 30 1234567')");
    my ($one, $two) = map { $_->[0] } @{ $pg->rows(
        "select id from contacts where first_name in ('A', 'B')
          order by id") };
    reply($pg, erase_contact => 'acme', $one);
    is(outcome($pg, message(message_id => 'TWO', phone => '49301234567'))
           ->{contact_id}, $two,
       'the number belongs to the other contact after an erasure');
};


subtest 'an erasure that fails or waits' => sub {
    my ($id) = person('7955', 't1');
    my $before = everything('acme');

    # the last step of the erasure fails

    $pg->psql("create function refuse() returns trigger language plpgsql
                   as \$\$ begin raise 'not now'; end \$\$;
               create trigger refuse before delete on contacts
                   for each row execute function refuse()");
    like(eval { reply($pg, erase_contact => 'acme', $id); '' } // $@,
         qr/not now/, 'an erasure that fails raises its error');
    is(everything('acme'), $before, 'an erasure that fails changes no row');
    $pg->psql('drop trigger refuse on contacts');

    # a message is being stored

    my $message = $pg->session(user => 'waha_gateway');
    my $erasure = $pg->session(user => 'waha_gateway');
    $message->query('begin; ' . call_sql(ingest => message(
        message_id => 'LATE', phone => '79550000001', body => 'late')));
    $erasure->async(reply_sql(erase_contact => 'acme', $id));
    is($erasure->result(0.3), undef, 'an erasure waits for a message');
    $message->query('commit');
    like($erasure->result, qr/"activities" : 6/,
         'the message is erased, too');
    is(traces('acme', '7955'), '', 'the contact leaves no trace');

    ($id) = person('7966', 't1');
    $erasure->query('begin; ' . reply_sql(erase_contact => 'acme', $id));
    $message->async(call_sql(ingest => message(
        message_id => 'LATER', phone => '79660000001', body => 'later')));
    is($message->result(0.3), undef, 'a message waits for an erasure');
    $erasure->query('commit');
    like($message->result, qr/ERROR|contact_created/,
         'the message fails to be retried, or makes a new contact');
    is($pg->value("select count(*) from waha.conversations v
                    where not exists (select from contacts c
                                       where c.id = v.contact_id)"), 0,
       'no conversation is without a contact');
};


subtest 'erasures and messages at the same time' => sub {
    my @ids = map { (person("79$_", 't1'))[0] } 70 .. 79;
    my @psql = map { $pg->session(user => 'waha_gateway') } 1 .. 4;

    for my $round (0 .. $#ids) {
        my $id = $ids[$round];
        my $p = 7970 + $round;

        $psql[0]->async(reply_sql(erase_contact => 'acme', $id));
        $psql[$_]->async(call_sql(batch => map {
            (message(message_id => "SAME$p$_", phone => $p . '000000' . $_),
             message(message_id => "LID$p$_", lid => $p . 5,
                     phone => $p . '0000001'),
             status(target_id => "SAME$p$_", status => 'read')) }
            ($_ == 1 ? 1 .. 3 : reverse 1 .. 3))) for 1 .. 3;
        $_->result for @psql;
    }

    unlike($pg->log, qr/deadlock detected/,
           'PostgreSQL saw no deadlock');
    is($pg->value("select count(*) from waha.contact_identities i
                    where not exists (select from contacts c
                                       where c.id = i.contact_id)"), 0,
       'no identity is without a contact');
};


subtest 'an organization without references' => sub {
    $pg->organization('gone', session => 't3');
    person("78$_", 't3') for 10 .. 19;
    quarantined(session => 't3', phone => '7999');
    reply($pg, create_api_key => 'gone', undef, undef, undef);
    my $others = everything('other');

    my $contacts = $pg->value("select count(*) from contacts
                                where organization_slug = 'gone'");
    my @items = map { @{ $_->{items} } }
                pages($pg, export_organization => [ 'gone' ], [ 7 ]);
    is(scalar(grep { $_->{contact} } @items), $contacts,
       'the export has every contact');
    is(scalar(grep { $_->{activity} } @items), 50,
       'the export has every activity');
    is(code($pg, export_organization => 'none', undef, 7),
       'unknown_organization', 'export of an unknown organization is refused');

    is(code($pg, delete_organization => 'none'), 'unknown_organization',
       'deletion of an unknown organization is refused');
    is(code($pg, delete_organization => 'gone'), 'sessions_exist',
       'an organization with sessions cannot be deleted');

    my $connect = $pg->session(user => 'waha_gateway');
    my $deletion = $pg->session(user => 'waha_gateway');
    $pg->organization('new');
    $connect->query('begin; ' . reply_sql(reserve_session => 'new', undef,
                                          undef, [ 'w1' ], 5));
    $deletion->async(reply_sql(delete_organization => 'new'));
    is($deletion->result(0.3), undef,
       'deletion waits for a session that is being made');
    $connect->query('commit');
    is($deletion->result, 'sessions_exist|',
       'the session that was made prevents the deletion');

    reply($pg, delete_session => 'gone', undef);

    $pg->psql("insert into contact_activities (organization_slug, contact_id,
                   activity_type, message_content)
               select 'gone', max(id), 'note', 'x'
                 from contacts, generate_series(1, 60000)
                where organization_slug = 'gone'");
    my ($calls, $data) = (0);
    do {
        my $start = Time::HiRes::time();
        $data = reply($pg, delete_organization => 'gone')->{data};
        $calls++;
        cmp_ok(Time::HiRes::time() - $start, '<', 4,
               'each call takes less than four seconds');
        is($pg->value("select whatsapp_enabled from organizations
                        where slug = 'gone'"), 'f',
           'the organization takes no more messages')
            if !$data->{complete};
    } while (!$data->{complete});
    is($data->{organization}, 'deleted',
       "the organization is deleted after $calls calls");

    is($pg->value("select count(*) from waha.$_
                    where organization_slug = 'gone'"), 0, "no $_")
        for qw(contacts contact_activities conversations message_states
               contact_identities shared_phones traffic_channels sessions
               api_keys);
    is($pg->value("select count(*) from waha.quarantine
                    where event->>'session' = 't3'"), 0,
       'no event of it is in quarantine');
    is(code($pg, show_organization => 'gone'), 'unknown_organization',
       'the organization is unknown');
    is(everything('other'), $others,
       "another organization's rows are unchanged");
};


subtest 'an organization to which the CRM refers' => sub {
    $pg->organization('held', session => 't4');
    my ($id) = person('7811', 't4');
    person('7812', 't4');
    $pg->psql("insert into plans values ('held');
               insert into deals values ($id)");
    reply($pg, delete_session => 'held', undef);

    for my $time ('first', 'again') {
        my $data;
        do {
            $data = reply($pg, delete_organization => 'held')->{data};
        } while (!$data->{complete});
        is($data->{organization}, 'emptied',
           "$time call: the organization is emptied");
    }

    is(traces('held', $_), '',
       "no trace of its contact $_") for '7811', '7812';
    is($pg->value("select string_agg(id::text, ',') from contacts
                    where organization_slug = 'held'"), $id,
       'only the contact with a deal is left');
    is(reply($pg, show_organization => 'held')->{data}{enabled},
       JSON::PP::false, 'the organization takes no more messages');
};


$t->done;


# Makes a contact with a note, messages, a status and a contact merged into it;
# the ids of both.

sub person {
    my ($phone, $session) = @_;

    my @common = (session => $session);
    my $r = outcome($pg, message(@common, message_id => 'P' . ++$n,
                                 phone => "${phone}0000001",
                                 name => "Person $phone"));
    my ($id, $slug) = @$r{qw(contact_id organization)};
    outcome($pg, status(@common, target_id => "P$n", status => 'read'));

    my $other = outcome($pg, message(@common, message_id => 'P' . ++$n,
                                     lid => "${phone}5"))->{contact_id};
    outcome($pg, message(@common, message_id => 'P' . ++$n,
                         lid => "${phone}5", phone => "${phone}0000001"));
    outcome($pg, message(@common, message_id => 'P' . ++$n,
                         lid => "${phone}5", phone => "${phone}0000002"));
    $pg->psql("insert into contact_activities (organization_slug, contact_id,
                   activity_type, message_content)
                   values ('$slug', $other, 'note', 'a note')");

    return ($id, $other);
}


sub quarantined {
    my (%event) = @_;

    my %m = (%{ message(message_id => 'Q' . ++$n) }, %event);
    $pg->psql("select waha.quarantine('data', null, 'raw $n', "
              . join(', ', map { quote($m{$_}) } @arguments) . ')',
              user => 'waha_gateway');
}


sub exported {
    my ($slug, $id) = @_;

    return [ map { @{ $_->{items} } }
             pages($pg, export_contact => [ $slug, $id ], [ 2 ]) ];
}


# where a number, or a text that has it, can still be found

sub traces {
    my ($slug, $phone) = @_;

    return join ' ', map { $_->[0] } @{ $pg->rows(qq{
        select 'contact ' || id from contacts c
         where organization_slug = '$slug' and concat(first_name, last_name,
                 phone_1, phone_2, phone_3, whatsapp_name) like '%$phone%'
        union all
        select 'activity ' || a.id from contact_activities a
         where organization_slug = '$slug' and concat(message_content,
                 sender_name, metadata) like '%$phone%'
        union all
        select 'text ' || a.id from contact_activities a
         where a.organization_slug = '$slug' and a.message_content <> ''
           and not exists (select from waha.contact_identities i
                            where i.contact_id = a.contact_id)
        union all
        select 'identity' from waha.contact_identities i
         where organization_slug = '$slug' and key like '$phone%'
        union all
        select 'conversation' from waha.conversations v
         where organization_slug = '$slug'
           and not exists (select from waha.contact_identities i
                            where i.contact_id = v.contact_id)
        union all
        select 'state' from waha.message_states s
         where organization_slug = '$slug'
           and not exists (select from waha.contact_activities a
                            where a.message_id = s.message_id
                              and a.organization_slug = '$slug')
        union all
        select 'quarantine' from waha.quarantine q
         where waha.quarantine_owner(event) = '$slug'
           and event->>'phone' like '$phone%'}) };
}


sub everything {
    my ($slug) = @_;

    return join "\n", map {
        $pg->psql("select '$_', t.*::text from waha.$_ t
                    where organization_slug = '$slug' order by 2") }
        qw(contacts contact_activities conversations message_states
           contact_identities sessions);
}
