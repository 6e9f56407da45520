# Connecting a session: once however often and wherever it is asked for,
# repaired whatever was wrong, one step after the other failing.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my @wahas = map { $t->standin } 1 .. 3;

my @twelve = map { "org-$_" } 1 .. 12;
$pg->organization($_) for qw(acme many client);

my $api = Waha::Sessions->new($t, wahas => \@wahas, timeout => '1s',
    workers => 2, http => 'waha_hmac_key ' . $t->dir
                          . '/waha-2.key instance=waha-2;');

spew($t->dir . '/waha-2.key', 'the key of waha-2');
$t->start;

my $sessions = '/api/whatsapp/sessions';


# the stand-in that has the session; undef: none

sub home {
    my ($name) = @_;

    my @home = grep { $_->session($name) } @wahas;
    is(scalar @home, 1, "$name is at one WAHA server") if @home != 1;

    return $home[0];
}


sub settled { ok($_->delivered, 'all webhooks arrive') for @wahas }


# sends a request over as many connections at once, then reads all answers

sub at_once {
    my ($n, @requests) = @_;

    my @http = map { $api->send($t->http(timeout => 30),
                                @{ $requests[ $_ % @requests ] }) }
               0 .. $n - 1;

    return map { $_->answer('POST') } @http;
}


subtest 'twenty at once' => sub {
    my @r = at_once(20, [ acme => POST => $sessions ]);

    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 20),
       'all are answered 200') or diag map { "$_->{body}\n" } @r;

    my %names = map { ($_->{json}{data}{session} // '') => 1 } @r;
    is_deeply([ keys %names ], [ 'tenant-acme' ], 'with the same session');
    is($pg->value("select count(*) from waha.sessions
                    where organization_slug = 'acme'"), 1, 'it is one row');

    my @all = map { $_->sessions } @wahas;
    is(scalar @all, 1, 'and one session at WAHA');

    ok(home('tenant-acme')->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'it waits for a phone');
    settled();
};


subtest 'twenty at once, where it has stopped' => sub {
    my $waha = home('tenant-acme');

    $waha->status('tenant-acme', 'STOPPED');
    $waha->clear_requests;

    my @r = at_once(20, [ acme => POST => $sessions ]);
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 20),
       'all are answered 200') or diag map { "$_->{body}\n" } @r;

    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 'it runs');
    is(scalar(grep { $_->{status} == 201 }
                   $waha->requests(qr{^POST /api/sessions/[^/]+/start})),
       1, 'it was started once');
    settled();
};


subtest 'twenty at once, where it is to be repaired' => sub {
    my $waha = home('tenant-acme');
    my $config = $waha->session('tenant-acme')->{config};

    $waha->remove_session('tenant-acme');
    $waha->add_session('tenant-acme', start => 1);
    $waha->clear_requests;

    my @r = at_once(20, [ acme => POST => $sessions ]);
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 20),
       'all are answered 200') or diag map { "$_->{body}\n" } @r;

    is_deeply($waha->session('tenant-acme')->{config}, $config,
              'all is as it should be');
    cmp_ok(scalar(() = $waha->requests('^PUT ')), '<=', 2,
           'each worker has done it once at most');
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 'it runs');
    settled();
};


subtest 'twelve organizations' => sub {
    $pg->organization($_) for @twelve;
    $api->token($_) for @twelve;

    # the one that was there
    $api->delete('acme', "$sessions/tenant-acme");

    my @r = at_once(12, map { [ $_ => POST => $sessions ] } @twelve);
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 12),
       'all are connected') or diag map { "$_->{body}\n" } @r;

    is(join(' ', map { scalar(() = $_->sessions) } @wahas), '4 4 4',
       'each WAHA server has four of them');

    my ($key1, $key2, $key3) = map {
        ($_->sessions)[0]{config}{webhooks}[0]{hmac}{key} } @wahas;
    is($key2, 'the key of waha-2', 'one of them has a key of its own');
    is("$key1 $key3", 'hmackey hmackey', 'the others have that for all');

    my %home = map { $_ => home("tenant-$_")->{name} } @twelve;

    at_once(12, map { [ $_ => POST => $sessions ] } @twelve);
    is_deeply({ map { $_ => home("tenant-$_")->{name} } @twelve }, \%home,
              'where they stay');

    settled();
    $api->delete($_, "$sessions/tenant-$_") for @twelve;
    is(join(' ', map { scalar(() = $_->sessions) } @wahas), '0 0 0',
       'until they are deleted');
};


