# An organization with an app of its own can sign what it likes: what it sends
# costs neither the memory of the workers nor the time of others.

use Waha::Test;
use Waha::Meta qw(text notification change);

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $meta = Waha::Meta->new($t, $pg);
my $number = '200000000000001';

$pg->organization($_) for qw(acme evil);

my $conf = <<'EOF_CONF';
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" timeout=60s;
    waha_secret_key ring %%RING%%;
    waha_meta_app_secret %%SECRET%%;
    client_max_body_size 4m;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /api/whatsapp/webhook {
            waha_webhook;
        }
    }
}
EOF_CONF

$t->nginx(conf => $conf, vars => { $meta->vars })->start;

$meta->connect('acme', $number);

my %evil = (secret => 'known to evil',
            connection => $meta->connect('evil', '200000000000003',
                                         secret => 'known to evil'));


subtest 'many events of the number of another one' => sub {
    my $r = deliver({ number => $number }, map { message("A$_") } 1 .. 300);

    is($r->{status}, 200, 'are taken');
    is_deeply($r->{json}{data}{actions},
              { quarantined => 16, ignored => 284 }, 'a few of them are kept');
    is($r->{json}{data}{reason}, 'foreign_connection', 'the answer says why');
    is_deeply($pg->rows('select reason, count(*) from waha.quarantine
                          group by 1'), [['foreign_connection', '16']],
              'in the quarantine');
    cmp_ok(() = $t->error_log =~ /an app secret signed an event/g, '<=', 16,
           'and the log is not flooded');

    $r = deliver({ number => '200000000000003' }, message('OWN'));
    is($r->{json}{data}{action}, 'contact_created', 'its own are stored');
    is($pg->value(q{select count(*) from contact_activities
                     where organization_slug = 'acme'}), 0,
       'the other one has none');
    $pg->psql('delete from waha.quarantine');
};


# the account may have the operator's app, too, beside its own

subtest 'a number that two apps tell of' => sub {
    $pg->psql('select waha.limit_quarantine(2, 1000000)');

    my @entries = map { change(number => '200000000000003',
                               messages => [ message("TWICE$_") ]) } 1 .. 5;
    my $r = $meta->post(notification(@entries,
        change(number => $number, messages => [ message('HELD') ])));

    is($r->{status}, 200, 'does not hold up the others');
    is_deeply($r->{json}{data}{actions},
              { quarantined => 2, ignored => 3, contact_created => 1 },
              'when there is no more room to keep it');
    is($pg->value('select count(*) from waha.quarantine'), 2, 'some is kept');

    $pg->psql('select waha.limit_quarantine(10000, 10485760);
               delete from waha.quarantine');
};


# 16,000 events of two bytes take 16 MB

subtest 'many short events' => sub {
    my $lock = $pg->session;
    $lock->query('begin; lock table waha.quarantine in exclusive mode');

    my ($path, $headers, $body) = $meta->request(notification(change(
        number => '200000000000003', messages => [ map { {} } 1 .. 15_000 ])),
        %evil);

    my @clients = map { $t->http(timeout => 120) } 1 .. 8;

    for (@clients) {
        $_->connect;
        $_->send($_->format('POST', $path, $headers, $body));
    }

    # those that wait for the lock do not answer

    my $refused = 0;

    ok(wait_for(sub {
        $refused = () = $t->error_log =~ /webhook answered 503 overloaded/g;
        return $refused >= 6;
    }, 60), 'do not wait in any number') or diag("$refused of 8 were refused");

    $lock->query('rollback');

    my %status;
    $status{ $_->answer->{status} }++ for @clients;
    is_deeply(\%status, { 200 => 2, 503 => 6 }, 'some are stored at a time');

    is($meta->post($body, %evil)->{status}, 200, 'and then the others');
    is($meta->post(text(number => $number))->{status}, 200, 'as before');
};

# more than a transaction, and than the queue, may have

subtest 'thousands of messages' => sub {
    my $lock = $pg->session;
    $lock->query("begin; select from contacts
                    where organization_slug = 'evil'
                      for update");

    my ($path, $headers, $body) = $meta->request(notification(change(
        number => '200000000000003',
        messages => [ map { message("MANY$_") } 1 .. 7000 ])), %evil);
    my $client = $t->http(timeout => 300);

    $client->connect;
    $client->send($client->format('POST', $path, $headers, $body));
    ok(wait_for(sub { $pg->value('select count(*) from pg_locks
                                   where not granted') }, 60), 'wait');

    is($meta->post(text(number => $number))->{status}, 200,
       'while those of another organization are stored') for 1 .. 5;

    $lock->query('rollback');
    is($client->answer->{status}, 200, 'then they are stored');
    is($pg->value("select count(*) from contact_activities
                    where message_id like 'wamid.MANY%'"), 7000, 'all of them');
};

$t->done;


sub message {
    my ($id) = @_;

    return { from => '5511988887777', id => "wamid.$id",
             timestamp => '' . time, type => 'text', text => { body => 'hi' } };
}


sub deliver {
    my ($change, @messages) = @_;

    return $meta->post(notification(change(%{ $change },
                                           messages => \@messages)), %evil);
}
