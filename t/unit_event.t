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

[ [11, 12], { chat => 'group', chat_id => $group, lid => $lid, name => 'GroupBob',
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

[ [26], { direction => 'outbound', status => 'sent', name => undef, text => 'typed on phone' },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA13'), ack => 1 } ],

[ [27, 28], { chat => 'status', chat_id => 'status@broadcast', name => 'S', text => 'status',
              sent_at => 1795226561000 },
  { id('status@broadcast', '3EB0AAAAAAAAAAAAAAAA14', '79222222222@c.us'),
    timestamp => 1795226561 } ],

[ [29, 30], { type => 'audio', text => undef, sent_at => 1795226561000 },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAAAA15'), has_media => $true,
    timestamp => 1795226561,
    media_url => "$files/3EB0AAAAAAAAAAAAAAAA15.oga",
    media => { mimetype => 'audio/ogg; codecs=opus', size => 10 } } ],

[ [31], { direction => 'outbound', status => 'sent', name => undef, lid => $lid,
          text => 'typed on phone, lid chat', sent_at => 1795226561000 },
  { id("$lid\@lid", '3EB0AAAAAAAAAAAAAAAA16'), ack => 1,
    timestamp => 1795226561 } ],

[ [32, 33], { chat => 'newsletter',
              chat_id => '120363111111111111@newsletter', phone => undef, name => undef,
              text => 'channel post', sent_at => 1795226561000 },
  { id('120363111111111111@newsletter', '3EB0AAAAAAAAAAAAAAAA17'),
    timestamp => 1795226561 } ],

[ [34], { kind => 'other', reason => 'event', phone => undef, name => undef, type => undef,
          sent_at => 0 } ],

[ [35], { kind => 'call', message_id => 'CALL1', status => 'received',
          type => 'audio', name => undef, sent_at => 1784367955000 },
  { whatsapp_message_id => 'CALL1', whatsapp_id => 'CALL1',
    whatsapp_chat_id => '79222222222@c.us', timestamp => 1784367955,
    source => undef, ack => undef, has_media => undef } ],

[ [36], { direction => 'outbound', status => 'pending', name => undef, text => 'hello from api',
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

[ [42], { lid => $lid, direction => 'outbound', status => 'delivered',
          name => undef,
          text => 'typed on phone' },
  id("$lid\@lid", '3AAAAAAAAAAAAAAAAA01') ],

[ [43], { lid => $lid, chat => 'group', chat_id => $group, text => 'group' },
  id($group, '3AAAAAAAAAAAAAAAAA01', "$lid\@lid") ],

[ [44], status('3EB0AAAAAAAAAAAAAA02', 'read', 1795226800123) ],

[ [45], { text => 'Hi' },
  { id('79222222222@c.us', '3AAAAAAAAAAAAAAAAA11'), engine => 'WEBJS',
    ack => 1 } ],

[ [46], { text => 'Hi', lid => $lid, phone => undef },
  { id("$lid\@lid", '3AAAAAAAAAAAAAAAAA12'), engine => 'WEBJS', ack => 1 } ],

[ [47], { text => 'Hi', direction => 'outbound', status => 'sent', name => undef },
  { id('79222222222@c.us', '3EB0AAAAAAAAAAAAAA13'), engine => 'WEBJS',
    ack => 1 } ],

[ [48], { text => 'Hi', chat => 'group', chat_id => $group, lid => $lid, phone => undef },
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

field({ from => '0@c.us' }, reason => 'notice', "WhatsApp itself is no person");
field({ from => '13135550002@bot' }, chat => 'bot', "a bot");
field({ from => '867051314767696@meta.ai' }, chat => 'bot', "Meta's bot");
field({ from => '1652@broadcast' }, chat => 'broadcast', "a list");
field({ from => '79222222222@call' }, reason => 'unknown_chat',
      "an unknown server");

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
field({ _data => { type => 'tomorrow' } }, type => 'text',
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
    [ 1795226560000, 1795226560000, 'milliseconds' ],
    [ '1795226560123', 1795226560123, 'milliseconds in a string' ],
    [ 1795226560000000, 1795226560000, 'microseconds' ],
    [ { low => 1795226560, high => 0, unsigned => $true }, 1795226560000,
      '64 bits' ],
    [ { low => -2499740736, high => 0 }, 1795226560000, 'a lower half signed' ],
    [ { low => 'x' }, $created, 'half of nothing' ],
    [ '2026-11-21T02:02:40Z', 1795226560000, 'a date' ],
    [ '2026-11-21T03:02:40.5+01:00', 1795226560500, 'a date elsewhere' ],
    [ '0001-01-01T00:00:00Z', $created, 'no date of Go' ],
    [ '2026-13-21T02:02:40Z', $created, 'no month' ],
    [ 1230767999, $created, 'before WhatsApp' ],
    [ 0, $created, 'zero' ], [ -1, $created, 'negative' ],
    [ '12 monkeys', $created, 'words' ], [ '', $created, 'an empty string' ],
    [ undef, $created, 'null' ], [ [], $created, 'an array' ],
    [ 'nan', $created, 'nan' ], [ '0x6b', $created, 'hex' ],
    [ '1e400', $created, 'infinity' ])
{
    my ($given, $want, $what) = @$case;

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
ok($untimed->{metadata}{time_guessed},
   'the record says that the time is guessed');


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
is(missing(event('message.reaction', { id => 'false_79222222222@c.us_R',
    timestamp => 1, reaction => { text => 'x' } })),
   'payload.reaction.messageId', 'a reaction to nothing');

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

$edit = record(event('message.edited', { id => 'false_79222222222@c.us_E',
    body => undef, editedMessageId => 'A' }));
is_deeply([ @$edit{qw(kind target_id text)} ], [ 'edit', 'A', undef ],
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
is(missing(event('message.revoked', {})), 'payload.revokedMessageId',
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

is(record(event('chat.archive', { x => 'TEXT' }) =~ s/TEXT/\xff/r)->{metadata},
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
    is(missing(event($name, { id => "A\n", from => "\n" })), 'payload.id',
       "$name with a line break in its id");
}

is(record(event('message.revoked', { after => { id => 'false_0@c.us_A' } }))
     ->{kind}, 'other', 'message.revoked of nobody');
is(missing(event('message.revoked', { revokedMessageId => "A\n",
                     after => { id => 'false_7922222@c.us_A' } })),
   'payload.revokedMessageId',
   'message.revoked with a line break in its target');

is(record(event('session.status', { status => 'PASSKEY_REQUIRED',
                                    statuses => [] }))->{sent_at}, $created,
   'a session without a history');

for my $name (qw(state.change engine.event group.v2.join poll.vote.failed
                 message.waiting message.any.thing Message))
{
    is(record(event($name, 'not an object'))->{kind}, 'other',
       "$name is of no concern");
}


# --- what is no message of a person -----------------------------------------

sub proto {
    my ($engine, $members, %payload) = @_;

    return record(message({ body => undef, %payload, _data => {
        $engine eq 'GOWS' ? (Message => $members) : (message => $members) } }));
}

my @nothing = qw(senderKeyDistributionMessage albumMessage pollUpdateMessage
    fastRatchetKeySenderKeyDistributionMessage encReactionMessage
    encCommentMessage encEventResponseMessage pinInChatMessage
    keepInChatMessage chat declinePaymentRequestMessage
    cancelPaymentRequestMessage requestPhoneNumberMessage
    scheduledCallEditMessage stickerSyncRmrMessage messageHistoryBundle
    messageHistoryNotice statusNotificationMessage
    statusStickerInteractionMessage conditionalRevealMessage
    pollAddOptionMessage groupRootKeyShare rootSecretDistributeMessage
    splitPaymentUpdateMessage);

my @wrappers = qw(ephemeralMessage deviceSentMessage associatedChildMessage
    viewOnceMessage viewOnceMessageV2 viewOnceMessageV2Extension
    documentWithCaptionMessage editedMessage groupMentionedMessage
    botInvokeMessage lottieStickerMessage statusMentionMessage
    groupStatusMentionMessage limitSharingMessage botForwardedMessage
    questionReplyMessage spoilerMessage commentMessage tomorrowsWrapper);

for my $engine (qw(NOWEB GOWS)) {
    is(proto($engine, { messageContextInfo => {}, $_ => {} })->{reason},
       'notice', "$engine: $_ is no message") for @nothing;
    is(proto($engine, { $_ => {} })->{reason}, 'call', "$engine: $_ is a call")
        for qw(call callLogMesssage bcallMessage);

    for my $type ('EPHEMERAL_SETTING', 3, 'HISTORY_SYNC_NOTIFICATION', 5,
                  'LIMIT_SHARING', 27, 'TOMORROW', undef)
    {
        my $name = $type // 'no type';
        is(proto($engine, { protocolMessage => { type => $type,
                            key => { id => 'A' } } })->{reason}, 'notice',
           "$engine: a protocol message of $name");
    }

    for my $wrapper (@wrappers) {
        is(proto($engine, { $wrapper => { message => { pinInChatMessage => {
               key => {} } } } })->{reason}, 'notice',
           "$engine: a notice in $wrapper");

        my $r = proto($engine, { $wrapper => { message => {
            protocolMessage => { type => 'MESSAGE_EDIT', key => { ID => 'T' },
                timestampMS => '1795226560500', editedMessage => {
                    imageMessage => { caption => 'new' } } } } } });
        is_deeply([ @$r{qw(kind target_id text sent_at message_id)} ],
                  [ 'edit', 'T', 'new', 1795226560500, 'A' ],
                  "$engine: an edit in $wrapper");

        $r = proto($engine, { $wrapper => { message => {
            protocolMessage => { type => 'REVOKE', key => { id => 'T' } } } } });
        is_deeply([ @$r{qw(kind target_id)} ], [ 'revoke', 'T' ],
                  "$engine: a revoke in $wrapper");

        $r = proto($engine, { $wrapper => { message => {
            secretEncryptedMessage => { secretEncType => 2,
                targetMessageKey => { ID => 'T' } } } } });
        is_deeply([ @$r{qw(kind target_id text)} ], [ 'edit', 'T', undef ],
                  "$engine: an edit that cannot be read, in $wrapper");

        is(proto($engine, { $wrapper => { message => {
               conversation => 'words' } } })->{text}, 'words',
           "$engine: words in $wrapper");
    }

    my $r = proto($engine, { reactionMessage => { text => "\x{1f44d}",
                             key => { id => 'T' } } });
    is_deeply([ @$r{qw(kind target_id text)} ], [ 'reaction', 'T', "\x{1f44d}" ],
              "$engine: a reaction as a message");

    is(proto($engine, { senderKeyDistributionMessage => {},
                        conversation => 'hi' })->{text}, 'hi',
       "$engine: keys before words");
    is(proto($engine, { senderKeyDistributionMessage => {},
                        tomorrowsMessage => {} })->{type}, 'unknown',
       "$engine: keys before something unheard of");
}

for my $type (1, 2, 4, 'EVENT_EDIT', 'MESSAGE_EDIT', 'POLL_EDIT') {
    is(proto('GOWS', { secretEncryptedMessage => { secretEncType => $type,
           targetMessageKey => { id => 'T' } } })->{kind}, 'edit',
       "an encrypted edit: $type");
}

is(proto('GOWS', { secretEncryptedMessage => { secretEncType => $_,
       targetMessageKey => { id => 'T' } } })->{reason}, 'notice',
   'another secret: ' . ($_ // 'none'))
    for 0, 3, 5, 'MESSAGE_SCHEDULE', 'TOMORROW', undef;

is(record(message({ body => 'subject', _data => { type => $_ } }))->{reason},
   'notice', "WEBJS's $_ is no message")
    for qw(e2e_notification notification notification_template gp2 album
           group_notification broadcast_notification newsletter_notification
           poll_update reaction_enc pin_message pinned_message keep_in_chat
           history_bundle protocol event_response debug);

is(record(message({ body => '', _data => { type => 'call_log' } }))->{reason},
   'call', "WEBJS's call_log");
is(record(message({ body => '', _data => { type => 'ciphertext' } }))
     ->{reason}, 'ciphertext', "WEBJS's ciphertext");

for my $subtype (qw(revoke sender_revoke admin_revoke)) {
    my $r = record(message({ body => '', _data => { type => 'protocol',
        subtype => $subtype, protocolMessageKey => { id => 'T' } } }));
    is_deeply([ @$r{qw(kind target_id sent_at)} ], [ 'revoke', 'T', $created ],
              "WPP's $subtype");
}

for my $case (
    [ {}, 1, 'nothing' ], [ { _data => { message => {} } }, 1, 'no member' ],
    [ { _data => { message => { tomorrowsMessage => {} } } }, 1,
      'an unknown member' ],
    [ { _data => { type => 'tomorrow' } }, 1, 'an unknown type' ],
    [ { _data => { type => 'chat' } }, 1, 'an empty text' ],
    [ { _data => { type => 'biz_content_placeholder' } }, 1, 'a placeholder' ],
    [ { _data => { message => { placeholderMessage => {} } } }, 1,
      'what only the phone shows' ],
    [ { _data => { message => { imageMessage => {} } } }, undef, 'an image' ],
    [ { hasMedia => $true }, undef, 'media' ],
    [ { media => { url => 'x' } }, undef, 'a file' ],
    [ { location => { latitude => 1 } }, undef, 'a place' ],
    [ { vCards => [ 'x' ] }, undef, 'a card' ],
    [ { body => 'x' }, undef, 'a word' ],
    [ { _data => { key => { isViewOnce => $true } } }, undef, 'view once' ])
{
    my ($payload, $empty, $what) = @$case;

    is(record(message({ body => undef, %$payload }))->{empty},
       $empty ? $true : undef, "whether it says nothing: $what");
}


# --- words that WAHA leaves in "_data" ----------------------------------------

for my $case (
    [ { buttonsResponseMessage => { selectedButtonId => 'y',
        selectedDisplayText => 'Yes' } }, 'button_reply', 'Yes' ],
    [ { buttonsResponseMessage => { selectedButtonID => 'y', Response => {
        SelectedDisplayText => 'Yes' } } }, 'button_reply', 'Yes' ],
    [ { templateButtonReplyMessage => { selectedDisplayText => 'T' } },
      'button_reply', 'T' ],
    [ { listResponseMessage => { title => 'L' } }, 'list_reply', 'L' ],
    [ { interactiveResponseMessage => { body => { text => 'F' } } },
      'flow_reply', 'F' ],
    [ { interactiveResponseMessage => { InteractiveResponseMessage => {
        NativeFlowResponseMessage => { paramsJSON => '{"a":1}' } } } },
      'flow_reply', '{"a":1}' ],
    [ { interactiveMessage => { body => { text => 'I' } } }, 'interactive',
      'I' ],
    [ { buttonsMessage => { contentText => 'B' } }, 'interactive', 'B' ],
    [ { listMessage => { description => 'D', title => 'T' } }, 'interactive',
      'D' ],
    [ { templateMessage => { Format => { HydratedFourRowTemplate => {
        hydratedContentText => 'H' } } } }, 'template', 'H' ],
    [ { pollCreationMessageV3 => { name => 'Q?' } }, 'poll', 'Q?' ],
    [ { pollCreationMessageV4 => { message => { pollCreationMessageV5 => {
        name => 'Q?' } } } }, 'poll', 'Q?' ],
    [ { eventMessage => { name => 'E' } }, 'event', 'E' ],
    [ { eventInviteMessage => { eventTitle => 'E' } }, 'event', 'E' ],
    [ { scheduledCallCreationMessage => { title => 'S' } }, 'event', 'S' ],
    [ { orderMessage => { message => 'O', orderTitle => 'x' } }, 'order', 'O' ],
    [ { productMessage => { product => { title => 'P' } } }, 'product', 'P' ],
    [ { groupInviteMessage => { caption => '', groupName => 'G' } }, 'invite',
      'G' ],
    [ { newsletterAdminInviteMessage => { caption => 'N' } }, 'invite', 'N' ],
    [ { sendPaymentMessage => { noteMessage => { extendedTextMessage => {
        text => 'M' } } } }, 'payment', 'M' ],
    [ { liveLocationMessage => { caption => 'here' } }, 'location', 'here' ],
    [ { statusQuestionAnswerMessage => { text => 'A' } }, 'text', 'A' ],
    [ { extendedTextMessage => { text => 'X' } }, 'text', 'X' ])
{
    my ($members, $type, $text) = @$case;
    my ($name) = keys %$members;

    for my $inside ($members, { ephemeralMessage => { message => $members } }) {
        my $r = proto('NOWEB', $inside);
        is_deeply([ @$r{qw(type text empty)} ], [ $type, $text, undef ],
                  "the words of $name");
    }
}

for my $case (
    [ { type => 'poll_creation', pollName => 'Q?' }, 'poll', 'Q?' ],
    [ { type => 'list_response', listResponse => { title => 'L' } },
      'list_reply', 'L' ],
    [ { type => 'buttons_response', selectedButtonId => 'b' },
      'button_reply', 'b' ],
    [ { type => 'event_creation', eventName => 'E' }, 'event', 'E' ],
    [ { type => 'groups_v4_invite', inviteGrpName => 'G' }, 'invite', 'G' ],
    [ { type => 'order', orderTitle => 'O' }, 'order', 'O' ],
    [ { type => 'product', title => 'P' }, 'product', 'P' ])
{
    my ($data, $type, $text) = @$case;
    my $r = record(message({ body => '', _data => $data }));
    is_deeply([ @$r{qw(type text)} ], [ $type, $text ],
              "the words of WEBJS's $data->{type}");
}

field({ body => 'BEGIN:VCARD\nEND:VCARD', vCards => [ 'x' ],
        _data => { type => 'vcard' } }, text => undef, 'a card is no text');

sub proto_metadata {
    my ($members, $name, $want, $what) = @_;

    is_deeply(proto('NOWEB', $members)->{metadata}{$name}, $want, $what);
}

proto_metadata({ viewOnceMessageV2 => { message => { imageMessage => {} } } },
               view_once => $true, 'view once, by the wrapper');
proto_metadata({ ephemeralMessage => { message => { viewOnceMessage => {} } } },
               view_once => $true, 'view once, withheld');
proto_metadata({ audioMessage => { viewOnce => $true } }, view_once => $true,
               'view once, by the member');
proto_metadata({ imageMessage => { viewOnce => $false } }, view_once => undef,
               'not view once');
metadata({ _data => { type => 'image', isViewOnce => $true } },
         view_once => $true, "WEBJS's view once");

my $ad = { sourceType => 'ad', sourceId => '1', sourceUrl => 'u', title => 'T',
           ctwaClid => 'c', thumbnail => 'x' };
my $referral = { source => 'ad', id => '1', url => 'u', title => 'T',
                 ctwa_clid => 'c' };

proto_metadata({ extendedTextMessage => { text => 'x',
                 contextInfo => { externalAdReply => $ad } } },
               referral => $referral, 'the ad that brought a person');
proto_metadata({ ephemeralMessage => { message => { imageMessage => {
                 contextInfo => { externalAdReply => { sourceID => '1',
                 sourceURL => 'u', ctwaClid => 'c' } } } } } },
               referral => { id => '1', url => 'u', ctwa_clid => 'c' },
               "GOWS's ad, in a wrapper");
proto_metadata({ extendedTextMessage => { text => 'x', contextInfo => {
                 externalAdReply => { title => 'a link' } } } },
               referral => undef, 'the preview of a link is no ad');
metadata({ _data => { type => 'chat', ctwaContext => { sourceId => '1',
                      conversionSource => 'FB_Ads' } } },
         referral => { source => 'FB_Ads', id => '1' }, "WEBJS's ad");

proto_metadata({ extendedTextMessage => { text => 'x', contextInfo => {
                 remoteJid => 'status@broadcast', stanzaID => 'S' } } },
               status_reply => $true, 'a reply to a status');
metadata({ _data => { type => 'chat', quotedRemoteJid => 'status@broadcast' } },
         status_reply => $true, "WEBJS's reply to a status");
proto_metadata({ ephemeralMessage => { message => { extendedTextMessage => {
                 text => 'x', contextInfo => { stanzaId => 'S',
                 participant => 'p@lid', quotedMessage => {
                     conversation => 'q' } } } } } },
               reply_to => { id => 'S', participant => 'p@lid', body => 'q' },
               'a reply in a disappearing chat');
proto_metadata({ pollCreationMessage => { name => 'Q', options => [
                 { optionName => '1' }, { optionName => '5' } ] } },
               poll => { options => [ '1', '5' ] }, 'the options of a poll');
proto_metadata({ listResponseMessage => { title => 'L', singleSelectReply => {
                 selectedRowID => 'row' } } },
               selection => { id => 'row' }, 'the id of what was tapped');
proto_metadata({ ephemeralMessage => { message => { contactMessage => {
                 vcard => 'V' } } } }, vcards => [ 'V' ],
               'a card in a disappearing chat');
proto_metadata({ contactsArrayMessage => { contacts => [ { vcard => 'V' },
                 { vcard => 'W' } ] } }, vcards => [ 'V', 'W' ], 'two cards');
proto_metadata({ ephemeralMessage => { message => { locationMessage => {
                 degreesLatitude => 1.5, degreesLongitude => 2,
                 name => 'N' } } } },
               location => { latitude => '1.5', longitude => '2',
                             name => 'N' }, 'a place in a disappearing chat');
metadata({ body => '', _data => { type => 'location', lat => -3.5,
                                  lng => 4 } },
         location => { latitude => '-3.5', longitude => '4' },
         "WPP's place");

for my $case ([ 'messageTimestamp', 1795226500 ], [ 't', 1795226500 ],
              [ 'Info', { Timestamp => '2026-11-21T02:01:40Z' } ],
              [ 'messageTimestamp', { low => 1795226500, high => 0 } ])
{
    my $r = record(message({ timestamp => 0, _data => { $case->[0] => $case->[1]
                             } }));
    is($r->{sent_at}, 1795226500000, "the engine's time: $case->[0]");
    is($r->{metadata}{time_guessed}, undef, 'it is no guess');
}

my $guessed = record(message({ timestamp => undef }));
is($guessed->{sent_at}, $created, "the event's time for the message's");
is($guessed->{metadata}{time_guessed}, $true, 'it is a guess, and says so');


# --- ids that stand elsewhere -------------------------------------------------

for my $case (
    [ { _data => { id => { remote => '79222222222@c.us', id => 'X',
        fromMe => $true } } }, 'WEBJS' ],
    [ { _data => { id => { id => 'X', fromMe => $true,
        remote => { user => '79222222222', server => 'c.us' } } } },
      'WEBJS, with an object for the chat' ],
    [ { _data => { id => { _serialized => 'true_79222222222@c.us_X' } } },
      'WEBJS, in one text' ],
    [ { id => { remote => '79222222222@c.us', id => 'X', fromMe => $true } },
      'an object for the id' ],
    [ { _data => { key => { remoteJid => '79222222222@s.whatsapp.net',
        id => 'X', fromMe => $true } } }, 'NOWEB' ],
    [ { _data => { Info => { Chat => '79222222222@s.whatsapp.net', ID => 'X',
        IsFromMe => $true } } }, 'GOWS' ],
    [ { id => 'X', from => '79111111111@c.us', to => '79222222222@c.us',
        fromMe => $true }, 'sender and recipient' ])
{
    my ($payload, $what) = @$case;

    my $r = record(event('message', { timestamp => 1795226560, body => 'hi',
                                      %$payload }));
    is_deeply([ @$r{qw(message_id phone direction)} ],
              [ 'X', '79222222222', 'outbound' ], "the id by $what");
    like($r->{metadata}{whatsapp_id}, qr/^true_79222222222\@.*_X$/,
         "an id for WAHA by $what");
}


# --- who is who ---------------------------------------------------------------

my %me = (id => '79111111111@c.us', lid => '888111@lid',
          jid => '79111111111:7@s.whatsapp.net');

sub of_us {
    my ($payload, $name, $me) = @_;

    my $body = message($payload);

    return record($json->canonical->encode({ %{ $json->decode($body) },
        me => $me // \%me, event => $name // 'message.any' }));
}

for my $own ('79111111111@c.us', '888111@lid', '79111111111:3@c.us',
             '888111:9@lid', '888111@c.us', '79111111111@hosted')
{
    for my $from_me ($true, $false) {
        is(of_us({ from => $own, fromMe => $from_me })->{reason}, 'self',
           "a chat with oneself: $own");
    }

    is(of_us({ from => $own, fromMe => $false, ack => 3 }, 'message.ack')
         ->{reason}, 'self', "an ack from oneself: $own");
}

is(of_us({ from => '79222222222@c.us', to => '79222222222@c.us',
           fromMe => $true }, undef, {})->{reason}, 'self',
   'sender, recipient and chat are one');
is(of_us({ from => '777@lid', _data => { key => {
           remoteJidAlt => '79111111111@s.whatsapp.net' } } }, undef,
         { id => $me{id} })->{reason}, 'self', 'our LID that WAHA does not tell');

my $two = of_us({ from => '777@lid', fromMe => $true, _data => { key => {
    remoteJidAlt => '79111111111@s.whatsapp.net' } } });
is_deeply([ @$two{qw(lid phone kind)} ], [ '777', undef, 'message' ],
          'our number is nobody else\'s');

my $ours = of_us({ id => "false_${group}_A_888111\@lid", from => $group });
is_deeply([ @$ours{qw(direction lid phone name chat_id)} ],
          [ 'outbound', undef, undef, undef, $group ],
          'what we have written in a group is ours');

for my $case (
    [ '555@c.us', { key => { remoteJid => '555@hosted.lid' } },
      { lid => '555' } ],
    [ '55555@c.us', { Info => { Chat => '55555@hosted' } },
      { phone => '55555' } ],
    [ '555@c.us', { Info => { Chat => '555@lid',
      SenderAlt => '79222222222@hosted' } },
      { lid => '555', phone => '79222222222' } ],
    [ '867051314767696@c.us', { key => { remoteJid => '867051314767696@bot' } },
      { chat => 'bot', chat_id => '867051314767696@bot' } ],
    [ '79222222222@c.us', { key => { remoteJid => '79222222222@msgr' } },
      { reason => 'unknown_chat' } ],
    [ '79222222222@c.us', { Info => { Chat => '79222222222@interop' } },
      { reason => 'unknown_chat' } ],
    [ '79222222222@tomorrow', {}, { reason => 'unknown_chat' } ],
    [ '79222222222@c.us', { Info => { Chat => '79222222222@newsletter' } },
      { chat => 'newsletter', chat_id => '79222222222@newsletter' } ],
    [ '555@lid', { key => { remoteJidAlt => '555@s.whatsapp.net' } },
      { lid => '555' } ])
{
    my ($from, $data, $want) = @$case;
    my $r = of_us({ from => $from, _data => $data });

    my %got = map { $_ => $r->{$_} } grep { defined $r->{$_} }
              qw(phone lid reason chat_id),
              $want->{chat} ? 'chat' : ();
    is_deeply(\%got, $want, "the raw key of $from counts");
}

# made up, from a seed that is shown: whatever engines and WAHA write

srand(my $seed = time);
note("seed $seed");

my @servers = qw(c.us s.whatsapp.net lid hosted hosted.lid g.us newsletter
                 broadcast bot msgr interop call tomorrow);
my %number_of = map { $_ => 1 } qw(c.us s.whatsapp.net hosted);

sub any { return $_[rand @_] }

sub any_jid {
    my ($user, $server) = @_;

    return $user . any('', '', ':' . int rand 99) . '@' . $server;
}

my ($leaks, $confused) = (0, 0);

for (1 .. 400) {
    my ($number, $hidden) = ('7922222' . int(1000 + rand 9000),
                             '190000' . int(1000 + rand 9000));
    my ($chat, $server) = any([ $number, any(keys %number_of) ],
                              [ $hidden, any('lid', 'hosted.lid') ],
                              [ '79111111111', any(@servers) ],
                              [ '888111', any('lid', 'hosted.lid') ]);
    ($chat, $server) = @$chat;

    # WAHA writes "c.us" for what it does not know
    my $written = $server eq 'lid' ? 'lid' : 'c.us';
    my $other = sub { any_jid(any([ $number, any(keys %number_of) ],
                                  [ $hidden, any('lid', 'hosted.lid') ],
                                  [ '79111111111', 's.whatsapp.net' ],
                                  [ '888111', 'lid' ])->@*) };
    my $alone = "$chat\@$written";
    my $r = of_us({ from => $alone, fromMe => any($true, $false),
        _data => { any({ key => { remoteJid => any_jid($chat, $server),
                                  remoteJidAlt => $other->(),
                                  senderPn => $other->() } },
                       { Info => { Chat => any_jid($chat, $server),
                                   SenderAlt => $other->(),
                                   RecipientAlt => $other->() } })->%* } },
        any('message', 'message.any', 'message.edited', 'message.ack'));

    my ($phone, $lid) = map { $_ // '' } @$r{qw(phone lid)};

    $leaks++ if grep { $_ eq '79111111111' || $_ eq '888111' } $phone, $lid;
    $confused++ if $phone eq $hidden || $lid eq $number;
}

is($leaks, 0, 'our own identities are never those of a contact');
is($confused, 0, 'digits of a LID are never a phone number');


# --- calls and votes ------------------------------------------------------------

for my $case (
    [ { callerPn => '79222222222@s.whatsapp.net' }, 'NOWEB' ],
    [ { CallCreatorAlt => '79222222222@s.whatsapp.net' }, 'GOWS' ])
{
    my $call = record(event('call.received', { id => 'C', from => '555@lid',
                            _data => $case->[0] }));
    is_deeply([ @$call{qw(lid phone)} ], [ '555', '79222222222' ],
              "$case->[1]: both identities of a caller");
}

my $vote = record(event('poll.vote', {
    vote => { id => 'false_79222222222@c.us_V', fromMe => $false, to => 'me',
              from => '79222222222@c.us', timestamp => 1795226561123,
              selectedOptions => [ 'a', { name => 'b' }, 5 ] },
    poll => { id => 'true_79222222222@c.us_P' } }));
is_deeply([ @$vote{qw(kind target_id message_id phone direction sent_at)} ],
          [ 'vote', 'P', 'V', '79222222222', 'inbound', 1795226561123 ],
          'a vote');
is_deeply($vote->{metadata}, { options => [ 'a', 'b' ] }, 'its options');

$vote = record(event('poll.vote', {
    vote => { from => '555@lid', timestamp => 1795226561,
              selectedOptions => [] },
    poll => { id => 'P' },
    _data => { Info => { SenderAlt => '79222222222:5@s.whatsapp.net' } } }));
is_deeply([ @$vote{qw(kind target_id lid phone metadata)} ],
          [ 'vote', 'P', '555', '79222222222', { options => [] } ],
          'a vote taken back, without an id');

$read = record(event('message.ack', { id => 'false_555@lid_A', ack => 3,
    fromMe => $false, _data => { IsFromMe => $true,
    SenderAlt => '79111111111:2@s.whatsapp.net',
    RecipientAlt => '79222222222@s.whatsapp.net' } }));
is_deeply([ @$read{qw(kind direction target_id status lid phone)} ],
          [ 'status', 'inbound', 'A', 'read', '555', '79222222222' ],
          'read on the own phone');

$revoke = record(event('message.revoked', { after => {
    id => "false_${group}_N_555\@lid", timestamp => 1700000000,
    _data => { type => 'revoked', protocolMessageKey => { id => 'T' },
               revokeSender => '777@lid' } }, revokedMessageId => 'T' }));
is_deeply([ @$revoke{qw(target_id lid sent_at)} ], [ 'T', '777', $created ],
          "WEBJS: an administrator's revoke");

for my $case ([ 'message.edited', { body => '', editedMessageId => 'T' }, '' ],
    [ 'message.edited', { body => '', editedMessageId => 'T', _data => {
      message => { secretEncryptedMessage => {} } } }, undef ],
    [ 'message.edited', { body => '', _data => { Message => {
      protocolMessage => { key => { ID => 'T' }, type => 14,
      editedMessage => { interactiveMessage => { body => { text => 'w' } } } }
      } } }, 'w' ])
{
    my ($name, $payload, $text) = @$case;
    my $r = record(event($name, { id => 'false_79222222222@c.us_E',
                                  %$payload }));
    is_deeply([ @$r{qw(kind target_id text)} ], [ 'edit', 'T', $text ],
              'an edit to ' . ($text // 'what cannot be read'));
}

field({ fromMe => $true, ack => $_->[0] }, status => $_->[1],
      "the status of an ack of $_->[0]")
    for [ -1, 'failed' ], [ 0, 'pending' ], [ 2, 'delivered' ], [ 9, undef ];
field({ ack => 3 }, status => undef, 'of an inbound message none');


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
      'a session that had to be repaired' ])
{
    is(rc($case->[0]), 'declined', "not WAHA's: $case->[1]");
}

is(missing($good =~ s/"event":"message"/"event":5/r), 'event',
   'the name of the event is missing');
is(missing($good =~ s/"session":"t1"/"session":""/r), 'session',
   'the session is missing');


# --- a session that is known, and an event that cannot be read ----------------

for my $case (
    [ $good =~ s/"payload":/"pay":/r, 'payload', 'no payload' ],
    [ event('message.revoked', []), 'payload', 'a payload that is an array' ],
    [ event('message', { id => 'ABC' }), 'payload.id',
      'a message with a bare id' ],
    [ event('message', { id => 42 }), 'payload.id',
      'a message whose id is a number' ],
    [ event('message', {}), 'payload.id', 'a message without id' ],
    [ message({ id => "false_79222222222\@c.us_A\nB" }), 'payload.id',
      'a line in an id' ],
    [ message({ id => "false_79222222222\@c.us_A\x{e9}" }), 'payload.id',
      'an accent in it' ],
    [ message({ id => 'false_79222222222@c.us_' . 'A' x 240 }), 'payload.id',
      'an id of 263 bytes' ],
    [ event('call.received', { id => 'C', from => undef }), 'payload.from',
      'a call from nowhere' ],
    [ event('poll.vote', { vote => { id => 'false_79222222222@c.us_V' },
                           poll => { id => 'P' } }),
      'payload.vote.selectedOptions', 'a vote for nothing' ],
    [ event('poll.vote', { vote => { selectedOptions => [] } }),
      'payload.poll.id', 'a vote in no poll' ],
    [ event('session.status', {}), 'payload.status',
      'a session without status' ])
{
    my ($body, $member, $what) = @$case;

    is(rc($body), 'abort', "to be kept: $what");
    is(missing($body), $member, "the missing member: $what");
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
    [ '13135550002@c.us', { chat => 'bot' } ],
    [ '13165550012@s.whatsapp.net', { chat => 'bot' } ],
    [ '79222222222@hosted', { chat => 'person', phone => '79222222222' } ],
    [ '79222222222:99@hosted',
      { chat => 'person', phone => '79222222222' } ],
    [ '79222222222_1:5@s.whatsapp.net',
      { chat => 'person', phone => '79222222222' } ],
    [ '79222222222.0:5@s.whatsapp.net',
      { chat => 'person', phone => '79222222222' } ],
    [ '555666777888:99@hosted.lid', { chat => 'person',
                                      lid => '555666777888' } ],
    [ '867051314767696@meta.ai', { chat => 'bot' } ],
    map { [ $_ ] } '', '@', '@c.us', 'me', '0@c.us', '0@s.whatsapp.net',
        '0@lid', '1234@c.us', '1234567890123456@c.us', '+79222222222@c.us',
        '7922a222222@c.us', ':5@lid', '79222222222@C.US', '79222222222@c.us ',
        '79222222222@c.us@lid', "a b\@g.us", "a\0\@g.us", "\xc3\xa9\@g.us",
        '@g.us', '79222222222', '123456789012345678901@lid', '@broadcast',
        '79222222222@msgr', '1-79222222222@interop', '79222222222@call',
        '79222222222@lid.tomorrow', 'server@c.us', '7:x@')
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

# RFC 4231: a key, a text, and their HMACs

for ([ "\x0b" x 20, 'Hi There',
       'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
       '87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde'
       . 'daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854' ],
     [ 'Jefe', 'what do ya want for nothing?',
       '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
       '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554'
       . '9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737' ],
     [ "\xaa" x 20, "\xdd" x 50,
       '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
       'fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39'
       . 'bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb' ],
     [ "\xaa" x 131, 'Test Using Larger Than Block-Size Key - Hash Key First',
       '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
       '80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352'
       . '6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598' ])
{
    my ($key, $text, $sha256, $sha512) = @$_;

    keys_are('another key', $key);

    ask('hex', $sha256);
    is(ask('sha256', $text)->{number}, 1, "RFC 4231, SHA-256: $text");
    is(ask('sha256', "$text.")->{number}, undef, 'nothing of a longer text');

    ask('hex', $sha512);
    is(ask('sha512', $text)->{number}, 1, "RFC 4231, SHA-512: $text");
    is(ask('sha512', "$text.")->{number}, undef, 'nothing of a longer text');
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


sub missing { return ask('envelope', $_[0])->{missing} }


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
