# API keys: created once, stored as a hash, checked, deleted; organizations as
# operators see them.

use Waha::Test;
use Waha::Reply;

use Digest::SHA ();

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('other');
$pg->psql('create role operator login in role waha_admin');

my $acme = $pg->organization_id('acme');


subtest 'a key of an organization' => sub {
    my $r = reply($pg, create_api_key => 'acme', 'CRM', undef, 3600);
    is($r->{code}, undef, 'a key is created');

    my $key = $r->{data}{key};
    like($key, qr/^wak_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/, 'a key has its form');
    is($r->{data}{label}, 'CRM', 'a key has its label');
    is_deeply($r->{data}{scopes}, [ 'read', 'write' ], 'a key has its scopes');

    my $who = who($key);
    is($who->{code}, undef, 'a key is accepted');

    my $until = delete $who->{data}{expires_at};
    cmp_ok(abs($until - time - 3600), '<', 60, 'a key has its expiry');
    is_deeply($who->{data}, { organization => 'acme', id => $acme,
                              operator => JSON::PP::false,
                              scopes => [ 'read', 'write' ] },
              'a key has its organization');

    unlike($pg->psql('select k::text from waha.api_keys k'),
           qr/\Q${\ substr $key, 13, 20}\E/, 'the secret is not stored');
    unlike($pg->log, qr/\Q${\ substr $key, 13, 20}\E/,
           'the secret is not in the log of PostgreSQL');

    my ($list) = reply($pg, list_api_keys => 'acme')->{data}{keys};
    is($list->[0]{id}, substr($key, 4, 8), 'a key is listed');
    ok($list->[0]{last_used_at}, 'the list has the last use');
    ok(!exists $list->[0]{hash} && !exists $list->[0]{key},
       'the list has neither hash nor key');

    (my $wrong = $key) =~ s/(.)$/$1 eq 'A' ? 'E' : 'A'/e;
    is(who($wrong)->{code}, 'unknown_key', 'a wrong secret is refused');
    is(code($pg, authenticate => substr($key, 4, 8), ''), 'unknown_key',
       'an empty secret is refused');
    is(code($pg, authenticate => undef, undef), 'unknown_key',
       'a key that is null is refused');

    $pg->psql("update waha.api_keys set expires_at = now()");
    is(who($key)->{code}, 'unknown_key', 'an expired key is refused');
};


subtest 'scopes' => sub {
    my $r = reply($pg, create_api_key => 'acme', undef, 'read', undef);
    is_deeply(who($r->{data}{key})->{data}{scopes}, [ 'read' ],
              'a key that may only read');
    is(who($r->{data}{key})->{data}{expires_at}, undef,
       'a key without expiry');

    is(code($pg, create_api_key => 'acme', undef, $_, undef),
       'invalid_argument', "scope \"$_\" is refused")
        for 'write', 'admin', '';
    is(code($pg, create_api_key => 'acme', undef, undef, $_),
       'invalid_argument', "expires_in $_ is refused")
        for 0, -1;
    is(code($pg, create_api_key => 'none', undef, undef, undef),
       'unknown_organization', 'a key of an unknown organization is refused');
    is(code($pg, list_api_keys => 'none'), 'unknown_organization',
       'keys of an unknown organization are refused');
};


subtest 'two keys of an organization at a time' => sub {
    my $keys = reply($pg, list_api_keys => 'acme')->{data}{keys};
    is(scalar @$keys, 1, 'an expired key does not count');

    my @psql = map { $pg->session(user => 'waha_gateway') } 1 .. 8;
    $_->async(reply_sql(create_api_key => 'acme', undef, undef, undef))
        for @psql;
    my @made = grep { !/^too_many_keys\|$/ } map { $_->result } @psql;
    is(scalar @made, 1, 'of eight at the same time one more key is created');

    is(code($pg, delete_api_key => 'other', $keys->[0]{id}), 'unknown_key',
       'another organization cannot delete the key');
    is(code($pg, delete_api_key => 'acme', $keys->[0]{id}), '',
       'its organization can delete the key');
    is(code($pg, delete_api_key => 'acme', $keys->[0]{id}), 'unknown_key',
       'a deleted key cannot be deleted again');
    is(code($pg, create_api_key => 'acme', undef, undef, undef), '',
       'a deleted key makes room for another');
};


