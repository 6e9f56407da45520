# Connecting a session: WAHA gets it once however many requests ask for it at
# the same time; a configuration that is wrong is repaired; any call of WAHA
# may fail.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my @wahas = map { $t->standin } 1 .. 3;

my @twelve = map { "org-$_" } 1 .. 12;
$pg->organization($_) for qw(acme many client);

my $api = Waha::Sessions->new($t, unlimited => 1, wahas => \@wahas,
    timeout => '1s', workers => 2, http => 'waha_hmac_key ' . $t->dir
                          . '/waha-2.key instance=waha-2;');

spew_secret($t->dir . '/waha-2.key', 'the key of waha-2');
$t->start;

my $sessions = '/api/whatsapp/sessions';


# the stand-in that has a session, or undef

sub home {
    my ($name) = @_;

    my @home = grep { $_->session($name) } @wahas;
    is(scalar @home, 1, "$name is at one WAHA server only") if @home != 1;

    return $home[0];
}


sub settled { ok($_->delivered, "WAHA's webhooks were taken") for @wahas }


# sends so many requests at the same time, each over a connection of its own;
# all answers

sub at_once {
    my ($n, @requests) = @_;

    my @http = map { $api->send($t->http(timeout => 30),
                                @{ $requests[ $_ % @requests ] }) }
               0 .. $n - 1;

    return map { $_->answer('POST') } @http;
}


subtest 'twenty requests at the same time' => sub {
    my @r = at_once(20, [ acme => POST => $sessions ]);

    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 20),
       'all twenty are answered 200') or diag map { "$_->{body}\n" } @r;

    my %names = map { ($_->{json}{data}{session} // '') => 1 } @r;
    is_deeply([ keys %names ], [ 'tenant-acme' ],
              'all twenty get the same session');
    is($pg->value("select count(*) from waha.sessions
                    where organization_slug = 'acme'"), 1,
       'the table of sessions has one row');

    my @all = map { $_->sessions } @wahas;
    is(scalar @all, 1, 'the WAHA servers have one session');

    ok(home('tenant-acme')->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'the session waits for a scan');
    settled();
};


subtest 'twenty requests at the same time, the session is stopped' => sub {
    my $waha = home('tenant-acme');

    $waha->status('tenant-acme', 'STOPPED');
    $waha->clear_requests;

    my @r = at_once(20, [ acme => POST => $sessions ]);
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 20),
       'all twenty are answered 200') or diag map { "$_->{body}\n" } @r;

    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 'the session runs');
    is(scalar(grep { $_->{status} == 201 }
                   $waha->requests(qr{^POST /api/sessions/[^/]+/start})),
       1, 'WAHA started the session once');
    settled();
};


subtest 'twenty requests at the same time, the configuration is wrong' => sub {
    my $waha = home('tenant-acme');
    my $config = $waha->session('tenant-acme')->{config};

    $waha->remove_session('tenant-acme');
    $waha->add_session('tenant-acme', start => 1);
    $waha->clear_requests;

    my @r = at_once(20, [ acme => POST => $sessions ]);
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 20),
       'all twenty are answered 200') or diag map { "$_->{body}\n" } @r;

    is_deeply($waha->session('tenant-acme')->{config}, $config,
              'the configuration is repaired');
    cmp_ok(scalar(() = $waha->requests('^PUT ')), '<=', 2,
           'each worker repaired it once at most');
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 'the session runs');
    settled();
};


