# Identities: one person is one contact, however the number is spelled, with a
# hidden id, and by whatever name.

use Waha::Test;
use Waha::Ingest;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1', country_code => '55');
$pg->organization('asia', session => 't2', country_code => '+60');
$pg->organization('bare', session => 't3');


subtest 'spellings of one number in WhatsApp' => sub {
    my @same = (
        [ 'Brazil, a mobile number', '5511987654321', '551187654321' ],
        [ 'Mexico', '5215512345678', '525512345678' ],
        [ 'Argentina, 9 and 15', '5491112345678', '541112345678',
          '54111512345678' ],
        [ 'Argentina, a shorter area code', '5493512345678', '543512345678',
          '54351152345678' ],
    );

    for (@same) {
        my ($where, @spelled) = @$_;
        my %keys = map { key($_) => 1 } @spelled;
        is(scalar keys %keys, 1, $where) or diag(explain(\%keys));
    }

    is(key($_), $_, "$_ has one spelling only")
        for '551137654321',         # a landline
            '5511937654321',        # what would be one with a 9 before it
            '55118765432',          # too short for a national number
            '52155123456789', '549111234567890', '60123456789', '1555';

    isnt(key('5511987654321'), key('5521987654321'),
         'numbers with different area codes are different');
};


subtest 'numbers as people write them' => sub {
    my @cases = (
        [ '+55 (11) 98765-4321', undef, '5511987654321' ],
        [ '+55 11 98765.4321 / +55 11 91111-1111', '55', '5511987654321' ],
        [ '(11) 98765-4321', '55', '5511987654321' ],
        [ '011 98765 4321', '55', '5511987654321' ],
        [ '0055 11 98765-4321', undef, '5511987654321' ],
        [ '5511987654321', '55', '5511987654321' ],
        [ 'Tel.: +55 11 98765-4321 ext. 12', undef, '5511987654321' ],
        [ '+44 (0)20 7946 0018', undef, '442079460018' ],
        [ '012-345 6789', '60', '60123456789' ],
        [ '011 44 20 7946 0018', '1', '442079460018' ],
        [ '(555) 123-4567', '1', '15551234567' ],
        [ "+55\x{a0}11\x{2011}98765\x{2013}4321", undef, '5511987654321' ],
        [ 'call me', '55', undef ], [ '', '55', undef ], [ '12', '55', undef ],
        [ '+999999999999999999', undef, undef ], [ undef, '55', undef ],
        [ '11 98765-4321', 'BR', '11987654321' ],
        [ '(55) 99999-9999', '55', '5555999999999' ],
        [ '(55) 3222-1234', '55', '555532221234' ],
        [ '555532221234', '55', '555532221234' ],
        [ '8 (912) 345-67-89', '7', '79123456789' ],
        [ '912 345 67 89', '7', '79123456789' ],
        [ '(701) 234-56-78', '7', '77012345678' ],
        [ '79123456789', '7', '79123456789' ],
        [ '0176/12345678', '49', '4917612345678' ],
        [ '0176 / 1234567 / 0176 7654321', '49', '491761234567' ],
        [ '+49 176/12345678', undef, '4917612345678' ],
        [ '+49 (0)176 1234 5678', '49', '4917612345678' ],
        [ "+49\t176_1234\x{202f}5678", undef, '4917612345678' ],
        [ '+49 (0)171/5551234', undef, '491715551234' ],
        [ '+49 ( 0 ) 171 / 555 12 34', undef, '491715551234' ],
        [ '+49(0)171-5551234', '55', '491715551234' ],
        [ '0049 (0)171/5551234', undef, '491715551234' ],
        [ '+49 (0171) 5551234', undef, '491715551234' ],
        [ '(0)171/5551234', '49', '491715551234' ],
        [ '(0171) 555/1234', '49', '491715551234' ],
        [ '0171/555/1234', '49', '491715551234' ],
        [ '+49/171/5551234', undef, '491715551234' ],
        [ '+49 171 555/1234', undef, '491715551234' ],
        [ '+49 171/555 12 34 / +49 30/123456', undef, '491715551234' ],
        [ '030 123456/78', '49', '4930123456' ],
        [ '0171 5551234/0172 5551234', '49', '491715551234' ],
        [ '+39 (0)6 1234 5678', undef, '390612345678' ],
        [ '+225 (07) 08 09 10 11', undef, '2250708091011' ],
        [ '0171/call me', '49', undef ],
    );

    for (@cases) {
        my ($spelled, $country, $digits) = @$_;
        utf8::encode(my $bytes = $spelled) if defined $spelled;
        my $got = $pg->value('select waha.phone_digits('
                             . quote($bytes) . ', ' . quote($country) . ')');
        is($got, $digits, defined $bytes ? "\"$bytes\"" : 'null');
    }
};


