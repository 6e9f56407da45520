# Every delivery that WAHA made, sent over HTTP: in order, backwards and
# shuffled, with the same rows in the database at the end.

use Waha::Test;

use utf8;
use JSON::PP ();
use List::Util qw(shuffle);

my $t = Waha::Test->new;
my $json = JSON::PP->new->utf8;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

seed();

my @names = $t->fixtures;

is(scalar @names, 48, 'all 48 deliveries are there');

my $pg;

my $conf = <<'EOF_CONF';
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    waha_hmac_key %%KEY%%;

    server {
        listen 127.0.0.1:%%PORT%%;
        location = /usual { waha_webhook; }
        location = /all { waha_webhook; waha_ignore none; }
    }
}
EOF_CONF


# --- the rows at the end -----------------------------------------------------

# Synthetic messages 40 and 41 share an id, so the first of them stays: its
# text and chat are not compared.

my $same = '3AAAAAAAAAAAAAAAAA01';

my $first = 1795226560;             # seconds of most messages of t1
my $second = $first + 1;
my $synthetic = 1784367955;         # and of all of tenant42

my $lid = '555666777888@lid';
my $phone = '79222222222@c.us';
my $group = '120363000000000001@g.us';
my $files = 'http://127.0.0.1:3000/api/files/t1';

my $vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:Jane\n"
            . "TEL;type=CELL;waid=79333333333:+7 933 333 33 33\nEND:VCARD";

my @acme = (
    activity('3EB0AAAAAAAAAAAAAAAA01', 'edited text', name => 'Боб 🙂',
        edits => [], original_content => 'Привет "мир" \\ end',
        edited_at => '2026-11-21T02:02:40.971Z',
        revoked_at => '2026-11-21T02:02:40.000Z',
        reactions => [ { person => 'contact', emoji => '🙏',
                         at => '2026-11-21T02:02:40.000Z' } ]),

    activity('3EB0AAAAAAAAAAAAAAAA02', 'from lid chat', name => 'Lid Bob',
        chat_id => $lid),

    activity('3EB0AAAAAAAAAAAAAAAA03', 'lid no phone', name => 'Hidden',
        chat_id => $lid),

    activity('3EB0AAAAAAAAAAAAAAAA05', 'caption', type => 'image',
        has_media => $true,
        media_url => "$files/3EB0AAAAAAAAAAAAAAAA05.jpeg",
        media => { mimetype => 'image/jpeg', size => 10 }),

    activity('3EB0AAAAAAAAAAAAAAAA06', undef, type => 'document',
        has_media => $true,
        media_url => "$files/3EB0AAAAAAAAAAAAAAAA06.pdf",
        media => { mimetype => 'application/pdf', filename => 'inv.pdf',
                   size => 13 }),

    activity('3EB0AAAAAAAAAAAAAAAA07', undef, type => 'location',
        location => { latitude => '55.75', longitude => '37.61',
                      name => 'Office', address => 'Main st',
                      live => $false }),

    activity('3EB0AAAAAAAAAAAAAAAA08', undef, type => 'contacts',
        vcards => [ $vcard ]),

    activity('3EB0AAAAAAAAAAAAAAAA12', 'reply',
        reply_to => { id => '3EB0AAAAAAAAAAAAAAAA01', body => 'orig',
                      participant => $phone }),

    activity('3EB0AAAAAAAAAAAAAAAA13', 'typed on phone', out => 1, ack => 1),

    activity('3EB0AAAAAAAAAAAAAAAA15', undef, type => 'audio',
        at => $second, has_media => $true,
        media_url => "$files/3EB0AAAAAAAAAAAAAAAA15.oga",
        media => { mimetype => 'audio/ogg; codecs=opus', size => 10 }),

    activity('3EB0AAAAAAAAAAAAAAAA16', 'typed on phone, lid chat', out => 1,
        chat_id => $lid, at => $second, ack => 1),

    activity('3EB01DA51CBCEA4816890B', 'hello from api', out => 1,
        at => $second, ack => 0, source => 'api'),

    { %{ activity('CALL1', undef, type => 'audio', name => undef,
            at => $synthetic) },
      activity_type => 'call',
      metadata => { session => 't1', engine => 'NOWEB',
            timestamp => $synthetic, call_status => 'received',
            call_status_at => $synthetic * 1000, whatsapp_id => 'CALL1',
            whatsapp_chat_id => $phone, whatsapp_message_id => 'CALL1' } },
);

my @bravo = map { { %$_, organization_slug => 'bravo',
                    session_name => 'tenant42' } } (
    synthetic($same, undef),
    synthetic($same, 'typed on phone', out => 1, chat_id => $lid),
    synthetic('3AAAAAAAAAAAAAAAAA11', 'Hi', engine => 'WEBJS', ack => 1),
    synthetic('3AAAAAAAAAAAAAAAAA12', 'Hi', engine => 'WEBJS', ack => 1,
              chat_id => $lid),
    synthetic('3EB0AAAAAAAAAAAAAA13', 'Hi', out => 1, engine => 'WEBJS',
              ack => 1),
);

