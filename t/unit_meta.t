# The reader of Meta's notifications (src/event/meta) without nginx, under ASan
# and UBSan: the events of each notification, whatever else is in it, and each
# event as a notification of its own.

use Waha::Test;
use Waha::Unit;

use utf8;
use Encode ();
use JSON::PP ();
use List::Util qw(shuffle);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

my $unit = Waha::Unit->new('meta', sources('event'),
    map { source("ngx_http_waha_$_.c") } qw(json string value));

my ($account, $number) = ('100000000000001', '200000000000001');
my $present = 1800000000000;

my @fixtures = @{ $json->decode(slurp(root() . '/t/fixtures/meta.json'))
                  ->{cases} };


# --- what Meta sends ---------------------------------------------------------

my %joao = (phone => '5511988887777', bsuid => 'BR.90000000000000001',
            name => 'João Ñandú');
my %nobody = (phone => undef, bsuid => undef, name => undef);
my %status = (kind => 'status', direction => 'outbound', type => undef,
              name => undef, message_id => 'wamid.TESTOUT00001',
              target_id => 'wamid.TESTOUT00001');
my $price = { billable => $true, pricing_model => 'PMP', type => 'regular',
              category => 'marketing' };
my $reply = { id => 'wamid.TESTOUT00001', participant => '5511900000001' };
my $sha256 = 'dGVzdC1zaGEyNTYtbm90LXJlYWw=';

# the number in the ids and times of a fixture, what differs in the event, what
# differs in its metadata; undef: the member is missing

my %expected = (

text => [ 1, { text => 'Olá, tudo bem? 😀' } ],

text_bsuid_only_username => [ 2, { text => 'sem telefone', phone => undef,
    bsuid => 'BR.90000000000000002', name => 'Ana',
    username => '@ana.silva' } ],

text_reply => [ 4, { text => 'essa aí' }, { reply_to => $reply } ],

text_forwarded => [ 5, { text => 'fwd' }, { forwarded => $true } ],

text_product_enquiry => [ 6, { text => 'tem?' }, {
    reply_to => { id => 'wamid.X', participant => '5511900000001' },
    referred_product => { catalog_id => '300000000000001',
                          id => 'SKU-1' } } ],

image => [ 8, { type => 'image', text => 'foto' }, { has_media => $true,
    media => { id => '410000000000001', mimetype => 'image/jpeg',
               sha256 => $sha256 } } ],

audio_voice => [ 10, { type => 'audio' }, { has_media => $true,
    media => { id => '410000000000003', voice => $true, sha256 => $sha256,
               mimetype => 'audio/ogg; codecs=opus' } } ],

document => [ 11, { type => 'document', text => 'segue' },
    { has_media => $true,
      media => { id => '410000000000004', mimetype => 'application/pdf',
                 filename => 'proposta ção.pdf', sha256 => $sha256 } } ],

sticker => [ 12, { type => 'sticker' }, { has_media => $true,
    media => { id => '410000000000005', mimetype => 'image/webp',
               animated => $false, sha256 => $sha256 } } ],

location => [ 13, { type => 'location' }, {
    location => { latitude => '-23.55052', longitude => '-46.633308',
                  name => 'Sé', address => 'Pça da Sé' } } ],

contacts => [ 14, { type => 'contacts' }, {
    contacts => [ { name => { formatted_name => 'Bia Souza',
                              first_name => 'Bia' },
                    phones => [ { phone => '+55 21 97777-6666',
                                  wa_id => '5521977776666',
                                  type => 'CELL' } ],
                    origin => 'other' } ],
    vcards => [ "BEGIN:VCARD\nVERSION:3.0\nEND:VCARD" ] } ],

interactive_button_reply => [ 16, { type => 'button_reply', text => 'Sim' },
    { selection => { id => 'yes' }, reply_to => $reply } ],

interactive_list_reply => [ 17, { type => 'list_reply', text => 'Opção 1' },
    { selection => { id => 'r1', description => 'd' } } ],

button_template_quick_reply => [ 19, { type => 'button_reply',
                                       text => 'Parar' },
    { selection => { id => 'STOP' }, reply_to => $reply } ],

reaction => [ 20, { kind => 'reaction', type => undef, text => '👍',
                    target_id => 'wamid.TESTOUT00001' }, undef ],

reaction_removed => [ 21, { kind => 'reaction', type => undef, text => '',
                            target_id => 'wamid.TESTOUT00001' }, undef ],

order => [ 22, { type => 'order' }, { order => {
    catalog_id => '300000000000001', text => '',
    product_items => [ { product_retailer_id => 'SKU-1', quantity => 2,
                         item_price => 30.5, currency => 'BRL' } ] } } ],

system_user_changed_number => [ 23, { kind => 'user', type => undef,
    name => undef, phone => '5511966665555',
    previous_phone => '5511988887777', bsuid => 'BR.90000000000000009' },
    undef ],

unsupported => [ 25, { type => 'unknown' }, {
    original_type => 'unsupported',
    errors => [ { code => 131051, title => 'Message type unknown',
                  message => 'Message type unknown', error_data => {
                  details => 'Message type is currently not supported.' } } ]
    } ],

edit => [ 26, { kind => 'edit', type => undef, text => 'corrigido',
                target_id => 'wamid.TESTIN00001' }, undef ],

revoke => [ 27, { kind => 'revoke', type => undef,
                  target_id => 'wamid.TESTIN00001' }, undef ],

request_welcome => [ 28, { type => 'request_welcome', empty => $true } ],

future_unknown_type => [ 29, { type => 'unknown' },
    { original_type => 'hologram', content => { x => 1 } } ],

group_text => [ 30, { text => 'no grupo', chat => 'group',
                      chat_id => 'Y2FwaV9ncm91cDpleGFtcGxl' },
    { participant => '5511988887777' } ],

status_sent => [ 31, { %status, status => 'sent',
    details => { pricing => $price, callback => 'out:7f3c' } }, undef ],

status_delivered => [ 32, { %status, status => 'delivered',
    username => '@joao', details => { pricing => $price } }, undef ],

status_read => [ 33, { %status, status => 'read' }, undef ],

status_played => [ 34, { %status, status => 'played' }, undef ],

status_delivered_bsuid_only => [ 36, { %status, status => 'delivered',
    phone => undef, bsuid => 'BR.90000000000000002',
    username => '@ana.silva' }, undef ],

status_legacy_conversation => [ 37, { %status, status => 'sent',
    bsuid => undef, details => {
        pricing => { billable => $true, pricing_model => 'CBP',
                     category => 'service' },
        conversation => { id => 'c0ffee',
                          expiration_timestamp => '1763776400',
                          origin => { type => 'service' } } } }, undef ],

value_errors => ignored('errors'),

user_actions_on_messages_field => ignored('user_actions'),

user_preferences => [ 0, { kind => 'user', event => 'user_preferences',
    type => undef, message_id => undef, details => {
        category => 'marketing_messages', value => 'stop',
        detail => 'User requested to stop marketing messages' } }, undef ],

smb_message_echo => [ 0, { event => 'smb_message_echoes', name => undef,
    message_id => 'wamid.TESTECHO1', direction => 'outbound',
    text => 'respondi pelo celular' } ],

account_update_no_metadata => [ 0, { %nobody, kind => 'account',
    event => 'account_update', session => $account, type => undef,
    message_id => undef, details => { event => 'ACCOUNT_RESTRICTION',
                                      restriction_info => [] } }, undef ],

template_status_no_metadata => [ 0, { %nobody, kind => 'account',
    event => 'message_template_status_update', session => $account,
    type => undef, message_id => undef, details => {
        event => 'APPROVED', message_template_id => 123456,
        message_template_name => 'promo', reason => 'NONE',
        message_template_language => 'pt_BR' } }, undef ],

dashboard_test_sample => [ 0, { %{ ignored('test')->[1] }, account => '0',
                                session => '123456123' }, undef ],

batch_two_entries_two_numbers =>
    [ 40, { text => 'a1' } ],
    'message 2' =>
    [ 41, { text => 'a2', phone => '5521977776666', name => 'Bia',
            bsuid => 'BR.90000000000000003' } ],
    'message 3' => [ 42, { %status, status => 'sent' }, undef ],
    'message 4' => [ 43, { %status, status => 'delivered' }, undef ],
    'message 5' =>
    [ 44, { account => '100000000000002', session => '200000000000002',
            text => 'b1', phone => '5215512345678', bsuid => 'MX.1',
            name => 'Mx' } ],
);