subtest 'no more than an organization may have' => sub {
    my @requests = map { [ many => POST => $sessions, { id => "n$_" } ] }
                   1 .. 8;
    my @r = at_once(8, @requests);

    is(join(' ', sort map { $_->{status} } @r),
       join(' ', (200) x 5, (409) x 3), 'five of eight at once')
        or diag map { "$_->{body}\n" } @r;
    is_deeply([ map { $_->{json}{code} } grep { $_->{status} == 409 } @r ],
              [ ('too_many_sessions') x 3 ], 'the others are told why');
    is($pg->value("select count(*) from waha.sessions
                    where organization_slug = 'many'"), 5, 'five rows');

    my ($id) = map { $_->{json}{data}{id} // () } @r;
    is($api->post('many', $sessions, { id => $id })->{status}, 200,
       'those that are there connect again');

    $api->delete('many', "$sessions/$id");
    is($api->post('many', $sessions, { id => 'n9' })->{status}, 200,
       'one deleted makes room');

    settled();
    $api->delete('many', "$sessions/$_->{session}")
        for @{ $api->get('many', $sessions)->{json}{data}{sessions} };
};


# --- repair ------------------------------------------------------------------

my $own = "$sessions/tenant-acme";
my $waha;


# connects anew; the stand-in where it is

sub connected {
    my $r = $api->post('acme', $sessions);
    is($r->{status}, 200, 'it connects') or diag $r->{body};

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
              hmac => { key => 'theirs' } };

# what is wrong, the configuration, what else has to be there afterwards

my @wrong = (
    [ 'there is none', undef, {} ],
    [ 'it is empty', {}, {} ],
    [ 'an event is missing',
      { %$ours, webhooks => [ { %$hook, events => [ 'message.any' ] } ] },
      {} ],
    [ 'its key is old',
      { %$ours, webhooks => [ { %$hook, hmac => { key => 'old' } } ] }, {} ],
    [ 'it is not signed',
      { %$ours, webhooks => [ { url => $hook->{url},
                                events => $hook->{events} } ] }, {} ],
    [ 'the webhook is there twice',
      { %$ours, webhooks => [ $hook, $hook ] }, {} ],
    [ 'only others have webhooks', { %$ours, webhooks => [ $other ] },
      { webhooks => [ $other ] } ],
    [ 'its organization is missing',
      { %$ours, metadata => { colour => 'red' } },
      { metadata => { colour => 'red' } } ],
    [ 'it is of another organization',
      { %$ours, metadata => { %{ $ours->{metadata} },
                              organization_slug => 'bolt' } }, {} ],
    [ 'it tells of channels',
      { %$ours, ignore => { status => $true, broadcast => $true,
                            groups => $true } },
      { ignore => { groups => $true } } ],
    [ 'it has a proxy and its own headers',
      { proxy => { server => 'p:1', password => 'secret"\\' },
        debug => $true, noweb => { store => { enabled => $true } },
        webhooks => [ { %$hook, events => [],
            customHeaders => [ { name => 'X-A', value => 'b' } ] } ] },
      { proxy => { server => 'p:1', password => 'secret"\\' },
        debug => $true, noweb => { store => { enabled => $true } },
        own => { customHeaders => [ { name => 'X-A', value => 'b' } ] } } ],
    [ "names that need\tescapes",
      { "a\"b\\\n" => { "\x{1}" => [ 1, 2.5, JSON::PP::null, "\x{e9}" ] } },
      { "a\"b\\\n" => { "\x{1}" => [ 1, 2.5, JSON::PP::null,
                                     "\x{e9}" ] } } ],
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
        is($r->{status}, 200, 'it connects') or diag $r->{body};
        is_deeply([ $waha->asked ], [ 'PUT /tenant-acme' ],
                  'by what is missing only');

        my %expected = (%$ours, %$kept);
        my $own = delete $expected{own} || {};

        $expected{metadata} = { %{ $kept->{metadata} || {} },
                                %{ $ours->{metadata} } };
        $expected{ignore} = { %{ $kept->{ignore} || {} },
                              %{ $ours->{ignore} } };
        $expected{webhooks} = [ @{ $kept->{webhooks} || [] },
                                { %$hook, %$own } ];

        is_deeply($waha->session('tenant-acme')->{config}, \%expected,
                  'all is as it should be, the rest as it was');

        is($api->post('acme', $sessions)->{status}, 200, 'once more');
        is_deeply([ $waha->asked ], [], 'nothing is left to be done');

        ok($waha->reaches('tenant-acme', 'WORKING'), 'and it works');
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

    subtest "left alone: $what" => sub {
        $waha->remove_session('tenant-acme');
        $waha->add_session('tenant-acme', start => 1, config => $config,
                           me => { id => '4915112345678@c.us' });
        $waha->reaches('tenant-acme', 'WORKING');
        $waha->clear_requests;

        is($api->post('acme', $sessions)->{status}, 200, 'it connects');
        is_deeply([ $waha->asked ], [], 'nothing is done');
    };
}


# --- each step fails ---------------------------------------------------------

# how WAHA has it before, which call fails

$waha->remove_session('tenant-acme');
$waha = connected();
$ours = $waha->session('tenant-acme')->{config};

my @steps = (
    [ 'the question', sub { }, '^GET /api/sessions/' ],
    [ 'making it', sub { $waha->remove_session('tenant-acme') },
      '^POST /api/sessions$' ],
    [ 'repairing it', sub {
          $waha->remove_session('tenant-acme');
          $waha->add_session('tenant-acme', start => 1);
      }, '^PUT ' ],
    [ 'starting it', sub { $waha->status('tenant-acme', 'STOPPED') },
      '^POST .*/start$' ],
    [ 'restarting it', sub { $waha->status('tenant-acme', 'FAILED') },
      '^POST .*/restart$' ],
);

# the fault, whether WAHA does it nevertheless, status and code of ours

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
                is($r->{status}, $status, 'it is refused') or diag $r->{body};
                is($r->{json}{code}, $code, 'with its code');

            } else {
                ok($r->{status} == 200 || $r->{json}{code} eq $code,
                   'it is refused, or seen to be done') or diag $r->{body};
            }

            cmp_ok(scalar(() = $waha->requests(qr/$match/)), '<=', 3,
                   'it is not tried for ever');

            $waha->heal;
            $waha->clear_requests;

            $waha = connected();
            is($pg->value("select count(*) from waha.sessions
                            where organization_slug = 'acme'
                              and deleted_at is null"), 1, 'one row');
            is_deeply($waha->session('tenant-acme')->{config}, $ours,
                      'all is as it should be');
            like($waha->session('tenant-acme')->{status},
                 qr/^(STARTING|SCAN_QR_CODE|WORKING)$/, 'and runs');
        };
    }
}


subtest 'others are at it, too' => sub {
    my $missing = '{"message":"Session not found","error":"Not Found",'
                  . '"statusCode":404}';

    $waha->remove_session('tenant-acme');
    $waha->fail(match => '^GET /api/sessions/', with => 'status',
        status => 404, body => $missing, times => 1);
    $waha->add_session('tenant-acme', config => $ours);
    $waha->clear_requests;

    is($api->post('acme', $sessions)->{status}, 200,
       'it was made between question and making');
    is_deeply([ $waha->asked ], [ 'POST ', 'POST /tenant-acme/start' ],
              'what was to be done still was done');

    $waha->fail(match => '^GET /api/sessions/', with => 'status',
                status => 404, body => $missing);
    my $r = $api->post('acme', $sessions);
    is($r->{json}{code}, 'waha_error', 'a WAHA that contradicts itself');
    is(scalar(() = $waha->requests(qr{^POST /api/sessions$})), 3,
       'is given up');
    $waha->heal;
};


subtest 'a webhook in the middle' => sub {
    my $refused = sub { scalar grep { $_->{status} !~ /^2/ }
                                    map { $_->deliveries } @wahas };
    settled();
    my $before = $refused->();

    $waha->status('tenant-acme', 'FAILED');
    settled();
    $waha->fail(match => '/restart', with => 'slow', slow => 0.5,
                times => 1);

    my $r = $api->post('acme', $sessions);
    is($r->{status}, 200, 'it connects') or diag $r->{body};
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 'it waits for a phone');
    ok($waha->delivered, 'the webhooks were taken');

    ok(wait_for(sub {
        $api->get('acme', $own)->{json}{data}{status} eq 'SCAN_QR_CODE';
    }, 5), 'and the status is right within seconds');
    is($refused->(), $before, 'none was refused');
};


