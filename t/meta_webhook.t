# Notifications of Meta, end to end: each of the recorded shapes, many events in
# one transaction, and what becomes of those that cannot be stored.

use Waha::Test;
use Waha::Meta qw(text status notification change sign);

use JSON::PP ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $meta = Waha::Meta->new($t, $pg);
my $number = '200000000000001';

$pg->organization($_) for qw(acme bolt evil);
$pg->organization('waha', session => 't1');

my $conf = <<'EOF_CONF';
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" timeout=20s;
    waha_secret_key ring %%RING%%;
    waha_meta_app_secret %%SECRET%%;
    client_max_body_size 4m;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }

        location /young {
            waha_webhook;
            waha_max_age 60s;
        }
    }
}
EOF_CONF

$t->nginx(conf => $conf, vars => { $meta->vars })->start;

$meta->connect('acme', $number, account => '100000000000001');
$meta->connect('bolt', '200000000000002', account => '100000000000002');
my $evil = $meta->connect('evil', '200000000000003', secret => 'known to evil');
$pg->psql(q{update waha.connections set valid_from = '-infinity'});

my $activities = 'select count(*) from contact_activities';
my $kept = 'select count(*) from waha.quarantine';


subtest 'the recorded notifications' => sub {
    my $fixtures = JSON::PP->new->utf8->decode(
        slurp(root() . '/t/fixtures/meta.json'));

    my $send = sub {
        my ($case) = @_;

        return $t->http->post('/api/whatsapp/webhook',
            { 'Content-Type' => 'application/json',
              'X-Hub-Signature-256' => $case->{x_hub_signature_256} },
            $case->{raw_ascii_escaped});
    };

    for my $case (@{ $fixtures->{cases} }) {
        my $r = $send->($case);
        is($r->{status}, 200, "$case->{name} is taken") or diag($r->{body});
        cmp_ok($r->{json}{data}{events}, '>=',
               $case->{expect}{messages} + $case->{expect}{statuses},
               "$case->{name}: all events are counted");
        ok(!$r->{json}{data}{actions}{quarantined},
           "$case->{name}: all of them are understood")
            or diag($r->{body});
    }

    is($pg->value($kept), 0, 'nothing is set aside');
    is_deeply($pg->rows(q{
        select c.first_name, a.message_content, a.direction
          from contact_activities a
          join contacts c on c.id = a.contact_id
         where a.message_id = 'wamid.TESTIN00001'}),
        [["Jo\xc3\xa3o", $pg->value(q{select message_content
            from contact_activities
            where message_id = 'wamid.TESTIN00001'}), 'inbound']],
        'a message has its contact');
    is($pg->value(q{select count(*) from contact_activities
                     where direction = 'outbound'}), 1,
       'what was typed on the phone is outbound');
    is_deeply($pg->rows(q{select organization_slug, count(*) > 0
                            from contact_activities
                           group by 1 order by 1}),
              [['acme', 't'], ['bolt', 't']],
              'each number is that of its organization');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id = 'ABGGFlA5Fpa'}), 0,
       'the sample of the dashboard is not stored');
    isnt($pg->value(q{select state from waha.connections
                       where organization_slug = 'acme'}), '{}',
         'news of the account are kept');

    my $before = $pg->value($activities);
    is($send->($_)->{status}, 200, "$_->{name} is taken again")
        for reverse @{ $fixtures->{cases} };
    is($pg->value($activities), $before, 'nothing is doubled');
};


