# From every state a session leads on: codes are asked for when WAHA can give
# them, a phone that unlinked is linked again, a session that hangs is
# restarted, one that is logged out is unlinked on the phone, too.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization($_) for qw(acme bolt);

# WAHA is in no hurry: what is asked for at once is refused

my %waha = map { $_ => $t->standin(starting => 1, early => $_) }
           qw(error never);

my $api = Waha::Sessions->new($t, unlimited => 1,
    wahas => [ @waha{qw(error never)} ], timeout => '5s');
$t->start;

my $sessions = '/api/whatsapp/sessions';
my $own = "$sessions/tenant-acme";


sub home {
    my ($name) = @_;

    my ($home) = grep { $_->session($name) } values %waha;

    return $home;
}


# the pairing code of "initialize" is WAHA's

sub paired {
    my ($slug, $name) = @_;

    my $r = $api->post($slug, "$sessions/$slug/initialize",
        { usePairingCode => JSON::PP::true, phoneNumber => '4915112345678' });
    is($r->{status}, 200, "$name: 200") or diag $r->{body};

    my $pairing = home("tenant-$slug")->session("tenant-$slug")->{pairing};
    ok($pairing->{code}, "$name: WAHA has given a code");
    is($r->{json}{pairingCode}, $pairing->{code},
       "$name: the answer has the code");
}


subtest 'a pairing code of a session that is new' => sub {
    paired(acme => 'a new session');
    paired(bolt => 'another new session, at the other server');
    isnt(home('tenant-acme'), home('tenant-bolt'),
         'one of the servers never answers while a session starts');

    is($_->delivered, 1, "WAHA's webhooks were taken") for values %waha;

    my $s = $api->get('acme', "$own?refresh=1")->{json}{data};
    is_deeply([ @$s{qw(status phone name)} ],
              [ 'SCAN_QR_CODE', undef, undef ],
              'the number of the code is not that of the session');
    is($pg->value("select count(phone) from waha.sessions"), 0,
       'the number of the code is not stored');
};


subtest 'a pairing code of a session that was logged out' => sub {
    my $waha = home('tenant-acme');

    $waha->scan('tenant-acme', phone => '4915112345678');
    $waha->delivered;
    $api->post('acme', "$own/logout");
    paired(acme => 'a session that was logged out');
};


subtest 'a pairing code of a session that is linked' => sub {
    my $waha = home('tenant-acme');

    $waha->scan('tenant-acme', phone => '4915112345678');

    my $r = $api->post('acme', "$sessions/acme/initialize",
        { usePairingCode => JSON::PP::true, phoneNumber => '4915112345678' });
    is($r->{status}, 200, 'it is answered 200') or diag $r->{body};
    is($r->{json}{pairingCode}, undef, 'there is nothing to pair');
    is($r->{json}{status}, 'WORKING', 'the session works');
};


subtest 'the status changes just before the code is asked for' => sub {
    my $waha = home('tenant-acme');

    $api->post('acme', "$own/logout");
    $api->post('acme', $sessions);
    $waha->reaches('tenant-acme', 'SCAN_QR_CODE');

    $waha->fail(match => 'request-code', with => 'status', status => 422,
        times => 1, body => '{"message":"Can request code only in '
        . 'SCAN_QR_CODE status. The current status is STARTING",'
        . '"error":"Unprocessable Entity","statusCode":422}');
    paired(acme => 'it is asked for again');

    $waha->fail(match => 'request-code', with => 'status', status => 422,
        times => 1, body => '{"message":"Can request code only in '
        . 'SCAN_QR_CODE status. The current status is WORKING",'
        . '"error":"Unprocessable Entity","statusCode":422}');
    my $r = $api->post('acme', "$own/pairing-code",
                       { phoneNumber => '4915112345678' });
    refused($r, 409, 'no_qr', 'the code alone');
    is($r->{json}{data}{status}, 'SCAN_QR_CODE',
       'the refusal has the status that WAHA shows');
    $waha->heal;
};