my %expected = (

    contacts => [
        map { { organization_slug => $_, first_name => 'Bob', last_name => '',
                phone_1 => '+79222222222', contact_type => 'lead',
                whatsapp_name => 'Bob' } } qw(acme bravo)
    ],

    identities => [
        map { my $slug = $_;
              { organization_slug => $slug, kind => 'lid',
                key => '555666777888', person => '+79222222222' },
              { organization_slug => $slug, kind => 'phone',
                key => '79222222222', person => '+79222222222' }
        } qw(acme bravo)
    ],

    activities => [ sort { key($a) cmp key($b) } @acme, @bravo ],

    conversations => [
        { organization_slug => 'acme', session_name => 't1',
          last_message_id => '3EB0AAAAAAAAAAAAAAAA16',
          last_direction => 'outbound', last_at => $second * 1000,
          last_message => 'typed on phone, lid chat', unread_count => 0,
          inbound_at => $second * 1000, outbound_at => $second * 1000 },
        { organization_slug => 'bravo', session_name => 'tenant42',
          last_message_id => '3EB0AAAAAAAAAAAAAA13',
          last_direction => 'outbound', last_at => $synthetic * 1000,
          last_message => 'Hi', unread_count => 0,
          inbound_at => $synthetic * 1000, outbound_at => $synthetic * 1000 },
    ],

    states => [
        { organization_slug => 'acme', session_name => 't1',
          message_id => '3EB01DA51CBCEA4816890B', status => 'delivered',
          status_ms => 1795226562017 },
        { organization_slug => 'acme', session_name => 't1',
          message_id => '3EB0AAAAAAAAAAAAAAAA01',
          revoked_ms => $first * 1000,
          reactions => { contact => { emoji => '🙏', at => $first * 1000 } },
          edits => [ { id => '3EB0AAAAAAAAAAAAAAAA11', text => 'edited text',
                       at => 1795226560971, direction => 'inbound' } ] },
        { organization_slug => 'acme', session_name => 't1',
          message_id => '3EB0AAAAAAAAAAAAAAAA13', status => 'read',
          status_ms => 1795226563129 },
        { organization_slug => 'acme', session_name => 't1',
          message_id => '3EB0AAAAAAAAAAAAAAAA16', status => 'sent',
          status_ms => $second * 1000 },
        { organization_slug => 'bravo', session_name => 'tenant42',
          message_id => '3AAAAAAAAAAAAAAAAA01', status => 'delivered',
          status_ms => $synthetic * 1000 },
        { organization_slug => 'bravo', session_name => 'tenant42',
          message_id => '3EB0AAAAAAAAAAAAAA02', status => 'read',
          status_ms => 1795226800123 },
        { organization_slug => 'bravo', session_name => 'tenant42',
          message_id => '3EB0AAAAAAAAAAAAAA13', status => 'sent',
          status_ms => $synthetic * 1000 },
    ],

    sessions => [
        { name => 't1', status => 'WORKING', status_ms => 1795226559365,
          phone => '79111111111', push_name => 'Acme t1',
          shown => 't1 WORKING +79111111111' },
        { name => 'tenant42' },
    ],
);


# --- three orders ------------------------------------------------------------

my %orders = (
    'in order' => [ @names ],
    'backwards' => [ reverse @names ],
    'shuffled' => [ shuffle(@names) ],
);

for my $order ('in order', 'backwards', 'shuffled') {
    start();

    is_deeply([ grep { deliver($_)->{status} != 200 } @{ $orders{$order} } ],
              [], "$order: each delivery is answered 200");

    my $state = state();

    is_deeply($state->{$_}, $expected{$_}, "$order: the rows of $_")
        for sort keys %expected;

    my %seen = map { key($_) => 1 } @{ $state->{activities} };
    is_deeply([ grep { deliver($_)->{status} != 200 } shuffle(@names) ], [],
              "$order: each delivery sent again is answered 200");
    is_deeply(state(), $state, "$order: deliveries sent again change no row");

    is($pg->value('select count(*) from waha.quarantine'), 0,
       "$order: quarantine is empty");
    is($pg->deadlocks, 0, "$order: PostgreSQL saw no deadlock");
}


# --- chats of other kinds, when they are not ignored -------------------------

start();

my %action = map { $_ => deliver($_, '/all')->{json}{data}{action} }
             grep { !/^(40|42)-/ } @names;

is($action{'11-noweb-message'}, 'activity_logged',
   "a contact's message in a group is logged");
is($action{'12-noweb-message.any'}, 'duplicate',
   'the same message as message.any is a duplicate');
is($action{'27-noweb-message'}, 'activity_logged',
   "a contact's status is logged");
is($action{'32-noweb-message'}, 'ignored', 'a newsletter is ignored');

