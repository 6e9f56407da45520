# Names and ids that could be mistaken for another organization's.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('other', session => 't2');
$pg->psql('create role operator login in role waha_admin');


subtest "a text that is one organization's slug and another's number" => sub {
    my ($acme, $other) = map { $pg->organization_id($_) } qw(acme other);

    $pg->psql("insert into organizations (slug) values ('$acme')");
    is(code($pg, find_organization => $acme), 'unknown_organization',
       'a text that names two organizations names none');
    is(reply($pg, find_organization => $other)->{data}{organization},
       'other', 'a number that is no slug names its organization');
    is(reply($pg, find_organization => 'acme')->{data}{id}, $acme,
       'a slug names its organization');

    $pg->psql("insert into organizations (id, slug) values (777, '777'),
                                                           (778, '0779')");
    is(reply($pg, find_organization => $_->[0])->{data}{id}, $_->[1],
       "$_->[0] names organization $_->[1]")
        for [ 777, 777 ], [ '0779', 778 ];
    is(code($pg, find_organization => $_), 'unknown_organization',
       "\"$_\" names no organization")
        for '0777', ' 777', '777 ', '+777', '7.77e2', 'ACME', 'acme ',
            "acme\n", "\xd0\xb0cme";
    is(code($pg, put_organization => 778, undef, undef, undef),
       'invalid_argument', 'a new slug cannot be the id of an organization');
    is(reply($pg, put_organization => '777', 'Had', undef, undef)
           ->{data}{name}, 'Had',
       'an organization whose slug is a number can be changed');
};


subtest "keys that belong to no organization" => sub {
    my $id = substr $pg->operator_key, 4, 8;

    is(code($pg, list_api_keys => undef), 'unknown_organization',
       "the gateway cannot list operators' keys");
    is(code($pg, delete_api_key => undef, $id), 'unknown_key',
       "the gateway cannot delete operators' keys");
    is(code($pg, create_api_key => undef, undef, undef, undef),
       'unknown_organization', "the gateway cannot create operators' keys");
    like($pg->error("select * from waha.$_", user => 'waha_gateway'),
         qr/permission denied/, "the gateway cannot call $_")
        for 'list_operator_keys()', "delete_operator_key('$id')",
            "create_operator_key('x')";

    is($pg->psql('select id, label from waha.list_operator_keys()',
                 user => 'operator'), "$id|test",
       "an operator lists operators' keys");
    is($pg->value("select waha.delete_operator_key('$id')",
                  user => 'operator'), $_, "revokes one: $_") for 't', 'f';
};

# a setting that was set and reset is an empty text, not null

subtest 'an organization whose slug is empty' => sub {
    $pg->psql("insert into organizations (slug, whatsapp_enabled)
                   values ('', true);
               insert into contacts (organization_slug, first_name)
                   values ('', 'Nobody');
               insert into waha.sessions (name, organization_slug)
                   values ('t0', '')");
    my $r = outcome($pg, message(session => 't0', message_id => 'Z1',
                                 phone => '79220000000', body => 'secret',
                                 metadata => '{"media_url":"x"}'));
    my ($contact, $activity) = @$r{qw(contact_id activity_id)};
    ok($contact, 'the organization has a contact');

    my @cases = (
        [ find_organization => ],
        [ find_session => 't0' ],
        [ list_sessions => ],
        [ find_contact => $contact ],
        [ list_contacts => undef, undef, undef ],
        [ list_activities => $contact, (undef) x 5 ],
        [ list_activity_rows => $contact, (undef) x 5 ],
        [ list_conversations => (undef) x 4 ],
        [ list_messages => "$contact-t0", undef, undef ],
        [ read_conversation => "$contact-t0" ],
        [ find_media => $activity ],
        [ export_contact => $contact, undef, undef ],
        [ export_organization => undef, undef ],
    );

    for my $organization (undef, '') {
        for (@cases) {
            my ($name, @arguments) = @$_;
            like($pg->psql("begin; set local waha.organization = 'acme'; "
                           . "commit;\n" . reply_sql($name, $organization,
                                                     @arguments),
                           user => 'waha_gateway'),
                 qr/^(unknown_\w+)\|$/, "$name shows nothing of it: "
                 . (defined $organization ? '""' : 'null'));
        }
    }

    $pg->psql('create role clerk login in role waha_reader');
    is($pg->psql("begin; set local waha.organization = 'acme'; commit;
                  select (select count(*) from waha.$_->[0]) || '$_->[1]'",
                 user => 'clerk'), '0', "readers see no $_->[0] of it")
        for map { [ $_, '' ] } qw(tenant_organizations tenant_contacts
            tenant_contact_activities tenant_activity_notes sessions
            contact_identities conversations);
};


subtest "the same names in two organizations" => sub {
    my ($mine, $theirs) = map {
        reply($pg, reserve_session => $_, 'shop', "of $_", [ 'w1' ], 9)
            ->{data}{session}{session} } qw(acme other);
    isnt($mine, $theirs, 'the same session id gives two sessions');

    # a caller's id that is the name of another organization's session

    my $evil = reply($pg, reserve_session => 'acme', $theirs, 'evil',
                     [ 'w1' ], 9)->{data}{session}{session};
    isnt($evil, $theirs,
         "an id that is another session's name gives a session of its own");
    is(reply($pg, find_session => 'acme', $theirs)->{data}{session}{label},
       'evil', 'that id finds the own session');
    reply($pg, $_->[0] => 'acme', $theirs, @$_[1 .. $#$_])
        for [ record_session_check => 'WORKING', '4915', 'Evil' ],
            [ 'disconnect_session' ], [ 'delete_session' ];
    is($pg->psql("select label, status, phone, deleted_at from waha.sessions
                   where name = '$theirs'"), 'of other|NOT_CREATED||',
       'operations with that id leave the other session unchanged');
    is(code($pg, $_ => 'acme', $theirs), 'unknown_session',
       "$_ with that id finds no session afterwards")
        for qw(find_session disconnect_session delete_session);

    is(code($pg, find_session => 'acme', $_), 'unknown_session',
       "\"$_\" finds no session")
        for 'SHOP', 'shop ', '', '%', uc $mine, "$theirs ";
};


$t->done;
