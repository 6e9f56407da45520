# GET /api/whatsapp/audit: who has done what through the API, by each kind of
# credentials, and who may see it.

use Waha::Test;
use Waha::Sessions;
use Waha::Token;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin;
my $idp = Waha::Token->new($t->dir);
my $file = $idp->file('HS256');

$pg->organization($_) for qw(acme other);

my $api = Waha::Sessions->new($t, unlimited => 1, wahas => [ $waha ],
                              server => <<"EOF_CONF");
        location /jwt/ {
            rewrite ^/jwt(/.*)\$ \$1 break;
            waha_api;
            waha_jwt_key HS256 $file;
            waha_jwt_claim admin=yes role=operator;
        }

        location /variable/ {
            set \$tenant acme;
            rewrite ^/variable(/.*)\$ \$1 break;
            waha_api;
            waha_organization \$tenant;
        }

        location /bridge/ {
            rewrite ^/bridge(/.*)\$ \$1 break;
            waha_api;
        }
EOF_CONF
$t->start;

my $own = '/api/whatsapp/sessions/tenant-acme';
my $base = '/api/whatsapp/organizations';


# The rows since the last call, oldest first; equal ones once: what a caller
# repeats has one row in a minute.

my $seen = 0;

sub rows {
    my $columns = join ', ', map { "coalesce($_\::text, '-')" }
                             @_ ? @_ : qw(operation principal name operator);

    my @rows = map { join ' ', @$_ } @{ $pg->rows(
        "select $columns from waha.audit where id > $seen order by id") };
    $seen = $pg->value('select coalesce(max(id), 0) from waha.audit');

    my %had;
    return join ', ', grep { !$had{$_}++ } @rows;
}


# a request with a token of the identity provider

sub jwt {
    my ($claims, $method, $path, $body) = @_;

    return $api->request(undef, $method, "/jwt$path", $body,
        Authorization => 'Bearer ' . $idp->token('HS256', $claims));
}


