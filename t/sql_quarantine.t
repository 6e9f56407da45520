# The quarantine has bounds, for each session; whatever happens to its rows,
# their count is right.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $n = 0;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');
$pg->psql("select waha.add_session('bolt', 'b1', 'waha-2')");


subtest 'body or event' => sub {
    kept(event('t1'));
    is(row('raw is null, event is not null, instance is null'), 't|t|t',
       'an event that could be read is kept without its body');
    kept(event('t1'), reason => 'unreadable:payload.id');
    is(row("raw = 'raw $n', event is null, instance is null"), 't|t|t',
       'one that could not is kept as its body, for its session');
    kept({}, reason => 'too_complex');
    is(row("raw = 'raw $n', event is null, instance"), 't|t|',
       'so is one without a session, for nobody');
    like($pg->error('select waha.replay(max(id)) from waha.quarantine'),
         qr/could not be read/, 'it cannot be replayed');
    is(counted(), truth(), 'they are counted');

    my $size = $pg->value('select size from waha.quarantine order by id
                            limit 1');
    is(shown("session_name = 't1'"), '2', 'the administrator sees them');
    cmp_ok($size, '>', 300, 'with their bytes');
};


subtest 'the bound of events' => sub {
    limit(5, 1_000_000);
    my @first = map { event('t1') } 1 .. 5;
    kept_all(@first);
    is(full(event('t1')), 'the quarantine of session "t1" is full',
       'one more is refused');
    kept($first[2]);
    is(shown("session_name = 't1'"), 5, 'one that is kept comes again');
    kept_all(map { event('t2') } 1 .. 5);
    is(shown("session_name = 't2'"), 5, 'another session has its own');

    $pg->psql("update waha.quarantine set resolved_at = now()
                where event->>'message_id' in ('$first[3]{message_id}',
                                               '$first[1]{message_id}')");
    kept(event('t1'));
    is($pg->value("select count(*) from waha.quarantine
                    where session_name = 't1' and resolved_at is not null"),
       0, 'what was resolved makes room');
    kept(event('t1'));
    is(full(event('t1')), 'the quarantine of session "t1" is full',
       'when all of it is gone, the next is refused');
    is(counted(), truth(), 'the count is right');
};


subtest 'the bound of bytes' => sub {
    limit(1000, 100_000);
    kept_all(map { event('t1', body => 'x' x 30_000) } 1 .. 3);
    like(full(event('t1', body => 'x' x 30_000)), qr/is full/,
         'the fourth is too much');
    kept(event('t1'));
    is(shown("session_name = 't1'"), 4, 'a small one has room');
    like(full({}, 'too_complex', 'y' x 100_001),
         qr/^the quarantine of events without a session is full/,
         'so are bodies limited that name no session');
    is(counted(), truth(), 'the count is right');
};


subtest 'names that are made up' => sub {
    limit(3, 1_000_000);
    my @key = (instance => 'waha-1');
    kept_all((map { event("u$_", @key) } 1 .. 28),
             (map { event('b1', @key) } 1 .. 2));
    is(full(event('u99', @key)),
       'the quarantine of events of unknown sessions is full',
       'for all of them there is a bound');
    is(full(event('b1', @key)),
       'the quarantine of events of unknown sessions is full',
       'the key of another server reaches no further with a known name');

    kept_all((map { event('b1', instance => 'waha-2') } 1 .. 3),
             (map { event('t1', instance => 'waha-3') } 1 .. 2));
    is(shown("kind = 'session' and session_name = 'b1'"), 3,
       'the session itself has its bound');
    is(shown("kind = 'stranger' and instance = 'waha-3'"), 2,
       'so has another instance');

    $pg->psql("update waha.quarantine set resolved_at = now()
                where session_name = 'u7'");
    kept(event('u99', @key));
    is($pg->value("select count(*) from waha.quarantine
                    where session_name = 'u7'"), 0,
       'what was resolved of another one makes room');
    is(counted(), truth(), 'the count is right');
};


subtest 'two that count for the same' => sub {
    limit(3, 1_000_000);
    kept_all(map { event("u$_") } 1, 2);
    my ($one, $other) = map { $pg->session } 1, 2;
    $one->query("begin; delete from waha.quarantine
                         where session_name = 'u1'");
    $other->async(kept_sql(event('u2')));
    ok($other->wait_blocked, 'one waits for the other');
    $one->query("delete from waha.quarantine where session_name = 'u2';
                 commit");
    like($other->result, qr/^\d+$/, 'which does not wait for it');
    is(counted(), truth(), 'the count is right');
};


subtest 'settings' => sub {
    like($pg->error("select waha.limit_quarantine($_)"),
         qr/two numbers above zero/, "refused: $_")
        for '0, 1', '1, 0', 'null, 1', '1, null';
    is($pg->value('select column_default from information_schema.columns
                    where column_name = \'quarantine_events\''), 10000,
       'the default is documented');
    limit(2, 1_000_000);
    kept(event('b1', instance => 'waha-2'));
    is($pg->value("select string_agg(percent::text, ' ')
                     from waha.show_quarantine()
                    where session = 'b1' and kind = 'session'"), 50,
       'the administrator sees how full it is');
};


subtest 'all at the same time' => sub {
    limit(40, 30_000);
    my @psql = map { $pg->session } 1 .. 5;
    my $rounds = 15;
    my @people = map { $_->{contact_id} } outcomes($pg, batch => map {
        message(message_id => "P$_", phone => "49151$_") } 1 .. $rounds);

    for my $round (1 .. $rounds) {
        $psql[$_]->async(join '; ', map { kept_sql($_) } random(10))
            for 0, 1;
        $psql[2]->async('select waha.replay(id) from (
                             select id from waha.quarantine
                              where event is not null
                              order by random() limit 3) q');
        $psql[3]->async("update waha.quarantine
                            set resolved_at = now() - interval '40 days'
                          where id in (select id from waha.quarantine
                                        where id % 7 = $round % 7
                                          and resolved_at is null
                                        order by id for update);
                         select waha.maintain(3)");
        $psql[4]->async(reply_sql(erase_contact => 'acme',
                                  $people[$round - 1]));
        $_->result(60) for @psql;
    }

    is(counted(), truth(), 'the count is right');
    is($pg->value("select count(*) from waha.show_quarantine()
                    where percent > 100"), 0, 'no bound is exceeded');
    cmp_ok($pg->value('select count(*) from waha.quarantine'), '>', 0,
           'something is left');
    is($pg->deadlocks, 0, 'nobody waited for each other')
        or diag($pg->log =~ /(deadlock detected.*)/s);

    $pg->psql('delete from waha.quarantine');
    is(counted(), '', 'nothing is counted when it is empty');
    kept(event('t1'));
    $pg->psql('truncate waha.quarantine');
    is(counted(), '', 'nor after truncate');
};


subtest 'upgrade' => sub {
    limit(100, 1_000_000);

    # as earlier versions had it

    $pg->psql(q{
        drop trigger waha_count_insert on waha.quarantine;
        drop trigger waha_count_update on waha.quarantine;
        alter table waha.quarantine drop column session_name,
            drop column instance, drop column size;
        insert into waha.quarantine (hash, reason, raw, event)
            values ('a', 'x', 'raw', '{"session": "t1"}'),
                   ('b', 'x', 'raw', '{"session": "u1", "instance": "w1"}'),
                   ('c', 'x', 'raw', null);
        update waha.version set migration = 14;
    });
    $pg->install;
    is($pg->psql('select session_name, instance, raw is null
                    from waha.quarantine order by id'),
       "t1||t\nu1|w1|t\n||f", 'earlier rows are kept once');
    is(counted(), truth(), 'they are counted');
    is($pg->value('select count(*) from waha.quarantine_fill'), 5,
       'one by one and together');
};


subtest 'deletion of an organization' => sub {
    limit(100, 1_000_000);
    kept(event('t2'));
    kept(event('t2'), reason => 'unreadable:payload.id');
    kept(event('t1'), reason => 'unreadable:payload.id');
    $pg->psql("update waha.sessions set deleted_at = now()
                where organization_slug = 'bolt'");
    my $data;
    do {
        $data = reply($pg, delete_organization => 'bolt')->{data};
    } while (!$data->{complete});
    is($pg->psql('select session_name from waha.quarantine'), 't1',
       'its events are gone, also those that could not be read');
    is(counted(), truth(), 'the count is right');
};


$t->done;


sub event {
    my ($session, %event) = @_;

    return message(session => $session, message_id => 'Q' . ++$n,
                   phone => "49150$n", %event);
}


sub random {
    my ($count) = @_;

    return map { event((qw(t1 t1 t2 u1 u2))[rand 5],
                       phone => '49151' . (1 + int rand 15),
                       body => 'x' x rand 2000) } 1 .. $count;
}


sub kept_sql {
    my ($event, %other) = @_;

    my $raw = $other{raw} // 'raw ' . ($event->{message_id} // ++$n) =~ s/^Q//r;
    return "select waha.quarantine("
           . join(', ', map { quote($_) } $other{reason} // 'data_error',
                  undef, $raw, map { $event->{$_} } @arguments) . ')';
}


sub kept {
    my ($event, %other) = @_;

    return $pg->value(kept_sql($event, %other), user => 'waha_gateway');
}


sub kept_all {
    my (@events) = @_;

    return $pg->psql(join('; ', map { kept_sql($_) } @events),
                     user => 'waha_gateway');
}


# the message of the error

sub full {
    my ($event, $reason, $raw) = @_;

    my $error = $pg->error(kept_sql($event, reason => $reason, raw => $raw),
                           user => 'waha_gateway');
    return $error =~ /ERROR:\s+(?:53400: )?(.*)/ ? $1 : $error;
}


# sets the bounds and starts with an empty quarantine

sub limit {
    my ($events, $bytes) = @_;

    $pg->psql("delete from waha.quarantine;
               select waha.limit_quarantine($events, $bytes)");
}


sub row {
    return $pg->psql("select $_[0] from waha.quarantine
                       order by id desc limit 1");
}


sub shown {
    return $pg->value("select events from waha.quarantine_fill
                        where $_[0] order by 1 limit 1");
}


sub counted {
    return $pg->psql("select kind, instance, session_name, events, bytes
                        from waha.quarantine_fill order by 1, 2, 3");
}


sub truth {
    return $pg->psql("select case when instance is null then 'session'
                                  else 'stranger' end, coalesce(instance, ''),
                             session_name, count(*), sum(size)
                        from waha.quarantine group by 1, 2, 3
                      union all
                      select 'strangers', instance, '', count(*), sum(size)
                        from waha.quarantine where instance is not null
                       group by 1, 2, 3
                       order by 1, 2, 3");
}