subtest 'the phone unlinks the session' => sub {
    my $waha = home('tenant-acme');

    $waha->scan('tenant-acme', phone => '4915112345678');
    $waha->delivered;
    $waha->unlink('tenant-acme');
    $waha->delivered;
    $waha->asked;

    is($api->post('acme', $sessions)->{status}, 200, 'it is connected');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/restart' ],
              'a session that has failed is restarted first');
    ok($waha->reaches('tenant-acme', 'FAILED'), 'it fails again');
    $waha->delivered;

    is($api->post('acme', $sessions)->{status}, 200, 'it is connected again');
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/logout' ],
              'a session that fails again is logged out');
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'there is a QR code to scan');
    ok($waha->scan('tenant-acme', phone => '4915112345678'),
       'the phone can be linked again');
    $waha->delivered;

    $waha->status('tenant-acme', 'FAILED');
    $waha->delivered;
    $waha->asked;
    $api->post('acme', $sessions);
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/restart' ],
              'once it has worked, it is restarted first');
    ok($waha->reaches('tenant-acme', 'WORKING'), 'it works again');
};


subtest 'the phone has unlinked the session, a pairing code' => sub {
    my $waha = home('tenant-acme');

    $waha->unlink('tenant-acme');
    $waha->delivered;
    paired(acme => 'it restarts, logs out and asks for the code');
};


subtest 'a session that starts for ever' => sub {
    my $waha = home('tenant-acme');

    $waha->status('tenant-acme', 'STARTING');
    $waha->delivered;
    $waha->asked;

    is($api->post('acme', $sessions)->{json}{data}{status}, 'STARTING',
       'it is connected');
    is_deeply([ $waha->asked ], [], 'it has some time to start');

    $pg->psql("update waha.sessions
                  set status_at = status_at - interval '3 min'");
    $api->post('acme', $sessions);
    is_deeply([ $waha->asked ], [ 'POST /tenant-acme/restart' ],
              'after two minutes it is restarted');
    $api->post('acme', $sessions);
    is_deeply([ $waha->asked ], [], 'it has some time to start again');
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'there is a QR code to scan');
};


for my $how ('logout', 'delete') {
    subtest "$how of a session that is stopped" => sub {
        $api->post('acme', $sessions);
        my $waha = home('tenant-acme');
        $waha->scan('tenant-acme', phone => '4915112345678');
        $waha->delivered;
        is_deeply([ $waha->devices ], [ 'tenant-acme' ], 'it is linked');

        $api->post('acme', "$own/stop");
        $waha->delivered;

        my $r = $how eq 'logout' ? $api->post('acme', "$own/logout")
                                 : $api->delete('acme', $own);
        is($r->{status}, 200, 'it is answered 200') or diag $r->{body};
        ok(!exists $r->{json}{data}{unlinked}, 'the answer tells of no rest');
        is_deeply([ $waha->devices ], [], 'the phone shows it no more');
    };
}


# --- operations that run a session mend its configuration --------------------

for my $operation (qw(start restart)) {
    subtest "$operation of a session without our webhook" => sub {
        $api->post('acme', $sessions);
        my $waha = home('tenant-acme');
        my $config = $waha->session('tenant-acme')->{config};

        for my $runs (0, 1) {
            $waha->remove_session('tenant-acme');
            $waha->add_session('tenant-acme', start => $runs,
                config => { debug => JSON::PP::true },
                me => { id => '4915112345678@c.us' });
            $waha->reaches('tenant-acme', 'WORKING') if $runs;

            is($api->post('acme', "$own/$operation")->{status}, 200,
               'it is answered 200');
            is_deeply($waha->session('tenant-acme')->{config},
                      { %$config, debug => JSON::PP::true },
                      'the session sends webhooks here');
            ok($waha->reaches('tenant-acme', 'WORKING'), 'it works');
        }
    };
}


$t->done;
