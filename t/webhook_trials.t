# Deliveries after trouble that users of WAHA have reported: who has written
# what at the end, in the words of each fixture's "expect".

use Waha::Test;

use Encode ();
use JSON::PP ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $json = JSON::PP->new->utf8->canonical;

my @names = map { m{/([^/]+)\.json\z} ? $1 : () }
            sort glob root() . '/t/fixtures/trials/*.json';

is(scalar @names, 20, 'all 20 trials are there');

my (%session_of, %tried);

for my $name (@names) {
    my ($number) = $name =~ /^(\w+?)-/;
    $session_of{$name} = "trial-$number";
    $pg->organization("trial-$number", session => "trial-$number");
}

$t->nginx(vars => { DATABASE => 'timeout=20s' })->start;


# --- what is nobody's words ---------------------------------------------------

trial('01', sub {
    my ($actions) = @_;

    is_deeply($actions, [ 'contact_created', 'status_updated' ],
              'an edit that cannot be read is no message');
    is_deeply(messages(), [ [ 'inbound', 'text', 'Preciso de 2 unidades' ] ],
              'one message');
    is(rows(q{select metadata->>'edited_at' is not null})->[0][0], 't',
       'it is marked as edited');
    is_deeply(inbox(), [ [ 'Preciso de 2 unidades', 1 ] ],
              'unread once, its words in the inbox');
});

trial('09', sub {
    is_deeply([ contacts(), messages(), inbox() ], [ [], [], [] ],
              'nobody has written');
});

trial('10', sub {
    is_deeply(messages(), [ [ 'inbound', 'image', undef ],
                            [ 'inbound', 'image', 'a outra' ] ],
              'two images');
    is_deeply(contacts(), [ '+5511988880110' ],
              'an album alone makes no contact');
    is_deeply(inbox(), [ [ 'a outra', 2 ] ], 'unread twice');
});

trial('15', sub {
    is_deeply([ contacts(), messages(), inbox() ], [ [], [], [] ],
              'no words of the customer');
});

trial('25', sub {
    is_deeply(rows(q{select message_type, metadata->>'view_once'}),
              [ [ 'unknown', 'true' ], [ 'audio', 'true' ] ],
              'it can be told that the messages were to be viewed once');
    is_deeply([ map { $_->[1] } @{ inbox() } ], [ 1, 1 ], 'unread');
});


# --- who is who ---------------------------------------------------------------

trial('16', sub {
    is_deeply([ contacts(), messages(), inbox() ], [ [], [], [] ],
              'notes to oneself make no lead');
});

trial('32', sub {
    is($pg->value(q{select count(*) from waha.contact_identities
                    where organization_slug = 'trial-32'
                      and key in ('5511900000001', '77000000000001')}), 0,
       'the own number is no identity of a contact');
    is($pg->value(q{select count(*) from waha.contact_identities a
                    join waha.contact_identities b
                      using (organization_slug, contact_id)
                    where organization_slug = 'trial-32'
                      and a.key = '190000000000232'
                      and b.key = '190000000000332'}), 0,
       'Ana and Rui are not one');
    is($pg->value(q{select count(*) from contacts
                    where organization_slug = 'trial-32'
                      and merged_into is not null}), 0, 'nobody is merged');
});

trial('07', sub {
    is_deeply(contacts(), [ '+5511988880107' ], 'the caller is that contact');
    is($pg->value(q{select count(distinct contact_id) || ' ' || count(*)
                    from contact_activities
                    where organization_slug = 'trial-07'}), '1 3',
       'the calls belong to the contact who wrote before');
});


# --- words that stand elsewhere -----------------------------------------------

trial('08', sub {
    my $text = 'Olá, vocês entregam hoje?';

    is_deeply(messages(), [ [ 'inbound', 'text', $text ] ],
              'one message, with its text');
    is_deeply(inbox(), [ [ $text, 1 ] ], 'unread once');
});

trial('08b', sub {
    my ($actions) = @_;

    is_deeply($actions, [ 'contact_created', 'activity_updated' ],
              'the second delivery tells more of the message');
    is_deeply(rows(q{select message_type, metadata->>'media_url',
                     metadata->'media'->>'mimetype'}),
              [ [ 'image', 'http://waha:3000/api/files/trial-08b/'
                           . 'false_5511988880118@c.us_3A08B.jpeg',
                  'image/jpeg' ] ], 'one message, with its file');
    is_deeply([ map { $_->[1] } @{ inbox() } ], [ 1 ], 'unread once');
});