sub listed {
    my ($who, $query) = @_;

    return $api->ok($who, GET => '/api/whatsapp/audit' . ($query // ''))
               ->{data};
}


my $key = 'key ' . substr($api->token('acme'), 4, 8) . ' false';
my $root = 'key ' . substr($api->token('operator'), 4, 8) . ' true';


subtest 'the life of a session' => sub {
    rows();

    $api->ok('acme', POST => '/api/whatsapp/sessions');
    is(rows(), "session.create $key, session.connect $key", 'connect');
    is($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 1,
       'the session waits for a scan');
    $api->ok('acme', GET => $own);
    $api->ok('acme', GET => '/api/whatsapp/sessions');
    is(rows(), '', 'a look leaves no row');

    $api->ok('acme', POST => "$own/stop");
    $api->ok('acme', POST => "$own/start");
    $api->ok('acme', POST => "$own/restart");
    $api->ok('acme', POST => "$own/logout");
    is(rows('operation', 'session_name', 'organization_slug'),
       join(', ', map { "session.$_ tenant-acme acme" }
                      qw(stop start restart logout)), 'what tenants do');

    $api->ok('operator', DELETE => "$own?organization=acme");
    is(rows(), "session.delete $root", 'what an operator does');
    refused($api->post('acme', "$own/stop"), 404, 'unknown_session',
            'a session that is gone');
    is(rows(), '', 'what is refused leaves no row');
};


subtest 'what links a phone' => sub {
    $api->ok('acme', POST => '/api/whatsapp/sessions');
    is($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 1,
       'the session waits for a scan');
    rows();

    my $minutes = "select count(distinct date_trunc('minute', at))
                     from waha.audit where id > $seen";
    for my $n (1 .. 5) {
        $api->ok('acme', GET => "$own/qr");
        $api->ok('acme', GET => "$own/qr?format=raw");
    }
    is($pg->value("select count(*) from waha.audit where id > $seen"),
       $pg->value($minutes), 'a page that asks for the QR code again and '
       . 'again leaves one row in a minute');
    is(rows(), "session.qr $key", 'the row says so');

    my $flat = '/api/tenants/acme/whatsapp/connect';
    my $link = $api->ok('acme', POST => $flat)->{qr_url};
    unlike(rows(), qr/qr/, 'a link is no code');
    is($api->get(undef, $link)->{status}, 200, 'the link shows the code');
    is(rows('operation', 'principal', 'name', 'operator', 'session_name'),
       'session.qr link - false tenant-acme', 'a signed link');

    jwt({ org => 'acme', sub => 'bob' }, POST => "$own/pairing-code",
        { phoneNumber => '+4915112345678' });
    is(rows(), 'session.pairing-code jwt bob false', 'a pairing code');
    jwt({ org => 'acme', sub => 'eve' }, POST => $flat,
        { usePairingCode => 'true', phoneNumber => '+4915112345678' });
    is(rows(), 'session.connect jwt eve false, '
       . 'session.pairing-code jwt eve false',
       'the pairing code of a connect');

    my $r = $api->post('acme', '/bridge/connect', { sessionId => 'two' });
    is($r->{status}, 200, 'a client of the bridge connects');
    like($r->{json}{qrCode} // $r->{json}{data}{qrCode}, qr/^data:image/,
         'its answer has the code');
    is(rows('operation'), 'session.create, session.connect, session.qr',
       'a code in the answer to another request');

    $waha->scan('tenant-acme', phone => '4915112345678');
    is($waha->reaches('tenant-acme', 'WORKING'), 1, 'the phone is linked');
    refused($api->get('acme', "$own/qr"), 409, 'no_qr', 'no code to show');
    is(rows(), '', 'what nobody has seen leaves no row');
};


subtest 'who it was' => sub {
    jwt({ org => 'acme', sub => 'bob@example.com' }, POST => "$own/stop");
    jwt({ org => 'acme', sub => 4711 }, POST => "$own/stop");
    jwt({ org => 'acme' }, POST => "$own/stop");
    jwt({ org => 'acme', sub => $_ }, POST => "$own/stop")
        for [ 'a' ], '';
    is(rows(), 'session.stop jwt bob@example.com false, '
       . 'session.stop jwt 4711 false, session.stop jwt - false',
       'subjects of tokens');
    is($api->request(undef, POST => "/variable$own/stop")->{status}, 200,
       'a request with a variable');
    is(rows(), 'session.stop variable acme false', 'a variable');
    jwt({ admin => 'yes', sub => 'root' }, POST => "$own/stop",
        { organization => 'acme' });
    is(rows('principal', 'name', 'operator', 'organization_slug', 'login'),
       'jwt root true acme waha_gateway', "an operator's token");
};


subtest 'organizations, keys and privacy' => sub {
    $api->ok('operator', PUT => "$base/new", { name => 'New' });
    $api->ok('operator', PUT => "$base/new", { enabled => 'false' });
    is(rows(), "organization.create $root, organization.change $root",
       'an organization');

    my $made = $api->ok('operator', POST => "$base/acme/api-keys",
                        { label => 'Zaphod' })->{data}{id};
    $api->ok('operator', DELETE => "$base/acme/api-keys/$made");
    is(rows('operation', "details->>'key'"),
       "key.create $made, key.delete $made", 'a key');

    my $id = $t->webhook($t->message(session => 'tenant-acme',
        from => 4915112340000, text => 'hi', id => 'Q1'))
        ->{json}{data}{contactId};
    jwt({ admin => 'yes', sub => 'root' },
        GET => "/api/whatsapp/contacts/$id/export?organization=acme");
    jwt({ admin => 'yes', sub => 'root' }, GET => "$base/acme/export");
    jwt({ admin => 'yes', sub => 'root' },
        DELETE => "/api/whatsapp/contacts/$id?organization=acme");
    is(rows('operation', 'name', 'contact_id'),
       "contact.export root $id, organization.export root -, "
       . "contact.erase root $id", 'privacy');

    $api->ok('acme', GET => '/api/whatsapp/contacts');
    $api->ok('operator', GET => "$base/acme/api-keys");
    is(rows(), '', 'reading leaves no row');
};


subtest 'who sees it' => sub {
    my $data = listed('acme', '?size=200');
    is(scalar @{ $data->{audit} },
       $pg->value("select count(*) from waha.audit
                    where organization_slug = 'acme'"),
       'an organization sees its rows');
    my $row = $data->{audit}[0];
    is("@$row{qw(operation principal name)}", 'contact.erase jwt root',
       'the newest one first');
    is($row->{details}{activities}, 1, 'with its details');
    like($row->{at}, qr/^20\d\d-\d\d-\d\dT[\d:.]+Z$/, 'and its time');

    is_deeply([ map { $_->{operation} }
                    map { @{ $_->{audit} } }
                        $api->pages('acme', '/api/whatsapp/audit',
                                    size => 3) ],
              [ map { $_->{operation} } @{ $data->{audit} } ],
              'the pages have the same rows');
    is(scalar @{ listed('operator', '?organization=acme&size=200')->{audit} },
       scalar @{ $data->{audit} }, 'an operator sees them');

    is_deeply([ map { $_->{operation} } @{ listed('other')->{audit} } ],
              [ 'key.create' ], 'another organization sees its own row only');
    refused($api->get('other', '/api/whatsapp/audit?organization=acme'), 403,
            'forbidden', 'another organization');
    refused($api->get('acme:read', '/api/whatsapp/audit'), 403, 'forbidden',
            'a key that may only read');
    refused($api->get(undef, '/api/whatsapp/audit'), 401, 'unauthorized',
            'nobody');
    refused($api->get('operator', '/api/whatsapp/audit'), 400,
            'invalid_argument', 'an operator has to name an organization');

    unlike($api->{answers}, qr/49151123\d+.*"audit"/, 'no row has a number');
    unlike($pg->value('select jsonb_agg(to_jsonb(a)) from waha.audit a'),
           qr/4915112|Zaphod/, 'no number and no label is stored');
};


# no code without its row

subtest 'a row that cannot be written' => sub {
    $api->ok('acme', POST => "$own/logout");
    $api->ok('acme', POST => "$own/connect");
    is($waha->reaches('tenant-acme', 'SCAN_QR_CODE'), 1,
       'the session waits for a scan');

    $pg->psql("create function public.no_room() returns trigger
               language plpgsql as \$\$ begin
                   raise 'disk full' using errcode = 'disk_full';
               end \$\$;
               create trigger no_room before insert on waha.audit
                   for each row execute function public.no_room();
               delete from waha.audit");

    for (qw(qr qr?format=raw)) {
        my $r = $api->get('acme', "$own/$_");
        is($r->{status}, 503, "$_ is refused");
        unlike($r->{body}, qr/data:image|value/, 'no code is shown');
    }
};

$t->done;
