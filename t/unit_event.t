# The event reader (src/event) without nginx, under ASan and UBSan: the record
# of each webhook that WAHA sent, and what bytes become that WAHA never sends.

use Waha::Test;
use Waha::Message qw(fixture fixtures);
use Waha::Unit;

use utf8;
use Digest::SHA qw(hmac_sha256_hex hmac_sha512_hex);
use JSON::PP ();
use Time::HiRes ();

my $json = JSON::PP->new->utf8->allow_nonref;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $fffd = "\xef\xbf\xbd";
my $created = 1795226560123;

my $unit = Waha::Unit->new('event', sources('event'),
    map { source("ngx_http_waha_$_.c") } qw(json string value));


# --- what WAHA sends ---------------------------------------------------------

# members of most records of the fixtures; the list below has what differs,
# undef: the member is missing

my %noweb = (
    kind => 'message', chat => 'person', direction => 'inbound',
    sanitised => $false, session => 't1', tenant => 't1',
    sent_at => 1795226560000, phone => '79222222222', name => 'Bob',
    type => 'text',
);

my %gows = (%noweb, session => 'tenant42', tenant => '42',
            sent_at => 1784367955000);

my %noweb_metadata = (session => 't1', engine => 'NOWEB', source => 'app',
    ack => 2, has_media => $false, timestamp => 1795226560);

my %gows_metadata = (%noweb_metadata, session => 'tenant42', engine => 'GOWS',
    timestamp => 1784367955);

my $vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:Jane\n"
            . "TEL;type=CELL;waid=79333333333:+7 933 333 33 33\nEND:VCARD";

my $lid = '555666777888';
my $group = '120363000000000001@g.us';
my $files = 'http://127.0.0.1:3000/api/files/t1';

# numbers of fixtures, what differs in the record, what differs in its metadata

my @expected = (

[ [1], session({ status => 'STARTING', sent_at => 1795226554740,
                 phone => undef, name => undef }) ],
[ [2], session({ status => 'SCAN_QR_CODE', sent_at => 1795226555373,
                 phone => undef, name => undef }) ],
[ [3], session({ status => 'STARTING', sent_at => 1795226558764 }) ],
[ [4], session({ status => 'WORKING', sent_at => 1795226559365 }) ],

[ [5, 6], { name => "Боб 🙂", text => 'Привет "мир" \\ end' },
  id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA01') ],

[ [7, 8], { lid => $lid, name => 'Lid Bob', text => 'from lid chat' },
  id("$lid\@lid", '3EB0AAAAAAAAAAAAAAAA02') ],

[ [9, 10], { lid => $lid, phone => undef, name => 'Hidden',
             text => 'lid no phone' },
  id("$lid\@lid", '3EB0AAAAAAAAAAAAAAAA03') ],

[ [11, 12], { chat => 'group', lid => $lid, name => 'GroupBob',
              text => 'group msg' },
  id($group, '3EB0AAAAAAAAAAAAAAAA04', "$lid\@lid") ],

[ [13, 14], { type => 'image', text => 'caption' },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA05'), has_media => $true,
    media_url => "$files/3EB0AAAAAAAAAAAAAAAA05.jpeg",
    media => { mimetype => 'image/jpeg', size => 10 } } ],

[ [15, 16], { type => 'document', text => undef },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA06'), has_media => $true,
    media_url => "$files/3EB0AAAAAAAAAAAAAAAA06.pdf",
    media => { mimetype => 'application/pdf', filename => 'inv.pdf',
               size => 13 } } ],

[ [17, 18], { type => 'location', text => undef },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA07'),
    location => { latitude => '55.75', longitude => '37.61',
                  name => 'Office', address => 'Main st',
                  live => $false } } ],

[ [19, 20], { type => 'contacts', text => undef },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA08'),
    vcards => [ $vcard ] } ],

[ [21], { kind => 'reaction', message_id => '3EB0AAAAAAAAAAAAAAAA09',
          target_id => '3EB0AAAAAAAAAAAAAAAA01', text => "🙏",
          name => undef, type => undef } ],

[ [22], { kind => 'revoke', message_id => '3EB0AAAAAAAAAAAAAAAA10',
          target_id => '3EB0AAAAAAAAAAAAAAAA01', type => undef } ],

[ [23], { kind => 'edit', message_id => '3EB0AAAAAAAAAAAAAAAA11',
          target_id => '3EB0AAAAAAAAAAAAAAAA01', text => 'edited text',
          type => undef, sent_at => 1795226560971 } ],

[ [24, 25], { text => 'reply' },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA12'),
    reply_to => { id => '3EB0AAAAAAAAAAAAAAAA01',
                  participant => '79222222222@c.us', body => 'orig' } } ],

[ [26], { direction => 'outbound', name => undef, text => 'typed on phone' },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA13'), ack => 1 } ],

[ [27, 28], { chat => 'status', name => 'S', text => 'status',
              sent_at => 1795226561000 },
  { id('status@broadcast', '3EB0AAAAAAAAAAAAAAAA14', '79222222222@c.us'),
    timestamp => 1795226561 } ],

[ [29, 30], { type => 'audio', text => undef, sent_at => 1795226561000 },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA15'), has_media => $true,
    timestamp => 1795226561,
    media_url => "$files/3EB0AAAAAAAAAAAAAAAA15.oga",
    media => { mimetype => 'audio/ogg; codecs=opus', size => 10 } } ],

[ [31], { direction => 'outbound', name => undef, lid => $lid,
          text => 'typed on phone, lid chat', sent_at => 1795226561000 },
  { id("$lid\@lid", '3EB0AAAAAAAAAAAAAAAA16'), ack => 1,
    timestamp => 1795226561 } ],

[ [32, 33], { chat => 'newsletter', phone => undef, name => undef,
              text => 'channel post', sent_at => 1795226561000 },
  { id('120363111111111111@newsletter', '3EB0AAAAAAAAAAAAAAAA17'),
    timestamp => 1795226561 } ],

[ [34], { kind => 'other', phone => undef, name => undef, type => undef,
          sent_at => 0 } ],

[ [35], { kind => 'call', message_id => 'CALL1', status => 'received',
          type => 'audio', name => undef, sent_at => 1784367955000 },
  { whatsapp_message_id => 'CALL1', whatsapp_id => 'CALL1',
    whatsapp_chat_id => '79222222222@c.us', timestamp => 1784367955,
    source => undef, ack => undef, has_media => undef } ],