my @all;

for my $fixture (@fixtures) {
    my $name = $fixture->{name};
    my @got = events($fixture->{raw_ascii_escaped});
    my @rows = delete $expected{$name};

    push @rows, map { delete $expected{"message $_"} } 2 .. 5
        if $name eq 'batch_two_entries_two_numbers';

    is(scalar @got, scalar @rows, "$name: as many events as updates");

    for my $i (0 .. $#rows) {
        is_deeply($got[$i], want(@{ $rows[$i] }), "$name: event $i");
    }

    push @all, @got;
}

is_deeply([ sort keys %expected ], [], 'each fixture was compared');


# --- in any order, twice, in other parts --------------------------------------

srand(my $seed = time);
note("seed $seed");

my @entries = map { @{ $_->{body}{entry} } } @fixtures;

same_events([ @entries ], 'all fixtures in one notification');
same_events([ map { parted($_) } @entries ], 'each item in a change of its own');
same_events([ map { joined($_) } shuffle @entries ],
            'all items of a field in one change, shuffled') for 1 .. 5;

my @twice = events(notification(@entries, @entries));

is_deeply([ sort_events(@twice) ], [ sort_events(@all, @all) ],
          'all fixtures twice give their events twice');


# --- who is who ---------------------------------------------------------------

my @crowd = map { { profile => { name => "Name $_" },
                    wa_id => 5521900000000 + $_ . '',
                    user_id => "BR.$_" } } 1 .. 30;
my @talk = map { message({ id => "wamid.$_", from => $_ % 3
                           ? 5521900000000 + $_ . '' : undef,
                           from_user_id => $_ % 2 ? "BR.$_" : undef }) }
           grep { $_ % 6 } 1 .. 30;

for my $round (1 .. 5) {
    my @got = events(change('messages', { contacts => [ shuffle @crowd ],
                                          messages => [ shuffle @talk ] }));

    is(scalar @got, 25, 'as many events as messages');
    is_deeply([ grep { my ($n) = $_->{message_id} =~ /(\d+)/;
                       $_->{name} ne "Name $n" || $_->{bsuid} ne "BR.$n"
                       || $_->{phone} ne 5521900000000 + $n } @got ], [],
              'the contact with the same id counts, wherever it stands');
}

is_deeply(one({ contacts => [ @crowd[3, 4] ], messages => [ message({}) ] })
              ->{name}, undef, 'the only contact may be somebody else');
is(one({ contacts => [ { wa_id => '5511988887777', profile => { name => 'A' } },
                       { wa_id => '5511988887777', profile => { name => 'B' } }
                     ], messages => [ message({}) ] })->{name}, 'A',
   'of two contacts with one id the first counts');
is_deeply([ @{ one({ contacts => [ { user_id => 'BR.7', wa_id => '5511900000007',
                parent_user_id => 'BR.ENT.7', profile => { username => 'u' } } ],
            messages => [ message({ from => undef,
                                    from_user_id => 'BR.7' }) ] }) }
            {qw(phone bsuid parent_bsuid username)} ],
          [ '5511900000007', 'BR.7', 'BR.ENT.7', 'u' ],
          'a contact completes the ids of a person');
is(one({ contacts => { wa_id => '5511988887777' },
         messages => [ message({}) ] })->{phone}, '5511988887777',
   'contacts that are no list');
is(one({ contacts => [ 1, undef, 'x', [] ], messages => [ message({}) ] })
     ->{phone}, '5511988887777', 'contacts that are none');

