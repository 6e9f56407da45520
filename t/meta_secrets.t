# Rotation of secrets: an operator lets nginx seal what is stored with the first
# key again.  What the test finds was sealed, and is opened, by code of its own.

use Waha::Test;
use Waha::Api;
use Waha::Sealed qw(seal unseal);

my $t = Waha::Test->new;
my $pg = $t->postgres;

my %key = (new => 'The first of the keys: 32 bytes.',
           old => 'The key before it, 32 bytes too.',
           lost => 'A key that nobody has any more!!');

spew_secret($t->dir . "/$_.key", $key{$_}) for keys %key;

my $api = Waha::Api->new($t, http => join '', map {
    "waha_secret_key $_ " . $t->dir . "/$_.key;\n" } qw(new old));
my $route = '/api/whatsapp/secrets/rotate';
my @columns = qw(access_token app_secret previous_app_secret);

$pg->organization($_) for qw(acme bolt);
$t->start;


subtest 'who may' => sub {
    refused($api->post('acme', $route), 403, 'forbidden', 'an organization');
    refused($api->post(undef, $route), 401, 'unauthorized', 'nobody');
    refused($api->get('operator', $route), 405, 'method_not_allowed', 'GET');
    refused($api->post('operator', $route, { after => 'x' }), 400,
            'invalid_argument', 'a cursor that is none');
    refused($api->post('operator', $route, { after => [ 1 ] }), 400,
            'invalid_argument', 'a cursor that is a list');

    is_deeply(rotate(), { rotated => 0, refused => 0, remaining => 'no',
                          next => undef }, 'there is nothing to be rotated');
};


subtest 'each text' => sub {
    my $token = 'EAAGm0PX4ZCpsBAAgood';

    connection('acme', 'c-one', access_token => [ old => $token ],
               app_secret => [ old => 'app' ],
               previous_app_secret => [ old => 'former' ]);
    connection('acme', 'c-two', access_token => [ new => $token ]);
    connection('bolt', 'c-three', access_token => [ old => '' ],
               app_secret => [ new => 'kept' ]);
    connection('bolt', 'c-none');

    my $kept = row('c-two');
    my $listener = $pg->session;
    $listener->query('listen waha_tenant');

    is_deeply(rotate(), { rotated => 4, refused => 0, remaining => 'no',
                          next => undef }, 'all of the old key are rotated');

    is_deeply([ plain(acme => 'c-one') ], [ $token, 'app', 'former' ],
              'three secrets of a row, with the new key');
    is_deeply([ plain(bolt => 'c-three') ], [ '', 'kept', undef ],
              'an empty one, and one that had the new key');
    is_deeply(row('c-two'), $kept, 'what has the first key is left as it is');

    like($listener->query('select 1'), qr/"waha_tenant" with payload "c-one"/,
         'workers hear of it');
    $listener->close;

    is_deeply($pg->rows(q{select organization_slug, principal, operator,
                                 details->>'table'
                            from waha.audit
                           where operation = 'secret.rotate'
                           order by 1}),
              [ [ 'acme', 'key', 't', 'connections' ],
                [ 'bolt', 'key', 't', 'connections' ] ],
              'waha.audit says whose secrets were rotated');

    is_deeply(rotate(), { rotated => 0, refused => 0, remaining => 'no',
                          next => undef }, 'the second request finds nothing');
};


subtest 'what cannot be opened' => sub {
    my $token = 'EAAGm0PX4ZCpsBAAbad';
    my @place = ('connections', 'acme', 'c-one', 'access_token');
    my $moved = seal(old => $key{old}, \@place, $token);
    my $lines = () = $t->error_log =~ /cannot be opened/g;

    connection('bolt', 'd-moved', access_token => $moved);
    connection('acme', 'd-column', app_secret => $moved);
    connection('acme', 'd-altered', access_token =>
               seal(old => $key{old}, [ @place[0, 1], 'd-altered', $place[3] ],
                    $token) =~ s/(.)(.{30})\z/($1 eq 'A' ? 'B' : 'A') . $2/er);
    connection('acme', 'd-lost', access_token => [ lost => $token ]);
    connection('acme', 'd-plain', access_token => $token);
    connection('acme', 'd-version', access_token => $moved =~ s/1/2/r);
    connection('acme', 'd-cut', access_token => substr $moved, 0, 30);
    connection('acme', 'd-good', access_token => [ old => $token ]);

    my @before = map { row($_) } qw(d-moved d-column d-altered d-lost d-plain
                                    d-version d-cut);

    is_deeply(rotate(), { rotated => 1, refused => 7, remaining => 'no',
                          next => undef }, 'one of eight can be opened');
    is_deeply([ map { row($_) } qw(d-moved d-column d-altered d-lost d-plain
                                   d-version d-cut) ], \@before,
              'what cannot be opened is left as it is');
    is((plain(acme => 'd-good'))[0], $token, 'the good one is rotated');

    my $log = $t->error_log;
    my $more = () = $log =~ /cannot be opened/g;
    is($more - $lines, 7, 'each has one line in the log');
    like($log, qr/"access_token"\ in\ "connections"\ of\ organization\ "bolt"
                  \ cannot\ be\ opened\ with\ the\ key\ "old"/x,
         'the line names place and key');
    like($log, qr/with the key "lost": no "waha_secret_key" has this id/,
         'the line names a key that is missing');

    $api->hides($token, 'd-moved', 'd-altered', substr($moved, 12),
                values %key);

    $pg->psql("delete from waha.connections where id like 'd-%'");
};