[ [36], { direction => 'outbound', name => undef, text => 'hello from api',
          sent_at => 1795226561000 },
  { id('79222222222@c.us', '3EB01DA51CBCEA4816890B'), source => 'api',
    ack => 0, timestamp => 1795226561 } ],

[ [37], status('3EB01DA51CBCEA4816890B', 'sent', 1795226561519) ],
[ [38], status('3EB01DA51CBCEA4816890B', 'delivered', 1795226562017) ],
[ [39], status('3EB0AAAAAAAAAAAAAAAA13', 'read', 1795226563129) ],

[ [40], { text => 'Hi' },
  id('79222222222@c.us', '3AAAAAAAAAAAAAAAAA01') ],

[ [41], { lid => $lid, text => 'Hi from LID' },
  id("$lid\@lid", '3AAAAAAAAAAAAAAAAA01') ],

[ [42], { lid => $lid, direction => 'outbound', name => undef,
          text => 'typed on phone' },
  id("$lid\@lid", '3AAAAAAAAAAAAAAAAA01') ],

[ [43], { lid => $lid, chat => 'group', text => 'group' },
  id($group, '3AAAAAAAAAAAAAAAAA01', "$lid\@lid") ],

[ [44], status('3EB0AAAAAAAAAAAAAA02', 'read', 1795226800123) ],

[ [45], { text => 'Hi' },
  { id('79222222222@c.us', '3AAAAAAAAAAAAAAAAA11'), engine => 'WEBJS',
    ack => 1 } ],

[ [46], { text => 'Hi', lid => $lid, phone => undef },
  { id("$lid\@lid", '3AAAAAAAAAAAAAAAAA12'), engine => 'WEBJS', ack => 1 } ],

[ [47], { text => 'Hi', direction => 'outbound', name => undef },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAA13'), engine => 'WEBJS',
    ack => 1 } ],

[ [48], { text => 'Hi', chat => 'group', lid => $lid, phone => undef },
  { id($group, '3AAAAAAAAAAAAAAAAA14', "$lid\@lid"), engine => 'WEBJS',
    ack => 1 } ],

);

my %deliveries = map { /^(\d+)-\w+-([\w.]+)$/ ? ($1 + 0 => [ $_, $2 ]) : () }
                 fixtures();

is(scalar keys %deliveries, 48, 'all 48 deliveries of WAHA are there');

for my $row (@expected) {
    my ($numbers, $record, @metadata) = @$row;

    for my $n (@$numbers) {
        my ($delivery, $event) = @{ delete $deliveries{$n} };
        my %want = (%{ $n < 40 ? \%noweb : \%gows }, event => $event,
                    %$record);

        if (@metadata) {
            my %given = ref $metadata[0] ? %{ $metadata[0] } : @metadata;

            $want{metadata} = {
                %{ $n < 40 ? \%noweb_metadata : \%gows_metadata }, %given,
                $want{direction} eq 'outbound' && $given{whatsapp_id}
                    ? (whatsapp_id => $given{whatsapp_id} =~ s/^false/true/r)
                    : (),
            };
            $want{message_id} //= $want{metadata}{whatsapp_message_id};
            delete_undefined($want{metadata});
        }

        delete_undefined(\%want);

        is_deeply(record(body($delivery)), \%want, $delivery);
    }
}

is_deeply([ sort keys %deliveries ], [], 'each delivery of WAHA was compared');


# --- the person --------------------------------------------------------------

field({ from => '555@lid', _data => { key => {
          remoteJidAlt => '79222222222:17@s.whatsapp.net' } } },
      phone => '79222222222', "a device is no part of a phone");

field({ from => '79222222222@c.us', _data => { key => {
          remoteJidAlt => '555@lid' } } },
      lid => '555', "NOWEB's hidden id beside a phone");

field({ from => '555@lid', _data => { key => {
          senderPn => '79222222222@s.whatsapp.net' } } },
      phone => '79222222222', "older NOWEB's senderPn");

field({ from => '555@lid', fromMe => $true, _data => { key => {
          senderPn => '79111111111@s.whatsapp.net' } } },
      phone => undef, "senderPn of our own message is ours");

field({ from => $group, participant => '555@lid', _data => { key => {
          participantPn => '79222222222@s.whatsapp.net' } } },
      phone => '79222222222', "older NOWEB's participantPn");

field({ from => '555@lid', _data => { Info => {
          SenderAlt => '79222222222:3@s.whatsapp.net' } } },
      phone => '79222222222', "GOWS's SenderAlt");

field({ from => '555@lid', fromMe => $true, _data => { Info => {
          SenderAlt => '79111111111@s.whatsapp.net',
          RecipientAlt => '79222222222@s.whatsapp.net' } } },
      phone => '79222222222', "GOWS's RecipientAlt of our own message");

field({ from => '555@lid', _data => { key => { remoteJidAlt => '' } } },
      phone => undef, "an empty alternative is none");

field({ from => $group, participant => '79222222222@c.us', fromMe => $true },
      phone => undef, "our own message to a group has no other person");

field({ from => '0@c.us' }, kind => 'other', "WhatsApp itself is no person");
field({ from => '13135550002@bot' }, chat => 'bot', "a bot");
field({ from => '867051314767696@meta.ai' }, chat => 'bot', "Meta's bot");
field({ from => '1652@broadcast' }, chat => 'broadcast', "a list");
field({ from => '79222222222@call' }, kind => 'other', "an unknown server");