subtest 'a client that goes away' => sub {
    $waha->remove_session('tenant-acme');
    $waha->clear_requests;
    $waha->fail(match => '^POST /api/sessions$', with => 'slow',
                slow => 0.3, times => 1);

    my $http = $api->send($t->http, acme => POST => $sessions, {});
    ok(wait_for(sub { $waha->requests(qr{^POST /api/sessions$}) }, 5),
       'WAHA is asked to make it');
    $http->close;

    $waha = connected();
    is($waha->session('tenant-acme')->{name}, 'tenant-acme',
       'whoever comes back finds it');
    is_deeply($waha->session('tenant-acme')->{config}, $ours,
              'all is as it should be');
};


subtest 'a reload in the middle' => sub {
    $waha->remove_session('tenant-acme');
    $waha->clear_requests;
    $waha->fail(match => '^POST /api/sessions$', with => 'slow',
                slow => 0.5, times => 1);

    my @old = $t->worker_pids;
    my $http = $api->send($t->http, acme => POST => $sessions, {});
    ok(wait_for(sub { $waha->requests(qr{^POST /api/sessions$}) }, 5),
       'WAHA is asked to make it');

    ok($t->reload, 'nginx is reloaded');

    my $r = $http->answer('POST');
    is($r->{status}, 200, 'who asked before gets the answer')
        or diag $r->{body};
    is($r->{json}{data}{status}, 'STARTING', 'it starts');

    ok(wait_for(sub { !grep { kill 0, $_ } @old }, 10),
       'the old workers go');

    delete $api->{http};            # its connection was to one of them
    $waha = connected();
};


