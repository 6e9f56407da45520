# What operators do over the API: organizations, their keys, export and
# erasure.

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
    is($o->{created}, JSON::PP::true, 'PUT makes an organization');
    is($o->{enabled}, JSON::PP::true, 'a new organization takes webhooks');

    $o = done(PUT => "$base/acme", { enabled => JSON::PP::false });
    is($o->{created}, JSON::PP::false,
       'a second PUT changes the organization');
    is($o->{enabled}, JSON::PP::false, 'enabled=false switches WhatsApp off');

    $o = done(GET => "$base/acme");
    is($o->{name}, 'Acme & Söhne', 'a PUT without a name keeps the name');
    is($o->{country_code}, '49', 'a PUT without a country code keeps it');

    $o = done(PUT => "$base/acme", { enabled => 'true',
                                     country_code => '' });
    is($o->{country_code}, undef, 'an empty country code is removed');
    is($o->{enabled}, JSON::PP::true, 'enabled=true switches WhatsApp on');

    done(PUT => "$base/acme");
    done(PUT => "$base/bolt", {});

    is(join(' ', map { $_->{organization} }
                 @{ done(GET => $base)->{organizations} }),
       'acme bolt old', 'the list has all organizations');

    my $page = done(GET => "$base?size=2");
    is(join(' ', map { $_->{organization} } @{ $page->{organizations} }),
       'acme bolt', 'a page has as many organizations as asked for');
    $page = done(GET => "$base?size=2&after=$page->{next}");
    is(join(' ', map { $_->{organization} } @{ $page->{organizations} }),
       'old', 'the second page has the rest');
    is($page->{next}, undef, 'the last page has no "next"');

    is(code(GET => "$base/nobody"), 'unknown_organization',
       'an organization that does not exist');
    is(code(PUT => "$base/acme", { enabled => 'maybe' }),
       'invalid_argument enabled', 'enabled=maybe');
    is(code(PUT => "$base/acme", { name => [ 'x' ] }),
       'invalid_argument name', 'a name that is a list');
    is(code(PUT => "$base/acme", { name => 'x' x 256 }),
       'invalid_argument name', 'a name of 256 characters');
    is(code(PUT => "$base/acme", { name => "a\nb" }),
       'invalid_argument name', 'a name of two lines');
    is(code(PUT => "$base/acme", { country_code => 'DE' }),
       'invalid_argument country_code',
       'a country code that is no number');
    is(code(PUT => "$base/acme", { slug => 'acme' }),
       'invalid_argument slug',
       'a slug in the body besides the one in the path');
    is(code(PUT => "$base/a%20b"), 'invalid_argument slug',
       'a slug with a space');
    is(code(PUT => "$base/%ff"), 'invalid_argument slug',
       'a slug that is no UTF-8');
};


# companies of other services have numbers for names

