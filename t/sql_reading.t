# The functions that the API reads with: complete, ordered, in pages, by an
# index, and without a row of another organization.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres(conf => <<'EOF_CONF');
session_preload_libraries = 'auto_explain'
auto_explain.log_nested_statements = on
autovacuum = off
EOF_CONF

$pg->organization('acme', session => [ 't1', 't5' ]);
$pg->organization('other', session => 't2');


subtest 'a contact' => sub {
    my $id = said('79222222222', name => 'Bob Dylan', lid => '17')
                 ->{contact_id};

    my $c = reply($pg, find_contact => 'acme', $id)->{data};
    like(delete $c->{created_at}, qr/Z$/,
         'a contact has the time of its creation');
    is_deeply($c, { id => 0 + $id, first_name => 'Bob',
                    last_name => 'Dylan', phone_1 => '+79222222222',
                    phone_2 => undef, phone_3 => undef,
                    name => 'Bob Dylan', contact_type => 'lead',
                    state => '', merged_into => undef,
                    identities => [
                        { kind => 'phone', value => '+79222222222',
                          proved => JSON::PP::true },
                        { kind => 'lid', value => '17',
                          proved => JSON::PP::true } ] },
              'a contact has its names, numbers and identities');

    my $gone = said(undef, lid => '18')->{contact_id};
    said('79222222222', lid => '18');
    is(reply($pg, find_contact => 'acme', $gone)->{data}{id}, $id,
       'a merged contact leads to the kept one');

    is(code($pg, find_contact => 'acme', $_), 'unknown_contact',
       'contact ' . ($_ // 'null')) for undef, 0, -1, 999999;

    my $found = sub {
        join ' ', map { $_->{id} } @{ reply($pg, list_contacts => 'acme',
                                            $_[0], undef, undef)
                                          ->{data}{contacts} };
    };
    said('491511234567', name => '100%_\ Ann');
    is($found->($_), $id, "search \"$_\" finds the contact")
        for 'bob', 'DYL', 'Bob Dylan', '922-222';
    unlike($found->('100%_\\'), qr/\b$id\b/,
           '% and _ in a search are no patterns');
    isnt($found->('100%_\\'), '', '% and _ in a search are found as they are');
    is($found->($_), '', "not by \"$_\"") for 'b%n', 'x_b', 'Bobby';
};


subtest 'activities of a contact' => sub {
    my $r = said('79333333333', body => 'one', sent_at => 1000,
                 metadata => '{"has_media":true,'
                     . '"media_url":"http://waha:3000/api/files/a.jpg",'
                     . '"media":{"mimetype":"image/jpeg","size":3}}');
    my ($id, $activity) = @$r{qw(contact_id activity_id)};
    said('79333333333', body => 'two', sent_at => 3000, session => 't5');
    said('79333333333', body => 'three', sent_at => 2000,
         direction => 'outbound', message_id => 'OUT');
    outcome($pg, status(target_id => 'OUT', status => 'read'));
    $pg->psql("insert into contact_activities (organization_slug, contact_id,
                   activity_type, message_content, occurred_at, metadata)
                   values ('acme', $id, 'note', 'older', null,
                           '{\"media_url\": \"http://crm/x\"}'),
                          ('acme', $id, 'note', 'old', null, null)");

    my $list = sub {
        my $r = reply($pg, list_activities => 'acme', $id, @_);
        return $r->{code} // join ' ', map { $_->{text} }
                                       @{ $r->{data}{activities} };
    };

    is($list->((undef) x 5), 'two three one old older',
       'activities are listed newest first');
    is($list->('note', (undef) x 4), 'old older', 'activities of one type');
    is($list->(undef, 't1', (undef) x 3), 'three one',
       'activities of one session');
    is($list->((undef) x 3, 1, 2), 'three one', 'activities after the first');
    is($list->((undef) x 3, $_, undef), 'invalid_argument',
       "skip $_ is refused")
        for -1, 100001;
    is($list->((undef) x 4, $_), 'invalid_argument', "size $_ is refused")
        for 0, 201, -1;
    is($list->(undef, undef, $_, undef, undef), 'invalid_argument',
       "after \"$_\" is refused") for '', 'x', '!', 'MSwy,', '____', 'MTIz',
                           'LDE7ZHJvcA';

    my @all = @{ reply($pg, list_activities => 'acme', $id, (undef) x 5)
                     ->{data}{activities} };
    is($all[1]{status}, 'read', 'an activity has its status of delivery');
    is($all[2]{metadata}{media_url}, "/api/whatsapp/media/$activity",
       'media_url is our own route');
    is($all[2]{metadata}{media}{url}, "/api/whatsapp/media/$activity",
       'media.url is our own route');
    is($all[4]{metadata}{media_url}, 'http://crm/x',
       "the CRM's own media_url is not changed");
    is($all[2]{occurred_at}, '1970-01-01T00:00:01.000Z',
       "an activity has the provider's time");
    is_deeply([ sort keys %{ $all[0] } ],
              [ sort qw(id contact_id type direction text message_type
                        session message_id sender_name occurred_at
                        created_at status metadata) ],
              'an activity has no other members');

    is(paged(list_activities => 'activities', 'text',
             [ 'acme', $id, undef, undef ], [ undef, 2 ]),
       'two three | one old | older', 'activities page by page');

    is_deeply(reply($pg, find_media => 'acme', $activity)->{data},
              { instance => undef, session => 't1', provider => 'waha',
                url => 'http://waha:3000/api/files/a.jpg', media => undef,
                mimetype => 'image/jpeg', filename => undef },
              'find_media has provider, instance, session, URL, type and name');
    is(code($pg, find_media => 'acme', $all[$_]{id}), 'no_media',
       'an activity without a file')
        for 0, 4;
    is(code($pg, find_media => 'acme', 999999), 'unknown_activity',
       'an activity that does not exist');
};


subtest 'conversations of an organization' => sub {
    said("7944444444$_", body => "m$_", sent_at => 100_000_000 * $_,
         session => $_ % 2 ? 't1' : 't5') for 1 .. 6;
    said('79444444441', body => 'newest', sent_at => 700_000_000,
         direction => 'outbound');

    my $v = reply($pg, list_conversations => 'acme', undef, undef, undef,
                  1)->{data}{conversations}[0];
    ok($v->{last_message_at}, 'the newest conversation comes first');

    my $mine = sub {
        join ' ', grep { /^(m\d|newest)$/ } split ' ',
            paged(list_conversations => 'conversations', 'last_message',
                  [ 'acme', @_ ], [ 2 ]);
    };
    is($mine->(undef, undef), 'newest m6 m5 m4 m3 m2',
       'conversations are listed newest first');
    is($mine->(undef, 'true'), 'm6 m5 m4 m3 m2', 'unread conversations');
    is($mine->('t1', undef), 'newest m5 m3', 'conversations of one session');

    my ($five) = grep { $_->{last_message} eq 'm5' }
                 @{ reply($pg, list_conversations => 'acme', undef, undef,
                          undef, 200)->{data}{conversations} };
    is($five->{id}, "$five->{contact_id}-t1", 'a conversation has its id');
    is($five->{unread_count}, 1,
       'a conversation has its unread messages counted');
    is($five->{phone}, '+79444444445',
       'a conversation has the number of the person');

    my $read = reply($pg, read_conversation => 'acme', $five->{id})
                   ->{data};
    is("$read->{unread_count} $read->{read_at}",
       '0 1970-01-06T18:53:20.000Z',
       'reading a conversation sets its unread messages to 0');
    said('79444444445', body => 'again', sent_at => 600_000_000);
    is(reply($pg, read_conversation => 'acme', $five->{id})
           ->{data}{read_at}, '1970-01-07T22:40:00.000Z',
       'reading it again covers what came later');

    is(join(' ', map { $_->{text} }
            @{ reply($pg, list_messages => 'acme', $five->{id}, undef, undef)
                   ->{data}{messages} }), 'again m5',
       'messages of a conversation are listed newest first');
    is(code($pg, $_ => 'acme', $five->{contact_id} . '-t5',
            (undef) x ($_ eq 'list_messages' ? 2 : 0)),
       'unknown_conversation', "$_ with another session is refused")
        for qw(list_messages read_conversation);
    is(code($pg, read_conversation => 'acme', $_), 'unknown_conversation',
       "conversation \"$_\" is unknown")
        for '', '-', 'x-t1', '1', '-1-t1', '0-t1';
    is(code($pg, list_conversations => 'acme', undef, undef, $_, 50),
       'invalid_argument', "after \"$_\" is refused")
        for '', 'x', 'MTIz';
};


subtest 'metadata of any form' => sub {
    my $r = said('79444444449', metadata => '{"media_url":"http://waha/x"}');

    for ('[]', '"x"', 'null', '{"media":[1]}', '{"media":"http://waha/x"}',
         '{"media":null,"media_url":"http://waha/x"}',
         '{"media":[],"media_url":["http://waha/x"]}',
         '{"media":{"url":"http://waha/x"}}')
    {
        $pg->psql("update contact_activities set metadata = '$_'
                    where id = $r->{activity_id}");
        is(code($pg, find_media => 'acme', $r->{activity_id}),
           /_url|"url"/ ? '' : 'no_media', "find_media with metadata $_");
        my $data = reply($pg, list_activities => 'acme', $r->{contact_id},
                         (undef) x 4, 1)->{data};
        is(scalar @{ $data->{activities} }, 1,
           "the activity is listed with metadata $_");
    }
};


subtest 'the cost of a message for its conversation' => sub {
    my $r = said('79444444448', sent_at => 800_000_000);
    my $session = $pg->session;
    $session->query('begin');
    $session->query(call_sql(ingest => inbound(phone => '79444444448',
        sent_at => 800_000_000 + $_))) for 1 .. 5;
    is($session->query("select pg_stat_get_xact_tuples_updated(t),
                               pg_stat_get_xact_tuples_hot_updated(t)
                          from cast('waha.conversations'::regclass as oid)
                               as t"), '5|5',
       'messages of one day write no index of the conversation');
    $session->query('commit');
};


subtest 'rows of the same time' => sub {
    $pg->organization('tie', session => 't7');
    outcomes($pg, batch => map {
        message(session => 't7', message_id => "E$_", sent_at => 5000,
                phone => '7955555550' . $_ % 3, body => "e$_") } 1 .. 9);

    my %seen;
    $seen{$_}++ for grep { $_ ne '|' } split ' ',
        paged(list_conversations => 'conversations', 'id',
              [ 'tie', undef, undef ], [ 1 ]);
    is(join(' ', values %seen), '1 1 1', 'each conversation is on one page');

    my ($id) = keys %seen;
    my $pages = paged(list_messages => 'messages', 'id', [ 'tie', $id ],
                      [ 1 ]);
    my @ids = grep { $_ ne '|' } split ' ', $pages;
    is("@ids", join(' ', sort { $b <=> $a } @ids),
       'messages of the same time have an order');
    is(scalar @ids, 3, 'each message is on one page');

    # messages that come while pages are read

    my $r = reply($pg, list_messages => 'tie', $id, undef, 2)->{data};
    outcome($pg, message(session => 't7', message_id => 'NEW',
                         sent_at => 9000, phone => '79555555501'));
    outcome($pg, message(session => 't7', message_id => 'NEW2',
                         sent_at => 9000, phone => '79555555500'));
    is(reply($pg, list_messages => 'tie', $id, $r->{next}, 2)
           ->{data}{messages}[0]{id}, $ids[2],
       'new messages do not move a page');
};


subtest 'rows of another organization' => sub {
    my $r = outcome($pg, message(session => 't2', message_id => 'SECRET',
        phone => '79666666666', name => 'Secret', body => 'secret',
        metadata => '{"media_url":"http://waha/secret"}'));
    my ($contact, $activity) = @$r{qw(contact_id activity_id)};
    outcome($pg, message(session => 't2', message_id => 'SECRET2',
                         phone => '79666666666', body => 'secret'));

    my $theirs = reply($pg, list_activities => 'other', $contact,
                       (undef) x 4, 1)->{data};
    my $list = reply($pg, list_conversations => 'other', undef, undef, undef,
                     1)->{data};
    my $id = $list->{conversations}[0]{id};
    is($id, "$contact-t2", 'the other organization has a conversation');

    my @cases = (
        [ find_contact => $contact, 'unknown_contact' ],
        [ list_activities => $contact, (undef) x 5, 'unknown_contact' ],
        [ list_messages => $id, undef, undef, 'unknown_conversation' ],
        [ read_conversation => $id, 'unknown_conversation' ],
        [ find_media => $activity, 'unknown_activity' ],
        [ find_session => 't2', 'unknown_session' ],
        [ export_contact => $contact, undef, undef, 'unknown_contact' ],
        [ erase_contact => $contact, 'unknown_contact' ],
    );

    for (@cases) {
        my ($name, @arguments) = @$_;
        my $code = pop @arguments;
        my $r = reply($pg, $name => 'acme', @arguments);
        is($r->{code}, $code, "$name of the other organization is refused");
        is($r->{data}, undef, "$name shows no data");
    }

    is($pg->value("select unread_count from waha.conversations
                    where contact_id = $contact"), 2,
       "the other organization's conversation is unchanged");

    my ($bob) = map { $_->{id} } @{ reply($pg, list_contacts => 'acme',
        'bob', undef, 1)->{data}{contacts} };
    for ([ list_contacts => 'secret', undef, 200 ],
         [ list_contacts => undef, $theirs->{next}, 200 ],
         [ list_activities => $bob, undef, undef, $theirs->{next}, undef,
           200 ],
         [ list_activities => $bob, undef, 't2', undef, undef, 200 ],
         [ list_conversations => undef, undef, $list->{next}, 200 ],
         [ list_conversations => 't2', undef, undef, 200 ],
         [ 'list_sessions' ],
         [ export_organization => undef, 200 ])
    {
        my ($name, @arguments) = @$_;
        unlike($pg->psql(reply_sql($name, 'acme', @arguments),
                         user => 'waha_gateway'),
               qr/secret|"t2"|79666666666/i,
               join ' ', "$name:", map { $_ // 'null' } @arguments);
    }

    # waha.organization was set for another organization before

    is($pg->psql("begin; set local waha.organization = 'other';\n"
                 . reply_sql(find_contact => 'acme', $contact)
                 . ";\ncommit", user => 'waha_gateway'),
       'unknown_contact|', 'the organization set before has no effect');

    for my $nobody (undef, '', 'none') {
        is(code($pg, $_ => $nobody, undef, undef, undef),
           'unknown_organization', "$_ of an unknown organization is refused")
            for 'list_contacts';
        is(code($pg, find_contact => $nobody, $contact), 'unknown_contact',
           'a contact of an unknown organization is refused');
    }

    is($pg->psql("select count(*) from pg_proc p
                   where pronamespace = 'waha'::regnamespace and prosecdef
                     and (proname ~ '^(list|find|export)_')
                     and proowner <> 'waha_api'::regrole
                     and proname not in ('find_organization',
                                         'find_connection', 'find_number',
                                         'list_secrets',
                                         'list_organizations',
                                         'list_api_keys',
                                         'list_operator_keys')"), 0,
       'every function that reads is owned by waha_api, bound by row-level '
       . 'security');

    # a function that forgets to set its organization

    is($pg->psql("create function waha.forgot() returns text language sql
                      security definer set search_path = waha, pg_temp
                  as 'select concat((select count(*) from tenant_contacts),
                          (select count(*) from tenant_contact_activities),
                          (select count(*) from sessions),
                          (select count(*) from conversations),
                          (select count(*) from message_states),
                          (select count(*) from contact_identities))';
                  alter function waha.forgot owner to waha_api;
                  grant execute on function waha.forgot to waha_gateway;
                  set role waha_gateway; select waha.forgot();
                  reset role; drop function waha.forgot()"), '000000',
       'a function without an organization sees no row');
};


subtest 'indexes of big organizations' => sub {
    $pg->psql(<<'EOF_SQL');
insert into organizations (slug, whatsapp_enabled)
    select 'big' || k, true from generate_series(1, 4) k;
insert into waha.sessions (name, organization_slug)
    select 'b' || k, 'big' || k from generate_series(1, 4) k;
insert into contacts (organization_slug, first_name, phone_1)
    select 'big' || k % 4 + 1, 'Bob', '+' || 49000000000 + k
      from generate_series(1, 20000) k;
insert into contact_activities (organization_slug, contact_id, session_name,
        message_id, direction, activity_type, chat, occurred_at)
    select organization_slug, id, replace(organization_slug, 'big', 'b'),
           'S' || id, 'inbound', 'whatsapp_message', 'person',
           now() - id * interval '10 minutes'
      from contacts where organization_slug like 'big%';
insert into contact_activities (organization_slug, contact_id, session_name,
        message_id, direction, activity_type, chat, occurred_at)
    select c.organization_slug, c.id, 'b1', 'L' || k, 'inbound',
           'whatsapp_message', 'person', now() - k * interval '1 minute'
      from (select * from contacts where organization_slug = 'big1'
             order by id limit 1) c, generate_series(1, 12000) k;
insert into waha.conversations (organization_slug, contact_id, session_name,
        last_message_id, last_message_at, last_direction, unread_count)
    select organization_slug, id, replace(organization_slug, 'big', 'b'), 'x',
           now() - id * interval '10 minutes', 'inbound', 1
      from contacts where organization_slug like 'big%';
EOF_SQL
    my ($long) = $pg->value("select min(id) from contacts
                              where organization_slug = 'big1'");
    my ($message) = $pg->value("select min(id) from contact_activities
                                 where organization_slug = 'big1'");

    for my $what ('never analyzed', 'analyzed') {
        $pg->psql('vacuum analyze') if $what eq 'analyzed';
        $pg->reload('alter system set auto_explain.log_min_duration = 0');
        my $from = length $pg->log;

        my $session = $pg->session(user => 'waha_gateway');
        for (1 .. 2) {
            for ([ list_contacts => undef ], [ list_activities => $long,
                 undef, undef ], [ list_messages => "$long-b1" ],
                 [ list_activity_rows => $long, undef, undef ],
                 [ list_conversations => undef, undef ],
                 [ list_conversations => 'b1', 'true' ],
                 [ export_contact => $long ], [ 'export_organization' ],
                 [ list_organizations => () ])
            {
                my ($name, @arguments) = @$_;
                unshift @arguments, 'big1' if $name ne 'list_organizations';
                my @rest = $name =~ /^list_activit/ ? (undef, 50) : 50;

                my $first = $session->query(reply_sql($name, @arguments,
                                                      undef, @rest));
                my ($next) = $first =~ /"next" : "(\S+?)"/;
                $next // ($name eq 'list_organizations' and next)
                    // die "$name: $first";
                $session->query(reply_sql($name, @arguments, $next, @rest));
            }
            $session->query(reply_sql(find_contact => 'big1', $long));
            $session->query(reply_sql(find_media => 'big1', $message));
            $session->query(reply_sql(read_conversation => 'big1',
                                      "$long-b1"));
            $session->query(reply_sql(reserve_session => 'big1', undef,
                                      undef, [ 'w1', 'w2' ], 5));
        }
        $pg->reload('alter system set auto_explain.log_min_duration = -1');

        my $log = substr $pg->log, $from;
        my %scans = map { $_ => 1 }
            $log =~ /(Seq Scan on \w+)/g;
        is(join(', ', sort keys %scans), '',
           "$what: no table is read sequentially");

        my %bare;
        $bare{$1}++ while $log =~ /Index\ (?:Only\ )?Scan
            \ (?:Backward\ )?using\ (\w+)\ on\ [^\n]*\n
            (?!\s+Index\ Cond)/gx;
        is(join(', ', grep { !/organizations/ } sort keys %bare), '',
           "$what: no index is read without a condition");

        my @wide = grep { !/\b(contact_id|id)\b/ }
            $log =~ /\ on\ contact_activities\b[^\n]*\n\s+
                     Index\ Cond:\ ([^\n]*)/gx;
        is(join("\n", @wide), '',
           "$what: no messages of a whole organization are read");

        for (qw(waha_contacts_list waha_activities_person
                conversations_inbox))
        {
            like($log, qr/ using $_ /, "$what: index $_ is used");
        }

        my ($most) = sort { $b <=> $a } $log =~ /duration: ([\d.]+) ms/g;
        note("$what: at most $most ms");
    }

    # reports read a whole organization, and a copy does

    for my $query ('select count(*) from waha.tenant_contact_activities',
                   'select * from waha.tenant_activity_notes',
                   'select count(*) from waha.tenant_contacts')
    {
        like($pg->psql("set role waha_reader; set waha.organization = 'big2';"
                       . "explain $query"),
             qr/Index\ Cond:\ \(+organization_slug/x, "index: $query");
    }

    for my $part (qw(contacts contact_activities)) {
        my ($query) = $pg->value("select waha.copied_rows('big2', '$part')");
        like($pg->psql("explain $query"),
             qr/Index\ Cond:\ \(+organization_slug/x, "index: copy of $part");
    }
};


$t->done;


sub said {
    my ($phone, %message) = @_;

    return outcome($pg, inbound(phone => $phone, %message));
}


# all pages of a list: one member of each row, " | " between pages; the
# arguments before "after", then those behind it

sub paged {
    my ($name, $list, $member, $arguments, $rest) = @_;

    return join ' | ', map { join ' ', map { $_->{$member} // '' }
                                           @{ $_->{$list} } }
                       pages($pg, $name => $arguments, $rest);
}
