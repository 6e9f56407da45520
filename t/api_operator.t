# What operators do: organizations, their keys, erasure and export.

use Waha::Test;
use Waha::Api;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $api = Waha::Api->new($t);

$pg->organization('old', session => 'o1');
$t->start;

my $base = '/api/whatsapp/organizations';


# the data of an answer to the operator, which has to be 200

sub done { return $api->ok('operator', @_)->{data} }


sub code {
    my ($method, $path, $body) = @_;

    my $r = $api->request('operator', $method, $path, $body);
    return $r->{json}{code} . (exists $r->{json}{data}{argument}
                               ? " $r->{json}{data}{argument}" : '');
}


subtest 'organizations' => sub {
    my $o = done(PUT => "$base/acme", { name => 'Acme & Söhne',
                                        country_code => '49' });
    is($o->{created}, JSON::PP::true, 'one is made');
    is($o->{enabled}, JSON::PP::true, 'and takes webhooks');

    $o = done(PUT => "$base/acme", { enabled => JSON::PP::false });
    is($o->{created}, JSON::PP::false, 'once');
    is($o->{enabled}, JSON::PP::false, 'it is switched off');

    $o = done(GET => "$base/acme");
    is($o->{name}, 'Acme & Söhne', 'what was not said stays');
    is($o->{country_code}, '49', 'all of it');

    $o = done(PUT => "$base/acme", { enabled => 'true',
                                     country_code => '' });
    is($o->{country_code}, undef, 'what is empty goes');
    is($o->{enabled}, JSON::PP::true, 'it is switched on');

    done(PUT => "$base/acme");
    done(PUT => "$base/bolt", {});

    is(join(' ', map { $_->{organization} }
                 @{ done(GET => $base)->{organizations} }),
       'acme bolt old', 'all are listed');

    my $page = done(GET => "$base?size=2");
    is(join(' ', map { $_->{organization} } @{ $page->{organizations} }),
       'acme bolt', 'page by page');
    $page = done(GET => "$base?size=2&after=$page->{next}");
    is(join(' ', map { $_->{organization} } @{ $page->{organizations} }),
       'old', 'to the end');
    is($page->{next}, undef, 'which is told');

    is(code(GET => "$base/nobody"), 'unknown_organization', 'none');
    is(code(PUT => "$base/acme", { enabled => 'maybe' }),
       'invalid_argument enabled', 'neither true nor false');
    is(code(PUT => "$base/acme", { name => [ 'x' ] }),
       'invalid_argument name', 'a list');
    is(code(PUT => "$base/acme", { name => 'x' x 256 }),
       'invalid_argument name', 'too long');
    is(code(PUT => "$base/acme", { name => "a\nb" }),
       'invalid_argument name', 'two lines');
    is(code(PUT => "$base/acme", { country_code => 'DE' }),
       'invalid_argument', 'no country code');
    is(code(PUT => "$base/acme", { slug => 'acme' }),
       'invalid_argument slug', 'what the path says already');
    is(code(PUT => "$base/12"), 'invalid_argument', 'a number is no slug');
    is(code(PUT => "$base/a%20b"), 'invalid_argument', 'nor are two words');
    is(code(PUT => "$base/%ff"), 'invalid_argument slug', 'nor other bytes');
};


