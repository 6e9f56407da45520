# What callers of the API read: contacts, activities, conversations, messages
# and sessions, page by page.

use Waha::Test;
use Waha::Api;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => [ 't1', 't5' ]);
$pg->organization('bolt', session => 't2');

my $api = Waha::Api->new($t);
$t->start;

my $now = time - 3600;
my $anna = say(from => '4915112345678', name => 'Anna Maria',
               text => 'one', timestamp => $now, id => 'M1');
say(from => '4915112345678', text => 'two', timestamp => $now + 1,
    from_me => 1, id => 'M2');
say(from => '4915112345678', text => 'three', timestamp => $now + 2,
    session => 't5', id => 'M3');
my $bob = say(from => '4915187654321', name => 'Bob', text => 'hi',
              timestamp => $now + 3, id => 'M4',
              media => { url => 'http://waha:3000/api/files/a.jpg',
                         mimetype => 'image/jpeg', filename => undef });
$pg->psql("insert into contact_activities (organization_slug, contact_id,
               activity_type, message_content)
               values ('acme', $anna, 'note', 'of the CRM')");


# stores a message; the id of its contact

sub say {
    my $r = $t->webhook($t->message(@_));

    return $r->{json}{data}{contactId} // die $r->{body};
}


# the data of an answer, which has to be 200

