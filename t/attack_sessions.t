# A tenant that makes WAHA work without end is slowed down, in all workers;
# another tenant, measured meanwhile, is served.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin;

$pg->organization($_) for qw(mallory acme);

my $api = Waha::Sessions->new($t, workers => 2, wahas => [ $waha ]);
$t->start;

my $sessions = '/api/whatsapp/sessions';
my $own = "$sessions/tenant-mallory";
my $hour = 3600;


# the other tenant connects, sees its code and its session

sub acme_is_served {
    my ($name) = @_;

    for ([ POST => $sessions ], [ GET => "$sessions/tenant-acme" ],
         [ GET => $sessions ])
    {
        is($api->request('acme', @$_)->{status}, 200,
           "$name: @$_ of another tenant");
    }
}


# the answers to so many requests at the same time

sub at_once {
    my ($n, @request) = @_;

    my @http = map { $api->send($t->http(timeout => 60), mallory => @request) }
               1 .. $n;

    return map { $_->answer('POST') } @http;
}


# tests that a refusal says when the next one is possible

sub refuses {
    my ($r, $seconds, $name) = @_;

    refused($r, 429, 'too_many_operations', $name);

    my $after = $r->{headers}{'retry-after'} // 0;
    cmp_ok($after, '>', 0, "$name: the answer says when");
    cmp_ok($after, '<=', $seconds, "$name: it is not later than needed");
}

is($api->post('mallory', $sessions)->{status}, 200, 'a session is created');
ok($waha->reaches('tenant-mallory', 'SCAN_QR_CODE'), 'it shows a QR code');


subtest 'pairing codes for the numbers of strangers' => sub {
    my @r = map { $api->post('mallory', "$own/pairing-code",
                             { phoneNumber => 49151123456 . 10 + $_ . '' }) }
            1 .. 2;
    is(join(' ', map { $_->{status} } @r), '200 200', 'two are given');

    @r = at_once(20, POST => "$own/pairing-code",
                 { phoneNumber => '4915112345678' });
    my @refused = grep { $_->{status} != 200 } @r;
    is(scalar @refused, 19, 'of twenty more at the same time one is given');
    refuses($refused[0], 600, 'the next one');

    refuses($api->post('mallory', "$sessions/mallory/initialize",
                       { usePairingCode => JSON::PP::true,
                         phoneNumber => '4915112345678' }),
            600, 'one by another route');
    is(scalar(() = $waha->requests('request-code')), 3,
       'WAHA was asked three times');
    acme_is_served('meanwhile');
};


subtest 'restarts without end' => sub {
    my $n = 0;

    for (1 .. 40) {
        my ($r) = grep { $_->{status} != 503 }
                  at_once(2, POST => "$own/restart") or next;
        $n++;
        next if $r->{status} == 200;

        refuses($r, $hour, 'a restart');
        last;
    }

    is(scalar(() = $waha->requests('/restart')), 10,
       'WAHA was asked ten times');
    acme_is_served('meanwhile');
};


subtest 'stopping and connecting without end' => sub {
    my @r;

    for (1 .. 12) {
        $api->post('mallory', "$own/stop");
        push @r, $api->post('mallory', $_ % 2 ? $sessions : "$own/start");
    }

    # the first one has created the session
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 9, (429) x 3),
       'ten connects in an hour');
    refuses($r[-1], $hour, 'the next one');

    $pg->psql("update waha.session_budgets
                  set used = array(select u - interval '1 hour'
                                     from unnest(used) u)");
    is($api->post('mallory', $sessions)->{status}, 200,
       'after an hour it connects again');
    acme_is_served('meanwhile');
};


subtest 'connecting a session that runs' => sub {
    is($api->post('mallory', $sessions)->{status}, 200,
       'what WAHA has no work with is not counted') for 1 .. 15;
};


subtest 'creating and deleting without end' => sub {
    $waha->clear_requests;

    for my $id ('same', undef) {
        my ($r, $n);

        for (1 .. 40) {
            my $name = $id // "n$_";
            $r = $api->post('mallory', $sessions, { id => $name });
            last if $r->{status} != 200;
            $n++;
            $api->delete('mallory', "$sessions/$name");
        }

        cmp_ok($n // 0, '<=', 15, 'at most fifteen times');
        refuses($r, $hour, 'the next one');
    }

    cmp_ok(scalar(() = $waha->requests(qr{^POST /api/sessions$})), '<=', 15,
           'WAHA was asked at most fifteen times');
    acme_is_served('meanwhile');
};


subtest 'the sessions of an organization together' => sub {
    $pg->psql('delete from waha.session_budgets');
    $api->delete('mallory', "$sessions/$_->{session}")
        for @{ $api->get('mallory', $sessions)->{json}{data}{sessions} };
    my $n = 0;

    for my $id ('a' .. 'd') {
        is($api->post('mallory', $sessions, { id => $id })->{status}, 200,
           'a session is made');
        my ($name) = map { $_->{name} } ($waha->sessions)[-1];
        $waha->reaches($name, 'SCAN_QR_CODE');

        $n += $api->post('mallory', "$sessions/$id/pairing-code",
                         { phoneNumber => '4915112345678' })
                  ->{status} == 200 for 1 .. 4;
    }

    is($n, 12, 'each has its codes');
    $api->delete('mallory', "$sessions/$_") for 'a' .. 'd';

    is($api->post('mallory', $sessions, { id => 'e' })->{status}, 200,
       'another session is made');
    $waha->reaches(($waha->sessions)[-1]{name}, 'SCAN_QR_CODE');
    refuses($api->post('mallory', "$sessions/e/pairing-code",
                       { phoneNumber => '4915112345678' }), 600,
            'more sessions give no more codes');
    acme_is_served('meanwhile');
};


$t->done;
