# What WhatsApp restricts on the account of a number: shown as WAHA tells it,
# until WAHA says otherwise or its time is over; no reason for a restart.

use Waha::Test;
use Waha::Sessions;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin;

$pg->organization('acme');

my $api = Waha::Sessions->new($t, unlimited => 1, wahas => [ $waha ]);
$t->start;

my $sessions = '/api/whatsapp/sessions';
my $own = "$sessions/tenant-acme";
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $soon = int(time / 100) * 100 + 3600;

my $lock = { enforcementType => 'BIZ_QUALITY', isActive => $true,
             timeEnforcementEnds => $soon };
my $capping = { cappingStatus => 'FIRST_WARNING', totalQuota => 1000,
                usedQuota => 640, cycleStart => $soon - 86400,
                cycleEnd => $soon, mvStatus => 'NOT_ELIGIBLE',
                oteStatus => undef };


# WAHA sends a session.status with this in "me", and in data

sub told {
    my ($me, %o) = @_;

    $waha->status('tenant-acme', $o{status} // 'WORKING', data => $o{data},
                  me => { id => '4915112345678@c.us', pushName => 'Acme',
                          %$me });
    is($waha->delivered, 1, 'the webhook was taken');
}


sub shown {
    my ($query) = @_;

    return $api->ok(acme => GET => $own . ($query // ''))
               ->{data}{restrictions};
}


$api->post('acme', $sessions);
$waha->reaches('tenant-acme', 'SCAN_QR_CODE');
$waha->scan('tenant-acme', phone => '4915112345678', push_name => 'Acme');
$waha->reaches('tenant-acme', 'WORKING');
$waha->delivered;


subtest 'WAHA tells by a webhook' => sub {
    is(shown(), undef, 'there is no restriction at first');

    told({ reachoutTimelock => $lock, messageCapping => undef });
    my $r = shown();
    is_deeply([ sort keys %$r ], [ 'reachout_timelock' ], 'one is shown');
    is($r->{reachout_timelock}{type}, 'BIZ_QUALITY', 'it has its type');
    like($r->{reachout_timelock}{until}, qr/^\d{4}-\d\d-\d\dT.*Z$/,
         'it has its end');
    is($pg->value("select extract(epoch from timestamptz
                       '$r->{reachout_timelock}{until}')::bigint"), $soon,
       'which is the one that WAHA told');

    told({ reachoutTimelock => $lock, messageCapping => $capping });
    my $c = shown()->{message_capping};
    is_deeply([ @$c{qw(status used total)} ], [ 'FIRST_WARNING', 640, 1000 ],
              'a quota is shown beside it');
    ok($c->{since} lt $c->{until}, 'it has its time');

    is_deeply([ sort keys %{ ($api->ok(acme => GET => $sessions)
                    ->{data}{sessions}[0]{restrictions}) } ],
              [ qw(message_capping reachout_timelock) ],
              'both are shown in the list of sessions');

    told({ messageCapping => { %$capping, cappingStatus => 'CAPPED',
                               totalQuota => -1 } });
    $r = shown();
    is($r->{message_capping}{status}, 'CAPPED', 'the quota is used up');
    is($r->{message_capping}{total}, undef, 'a total of -1 is none');
    ok($r->{reachout_timelock}, 'what is not mentioned stays');

    told({ reachoutTimelock => undef,
           messageCapping => { %$capping, cappingStatus => 'NONE' } });
    is(shown(), undef, 'WAHA tells the end of both');

    told({}, data => { reachoutTimelock => $lock });
    ok(shown()->{reachout_timelock}, 'the data of the event tell it, too');
    told({ reachoutTimelock => { %$lock, isActive => $false } });
    is(shown(), undef, 'one that is not active has ended');
};


subtest 'a look at WAHA tells it' => sub {
    # without a configuration it sends no webhooks

    my $me = { id => '4915112345678@c.us', pushName => 'Acme' };
    $waha->remove_session('tenant-acme');
    $waha->add_session('tenant-acme', start => 1,
                       me => { %$me, reachoutTimelock => $lock });
    $waha->reaches('tenant-acme', 'WORKING');

    ok(shown('?refresh=1')->{reachout_timelock}, 'the restriction is shown');
    ok(shown()->{reachout_timelock}, 'it is stored');

    $waha->remove_session('tenant-acme');
    $waha->add_session('tenant-acme', start => 1,
                       me => { %$me, reachoutTimelock => undef });
    $waha->reaches('tenant-acme', 'WORKING');
    is(shown('?refresh=1'), undef, 'its end is shown');

    is($api->post('acme', $sessions)->{status}, 200, 'it is connected');
};


subtest 'connect does not restart it' => sub {
    told({ reachoutTimelock => $lock, messageCapping => $capping });
    $waha->asked;

    my $data = $api->ok(acme => POST => $sessions)->{data};
    is($data->{status}, 'WORKING', 'it works');
    ok($data->{restrictions}{reachout_timelock}, 'and has its restriction');
    is_deeply([ $waha->asked ], [], 'WAHA is asked for no change');
};


subtest 'its time is over' => sub {
    told({ reachoutTimelock => { %$lock, timeEnforcementEnds => time - 5 },
           messageCapping => undef });
    is(shown(), undef, 'a restriction that has ended is not shown');

    told({ reachoutTimelock => { %$lock, timeEnforcementEnds => undef } });
    is_deeply(shown()->{reachout_timelock},
              { type => 'BIZ_QUALITY', until => undef },
              'one without an end is shown');
};


subtest 'what nobody knows' => sub {
    told({ reachoutTimelock => $lock, messageCapping => $capping });

    my $before = shown();
    for ([ 'a text' ], 'a text', 7, $true, {}, { isActive => 'yes' },
         { isActive => undef })
    {
        told({ reachoutTimelock => $_ });
        is_deeply(shown(), $before, 'an unknown timelock changes nothing');
    }
    for ([ 1 ], 'CAPPED', {}, { cappingStatus => 'MAYBE' },
         { cappingStatus => { a => 1 } })
    {
        told({ messageCapping => $_ });
        is_deeply(shown(), $before, 'an unknown capping changes nothing');
    }

    like($pg->log, qr/session "tenant-acme" has an unknown \Q$_\E: /,
         "the log names an unknown $_")
        for qw(reachoutTimelock messageCapping);

    told({ reachoutTimelock => { %$lock, enforcementType => 'x' x 5000,
                                 timeEnforcementEnds => 'never' },
           messageCapping => { cappingStatus => 'CAPPED',
                               usedQuota => '9' x 40, totalQuota => 'all',
                               cycleEnd => '-1' } });
    is_deeply(shown(), { reachout_timelock => { type => 'x' x 50,
                                                until => undef },
                         message_capping => { status => 'CAPPED',
                             map { $_ => undef } qw(used total since
                                                    until) } },
              'values that cannot be read are left out');
};


subtest 'the account is another one' => sub {
    told({ reachoutTimelock => $lock, messageCapping => undef });
    ok(shown(), 'there is a restriction');

    told({}, status => 'FAILED');
    ok(shown(), 'a session that has failed keeps it');

    $api->post('acme', "$own/logout");
    is(shown(), undef, 'it does not after the logout');

    $api->post('acme', $sessions);
    $waha->reaches('tenant-acme', 'SCAN_QR_CODE');
    $waha->delivered;
    $waha->scan('tenant-acme', phone => '4915199999999');
    $waha->reaches('tenant-acme', 'WORKING');
    $waha->delivered;
    is(shown(), undef, 'the next number does not have it');
};


subtest 'events in another order' => sub {
    $pg->organization('late', session => 's1');

    my $now = time * 1000;
    my $tell = sub {
        my ($at, $active) = @_;
        session_event('s1', status => 'WORKING', phone => '4917',
            sent_at => $now, metadata => JSON::PP->new->encode({
                told_at => $now + $at, restrictions => {
                    reachoutTimelock => $active ? $lock : undef } }));
        return reply($pg, find_session => 'late', 's1')
                   ->{data}{session}{restrictions} ? 'locked' : 'free';
    };

    is($tell->(2000, 1), 'locked', 'an event tells it');
    is($tell->(1000, 0), 'locked', 'an older one changes nothing');
    is($tell->(3000, 0), 'free', 'a newer one tells the end');
    is($tell->(2000, 1), 'free', 'the first one again changes nothing');
};

$t->done;


sub session_event {
    my ($session, %event) = @_;

    return outcome($pg, { provider => 'waha', session => $session,
                          kind => 'session', %event });
}