subtest 'keys' => sub {
    my $keys = "$base/acme/api-keys";
    my $made = done(POST => $keys, { label => 'CRM', scopes => 'read',
                                     expires_in => 3600 });

    like($made->{key}, qr/^wak_/, 'one is made');
    is($made->{label}, 'CRM', 'with its label');
    is_deeply($made->{scopes}, [ 'read' ], 'and scopes');

    my $key = bearer($made->{key});
    my $http = $t->http;
    is($http->get('/api/whatsapp/contacts', $key)->{status}, 200,
       'it opens');
    is($http->get('/api/whatsapp/contacts?org=bolt', $key)->{status},
       403, 'its own organization only');

    my $second = done(POST => $keys, { scopes => [ 'read', 'write' ] });
    is_deeply($second->{scopes}, [ 'read', 'write' ], 'scopes as a list');
    is(code(POST => $keys), 'too_many_keys', 'there may be two');

    my $list = done(GET => $keys)->{keys};
    is_deeply([ sort map { $_->{id} } @$list ],
              [ sort $made->{id}, $second->{id} ], 'they are listed');
    ok(!grep({ exists $_->{key} } @$list), 'without what opens');

    is(code(DELETE => "$base/bolt/api-keys/$made->{id}"), 'unknown_key',
       "another organization's is none");
    done(DELETE => "$keys/$made->{id}");
    ok(wait_for(sub { $http->get('/api/whatsapp/contacts', $key)
                           ->{status} == 401 }, 5), 'deleted, it is shut');
    is(code(DELETE => "$keys/$made->{id}"), 'unknown_key', 'and unknown');

    is(code(POST => $keys, { scopes => 'admin' }), 'invalid_argument',
       'other scopes are none');
    is(code(POST => $keys, { scopes => [ 'read', 1 ] }),
       'invalid_argument scopes', 'nor numbers');
    is(code(POST => $keys, { scopes => [ 'read,write' ] }),
       'invalid_argument scopes', 'nor two in one');
    is(code(POST => $keys, { expires_in => $_ }),
       'invalid_argument' . ($_ ? ' expires_in' : ''), "expires in $_")
        for 0, -1, 1.5, 'x', 1e20;
    is(code(POST => "$base/nobody/api-keys"), 'unknown_organization',
       'of nobody');
    is(code(GET => "$base/nobody/api-keys"), 'unknown_organization', 'too');

    unlike($api->log . $t->error_log, qr/\Q$made->{key}\E/,
           'none is logged');
};


subtest 'export and erasure of a person' => sub {
    $t->webhook($t->message(session => 'o1', from => '4915112345678',
                            name => 'Anna', text => "t$_", id => "M$_"))
        for 1 .. 7;
    $t->webhook($t->message(session => 'o1', from => '4915187654321',
                            name => 'Bob', text => 'bob', id => 'B1'));

    my ($anna, $bob) = map { $_->[0] } @{ $pg->rows("select id from contacts
        where organization_slug = 'old' order by id") };
    my $path = "/api/whatsapp/contacts/$anna";

    is_deeply([ sort grep { /^t\d$/ } map { $_->{activity}{text} // '' }
                exported("$path/export?org=old") ],
              [ map { "t$_" } 1 .. 7 ], 'all that was said');
    is(code(GET => "$path/export"), 'invalid_argument organization',
       'of whom has to be told');
    is(code(GET => "$path/export?org=acme"), 'unknown_contact',
       'of another organization');

    is(code(DELETE => "$path?org=acme"), 'unknown_contact',
       'nor is it erased there');
    my $r = done(DELETE => "$path?organizationSlug=old");
    is($r->{erased}, JSON::PP::true, 'it is erased');
    is($r->{activities}, 7, 'with all that was said');
    is(code(DELETE => "$path?org=old"), 'unknown_contact', 'once');
    is($pg->value("select count(*) from contact_activities
                   where message_content like 't_'"), 0, 'nothing is left');
    is(done(GET => "/api/whatsapp/contacts/$bob?org=old")->{id}, $bob,
       'but others are');
};


subtest 'export and erasure of an organization' => sub {
    my $path = "$base/old";

    ok(scalar(grep { ($_->{activity}{text} // '') eq 'bob' }
              exported("$path/export")), 'what was said is exported');
    is(code(GET => "$base/nobody/export"), 'unknown_organization', 'of none');

    is(code(DELETE => $path), 'sessions_exist', 'sessions hold it');
    $pg->psql("update waha.sessions set deleted_at = now()
               where organization_slug = 'old'");

    my $rounds = 0;
    my $done;
    $done = done(DELETE => $path)->{complete}
        while !$done && $rounds++ < 20;

    ok($done, 'it is erased');
    is($pg->value("select count(*) from contacts
                   where organization_slug = 'old'"), 0, 'with all');
    is(code(GET => $path), 'unknown_organization', 'and gone');
    is(code(DELETE => $path), 'unknown_organization', 'once');
};


# all items of an export, page by page

sub exported {
    my ($path) = @_;

    my @pages = $api->pages('operator', $path, size => 3);
    my ($name) = grep { ref $pages[0]{$_} eq 'ARRAY' } sort keys %{ $pages[0] };

    return map { @{ $_->{$name} } } @pages;
}

$t->done;