is_deeply(rows(q{
    select organization_slug, chat, message_id, message_content, sender_name,
           metadata->>'participant' as participant,
           metadata->>'whatsapp_chat_id' as room
      from contact_activities where chat <> 'person'
     order by message_id}), [
    { organization_slug => 'bravo', chat => 'group', message_content => 'Hi',
      message_id => '3AAAAAAAAAAAAAAAAA14', sender_name => 'Bob',
      participant => $lid, room => $group },
    { organization_slug => 'acme', chat => 'group', room => $group,
      message_id => '3EB0AAAAAAAAAAAAAAAA04', message_content => 'group msg',
      sender_name => 'GroupBob', participant => $lid },
    { organization_slug => 'acme', chat => 'status', sender_name => 'S',
      message_id => '3EB0AAAAAAAAAAAAAAAA14', message_content => 'status',
      participant => $phone, room => 'status@broadcast' },
    ], 'messages in groups have their author and their chat');

is($pg->value("select last_message_id from waha.conversations
               where organization_slug = 'acme'"), '3EB0AAAAAAAAAAAAAAAA16',
   'conversations are about chats with persons only');

$t->done;


# --- helpers -----------------------------------------------------------------

sub start {
    $t->nginx->stop if $pg;

    $pg = $t->postgres;
    $pg->organization('acme', session => 't1');
    $pg->organization('bravo', session => 'tenant42');

    $t->nginx(conf => $conf, vars => { DSN => $pg->dsn })->start;
}


sub deliver {
    my ($name, $path) = @_;

    my ($body, $headers) = $t->fixture($name);

    return $t->http->post($path // '/usual', $headers, $body);
}


sub rows {
    my ($query) = @_;

    return $json->decode($pg->value("
        select coalesce(json_agg(json_strip_nulls(row_to_json(q))), '[]')
          from ($query) q"));
}


# all rows, without ids and times of arrival

sub state {
    my $person = q{(select phone_1 from contacts c
        where c.organization_slug = x.organization_slug
          and c.id = x.contact_id)};

    my $activities = rows(qq{
        select organization_slug, activity_type, direction, message_content,
               session_name, message_id, message_type, chat, sender_name,
               waha.milliseconds(occurred_at) as at, metadata,
               $person as person
          from contact_activities x});

    for (@$activities) {
        next if $_->{message_id} ne $same || $_->{direction} ne 'inbound';
        delete $_->{message_content};
        delete @{ $_->{metadata} }{qw(whatsapp_id whatsapp_chat_id)};
    }

    return {
        contacts => rows(q{
            select organization_slug, first_name, last_name, phone_1, phone_2,
                   phone_3, contact_type, whatsapp_name
              from contacts where merged_into is null
             order by organization_slug}),

        identities => rows(qq{
            select organization_slug, kind, key, $person as person
              from waha.contact_identities x
             order by organization_slug, kind, key}),

        activities => [ sort { key($a) cmp key($b) } @$activities ],

        conversations => rows(q{
            select organization_slug, session_name, last_message_id,
                   last_direction, last_message, unread_count,
                   waha.milliseconds(last_message_at) as last_at,
                   waha.milliseconds(last_inbound_at) as inbound_at,
                   waha.milliseconds(last_outbound_at) as outbound_at,
                   waha.milliseconds(read_at) as read_at
              from waha.conversations order by organization_slug}),

        states => rows(q{
            select organization_slug, session_name, message_id, status,
                   waha.milliseconds(status_at) as status_ms, reactions,
                   edits, waha.milliseconds(revoked_at) as revoked_ms
              from waha.message_states
             order by organization_slug, message_id}),

        sessions => rows(q{
            select s.name, s.status, s.phone, s.push_name,
                   waha.milliseconds(s.status_at) as status_ms,
                   o.whatsapp_session_name || ' ' || o.whatsapp_status || ' '
                   || o.whatsapp_phone_number as shown
              from waha.sessions s
              join organizations o on o.slug = s.organization_slug
             order by s.name}),
    };
}


sub key { return join '/', @{ $_[0] }{qw(session_name message_id direction)} }


# A row of contact_activities: id, text, then what differs from a usual one;
# all other names belong to the metadata.

sub activity {
    my ($id, $text, %o) = @_;

    my $out = delete $o{out};
    my $chat = delete $o{chat_id} // $phone;
    my $at = delete $o{at} // $first;
    my $type = delete $o{type} // 'text';
    my $name = exists $o{name} ? delete $o{name} : $out ? undef : 'Bob';

    my %row = (
        organization_slug => 'acme', session_name => 't1', message_id => $id,
        activity_type => 'whatsapp_message', message_type => $type,
        direction => $out ? 'outbound' : 'inbound', chat => 'person',
        message_content => $text, sender_name => $name, at => $at * 1000,
        person => '+79222222222',
        metadata => {
            whatsapp_message_id => $id, whatsapp_chat_id => $chat,
            whatsapp_id => join('_', $out ? 'true' : 'false', $chat, $id),
            session => 't1', engine => 'NOWEB', source => 'app', ack => 2,
            timestamp => $at, has_media => $false, %o,
        },
    );

    delete @row{ grep { !defined $row{$_} } keys %row };

    return \%row;
}


sub synthetic {
    my ($id, $text, %o) = @_;

    my $row = activity($id, $text, at => $synthetic, engine => 'GOWS',
                       session => 'tenant42', %o);

    delete @{ $row->{metadata} }{qw(whatsapp_id whatsapp_chat_id)}
        if $id eq $same && !$o{out};

    return $row;
}