sub data {
    my ($path, $who) = @_;

    return $api->ok($who // 'acme', GET => $path)->{data};
}


sub texts {
    return join ' ', map { $_->{text} } @{ $_[0] };
}


sub contents {
    return join ' ', map { $_->{message_content} } @{ $_[0] };
}


subtest 'a list of contacts' => sub {
    my $data = data('/api/whatsapp/contacts');
    is_deeply([ map { $_->{id} } @{ $data->{contacts} } ], [ $bob, $anna ],
              'contacts are listed newest first');
    is($data->{next}, undef, 'a list that fits one page has no "next"');

    my %found = ('anna' => $anna, 'BOB' => $bob, '0151 12345678' => '',
                 '+49 151 1234' => $anna, 'a m' => $anna, '%' => '',
                 "';--" => '');

    for my $search (sort keys %found) {
        (my $escaped = $search) =~ s/([^A-Za-z0-9])/sprintf '%%%02x', ord $1/ge;

        my $list = data("/api/whatsapp/contacts?search=$escaped");
        is(join(' ', map { $_->{id} } @{ $list->{contacts} }),
           $found{$search}, "search \"$search\" finds the right contact");
    }
};


subtest 'a contact' => sub {
    my $c = data("/api/whatsapp/contacts/$anna");

    is($c->{id}, $anna, 'a contact has its id');
    is("$c->{first_name} $c->{last_name}", 'Anna Maria',
       'a contact has its name');
    is($c->{phone_1}, '+4915112345678', 'a contact has its number');
    is($c->{identities}[0]{kind}, 'phone', 'a contact has its identities');
    like($c->{created_at}, qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
         'a contact has the time of its creation');

    my $r = $api->get('acme', '/api/whatsapp/contacts/999999');
    is($r->{json}{code}, 'unknown_contact',
       'a contact that does not exist is unknown_contact');
};


subtest 'activities of a contact' => sub {
    my $path = "/api/whatsapp/contacts/$anna/activities";

    is(texts(data($path)->{activities}), 'of the CRM three two one',
       'activities are listed newest first');
    is(texts(data("$path?type=note")->{activities}), 'of the CRM',
       'type= selects activities');
    is(texts(data("$path?session=t5")->{activities}), 'three',
       'session= selects activities');
    is(texts(data("$path?skip=1&size=2")->{activities}), 'three two',
       'skip= leaves out the newest');

    my $guide = "/api/contacts/$anna/activities";
    is(contents(data("$guide?org=acme&type=whatsapp_message&limit=2&offset=1")),
       'two one', "a guide's route takes type, limit and offset");
    is(contents(data("$guide?org=acme&size=1&skip=1")),
       'of the CRM three two one', "a guide's route ignores size and skip");

    my $a = data($path)->{activities}[3];
    is($a->{contact_id}, $anna, 'an activity has its contact');
    is($a->{direction}, 'inbound', 'an activity has its direction');
    is($a->{type}, 'whatsapp_message', 'an activity has its type');
    is($a->{session}, 't1', 'an activity has its session');
    is($a->{message_id}, 'M1', "an activity has WhatsApp's message id");
    like($a->{occurred_at}, qr/Z$/, 'an activity has its time');

    $a = data("/api/whatsapp/contacts/$bob/activities")->{activities}[0];
    is($a->{metadata}{media}{url}, "/api/whatsapp/media/$a->{id}",
       'the URL of a file is our own route');
    unlike($api->get('acme', "/api/whatsapp/contacts/$bob/activities")
               ->{body}, qr/waha:3000/,
           "the URL of a file at WAHA is not shown");

    my $r = $api->get('acme', '/api/whatsapp/contacts/999999/activities');
    is($r->{json}{code}, 'unknown_contact',
       'activities of a contact that does not exist');
};


subtest 'conversations' => sub {
    my $all = data('/api/whatsapp/conversations')->{conversations};
    is(join(' ', map { $_->{last_message} } @$all), 'hi three two',
       'conversations are listed by their last message, newest first');
    is($all->[0]{id}, "$bob-t1", 'a conversation has its id');
    is($all->[0]{unread_count}, 1,
       'a conversation has its unread messages counted');

    my $some = data('/api/whatsapp/conversations?unread=true&session=t1')
                   ->{conversations};
    is(join(' ', map { $_->{last_message} } @$some), 'hi',
       'unread=true and session= select conversations');
    is(@{ data('/api/whatsapp/conversations?unread=0')->{conversations} }, 3,
       'unread=0 lists all conversations');

    is(texts(data("/api/whatsapp/conversations/$anna-t1/messages")
                 ->{messages}), 'two one',
       'messages of a conversation are listed newest first');

    my $r = $api->post('acme', "/api/whatsapp/conversations/$bob-t1/read");
    is($r->{json}{data}{unread_count}
       // $r->{json}{data}{conversation}{unread_count}, 0,
       'POST read sets the unread messages to 0');
    is(@{ data('/api/whatsapp/conversations?unread=true&session=t1')
              ->{conversations} }, 0,
       'a conversation that was read is no longer unread');

    for my $id ("$bob-t5", "$bob", 'x', '999999-t1', "$bob-", '-t1',
                "$bob-t1%20", "$bob-t2", "9999999999999999999999-t1")
    {
        $r = $api->get('acme', "/api/whatsapp/conversations/$id/messages");
        is($r->{json}{code}, 'unknown_conversation',
           "messages of $id are unknown_conversation");
        $r = $api->post('acme', "/api/whatsapp/conversations/$id/read");
        is($r->{json}{code}, 'unknown_conversation',
           "POST read of $id is unknown_conversation");
    }
};


# one member of each row of a list that is read page by page; $between is
# called between two pages

sub walk {
    my ($path, $name, $key, $between) = @_;

    my @lists = map { $_->{$name} } $api->pages('acme', $path, size => 7,
                                                between => $between);
    cmp_ok(scalar @$_, '<=', 7, 'a page has no more rows than asked for')
        for @lists;

    return map { $_->{$key} } map { @$_ } @lists;
}


subtest 'lists that grow while they are paged' => sub {
    my @people = map { say(from => 4915200000000 + $_, text => "p$_",
                           timestamp => $now + 100 + $_ % 5) } 1 .. 40;
    my @said = map { "a$_" } 1 .. 40;
    say(from => '4915112345678', text => $said[$_ - 1],
        timestamp => $now + 200 + int($_ / 9), id => "P$_") for 1 .. 40;

    my $more = 0;
    my $another = sub { say(from => 4915300000000 + ++$more, text => 'new') };
    my $reply = sub { say(from => '4915112345678', text => 'new',
                          id => 'N' . ++$more) };

    my @seen = walk('/api/whatsapp/contacts', 'contacts', 'id', $another);
    is_deeply([ sort { $a <=> $b } @seen ],
              [ sort { $a <=> $b } $anna, $bob, @people ],
              'paging contacts shows each one once');

    my %before = map { $_->[0] => 1 } @{ $pg->rows("select
        contact_id || '-' || session_name from waha.conversations
        where organization_slug = 'acme'") };
    @seen = walk('/api/whatsapp/conversations', 'conversations', 'id',
                 $another);
    is_deeply([ sort @seen ], [ sort keys %before ],
              'paging conversations shows each one once');

    @seen = walk("/api/whatsapp/contacts/$anna/activities?type="
                 . 'whatsapp_message', 'activities', 'text', $reply);
    is_deeply([ sort @seen ], [ sort @said, qw(one two three) ],
              'paging activities shows each one once');

    @seen = grep { $_ ne 'new' }
            walk("/api/whatsapp/conversations/$anna-t1/messages",
                 'messages', 'text', $reply);
    is_deeply([ sort @seen ], [ sort @said, qw(one two) ],
              'paging messages shows each one once');
};


subtest 'an organization without contacts and messages' => sub {
    my %list = (contacts => 'contacts', conversations => 'conversations',
                sessions => 'sessions');

    $pg->organization('empty');

    is_deeply(data("/api/whatsapp/$_", 'empty')->{ $list{$_} }, [],
              "a list of no $_ is an empty array")
        for sort keys %list;
};


subtest 'sessions' => sub {
    my $list = data('/api/whatsapp/sessions')->{sessions};

    is(join(' ', sort map { $_->{session} } @$list), 't1 t5',
       "only sessions of the caller's organization are listed");
};

$t->done;
