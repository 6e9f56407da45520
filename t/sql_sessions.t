# The rows of sessions: made once, spread over the WAHA servers, updated by
# what WAHA answers, deleted without losing a message.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $now = time * 1000;

$pg->organization('acme');
$pg->organization('other', session => 't2');
$pg->organization('off', enabled => 0);


subtest 'the first session of an organization' => sub {
    my $r = reply($pg, reserve_session => 'acme', undef, 'Sales',
                  [ 'w1' ], 5);
    is($r->{code}, undef, 'reserve_session succeeds');
    is($r->{data}{created}, JSON::PP::true, 'a new session is "created"');
    is($r->{data}{instance}, 'w1', 'a new session has a WAHA server');
    is($r->{data}{age}, undef, 'a new session has never been checked');
    is($r->{data}{organization_id}, $pg->organization_id('acme'),
       "a new session has its organization's id");

    my $s = $r->{data}{session};
    like(delete $s->{created_at}, qr/^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/,
         'a new session has the time of its creation');
    is_deeply($s, { session => 'tenant-acme', provider => 'waha',
                    id => undef, label => 'Sales',
                    status => 'NOT_CREATED', phone => undef, name => undef,
                    given_phone => undef, connected_at => undef,
                    restrictions => undef, quality => undef, limit => undef,
                    primary => JSON::PP::true },
              'the name of the first session comes from the slug');

    $r = reply($pg, reserve_session => 'acme', undef, undef,
               [ 'w1', 'w2' ], 5);
    is($r->{data}{session}{session}, 'tenant-acme',
       'reserving again gives the same session');
    is($r->{data}{created}, JSON::PP::false,
       'reserving again does not create');
    is($r->{data}{session}{label}, 'Sales',
       'reserving without a label keeps the label');

    is(reply($pg, reserve_session => 'acme', undef, 'Shop', [ 'w1' ], 5)
           ->{data}{session}{label}, 'Shop',
       'reserving with a label changes the label');
};


