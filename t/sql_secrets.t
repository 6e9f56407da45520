# Sealed secrets in the database: what a rotation finds, in pages, what it may
# replace, and numbers that are imported with a sealed token.

use Waha::Test;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme');
$pg->organization('bolt');
$pg->psql('create role operator login in role waha_admin');


sub list { return reply($pg, list_secrets => @_) }


# the places of a page, and what is sealed there

sub places {
    my ($r) = @_;

    my $text = join ' ', map { "$_->{organization}/$_->{row}/$_->{column}="
                               . $_->{sealed} } @{ $r->{data}{secrets} };
    utf8::encode($text);

    return $text;
}


subtest 'what a rotation finds' => sub {
    is_deeply(list('k', undef, undef)->{data},
              { secrets => [], next => undef }, 'there are none');

    $pg->psql(q{insert into waha.connections (id, organization_slug,
                    phone_number_id, access_token, app_secret,
                    previous_app_secret) values
        ('c1', 'acme', '1', 'waha1.old.a', 'waha1.k.b', null),
        ('c2', 'bolt', '2', 'waha1.k.c', null, 'waha1.k2.d'),
        ('B', 'bolt', '3', 'plain', '', 'waha1.k'),
        ('c4', 'acme', '4', null, null, null),
        ('ü', 'acme', '5', 'waha1.K.e', null, null)});

    my $r = list('k', undef, undef);
    is(places($r), 'bolt/B/access_token=plain bolt/B/app_secret= '
       . 'bolt/B/previous_app_secret=waha1.k acme/c1/access_token=waha1.old.a '
       . 'bolt/c2/previous_app_secret=waha1.k2.d '
       . 'acme/ü/access_token=waha1.K.e',
       'all that the key has not sealed, by row and column');
    is($r->{data}{secrets}[0]{table}, 'connections', 'each has its table');
    is($r->{data}{next}, undef, 'nothing follows');

    is(places(list('old', undef, undef)) =~ tr/=//, 7, 'another key, others');
};


subtest 'pages' => sub {
    my $whole = places(list('k', undef, undef));

    for my $size (1, 2, 3, 5, 6, 200) {
        my ($after, @pages);

        for (1 .. 10) {
            my $r = list('k', $after, $size);
            cmp_ok(scalar @{ $r->{data}{secrets} }, '<=', $size,
                   "a page of at most $size");
            push @pages, places($r);
            $after = $r->{data}{next} // last;
        }

        is(join(' ', grep { length } @pages), $whole,
           "pages of $size hold all, each once");
    }

    for my $bad ([ 'k', 'x', 1 ], [ 'k', '', 1 ], [ 'k', 'YQ', 1 ],
                 [ 'k', undef, 0 ], [ 'k', undef, 201 ], [ '', undef, 1 ],
                 [ 'a.b', undef, 1 ], [ '%', undef, 1 ], [ undef, undef, 1 ],
                 [ 'k' x 33, undef, 1 ])
    {
        is(list(@$bad)->{code}, 'invalid_argument',
           'refused: ' . join ' ', map { $_ // 'null' } @$bad);
    }

    # of other lists, or of a table that there is not

    is_deeply(list('k', cursor('zzz x y'), 10)->{data},
              { secrets => [], next => undef }, 'behind the last table');
    is(places(list('k', cursor('aaa x y'), 10)), $whole,
       'before the first table');
};


subtest 'rows that need nothing' => sub {
    # a page looks at 10000 rows

    $pg->psql(q{insert into waha.connections (id, organization_slug,
                    phone_number_id, access_token)
                select 'd' || n, 'acme', 'd' || n, 'waha1.k.x'
                  from generate_series(10001, 20100) n;
                analyze waha.connections});

    my $r = list('k', undef, 200);
    is(places($r) =~ tr/=//, 5, 'the first page ends before the last secret');
    ok(defined $r->{data}{next}, 'it has a next one');
    $r = list('k', $r->{data}{next}, 200);
    is(places($r), 'acme/ü/access_token=waha1.K.e', 'that has the rest');
    is($r->{data}{next}, undef, 'and is the last');

    $pg->psql("delete from waha.connections where id like 'd_%'");
};


subtest 'what is replaced' => sub {
    my $place = { table => 'connections', row => 'c1',
                  column => 'access_token' };

    is(replace('bolt', $place, 'waha1.old.a', 'waha1.k.n'), 'no',
       'not that of another organization');
    is(replace('acme', $place, 'waha1.old.b', 'waha1.k.n'), 'no',
       'not one that was changed meanwhile');
    is(replace('acme', { %$place, row => 'c9' }, 'waha1.old.a', 'waha1.k.n'),
       'no', 'not that of a row that is gone');
    is($pg->value("select count(*) from waha.audit
                    where operation = 'secret.rotate'"), 0,
       'what is not done leaves no row in waha.audit');
    is(replace('acme', $place, 'waha1.old.a', 'waha1.k.n'), 'yes',
       'the same text');
    is(replace('acme', $place, 'waha1.old.a', 'waha1.k.m'), 'no', 'once');
    is($pg->value("select access_token from waha.connections
                    where id = 'c1'"), 'waha1.k.n', 'the new text is there');
    is($pg->value("select count(*) from waha.audit
                    where operation = 'secret.rotate'"), 1,
       'waha.audit has one row');

    for my $bad ({ %$place, table => 'sessions' }, { %$place, table => 'x' },
                 { %$place, column => 'verify_token_hash' },
                 { %$place, column => 'access_token = null, app_secret' },
                 { %$place, table => 'connections"' }, {},
                 { row => 'c1' }, { %$place, table => undef })
    {
        is(replace('acme', $bad, 'waha1.k.n', 'waha1.k.o'),
           'invalid_argument', 'no such place');
    }

    is(replace('acme', $place, 'waha1.k.n', $_), 'invalid_argument',
       'a text that is not sealed') for 'plain', '', undef;

    is(replace('acme', { %$place, row => 'ü' }, 'waha1.K.e', 'waha1.k.e'),
       'yes', 'a row with any name');
};


subtest 'numbers of another CRM' => sub {
    my @args = ('acme', '15551', 'c' x 32,
                { account => '77', access_token => 'waha1.k.t',
                  verify_token_hash => 'f' x 64 });

    is(import_number(@args), 'imported', 'a number is imported');
    is_deeply($pg->rows("select organization_slug, waba_id, access_token
                           from waha.connections
                          where phone_number_id = '15551'"),
              [ [ 'acme', '77', 'waha1.k.t' ] ], 'it has its token');
    is($pg->value("select provider from waha.sessions
                    where name = '15551'"), 'meta', 'it is a session of Meta');

    is(import_number(@args), 'it was there before', 'once only');
    is(import_number('bolt', '15551', 'd' x 32, $args[3]),
       'the number is that of another organization', 'not for another one');
    is(import_number('nobody', '15552', 'd' x 32, $args[3]),
       'there is no such organization', 'not for nobody');
    is(import_number('acme', 'x', 'd' x 32, $args[3]),
       'the id of a number has up to 32 digits', 'not without a number');
    is(import_number('acme', '15553', 'd' x 32, {}),
       'the id of an account has up to 32 digits', 'not without an account');

    $pg->psql("update organizations set whatsapp_enabled = false
                where slug = 'bolt'");
    is(import_number('bolt', '15554', 'd' x 32, $args[3]),
       'WhatsApp is not enabled for it', 'not for a disabled one');
};


$t->done;


sub cursor {
    return $pg->value("select waha.to_cursor('$_[0]')");
}


sub replace {
    my ($organization, $place, @texts) = @_;

    # the bytes of this file

    my $r = reply($pg, replace_secret => $organization,
                  JSON::PP->new->encode($place), @texts);

    return $r->{code} // ($r->{data}{replaced} ? 'yes' : 'no');
}


sub import_number {
    my ($organization, $number, $connection, $details) = @_;

    my $json = JSON::PP::encode_json($details);

    return $pg->value("select waha.import_number('$organization', '$number',
                                                 '$connection', '$json')",
                      user => 'operator');
}