trial('11', sub {
    is_deeply([ map { $_->[2] } @{ messages() } ],
              [ 'Sim, confirmo', 'Plano Ouro', 'Falar com atendente',
                'Agendar', 'Seu pedido saiu para entrega' ],
              'the words of replies to buttons and lists');
});

trial('12', sub {
    is_deeply(rows(q{select message_type, message_content,
                     metadata->'referral'->>'id', metadata->'referral'->>'url',
                     metadata->'referral'->>'ctwa_clid',
                     metadata->'referral'->>'title'}),
              [ [ 'text', 'Olá! Quero saber mais', '120210000000000012',
                  'https://fb.me/abc', 'ARAkLkA8', 'Promo' ] ],
              'the ad is kept');
});

trial('20', sub {
    is_deeply(rows(q{select message_content,
                     waha.milliseconds(occurred_at)::text}),
              [ map { [ "t$_", $_ eq 'F' ? '1795650000500' : '1795650000000' ] }
                'A' .. 'G' ], 'each has its own time');
});

trial('27', sub {
    is_deeply(messages(), [ [ 'inbound', 'text', 'Bom dia, ainda tem?' ] ],
              'the message is stored by the id of the engine');
});


# --- changes ------------------------------------------------------------------

trial('02', sub {
    is_deeply(rows(q{select message_content,
                     metadata->>'edited_at' is not null}),
              [ [ 'O preço é 150', 't' ] ],
              'the text is kept, the time of the edit is noted');
});

for my $number ('03', '03c') {
    trial($number, sub {
        is_deeply(rows(q{select message_id, message_content,
                         metadata->>'revoked_at' is not null}),
                  [ [ '3A03ORIG', 'mensagem apagada', 't' ] ],
                  'the message is marked as revoked');
        is_deeply(rows(q{select metadata->>'revoked_at'}),
                  [ [ '2026-11-25T23:40:20.123Z' ] ],
                  'at the time of the revoke');
    });
}

trial('22', sub {
    my ($actions) = @_;

    is($actions->[0], 'status_updated', 'a reaction alone makes no contact');
    like(rows(q{select metadata->>'reactions'})->[0][0], qr/👍/,
         'the campaign message carries the reaction');
});

trial('29', sub {
    my ($actions) = @_;

    is_deeply($actions, [ 'contact_created', 'status_updated' ],
              'a vote changes the poll');
    is_deeply(messages(), [ [ 'outbound', 'poll', 'Nota?' ] ],
              'the poll is the only message');
    is_deeply($json->decode(rows(q{select metadata->'votes'})->[0][0]),
              [ { person => 'contact', options => [ '5' ],
                  at => '2026-11-25T23:40:05.000Z' } ],
              'it shows the vote of the customer');
});

trial('36', sub {
    my ($actions) = @_;

    is($actions->[1], 'status_updated', 'the read message has changed');
    is_deeply(inbox(), [ [ 'oi', 0 ] ], 'what the phone has read is read');
});

for my $name (grep { !delete $tried{$_} } @names) {
    fail("$name is tried");
}

$t->done;


# --- helpers ------------------------------------------------------------------

my $session;


# sends the events of a trial in order, then looks at what they made

sub trial {
    my ($number, $look) = @_;

    my ($name) = grep { $session_of{$_} eq "trial-$number" } @names;
    my $trial = $json->decode(slurp(root() . "/t/fixtures/trials/$name.json"));
    my $events = $trial->{event};
    my @answers = map { $t->webhook($_) }
                  ref $events eq 'ARRAY' ? @$events : $events;

    $session = "trial-$number";
    $tried{$name} = 1;

    my $expect = Encode::encode('UTF-8', $trial->{expect});

    subtest "$name: $expect" => sub {
        is_deeply([ grep { $_->{status} != 200 } @answers ], [],
                  'each delivery is answered 200');

        $look->([ map { $_->{json}{data}{action} } @answers ]);
    };
}


sub rows {
    my ($select) = @_;

    return $pg->rows("$select from contact_activities
                      where session_name = '$session' order by id");
}


sub messages {
    return rows('select direction, message_type, message_content');
}


sub contacts {
    return [ map { $_->[0] } @{ $pg->rows("
        select phone_1 from contacts where organization_slug = '$session'
           and merged_into is null order by id") } ];
}


sub inbox {
    return $pg->rows("select last_message, unread_count
                        from waha.conversations where session_name = '$session'
                       order by contact_id");
}