subtest 'an organization that knows a secret' => sub {
    my $before = $pg->value($activities);
    my $body = text(number => $number, id => 'wamid.FORGED');

    is($meta->post($body, secret => 'known to evil')->{status}, 401,
       'cannot speak at the shared URL');

    my $r = $meta->post($body, secret => 'known to evil',
                        connection => $evil);
    is($r->{status}, 200, 'may send what it likes to its own');
    is_deeply($r->{json}{data}{actions}, { quarantined => 1 },
              'but not of the number of another one');
    is($r->{json}{data}{reason}, 'foreign_connection', 'the answer says why');

    $r = $meta->post(text(number => '200000000000003', id => 'wamid.EVIL'));
    is_deeply($r->{json}{data}{actions}, { quarantined => 1 },
              'the operator\'s secret does not speak for it');

    is($pg->value($activities), $before, 'nothing is stored');
    is_deeply($pg->rows('select reason, count(*) from waha.quarantine
                          group by 1'), [['foreign_connection', '2']],
              'both are kept');

    $r = $meta->post(text(number => '200000000000003', id => 'wamid.OWN'),
                     secret => 'known to evil', connection => $evil);
    is($r->{json}{data}{action}, 'contact_created', 'its own are stored');

    $r = $meta->post(text(number => '200000000000009'));
    is_deeply([ @{ $r->{json}{data} }{qw(action reason)} ],
              [ 'ignored', 'unknown_number' ], 'a number of nobody');
    clear();
};


subtest 'a thousand events' => sub {
    my @good = map { message("K$_", "text $_") } 1 .. 1000;
    my $r = deliver(@good[0 .. 499], { type => 'text' }, @good[500 .. 998]);

    is($r->{status}, 200, 'with one that cannot be read are taken');
    is($r->{json}{data}{events}, 1000, 'all are counted');
    is($r->{json}{data}{actions}{quarantined}, 1, 'one is set aside');

    is($pg->value(q{select count(*) from contact_activities
                     where message_id like 'wamid.K%'}), 999,
       'the others are stored');
    is($pg->value(q{select count(distinct xmin::text) from contact_activities
                     where message_id like 'wamid.K%'}), 1,
       'in one transaction');

    my $raw = JSON::PP->new->decode($pg->value(
        q{select convert_from(raw, 'utf8') from waha.quarantine}));
    is_deeply($raw->{entry}[0]{changes}[0]{value}{messages},
              [ { type => 'text' } ], 'what is kept has that event alone');

    $r = deliver(@good[0 .. 499], { type => 'text' }, @good[500 .. 998]);
    is_deeply($r->{json}{data}{actions}, { duplicate => 999, quarantined => 1 },
              'the repetition brings nothing new');
    is($pg->value($kept), 1, 'and the bad one is kept once');

    $r = deliver(reverse @good);
    is_deeply($r->{json}{data}{actions},
              { duplicate => 999, contact_created => 1 },
              'in another order and composition, too');
    clear();
};


subtest 'many that cannot be read' => sub {
    my $r = deliver(message('L0'), map { { type => $_ } } 1 .. 40);

    is($r->{status}, 200, 'are taken');
    is_deeply($r->{json}{data}{actions},
              { activity_logged => 1, quarantined => 40 }, 'and counted');
    is($pg->value($kept), 1, 'the notification is kept, once');
    like($pg->value(q{select convert_from(raw, 'utf8') from waha.quarantine}),
         qr/"type":1\D.*"type":40\D/, 'as a whole');
    clear();
};


subtest 'far more than Meta sends at once' => sub {
    my $r = deliver(map { message("H$_", 'x' x 500) } 1 .. 3000);

    is($r->{status}, 200, 'is taken');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id like 'wamid.H%'}), 3000, 'all of it');
};


subtest 'bodies that are no notification' => sub {
    my %body = (
        'no JSON' => 'hello',
        'nothing' => '',
        'half of one' => '{"entry":[{"id":"1","changes":[{"fie',
        'depth' => '[' x 100 . ']' x 100,
        'NULs' => '{"entry":[{"id":"\u0000"}]}',
        'another object' => '{"object":"page","entry":[]}',
        'no entry' => '{}',
        'an array' => '[]',
        'entries of nothing' => '{"entry":[1,"2",null,{},[]]}',
        'changes of nothing' => '{"entry":[{"id":"1","changes":[1,{},null]}]}',
        'a number as value' =>
            '{"entry":[{"id":"1","changes":[{"field":"messages","value":1}]}]}',
        'zeros' => '{"entry":[' . join(',', (0) x 300_000) . ']}',
    );

    for (sort keys %body) {
        my $r = $meta->post($body{$_});
        is($r->{status}, 200, "$_: a signed body is never refused")
            or diag($r->{body});
        like($r->{json}{data}{action}, qr/^(ignored|quarantined)$/,
             "$_: and not stored");
    }

    is($meta->post('{}', secret => 'wrong')->{status}, 401,
       'an unsigned one is');
    clear();
};


