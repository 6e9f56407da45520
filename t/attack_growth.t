# What one person, or all people of a group, can make grow has a bound, and the
# 1,000th event costs what the 10th did: as many blocks are looked at, and as
# many bytes are written.  Meanwhile another tenant's messages are stored.

use Waha::Test;
use Waha::Ingest;
use Waha::Load;

my $t = Waha::Test->new;

# so that the bytes of WAL are those of the events

my $pg = $t->postgres(conf => "full_page_writes = off\nautovacuum = off\n"
                              . 'max_wal_size = 4GB');

$pg->organization('acme', session => 't1');
$pg->organization('other', session => 't2');
$t->nginx(workers => 2, vars => { DATABASE => 'timeout=20s' })->start;

outcomes($pg, batch =>
    message(message_id => 'M1', phone => '79220000001', body => 'first'),
    message(message_id => 'M3', phone => '79220000001', body => 'third'),
    message(message_id => 'M2', phone => '79220000001', chat => 'group',
            chat_id => '1203@g.us'));

# texts that do not compress

$pg->psql(<<'EOF_SQL');
create table base as
select string_agg(md5(k::text), '') as text from generate_series(1, 2100) k;

create function text(n int, size int) returns text language sql as
$$ select left(n || substr(text, n % 100 + 1), size) from base $$;
EOF_SQL

my $load = Waha::Load->new(port => $t->port, dir => $t->dir, senders => 1,
    connections => 2, timeout => 25, pause => 0.1,
    organizations => [ [ 'other', 't2' ] ])->start;


# --- what people can send ----------------------------------------------------

# the n-th event: arguments of waha.ingest as SQL; most: stored bytes that the
# events may leave (1,000 of them would take ten times as much)

my @author = (phone => "'79220000001'");
my @group = (chat => "'group'", chat_id => "'1203\@g.us'");
my @member = (@group, lid => '(700000 + n)::text');

growth('edits of a message', 200_000,
       kind => "'edit'", @author, target_id => "'M1'",
       message_id => "'E' || n", body => 'text(n, 65536)');
growth('edits that cannot be read', 1000,
       kind => "'edit'", @author, target_id => "'M3'",
       message_id => "'U' || n");
growth('reactions of many people', 5000,
       kind => "'reaction'", @member, target_id => "'M2'",
       message_id => "'R' || n", body => 'text(n, 40)');
growth('reactions of one person', 1000,
       kind => "'reaction'", @author, target_id => "'M3'",
       message_id => "'RO' || n", body => 'text(n, 40)');
growth('votes of many people', 6000,
       kind => "'vote'", @member, target_id => "'M2'",
       message_id => "'V' || n", metadata => options());
growth('votes of one person', 3000,
       kind => "'vote'", @author, target_id => "'M3'",
       message_id => "'VO' || n", metadata => options());
growth('reactions of many people to a message that is not there', 20_000,
       kind => "'reaction'", @member, target_id => "'NG'",
       message_id => "'RN' || n", body => "'x'");
growth('edits of messages that are not there', 30_000,
       kind => "'edit'", phone => "'79220000002'", target_id => "'N' || n",
       message_id => "'EN' || n", body => "'x'");
growth('long edits of messages that are not there', 600_000,
       kind => "'edit'", phone => "'79220000003'", target_id => "'L' || n",
       message_id => "'EL' || n", body => 'text(n, 6000)');
growth('edits of a message that is not there', 300_000,
       kind => "'edit'", phone => "'79220000004'", target_id => "'NE'",
       message_id => "'EE' || n", body => 'text(n, 3000)');
growth("edits of another person's message", 20_000,
       kind => "'edit'", phone => "'79220000005'", target_id => "'M3'",
       message_id => "'EA' || n", body => "'x'");
growth("edits of one person's message by many people", 20_000,
       kind => "'edit'", phone => '(79230000000 + n)::text',
       target_id => "'M3'", message_id => "'EM' || n", body => "'x'");
growth('statuses of messages that are not there', 30_000,
       kind => "'status'", phone => "'79220000006'", target_id => "'S' || n",
       status => "'read'");
growth('statuses of nobody', 30_000,
       kind => "'status'", target_id => "'NP' || n", status => "'read'");
growth('names of a contact', undef,
       kind => "'message'", @author, message_id => "'NM' || n",
       name => "'Name ' || n", body => "'x'");
growth('numbers of a hidden id', undef,
       kind => "'message'", lid => "'880000'", message_id => "'PL' || n",
       phone => '(79240000000 + n)::text', body => "'x'");
growth('statuses of a session', 2000,
       kind => "'session'", phone => "'79111111111'", name => "'Name ' || n",
       status => "case n % 2 when 0 then 'WORKING' else 'STARTING' end");
growth('statuses of a call', undef,
       kind => "'call'", @author, message_id => "'CALL'",
       status => "case n % 2 when 0 then 'received' else 'rejected' end");