subtest "numbers that the CRM's users typed" => sub {
    my $id = contact('acme', "'(11) 98765-4321'");

    is(outcome($pg, inbound(phone => '551187654321'))->{contact_id}, $id,
       'a typed number finds its contact');
    is($pg->value("select phone_1 from contacts where id = $id"),
       '(11) 98765-4321', 'a typed number stays as it was typed');

    my $second = contact('acme', "'+5511987654321'");
    is(outcome($pg, inbound(phone => '5511987654321'))->{contact_id}, $id,
       'a number of two contacts belongs to the first');

    $pg->psql("update contacts set phone_1 = null where id = $id");
    is(outcome($pg, inbound(phone => '5511987654321'))->{contact_id}, $id,
       'a number that a message proved stays known when it is removed');

    my $typed = contact('acme', "null, '+491701111111'");
    $pg->psql("update contacts set phone_2 = '+491702222222' "
              . "where id = $typed");
    is(outcome($pg, inbound(phone => '491702222222'))->{contact_id}, $typed,
       'a changed number finds its contact');
    is(outcome($pg, inbound(phone => '491701111111'))->{action},
       'contact_created',
       'a typed number that was replaced is no longer known');

    my $bare = contact('bare', "'012-345 6789'");
    $pg->psql("update organizations set country_code = '60' "
              . "where slug = 'bare'");
    is(outcome($pg, inbound(session => 't3', phone => '60123456789'))
           ->{contact_id}, $bare,
       'a country code set later applies to contacts that exist');

    my $third = contact('acme', "'', null, '+491708888888'");
    is(outcome($pg, inbound(phone => '491708888888'))->{contact_id}, $third,
       'a number in phone_3 finds its contact');

    # two contacts and their numbers

    my ($one, $two) = map { contact('acme', "'+49170990000$_'") } 1, 2;
    my $whose = sub {
        return $pg->value("select string_agg(contact_id::text, ' '
                               order by key) from waha.contact_identities
                            where key like '49170990000%'");
    };
    $pg->psql("update contacts set phone_1 = '+49170990000'
               || case id when $one then 2 else 1 end
               where id in ($one, $two)");
    is($whose->(), "$two $one",
       'two contacts can swap numbers in one statement');

    $pg->psql("update contacts set phone_1 = '+491709900001'
               where id in ($one, $two)");
    is($whose->(), $two, 'two contacts can have the same number');
    $pg->psql("update contacts set phone_2 = '1' where id = $two");
    is($whose->(), $two, 'the contact that had the number keeps it');
    $pg->psql("update contacts set phone_1 = '' where id = $two");
    is($whose->(), $one,
       'the other contact gets the number when the first loses it');
    $pg->psql("update contacts set phone_1 = '+491709900001'
               where id = $two; delete from contacts where id = $one");
    is($whose->(), $two,
       'the other contact gets the number when the first is deleted');

    # a country code that was wrong

    my $wrong = contact('bare', "'0170 9911111'");
    $pg->psql("update organizations set country_code = '49' "
              . "where slug = 'bare'");
    is($pg->value("select string_agg(key, ' ') from waha.contact_identities
                   where contact_id = $wrong"), '491709911111',
       'correcting a country code removes the wrong number');

    # a contact that moves to another organization

    my $here = outcome($pg, inbound(phone => '491709922222'))->{contact_id};
    my $there = outcome($pg, inbound(session => 't2', phone => '491709922222'))
                    ->{contact_id};
    $pg->psql("update contacts set organization_slug = 'asia' "
              . "where id = $here");
    is(outcome($pg, inbound(session => 't2', phone => '491709922222'))
           ->{contact_id}, $there,
       'a contact that moves does not take over a known number');
    $pg->psql("delete from contacts where id = $there");
    is(outcome($pg, inbound(session => 't2', phone => '491709922222'))
           ->{contact_id}, $here,
       'a contact that moved gets the number when the other one is deleted');

    $pg->psql("alter table waha.contact_identities rename to away");
    my $broken = eval { contact('acme', "'+491703333333'") };
    $pg->psql("alter table waha.away rename to contact_identities");
    like($broken // $@, qr/^[0-9]+$/,
         'the CRM can write contacts when our identities fail');
};


subtest 'a hidden id and a number of the same person' => sub {
    my $one = outcome($pg, inbound(lid => '100', name => 'Lid'));
    is($one->{action}, 'contact_created', 'a hidden id makes a lead');
    is($pg->value("select phone_1 from contacts "
                  . "where id = $one->{contact_id}"), undef,
       'a hidden id is not stored as a number');

    my $two = outcome($pg, inbound(lid => '100', phone => '491704444444'));
    is($two->{contact_id}, $one->{contact_id},
       'a message with both finds the contact of the hidden id');
    is($pg->value("select phone_1 from contacts "
                  . "where id = $one->{contact_id}"), '+491704444444',
       'the contact gets the number');
    is(outcome($pg, inbound(phone => '491704444444'))->{contact_id},
       $one->{contact_id}, 'the number finds the contact');

    # a person who was two contacts

    my $phone = outcome($pg, inbound(phone => '491705555555', name => 'Phone',
                                  sent_at => 3000));
    my $lid = outcome($pg, inbound(lid => '101', name => 'Lid',
                                    sent_at => 2000));
    $pg->psql(q{
        create table merges (what text);
        grant insert on merges to waha_owner;
        create or replace function waha.on_merge(organization text,
            kept bigint, merged bigint) returns void language sql
            set search_path = public, pg_temp as
            'insert into merges values (organization || kept || ''<''
                                        || merged)'});
    my $note = $pg->value("insert into contact_activities (organization_slug,
        contact_id, activity_type) values ('acme', $lid->{contact_id}, 'note')
        returning id");

    my $both = outcome($pg, inbound(lid => '101', phone => '491705555555',
                                 sent_at => 1000));
    is($both->{contact_id}, $phone->{contact_id}, 'the older contact stays');
    is($pg->value("select merged_into from contacts "
                  . "where id = $lid->{contact_id}"), $phone->{contact_id},
       'the younger contact points to the older one');
    is($pg->value("select count(*) from contact_activities "
                  . "where contact_id = $phone->{contact_id}"), 3,
       'the older contact gets the messages');
    is($pg->value("select contact_id from contact_activities "
                  . "where id = $note"), $lid->{contact_id},
       "activities of the CRM are not moved");
    is($pg->value('select what from merges'),
       "acme$phone->{contact_id}<$lid->{contact_id}",
       'the hook waha.on_merge was called');
    is($pg->value("select first_name from contacts "
                  . "where id = $phone->{contact_id}"), 'Phone',
       'the merged contact has the newest name');
    is($pg->value("select unread_count || ' ' || count(*) over () "
                  . "from waha.conversations "
                  . "where contact_id in ($phone->{contact_id}, "
                  . "$lid->{contact_id})"), '3 1',
       'the merged contact has one conversation');
};


subtest 'names' => sub {
    my $r = outcome($pg, inbound(phone => '491706666666', sent_at => 1000));
    my $name = sub {
        return $pg->value("select first_name || '|' || last_name "
                          . "from contacts where id = $r->{contact_id}");
    };
    my $named = sub {
        outcome($pg, inbound(phone => '491706666666', name => $_[0],
                          sent_at => $_[1], @_[2 .. $#_]));
        return $name->();
    };

    is($name->(), 'WhatsApp|Contact', 'no name: a default name');
    is($named->('Bob', 2000), 'Bob|', 'a name of one word');
    is($named->('Bob van  Dylan', 3000), 'Bob|van  Dylan',
       'a name of several words');
    is($named->('Older', 2500), 'Bob|van  Dylan', 'an older name is ignored');
    is($named->('   ', 4000), 'Bob|van  Dylan', 'a blank name is ignored');
    is($named->('x' x 300, 5000), 'x' x 50 . '|', 'a long name is cut');
    is($named->("O'Hara \xf0\x9f\x99\x82", 6000),
       "O'Hara|\xf0\x9f\x99\x82", 'an emoji can be a name');

    $pg->psql("update contacts set last_name = 'Miller' "
              . "where id = $r->{contact_id}");
    is($named->('Somebody', 7000), "O'Hara|Miller",
       'a name edited in the CRM stays');
    is($pg->value("select whatsapp_name from contacts "
                  . "where id = $r->{contact_id}"), 'Somebody',
       "WhatsApp's name is kept in whatsapp_name");

    $named->('Me', 8000, direction => 'outbound');
    is($pg->value("select whatsapp_name from contacts "
                  . "where id = $r->{contact_id}"), 'Somebody',
       'an outbound message names no contact');
};


subtest 'a new lead' => sub {
    my $r = outcome($pg, inbound(session => 't2', phone => '60312345678',
                              name => 'Ali'));
    is($pg->value(q{
        select concat_ws('|', phone_1, contact_type, state, t.name)
          from contacts c join traffic_channels t on t.id = traffic_source_id
         where c.id = } . $r->{contact_id}),
       '+60312345678|lead|Selangor|WhatsApp',
       'a lead has number, type, state and channel');
    outcome($pg, inbound(session => 't2', phone => '60412345678'));
    is($pg->value("select count(*) from traffic_channels "
                  . "where organization_slug = 'asia'"), 1,
       'the channel is made once');
};


subtest 'two spellings of a number at the same time' => sub {
    my @s = map { $pg->session(user => 'waha_gateway') } 1, 2;

    $s[0]->query('begin');
    $s[0]->query(call_sql(ingest => inbound(phone => '5521987654321')));
    $s[1]->async(call_sql(ingest => inbound(phone => '552187654321')));
    ok($s[1]->wait_blocked, 'the second message waits for the first');
    $s[0]->query('commit');
    like($s[1]->result, qr/activity_logged/,
         'both messages belong to one contact');
};

$t->done;


sub key {
    return $pg->value("select waha.phone_key('$_[0]')");
}


sub contact {
    my ($organization, $phones) = @_;
    my @columns = map { "phone_$_" } 1 .. split /, /, $phones;

    return $pg->value("insert into contacts (organization_slug, first_name, "
        . join(', ', @columns) . ") values ('$organization', 'Typed', $phones)"
        . ' returning id');
}
