# Erasure and export, of people and of organizations; also where the tables
# are a CRM's own, and where it holds on to a row.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

use Time::HiRes ();

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0);
my $n = 0;

# the CRM's own tables; a deal holds on to its contact, an invoice to a
# message, a plan to an organization

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


subtest 'a person' => sub {
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
       join(' ', sort $id, $gone), 'is exported with all contacts');
    is(join(' ', sort map { $_->{text} }
                             map { $_->{activity} // () } @$items),
       'a note hi hi hi hi', 'and all activities');
    my $first = reply($pg, export_contact => 'acme', $id, undef, 50)->{data};
    is(scalar @{ $first->{quarantine} }, 3, 'and what is in quarantine');
    is_deeply(exported('acme', $gone), $items,
              'also by the id of a merged one');
    is(code($pg, export_contact => 'acme', $id, $_, 50), 'invalid_argument',
       "from \"$_\" on") for 'x', '', 'MTIz', '!';

    my $r = reply($pg, erase_contact => 'acme', $gone);
    is_deeply($r->{data}, { erased => JSON::PP::true, contact => 'deleted',
                            merged => 1, activities => 5, identities => 3,
                            conversations => 1, quarantine => 3,
                            reactions => 0 },
              'is erased');
    is(traces('acme', '7922'), '', 'and leaves no trace');
    is(everything('other'), $others, 'another organization keeps its own');
    is($pg->value("select count(*) from waha.quarantine"), 3,
       'also in quarantine, as does nobody known');
    is(code($pg, erase_contact => 'acme', $id), 'unknown_contact',
       'cannot be erased twice');
    is(code($pg, export_contact => 'acme', $id, undef, 50),
       'unknown_contact', 'nor exported');
    is(code($pg, erase_contact => 'acme', undef), 'unknown_contact',
       'nobody');

    is(outcome($pg, message(message_id => 'BACK', phone => '79220000001'))
           ->{action}, 'contact_created', 'and may come back as a stranger');
};


subtest 'a person whom the CRM holds on to' => sub {
    my ($id) = person('7933', 't1');
    $pg->psql("insert into deals values ($id)");

    my $r = reply($pg, erase_contact => 'acme', $id);
    is("$r->{data}{contact} $r->{data}{activities}", 'emptied 5',
       'is emptied');
    is($pg->psql("select first_name, last_name, phone_1, phone_2, phone_3,
                         state, whatsapp_name
                    from contacts where id = $id"), '||||||',
       'of all that tells who it is');
    is(traces('acme', '7933'), '', 'and has no more messages');
    is($pg->value("select count(*) from deals"), 1, 'but keeps its deal');

    ($id) = person('7944', 't1');
    $pg->psql("insert into invoices select min(id) from contact_activities
                where contact_id = $id");
    is(reply($pg, erase_contact => 'acme', $id)->{data}{contact}, 'emptied',
       'so is one of whom a message is held');
    is(traces('acme', '7944'), '', 'without its text');
    is($pg->value("select count(*) from waha.message_states s
                     join contact_activities a using (message_id)
                    where a.contact_id = $id"), 0,
       'and with nothing that is known of it');
};


# a group of three

subtest 'a person who reacted to others' => sub {
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

    like($pg->value("$metadata 't1'"), qr/thumb.*smile/, 'which shows');
    is(reply($pg, erase_contact => 'acme', $id)->{data}{reactions}, 1,
       'is taken back');
    my $left = $pg->value("$metadata 't1'");
    like($left, qr/heart.*me/, 'reactions of others stay');
    unlike($left . $pg->value("select string_agg(s::text, ' ')
                                 from waha.message_states s
                                where organization_slug = 'acme'"),
           qr/5511998877|thumb|smile/, 'its own are gone');
    is($pg->value("select message_content from contact_activities
                    where message_id = 'G1' and session_name = 't1'"),
       'hello', 'from the message that is there');
    is(everything('other'), $others, 'another organization keeps them');

    reply($pg, erase_contact => 'acme', $other);
    is($pg->value("select count(*) from contact_activities
                    where message_id = 'G1' and session_name = 't1'"), 0,
       'what somebody said in a group goes with him');
};


subtest 'quarantine that only another claim assigns' => sub {
    my ($id) = person('7988', 't1');
    quarantined(session => 'tz', phone => '79880000001', tenant => 'acme');
    quarantined(session => 'tz', phone => '79880000001',
                claims => '{"default":"acme"}');
    quarantined(session => 'tz', phone => '79880000001', tenant => 'other');
    quarantined(session => 'tz', phone => '79880000001', lid => 'x' x 9000);
    is(reply($pg, erase_contact => 'acme', $id)->{data}{quarantine}, 2,
       'goes with the person');
};


subtest 'a person with very many messages' => sub {
    my ($id) = person('7923', 't1');
    $pg->psql("insert into contact_activities (organization_slug, contact_id,
                   activity_type, message_content)
               select 'acme', $id, 'note', 'x'
                 from generate_series(1, 20010)");
    is_deeply(reply($pg, erase_contact => 'acme', $id)->{data},
              { erased => JSON::PP::false, activities => 20000 },
              'goes by portions');
    is_deeply([ @{ reply($pg, erase_contact => 'acme', $id)->{data} }
                    {qw(erased activities contact)} ],
              [ JSON::PP::true, 15, 'deleted' ], 'of which the last tells');
    is(traces('acme', '7923'), '', 'and leaves nothing');
};


subtest 'a number that two have' => sub {
    $pg->psql("insert into contacts (organization_slug, first_name,
                                     last_name, phone_1)
                   values ('acme', 'A', 'A', '+49301234567'),
                          ('acme', 'B', 'B', '0049 30 1234567')");
    my ($one, $two) = map { $_->[0] } @{ $pg->rows(
        "select id from contacts where first_name in ('A', 'B')
          order by id") };
    reply($pg, erase_contact => 'acme', $one);
    is(outcome($pg, message(message_id => 'TWO', phone => '49301234567'))
           ->{contact_id}, $two, 'goes to the other');
};


subtest 'all or nothing' => sub {
    my ($id) = person('7955', 't1');
    my $before = everything('acme');

    # at the last step

    $pg->psql("create function refuse() returns trigger language plpgsql
                   as \$\$ begin raise 'not now'; end \$\$;
               create trigger refuse before delete on contacts
                   for each row execute function refuse()");
    like(eval { reply($pg, erase_contact => 'acme', $id); '' } // $@,
         qr/not now/, 'an erasure that fails');
    is(everything('acme'), $before, 'erases nothing');
    $pg->psql('drop trigger refuse on contacts');

    # while a message comes

    my $message = $pg->session(user => 'waha_gateway');
    my $erasure = $pg->session(user => 'waha_gateway');
    $message->query('begin; ' . call_sql(ingest => message(
        message_id => 'LATE', phone => '79550000001', body => 'late')));
    $erasure->async(reply_sql(erase_contact => 'acme', $id));
    is($erasure->result(0.3), undef, 'waits for a message');
    $message->query('commit');
    like($erasure->result(10), qr/"activities" : 6/, 'which goes, too');
    is(traces('acme', '7955'), '', 'and leaves nothing');

    ($id) = person('7966', 't1');
    $erasure->query('begin; ' . reply_sql(erase_contact => 'acme', $id));
    $message->async(call_sql(ingest => message(
        message_id => 'LATER', phone => '79660000001', body => 'later')));
    is($message->result(0.3), undef, 'a message waits for an erasure');
    $erasure->query('commit');
    like($message->result(10), qr/ERROR|contact_created/,
         'and is told to come again, or makes a stranger');
    is($pg->value("select count(*) from waha.conversations v
                    where not exists (select from contacts c
                                       where c.id = v.contact_id)"), 0,
       'nothing is of nobody');
};


subtest 'at the same time' => sub {
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
        $_->result(30) for @psql;
    }

    unlike($pg->log, qr/deadlock detected/,
           'erasures and messages do not lock each other');
    is($pg->value("select count(*) from waha.contact_identities i
                    where not exists (select from contacts c
                                       where c.id = i.contact_id)"), 0,
       'every identity is of somebody');
};


subtest 'an organization' => sub {
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
       'is exported: its contacts');
    is(scalar(grep { $_->{activity} } @items), 50, 'and activities');
    is(code($pg, export_organization => 'none', undef, 7),
       'unknown_organization', 'or not, if there is none');

    is(code($pg, delete_organization => 'none'), 'unknown_organization',
       'none is deleted');
    is(code($pg, delete_organization => 'gone'), 'sessions_exist',
       'not while it has sessions');

    my $connect = $pg->session(user => 'waha_gateway');
    my $deletion = $pg->session(user => 'waha_gateway');
    $pg->organization('new');
    $connect->query('begin; ' . reply_sql(reserve_session => 'new', undef,
                                          undef, [ 'w1' ], 5));
    $deletion->async(reply_sql(delete_organization => 'new'));
    is($deletion->result(0.3), undef, 'also one that is only being made');
    $connect->query('commit');
    is($deletion->result(10), 'sessions_exist|', 'waits for it');

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
        cmp_ok(Time::HiRes::time() - $start, '<', 4, 'a portion');
        is($pg->value("select whatsapp_enabled from organizations
                        where slug = 'gone'"), 'f', 'it takes nothing more')
            if !$data->{complete};
    } while (!$data->{complete});
    is($data->{organization}, 'deleted', "then it is deleted, by $calls");

    is($pg->value("select count(*) from waha.$_
                    where organization_slug = 'gone'"), 0, "no $_")
        for qw(contacts contact_activities conversations message_states
               contact_identities shared_phones traffic_channels sessions
               api_keys);
    is($pg->value("select count(*) from waha.quarantine
                    where event->>'session' = 't3'"), 0, 'no quarantine');
    is(code($pg, show_organization => 'gone'), 'unknown_organization',
       'not itself');
    is(everything('other'), $others, 'others are as they were');
};


subtest 'an organization that the CRM holds on to' => sub {
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
        is($data->{organization}, 'emptied', "$time: is emptied");
    }

    is(traces('held', $_), '', "nobody is left: $_") for '7811', '7812';
    is($pg->value("select string_agg(id::text, ',') from contacts
                    where organization_slug = 'held'"), $id,
       'but for the row that is held');
    is(reply($pg, show_organization => 'held')->{data}{enabled},
       JSON::PP::false, 'it takes nothing more');
};


$t->done;


# A person with a note, messages, a merged contact, a state; ids of both.

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


# where a number, or something with it, can still be found

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
