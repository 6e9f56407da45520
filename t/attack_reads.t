# One organization reads more than PostgreSQL gives: another one is served
# meanwhile, what waits too long a list gives 429, and reads of clients that
# have hung up end at once.  Searches that find nothing end at their bound.

use Waha::Test;
use Waha::Api;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('other', session => 't2');
$pg->psql("insert into contacts (organization_slug, first_name)
               values ('acme', 'Slow'), ('other', 'Quick')");

# to show the contact "Slow" takes a minute

$pg->psql(<<'EOF_SQL');
alter function waha.contact_object rename to contact_object_;
create function waha.contact_object(c waha.tenant_contacts) returns json
language plpgsql stable set search_path = waha, pg_temp as $$
begin
    if c.first_name = 'Slow' then
        perform pg_sleep(60);
    end if;

    return waha.contact_object_(c);
end
$$;
grant execute on function waha.contact_object to waha_api;
EOF_SQL

my $list = '/api/whatsapp/contacts';
my $sleeping = q{wait_event = 'PgSleep'};


for my $n (2, 3) {
    subtest "waha_api_connections $n" => sub {
        $t->nginx->stop if @{ $t->{nginx} };

        my $api = Waha::Api->new($t, http => "waha_api_connections $n;",
                                 timeout => '60s');
        $t->start;
        is($api->get('other', $list)->{status}, 200, 'other is served before');
        is($api->get('acme', '/api/whatsapp/conversations')->{status}, 200,
           'acme is served before');

        # as many as run, and as wait, and some more

        my @flood = map { $api->send($t->http, acme => GET => $list) }
                    1 .. $n - 1 + 16;
        ok(wait_for(sub { $pg->backends($sleeping) == $n - 1 }),
           'all connections but one read for acme');

        for (1 .. 3) {
            my $r = $api->get('acme', $list);
            refused($r, 429, 'too_many_requests', "one more, $_");
            ok($r->{headers}{'retry-after'}, 'the 429 has Retry-After');
        }

        is($api->get('other', $list)->{status}, 200, "other is served, $_")
            for 1 .. 10;
        is(scalar $pg->backends($sleeping), $n - 1,
           'all the while acme reads');

        # half of the waiting ones first, then all

        $_->close for splice @flood, $n, 8;
        $_->close for @flood;
        ok(wait_for(sub { !$pg->backends($sleeping) }),
           'the reads end when the clients hang up');
        is(scalar $pg->backends(q{state = 'active'}), 0,
           'those that waited do not begin');

        is($api->get('acme', '/api/whatsapp/conversations')->{status}, 200,
           'acme is served again');

        # clients that hang up at once

        for my $round (1 .. 5) {
            for (1 .. 12) {
                my $http = $api->send($t->http, acme => GET => $list);
                $http->close;
            }

            is($api->get('other', $list)->{status}, 200,
               "other is served while acme's clients hang up, $round");
        }

        ok(wait_for(sub { !$pg->backends($sleeping) }), 'no read is left');
        is($api->get('acme', '/api/whatsapp/conversations')->{status}, 200,
           'acme is served afterwards');
        is($api->get('other', $list)->{status}, 200, "other too, $_")
            for 1 .. 10;

        unlike($t->error_log, qr/57014/, 'what was ended is not logged');
    };
}

subtest 'searches among many contacts' => sub {
    $t->nginx->stop;
    $pg->psql("delete from contacts where first_name = 'Slow';
               delete from waha.api_keys;
               insert into contacts (organization_slug, first_name)
                   select 'acme', 'Person ' || k
                     from generate_series(1, 30000) k");

    my $api = Waha::Api->new($t, timeout => '60s');
    $t->start;
    is($api->get('other', $list)->{status}, 200, 'other is served before');

    my $search = "$list?search=nobody";
    my ($cut, $refused, @odd) = (0, 0);

    for my $round (1 .. 10) {
        my @flood = map { $api->send($t->http, acme => GET => $search) }
                    1 .. 24;

        is($api->get('other', $list)->{status}, 200,
           "other is served while acme searches, $round");

        for (@flood) {
            my $r = $_->answer;

            if ($r->{status} == 429) {
                $refused++;

            } elsif ($r->{status} == 200 && $r->{json}{data}{cut}) {
                $cut++;

            } else {
                push @odd, $r->{status};
            }

            $_->close;
        }
    }

    is("@odd", '', 'each search is cut or refused with 429');
    cmp_ok($cut, '>', 0, 'some were made');
    cmp_ok($refused, '>', 0, 'some were refused');

    # page by page, the whole organization is searched

    my @pages = $api->pages('acme', "$list?search=son%2030000", size => 50);
    is(scalar(map { @{ $_->{contacts} } } @pages), 1, 'the newest is found');
    is(scalar(grep { $_->{cut} } @pages), 3,
       'a page is cut every 10,000 contacts');
    @pages = $api->pages('acme', "$list?search=son%201", size => 200);
    is($pages[-1]{contacts}[-1]{first_name}, 'Person 1', 'so is the oldest');
};

$t->done;
