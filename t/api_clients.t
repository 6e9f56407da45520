# The clients of the integration guides, as their code reads the answers: what
# they show, and which of their buttons leads on.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(wait => 2);

$pg->organization('acme', session => 't1');
$pg->organization($_) for qw(other);

my $api = Waha::Sessions->new($t, wahas => [ $waha ]);
$t->start;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);


# ContactActivity.jsx: data.data is the list; each row has activity_type,
# direction, message_content, subject, metadata.has_media and created_at

subtest 'the activity tab of a contact' => sub {
    my $id = $t->webhook($t->message(session => 't1', from => 4915112345678,
        text => 'a question', id => 'Q1'))->{json}{data}{contactId};

    $t->webhook($t->message(session => 't1', from => 4915112345678,
        id => 'Q2', text => 'a photo', media => { mimetype => 'image/png',
            url => $waha->url . '/api/files/t1/a.png', filename => undef }));

    my $by_crm = 'insert into contact_activities (organization_slug,
        contact_id, activity_type, subject, message_content, created_by,
        metadata)';
    $pg->psql("$by_crm values ('acme', $id, 'note', 'A visit',
        'wants a quote', 7, '{\"n\": 12345678901234567890}')");
    $pg->psql("$by_crm values ('acme', $id, 'meeting', null, 'at ten',
        null, null)");

    my $path = "/api/contacts/$id/activities?org=acme";
    my $r = $api->ok('acme', GET => $path);

    is(ref $r->{data}, 'ARRAY', 'data is the list that the client maps over');
    is($r->{next}, undef, 'next stands beside data');

    my %row = map { $_->{message_content} => $_ } @{ $r->{data} };

    is_deeply([ map { $_->{activity_type} } @{ $r->{data} } ],
              [ qw(meeting note whatsapp_message whatsapp_message) ],
              'the list has activities of all types, the newest first');
    is_deeply([ map { $row{'a question'}{$_} }
                    qw(direction subject session_name organization_slug) ],
              [ 'inbound', undef, 't1', 'acme' ],
              'a message has the columns of the table');
    is($row{'a photo'}{metadata}{has_media}, $true,
       'a message with a file says so in its metadata');
    is($row{'a photo'}{metadata}{media_url},
       "/api/whatsapp/media/$row{'a photo'}{id}",
       "the URL of the file is the API's, not WAHA's");
    is_deeply([ @{ $row{'wants a quote'} }{qw(subject created_by)} ],
              [ 'A visit', 7 ], "a note has the CRM's subject and author");
    is_deeply([ grep { ($_->{created_at} // '')
                       !~ /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z$/ }
                @{ $r->{data} } ], [], 'each activity has a time');

    like($api->get('acme', $path)->{body}, qr/12345678901234567890/,
         "the CRM's numbers keep their digits");

    for my $type (qw(whatsapp_message note call)) {
        is_deeply([ grep { $_->{activity_type} ne $type }
                    @{ $api->ok('acme', GET => "$path&type=$type")->{data} } ],
                  [], "the tab $type has nothing else");
    }

    my @pages;
    my $after = '';

    for (1 .. 4) {
        my $page = $api->ok('acme', GET => "$path&limit=1$after");
        push @pages, map { $_->{id} } @{ $page->{data} };
        $after = '&after=' . ($page->{next} // last);
    }

    is_deeply(\@pages, [ map { $_->{id} } @{ $r->{data} } ],
              'pages by next have all rows once');
    is_deeply($api->ok('acme', GET => "$path&limit=2&offset=2")->{data},
              [ @{ $r->{data} }[2, 3] ], 'limit and offset choose rows');

    is_deeply($api->ok('acme', GET => "$path&type=email")->{data}, [],
              'no rows are an empty list');
    refused($api->get('other', "/api/contacts/$id/activities"), 404,
            'unknown_contact', "another organization's contact");
    is(ref $api->ok('acme',
           GET => "/api/whatsapp/contacts/$id/activities")
       ->{data}{activities}, 'ARRAY', "the module's own route keeps its form");
};


$t->done;
