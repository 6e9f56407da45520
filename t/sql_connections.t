# Numbers of the Cloud API: connected, renewed, shown, checked, disconnected,
# and handed over from one organization to another.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my ($number, $second) = qw(106540352242922 106540352242933);
my ($own, $other) = map { "conn_$_" . 'x' x 24 } qw(acme other);

$pg->organization('acme');
$pg->organization('other', session => 't2');
$pg->organization('off', enabled => 0);


subtest 'a number is connected' => sub {
    is_deeply(reply($pg, find_number => 'acme', $number),
              { code => undef, data => undef }, 'a number that is new');
    is(code($pg, show_number => 'acme', undef), 'unknown_session',
       'an organization without a number');
    is(code($pg, find_connection => $own), 'unknown_connection',
       'a connection that is not there');

    my $r = connected('acme', $number, $own);
    is($r->{code}, undef, 'it is connected');
    my $s = $r->{data}{session};
    is($s->{$_->[0]}, $_->[1], "the number has its $_->[0]")
        for [ session => $number ], [ provider => 'meta' ],
            [ status => 'CONNECTED' ], [ phone => '+15550783881' ],
            [ name => 'Acme' ], [ label => 'Sales' ], [ quality => 'GREEN' ],
            [ limit => 'TIER_1K' ], [ primary => JSON::PP::false ];

    is_deeply(reply($pg, find_connection => $own)->{data},
              { connection => $own, organization => 'acme',
                session => $number, account => '102290129340398',
                verify_token_hash => 'f' x 64, app_secret => 'sealed-1',
                previous_app_secret => undef,
                own_secret => JSON::PP::true },
              'its connection is found');
    is(reply($pg, find_number => 'acme', $number)->{data}{connection}, $own,
       'it is found by its number');
    is(reply($pg, show_number => 'acme', $_)->{data}{access_token},
       'token-1', 'it is shown') for $number, undef;
    is(code($pg, find_number => 'other', $number), 'number_taken',
       'another organization does not find it');
    is(code($pg, show_number => 'other', $number), 'unknown_session',
       'and is not shown it');
    is(join(' ', map { $_->{session} }
                     @{ reply($pg, list_sessions => 'acme')
                            ->{data}{sessions} }), $number,
       'it is in the list of sessions');
    is(reply($pg, find_session => 'acme', $number)->{data}{session}{status},
       'CONNECTED', 'a session is found by its id');
    is($pg->psql("select whatsapp_session_name, whatsapp_status,
                         whatsapp_phone_number
                    from organizations where slug = 'acme'"),
       "$number|CONNECTED|+15550783881", 'the organization shows it');
    is($pg->psql("select operation, session_name, principal, name
                    from waha.audit order by id desc limit 1"),
       "session.connect|$number|jwt|ann", 'an audit row says who did it');
};


subtest 'connections that are refused' => sub {
    my %more = (maximum => 1);
    my @cases = (
        [ unknown_organization => 'none', $second, $other ],
        [ disabled_organization => 'off', $second, $other ],
        [ invalid_argument => 'acme', 't1', $other ],
        [ invalid_argument => 'acme', '', $other ],
        [ invalid_argument => 'acme', undef, $other ],
        [ invalid_argument => 'acme', $second, 'short' ],
        [ invalid_argument => 'acme', $second, "$other/" ],
        [ invalid_argument => 'acme', $second, $other, account => 'x' ],
        [ invalid_argument => 'acme', $second, $other, portfolio => '1/2' ],
        [ invalid_argument => 'acme', $second, $other, label => 'x' x 101 ],
        [ number_taken => 'other', $number, $other ],
        [ session_busy => 'acme', $number, $other ],
        [ too_many_sessions => 'acme', $second, $other, maximum => 1 ],
    );

    my $before = state();

    for (@cases) {
        my ($code, @arguments) = @$_;
        is(connected(@arguments)->{code}, $code,
           join ' ', $code, map { $_ // 'null' } @arguments);
    }

    is(state(), $before, 'they change nothing');
    is($pg->psql("insert into waha.sessions (name, organization_slug)
                      values ('$second', 'other') returning name"), $second,
       "a session of WAHA has a number's id");
    is(code($pg, find_number => 'acme', $second), 'number_taken',
       'it is not found');
    is(connected('acme', $second, $other)->{code}, 'number_taken',
       'it cannot be connected');
    $pg->psql("delete from waha.sessions where name = '$second'");
    is(connected('acme', $number, $own, maximum => 1)->{code}, undef,
       'one that is connected may be renewed at the maximum');
};


subtest 'a secret is renewed' => sub {
    my $r = connected('acme', $number, $own, app_secret => 'sealed-2',
                      access_token => 'token-2', quality => undef);
    is($r->{data}{access_token}, 'token-2', 'the token is the new one');
    is(secrets(), 'sealed-2|sealed-1', 'the old secret is kept');
    connected('acme', $number, $own, app_secret => 'sealed-2');
    is(secrets(), 'sealed-2|sealed-1', 'the same secret changes nothing');
    connected('acme', $number, $own, app_secret => undef,
              own_secret => JSON::PP::false);
    is(secrets(), '|sealed-2', 'it is kept when there is no own one');
    connected('acme', $number, $own, app_secret => 'sealed-1');
};


subtest 'the state of a number' => sub {
    my $check = sub {
        my (%details) = @_;
        return reply($pg, record_number_check => 'acme', $number,
                     json(%details))->{data}{session};
    };

    is($check->(status => 'NEEDS_REAUTH')->{status}, 'NEEDS_REAUTH',
       'a token that is dead');
    is($pg->value("select whatsapp_status from organizations
                    where slug = 'acme'"), 'NEEDS_REAUTH',
       'the organization shows it');
    my $s = $check->(status => 'CONNECTED', quality => 'RED', limit => '250',
                     name => 'New', phone => '+1 555 1');
    is(join(' ', @$s{qw(status quality limit name phone)}),
       'CONNECTED RED 250 New +15551', 'what Graph tells');
    is($check->(status => $_)->{status}, 'CONNECTED',
       "the status $_ is not stored") for qw(UNREACHABLE WORKING);
    is(code($pg, record_number_check => 'other', $number, '{}'),
       'unknown_session', "another organization's check");
    is(code($pg, record_session_check => 'acme', $number, 'WORKING', undef,
            undef, undef), 'unknown_session', 'a check at WAHA');
    is(code($pg, reserve_session => 'acme', $number, undef, [ 'w1' ], 9),
       'invalid_argument', 'a session of WAHA with its id');
};


subtest 'a number is disconnected' => sub {
    is(code($pg, disconnect_number => 'other', $number), 'unknown_session',
       'by another organization');
    is(code($pg, disconnect_number => 'acme', $_), 'unknown_session',
       'one that is not there') for undef, $second;

    my $r = acted('disconnect_number', 'acme', $number);
    is($r->{data}{session}{status}, 'DISCONNECTED', 'by its own');
    is($r->{data}{session}{phone}, undef, 'it has no number any more');
    is($r->{data}{connected}, JSON::PP::false, 'it is not connected');
    is(join('', map { $_ // '-' } @{ reply($pg, find_connection => $own)
            ->{data} }{qw(verify_token_hash app_secret
                          previous_app_secret)}), '---',
       'its secrets are wiped');
    is($pg->psql('select concat(access_token, app_secret,
                                 previous_app_secret, verify_token_hash)
                     from waha.connections'), '', 'all of them');
    is($pg->value("select string_agg(operation, ' ' order by id)
                     from waha.audit where operation like 'session.logout'"),
       'session.logout', 'an audit row says so');
    is(acted('disconnect_number', 'acme', $number)->{code}, undef,
       'once more');
    is($pg->value("select count(*) from waha.audit
                    where operation = 'session.logout'"), 1,
       'which leaves no row');
    is(code($pg, record_number_check => 'acme', $number, '{}'),
       'unknown_session', 'it is not checked any more');

    is(connected('acme', $number, $own)->{data}{session}{status},
       'CONNECTED', 'it is connected again');
    is($pg->psql('select valid_from, valid_to from waha.connections'),
       '-infinity|', 'nobody else had it meanwhile');
    is(reply($pg, disconnect_session => 'acme', $number)->{data}{session}
           {status}, 'DISCONNECTED', 'a logout of the session');
    connected('acme', $number, $own);
    is(code($pg, delete_session => 'acme', $number), '',
       'a deletion of the session');
    is($pg->psql("select valid_to is null, access_token
                    from waha.connections"), 'f|', 'ends the connection');
    is(code($pg, find_session => 'acme', $number), 'unknown_session',
       'no list shows it');
    is(reply($pg, show_number => 'acme', undef)->{data}{session}, undef,
       'nor as a session of its connection');
};


subtest 'a number is handed over' => sub {
    connected('acme', $number, $own);
    acted('disconnect_number', 'acme', $number);

    my $r = connected('other', $number, $other, label => undef);
    is($r->{code}, undef, 'another organization connects it');
    is($r->{data}{session}{label}, undef,
       'nothing that the first one gave it is there');
    is(reply($pg, find_session => 'acme', $number)->{code},
       'unknown_session', 'it is no session of the first one any more');
    is(code($pg, find_number => 'acme', $number), 'number_taken',
       'who cannot have it back');
    is(connected('acme', $number, $own)->{code}, 'number_taken',
       'while it is taken');
    is(code($pg, disconnect_number => 'acme', $number), '',
       'a disconnect by the first one');
    is(reply($pg, show_number => 'other', $number)->{data}{connected},
       JSON::PP::true, 'leaves it connected');
    is($pg->psql("select whatsapp_session_name from organizations
                   where slug = 'acme'"), '',
       'the first organization shows it no longer');
    is($pg->psql("select string_agg(organization_slug || ' '
                             || (valid_from = '-infinity') || ' '
                             || (valid_to is null), ' ' order by 1)
                    from waha.connections"),
       'acme true false other false true',
       'each has its time, the second one no earlier time');
    is($pg->value("select a.valid_to <= o.valid_from
                     from waha.connections a, waha.connections o
                    where a.organization_slug = 'acme'
                      and o.organization_slug = 'other'"), 't',
       'one after the other');

    acted('disconnect_number', 'other', $number);
    connected('acme', $number, $own);
    is($pg->value("select a.valid_from >= o.valid_to
                     from waha.connections a, waha.connections o
                    where a.organization_slug = 'acme'
                      and o.organization_slug = 'other'"), 't',
       'whoever gets it back has the time from then on');
};


subtest 'two organizations at the same moment' => sub {
    my @s = map { $pg->session(user => 'waha_gateway') } 1, 2;

    $s[0]->query('begin');
    $s[0]->query(connect_sql('acme', $second, $own . '2'));
    $s[1]->async(connect_sql('other', $second, $other . '2'));
    ok($s[1]->wait_blocked, 'the second one waits');
    $s[0]->query('commit');
    like(($s[1]->result)[0], qr/^number_taken/, 'it gets no number');
    is($pg->value("select string_agg(organization_slug, ' ')
                     from waha.connections
                    where phone_number_id = '$second'"), 'acme',
       'the first one has it');
};



subtest 'who may read it' => sub {
    like($pg->error('select * from waha.connections', user => $_),
         qr/permission denied/, "$_ may not")
        for 'waha_gateway';
    $pg->psql('create role clerk login in role waha_reader');
    like($pg->error('select * from waha.connections', user => 'clerk'),
         qr/permission denied/, 'nor may readers');
    is($pg->value(q{
        select string_agg(r.rolname, ' ' order by 1)
          from pg_roles r
         where r.rolname in ('waha_webhooks', 'waha_tenants',
                             'waha_operators')
           and has_function_privilege(r.rolname,
                   'waha.find_connection(text)', 'execute')}),
       'waha_webhooks', 'the webhooks find connections');
    is($pg->value(q{
        select string_agg(r.rolname, ' ' order by 1)
          from pg_roles r
         where r.rolname in ('waha_webhooks', 'waha_tenants',
                             'waha_operators')
           and has_function_privilege(r.rolname,
                   'waha.show_number(text, text)', 'execute')}),
       'waha_tenants', 'the API shows them');
};


subtest 'deletion of an organization' => sub {
    is(code($pg, delete_organization => 'acme'), 'sessions_exist',
       'not while it is connected');
    $pg->psql("select waha.delete_session('acme', s.name)
                 from waha.sessions s where organization_slug = 'acme'");
    my $r;
    do { $r = reply($pg, delete_organization => 'acme') }
        while !$r->{data}{complete};
    is($r->{data}{organization}, 'deleted', 'it is deleted');
    is($pg->psql("select organization_slug from waha.connections"), 'other',
       'with its connections');
};


$t->done;


sub json {
    my (%members) = @_;

    return JSON::PP->new->canonical->encode(\%members);
}


sub connect_sql {
    my ($organization, $phone_number_id, $connection, %details) = @_;

    my %d = (account => '102290129340398', portfolio => '506914307656634',
             phone => '+1 555-078-3881', name => 'Acme', label => 'Sales',
             verify_token_hash => 'f' x 64, access_token => 'token-1',
             app_secret => 'sealed-1', quality => 'GREEN',
             limit => 'TIER_1K', own_secret => JSON::PP::true,
             maximum => 9, %details);

    return "select * from waha.connect_number(waha.act_as("
           . quote($organization) . ", 'tenant jwt ann'), "
           . join(', ', map { quote($_) } $phone_number_id, $connection,
                                          json(%d)) . ');';
}


sub connected {
    return decode(@{ $pg->rows(connect_sql(@_), user => 'waha_gateway')
                         ->[0] });
}


sub acted {
    my ($name, $organization, @arguments) = @_;

    return decode(@{ $pg->rows("select * from waha.$name(waha.act_as("
        . quote($organization) . ", 'tenant jwt ann'), "
        . join(', ', map { quote($_) } @arguments) . ')',
        user => 'waha_gateway')->[0] });
}


sub secrets {
    return $pg->psql("select app_secret, previous_app_secret
                        from waha.connections where id = '$own'");
}


sub state {
    return $pg->psql('select * from waha.connections order by id;
                      select * from waha.sessions order by name');
}
