# What is ignored: groups, statuses, newsletters and broadcasts never make a
# contact; "waha_phone_pattern" and "waha_blocked_numbers" choose numbers.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');

$t->nginx(conf => <<'EOF_CONF');
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
        location = /numbers {
            waha_webhook;
            waha_phone_pattern ^49;
            waha_blocked_numbers "+49 151 1111-1111" 4915122222222;
        }
    }
}
EOF_CONF

$t->start;

my $n = 0;

sub told {
    my ($name, $path, $expected, %message) = @_;

    my $r = $t->webhook($t->message(id => 'I' . ++$n, %message),
                        path => $path);

    is_deeply([@{ $r->{json}{data} }{qw(action reason)}], $expected, $name);

    return $r->{json}{data};
}

my %group = (from => '120363000000000001@g.us',
             participant => '4915133333333@c.us');
my %status = (from => 'status@broadcast',
              participant => '4915133333333@c.us');
my %newsletter = (from => '120363111111111111@newsletter');
my %broadcast = (from => '1234567@broadcast',
                 participant => '4915133333333@c.us');

told('a group', '/usual', ['ignored', 'group'], %group);
told('a status', '/usual', ['ignored', 'status'], %status);
told('a newsletter', '/usual', ['ignored', 'newsletter'], %newsletter);
told('a broadcast list', '/usual', ['ignored', 'broadcast'], %broadcast);
told('a bot', '/usual', ['ignored', 'bot'], from => '13135550002@bot');
told('WhatsApp itself', '/usual', ['ignored', 'notice'], from => '0@c.us');
told('an unknown server', '/usual', ['ignored', 'unknown_chat'],
     from => '79222222222@interop');
told('a chat with oneself', '/usual', ['ignored', 'self'],
     from => '79111111111');
told('a note to oneself', '/usual', ['ignored', 'self'],
     from => '79111111111', from_me => 1);
told('what apps tell each other', '/usual', ['ignored', 'notice'],
     from => '4915133333333', payload => { body => undef, _data => {
         message => { pinInChatMessage => {} } } });
told('a call as a message', '/usual', ['ignored', 'call'],
     from => '4915133333333', payload => { body => undef, _data => {
         type => 'call_log' } });
told('what is not decrypted yet', '/usual', ['ignored', 'ciphertext'],
     from => '4915133333333', payload => { body => undef, _data => {
         type => 'ciphertext' } });

told('a group with nobody known in it', '/all', ['ignored', 'no_contact'],
     %group);
told('a newsletter has no contact', '/all', ['ignored', 'no_contact'],
     %newsletter);

is($pg->value('select count(*) from contacts'), 0,
   'no contact is made by chats that are no persons');

my $data = told('a person', '/all', ['contact_created', undef],
                from => '4915133333333');

for my $chat (\%group, \%status, \%broadcast) {
    my $got = told("what a contact says in $chat->{from} is logged", '/all',
                   ['activity_logged', undef], %$chat);
    is($got->{contactId}, $data->{contactId},
       'the message belongs to that contact');
}

is($pg->value(q{select count(*) from waha.conversations}), 1,
   'messages elsewhere make no further conversation');
is($pg->value(q{select last_message_id from waha.conversations}),
   $pg->value(q{select message_id from contact_activities order by id limit 1}),
   'messages elsewhere do not become the last message');

told('a number of the pattern', '/numbers', ['activity_logged', undef],
     from => '4915133333333');
told('a number beside the pattern', '/numbers', ['ignored', 'phone'],
     from => '79222222222');
told('a blocked number', '/numbers', ['ignored', 'blocked'],
     from => '4915111111111');
told('another blocked number', '/numbers', ['ignored', 'blocked'],
     from => '4915122222222');
told('a hidden person', '/numbers', ['contact_created', undef],
     from => '555666777888@lid');
told('a blocked number behind a hidden id', '/numbers',
     ['ignored', 'blocked'], from => '555666777889@lid',
     phone => '4915111111111');

$t->done;