is($pg->psql("select phone, count(*) <= 100, sum(size) <= 262144
                from waha.waiting_changes where lid = ''
                 and phone not like '7923%' group by 1 order by 1"),
   join("\n", map { "$_|t|t" } '', map { "7922000000$_" } 2 .. 6),
   'what waits has a bound for each person');


# --- through nginx -----------------------------------------------------------

for my $round (1 .. 5) {
    my @http = map { $t->send_webhook(edit(8 * $round + $_)) } 1 .. 8;
    my @refused = grep { $_ != 200 } map { $_->answer->{status} } @http;

    is("@refused", '', "eight long edits at once are taken: round $round");
}

is($pg->value("select left(message_content, 8) from contact_activities
                where message_id = 'M1'"), 'edit 48 ',
   'the newest one is shown');

ok($load->progress(20, 120), 'messages of another tenant are stored meanwhile');
ok($load->stop, 'the senders end');

my ($messages, $tally) = $load->outcome;
is($tally->{fail} // 0, 0, 'none of them is refused');
is($pg->value("select count(distinct message_id) from contact_activities
                where organization_slug = 'other'"),
   scalar(grep { $_->{class} ne 'fail' } values %$messages),
   'all of them are there');

$t->done;


# sends 1,000 events and compares the 10th to the 19th with the last ten

sub growth {
    my ($what, $most, %event) = @_;

    my $before = bytes();

    # one connection, whose plans are made by the first events

    my $out = $pg->psql(join ";\n",
        "\\o /dev/null\n" . many(\%event, 1, 9),
        "\\o\n" . each_one(\%event, 10, 19),
        "\\o /dev/null\n" . many(\%event, 20, 990),
        "\\o\n" . each_one(\%event, 991, 1000));

    my @plans = map { $_->[0]{Plan} }
                    JSON::PP->new->incr_parse($out);
    my @early = cost(@plans[0 .. 9]);
    my @late = cost(@plans[10 .. 19]);

    cmp_ok($late[0], '<=', 2 * $early[0], "$what: blocks that are looked at");
    cmp_ok($late[1], '<=', 2 * $early[1], "$what: bytes that are written");
    cmp_ok(bytes() - $before, '<=', $most, "$what: bytes that are stored")
        if defined $most;

    note("$what: @early early, @late late, ", bytes() - $before, ' stored');
}


# blocks and bytes of WAL of ten events

sub cost {
    my (@plans) = @_;

    my @cost;

    for my $plan (@plans) {
        $cost[0] += $plan->{'Shared Hit Blocks'}
                    + $plan->{'Shared Read Blocks'};
        $cost[1] += $plan->{'WAL Bytes'};
    }

    return @cost;
}


# SQL that sends events one by one and shows what they cost

sub each_one {
    my ($event, $first, $last) = @_;

    return join ";\n", map { 'explain (analyze, buffers, wal, timing off, '
                             . 'format json) ' . batch_sql($event, $_, $_) }
                           $first .. $last;
}


# SQL that sends events twenty at a time, as the module does when they are many

sub many {
    my ($event, $first, $last) = @_;

    return join ";\n", map { batch_sql($event, $_,
                                       $_ + 19 < $last ? $_ + 19 : $last) }
                           grep { ($_ - $first) % 20 == 0 } $first .. $last;
}


sub batch_sql {
    my ($event, $first, $last) = @_;

    my %record = (provider => "'waha'", session => "'t1'", chat => "'person'",
                  direction => "'inbound'", type => "'text'",
                  sent_at => '1795226560000 + n * 1000', metadata => "'{}'",
                  %$event);
    my @named = grep { $record{$_} } @arguments;

    return 'select b.action from (select '
           . join(', ', map { "array_agg(($record{$_})::"
                              . ($_ eq 'sent_at' ? 'bigint' : 'text')
                              . " order by n) as $_" } @named)
           . ", array_agg(null::text) as none"
           . " from generate_series($first, $last) n) e cross join lateral "
           . 'waha.ingest_batch('
           . join(', ', map { my $name = $_;
                              "$name => e."
                              . ($record{$name} ? $name : 'none') }
                        @arguments) . ') b';
}


# what is stored about messages and their changes, and about the session

sub bytes {
    return $pg->value(<<'EOF_SQL');
select (select coalesce(sum(pg_column_size(s.*)), 0)
          from waha.message_states s)
       + (select coalesce(sum(pg_column_size(w.*)), 0)
            from waha.waiting_changes w)
       + (select coalesce(sum(pg_column_size(a.*)), 0)
            from contact_activities a
           where organization_slug = 'acme')
       + (select sum(pg_column_size(s.*)) from waha.sessions s)
EOF_SQL
}


sub options {
    return "jsonb_build_object('options', array[text(n, 200), "
           . "text(n + 1, 200)])";
}


sub edit {
    my ($n) = @_;

    return $t->event('message.edited', 't1', {
        id => "false_79220000001\@c.us_EW$n", from => '79220000001@c.us',
        fromMe => JSON::PP::false(), body => "edit $n " . 'x' x 65000,
        editedMessageId => 'M1', timestamp => 1795229560 + $n,
        hasMedia => JSON::PP::false(),
        _data => { key => { remoteJid => '79220000001@s.whatsapp.net',
                            fromMe => JSON::PP::false(), id => "EW$n" } } });
}
