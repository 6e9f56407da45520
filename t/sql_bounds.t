# What a page of a list reads does not grow with what is stored: searches and
# filters that find nothing look at so many rows and no more, and the next page
# goes on behind them.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres(conf => 'autovacuum = off');

my %size = (small => 2000, big => 10_000);
my %long;       # a contact with a long history
my %merged;     # the last one, which was merged into the one before it

# a tenth of what it is, for the sake of the time that the test takes

$pg->psql('create or replace function waha.most_read() returns int
               language sql immutable as $$ select 1000 $$');

for (sort keys %size) {
    $pg->organization($_, session => "s_$_");

    my $digits = $_ eq 'big' ? 4910 : 4920;
    $pg->psql(<<"EOF_SQL");
update organizations set country_code = '49' where slug = '$_';
insert into contacts (organization_slug, first_name, last_name, phone_1)
    select '$_', 'Person', 'N' || k, '+' || $digits || 10000000 + k
      from generate_series(1, $size{$_}) k;
insert into waha.conversations (organization_slug, contact_id, session_name,
        last_message_id, last_message_at, last_direction, unread_count)
    select '$_', id, 's_$_', 'x', now() - id * interval '10 minutes',
           'inbound', (row_number() over (order by id) = 1)::int
      from contacts where organization_slug = '$_';
EOF_SQL

    $long{$_} = $pg->value("select min(id) from contacts
                             where organization_slug = '$_'");
    $pg->psql(<<"EOF_SQL");
insert into contact_activities (organization_slug, contact_id, session_name,
        message_id, direction, activity_type, chat, message_content,
        occurred_at)
    select '$_', $long{$_}, 's_$_', 'M' || k, 'inbound', 'whatsapp_message',
           'person', 'm' || k, now() - k * interval '1 minute'
      from generate_series(1, $size{$_}) k;
insert into contact_activities (organization_slug, contact_id, activity_type,
        message_content, occurred_at)
    values ('$_', $long{$_}, 'call', 'oldest', '2001-01-01');
EOF_SQL

    $merged{$_} = $pg->value("select max(id) from contacts
                               where organization_slug = '$_'");
    $pg->psql("update contacts set merged_into = id - 1
                where id = $merged{$_}");
}
$pg->psql('vacuum analyze');


# the rows of tables and the entries of indexes that a call reads, and the
# buffers that it touches

sub cost {
    my ($name, @arguments) = @_;

    my $sql = reply_sql($name, @arguments);
    my ($read, $plan) = split /^--$/m, $pg->psql(<<"EOF_SQL");
begin;
set local role waha_gateway;
$sql \\g /dev/null
reset role;
select sum(pg_stat_get_xact_tuples_returned(c.oid))
  from pg_class c
 where c.relkind in ('r', 'i')
   and c.relnamespace in ('public'::regnamespace, 'waha'::regnamespace);
select '--';
set local role waha_gateway;
explain (analyze, buffers, timing off) $sql;
commit
EOF_SQL

    my ($hit, $more) = $plan
        =~ /Function\ Scan[^\n]*\n(?:[^\n]*\n)?\s+Buffers:\ shared
            (?:\ hit=(\d+))?(?:\ read=(\d+))?/x;

    return (0 + $read, ($hit // 0) + ($more // 0) || die $plan);
}


# how many rows a call may read: a few for each one of the page, or the bound
# in addition, twice if it has to find the end

my %cost = (
    'a list of contacts' =>
        [ 500, sub { [ list_contacts => $_[0], undef, undef, 50 ] } ],
    'a page in the middle of the contacts' =>
        [ 500, sub { [ list_contacts => $_[0], undef, $pg->value(
            "select waha.to_cursor((max(id) - 900)::text) from contacts
              where organization_slug = '$_[0]'"), 50 ] } ],
    'a search that finds the newest' =>
        [ 500, sub { [ list_contacts => $_[0], 'person', undef, 50 ] } ],
    'a search by a name that nobody has' =>
        [ 2500, sub { [ list_contacts => $_[0], 'nobody', undef, 50 ] } ],
    'a search by a part of a number' =>
        [ 2500, sub { [ list_contacts => $_[0], '999999999', undef, 50 ] } ],
    'a search by the beginning of all numbers' =>
        [ 1000, sub { [ list_contacts => $_[0], '+49', undef, 50 ] } ],
    'a list of conversations' =>
        [ 500, sub { [ list_conversations => $_[0], undef, undef, undef,
                       50 ] } ],
    'unread conversations' =>
        [ 3500, sub { [ list_conversations => $_[0], undef, 'true', undef,
                        50 ] } ],
    'conversations of a session without any' =>
        [ 3500, sub { [ list_conversations => $_[0], 'none', undef, undef,
                        50 ] } ],
    'activities' =>
        [ 500, sub { [ list_activities => $_[0], $long{$_[0]}, undef, undef,
                       undef, undef, 50 ] } ],
    'messages' =>
        [ 500, sub { [ list_messages => $_[0], "$long{$_[0]}-s_$_[0]",
                       undef, 50 ] } ],
    'activities of a type that is old' =>
        [ 2500, sub { [ list_activities => $_[0], $long{$_[0]}, 'call',
                        undef, undef, undef, 50 ] } ],
    'activities of a session without any' =>
        [ 2500, sub { [ list_activities => $_[0], $long{$_[0]}, undef,
                        'none', undef, 1000, 50 ] } ],
    'a merged contact' =>
        [ 50, sub { [ find_contact => $_[0], $merged{$_[0]} ] } ],
    'an export of the last contact' =>
        [ 100, sub { [ export_contact => $_[0], $merged{$_[0]}, undef,
                       50 ] } ],
    'an export of an organization' =>
        [ 500, sub { [ export_organization => $_[0], undef, 50 ] } ],
);

for my $what (sort keys %cost) {
    my ($most, $call) = @{ $cost{$what} };
    my (%read, %touched);

    ($read{$_}, $touched{$_}) = cost(@{ $call->($_) }) for sort keys %size;

    cmp_ok($read{big}, '<=', $most, "$what: no more than $most rows are read");
    cmp_ok($touched{big}, '<', $touched{small} * 1.2 + 100,
           "$what: $touched{small} buffers of $size{small} are touched, "
           . "$touched{big} of $size{big}");
}


# the pages of a list: how many of them are cut, and the members of all rows

sub walk {
    my ($name, $list, $member, @arguments) = @_;

    my @pages = pages($pg, @arguments);
    my @rows = map { $_->{$member} } map { @{ $_->{$list} } } @pages;

    ok(!$pages[-1]{cut}, "$name: the last page is not cut");
    ok(!(grep { $_->{cut} && !defined $_->{next} } @pages),
       "$name: a page that is cut has a next one");

    return (scalar(grep { $_->{cut} } @pages), @rows);
}


subtest 'what is behind a cut is found' => sub {
    my @found = walk(contact => contacts => 'id',
                     list_contacts => [ 'small', 'n1' ], [ 200 ]);
    is(shift @found, 1, 'a page of 2,000 contacts is cut');
    is(scalar @found, 1111, 'every contact is found');
    is_deeply(\@found, [ sort { $b <=> $a } @found ], 'newest first');

    @found = walk(conversations => conversations => 'contact_id',
                  list_conversations => [ 'small', undef, 'true' ], [ 50 ]);
    is("@found", "2 $long{small}", 'the oldest conversation is found');

    @found = walk(activities => activities => 'text',
                  list_activities => [ 'small', $long{small}, 'call',
                                       undef ], [ undef, 50 ]);
    is("@found", '2 oldest', 'the oldest activity is found');

    @found = walk('activities as rows', data => 'message_content',
                  list_activity_rows => [ 'small', $long{small}, 'call',
                                          undef ], [ undef, 50 ]);
    is("@found", '2 oldest', 'so it is under the names of the columns');

    # a page that is full at the cut

    my $page = reply($pg, list_contacts => 'small', 'n1', undef, 1)->{data};
    ok(!$page->{cut}, 'a page that is full is not cut');
};


subtest 'contacts by their number' => sub {
    my $find = sub {
        my ($search) = @_;
        my @pages = pages($pg, list_contacts => [ 'small', $search ], [ 7 ]);
        return map { $_->{last_name} } map { @{ $_->{contacts} } } @pages;
    };
        # far behind the newest contacts

    for ('+49201000012', '49 2010 00012', '0049/201000012', '0201 0000 12') {
        is(join(' ', $find->($_)), join(' ', map { "N$_" } 120 .. 129),
           "\"$_\" finds ten contacts in the order of numbers");
    }

    is(join(' ', $find->('+492010001234')), 'N1234', 'a whole number');
    is(join(' ', $find->('1000 123')), join(' ', map { "N$_" }
                                            reverse 1230 .. 1239),
       'a part of a number is found, too');

    # several numbers of one contact, one that several contacts have

    $pg->psql("insert into contacts (organization_slug, first_name, phone_1,
                                     phone_2)
                   values ('small', 'Two', '+4977700001', '+4977700002'),
                          ('small', 'Same', '+4977700001', null)");
    is(join(' ', map { $_->{first_name} } @{ reply($pg, list_contacts =>
        'small', '+497770000', undef, 50)->{data}{contacts} }), 'Two Same',
       'each contact is found once');

    # a number as a part of a name

    $pg->psql("insert into contacts (organization_slug, first_name)
                   values ('small', 'Agent 5551')");
    is(join(' ', map { $_->{first_name} } @{ reply($pg, list_contacts =>
        'small', $_, undef, 50)->{data}{contacts} }), 'Agent 5551',
       "\"$_\" finds a name with digits") for '5551', 'agent 5';

    is(code($pg, list_contacts => 'small', '+49', 'I3g', 50),
       'invalid_argument', 'a place that is no number is refused');
};


subtest 'merged contacts do not make a list long' => sub {
    $pg->psql("update contacts set merged_into = $long{small}
                where organization_slug = 'small' and id > $long{small}
                  and first_name = 'Person'");

    my @found = walk(merged => contacts => 'id',
                     list_contacts => [ 'small', undef ], [ 50 ]);
    cmp_ok(shift @found, '>=', 1, 'a page of merged contacts is cut');
    is(scalar @found, 4, 'the others are listed');
};


subtest 'a merge in progress and a long history' => sub {
    my ($old, $new) = @{ $pg->rows("insert into contacts
        (organization_slug, first_name) values ('big', 'Old'), ('big', 'New')
        returning id") };
    ($old, $new) = ($old->[0], $new->[0]);

    # two histories that alternate, with the last call in the shorter one

    $pg->psql(<<"EOF_SQL");
insert into contact_activities (organization_slug, contact_id, session_name,
        message_id, direction, activity_type, chat, message_content,
        occurred_at)
    select 'big', case when k % 2 = 0 then $old else $new end, 's_big',
           'A' || k, 'inbound',
           case when k % 500 < 2 then 'call' else 'whatsapp_message' end,
           'person', k::text, now() - k * interval '1 minute'
      from generate_series(1, 3000) k;
insert into contact_activities (organization_slug, contact_id, activity_type,
        message_content, occurred_at)
    select 'big', $new, case when k % 600 = 0 then 'call' else 'note' end,
           'note ' || k, null
      from generate_series(1, 1200) k;
update contacts set merged_into = $new where id = $old;
insert into waha.moves values ('big', $old, $new);
EOF_SQL

    my @found = walk(merge => activities => 'text',
                     list_activities => [ 'big', $new, 'call', undef ],
                     [ undef, 3 ]);
    cmp_ok(shift @found, '>=', 1, 'a page is cut');
    is(join(' ', @found), join(' ', 1, (map { ($_, $_ + 1) }
                                        500, 1000, 1500, 2000, 2500), 3000,
                                    'note 1200', 'note 600'),
       'all calls come in their order');
};


$t->done;