subtest 'twelve organizations at three WAHA servers' => sub {
    $pg->organization($_) for @twelve;
    $api->token($_) for @twelve;

    # the session of the subtests before
    $api->delete('acme', "$sessions/tenant-acme");

    my @r = at_once(12, map { [ $_ => POST => $sessions ] } @twelve);
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 12),
       'all twelve are connected') or diag map { "$_->{body}\n" } @r;

    is(join(' ', map { scalar(() = $_->sessions) } @wahas), '4 4 4',
       'each WAHA server has four sessions');

    my ($key1, $key2, $key3) = map {
        ($_->sessions)[0]{config}{webhooks}[0]{hmac}{key} } @wahas;
    is($key2, 'the key of waha-2', 'waha-2 signs with its own key');
    is("$key1 $key3", 'hmackey hmackey',
       'the other servers sign with the common key');

    my %home = map { $_ => home("tenant-$_")->{name} } @twelve;

    at_once(12, map { [ $_ => POST => $sessions ] } @twelve);
    is_deeply({ map { $_ => home("tenant-$_")->{name} } @twelve }, \%home,
              'connecting again leaves each session at its server');

    settled();
    $api->delete($_, "$sessions/tenant-$_") for @twelve;
    is(join(' ', map { scalar(() = $_->sessions) } @wahas), '0 0 0',
       'deleting the sessions deletes them at WAHA');
};