for my $name ('', ' ', "\x{200b}", "\x{3164}") {
    is(one({ contacts => [ { wa_id => '5511988887777',
                             profile => { name => $name } } ],
             messages => [ message({}) ] })->{name}, undef,
       'a name that shows nothing is none');
}

for my $bsuid ('BR.1', 'US.' . 'x' x 128, 'BR.ENT.1', 'BR.ENTx',
               'BR.ENT.' . 'Z9' x 64)
{
    my $got = one({ messages => [ message({ from => undef,
                                            from_user_id => $bsuid }) ] });
    is_deeply([ @$got{qw(bsuid phone)} ], [ $bsuid, undef ],
              "a user id: $bsuid");
}

for my $bsuid ('br.1', 'B.1', 'BRA.1', 'BR.', 'BR.ENT.', 'BR1', 'BR.a-b',
               'BR.é', "BR.1\n", 'US.' . 'x' x 129, 'BR.ENT.' . 'x' x 129,
               'BR.PAR.1', '', 5, undef)
{
    is(one({ messages => [ message({ from_user_id => $bsuid }) ] })->{bsuid},
       undef, 'no user id: ' . ($bsuid // 'null'));
}

for my $phone ('+5511988887777', '55 11', '0511988887777', '1234', '1' x 16,
               'BR.1', "5511988887777\n", 5511988887777, undef, [])
{
    is(missing({ messages => [ message({ from => $phone }) ] }),
       'messages.from', 'no number: ' . $json->encode($phone));
}

is(one({ messages => [ message({ from => '5511900000001' }) ] })->{reason},
   'self', 'what we have written to ourselves');

is_deeply([ @{ one({ messages => [ message({
                from_parent_user_id => 'BR.ENT.5' }) ] }) }
            {qw(parent_bsuid bsuid phone)} ],
          [ 'BR.ENT.5', undef, '5511988887777' ], 'a parent id');


# --- what messages are --------------------------------------------------------

sub metadata {
    my ($message, $name, $want, $what) = @_;

    is_deeply(said($message)->{metadata}{$name}, $want, $what);
}

for my $case (
    [ { type => 'text', text => { body => '' } }, 'text', undef, 1 ],
    [ { type => 'text', text => undef }, 'text', undef, 1 ],
    [ { type => 'video', video => { caption => 'v' } }, 'video', 'v' ],
    [ { type => 'image', image => {} }, 'image', undef ],
    [ { type => 'voice', voice => { id => '1' } }, 'audio', undef ],
    [ { type => 'order', order => { text => 'two' } }, 'order', 'two' ],
    [ { type => 'interactive', interactive => { type => 'nfm_reply',
        nfm_reply => { name => 'flow', body => 'Sent',
                       response_json => '{"a":1}' } } },
      'flow_reply', 'Sent' ],
    [ { type => 'interactive', interactive => {
        type => 'call_permission_reply',
        call_permission_reply => { response => 'accept' } } },
      'interactive', undef ],
    [ { type => 'interactive', interactive => { type => 'tomorrow',
        body => { text => 'choose' } } }, 'interactive', 'choose' ],
    [ { type => 'interactive', errors => [ { code => 131051 } ] },
      'unknown', undef ],
    [ { type => 'template', template => { name => 'promo' } },
      'template', undef ],
    [ { type => 'unsupported', unsupported => { type => 'poll' } },
      'unknown', undef ],
    [ { type => 'media_placeholder' }, 'unknown', undef ],
    [ { type => 5, text => { body => 'x' } }, 'unknown', undef ],
    [ { type => undef }, 'unknown', undef ])
{
    my ($message, $type, $text, $empty) = @$case;
    my $got = said($message);

    is_deeply([ @$got{qw(kind type text empty)} ],
              [ 'message', $type, $text, $empty ? $true : undef ],
              'what it is: ' . $json->encode($message));
}

metadata({ type => 'image', image => { id => '1', mime_type => 'image/png',
           url => 'https://lookaside.fbsbx.com/x', filename => 'a' x 2000 } },
         media => { id => '1', mimetype => 'image/png',
                    filename => 'a' x 1024 },
         'the URL of a file, which does not last, is not kept');
metadata({ type => 'image', image => { filename => 'a' x 2000 } },
         truncated => $true, 'what was shortened says so');
metadata({ type => 'image' }, media => {}, 'a file of which nothing is known');
metadata({ type => 'location', location => { latitude => '1.5',
           longitude => 181, url => 'u' } },
         location => { latitude => '1.5', url => 'u' },
         'a place in strings, and no place on Earth');
metadata({ type => 'interactive', interactive => { type => 'nfm_reply',
           nfm_reply => { name => 'flow', response_json => '{"a":"é"}' } } },
         selection => { name => 'flow', params => '{"a":"é"}' },
         'what a form was filled with');
metadata({ type => 'interactive', interactive => {
           type => 'call_permission_reply',
           call_permission_reply => { response => 'accept' } } },
         selection => { name => 'call_permission_reply',
                        params => { response => 'accept' } },
         'a permission to call');
metadata({ type => 'contacts', contacts => [ ({ name => {} }) x 30 ] },
         contacts => [ ({ name => {} }) x 20 ], 'many cards');
metadata({ type => 'contacts', contacts => [ { phones => ['1' x 5000] },
           5, { vcard => 'V' } ] }, contacts => [ {}, {}, {} ],
         'a card that is too large');
metadata({ type => 'contacts', contacts => { name => 'x' } },
         contacts => undef, 'cards that are no list');
metadata({ type => 'hologram', hologram => [ 'x' x 9000 ] },
         content => undef, 'unknown content that is too large');
metadata({ type => 'unsupported', unsupported => { type => 'poll' } },
         original_type => 'poll', 'what is not supported');
metadata({ context => { frequently_forwarded => $true, id => "a\nb" } },
         frequently_forwarded => $true, 'forwarded by many');
metadata({ context => { id => 'wamid.A', from_user_id => 'BR.1' } },
         reply_to => { id => 'wamid.A', participant => 'BR.1' },
         'a reply to somebody without a number');
metadata({ context => { id => "a\nb" } }, reply_to => undef,
         'a reply to no message');

metadata({ referral => { source_url => 'https://fb.me/x', source_id => '7',
           source_type => 'ad', headline => 'Sale', body => 'Now',
           media_type => 'image', image_url => 'i', ctwa_clid => 'c',
           welcome_message => { text => 'Hi' } } },
         referral => { url => 'https://fb.me/x', id => '7', source => 'ad',
                       title => 'Sale', body => 'Now', media_type => 'image',
                       image_url => 'i', ctwa_clid => 'c' },
         'the advertisement that brought a person');

my $large = change('messages', { messages => [ message({ type => 'hologram',
    hologram => { id => 'ID', price => 0.1 } }) ] })
    =~ s/"ID"/12345678901234567890/r;
like(($unit->ask(notification => $large))->{events}[0]{metadata},
     qr/"id":12345678901234567890\b/, 'digits that no double holds are kept');
like(($unit->ask(notification => $large))->{events}[0]{metadata},
     qr/"price":0\.1\b/, 'a fraction is kept');

for my $case (
    [ { message_id => 'wamid.A', emoji => '' }, '' ],
    [ { message_id => 'wamid.A', emoji => undef }, '' ],
    [ { message_id => 'wamid.A', emoji => 5 }, '' ],
    [ { message_id => 'wamid.A', emoji => '👍🏽' }, '👍🏽' ])
{
    my $got = said({ type => 'reaction', reaction => $case->[0] });
    is_deeply([ @$got{qw(kind target_id text)} ],
              [ 'reaction', 'wamid.A', $case->[1] ],
              'a reaction: ' . $json->encode($case->[0]));
}

for my $case (
    [ { type => 'text', text => { body => 'b' } }, 'b', 'a text' ],
    [ { type => 'image', image => { caption => 'c' } }, 'c', 'a caption' ],
    [ { type => 'image', image => {} }, '', 'a caption that is removed' ],
    [ { type => 'text', text => {} }, undef, 'a text that is not there' ],
    [ undef, undef, 'nothing' ])
{
    my $got = said({ type => 'edit', edit => {
        original_message_id => 'wamid.A', message => $case->[0] } });
    is_deeply([ @$got{qw(kind target_id text)} ],
              [ 'edit', 'wamid.A', $case->[1] ], "an edit to $case->[2]");
}

for my $type (qw(reaction edit revoke)) {
    my $member = $type eq 'reaction' ? 'message_id' : 'original_message_id';

    is(missing({ messages => [ message({ type => $type, $type => $_ }) ] }),
       "messages.$type.$member", "$type of nothing")
        for {}, undef, [], { $member => '' }, { $member => 'x' x 513 };
}


# --- ids and times ------------------------------------------------------------

for my $id ('wamid.HBgNNTUx/+==', 'ABGGFlA5Fpa', 'x' x 512, '0') {
    is(said({ id => $id })->{message_id}, $id, 'an id: ' . substr $id, 0, 20);
}

for my $id ('', 'x' x 513, 'a b', "a\n", 'é', 5, undef, {}) {
    is(missing({ messages => [ message({ id => $id }) ] }), 'messages.id',
       'no id: ' . substr $json->encode($id), 0, 20);
}

for my $case (
    [ '1763690001', 1763690001000 ], [ 1763690001, 1763690001000 ],
    [ '1763690001.5', 1763690001500 ], [ 0, $present ], [ 'x', $present ],
    [ undef, $present ])
{
    is(said({ timestamp => $case->[0] })->{sent_at}, $case->[1],
       'a time: ' . ($case->[0] // 'null'));
}

my $late = said({ timestamp => undef });
is_deeply([ @{ $late->{metadata} }{qw(timestamp time_guessed)} ],
          [ undef, $true ], 'a time that is guessed says so');

($late) = events(notification({ id => $account, time => 1763690009, changes => [
    { field => 'messages', value => value({ messages => [
        message({ timestamp => '' }) ] }) } ] }));
is($late->{sent_at}, 1763690009000, 'the time of the entry is nearer');


# --- groups --------------------------------------------------------------------

my $group = said({ group_id => 'G1', type => 'reaction',
                   reaction => { message_id => 'wamid.A', emoji => 'x' } });
is_deeply([ @$group{qw(chat chat_id phone)} ],
          [ 'group', 'G1', '5511988887777' ], 'a reaction in a group');
is(missing({ messages => [ message({ group_id => 'a b' }) ] }),
   'messages.group_id', 'a group without an id');

my $sent = one({ statuses => [ { id => 'wamid.A', status => 'read',
    timestamp => '1763690001', recipient_id => 'G1', recipient_type => 'group',
    recipient_participant_id => '5511988887777',
    recipient_participant_user_id => 'BR.1' } ] });
is_deeply([ @$sent{qw(kind chat chat_id phone bsuid status direction)} ],
          [ 'status', 'group', 'G1', '5511988887777', 'BR.1', 'read',
            'outbound' ], 'read by somebody in a group');


# --- statuses ------------------------------------------------------------------

for my $case (
    [ 'sent', 'sent' ], [ 'pending', 'pending' ], [ 'FAILED', 'failed' ],
    [ 'played', 'played' ])
{
    is(one({ statuses => [ { id => 'A', status => $case->[0] } ] })->{status},
       $case->[1], "the status $case->[0]");
}

is(one({ statuses => [ { id => 'A', status => 'warning' } ] })->{reason},
   'event', 'a status that is not known');
is(missing({ statuses => [ { id => 'A' } ] }), 'statuses.status', 'no status');
is(missing({ statuses => [ { status => 'sent' } ] }), 'statuses.id',
   'the status of nothing');

my $failed = one({ statuses => [ { id => 'A', status => 'failed',
    errors => [ { code => 131047, title => 'Re-engagement' } ] } ] });
is_deeply($failed->{details}, { errors => [ { code => 131047,
          title => 'Re-engagement' } ] }, 'why it has failed');
is_deeply([ @$failed{qw(phone bsuid)} ], [ undef, undef ],
          'nobody is told of');

is_deeply(one({ statuses => [ { id => 'A', status => 'failed',
    errors => [ 'x' x 5000 ], biz_opaque_callback_data => 'c' } ] })
              ->{details}, { callback => 'c', truncated => $true },
          'errors that are too large');

my $deleted = one({ statuses => [ { id => 'A', status => 'deleted',
    recipient_id => '5511988887777' } ] });
is_deeply([ @$deleted{qw(kind target_id direction phone status)} ],
          [ 'revoke', 'A', 'inbound', '5511988887777', undef ],
          'a person has deleted a message');


# --- new identities -------------------------------------------------------------

sub system_message {
    return said({ type => 'system', system => $_[0],
                  from_user_id => 'BR.OLD' });
}

my %new = (kind => 'user', phone => '5511988887777', bsuid => 'BR.OLD',
           previous_phone => undef, previous_bsuid => undef);

for my $case (
    [ { type => 'user_changed_number', wa_id => '5511966665555',
        user_id => 'BR.NEW', parent_user_id => 'BR.ENT.P' },
      { phone => '5511966665555', previous_phone => '5511988887777',
        bsuid => 'BR.NEW', previous_bsuid => 'BR.OLD' } ],
    [ { type => 'user_changed_number', wa_id => '5511966665555' },
      { phone => '5511966665555', previous_phone => '5511988887777' } ],
    [ { type => 'user_changed_user_id', user_id => 'BR.NEW',
        previous_user_id => 'BR.BEFORE' },
      { bsuid => 'BR.NEW', previous_bsuid => 'BR.BEFORE' } ],
    [ { type => 'customer_changed_number', new_wa_id => '5511966665555',
        customer => '5511977776666' },
      { phone => '5511966665555', previous_phone => '5511977776666' } ],
    [ { type => 'user_changed_number' }, undef ],
    [ { type => 'user_changed_number', wa_id => '5511988887777' }, undef ],
    [ { type => 'customer_identity_changed', wa_id => '5511966665555' },
      undef ],
    [ { type => 'tomorrow', wa_id => '5511966665555' }, undef ],
    [ undef, undef ])
{
    my ($system, $want) = @$case;
    my $got = system_message($system);

    is_deeply({ map { $_ => $got->{$_} } keys %new },
              $want ? { %new, %$want }
                    : { %new, kind => 'other', phone => undef,
                        bsuid => undef },
              'new: ' . $json->encode($system));
}

my $update = one({ user_id_update => [ { wa_id => '5511988887777',
    user_id => { previous => 'BR.1', current => 'BR.2' },
    parent_user_id => { previous => 'BR.ENT.1', current => 'BR.ENT.2' },
    timestamp => '1763690001' } ] }, 'user_id_update');
is_deeply([ @$update{qw(kind event phone bsuid parent_bsuid previous_bsuid
                        sent_at)} ],
          [ 'user', 'user_id_update', '5511988887777', 'BR.2', 'BR.ENT.2',
            'BR.1', 1763690001000 ], 'a new user id');
is(missing({ user_id_update => [ { user_id => { previous => 'BR.1' } } ] },
           'user_id_update'), 'user_id_update.user_id.current',
   'a new user id that is none');
is(missing({ user_id_update => [ { user_id => { current => 'BR.1' } } ] },
           'user_id_update'), 'user_id_update.user_id.previous',
   'a new user id of nobody');

my $card = one({ state_sync => [ { type => 'contact', action => 'add',
    contact => { full_name => 'Ana Silva', first_name => 'Ana',
                 phone_number => '+55 11 98888-7777' },
    metadata => { timestamp => '1763690001' } } ] }, 'smb_app_state_sync');
is_deeply([ @$card{qw(kind phone name sent_at)} ],
          [ 'user', '5511988887777', 'Ana Silva', 1763690001000 ],
          'a name in the address book');
is(one({ state_sync => [ { type => 'contact', action => 'edit', contact => {
    full_name => ' ', first_name => 'Ana', user_id => 'BR.1' } } ] },
       'smb_app_state_sync')->{name}, 'Ana', 'the first name is one, too');
is(one({ state_sync => [ { type => 'contact', action => 'remove', contact => {
    phone_number => '5511988887777' } } ] }, 'smb_app_state_sync')->{reason},
   'notice', 'somebody has left the address book');
is(missing({ state_sync => [ { type => 'contact', contact => {} } ] },
           'smb_app_state_sync'), 'state_sync.contact.phone_number',
   'a name of nobody');


# --- typed on the phone ----------------------------------------------------------

for my $field (qw(smb_message_echoes message_echoes)) {
    my $echo = one({ message_echoes => [ message({ from => '5511900000001',
        to => '5511988887777', to_user_id => 'BR.1' }) ],
        contacts => [ { wa_id => '5511988887777',
                        profile => { name => 'Not ours' } } ] }, $field);
    is_deeply([ @$echo{qw(kind event direction phone bsuid name text)} ],
              [ 'message', $field, 'outbound', '5511988887777', 'BR.1', undef,
                'hi' ], "$field: the person is who it is sent to");
}

my $echo = one({ message_echoes => [ message({ to => '5511988887777',
    type => 'revoke', revoke => { original_message_id => 'wamid.A' } }) ] },
    'smb_message_echoes');
is_deeply([ @$echo{qw(kind direction target_id)} ],
          [ 'revoke', 'outbound', 'wamid.A' ], 'we have deleted a message');
is(missing({ message_echoes => [ message({}) ] }, 'smb_message_echoes'),
   'message_echoes.to', 'sent to nobody');
is_deeply([ @{ one({ message_echoes => [ message({ group_id => 'G1',
                to => '5511988887777' }) ] }, 'smb_message_echoes') }
            {qw(chat chat_id phone direction)} ],
          [ 'group', 'G1', undef, 'outbound' ],
          'our message to a group is addressed to no single person');


# --- the history of the phone ------------------------------------------------------

my $history = { history => [ { metadata => { phase => 0, chunk_order => 1 },
    threads => [
        { id => '5511988887777', context => { user_id => 'BR.1',
                                              username => 'joao' },
          messages => [
            message({ id => 'h1', history_context => { status => 'READ' } }),
            message({ id => 'h2', from => '5511900000001',
                      history_context => { status => 'DELIVERED' } }),
            message({ id => 'h3', from => '5511900000001',
                      to => '5511988887777', history_context => {
                          status => 'ERROR' } }),
            message({ id => 'h4', from => undef, history_context => {
                          from_me => $true, status => 'played' } }),
            message({ id => 'h5', type => 'media_placeholder' }) ] },
        { id => '5521977776666', messages => [
            message({ id => 'h6', from => '5521977776666' }) ] } ] },
    { errors => [ { code => 2593109, title => 'declined' } ] } ] };

my @past = events(change('history', $history));

is_deeply([ map { [ @$_{qw(message_id direction phone bsuid username status
                           type reason)} ] } @past ], [
    [ 'h1', 'inbound', '5511988887777', 'BR.1', 'joao', undef, 'text', undef ],
    [ 'h2', 'outbound', '5511988887777', 'BR.1', 'joao', 'delivered', 'text',
      undef ],
    [ 'h3', 'outbound', '5511988887777', 'BR.1', 'joao', 'failed', 'text',
      undef ],
    [ 'h4', 'outbound', '5511988887777', 'BR.1', 'joao', 'played', 'text',
      undef ],
    [ 'h5', 'inbound', '5511988887777', 'BR.1', 'joao', undef, 'unknown',
      undef ],
    [ 'h6', 'inbound', '5521977776666', undef, undef, undef, 'text', undef ],
    [ undef, 'inbound', undef, undef, undef, undef, undef, 'errors' ] ],
    'messages of before, and that there are no others');
is_deeply([ @{ $past[0]{metadata} }{qw(history history_status)} ],
          [ $true, 'READ' ], 'an old message says that it is one');

my $file = one({ messages => [ message({ id => 'h5', type => 'image',
    image => { id => '1' } }) ] }, 'history');
is_deeply([ @$file{qw(message_id type direction)} ],
          [ 'h5', 'image', 'inbound' ], 'the file of an old message');

is(($unit->ask(notification => change('history', { history => [ {} ] })))
     ->{events}[0]{reason}, 'event', 'a history without anything');


# --- calls -------------------------------------------------------------------------

for my $case (
    [ { event => 'connect', from => '5511988887777',
        direction => 'USER_INITIATED' }, 'inbound', 'received' ],
    [ { event => 'terminate', from => '5511988887777', status => 'FAILED',
        to => '5511900000001' }, 'inbound', 'failed' ],
    [ { event => 'terminate', from => '5511988887777',
        status => [ 'COMPLETED' ] }, 'inbound', 'completed' ],
    [ { event => 'connect', from => '5511900000001', to => '5511988887777',
        direction => 'BUSINESS_INITIATED' }, 'outbound', 'received' ],
    [ { event => 'terminate', from => '5511900000001',
        to => '5511988887777' }, 'outbound', 'completed' ])
{
    my ($call, $direction, $status) = @$case;
    my $got = one({ calls => [ { id => 'wacid.1', timestamp => '1763690001',
        duration => 33, session => { sdp => 'v=0' }, %$call } ] }, 'calls');

    is_deeply([ @$got{qw(kind message_id direction status type phone)},
                $got->{metadata}{duration} ],
              [ 'call', 'wacid.1', $direction, $status, 'audio',
                '5511988887777', 33 ], 'a call: ' . $json->encode($call));
}

is(one({ statuses => [ { id => 'wacid.1', type => 'call', status => 'REJECTED',
    recipient_id => '5511988887777' } ] }, 'calls')->{status}, 'rejected',
   'what has become of a call of ours');
is(one({ calls => [ { id => 'wacid.1', event => 'tomorrow',
    from => '5511988887777' } ] }, 'calls')->{reason}, 'event',
   'a call of which nothing is known');
is(missing({ calls => [ { id => 'wacid.1', event => 'connect' } ] }, 'calls'),
   'calls.from', 'a call from nowhere');


# --- news of an account ----------------------------------------------------------------

my $news = one({ event => 'FLAGGED', message_template_id => 'ID' }, 'security');
is_deeply([ @$news{qw(kind event session account sent_at)} ],
          [ 'account', 'security', $account, $account, $present ],
          'news of an account');
my ($template) = events(notification({ id => $account, changes => [ {
    field => 'message_template_components_update',
    value => { event => 'X', element => 'y' x 20000, n => [ 1 ] } } ] }));
is_deeply($template->{details}, { event => 'X', truncated => $true },
          'of news that are too large what is short is kept');
is((events(notification({ id => 'x', changes => [ { field => 'security',
     value => {} } ] })))[0]{missing}, 'entry.id', 'news of no account');


# --- a bad item and its neighbours -------------------------------------------------------

for my $bad (5, 'x', [], $true, {}, { id => 'x' }, { from => '5511988887777' },
             { id => 'a b', from => '5511988887777' })
{
    for my $list (
        [ 'messages', 'messages', message({}) ],
        [ 'messages', 'statuses', { id => 'A', status => 'read' } ],
        [ 'smb_message_echoes', 'message_echoes',
          message({ to => '5511988887777' }) ])
    {
        my ($field, $name, $good) = @$list;
        my @got = events(change($field, { $name => [ $good, $bad, $good ] }));

        is_deeply([ map { !!defined $_->{missing} } @got ], [ '', 1, '' ],
                  "neighbours of a bad item in $name are read");
        is_deeply([ map { $_->{session} } @got ], [ ($number) x 3 ],
                  'its number is known');
        like($got[1]{missing}, qr/^\Q$name\E(\.|$)/, 'and so is what is missing');
    }
}

my @odd = events($json->encode({ object => 'whatsapp_business_account',
    entry => [ 5, { id => $account }, { id => $account, changes => [ 7,
    { value => {} }, { field => "a b", value => {} },
    { field => 'messages' }, { field => 'messages', value => [] },
    { field => 'messages', value => { messages => [ message({}) ] } },
    { field => 'tomorrow', value => {} },
    { field => 'messages', value => {} },
    { field => 'messages', value => value({ messages => message({}) }) },
    { field => 'messages', value => value({ messages => 5 }) } ] } ] }));
is_deeply([ map { $_->{missing} // $_->{reason} // $_->{kind} } @odd ],
          [ 'entry', 'event', 'changes.field', 'changes.field',
            'changes.field', 'changes.value', 'changes.value',
            'metadata.phone_number_id', 'event', 'event', 'message',
            'messages' ], 'each odd part is an event of its own');

is(one({ metadata => { phone_number_id => $_ }, messages => [ message({}) ] })
     ->{missing}, 'metadata.phone_number_id', 'a number of ours that is none')
    for '', 'x', '12 3', '-1', '1' x 33, 5, undef;

my ($alone) = events(change('messages', { metadata => undef, errors => [ {} ] }));
is($alone->{reason}, 'errors', 'errors of nobody');


# --- not a notification --------------------------------------------------------------------

for my $case (
    [ '', 'nothing' ], [ '{', 'half' ], [ 'null', 'null' ], [ '[]', 'an array' ],
    [ '{}', 'an empty object' ], [ '{"entry":{}}', 'an entry that is no list' ],
    [ $fixtures[0]{raw_ascii_escaped} . 'x', 'garbage behind it' ])
{
    is($unit->ask(notification => $case->[0])->{rc}, 'declined',
       "no notification: $case->[1]");
}

is($unit->ask(notification => '{"entry":[]}')->{events}[0]{reason}, 'event',
   'a notification of nothing');
is($unit->ask(notification => '{"object":"page","entry":[{"id":"1",'
                              . '"messaging":[{}]}]}')->{events}[0]{reason},
   'event', 'another product of Meta');


# --- bytes that no parser agrees on ----------------------------------------------------------

my @mended = events(change('messages', { messages => [
    message({ id => 'wamid.A', text => { body => 'BAD' } }),
    message({ id => 'wamid.B' }),
    message({ id => 'wamid.C', type => 'reaction', reaction => {
        message_id => 'wamid.A', emoji => 'BAD' } }) ] }) =~ s/BAD/a\\u0000\xff/gr);
is_deeply([ map { [ @$_{qw(text sanitised)}, $_->{metadata}{sanitised} ] }
            @mended ],
          [ [ "a\x{fffd}\x{fffd}", $true, $true ], [ 'hi', undef, undef ],
            [ "a\x{fffd}\x{fffd}", $true, $true ] ],
          'who was mended says so, and nobody else');


# --- each event alone ------------------------------------------------------------------------

my @whole = (
    (map { $_->{raw_ascii_escaped} } @fixtures),
    notification(@entries),
    change('history', $history),
    change('messages', { contacts => \@crowd, messages => \@talk }),
    change('messages', { messages => [ 5, {}, message({}), message({ x => 1e400,
        y => '"\\,]}' }) ], errors => [ {} ], statuses => 7 }),
    $json->pretty->encode($json->decode($fixtures[0]{raw_ascii_escaped})),
    "\xef\xbb\xbf" . $fixtures[0]{raw_ascii_escaped},
    '{"entry":[]}', '{}', '{"entry":[7,{"id":"1"}]}',
    '{"entry":[{"id":"1","changes":[7,{}]}]}',
);

$json->pretty(0);

for my $body (@whole) {
    my @events = events($body);
    my @raw = @{ $unit->ask(raw => $body)->{raw} };
    my @again = map { events(encoded($_)) } @raw;

    is_deeply(\@again, \@events, 'each event alone gives the same: '
              . substr($body, 0, 30) =~ s/[^ -~]+/ /gr);
}


# --- bounds --------------------------------------------------------------------------------------

my @people = map { { profile => { name => "Pessoa número $_" },
                     wa_id => 5521900000000 + $_ . '',
                     user_id => 'BR.' . (90000000000000000 + $_) } } 1 .. 1000;
my @updates = map { message({ id => "wamid.$_", from => 5521900000000 + $_ . '',
    type => 'order', order => { catalog_id => '1', product_items => [
        map { { product_retailer_id => "SKU-$_", quantity => $_,
                item_price => $_ / 2, currency => 'BRL' } } 1 .. 30 ] } }) }
              1 .. 1000;

my $full = change('messages', { contacts => [ reverse @people ],
                                messages => \@updates });

cmp_ok(length $full, '>', 2.4e6, 'a notification as large as they get');
cmp_ok(length $full, '<', 3e6, 'and no larger');

my @full = events($full);
is(scalar @full, 1000, '1,000 messages in one notification');
is_deeply([ grep { $full[$_]{name} ne 'Pessoa número ' . ($_ + 1)
                   || defined $full[$_]{missing} } 0 .. 999 ], [],
          'each has its own contact');

my $cost = cost($full);
cmp_ok($cost->{kept}, '<', 1.5 * length $full,
       'what stays of a large notification is little more than its text');
cmp_ok($cost->{allocated}, '<', 10 * length $full,
       'what it takes for a moment');

my $dust = '{"entry":[{"id":"1","changes":[{"field":"messages","value":{'
           . '"metadata":{"phone_number_id":"1"},"messages":['
           . join(',', ('{}') x 16000) . ']}}]}]}';
is($unit->ask(notification => $dust)->{rc}, 'ok', '16,000 events');
cmp_ok(cost($dust)->{kept}, '<', 16000 * 1024, 'none takes more than 1 kB');
is($unit->ask(notification => $dust =~ s/\{\},/{},{},/r)->{rc}, 'abort',
   '16,001 events');

my $values = '{"entry":[],"x":[' . join(',', (0) x 199997) . ']}';
is($unit->ask(notification => $values)->{rc}, 'ok', '200,000 values');
cmp_ok(cost($values)->{allocated}, '<', 200000 * 90,
       'a value takes less than 90 bytes');
is($unit->ask(notification => $values =~ s/0,/0,0,/r)->{rc}, 'abort',
   '200,001 values');
is(cost('[' . '0,' x 1e6 . '0]')->{allocated}, 0,
   'a million values allocate no memory');
is($unit->ask(notification => '{"a":' x 65 . '1' . '}' x 65)->{rc}, 'abort',
   'nested 65 deep');

# the same person in as many contacts and messages as fit: sorted, not searched

my $flood = change('messages', {
    contacts => [ map { { wa_id => 5521900000000 + $_ . '' } } 1 .. 30000 ],
    messages => [ map { message({ from => 5521900000000 + $_ . '' }) }
                  1 .. 9000 ] });
is(scalar @{ $unit->ask(notification => $flood)->{events} }, 9000,
   '9,000 messages and 30,000 contacts');
cmp_ok(cost($flood)->{ms}, '<', 20000, 'in a bounded time');


# --- without memory ----------------------------------------------------------------------------------

for my $body ($whole[37], change('history', $history),
              $fixtures[0]{raw_ascii_escaped})
{
    my ($n, $answer, @other) = (0);

    do {
        $unit->ask(fail => ++$n);
        $answer = $unit->ask(notification => $body);
        push @other, $n if $answer->{rc} !~ /^(ok|error)\z/;
    } while ($answer->{rc} eq 'error' && $n < 5000);

    is_deeply(\@other, [], 'no memory: nothing but an error');
    is($answer->{rc}, 'ok', 'and the events with enough of it');
    cmp_ok($n, '>', 20, "it took $n allocations");
}

$unit->end;

done_testing();


sub ignored {
    my ($reason) = @_;

    return [ 0, { %nobody, kind => 'other', reason => $reason, type => undef,
                  message_id => undef, sent_at => 0 }, undef ];
}


# the event that a row says

sub want {
    my ($n, $event, $metadata) = @_;

    my $id = sprintf 'wamid.TESTIN%05d', $n;
    my %want = (kind => 'message', chat => 'person', direction => 'inbound',
        event => 'messages', session => $number, account => $account, %joao,
        message_id => $id, sent_at => 1763690000000 + $n * 1000,
        type => 'text', %$event);

    $want{metadata} = { whatsapp_message_id => $want{message_id},
                        session => $want{session},
                        timestamp => $want{sent_at} / 1000,
                        %{ $metadata // {} } }
        if @_ < 3 || defined $metadata;

    delete @want{ grep { !defined $want{$_} } keys %want };

    return \%want;
}


sub decoded {
    my ($event) = @_;

    for my $name (qw(metadata details)) {
        $event->{$name} = $json->decode(encoded($event->{$name}))
            if defined $event->{$name};
    }

    return $event;
}


sub encoded { return Encode::encode('UTF-8', $_[0]) }


sub events {
    my ($body) = @_;

    return map { decoded($_) } @{ $unit->ask(notification => $body)->{events} };
}


sub cost { return $unit->ask(cost => $_[0]) }


sub notification {
    return $json->encode({ object => 'whatsapp_business_account',
                           entry => [ @_ ] });
}


sub value {
    my ($value) = @_;

    return { messaging_product => 'whatsapp',
             metadata => { display_phone_number => '+55 11 90000-0001',
                           phone_number_id => $number }, %$value };
}


sub change {
    my ($field, $value) = @_;

    return notification({ id => $account, changes => [
        { field => $field, value => value($value) } ] });
}


# the only event of a value

sub one {
    my ($value, $field) = @_;

    my @events = events(change($field // 'messages', $value));
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    @events == 1 or fail('one event');

    return $events[0];
}


sub missing { return one(@_)->{missing} }


sub message {
    my ($members) = @_;

    my %message = (id => 'wamid.A', from => '5511988887777',
        timestamp => '1763690001', type => 'text', text => { body => 'hi' },
        %$members);

    delete @message{ grep { !defined $message{$_} } keys %message };

    return \%message;
}


sub said { return one({ messages => [ message($_[0]) ] }) }


sub sort_events {
    return sort map { $json->encode($_) } @_;
}


sub same_events {
    my ($entries, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([ sort_events(events(notification(@$entries))) ],
              [ sort_events(@all) ], $what);
}


# the lists of a value

sub lists {
    my ($value) = @_;

    return grep { ref $value->{$_} eq 'ARRAY' && $_ ne 'contacts'
                  && $_ ne 'restriction_info' } keys %$value;
}


# an entry as many with one item each

sub parted {
    my ($entry) = @_;

    my @parts;

    for my $change (@{ $entry->{changes} }) {
        my $value = $change->{value};
        my @lists = lists($value);

        push @parts, { %$entry, changes => [ $change ] } if !@lists;

        for my $name (@lists) {
            push @parts, { %$entry, changes => [ { %$change,
                value => { %$value, (map { $_ => [] } @lists),
                           $name => [ $_ ] } } ] }
                for @{ $value->{$name} };
        }
    }

    return @parts;
}


# an entry whose items of a field are in one change, shuffled

sub joined {
    my ($entry) = @_;

    my (%values, @others);

    for my $change (@{ $entry->{changes} }) {
        my $value = $change->{value};
        my @lists = lists($value);

        if (!@lists) {
            push @others, $change;
            next;
        }

        my $all = $values{$change->{field}} //= { %$value,
            (map { $_ => [] } @lists), contacts => [] };

        push @{ $all->{$_} }, @{ $value->{$_} } for @lists;
        $all->{contacts} = [ shuffle @{ $all->{contacts} },
                             @{ $value->{contacts} // [] } ];
        $all->{$_} = [ shuffle @{ $all->{$_} } ] for @lists;
    }

    return { %$entry, changes => [ shuffle @others, map {
        { field => $_, value => $values{$_} } } keys %values ] };
}