for my $name ('', ' ', "\t\n", "\x{a0}", "\x{200b}\x{200e}", "\x{3164}",
              "\x{2800} \x{2800}", "\x{feff}", "\x{e0020}")
{
    field({ _data => { pushName => $name, verifiedBizName => 'Shop' } },
          name => 'Shop', sprintf 'a name of U+%s is none',
          join ' U+', map { sprintf '%04X', ord } split //, $name);
}

field({ _data => { pushName => "\x{1f642}" } }, name => "\x{1f642}",
      'a name of an emoji');
field({ _data => { notifyName => 'A', pushName => 'B' } }, name => 'A',
      'notifyName first');
field({ _data => { Info => { VerifiedName => 'V' } } }, name => 'V',
      "GOWS's verified name");
field({ _data => { Info => { VerifiedName => { Details => {
          verifiedName => 'V' } } } } }, name => 'V',
      "GOWS's verified name in its certificate");
field({ _data => { pushName => 42 } }, name => undef, 'a number is no name');
field({ fromMe => $true, _data => { pushName => 'Me', notifyName => 'Me' } },
      name => undef, 'our own name is not theirs');
field({ _data => { pushName => "\x{416}" x 200 } }, name => "\x{416}" x 127,
      'a long name ends with a whole letter');


# --- types and texts ---------------------------------------------------------

my %proto = (
    conversation => 'text', extendedTextMessage => 'text',
    imageMessage => 'image', videoMessage => 'video', ptvMessage => 'video',
    audioMessage => 'audio', documentMessage => 'document',
    stickerMessage => 'sticker', locationMessage => 'location',
    liveLocationMessage => 'location', contactMessage => 'contacts',
    contactsArrayMessage => 'contacts', pollCreationMessage => 'poll',
    pollCreationMessageV2 => 'poll', pollCreationMessageV3 => 'poll',
    orderMessage => 'order',
);

for my $name (sort keys %proto) {
    field({ _data => { message => { messageContextInfo => {}, $name => {} } } },
          type => $proto{$name}, "NOWEB's $name");
    field({ _data => { Message => { $name => {} } } },
          type => $proto{$name}, "GOWS's $name");
}

my %raw = (
    chat => 'text', image => 'image', video => 'video', ptt => 'audio',
    audio => 'audio', document => 'document', sticker => 'sticker',
    location => 'location', vcard => 'contacts', multi_vcard => 'contacts',
    poll_creation => 'poll', order => 'order',
);

field({ _data => { type => $_ } }, type => $raw{$_}, "WEBJS's $_")
    for sort keys %raw;

field({ _data => { message => { documentWithCaptionMessage => {
          message => { documentMessage => { fileLength => '12' } } } } },
        media => {} },
      type => 'document', 'a document with caption');
field({ _data => { message => { ephemeralMessage => { message => {
          viewOnceMessageV2 => { message => { imageMessage => {} } } } } } } },
      type => 'image', 'an image, view once, disappearing');

my $nested = { imageMessage => {} };
$nested = { ephemeralMessage => { message => $nested } } for 1 .. 20;
field({ _data => { message => $nested }, body => undef }, type => 'unknown',
      'wrappers without end');

field({ media => { mimetype => 'image/png' } }, type => 'image',
      'type by the media: image');
field({ media => { mimetype => 'video/mp4' } }, type => 'video',
      'type by the media: video');
field({ media => { mimetype => 'audio/ogg; codecs=opus' } }, type => 'audio',
      'type by the media: audio');
field({ media => { mimetype => 'text/plain' } }, type => 'document',
      'type by the media: document');
field({ location => { latitude => 1 } }, type => 'location',
      'type by the location');
field({ vCards => [ 'x' ] }, type => 'contacts', 'type by the cards');
field({ vCards => [] }, type => 'text', 'type by the body');
field({ body => undef }, type => 'unknown', 'no type at all');
field({ _data => { type => 'interactive' } }, type => 'text',
      'a type that is not known, with a body');

my $thumbnail = '/9j/4AAQSkZJRgABAQAAAQABAAD' . 'aZ09+/' x 100 . '==';

field({ _data => { type => 'image' }, body => $thumbnail }, text => undef,
      "WEBJS's thumbnail of an image is no text");
field({ _data => { type => 'image', caption => 'see', body => $thumbnail },
        body => $thumbnail }, text => 'see', 'its caption is');
field({ _data => { type => 'location', body => 'AAAA' }, body => 'AAAA' },
      text => undef, "WEBJS's thumbnail of a place is no text");
field({ _data => { type => 'image', body => 'my cat' }, body => 'my cat' },
      text => 'my cat', 'words are, also without a caption field');
field({ _data => { type => 'chat' }, body => $thumbnail }, text => $thumbnail,
      'a text message may look like anything');
field({ location => { latitude => 1 }, body => $thumbnail }, text => undef,
      'a thumbnail without a WEBJS type');
field({ body => '' }, text => undef, 'an empty body is no text');


# --- times -------------------------------------------------------------------

for my $case (
    [ 1795226560, 1795226560000, 'seconds' ],
    [ 1710481111.853, 1710481111853, 'fractions' ],
    [ '1795226560', 1795226560000, 'a string' ],
    [ 4102444800, 4102444800000, 'the last second' ],
    [ 4102444801, $created, 'after 2100' ],
    [ 1795226560000, $created, 'milliseconds for seconds' ],
    [ 0, $created, 'zero' ], [ -1, $created, 'negative' ],
    [ '12 monkeys', $created, 'words' ], [ '', $created, 'an empty string' ],
    [ undef, $created, 'null' ], [ [], $created, 'an array' ],
    [ 'nan', $created, 'nan' ], [ '0x6b', $created, 'hex' ],
    [ '1e400', $created, 'infinity' ])
{
    my ($given, $want, $what) = @$case;

    # hex is a number to strtod(), in 1970
    $want = 107000 if $what eq 'hex';

    field({ timestamp => $given }, sent_at => $want, "the time: $what");
}

for my $number ('1e400', '-1e400', '1e14', '-0', '9223372036854775808',
                '1e131000', '0.0001')
{
    my $r = record(message({})
                   =~ s/"timestamp":1795226560\b/"timestamp":$number/r);
    is($r->{sent_at}, $created, "the time: $number");
    ok(!exists $r->{metadata}{timestamp}, "no such time in metadata: $number");
}

my $untimed = record(message({ timestamp => 0 })
                     =~ s/"timestamp":$created/"timestamp":-5/r);
is($untimed->{sent_at}, 1800000000000,
   'without any time the record has the present time');
ok($untimed->{metadata}{time_missing},
   'the record says that the time is missing');


# --- metadata ----------------------------------------------------------------

metadata({ location => { latitude => 55.5, longitude => -37.25 } },
         location => { latitude => '55.5', longitude => '-37.25' },
         'a place in numbers');
metadata({ location => { latitude => 1e300, longitude => '37' } },
         location => { longitude => '37' }, 'no place on Earth');
metadata({ location => { thumbnail => $thumbnail, name => 'N' } },
         location => { name => 'N' }, 'a thumbnail is not copied');
metadata({ media => { url => undef, error => { details => 'stack' } } },
         media => { error => $true }, 'media that could not be loaded');
metadata({ media => { url => 'x' x 2049 } }, media_url => undef,
         'a URL too long to be one');
metadata({ media => {}, _data => { size => 1234 } }, media => { size => 1234 },
         "WEBJS's size");
metadata({ media => {}, _data => { message => { imageMessage => {
             fileLength => '99999999999999999999' } } } }, media => {},
         'a size that is none');
metadata({ replyTo => { id => 'A', body => 'x' x 3000, _data => {} } },
         reply_to => { id => 'A', body => 'x' x 1024 }, 'a long quotation');
metadata({ replyTo => { body => 'x' x 3000 } }, truncated => $true,
         'shortened, and it says so');
metadata({ vCards => [ ('c') x 30, 5 ] }, vcards => [ ('c') x 20 ],
         'many cards');
metadata({ ack => 1e300 }, ack => undef, 'an ack that is no integer');
metadata({ ack => -1 }, ack => -1, 'an ack that is an error');
metadata({ body => "\x{1}\"\\\n" }, sanitised => undef, 'nothing replaced');


# --- other kinds -------------------------------------------------------------

my %acks = (ERROR => 'failed', PENDING => 'pending', SERVER => 'sent',
            DEVICE => 'delivered', READ => 'read', PLAYED => 'played');

for my $name (sort keys %acks) {
    is(record(event('message.ack', { id => 'true_79222222222@c.us_A',
                                     ack => undef, ackName => $name }))
         ->{status}, $acks{$name}, "an ack by its name: $name");
}

for my $ack (-2, 5, 1.5, 1e300) {
    is(record(event('message.ack', { id => 'true_79222222222@c.us_A',
                                     ack => $ack, ackName => 'READ' }))
         ->{kind}, 'other', "no such ack: $ack");
}

is(record(event('message.ack', { id => 'true_79222222222@c.us_A' }))->{kind},
   'other', 'an ack that says nothing');

my $read = record(event('message.ack.group',
    { id => "true_${group}_A_79111111111\@c.us", ack => 3,
      participant => '79222222222@c.us', timestamp => 5 }));
is_deeply([ @$read{qw(kind chat status target_id direction sent_at)} ],
          [ 'status', 'group', 'read', 'A', 'outbound', $created ],
          'an ack in a group');

is(record(event('message.reaction', { id => 'false_79222222222@c.us_R',
    timestamp => 1, reaction => { text => '',
    messageId => 'true_79222222222@c.us_A' } }))->{text}, '',
   'a reaction taken back');
is(record(event('message.reaction', { id => 'false_79222222222@c.us_R',
    timestamp => 1, reaction => { text => undef, messageId => 'A' } }))
     ->{text}, '', 'a reaction taken back with null');
is(record(event('message.reaction', { id => 'false_79222222222@c.us_R',
    timestamp => 1, reaction => { text => 'x', messageId => 'A' } }))
     ->{target_id}, 'A', 'a reaction to a bare id');
is(rc(event('message.reaction', { id => 'false_79222222222@c.us_R',
    timestamp => 1, reaction => { text => 'x' } })), 'declined',
   'a reaction to nothing');

my $edit = record(event('message.edited', { id => 'false_79222222222@c.us_A',
    timestamp => 1700000000, body => 'new', _data => { type => 'chat',
    latestEditSenderTimestampMs => 1795226560001 } }));
is_deeply([ @$edit{qw(kind message_id target_id text sent_at)} ],
          [ 'edit', 'A', 'A', 'new', 1795226560001 ], "WEBJS's edit");

$edit = record(event('message.edited', { id => 'false_79222222222@c.us_A',
    timestamp => 1700000000, body => 'new', _data => { type => 'chat' } }));
is($edit->{sent_at}, $created, "WEBJS's edit is not as old as its message");

$edit = record(event('message.edited', { id => 'false_79222222222@c.us_E',
    timestamp => 1700000000, body => 'new', editedMessageId => 'A',
    _data => { Message => {} } }));
is($edit->{sent_at}, 1700000000000, "GOWS's edit has its own time");

is(record(event('message.edited', { id => 'false_79222222222@c.us_E',
    body => undef, editedMessageId => 'A' }))->{kind}, 'other',
   'an edit without a new text');

my $revoke = record(event('message.revoked', { after => undef,
    before => { id => 'true_79222222222@c.us_A', timestamp => 1700000000 } }));
is_deeply([ @$revoke{qw(kind message_id target_id direction phone sent_at)} ],
          [ 'revoke', 'A', 'A', 'outbound', '79222222222', $created ],
          "WEBJS's revoke");

$revoke = record(event('message.revoked', { after => undef, before => undef,
                                            revokedMessageId => 'A' }));
is_deeply([ @$revoke{qw(kind message_id target_id)} ], [ 'revoke', 'A', 'A' ],
          'a revoke of which only the target is known');
is(record(event('message.revoked', {}))->{kind}, 'other',
   'a revoke of nothing');

# every kind of record says that bytes were replaced

for my $case (
    [ 'message.reaction', { id => 'false_79222222222@c.us_R',
        reaction => { messageId => 'A', text => 'TEXT' } }, 'text' ],
    [ 'message.edited', { id => 'false_79222222222@c.us_E', body => 'TEXT',
                          editedMessageId => 'A' }, 'text' ],
    [ 'message.edited', { id => 'false_79222222222@c.us_E', body => 'TEXT',
        editedMessageId => 'A', _data => { pushName => 'TEXT' } }, 'name' ],
    [ 'message.ack', { id => 'true_79222222222@c.us_A', ack => 3,
                       _data => { body => 'TEXT' } } ],
    [ 'message.revoked', { revokedMessageId => 'A',
        after => { id => 'false_79222222222@c.us_A',
                   _data => { pushName => 'TEXT' } } }, 'name' ])
{
    my ($name, $payload, $field) = @$case;

    my $body = event($name, $payload);
    ok(!exists record($body)->{metadata}, "$name: no bytes were replaced");

    my $r = record($body =~ s/TEXT/a\xffb\\ud83d/gr);
    is_deeply($r->{metadata}, { sanitised => $true },
              "$name: says that bytes were replaced");
    is($r->{$field}, "a\x{fffd}b\x{fffd}",
       "$name: $field is repaired") if $field;
}

is(record(event('poll.vote', { x => 'TEXT' }) =~ s/TEXT/\xff/r)->{metadata},
   undef, 'an event that is not read does not say so');

for my $state (qw(received accepted rejected)) {
    my $call = record(event("call.$state", { id => 'C1', timestamp => 17e8,
        from => '79222222222@c.us', isVideo => $true, isGroup => $true }));
    is_deeply([ @$call{qw(kind status type chat phone message_id)} ],
              [ 'call', $state, 'video', 'group', '79222222222', 'C1' ],
              "call.$state");
}

for my $case (
    [ 'message.reaction', { id => 'false_79222222222@c.us_R',
                            reaction => { messageId => 'A' } } ],
    [ 'call.received', { id => 'C', from => '79222222222@c.us' } ])
{
    is(record(event(@$case))->{sent_at}, $created,
       "$case->[0] without a time has that of the event");
}

for my $name (qw(message.ack message.reaction message.edited call.received)) {
    is(record(event($name, { id => 'false_0@c.us_A', from => '0@c.us',
                             ack => 1, body => 'x' }))->{kind}, 'other',
       "$name of nobody");
    is(rc(event($name, { id => "A\n", from => "\n" })), 'declined',
       "$name with a line break in its id");
}

is(record(event('message.revoked', { after => { id => 'false_0@c.us_A' } }))
     ->{kind}, 'other', 'message.revoked of nobody');
is(rc(event('message.revoked', { after => { id => 'false_7922222@c.us_A' },
                                 revokedMessageId => "A\n" })), 'declined',
   'message.revoked with a line break in its target');

is(record(event('session.status', { status => 'PASSKEY_REQUIRED',
                                    statuses => [] }))->{sent_at}, $created,
   'a session without a history');

for my $name (qw(state.change engine.event group.v2.join poll.vote
                 message.waiting message.any.thing Message))
{
    is(record(event($name, 'not an object'))->{kind}, 'other',
       "$name is of no concern");
}


# --- the organization as the envelope names it -------------------------------

my $named = record(event('x', {}, { organization_slug => 'acme',
    organization_id => 42, 'tenant.id' => '7' }));
is_deeply([ @$named{qw(organization_slug organization_id tenant)} ],
          [ 'acme', '42', '7' ], 'slug, number and tenant');
is(record(event('x', { n => [ 1, '2', -3 ] }, { 'tenant.id' => 'ID' })
          =~ s/"ID"/9007199254740993/r)->{tenant}, '9007199254740993',
   'a number that no double holds');
is(record(event('x', {}, { tenant_id => 'u-1' }))->{tenant}, 'u-1',
   'tenant_id');
is(record(event('x', {}, { 'tenant.id' => 'a', tenant_id => 'b' }))->{tenant},
   'a', 'tenant.id before tenant_id');

for my $value ('', 'x' x 256, "a\nb", "a b", 1.5, -1, 1e300, [], {}, $true) {
    my $r = record(event('x', {}, { organization_id => $value }));
    ok(!exists $r->{organization_id}, 'names no organization: '
       . substr $json->encode($value), 0, 20);
}


# --- what is not a webhook of WAHA -------------------------------------------

my $good = message({});

is(rc($good), 'ok', 'a message');

for my $case (
    [ '', 'nothing' ], [ 'null', 'null' ], [ '[]', 'an array' ],
    [ '{}', 'an empty object' ], [ '"x"', 'a string' ], [ '{', 'half' ],
    [ $good . 'x', 'garbage behind it' ], [ $good . '{}', 'two of them' ],
    [ $good =~ s/"event":"message"/"event":5/r, 'an event that is a number' ],
    [ $good =~ s/"event":"message"/"Event":"message"/r, 'a name in capitals' ],
    [ $good =~ s/"event":"message"/"event":""/r, 'an event without a name' ],
    [ $good =~ s/"event":"message"/"event":"a\\nb"/r, 'a line break in it' ],
    [ $good =~ s/"session":"t1"/"session":"t 1"/r, 'a session with a space' ],
    [ $good =~ s/"session":"t1"/"session":""/r, 'a session without a name' ],
    [ $good =~ s/"session":"t1"/'"session":"' . 'x' x 65 . '"'/er,
      'a session of 65 letters' ],
    [ $good =~ s/"session":"t1"/"session":"t\\u0000"/r,
      'a session that had to be repaired' ],
    [ $good =~ s/"payload":/"pay":/r, 'no payload' ],
    [ event('message.revoked', []), 'a payload that is an array' ],
    [ event('message', { id => 'ABC' }), 'a message with a bare id' ],
    [ event('message', { id => 42 }), 'a message whose id is a number' ],
    [ event('message', {}), 'a message without id' ],
    [ message({ id => "false_79222222222\@c.us_A\nB" }), 'a line in an id' ],
    [ message({ id => "false_79222222222\@c.us_A\x{e9}" }), 'an accent in it' ],
    [ message({ id => 'false_79222222222@c.us_' . 'A' x 240 }),
      'an id of 263 bytes' ],
    [ event('call.received', { id => 'C', from => undef }),
      'a call from nowhere' ],
    [ event('session.status', {}), 'a session without status' ])
{
    is(rc($case->[0]), 'declined', "not WAHA's: $case->[1]");
}

is(rc(" \r\n\t$good \n"), 'ok', 'white space around it');
is(rc($good =~ s/"session":"t1"/'"session":"' . 'x' x 64 . '"'/er), 'ok',
   'a session of 64 letters');
is(record(message({ id => 'false_79222222222@c.us_' . 'A' x 232 }))
     ->{message_id}, 'A' x 232, 'an id of 255 bytes');


# --- H4: bounds --------------------------------------------------------------

is(ask('json', '[' x 64 . ']' x 64)->{rc}, 'ok', 'arrays nested 64 deep');
is(ask('json', '[' x 65 . ']' x 65)->{rc}, 'abort',
   'arrays nested 65 deep');
is(ask('json', '{"a":' x 64 . '1' . '}' x 64)->{rc}, 'ok',
   'objects nested 64 deep');
is(ask('json', '{"a":' x 65 . '1' . '}' x 65)->{rc}, 'abort',
   'objects nested 65 deep');
is(ask('json', '["' . '[' x 1000 . '"]')->{rc}, 'ok',
   'brackets in a string do not count');
is(ask('json', '["\"' . '[' x 1000 . '"]')->{rc}, 'ok',
   'brackets behind an escaped quote do not count');
is(ask('json', '[' . '[],' x 1000 . '1]')->{rc}, 'ok',
   'siblings are not deep');

is(ask('json', '[' . join(',', (0) x 19999) . ']')->{rc}, 'ok',
   '20,000 values in an array');
is(ask('json', '[' . join(',', (0) x 20000) . ']')->{rc}, 'abort',
   '20,001 values in an array');
is(ask('json', '{' . join(',', map { "\"k$_\": \"v\"" } 1 .. 19999) . '}')
     ->{rc}, 'ok', '20,000 values in an object');
is(ask('json', '{' . join(',', map { "\"k$_\" : {}" } 1 .. 20000) . '}')
     ->{rc}, 'abort', '20,001 values in an object');
is(ask('json', '[' . join(' , ', ('[ ]') x 19999) . ']')->{rc}, 'ok',
   'empty arrays are one value each');
is(ask('json', '[' . '{"a":"' . ',' x 100000 . '"}]')->{rc}, 'ok',
   'commas in a string do not count');

my $flood = event('message', { id => 'false_79222222222@c.us_A' })
            =~ s/"payload":\{/'"payload":{"x":[' . '0,' x 1e6 . '0],'/er;
is(timed($flood), 'abort', 'a million zeros');
is(ask('envelope', $flood)->{allocated}, 0,
   'a million zeros allocate no memory');

my $keys = '{' . join(',', map { "\"k$_\":0" } 1 .. 1e6) . '}';
is(timed($keys), 'abort', 'a million keys');
is(timed('{"' . 'k' x 1e6 . '":0}'), 'declined', 'a key of a million letters');
is(timed('[' x 1e6), 'abort', 'a million brackets');
is(timed(']' x 1e6), 'declined', 'a million closing brackets');
is(timed(':' x 1e6), 'declined', 'a million colons');
is(timed('"' x 1e6), 'declined', 'a million quotes');
is(timed('\\' x 1e6), 'declined', 'a million backslashes');

my $wide = event('message', { id => 'false_79222222222@c.us_A',
                              body => 'text' })
           =~ s/"payload":\{/'"payload":{"x":['
                             . join(',', ('""') x 19000) . '],'/er;
is(rc($wide), 'ok', '19,000 values in members that are not read');
cmp_ok(ask('envelope', $wide)->{allocated}, '<',
       100 * 19000 + 2 * length $wide,
       '19,000 values allocate no more than the bounds allow');

my $picture = message({ body => 'x', _data => { type => 'image',
                        thumbnail => 'A' x 2e6 } });
is(timed($picture), 'ok', 'a thumbnail of 2 MB');
my $taken = ask('envelope', $picture);
cmp_ok($taken->{allocated}, '<', 2.1e6,
       'a thumbnail of 2 MB is copied once at most');
unlike($taken->{metadata}, qr/AAA/, 'a thumbnail is not kept in the metadata');


# --- H5, H6, H7: bytes that no parser agrees on ------------------------------

for my $case (
    [ "a\xc0\x80b", "a$fffd${fffd}b", 'a NUL in two bytes' ],
    [ "\xed\xa0\xbd", $fffd x 3, 'a surrogate in UTF-8' ],
    [ "\xf5\x80\x80\x80", $fffd x 4, 'beyond Unicode' ],
    [ "\xf4\x90\x80\x80", $fffd x 4, 'just beyond Unicode' ],
    [ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf", 'the last character' ],
    [ "\xe2\x82", $fffd, 'a character cut short' ],
    [ "\xe2\x82\x41", "${fffd}A", 'and then a letter' ],
    [ "\xf0\x9f\x99", $fffd, 'three of four bytes' ],
    [ "\xf0\x80\x80\xaf", $fffd x 4, 'a slash in four bytes' ],
    [ "\xe0\x80\xaf", $fffd x 3, 'a slash in three bytes' ],
    [ "\xc1\xbf", $fffd x 2, 'a letter in two bytes' ],
    [ "\x80\xbf", $fffd x 2, 'bytes from the middle' ],
    [ "\xfe\xff", $fffd x 2, 'bytes of no character' ],
    [ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82",
      "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82", 'good characters' ],
    [ "\xef\xbf\xbd", $fffd, 'U+FFFD itself' ],
    [ "\xee\x80\x80\xef\xbf\xbf", "\xee\x80\x80\xef\xbf\xbf",
      'private use and noncharacters' ],
    [ "a\0b", "a${fffd}b", 'a raw NUL' ],
    [ 'a\u0000b', "a${fffd}b", 'an escaped NUL' ],
    [ 'a\\\\u0000b', 'a\\\\u0000b', 'a backslash before u0000' ],
    [ 'a\\\\\\u0000b', "a\\\\${fffd}b", 'a backslash and an escaped NUL' ],
    [ '\u0001\u00e9\uFFFF', '\u0001\u00e9\uFFFF', 'good escapes' ],
    [ '\ud83d\ude42', '\ud83d\ude42', 'a pair' ],
    [ '\uD83D\uDE42', '\uD83D\uDE42', 'a pair in capitals' ],
    [ '\ud83d', $fffd, 'a lone high surrogate' ],
    [ '\ude42', $fffd, 'a lone low surrogate' ],
    [ '\ude42\ud83d', $fffd x 2, 'a reversed pair' ],
    [ '\ud83d\ud83d\ude42', "$fffd\\ud83d\\ude42", 'one too many' ],
    [ '\ud83dx', "${fffd}x", 'a high surrogate and a letter' ],
    [ '\ud83d\n', "$fffd\\n", 'a high surrogate and another escape' ],
    [ '\ud83d\u0000', "$fffd$fffd", 'a high surrogate and a NUL' ],
    [ '\ud83d\udbff', "$fffd$fffd", 'two high surrogates' ],
    [ '\ud83d\u00zz', "$fffd${fffd}00zz", 'a high surrogate and no digits' ],
    [ '\uzzzz', "${fffd}zzzz", 'an escape without digits' ],
    [ '\u004g', "${fffd}004g", 'an escape of three digits' ],
    [ '\u+041', "${fffd}+041", 'an escape with a sign' ],
    [ '\u 041', "${fffd} 041", 'an escape with a space' ],
    [ '\u0x41', "${fffd}0x41", 'an escape as in C' ],
    [ '\u12', "${fffd}12", 'an escape cut short' ],
    [ '\\/\\"\\\\', '\\/\\"\\\\', 'other escapes' ])
{
    my ($given, $want, $what) = @$case;

    # the position decides which bytes are read as one word
    for my $before (0 .. 8) {
        my $text = '{"k":"' . 'p' x $before . $given . '"}';
        my $r = ask('clean', $text);
        my $clean = '{"k":"' . 'p' x $before . $want . '"}';

        is(pack('H*', $r->{hex}), $clean, "$what, after $before");
        is(!!$r->{replaced}, $text ne $clean,
           "$what, after $before: whether it was replaced");
        is(!!$r->{copied}, $text ne $clean,
           "$what, after $before: copied only if replaced");
        is(ask('clean', $clean)->{hex}, $r->{hex},
           "$what, after $before: a second pass changes nothing");
    }

    my $value = ask('get', '{"k":"' . $given . '"}')->{value};
    is($value, $json->decode("[\"$want\"]")->[0],
       "$what: the parser reads the same");
}

is(ask('clean', '"\\')->{hex}, unpack('H*', '"\\'), 'a backslash at the end');
is(ask('json', "{\"k\":\"a\\\0\"}")->{rc}, 'declined',
   'a NUL behind a backslash');

my $repaired = record(message({ body => 'TEXT' }) =~ s/TEXT/a\xc0\\u0000b/r);
is($repaired->{text}, "a\x{fffd}\x{fffd}b",
   'a text with bad bytes is repaired');
ok($repaired->{sanitised}, 'a record with a repaired text is flagged');
ok($repaired->{metadata}{sanitised}, 'its metadata are flagged, too');

for my $n (4094 .. 4100) {
    my $r = ask('clean', '"' . 'x' x $n . "\xff\"");
    is(pack('H*', $r->{hex}), '"' . 'x' x $n . "$fffd\"",
       "a flaw after $n bytes");
}


# --- H8, H9 ------------------------------------------------------------------

for my $number ('1e400', '-1e400', '1e131000', '-0', '9223372036854775808',
                '1e14')
{
    is(rc(message({}) =~ s/"ack":2/"ack":$number/r), 'ok',
       "an ack of $number");
    is(rc(message({})
          =~ s/"_data":\{\}/"media":{},"_data":{"size":$number}/r), 'ok',
       "a size of $number");
}

is(rc(message({}) =~ s/"ack":2/"ack":NaN/r), 'declined', 'NaN is not JSON');

is(ask('get', '{"k":"first","k":"last"}')->{value}, 'first',
   'of two members the first counts');
is(ask('get', '{"k":null,"k":"last"}')->{value}, undef,
   'of two members the first counts, even if it is null');
is(ask('get', '{"K":"x"}')->{value}, undef, 'names are case-sensitive');
is(ask('get', '{"__proto__":{"k":"x"},"k":"y"}')->{value}, 'y',
   '__proto__ is a member like others');
is(ask('get', '{"k\u0000":"x","k":"y"}')->{value}, 'y',
   'a name does not end at a NUL');

my $twice = record(message({})
                   =~ s/"session":"t1"/"session":"t1","session":"t2"/r);
is($twice->{session}, 't1', 'of two sessions the first counts');


# --- identities --------------------------------------------------------------

for my $case (
    [ '79222222222@c.us', { chat => 'person', phone => '79222222222' } ],
    [ '79222222222@s.whatsapp.net',
      { chat => 'person', phone => '79222222222' } ],
    [ '79222222222:17@s.whatsapp.net',
      { chat => 'person', phone => '79222222222' } ],
    [ '555666777888@lid', { chat => 'person', lid => '555666777888' } ],
    [ '555666777888:3@lid', { chat => 'person', lid => '555666777888' } ],
    [ '12345@c.us', { chat => 'person', phone => '12345' } ],
    [ '123456789012345@c.us',
      { chat => 'person', phone => '123456789012345' } ],
    [ '120363000000000001@g.us', { chat => 'group' } ],
    [ '79222222222-1500000000@g.us', { chat => 'group' } ],
    [ '120363111111111111@newsletter', { chat => 'newsletter' } ],
    [ 'status@broadcast', { chat => 'status' } ],
    [ '1652@broadcast', { chat => 'broadcast' } ],
    [ '13135550002@bot', { chat => 'bot' } ],
    [ '867051314767696@meta.ai', { chat => 'bot' } ],
    map { [ $_ ] } '', '@', '@c.us', 'me', '0@c.us', '0@s.whatsapp.net',
        '0@lid', '1234@c.us', '1234567890123456@c.us', '+79222222222@c.us',
        '7922a222222@c.us', ':5@lid', '79222222222@C.US', '79222222222@c.us ',
        '79222222222@c.us@lid', "a b\@g.us", "a\0\@g.us", "\xc3\xa9\@g.us",
        '@g.us', '79222222222', '123456789012345678901@lid', '@broadcast')
{
    my ($jid, $want) = @$case;
    (my $shown = $jid) =~ s/[^ -~]/?/g;

    is_deeply(ask('jid', $jid),
              $want ? { rc => 'ok', %$want } : { rc => 'declined' },
              "chat id '$shown'");
}

for my $case (
    [ 'false_79222222222@c.us_3EB0', '79222222222@c.us', '3EB0' ],
    [ 'true_79222222222@c.us_3EB0', '79222222222@c.us', '3EB0', undef, 1 ],
    [ 'false_1@g.us_3EB0_555@lid', '1@g.us', '3EB0', '555@lid' ],
    [ 'true_1@g.us_3EB0_555@lid', '1@g.us', '3EB0', '555@lid', 1 ],
    [ 'false_status@broadcast_3EB0_7@c.us', 'status@broadcast', '3EB0',
      '7@c.us' ],
    [ 'true_7@c.us_3EB0_out', '7@c.us', '3EB0', undef, 1 ],
    [ 'false_7@c.us_3EB0_in', '7@c.us', '3EB0' ],
    [ 'false_7@c.us_A_B', '7@c.us', 'A_B' ],
    [ 'false_1@g.us_A_B_7@c.us', '1@g.us', 'A_B', '7@c.us' ],
    [ 'false_7@c.us_A_', '7@c.us', 'A_' ],
    [ 'false_7@c.us__', '7@c.us', '_' ])
{
    my ($id, $chat, $bare, $participant, $outbound) = @$case;

    is_deeply(ask('id', $id),
              { rc => 'ok', chat => $chat, id => $bare,
                outbound => $outbound ? $true : $false,
                defined $participant ? (participant => $participant) : () },
              "message id '$id'");
}

for my $id ('', '3EB0', 'true', 'true_', 'false_', 'false_7@c.us', 'false__A',
            'false_7@c.us_', 'True_7@c.us_A', 'false_7_A', 'wamid.x_y')
{
    is_deeply(ask('id', $id),
              { rc => 'declined', id => $id, outbound => $false },
              "a bare id '$id'");
}


# --- signatures --------------------------------------------------------------

my $body = '{"event":"message","session":"default","engine":"WEBJS"}';
my $vector = '208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09'
             . 'b6b90476301b98d8097c462b2b17a6ce93b6b47a136cf2e7'
             . '8a33a63f6752c2c1631777076153fa89';

keys_are('my-secret-key');
signature($vector, $body, 'my-secret-key', "WAHA's test vector");
signature(uc $vector, $body, 'my-secret-key', 'in capitals');
signature($vector, "$body ", undef, 'one byte more');
signature(substr($vector, 0, 127), $body, undef, '127 digits');
signature($vector . '0', $body, undef, '129 digits');
signature('', $body, undef, 'no digits');
signature("sha512=$vector", $body, undef, 'a prefix');
signature($vector =~ s/^2/g/r, $body, undef, 'a letter that is no digit');
signature($vector =~ s/9/@/r, $body, undef, 'a sign beside the letters');
signature(substr($vector, 0, 64), $body, undef, 'half of it');
signature(hmac_sha256_hex($body, 'my-secret-key'), $body, undef,
          'another algorithm');

for my $byte (0 .. length($body) - 1) {
    my $altered = $body;
    substr($altered, $byte, 1) ^= chr(1 << $byte % 8);
    signature($vector, $altered, undef, "a bit of byte $byte turned");
}

for my $digit (0 .. 127) {
    my $altered = $vector;
    substr($altered, $digit, 1) = $vector =~ /^.{$digit}0/ ? '1' : '0';
    signature($altered, $body, undef, "digit $digit altered");
}

keys_are('old', 'my-secret-key', 'new');
signature($vector, $body, 'my-secret-key', 'the second of three keys');
signature(hmac_sha512_hex($body, 'new'), $body, 'new', 'the third');
signature(hmac_sha512_hex('', 'old'), '', 'old', 'an empty body');
signature(hmac_sha512_hex($body, 'other'), $body, undef,
          "somebody else's key");

keys_are('one', 'same', 'same');
ask('hex', hmac_sha512_hex($body, 'same'));
is(ask('sha512', $body)->{number}, 1, 'of two equal keys the first');

keys_are();
signature($vector, $body, undef, 'no key at all');

keys_are('k');
ask('hex', hmac_sha256_hex('body', 'k'));
is(ask('sha256', 'body')->{key}, 'k', 'SHA-256');
ask('hex', hmac_sha512_hex('body', 'k'));
is(ask('sha256', 'body')->{key}, undef, 'SHA-512 given for SHA-256');


# --- out of memory -----------------------------------------------------------

my %starved = (
    'an image' => body('13-noweb-message'),
    'a call' => body('35-noweb-call.received'),
    'a repaired text' => message({ body => 'A' }) =~ s/"A"/"\xff"/r,
    'a long card' => message({ vCards => [ 'c' x 5000 ] }),
    'numbers as names' => event('unheard.of', {}, { organization_id => 42,
                                                    tenant_id => 43 }),
);

for my $name (sort keys %starved) {
    my $text = $starved{$name};
    my $want = ask('envelope', $text);
    my ($n, $rc) = (0, 'error');

    my $got;

    while ($rc eq 'error' && $n < 1000) {
        ask('fail', ++$n);
        $got = ask('envelope', $text);
        $rc = $got->{rc};
    }

    is_deeply($got, $want, "$name: each allocation may fail, 1 to $n");
    cmp_ok($n, '>', 10, "$name: more than ten allocations failed");
}


# --- speed -------------------------------------------------------------------

# The limits are far from what is measured, for busy machines; a copy or a
# second pass over all bytes would exceed them.

$unit->end;
$unit->start_fast;

my $usual = body('24-noweb-message');
my $fast = ask('time', $usual)->{ns};
cmp_ok($fast, '<', 20, sprintf 'a usual body: %.2f ns per byte', $fast);

$fast = ask('time', message({ body => 'x' x 2e6 }))->{ns};
cmp_ok($fast, '<', 5, sprintf 'a long string: %.2f ns per byte', $fast);

$fast = ask('time', '["' . "\xd0\x96" x 5e5 . '"]')->{ns};
cmp_ok($fast, '<', 40, sprintf 'a Russian text: %.2f ns per byte', $fast);

done_testing();


# --- helpers -----------------------------------------------------------------

sub ask { return $unit->ask(@_) }


# the bytes of a delivery that WAHA made

sub body { return (fixture($_[0]))[0] }


sub rc { return ask('envelope', $_[0])->{rc} }


sub record {
    my $r = ask('envelope', $_[0]);

    is(delete $r->{rc}, 'ok', 'the event is read') or diag $_[0];
    delete $r->{allocated};

    $r->{metadata} = JSON::PP->new->decode($r->{metadata}) if $r->{metadata};

    return $r;
}


sub timed {
    my ($text) = @_;

    my $start = Time::HiRes::time();
    my $rc = rc($text);
    my $ms = (Time::HiRes::time() - $start) * 1000;

    # 50 ms for each MB, times ten for the sanitizers
    cmp_ok($ms, '<', 50 * 10 * (length($text) / 1e6 + 1),
           'read in a bounded time: ' . substr $text, 0, 40);

    return $rc;
}


sub event {
    my ($name, $payload, $metadata) = @_;

    return $json->canonical->encode({ event => $name, session => 't1',
        id => 'evt_1', engine => 'NOWEB', timestamp => $created,
        payload => $payload, $metadata ? (metadata => $metadata) : () });
}


# a message event; members of the payload replace the usual ones

sub message {
    my ($payload) = @_;

    my $from = $payload->{from} // '79222222222@c.us';
    my $id = ($payload->{fromMe} ? 'true' : 'false') . "_${from}_A";

    return event('message', { id => $id, timestamp => 1795226560,
        from => $from, body => 'hi', ack => 2, fromMe => $false, _data => {},
        %$payload });
}


sub field {
    my ($payload, $name, $want, $what) = @_;

    is(record(message($payload))->{$name}, $want, $what);
}


sub metadata {
    my ($payload, $name, $want, $what) = @_;

    is_deeply(record(message($payload))->{metadata}{$name}, $want, $what);
}


sub keys_are {
    ask('key', '');
    ask('key', $_) for @_;
}


sub signature {
    my ($hex, $bytes, $key, $what) = @_;

    ask('hex', $hex);
    is(ask('sha512', $bytes)->{key}, $key, "signature: $what");
}


sub id {
    my ($chat, $id, $participant) = @_;

    return (whatsapp_message_id => $id, whatsapp_chat_id => $chat,
            whatsapp_id => join('_', 'false', $chat, $id, $participant // ()),
            $participant ? (participant => $participant) : ());
}


sub session {
    my ($record) = @_;

    return { kind => 'session', phone => '79111111111', name => 'Acme t1',
             type => undef, %$record };
}


sub status {
    my ($id, $status, $ms) = @_;

    return { kind => 'status', direction => 'outbound', message_id => $id,
             target_id => $id, status => $status, sent_at => $ms,
             name => undef, type => undef };
}


sub delete_undefined {
    my ($hash) = @_;

    delete @$hash{ grep { !defined $hash->{$_} } keys %$hash };
}