subtest 'an organization whose slug is a number' => sub {
    my $acme = done(GET => "$base/acme")->{id};
    my $r = $api->request('operator', PUT => "$base/$acme");

    refused($r, 400, 'invalid_argument', 'the id of another organization');
    is_deeply($r->{json}{data}, { argument => 'slug',
        reason => 'another organization has this id' },
        'the answer names the argument and the reason');

    is(done(PUT => "$base/962302")->{organization}, '962302',
       'a number that is the id of no organization');
    is(done(PUT => "$base/962302", { name => 'Salon' })->{name}, 'Salon',
       'that organization is changed by its slug');

    # the ids that would come next

    my $top = $pg->value('select max(id) from organizations');
    done(PUT => "$base/" . ($top + $_)) for 10 .. 12;
    my %slug = map { $top + $_ => 1 } 10 .. 12;

    for my $name (map { "more-$_" } 1 .. 9) {
        my $made = done(PUT => "$base/$name")->{id};
        ok(!$slug{$made}, "$name gets no id that is the slug of another");
    }

    is($pg->value('select count(*) from organizations a
                     join organizations b on a.id::text = b.slug
                      and a.id <> b.id'), 0,
       'no text is the slug of one and the id of another');

    done(DELETE => "$base/$_->{organization}")
        for grep { $_->{organization} =~ /^(\d+|more-\d)$/ }
                 @{ done(GET => $base)->{organizations} };
};


subtest 'API keys' => sub {
    my $keys = "$base/acme/api-keys";
    my $made = done(POST => $keys, { label => 'CRM', scopes => 'read',
                                     expires_in => 3600 });

    like($made->{key}, qr/^wak_/, 'POST makes a key');
    is($made->{label}, 'CRM', 'the new key has its label');
    is_deeply($made->{scopes}, [ 'read' ], 'the new key has its scopes');

    my $key = bearer($made->{key});
    my $http = $t->http;
    is($http->get('/api/whatsapp/contacts', $key)->{status}, 200,
       'the new key is accepted');
    is($http->get('/api/whatsapp/contacts?org=bolt', $key)->{status},
       403, 'the new key is refused for another organization');

    my $second = done(POST => $keys, { scopes => [ 'read', 'write' ] });
    is_deeply($second->{scopes}, [ 'read', 'write' ], 'scopes may be a list');
    is(code(POST => $keys), 'too_many_keys', 'a third key is refused');

    my $list = done(GET => $keys)->{keys};
    is_deeply([ sort map { $_->{id} } @$list ],
              [ sort $made->{id}, $second->{id} ], 'the list has both keys');
    ok(!grep({ exists $_->{key} } @$list), 'the list has no secret');

    is(code(DELETE => "$base/bolt/api-keys/$made->{id}"), 'unknown_key',
       "a key cannot be deleted through another organization");
    done(DELETE => "$keys/$made->{id}");
    ok(wait_for(sub { $http->get('/api/whatsapp/contacts', $key)
                           ->{status} == 401 }, 60),
       'a deleted key is refused');
    is(code(DELETE => "$keys/$made->{id}"), 'unknown_key',
       'a deleted key cannot be deleted again');

    is(code(POST => $keys, { scopes => 'admin' }), 'invalid_argument scopes',
       'a scope that does not exist');
    is(code(POST => $keys, { scopes => [ 'read', 1 ] }),
       'invalid_argument scopes', 'a scope that is a number');
    is(code(POST => $keys, { scopes => [ 'read,write' ] }),
       'invalid_argument scopes', 'two scopes in one text');
    is(code(POST => $keys, { expires_in => $_ }),
       'invalid_argument expires_in', "expires_in=$_")
        for 0, -1, 1.5, 'x', 1e20;
    is(code(POST => "$base/nobody/api-keys"), 'unknown_organization',
       'a key for an organization that does not exist');
    is(code(GET => "$base/nobody/api-keys"), 'unknown_organization',
       'the keys of an organization that does not exist');

    unlike($api->log . $t->error_log, qr/\Q$made->{key}\E/,
           'no key stands in a log');
};


subtest 'export and erasure of a contact' => sub {
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
              [ map { "t$_" } 1 .. 7 ],
              'the export has every message of the contact');
    is(code(GET => "$path/export"), 'invalid_argument organization',
       'an export by an operator has to name the organization');
    is(code(GET => "$path/export?org=acme"), 'unknown_contact',
       'a contact is not exported through another organization');

    is(code(DELETE => "$path?org=acme"), 'unknown_contact',
       'a contact is not erased through another organization');
    my $r = done(DELETE => "$path?organizationSlug=old");
    is($r->{erased}, JSON::PP::true, 'the contact is erased');
    is($r->{activities}, 7, 'the answer counts the messages that were erased');
    is(code(DELETE => "$path?org=old"), 'unknown_contact',
       'an erased contact cannot be erased again');
    is($pg->value("select count(*) from contact_activities
                   where message_content like 't_'"), 0,
       'no message of the contact is left');
    is(done(GET => "/api/whatsapp/contacts/$bob?org=old")->{id}, $bob,
       'the other contact is still there');
};


subtest 'export and erasure of an organization' => sub {
    my $path = "$base/old";

    ok(scalar(grep { ($_->{activity}{text} // '') eq 'bob' }
              exported("$path/export")),
       'the export of an organization has its messages');
    is(code(GET => "$base/nobody/export"), 'unknown_organization',
       'the export of an organization that does not exist');

    is(code(DELETE => $path), 'sessions_exist',
       'an organization with sessions cannot be erased');
    $pg->psql("update waha.sessions set deleted_at = now()
               where organization_slug = 'old'");

    my $rounds = 0;
    my $done;
    $done = done(DELETE => $path)->{complete}
        while !$done && $rounds++ < 20;

    ok($done, 'the organization is erased');
    is($pg->value("select count(*) from contacts
                   where organization_slug = 'old'"), 0,
       'no contact of the organization is left');
    is(code(GET => $path), 'unknown_organization',
       'the erased organization is unknown');
    is(code(DELETE => $path), 'unknown_organization',
       'an erased organization cannot be erased again');
};


# all rows of an export, page by page

sub exported {
    my ($path) = @_;

    my @pages = $api->pages('operator', $path, size => 3);
    my ($name) = grep { ref $pages[0]{$_} eq 'ARRAY' } sort keys %{ $pages[0] };

    return map { @{ $_->{$name} } } @pages;
}

$t->done;