subtest 'many' => sub {
    # some that cannot be opened come first

    $pg->psql("insert into waha.connections (id, organization_slug,
                                             phone_number_id, access_token)
               select 'a' || n, 'acme', 'a' || n, 'waha1.old.AAAA'
                 from generate_series(1, 170) n");

    connection('acme', "m-$_", access_token => [ old => "token $_" ])
        for 101 .. 160;

    my ($rotated, $refused, $calls, $next) = (0, 0, 0);

    for my $call (1 .. 20) {
        my $r = rotate(defined $next ? { after => $next } : undef);

        $rotated += $r->{rotated};
        $refused += $r->{refused};
        $calls++;
        $next = $r->{next};

        cmp_ok($r->{rotated} + $r->{refused}, '<=', 150,
               'a request has a bound');
        last if $r->{remaining} eq 'no';
        ok(defined $next, 'it says where the next one goes on');
    }

    is($rotated, 60, 'all that can be opened are rotated');
    is($refused, 170, 'each other one is refused once');
    cmp_ok($calls, '>', 1, 'by several requests');
    is((plain(acme => 'm-160'))[0], 'token 160', 'the last one can be opened');

    $pg->psql("delete from waha.connections where id like 'a%'");
};


subtest 'at once' => sub {
    connection('bolt', "p-$_", access_token => [ old => "token $_" ])
        for 101 .. 130;

    my @clients = map { $api->send($t->http, 'operator', 'POST', $route) }
                      1 .. 4;
    my $sum = 0;

    for (@clients) {
        my $r = $_->answer;
        is($r->{status}, 200, 'each request succeeds');
        $sum += $r->{json}{data}{rotated};
    }

    is($sum, 30, 'each secret is rotated once');
    is((plain(bolt => "p-$_"))[0], "token $_", "$_ can be opened")
        for 101, 115, 130;
};


subtest 'a secret that another one has replaced' => sub {
    my $id = 'connection-of-replaced';
    my @place = ('connections', 'acme', $id, 'app_secret');

    $pg->value(sprintf q{select (waha.connect_number('acme', '77', '%s',
                             '{"account": "7", "app_secret": "%s"}')).code},
               $id, seal(old => $key{old}, \@place, $_)) for qw(first second);

    is(rotate()->{rotated}, 2, 'both are rotated');
    is(unseal($key{new}, \@place, $_->[0]), $_->[1], "the $_->[1] is kept")
        for map { [ $pg->value("select $_->[0] from waha.connections
                                 where id = '$id'"), $_->[1] ] }
            [ app_secret => 'second' ], [ previous_app_secret => 'first' ];
};


subtest 'without a key' => sub {
    my $without = Waha::Api->new($t);
    $t->start;

    refused($without->post('operator', $route), 503, 'no_secret_key',
            'no waha_secret_key');
};

$t->done;


# The data of an answer; JSON's true is 'yes', false 'no'.

sub rotate {
    my ($body) = @_;

    my $data = $api->ok('operator', POST => $route, $body)->{data};
    $data->{remaining} = $data->{remaining} ? 'yes' : 'no';

    return $data;
}


# a row of waha.connections; a secret is a text, or a key's id and what it seals

sub connection {
    my ($organization, $id, %secrets) = @_;

    my @values = map {
        my $secret = $secrets{$_};
        !defined $secret ? 'null' : "'" . (!ref $secret ? $secret
            : seal($secret->[0], $key{ $secret->[0] },
                   [ 'connections', $organization, $id, s/^previous_//r ],
                   $secret->[1])) . "'" } @columns;

    $pg->psql(sprintf "insert into waha.connections
                           (id, organization_slug, phone_number_id, %s)
                           values ('%s', '%s', '%s', %s)",
              join(', ', @columns), $id, $organization, $id,
              join ', ', @values);
}


sub row {
    my ($id) = @_;

    return $pg->rows('select ' . join(', ', @columns)
                     . " from waha.connections where id = '$id'")->[0];
}


# the secrets of a row, all with the new key

sub plain {
    my ($organization, $id) = @_;

    my @sealed = @{ row($id) };

    return map {
        my $text = shift @sealed;
        $text && unseal($key{new}, [ 'connections', $organization, $id,
                                     s/^previous_//r ], $text) } @columns;
}