subtest 'an event that PostgreSQL cannot store' => sub {
    $pg->psql(<<'EOF_SQL');
create function poison() returns trigger language plpgsql as $$
begin
    if new.message_content = 'poison' then
        raise exception using errcode = '22023', message = 'poison';
    end if;
    return new;
end $$;
create trigger poison before insert on contact_activities
    for each row execute function poison();
EOF_SQL

    my $r = deliver(map { message("P$_", $_ == 7 ? 'poison' : 'good') }
                    1 .. 20);

    is($r->{status}, 200, 'does not hold up its neighbours');
    is_deeply($r->{json}{data}{actions},
              { activity_logged => 19, quarantined => 1 }, 'is set aside');

    is_deeply($pg->rows(q{select reason, event->>'message_id'
                            from waha.quarantine}),
              [['data_error', 'wamid.P7']], 'alone, with the reason');

    $pg->psql('drop trigger poison on contact_activities');
    $pg->value('select waha.replay(id) from waha.quarantine');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id = 'wamid.P7'}), 1,
       'and can be replayed');
    clear();
};


subtest 'a disabled organization' => sub {
    $pg->psql(q{update organizations set whatsapp_enabled = false
                 where slug = 'bolt'});

    my $r = $meta->post(notification(
        change(number => '200000000000002', messages => [ message('D1') ]),
        change(number => $number, messages => [ message('D2') ])));
    is($r->{status}, 200, 'does not change the answer');
    is_deeply($r->{json}{data}{actions},
              { disabled_organization => 1, activity_logged => 1 },
              'it is counted');

    $pg->psql(q{update organizations set whatsapp_enabled = true
                 where slug = 'bolt'});
};


subtest 'age' => sub {
    my $r = $meta->post(text(number => $number, id => 'wamid.OLD',
                             timestamp => time - 86400), path => '/young');
    is($r->{json}{data}{action}, 'activity_logged',
       'Meta does not sign a time: its notifications are of any age');
};


subtest 'a backend is killed' => sub {
    my $lock = $pg->session;
    $lock->query('begin');
    $lock->query('lock table contact_activities in access exclusive mode');

    my ($path, $headers, $body) = $meta->request(notification(change(
        number => $number, messages => [ map { message("X$_") } 1 .. 1000 ])));
    my $http = $t->http;
    $http->connect;
    $http->send($http->format('POST', $path, $headers, $body));

    my @stuck;
    ok(wait_for(sub {
        @stuck = $pg->backends(q{wait_event_type = 'Lock'});
    }, 60), 'a batch of a thousand waits for a lock');

    $pg->psql("select pg_terminate_backend($_)") for @stuck;
    my $r = $http->answer;
    is($r->{status}, 503, 'nothing is promised');
    $lock->query('rollback');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id like 'wamid.X%'}), 0,
       'nothing is stored');

    ok(wait_for(sub { $meta->post($body)->{status} == 200 }, 60),
       'the repetition is taken');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id like 'wamid.X%'}), 1000,
       'each is stored once');
};


subtest 'the database is down' => sub {
    $pg->stop('fast');
    my $r = deliver(message('Z1'), { type => 'text' });
    is($r->{status}, 503, 'a notification is not promised');
    ok($r->{headers}{'retry-after'}, 'and comes again');

    $pg->start;
    ok(wait_for(sub { deliver(message('Z1'), { type => 'text' })->{status}
                      == 200 }, 60), 'when the database is back');
    is($pg->value($kept), 1, 'what could not be read is kept');
};


subtest 'the logs' => sub {
    unlike($t->error_log, qr/wamid|5511988887777|text \d|known to evil|$evil/,
           'hold nothing of a message');
};

$t->done;


sub message {
    my ($id, $text) = @_;

    return { from => sprintf('55119%08d', 88880000 + length $id),
             id => "wamid.$id", timestamp => '' . time, type => 'text',
             text => { body => $text // 'hello' } };
}


sub deliver {
    my (@messages) = @_;

    return $meta->post(notification(change(number => $number,
                                           messages => \@messages)));
}


sub clear { $pg->psql('delete from waha.quarantine') }