subtest 'a key that is used all the time' => sub {
    my $key = reply($pg, create_api_key => 'other', undef, undef, undef)
                  ->{data}{key};
    my $row = "select xmin from waha.key_uses
                where organization_slug = 'other'";

    who($key);
    my $xmin = $pg->value($row);
    who($key) for 1 .. 3;
    is($pg->value($row), $xmin, 'a use within the same minute is not written');

    $pg->psql("update waha.key_uses
                  set last_used_at = now() - interval '1 hour'");
    my $holder = $pg->session;

    for my $table ('waha.api_keys', 'waha.key_uses') {
        $holder->query("begin; select from $table for update");
        my $blocked = $pg->session(user => 'waha_gateway');
        $blocked->async(reply_sql(authenticate => substr($key, 4, 8),
                                  Digest::SHA::sha256_hex(substr $key, 13)));
        like($blocked->result // 'waits', qr/"organization"/,
             "a locked row of $table does not delay the use of its key");
        $holder->query('rollback');
    }

    $pg->psql("delete from waha.organizations where slug = 'other'");
    is(who($key)->{code}, 'unknown_key', 'a key goes with its organization');
};


subtest "a key of an operator" => sub {
    my $key = $pg->value("select waha.create_operator_key('root', '1 day')",
                         user => 'operator');

    is_deeply([ @{ who($key)->{data} }{qw(organization id operator)} ],
              [ undef, undef, JSON::PP::true ],
              "an operator's key has no organization");
    like($pg->error("select waha.create_operator_key('x')",
                    user => 'waha_gateway'),
         qr/permission denied/, "the gateway cannot create an operator's key");

    my $id = substr $key, 4, 8;
    is(code($pg, delete_api_key => 'acme', $id), 'unknown_key',
       "an organization cannot delete an operator's key");
    $pg->psql("select waha.delete_operator_key('$id')", user => 'operator');
    is(who($key)->{code}, 'unknown_key',
       "an operator can delete an operator's key");
};


subtest 'organizations' => sub {
    my $r = reply($pg, put_organization => 'new-one', 'New', '+49', undef);
    is("@{ $r->{data} }{qw(organization name country_code enabled created)}",
       'new-one New 49 1 1', 'an organization is created');

    $r = reply($pg, put_organization => 'new-one', undef, undef, 'false');
    is("@{ $r->{data} }{qw(organization name country_code enabled created)}",
       'new-one New 49 0 0', 'what is given is changed, the rest is kept');
    is(reply($pg, put_organization => 'new-one', undef, '', undef)
           ->{data}{country_code}, undef, 'an empty country code is removed');

    is(code($pg, put_organization => $_, undef, undef, undef),
       'invalid_argument', 'slug ' . ($_ // 'null'))
        for undef, '', '-a', "a b", "a/b", 'x' x 101;
    is(code($pg, put_organization => 'x', undef, $_, undef),
       'invalid_argument',
       "country code \"$_\" is refused")
        for '0', '49151', 'de';

    is(reply($pg, show_organization => 'acme')->{data}{sessions}, 1,
       'an organization shows how many sessions it has');
    is(code($pg, show_organization => 'none'), 'unknown_organization',
       'an unknown organization is refused');

    for my $as ('acme', $acme) {
        is_deeply(reply($pg, find_organization => $as)->{data},
                  { organization => 'acme', id => $acme,
                    enabled => JSON::PP::true },
                  "an organization is found by $as");
    }

    is(code($pg, find_organization => $_), 'unknown_organization',
       "\"$_\" finds no organization")
        for '', '0', '99999999999999999999', '-1', 'none';

    $pg->psql("insert into organizations (slug)
               select 'page-' || n from generate_series(1, 120) n");
    my @lists = map { $_->{organizations} }
                pages($pg, list_organizations => [], [ 50 ]);
    cmp_ok(scalar @$_, '<=', 50,
           'a page is no longer than asked for')
        for @lists;
    is(join(' ', map { $_->{organization} } map { @$_ } @lists),
       $pg->value("select string_agg(slug, ' ' order by slug)
                     from organizations"),
       'the pages have every organization once');
    is(code($pg, list_organizations => @$_), 'invalid_argument',
       'an invalid page is refused')
        for [ '!', 50 ], [ undef, 0 ], [ undef, 201 ];
};


$t->done;


sub who {
    my ($key) = @_;

    my ($id, $secret) = $key =~ /^wak_(.{8})_(.*)/;
    return reply($pg, authenticate => $id,
                 Digest::SHA::sha256_hex($secret));
}