subtest 'names of sessions' => sub {
    my $name = sub {
        my ($slug) = @_;
        $pg->organization($slug);
        return reply($pg, reserve_session => $slug, undef, undef,
                     [ 'w1' ], 5)->{data}{session}{session};
    };

    my $opaque = qr/^waha_[0-9a-f]{32}$/;

    is($name->('a' x 47), 'tenant-' . 'a' x 47,
       'the longest slug that fits a name');
    like($name->('a' x 48), $opaque, 'a slug that is too long');
    like($name->('a.b'), $opaque, 'a slug with a dot');
    $pg->psql("insert into waha.sessions (name, organization_slug)
               values ('tenant-taken', 'other')");
    like($name->('taken'), $opaque,
         "a slug whose name belongs to another organization");
    is($pg->value("select organization_slug from waha.sessions
                    where name = 'tenant-taken'"), 'other',
       'the other organization keeps that session');

    my $second = reply($pg, reserve_session => 'acme', 'two', undef,
                       [ 'w1' ], 5)->{data}{session};
    like($second->{session}, $opaque, 'a further session has a random name');
    is($second->{id}, 'two', "a further session has the caller's id");
    is($second->{primary}, JSON::PP::false,
       'a further session is not the primary one');

    for my $as ('two', $second->{session}) {
        is(reply($pg, find_session => 'acme', $as)->{data}{session}{session},
           $second->{session}, 'the session is found by id and by name');
        is(reply($pg, reserve_session => 'acme', $as, undef, [ 'w1' ], 5)
               ->{data}{session}{session}, $second->{session},
           'reserving by id or by name does not create');
        is(code($pg, find_session => 'other', $as), 'unknown_session',
           'another organization does not find it');
    }

    is(reply($pg, reserve_session => 'other', 'two', undef, [ 'w1' ], 9)
           ->{data}{created}, JSON::PP::true,
       'another organization may use the same id');
    is(reply($pg, find_session => 'acme', undef)->{data}{session}{session},
       'tenant-acme', 'without an id the primary session is found');
};


subtest 'reservations that are refused' => sub {
    my @cases = (
        [ 'unknown_organization', 'none', undef, undef, [ 'w1' ], 5 ],
        [ 'disabled_organization', 'off', undef, undef, [ 'w1' ], 5 ],
        [ 'invalid_argument', 'acme', '', undef, [ 'w1' ], 5 ],
        [ 'invalid_argument', 'acme', 'x' x 101, undef, [ 'w1' ], 5 ],
        [ 'too_many_sessions', 'acme', 'three', undef, [ 'w1' ], 2 ],
        [ 'no_instance', 'acme', 'three', undef, [], 5 ],
    );

    for (@cases) {
        my ($code, @arguments) = @$_;
        is(code($pg, reserve_session => @arguments), $code, $code);
    }

    is(code($pg, reserve_session => 'other', 't2', undef, [ 'w1', 'w2' ], 5),
       'session_without_instance',
       'a session without a server, where there are several');
    is(reply($pg, reserve_session => 'other', 't2', undef, [ 'w1' ], 5)
           ->{data}{instance}, 'w1',
       'a session without a server, where there is one');
    is(code($pg, $_ => 'acme', 't2', ('WORKING', undef, undef)
            [ 0 .. ($_ eq 'record_session_check' ? 2 : -1) ]),
       'unknown_session', "$_ of another organization's session")
        for qw(find_session record_session_check disconnect_session
               delete_session);
    is(code($pg, list_sessions => 'none'), 'unknown_organization',
       'sessions of an unknown organization');
};


subtest 'reservations at the same time' => sub {
    $pg->organization("busy$_") for 1 .. 21;
    my @psql = map { $pg->session(user => 'waha_gateway') } 1 .. 20;

    my @r = together(\@psql, map { [ 'busy1', undef, undef, [ 'x1' ], 5 ] }
                             @psql);
    is(scalar(grep { $_->{data}{created} } @r), 1,
       'of twenty reservations one creates the session');
    is($pg->value("select count(*) from waha.sessions
                    where organization_slug = 'busy1'"), 1,
       'there is one session');
    is(scalar(grep { $_->{data}{session}{session} eq 'tenant-busy1' } @r),
       20, 'all twenty get the same session');

    @r = together(\@psql, map { [ 'busy1', 'same', undef, [ 'x1' ], 5 ] }
                          @psql);
    is(scalar(grep { $_->{data}{created} } @r), 1,
       "of twenty with the same id one creates the session");

    @r = together(\@psql, map { [ 'busy1', "id$_", undef, [ 'x1' ], 5 ] }
                          1 .. 20);
    is(scalar(grep { ($_->{code} // '') eq 'too_many_sessions' } @r), 17,
       'of twenty with different ids three create a session');
    is($pg->value("select count(*) from waha.sessions
                    where organization_slug = 'busy1'"), 5,
       'the organization has five sessions');

    @r = together(\@psql, map { [ "busy$_", undef, undef,
                                  [ 'y1', 'y2', 'y3' ], 5 ] } 2 .. 21);
    is($pg->value("select string_agg(n::text, ' ' order by n) from (
                       select count(*) as n from waha.sessions
                        where instance like 'y%' group by instance) i"),
       '6 7 7', 'twenty organizations are spread evenly over three servers');

    # a session that is being made counts, too

    $pg->organization($_) for 'slow', 'quick';
    my ($slow, $quick) = @psql;
    $slow->query('begin; ' . reply_sql(reserve_session => 'slow', undef,
                                       undef, [ 'z1', 'z2' ], 5));
    $quick->async(reply_sql(reserve_session => 'quick', undef, undef,
                            [ 'z1', 'z2' ], 5));
    is($quick->result(0.3), undef,
       "a reservation waits for another one's choice of a server");
    $slow->query('commit');
    like($quick->result, qr/"instance": "z2"/,
         'the next reservation gets the other server');

    # deleted sessions do not count

    my ($few) = map { $_->[0] } @{ $pg->rows(
        "select instance from waha.sessions where instance like 'y%'
          group by 1 order by count(*) limit 1") };
    my ($full) = grep { $_ ne $few } qw(y1 y2 y3);
    reply($pg, delete_session => $_->[0], undef)
        for @{ $pg->rows("select organization_slug from waha.sessions
                           where instance = '$full' limit 4") };
    $pg->organization('late');
    is(reply($pg, reserve_session => 'late', undef, undef,
             [ 'y1', 'y2', 'y3' ], 5)->{data}{instance}, $full,
       'the next session goes to the server with the fewest');
};


subtest 'what WAHA answered about a session' => sub {
    my $check = sub { reply($pg, record_session_check => 'acme', undef, @_)
                          ->{data} };

    my $r = $check->('SCAN_QR_CODE', undef, undef);
    is("$r->{session}{status} $r->{age}", 'SCAN_QR_CODE 0',
       'the status is stored');
    is(shown('acme'), 'tenant-acme|SCAN_QR_CODE||',
       "the status is shown in the CRM's table");

    $r = $check->('WORKING', '4915112345678@c.us', 'Acme');
    is("$r->{session}{phone} $r->{session}{name}", '+4915112345678 Acme',
       'number and name are stored');
    ok(my $since = $r->{session}{connected_at},
       'the time of the connection is stored');
    is(shown('acme'), 'tenant-acme|WORKING|+4915112345678|t',
       "number and connection are shown in the CRM's table");

    is($check->('WORKING', undef, undef)->{session}{phone},
       '+4915112345678', 'a number that WAHA does not mention stays');
    is($check->('WORKING', '4915112345678', undef)->{session}{connected_at},
       $since, 'the time of the connection stays');

    my $row = "select xmin from organizations where slug = 'acme'";
    my $xmin = $pg->value($row);
    $check->('WORKING', '4915112345678', 'Acme');
    is($pg->value($row), $xmin,
       "an unchanged session does not write the CRM's row");

    is(session_event('tenant-acme', status => 'FAILED',
                     sent_at => $now + 60_000), 'session_updated',
       'a later webhook is stored');
    is(reply($pg, find_session => 'acme', undef)->{data}{session}{status},
       'FAILED', 'a later webhook changes the status');

    $r = $check->('NOT_CREATED', undef, undef);
    is($r->{session}{phone}, undef,
       'a session that WAHA does not have has no number');
    is(shown('acme'), 'tenant-acme|NOT_CREATED||',
       "the CRM's table shows no number");
};


subtest 'a session that starts for too long' => sub {
    $pg->organization('starts', session => 's9');

    my $check = sub { reply($pg, record_session_check => 'starts', 's9',
                            @_,
                            undef, undef)->{data}{stuck} };
    my $wait = sub {
        $pg->psql("update waha.sessions set $_[0] = $_[0] - interval '3 min'
                    where name = 's9'");
        return reply($pg, find_session => 'starts', 's9')->{data}{stuck};
    };

    session_event('s9', status => 'STARTING', sent_at => $now);
    ok(!$check->('STARTING'), 'it is not stuck at first');
    ok($wait->('status_at'), 'after two minutes it is');
    session_event('s9', status => 'WORKING', sent_at => $now + 1000);
    ok(!$wait->('status_at'), 'a session that works is not');
    ok(!$check->('STARTING'), 'nor one that a check finds STARTING');
    ok(!$check->('STARTING'), 'nor one that it finds again');
    ok($wait->('starting_since'), 'two minutes after the check it is');
    ok(!$check->('WORKING'), 'it works');
    ok(!$check->('STARTING'), 'it starts again, and has some time');
};


subtest 'a restart that has helped, webhooks in any order' => sub {
    my @cases = (
        # before the operation has ended, then after it; recovered
        [ [], [], 1 ],
        [ [], [ 'STARTING' ], 1 ],
        [ [], [ 'STARTING', 'FAILED' ], 1 ],
        [ [], [ 'WORKING', 'FAILED' ], 0 ],
        [ [], [ 'FAILED', 'WORKING' ], 0 ],
        [ [], [ 'FAILED', 'SCAN_QR_CODE', 'STARTING' ], 0 ],
        [ [ 'STARTING', 'WORKING' ], [ 'FAILED' ], 0 ],
        [ [ 'SCAN_QR_CODE', 'STARTING' ], [ 'FAILED' ], 0 ],
        [ [ 'STARTING' ], [ 'FAILED' ], 1 ],
    );
    my %hour = (STARTING => 1, SCAN_QR_CODE => 2, WORKING => 3, FAILED => 4);
    my $number = 0;

    $pg->organization('restarts');

    for (@cases) {
        my ($before, $after, $recovered) = @$_;
        my $name = 'restarted' . ++$number;
        my $tell = sub {
            session_event($name, status => $_,
                sent_at => $now + 3_600_000 * $hour{$_}) for @_;
        };

        $pg->psql("select waha.add_session('restarts', '$name')");
        session_event($name, status => 'WORKING', sent_at => $now - 7_200_000);
        session_event($name, status => 'FAILED', sent_at => $now - 3_600_000);

        my $holder = reply($pg, begin_operation => 'restarts', $name, 'connect',
                           60)->{data}{holder};
        $tell->(@$before);
        reply($pg, end_operation => 'restarts', $name, $holder, 0, 'true',
              'true', undef);
        $tell->(@$after);

        # webhooks of before the restart

        session_event($name, status => 'WORKING', sent_at => $now - 5_400_000);

        is($pg->value("select waha.session_history(s)->>'recovered'
                         from waha.sessions s where name = '$name'"),
           $recovered ? 'true' : 'false',
           "(@$before) restarted (@$after): "
           . ($recovered ? 'it was in vain' : 'it has helped'));
    }

    # the operation ends half a minute after the session has worked

    $pg->psql("update waha.sessions
                  set recovered_at = to_timestamp($now / 1000.0 + 30)
                where name = 'restarted3'");
    session_event('restarted3', status => 'WORKING', sent_at => $now);
    is($pg->value("select waha.session_history(s)->>'recovered'
                     from waha.sessions s where name = 'restarted3'"),
       'false', 'a time within a minute before its end counts, too');
};


subtest 'what the statuses say' => sub {
    $pg->organization('says', session => 's1');

    my $n = 0;
    my $see = sub {
        my $s = reply($pg, find_session => 'says', 's1')->{data}{session};
        return join ' ', map { $_ // '-' } @$s{qw(status phone)},
               $s->{connected_at} ? substr $s->{connected_at}, 17, 2 : '-';
    };
    my $tell = sub {
        my ($second, $status, $phone) = @_;
        session_event('s1', status => $status, phone => $phone,
                      name => $phone && '~',
                      sent_at => 1795226520000 + 1000 * $second);
        return $see->();
    };

    is($tell->(1, 'SCAN_QR_CODE', '4915'), 'SCAN_QR_CODE - -',
       'a number typed for a pairing code is none of the session');
    is($tell->(2, $_, '4915'), "$_ - -", "$_ tells no number")
        for 'STARTING', 'STOPPED';
    is($tell->(10, 'WORKING', '4916'), 'WORKING +4916 10', 'WORKING does');
    is($tell->(12, 'WORKING', '4916'), 'WORKING +4916 10',
       'WORKING that is told again does not move the time of connection');
    is($tell->(13, 'STARTING', undef), 'STARTING +4916 10',
       'STARTING says nothing about the number');
    is($tell->(14, 'WORKING', '4916'), 'WORKING +4916 14',
       'another status before WORKING moves the time of connection');
    is($tell->($_->[1], $_->[0], undef), "$_->[0] +4916 14",
       "$_->[0] without a number says nothing about it")
        for [ STOPPED => 15 ], [ FAILED => 16 ];
    is($tell->(17, 'SCAN_QR_CODE', undef), 'SCAN_QR_CODE - -',
       'SCAN_QR_CODE says that there is no number');
    is($tell->(18, 'DREAMING' x 10, undef), 'UNKNOWN - -',
       'a status that nobody knows');
    like($pg->log, qr/session "s1" has an unknown status: "DREAMING/,
         "PostgreSQL's log has the unknown status");

    my $check = sub {
        reply($pg, record_session_check => 'says', 's1', @_);
        return $see->() =~ s/ \S+\z//r;
    };

    is($check->('SCAN_QR_CODE', '4915', '~'), 'SCAN_QR_CODE -',
       'a check takes no number from SCAN_QR_CODE either');
    is($check->('DREAMING', '4915', '~'), 'UNKNOWN -',
       'a check with a status that nobody knows');
    is($check->('WORKING', '4917', 'x'), 'WORKING +4917', 'a check, WORKING');
    is($check->($_, undef, undef), "$_ +4917", "a check, $_")
        for 'STOPPED', 'FAILED', 'STARTING';
    is($check->('SCAN_QR_CODE', undef, undef), 'SCAN_QR_CODE -',
       'a check, SCAN_QR_CODE');
};


subtest 'the time of connection, in every order' => sub {
    my %told = (10 => 'WORKING', 15 => 'STOPPED', 20 => 'WORKING',
                30 => 'WORKING');

    for my $order (permutations(sort keys %told)) {
        $pg->psql("delete from waha.sessions where name = 's2';
                   select waha.add_session('says', 's2')");
        session_event('s2', status => $told{$_}, phone => '4916',
                      sent_at => 1000 * $_)
            for @$order;
        is($pg->value("select extract(epoch from connected_at)::int
                         from waha.sessions where name = 's2'"), 20,
           "in the order @$order");
    }
};


subtest 'a session that is disconnected' => sub {
    reply($pg, record_session_check => 'acme', undef, 'WORKING',
          '4915112345678', 'Acme');

    my $s = reply($pg, disconnect_session => 'acme', undef)
                ->{data}{session};
    is("$s->{status} " . ($s->{phone} // 'none'), 'STOPPED none',
       'a disconnected session has no number');
    is($s->{connected_at}, undef,
       'a disconnected session has no time of connection');
    is(shown('acme'), 'tenant-acme|STOPPED||',
       "the CRM's table shows STOPPED");

    $s = reply($pg, record_session_check => 'acme', undef, 'WORKING',
               '4915112345679', 'Acme')->{data}{session};
    is("$s->{status} $s->{phone}", 'WORKING +4915112345679',
       'a session connected with another number shows that number');
};


subtest 'a session that is deleted' => sub {
    is_deeply(reply($pg, delete_session => 'acme', undef)->{data},
              { deleted => JSON::PP::true }, 'delete_session succeeds');
    is(code($pg, delete_session => 'acme', 'tenant-acme'),
       'unknown_session', 'a deleted session cannot be deleted again');
    is(code($pg, $_->[0] => 'acme', @$_[1 .. $#$_]), 'unknown_session',
       "a deleted session is unknown to $_->[0]")
        for [ find_session => 'tenant-acme' ],
            [ disconnect_session => 'tenant-acme' ],
            [ record_session_check => 'tenant-acme', 'WORKING', undef,
              undef ];
    is(scalar @{ reply($pg, list_sessions => 'acme')->{data}{sessions} }, 1,
       'a deleted session is not listed');
    is(shown('acme'), '|||',
       "the CRM's table does not show a deleted session");

    is(session_event('tenant-acme', status => 'WORKING', phone => '4915',
                     sent_at => $now + 120_000), 'duplicate',
       'a status after the deletion is ignored');
    is(shown('acme'), '|||',
       "a status after the deletion is not shown in the CRM's table");
    is(code($pg, find_session => 'acme', 'tenant-acme'), 'unknown_session',
       'a status after the deletion does not bring the session back');
    is(outcome($pg, message(session => 'tenant-acme', message_id => 'L1',
                            phone => '79222222222'))->{organization},
       'acme', 'a message after the deletion finds its organization');

    my $r = reply($pg, reserve_session => 'acme', undef, undef,
                  [ 'w1' ], 5)->{data};
    is("$r->{session}{session} $r->{created} $r->{session}{status}",
       'tenant-acme 1 NOT_CREATED',
       'a deleted session that is reserved again has its name');
    is($r->{session}{phone}, undef,
       'a deleted session that is reserved again has no number');

    reply($pg, delete_session => 'acme', undef);
    is(code($pg, reserve_session => 'acme', undef, undef, [ 'w1' ], 1),
       'too_many_sessions', 'reserving a deleted session observes the limit');
    is(code($pg, reserve_session => 'acme', 'tenant-acme', 'x' x 101,
            [ 'w1' ], 5), 'invalid_argument',
       'reserving a deleted session checks the label');
    $pg->psql("select waha.add_session('acme', 'tenant-acme')");
    is(code($pg, find_session => 'acme', undef), '',
       'waha.add_session brings a deleted session back');
};


subtest 'sessions deleted 30 days ago' => sub {
    $pg->organization('gone');
    my $left = sub {
        return $pg->value("select string_agg(name, ' ' order by name)
                             from waha.sessions
                            where organization_slug = 'gone'") // '';
    };

    for (qw(locked new old runs stopped unsent)) {
        $pg->psql("insert into waha.sessions (name, organization_slug,
                                              client_id)
                       values ('g-$_', 'gone', '$_')");
        reply($pg, delete_session => 'gone', "g-$_");
    }

    # deletions made old; WAHA's last status is newer or older than the
    # deletion

    $pg->psql("update waha.sessions
                  set deleted_at = now() - interval '31 days'
                where organization_slug = 'gone' and name <> 'g-new'");
    my $day = 86_400_000;
    session_event('g-runs', status => 'WORKING', sent_at => $now - $day);
    session_event('g-unsent', status => 'WORKING',
                  sent_at => $now - 40 * $day);
    session_event('g-stopped', status => $_->[0],
                  sent_at => $now - $_->[1] * $day)
        for [ WORKING => 20 ], [ STOPPED => 10 ], [ STARTING => 15 ];

    my $holder = $pg->session;
    $holder->query("begin; select from waha.sessions
                     where name = 'g-locked' for update");
    is($pg->value("set lock_timeout = '5s'; select waha.maintain(1)"), 1,
       'maintain(1) removes one session')
        for 1 .. 3;
    is($pg->value('select waha.maintain()'), 0,
       'maintain has no more to remove');
    is($left->(), 'g-locked g-new g-runs',
       'sessions that are locked, newly deleted or still run by WAHA stay');

    # a session that is reserved while it is removed becomes a new one

    $holder->query('commit; begin; select waha.maintain()');
    my $psql = $pg->session(user => 'waha_gateway');
    $psql->async(reply_sql(reserve_session => 'gone', 'locked', undef,
                           [ 'w1' ], 5));
    is($psql->result(0.3), undef, 'reserving waits for the removal');
    $holder->query('commit');
    like($psql->result, qr/"created": true/,
         'reserving creates a new session');
    unlike($left->(), qr/g-locked/, 'the old session is gone');

    is(reply($pg, reserve_session => 'gone', 'runs', undef, [ 'w1' ], 5)
           ->{data}{session}{status}, 'NOT_CREATED',
       'a session that WAHA still runs can be reserved again');
};


subtest 'thousands of deleted sessions' => sub {
    # another transaction can see the deleted rows: vacuum leaves them, and the
    # table has pages and no rows

    my $holder = $pg->session;
    $holder->query('begin isolation level repeatable read; select 1');
    $pg->organization('many');
    $pg->psql('delete from waha.sessions');
    $pg->psql('vacuum analyze');

    my $psql = $pg->session(user => 'waha_gateway');
    my @calls = (reply_sql(find_session => 'many', undef),
                 reply_sql(list_sessions => 'many'),
                 reply_sql(reserve_session => 'many', 'one', undef,
                           [ 'w1' ], 5),
                 reply_sql(find_session => 'many', 'one'),
                 reply_sql(reserve_session => 'many', 'two', undef,
                           [ 'w1' ], 1),
                 reply_sql(reserve_session => 'many', undef, undef,
                           [ 'w1' ], 5));
    $psql->query($_) for @calls[0, 1];       # planned while it is empty

    $pg->psql("insert into waha.sessions (name, organization_slug,
                                          client_id, status, deleted_at)
                   select 'd' || k, 'many',
                          case when k % 2 = 0 then 'c' || k end,
                          'NOT_CREATED', now()
                     from generate_series(1, 5000) k");

    for my $state ('no statistics', 'statistics') {
        for (@calls) {
            my ($name) = /waha\.(\w+)/;
            my $read = $psql->query("begin; $_ \\g /dev/null\n"
                . "select 'read ' || sum(coalesce(seq_tup_read, 0)
                                         + coalesce(idx_tup_fetch, 0))
                     from pg_stat_xact_user_tables
                    where relname = 'sessions'; commit");
            like($read, qr/read \d/, "$name is measured");
            my ($rows) = $read =~ /read (\d+)/;
            cmp_ok($rows // 5000, '<', 50,
                   "$name reads fewer than 50 rows, $state");
        }
        $pg->psql('vacuum analyze waha.sessions');
    }

    $pg->psql("delete from organizations where slug = 'many'");
    is($pg->value('select count(*) from waha.sessions'), 0,
       'deleting the organization deletes all its sessions');
};


subtest 'notifications to the workers' => sub {
    $pg->psql('create table told (n serial, payload text)');

    my @cases = (
        [ "insert into organizations (slug) values ('news')", 'ID news' ],
        [ "update organizations set name = 'x' where slug = 'news'", '' ],
        [ "update organizations set whatsapp_enabled = true
            where slug = 'news'", 'ID news' ],
        [ "update organizations set whatsapp_enabled = true
            where slug = 'news'", '' ],
        [ reply_sql(reserve_session => 'news', undef, undef, [ 'w1' ], 5),
          'news' ],
        [ reply_sql(reserve_session => 'news', undef, undef, [ 'w1' ], 5),
          '' ],
        [ reply_sql(record_session_check => 'news', undef, 'WORKING', '49',
                    undef), '' ],
        [ call_sql(ingest => { provider => 'waha', kind => 'session',
                               session => 'tenant-news', status => 'FAILED',
                               sent_at => $now + 60_000 }), '' ],
        [ reply_sql(delete_session => 'news', undef), 'news' ],
        [ "insert into waha.api_keys (id, organization_slug, hash, scopes)
               values ('k1', 'news', '', '{read}')", 'k1 news' ],
        [ "update waha.key_uses set last_used_at = now()", '' ],
        [ "delete from waha.api_keys where id = 'k1'", 'k1 news' ],
        [ "delete from organizations where slug = 'news'", 'ID news' ],
        [ reply_sql(put_organization => 'more', undef, undef, 'false'),
          'ID more' ],
        [ reply_sql(put_organization => 'more', 'More', '49', 'false'), '' ],
        [ reply_sql(put_organization => 'more', undef, undef, 'true'),
          'ID more' ],
        [ reply_sql(enable_organization => 'more'), '' ],
        [ "select waha.add_session('more', 'a1')", 'more' ],
        [ "select waha.import_session('more', 'a2', 'w1')", 'more' ],
        [ "select waha.import_session('more', 'a2', 'w1')", '' ],
        [ reply_sql(reserve_session => 'more', 'm1', undef, [ 'w1' ], 5),
          'more' ],
        [ "select waha.move_session('more', 'm1', '{w2}')", 'more' ],
        [ call_sql(ingest => { provider => 'waha', kind => 'session',
                               session => 'tenant-more', status => 'WORKING',
                               organization_slug => 'more',
                               sent_at => $now }), 'more' ],
        [ reply_sql(create_api_key => 'more', undef, undef, 1), 'KEY more' ],
        [ "select waha.create_operator_key('x')", 'KEY' ],
        [ "select waha.delete_operator_key(id) from waha.api_keys
            where organization_slug is null", 'KEY' ],
        [ "select waha.delete_api_key('more', id) from waha.api_keys",
          'KEY more' ],
        [ reply_sql(create_api_key => 'more', undef, undef, undef),
          'KEY more' ],
        [ "update waha.sessions set status = 'STOPPED',
               deleted_at = now() - interval '40 days'
            where organization_slug = 'more'", 'more' ],
        [ 'select waha.maintain()', 'more' ],
        [ reply_sql(delete_organization => 'more'), 'ID more' ],
        [ reply_sql(delete_organization => 'more'), 'ID KEY more' ],
    );

    my $listener = $pg->session;
    $listener->query('listen waha_tenant');

    for (@cases) {
        my ($sql, $payload) = @$_;
        $pg->psql($sql);
        my %told = map { s/^[0-9a-f]{8}$/KEY/r =~ s/^\d+$/ID/r => 1 }
                   $listener->query('select 1')
                                   =~ /with payload "([^"]*)"/g;
        is(join(' ', sort keys %told), $payload,
           ($payload eq '' ? 'nothing: ' : "$payload: ")
           . substr $sql =~ s/\s+/ /gr, 0, 60);
    }
};


$t->done;


sub shown {
    my ($slug) = @_;

    return $pg->psql("select whatsapp_session_name, whatsapp_status,
                             whatsapp_phone_number,
                             whatsapp_connected_at is not null or null
                        from organizations where slug = '$slug'");
}


sub session_event {
    my ($session, %event) = @_;

    return outcome($pg, { provider => 'waha', kind => 'session',
                          session => $session, %event })->{action};
}


sub permutations {
    return [] if !@_;
    return map {
        my $n = $_;
        map { [ $_[$n], @$_ ] } permutations(@_[grep { $_ != $n } 0 .. $#_])
    } 0 .. $#_;
}


# waha.reserve_session on all connections at the same time

sub together {
    my ($psql, @arguments) = @_;

    # all of them wait for a lock until the last one does

    my $gate = $pg->session;
    $gate->query('begin; select pg_advisory_xact_lock(1)');

    for my $n (0 .. $#$psql) {
        $psql->[$n]->async('select pg_advisory_lock_shared(1), '
            . 'pg_advisory_unlock_shared(1) \g /dev/null' . "\n"
            . reply_sql(reserve_session => @{ $arguments[$n] }));
    }

    wait_for(sub { $pg->value("select count(*) from pg_locks
                                where locktype = 'advisory'
                                  and not granted") == @$psql }, 60)
        or die 'the connections do not wait together';

    $gate->query('commit');

    return map {
        my ($code, $data) = split /\|/, $_->result, 2;
        decode(length $code ? $code : undef, length $data ? $data : undef);
    } @$psql;
}