subtest 'over HTTP/2 one that waits leaves' => sub {
    plan(skip_all => 'curl has no HTTP/2') if !$api->has_http2;

    $waha->delivered;
    $waha->remove_session('tenant-acme');
    $waha->add_session('tenant-acme', start => 1);
    $waha->clear_requests;
    $waha->fail(match => '^PUT ', with => 'slow', slow => 0.7);

    my $http = $api->send($t->http, acme => POST => $sessions, {});
    ok(wait_for(sub { $waha->requests('^PUT ') }, 5),
       'WAHA is asked to repair it');

    $api->http2(acme => POST => $sessions, {}, '--max-time', 0.2) for 1 .. 2;

    is($http->answer('POST')->{status}, 200, 'the other is answered');
    $waha->heal;
    is_deeply($waha->session('tenant-acme')->{config}, $ours,
              'all is as it should be');
};


subtest 'the database fails in the middle' => sub {
    my $function = 'waha.record_session_check(text, text, text, text, text)';

    $waha->remove_session('tenant-acme');
    $pg->psql("update waha.sessions set status = 'WORKING'
                where name = 'tenant-acme'");
    $pg->psql("revoke execute on function $function from waha_gateway");

    my $r = $api->post('acme', $sessions);
    is($r->{status}, 503, 'it is refused') or diag $r->{body};
    is($r->{json}{code}, 'database_setup', 'with its code');
    ok($waha->session('tenant-acme'), 'WAHA has made it');

    $pg->psql("grant execute on function $function to waha_gateway");

    $waha = connected();
    ok($waha->reaches('tenant-acme', 'SCAN_QR_CODE'),
       'whoever comes back finds it');
};


# what happens, which of five clients leave

for ([ 'the first leaves', 0 ], [ 'one that waits leaves', 1 ],
     [ 'all but the last leave', 0 .. 3 ])
{
    my ($what, @leave) = @$_;

    subtest "five at once, $what" => sub {
        $waha->delivered;
        $waha->remove_session('tenant-acme');
        $waha->add_session('tenant-acme', start => 1);
        $waha->clear_requests;
        $waha->fail(match => '^PUT ', with => 'slow', slow => 0.4);

        my @request = (acme => POST => $sessions, {});
        my @http = $api->send($t->http, @request);
        ok(wait_for(sub { $waha->requests('^PUT ') }, 5),
           'WAHA is asked to repair it');

        push @http, map { $api->send($t->http, @request) } 1 .. 4;
        $http[$_]->close for @leave;

        my %left = map { $_ => 1 } @leave;
        my @status = map { $http[$_]->answer('POST')->{status} }
                     grep { !$left{$_} } 0 .. 4;

        is(join(' ', @status), join(' ', (200) x (5 - @leave)),
           'all others are answered 200');
        $waha->heal;
        is_deeply($waha->session('tenant-acme')->{config}, $ours,
                  'all is as it should be');
    };
}


subtest 'five at once, and WAHA does not answer' => sub {
    $waha->fail(match => 'sessions', with => 'stall');

    my $start = time;
    my @r = at_once(5, [ acme => POST => $sessions ]);

    is(join(' ', map { $_->{json}{code} // '' } @r),
       join(' ', ('waha_timeout') x 5), 'all are told so');
    cmp_ok(time - $start, '<', 4, 'none waits for all others');
    $waha->heal;

    is($api->post('acme', $sessions)->{status}, 200, 'it goes on');
};


# --- where it is -------------------------------------------------------------

subtest 'a session of before there were several WAHA servers' => sub {
    $pg->psql("insert into waha.sessions (name, organization_slug, status)
               values ('old-one', 'client', 'WORKING')");

    my $r = $api->post('client', "$sessions/old-one/connect");
    is($r->{status}, 409, 'cannot be connected') or diag $r->{body};
    is($r->{json}{code}, 'session_without_instance', 'and why');

    $r = $api->get('client', "$sessions/old-one");
    is($r->{json}{data}{status}, 'WORKING', 'is shown');
    ok($r->{json}{data}{stale}, 'as it was last');
    $r = $api->get('client', "$sessions/old-one?refresh=1");
    is($r->{json}{code}, 'session_without_instance', 'but not refreshed');
};


subtest 'a WAHA server that is not there any more' => sub {
    $pg->psql("update waha.sessions set instance = 'waha-9'
                where name = 'old-one'");

    for ([ POST => 'connect' ], [ POST => 'stop' ], [ POST => 'logout' ],
         [ GET => 'qr' ])
    {
        my ($method, $what) = @$_;
        my $r = $api->request('client', $method,
                              "$sessions/old-one/$what");
        is($r->{status}, 503, "no $what") or diag $r->{body};
        is($r->{json}{code}, 'no_instance', 'and why');
    }
};


$t->done;