subtest 'the limit of sessions of an organization' => sub {
    my @requests = map { [ many => POST => $sessions, { id => "n$_" } ] }
                   1 .. 8;
    my @r = at_once(8, @requests);

    is(join(' ', sort map { $_->{status} } @r),
       join(' ', (200) x 5, (409) x 3),
       'of eight requests at the same time five are answered 200')
        or diag map { "$_->{body}\n" } @r;
    is_deeply([ map { $_->{json}{code} } grep { $_->{status} == 409 } @r ],
              [ ('too_many_sessions') x 3 ],
              'the other three are refused as "too_many_sessions"');
    is($pg->value("select count(*) from waha.sessions
                    where organization_slug = 'many'"), 5,
       'the table of sessions has five rows');

    my ($id) = map { $_->{json}{data}{id} // () } @r;
    is($api->post('many', $sessions, { id => $id })->{status}, 200,
       'a session that exists connects again');

    $api->delete('many', "$sessions/$id");
    is($api->post('many', $sessions, { id => 'n9' })->{status}, 200,
       'a deleted session makes room for another');

    settled();
    $api->delete('many', "$sessions/$_->{session}")
        for @{ $api->get('many', $sessions)->{json}{data}{sessions} };
};


# --- wrong configurations ----------------------------------------------------

my $own = "$sessions/tenant-acme";
my $waha;


# connects the session of acme; the stand-in that has it

sub connected {
    my $r = $api->post('acme', $sessions);
    is($r->{status}, 200, 'POST /sessions is answered 200') or diag $r->{body};

    my $home = home('tenant-acme');
    $_->delivered for @wahas;

    return $home;
}

$waha = connected();
$waha->scan('tenant-acme', phone => '4915112345678');

my $ours = $waha->session('tenant-acme')->{config};
my $hook = $ours->{webhooks}[0];
my $true = JSON::PP::true;
my $other = { url => 'https://example.com/hook', events => [ 'message' ],
              hmac => { key => 'theirs' }, retries => {} };

# what is wrong with WAHA's configuration, that configuration, and what has to
# be kept of it

my @wrong = (
    [ 'there is no configuration', undef, {} ],
    [ 'the configuration is empty', {}, {} ],
    [ 'the webhook lacks an event',
      { %$ours, webhooks => [ { %$hook, events => [ 'message.any' ] } ] },
      {} ],
    [ 'the webhook is signed with an old key',
      { %$ours, webhooks => [ { %$hook, hmac => { key => 'old' } } ] }, {} ],
    [ 'the webhook is not signed',
      { %$ours, webhooks => [ { url => $hook->{url},
                                events => $hook->{events} } ] }, {} ],
    [ 'the webhook is configured twice',
      { %$ours, webhooks => [ $hook, $hook ] }, {} ],
    [ 'only another webhook is configured', { %$ours, webhooks => [ $other ] },
      { webhooks => [ $other ] } ],
    [ 'the metadata lack the organization',
      { %$ours, metadata => { colour => 'red' } },
      { metadata => { colour => 'red' } } ],
    [ 'the metadata have another organization',
      { %$ours, metadata => { %{ $ours->{metadata} },
                              organization_slug => 'bolt' } }, {} ],
    [ 'channels are not ignored',
      { %$ours, ignore => { status => $true, broadcast => $true,
                            groups => $true } },
      { ignore => { groups => $true } } ],
    [ 'a proxy and headers of the operator are configured',
      { proxy => { server => 'p:1', password => 'secret"\\' },
        debug => $true, noweb => { store => { enabled => $true } },
        webhooks => [ { %$hook, events => [],
            customHeaders => [ { name => 'X-A', value => 'b' } ] } ] },
      { proxy => { server => 'p:1', password => 'secret"\\' },
        debug => $true, noweb => { store => { enabled => $true } },
        own => { customHeaders => [ { name => 'X-A', value => 'b' } ] } } ],
    [ "member names need\\tescapes",
      { noweb => { "a\"b\\\n" => { "\x{1}" => [ 1, 2.5, JSON::PP::null,
                                                "\x{e9}" ] } } },
      { noweb => { "a\"b\\\n" => { "\x{1}" => [ 1, 2.5, JSON::PP::null,
                                                "\x{e9}" ] } } } ],
);

for (@wrong) {
    my ($what, $config, $kept) = @$_;

    subtest "repaired: $what" => sub {
        $waha->remove_session('tenant-acme');
        $waha->add_session('tenant-acme', start => 1,
            me => { id => '4915112345678@c.us' },
            $config ? (config => $config) : ());
        $waha->reaches('tenant-acme', 'WORKING');
        $waha->clear_requests;

        my $r = $api->post('acme', $sessions);
        is($r->{status}, 200,
           'POST /sessions is answered 200') or diag $r->{body};
        is_deeply([ $waha->asked ], [ 'PUT /tenant-acme' ],
                  'WAHA gets one PUT');

        my %expected = (%$ours, %$kept);
        my $own = delete $expected{own} || {};

        $expected{metadata} = { %{ $kept->{metadata} || {} },
                                %{ $ours->{metadata} } };
        $expected{ignore} = { %{ $kept->{ignore} || {} },
                              %{ $ours->{ignore} } };
        $expected{webhooks} = [ @{ $kept->{webhooks} || [] },
                                { %$hook, %$own } ];

        is_deeply($waha->session('tenant-acme')->{config}, \%expected,
                  'the configuration is repaired and otherwise kept');

        is($api->post('acme', $sessions)->{status}, 200,
           'connecting again is answered 200');
        is_deeply([ $waha->asked ], [],
                  'connecting again changes nothing at WAHA');

        ok($waha->reaches('tenant-acme', 'WORKING'), 'the session works');
        $waha->delivered;
    };
}

for ([ 'more events', { %$ours, webhooks => [ { %$hook,
           events => [ @{ $hook->{events} }, 'presence.update' ] } ] } ],
     [ 'all events', { %$ours, webhooks => [ { %$hook,
           events => [ '*' ] } ] } ],
     [ 'other retries', { %$ours, webhooks => [ { %$hook,
           retries => { policy => 'linear' } } ] } ],
     [ 'a second webhook', { %$ours, webhooks => [ $other, $hook ] } ])
{
    my ($what, $config) = @$_;

    subtest "not touched: $what" => sub {
        $waha->remove_session('tenant-acme');
        $waha->add_session('tenant-acme', start => 1, config => $config,
                           me => { id => '4915112345678@c.us' });
        $waha->reaches('tenant-acme', 'WORKING');
        $waha->clear_requests;

        is($api->post('acme', $sessions)->{status}, 200,
           'POST /sessions is answered 200');
        is_deeply([ $waha->asked ], [],
                  'WAHA is not asked to change anything');
    };
}


# --- each call of WAHA fails -------------------------------------------------

# the call, the state of WAHA before it, the request that fails

$waha->remove_session('tenant-acme');
$waha = connected();
$ours = $waha->session('tenant-acme')->{config};

my @steps = (
    [ 'looking at the session', sub { }, '^GET /api/sessions/' ],
    [ 'creating it', sub { $waha->remove_session('tenant-acme') },
      '^POST /api/sessions$' ],
    [ 'repairing it', sub {
          $waha->remove_session('tenant-acme');
          $waha->add_session('tenant-acme', start => 1);
      }, '^PUT ' ],
    [ 'starting it', sub { $waha->status('tenant-acme', 'STOPPED') },
      '^POST .*/start$' ],
    [ 'restarting it', sub {
          $waha->reaches('tenant-acme', 'SCAN_QR_CODE');
          $waha->status('tenant-acme', 'FAILED');
          $waha->delivered;
      },
      '^POST .*/restart$' ],
);

# the fault, whether WAHA acts all the same, status and code of our answer

my @faults = (
    [ 'close', 0, 502, 'waha_unavailable' ],
    [ 'close', 1, 502, 'waha_unavailable' ],
    [ 'stall', 0, 504, 'waha_timeout' ],
    [ 'stall', 1, 504, 'waha_timeout' ],
    [ 'html', 0, 502, 'waha_invalid_answer' ],
    [ 'error500', 0, 502, 'waha_error' ],
    [ 'error500', 1, undef, 'waha_error' ],
);

for my $step (@steps) {
    my ($name, $before, $match) = @$step;

    for my $fault (@faults) {
        my ($with, $acts, $status, $code) = @$fault;

        next if $acts && $match =~ /GET/;

        subtest "$name fails: $with" . ($acts ? ', though done' : '') => sub {
            $before->();
            $waha->clear_requests;
            $waha->fail(match => $match, with => $with, acts => $acts);

            my $r = $api->post('acme', $sessions);

            if (defined $status) {
                is($r->{status}, $status,
                   'the answer has the status of the fault') or diag $r->{body};
                is($r->{json}{code}, $code,
                   'the answer has the code of the fault');

            } else {
                ok($r->{status} == 200 || $r->{json}{code} eq $code,
                   "the answer has the code of the fault, or WAHA's change "
                   . "was noticed") or diag $r->{body};
            }

            cmp_ok(scalar(() = $waha->requests(qr/$match/)), '<=', 3,
                   'the call is not repeated more than three times');

            $waha->heal;
            $waha->clear_requests;

            $waha = connected();
            is($pg->value("select count(*) from waha.sessions
                            where organization_slug = 'acme'
                              and deleted_at is null"), 1,
               'the table of sessions has one row');
            is_deeply($waha->session('tenant-acme')->{config}, $ours,
                      'the configuration is complete after connecting again');
            like($waha->session('tenant-acme')->{status},
                 qr/^(STARTING|SCAN_QR_CODE|WORKING)$/,
                 'the session runs after connecting again');
        };
    }
}


subtest 'another client changes the session at WAHA at the same time' => sub {
    my $missing = '{"message":"Session not found","error":"Not Found",'
                  . '"statusCode":404}';

    $waha->remove_session('tenant-acme');
    $waha->fail(match => '^GET /api/sessions/', with => 'status',
        status => 404, body => $missing, times => 1);
    $waha->add_session('tenant-acme', config => $ours);
    $waha->clear_requests;

    is($api->post('acme', $sessions)->{status}, 200,
       'a session that appears between look and create is connected');
    is_deeply([ $waha->asked ], [ 'POST ', 'POST /tenant-acme/start' ],
              'the session that exists is started');

    $waha->fail(match => '^GET /api/sessions/', with => 'status',
                status => 404, body => $missing);
    my $r = $api->post('acme', $sessions);
    is($r->{json}{code}, 'waha_error',
       'a WAHA that says both "not found" and "exists"');
    is(scalar(() = $waha->requests(qr{^POST /api/sessions$})), 3,
       'creating is given up after three tries');
    $waha->heal;
};


subtest 'a webhook of the session arrives while it is connected' => sub {
    my $refused = sub { scalar grep { $_->{status} !~ /^2/ }
                                    map { $_->deliveries } @wahas };
    settled();
    my $before = $refused->();

    $waha->status('tenant-acme', 'FAILED');
    settled();
    $waha->fail(match => '/restart', with => 'slow', slow => 0.5,
                times => 1);

    my $r = $api->post('acme', $sessions);
    is($r->{status}, 200, 'POST /sessions is answered 200') or diag $r->{body};
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'the session waits for a scan');
    ok($waha->delivered, "WAHA's webhooks were taken");

    ok(wait_for(sub {
        $api->get('acme', $own)->{json}{data}{status} eq 'SCAN_QR_CODE';
    }, 60), 'the session shows SCAN_QR_CODE within seconds');
    is($refused->(), $before, 'no webhook was refused');
};


subtest 'the client leaves while WAHA creates the session' => sub {
    $waha->remove_session('tenant-acme');
    $waha->clear_requests;
    $waha->fail(match => '^POST /api/sessions$', with => 'slow',
                slow => 0.3, times => 1);

    my $http = $api->send($t->http, acme => POST => $sessions, {});
    ok(wait_for(sub { $waha->requests(qr{^POST /api/sessions$}) }, 60),
       'WAHA is asked to create the session');
    $http->close;

    $waha = connected();
    is($waha->session('tenant-acme')->{name}, 'tenant-acme',
       'the session can be connected afterwards');
    is_deeply($waha->session('tenant-acme')->{config}, $ours,
              'the configuration is complete');
};


subtest 'nginx is reloaded while WAHA creates the session' => sub {
    $waha->remove_session('tenant-acme');
    $waha->clear_requests;
    $waha->fail(match => '^POST /api/sessions$', with => 'slow',
                slow => 0.5, times => 1);

    my @old = $t->worker_pids;
    my $http = $api->send($t->http, acme => POST => $sessions, {});
    ok(wait_for(sub { $waha->requests(qr{^POST /api/sessions$}) }, 60),
       'WAHA is asked to create the session');

    ok($t->reload, 'nginx is reloaded');

    my $r = $http->answer('POST');
    is($r->{status}, 200, 'the request of before the reload is answered 200')
        or diag $r->{body};
    is($r->{json}{data}{status}, 'STARTING', 'the answer shows STARTING');

    ok(wait_for(sub { !grep { kill 0, $_ } @old }, 60),
       'the old workers quit');

    delete $api->{http};            # its connection was to one of them
    $waha = connected();
};


subtest 'two clients over HTTP/2 leave while they wait for another' => sub {
    plan(skip_all => 'curl has no HTTP/2') if !$api->has_http2;

    $waha->delivered;
    $waha->remove_session('tenant-acme');
    $waha->add_session('tenant-acme', start => 1);
    $waha->clear_requests;
    $waha->fail(match => '^PUT ', with => 'slow', slow => 0.7);

    my $http = $api->send($t->http, acme => POST => $sessions, {});
    ok(wait_for(sub { $waha->requests('^PUT ') }, 60),
       'WAHA is asked to repair the session');

    $api->http2(acme => POST => $sessions, {}, '--max-time', 0.2) for 1 .. 2;

    is($http->answer('POST')->{status}, 200,
       'the first client is answered 200');
    $waha->heal;
    is_deeply($waha->session('tenant-acme')->{config}, $ours,
              'the configuration is complete');
};


subtest 'the database fails after WAHA has created the session' => sub {
    my $function = 'waha.record_session_check'
                   . '(text, text, text, text, text, text)';

    $waha->remove_session('tenant-acme');
    $pg->psql("update waha.sessions set status = 'WORKING'
                where name = 'tenant-acme'");
    $pg->psql("revoke execute on function $function from waha_gateway");

    my $r = $api->post('acme', $sessions);
    is($r->{status}, 503, 'the client gets 503') or diag $r->{body};
    is($r->{json}{code}, 'database_setup', 'the code is "database_setup"');
    ok($waha->session('tenant-acme'), 'WAHA has the session');

    $pg->psql("grant execute on function $function to waha_gateway");

    $waha = connected();
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'the session can be connected afterwards');
};


# what happens, and which of five clients leave

for ([ 'the first leaves', 0 ], [ 'one that waits leaves', 1 ],
     [ 'all but the last leave', 0 .. 3 ])
{
    my ($what, @leave) = @$_;

    subtest "five requests at the same time, $what" => sub {
        $waha->delivered;
        $waha->remove_session('tenant-acme');
        $waha->add_session('tenant-acme', start => 1);
        $waha->clear_requests;
        $waha->fail(match => '^PUT ', with => 'slow', slow => 0.4);

        my @request = (acme => POST => $sessions, {});
        my @http = $api->send($t->http, @request);
        ok(wait_for(sub { $waha->requests('^PUT ') }, 60),
           'WAHA is asked to repair the session');

        push @http, map { $api->send($t->http, @request) } 1 .. 4;
        $http[$_]->close for @leave;

        my %left = map { $_ => 1 } @leave;
        my @status = map { $http[$_]->answer('POST')->{status} }
                     grep { !$left{$_} } 0 .. 4;

        is(join(' ', @status), join(' ', (200) x (5 - @leave)),
           'the clients that stay are answered 200');
        $waha->heal;
        is_deeply($waha->session('tenant-acme')->{config}, $ours,
                  'the configuration is complete');
    };
}


subtest 'five requests at the same time, WAHA does not answer' => sub {
    $waha->fail(match => 'sessions', with => 'stall');

    my $start = time;
    my @r = at_once(5, [ acme => POST => $sessions ]);

    is(join(' ', map { $_->{json}{code} // '' } @r),
       join(' ', ('waha_timeout') x 5), 'all five get "waha_timeout"');
    cmp_ok(time - $start, '<', 4, 'the waits do not add up');
    $waha->heal;

    is($api->post('acme', $sessions)->{status}, 200,
       'the session can be connected afterwards');
};


# --- which WAHA server -------------------------------------------------------

subtest 'a session without a WAHA server, where there are several' => sub {
    $pg->psql("insert into waha.sessions (name, organization_slug, status)
               values ('old-one', 'client', 'WORKING')");

    my $r = $api->post('client', "$sessions/old-one/connect");
    is($r->{status}, 409, 'it cannot be connected') or diag $r->{body};
    is($r->{json}{code}, 'session_without_instance',
       'the code says that it has no instance');

    $r = $api->get('client', "$sessions/old-one");
    is($r->{json}{data}{status}, 'WORKING', 'it is shown');
    ok($r->{json}{data}{stale}, 'it is shown as stale');
    $r = $api->get('client', "$sessions/old-one?refresh=1");
    is($r->{json}{code}, 'session_without_instance', 'it cannot be refreshed');
};


subtest 'a session whose WAHA server is no longer configured' => sub {
    $pg->psql("update waha.sessions set instance = 'waha-9'
                where name = 'old-one'");

    for ([ POST => 'connect' ], [ POST => 'stop' ], [ POST => 'logout' ],
         [ GET => 'qr' ])
    {
        my ($method, $what) = @$_;
        my $r = $api->request('client', $method,
                              "$sessions/old-one/$what");
        is($r->{status}, 503, "$what is answered 503") or diag $r->{body};
        is($r->{json}{code}, 'no_instance',
           'the code says that the instance is missing');
    }
};


$t->done;
