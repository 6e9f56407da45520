# The same events leave the same rows and get the same answers, whichever way
# they take: in batches, in batches that have another event besides, one by
# one, and each apart.

use Waha::Test;
use Waha::Ingest;

use List::Util qw(shuffle);

my $t = Waha::Test->new(timeout => $ENV{TEST_TIMEOUT});
my $pg = $t->postgres;

# The streams are the same in each run, unless TEST_SEED says others;
# TEST_STREAMS makes it longer, TEST_MODE takes one of the modes.

my $streams = $ENV{TEST_STREAMS} || 40;
my $seed = seed(1);

# What the events of a stream are like.  "many": how many people there are for
# each message; the others are chances: "warm" that somebody is known before,
# "twin" that a message comes again, "silent" that a message says nothing,
# "group", "out" that it is our own, "ahead" that a message does not come in
# its turn, "names" that a name changes, "vary" that somebody is shown with
# another identity, "change" for changes of messages, "other" for calls and
# events of sessions, "wrong" for deliveries of nobody, "crm" that the CRM acts
# between two batches, "meta" that a message is one of Meta's Cloud API.

my %common = (many => 0.3, warm => 0.5, twin => 0.15, silent => 0, group => 0,
              out => 0.2, ahead => 0.1, names => 0, vary => 0, change => 0,
              other => 0, wrong => 0, crm => 0, meta => 0);

my %modes = (
    known     => { warm => 1 },
    unread    => { warm => 1, many => 0.05, out => 0.5, ahead => 0.3 },
    names     => { warm => 1, names => 0.3 },
    waited    => { warm => 1, change => 0.15, ahead => 0.3 },
    strangers => { warm => 0, many => 1 },
    first     => { warm => 0, many => 0.5, names => 0.2, vary => 0.1 },
    mixed     => { names => 0.1 },
    twins     => { twin => 0.5, names => 0.1, vary => 0.2, silent => 0.2 },
    joins     => { vary => 0.5, names => 0.1, change => 0.05 },
    changes   => { many => 0.15, change => 0.5, vary => 0.1 },
    meta      => { meta => 1, vary => 0.3, names => 0.1, change => 0.1 },
    providers => { meta => 0.5, vary => 0.3, many => 0.5, names => 0.1 },
    all       => { names => 0.1, vary => 0.1, change => 0.15, silent => 0.05,
                   group => 0.1, other => 0.1, wrong => 0.05, crm => 0.3,
                   meta => 0.3 },
);

my @ways = qw(batch mixed single each);
my @ids = qw(phone lid bsuid parent_bsuid);

$pg->psql(helpers_sql());
$pg->psql("create database $_ template crm") for @ways;

my %way = map { $_ => $pg->session(dbname => $_) } @ways;
my $dump_sql = dump_sql();
my $same = 0;
my $batches = 0;

for my $n (1 .. $streams) {
    srand $seed + $n;

    my $mode = (sort keys %modes)[rand keys %modes];
    $mode = $ENV{TEST_MODE} // $mode;

    my $order = ('loose', 'any', 'any', 'each', 'each')[rand 5];
    my $ways = { loose => [ 'batch', 'mixed' ], each => \@ways,
                 any => [ 'batch', 'mixed', 'single' ] }->{$order};
    my @steps = stream(%common, %{ $modes{$mode} }, order => $order);
    $batches += grep { ref } @steps;

    my ($way, $why) = differing($ways, @steps);

    if ($way) {
        @steps = shortened($order, $ways, $way, @steps);
        ($way, $why) = differing($ways, @steps);
        fail("$way differs");
        diag("TEST_SEED=" . ($seed + $n - 1)
             . " TEST_STREAMS=1 TEST_MODE=$mode repeats it");
        diag(map { "$_\n" } $why, described(@steps));
        last;
    }

    $same++;
}

note("$batches batches");
is($same, $streams, 'each way leaves the same rows and gives the same answers');

$t->done;


# the events of a stream: batches (lists), and what the CRM does between them
# (SQL)

sub stream {
    my (%m) = @_;

    my $size = (1, 4, 12, 40)[rand 4];
    my $total = 10 + $size + int rand(2 * $size);
    my %w = (%m, messages => [], due => 0);

    $w{people} = [ map { person($_) } 0 .. $m{many} * $total + rand 4 ];

    my $p = 0;
    $w{messages} = [ map {
        my $who = $m{many} < 1 ? $w{people}[rand @{ $w{people} }]
                               : $w{people}[$p++ % @{ $w{people} }];
        sent_by($_, $who, \%w);
    } 1 .. $total + 3 ];

    my @steps;

    my @warm = grep { rand() < $m{warm} } @{ $w{people} };
    push @steps, [ map { greeting($_) } @warm ] if @warm;

    while ($w{due} < $total) {
        my @batch = map { event(\%w) } 1 .. 1 + int rand $size;
        push @steps, [ shuffle_some(@batch) ];
        push @steps, crm_sql(\%w) if rand() < $m{crm};
    }

    return regular($m{order}, @steps);
}


sub person {
    my ($n) = @_;

    # half of them in Brazil, where a number has two spellings

    my $phone = $n % 2 ? 5511 . (60000000 + 1009 * $n)
                       : 491700000000 + 7919 * $n;

    return { n => $n, phone => "$phone", lid => 7000 + 31 * $n,
             bsuid => "BR.$n", parent_bsuid => 'BR.ENT.' . int($n / 2),
             shown => (qw(phone lid both))[$n % 3],
             name => (undef, 'Bob', 'Bob Dylan', 'Ann', 'Zoe B')[$n % 5] };
}


sub identity {
    my ($who, $vary, $session) = @_;

    my $shown = rand() < $vary ? (qw(phone lid both))[rand 3] : $who->{shown};
    my $phone = $who->{phone};

    substr $phone, 4, 0, '9' if $who->{n} % 2 && rand() < 0.3;

    return (meta_of($who, $shown, $vary),
            $shown eq 'lid' ? () : (phone => $phone), who => $who->{n})
        if $session =~ /^\d/;

    return ($shown eq 'lid' ? () : (phone => $phone),
            $shown eq 'phone' ? () : (lid => $who->{lid}), who => $who->{n});
}


# user ids in place of the hidden id; two people, who are one, have the same
# parent

sub meta_of {
    my ($who, $shown, $vary) = @_;

    my %ids = $shown eq 'phone' ? () : (bsuid => $who->{bsuid});

    $ids{parent_bsuid} = $who->{parent_bsuid}
        if rand() < $vary / 3 || !%ids && $shown eq 'lid';

    return (provider => 'meta', %ids,
            meta => '{' . join(',', map { qq("$_":"$ids{$_}") } sort keys %ids)
                    . '}');
}


sub sent_by {
    my ($n, $who, $w) = @_;

    my $direction = rand() < $w->{out} ? 'outbound' : 'inbound';
    my $group = rand() < $w->{group};

    return message(who => $who->{n}, message_id => "M$n",
        session => rand() < $w->{meta} ? (5001, 5001, 5002, 5003)[rand 4]
                   : ('t1', 't1', 't2', 't3')[rand 4],
        direction => $direction, sent_at => at(60), body => "text $n",
        $group ? (chat => 'group', chat_id => 'g' . int rand 2) : (),
        type => rand() < 0.2 ? 'image' : 'text',
        metadata => rand() < 0.3
            ? '{"media": {"url": "u", "mimetype": "image/png"}}' : '{}',
        name => $direction eq 'outbound' ? undef
                : rand() < $w->{names} ? ('Bob', 'Eve', 'Ann X')[rand 3]
                : $who->{name},
        status => $direction eq 'outbound' && rand() < 0.3
                  ? ('pending', 'sent', 'delivered', 'read')[rand 4] : undef);
}


sub greeting {
    my ($who) = @_;

    return map {
        message(identity($who, 0, $_), message_id => "G$_$who->{n}",
                session => $_, body => 'hello', sent_at => at(20),
                name => $who->{name});
    } rand() < 0.5 ? 't1' : 't2', 't3';
}


sub at { return 1577836800000 + 1000 * int rand $_[0] }


sub event {
    my ($w) = @_;

    my @messages = @{ $w->{messages} };
    my $any = $messages[rand($w->{due} + 3)] // $messages[-1];

    return change($w, $any) if rand() < $w->{change};
    return other($w) if rand() < $w->{other};
    return wrong($w, $any) if rand() < $w->{wrong};

    my $m = rand() < $w->{twin} ? $messages[rand($w->{due} + 1)]
            : rand() < $w->{ahead} ? $any
            : $messages[$w->{due}++];

    return twin($w, $m // $messages[-1]);
}


# a delivery of a message, which may say less than another one

sub twin {
    my ($w, $m) = @_;

    my %m = (%$m, identity($w->{people}[$m->{who}], $w->{vary},
                           $m->{session}));

    if (rand() < $w->{silent}) {
        @m{qw(empty body type metadata)} = ('true', undef, 'unknown', '{}');
    } elsif (rand() < $w->{twin} / 2) {
        $m{body} = undef if rand() < 0.5;
        $m{metadata} = '{}' if rand() < 0.5;
        $m{type} = 'unknown' if rand() < 0.3;
    }

    return \%m;
}


sub change {
    my ($w, $m) = @_;

    my $kind = (qw(edit reaction vote revoke status status))[rand 6];
    my $who = rand() < 0.8 ? $m->{who} : int rand @{ $w->{people} };
    my $id = ++$w->{changes};

    return { provider => 'waha', kind => $kind, session => $m->{session},
             identity($w->{people}[$who], $w->{vary}, $m->{session}),
             chat => $m->{chat}, chat_id => $m->{chat_id},
             direction => rand() < 0.7 ? $m->{direction}
                          : ('inbound', 'outbound')[rand 2],
             message_id => "C$id", target_id => $m->{message_id},
             sent_at => at(90),
             $kind eq 'edit' ? (body => (undef, "edited $id")[rand 2])
             : $kind eq 'reaction' ? (body => ('x', 'y', '')[rand 3])
             : $kind eq 'vote' ? (metadata => ('{"options": ["a", "b"]}',
                                               '{"options": []}')[rand 2])
             : $kind eq 'status'
               ? (status => (qw(sent delivered read played failed))[rand 5])
             : () };
}


# calls, and what happens to sessions

sub other {
    my ($w) = @_;

    if (rand() < 0.5) {
        my $id = ++$w->{changes};

        return { provider => 'waha', kind => 'call', chat => 'person',
                 identity($w->{people}[rand @{ $w->{people} }], $w->{vary},
                          't1'),
                 session => ('t1', 't2')[rand 2], type => 'call',
                 message_id => 'L' . ($id % 3), direction => 'inbound',
                 status => (qw(received accepted rejected))[rand 3],
                 metadata => '{}', sent_at => at(60), name => 'Caller' };
    }

    my $session = (qw(t1 t2 t3 t5))[rand 4];

    return { provider => 'waha', kind => 'session', session => $session,
             organization_slug => $session eq 't5' ? 'acme' : undef,
             status => (qw(STARTING WORKING STOPPED SCAN_QR_CODE FAILED))
                       [rand 5],
             phone => (undef, '5511999')[rand 2], name => 'Acme',
             metadata => (undef, '{"restrictions": {"reachoutTimelock": '
                                 . '{"isActive": true}}}')[rand 2],
             sent_at => at(60) };
}


# deliveries of another organization, of none, with another instance's key

sub wrong {
    my ($w, $m) = @_;

    my $n = ++$w->{changes};
    my $session = $m->{session} =~ /^t/ ? 't1' : 5001;
    my @wrong = ({ session => 't4' }, { session => 't9' },
                 { session => 't9', organization_slug => 'acme' },
                 { session => 't5', organization_slug => 'acme' },
                 { session => 't1', organization_slug => 'other' },
                 { session => 't1', tenant => 'acme' },
                 { session => 't2', instance => 'w1' },
                 { session => 't1', instance => 'w1' },
                 { session => 't9', claims => '{"default": "other"}' },
                 { message_id => undef }, { phone => undef, lid => undef },
                 { kind => 'other' });

    return { %$m, identity($w->{people}[$m->{who}], $w->{vary}, $session),
             message_id => "W$n", %{ $wrong[rand @wrong] } };
}


# neighbours, so that the order of a batch is not that of the stream

sub shuffle_some { return rand() < 0.3 ? shuffle(@_) : @_ }


sub crm_sql {
    my ($w) = @_;

    my $who = $w->{people}[rand @{ $w->{people} }];
    my ($contact, $other) = map {
        "(select i.contact_id
            from waha.contact_identities i
           where i.organization_slug = 'acme'
             and i.key in ('$_->{phone}', '$_->{lid}',
                           '8001/$_->{bsuid}')
           order by i.kind
           limit 1)"
    } $who, $w->{people}[rand @{ $w->{people} }];

    my $sql = (
        "insert into contacts (organization_slug, first_name, phone_1)
             values ('acme', 'Typed', '+$who->{phone}')",
        "update contacts set first_name = 'Edited' where id = $contact",
        "delete from contacts where id = $contact",
        "select from waha.erase_contact('acme', $contact)",
        "update organizations set whatsapp_enabled = not whatsapp_enabled
          where slug = 'other'",
        "update contacts c set merged_into = k.id
           from contacts k
          where c.id = $contact and k.id = $other and c.id <> k.id
            and c.merged_into is null and k.merged_into is null
            and not exists (select from contacts m
                             where m.merged_into = c.id)",
    )[rand 6];

    return "$sql;\n";
}


# a stream in which all ways have to leave the same

sub regular {
    my ($order, @steps) = @_;

    # what the CRM does can make people unknown again

    my %w = (order => $order, seen => {}, came => {});

    return map { ref ? map({ [ in_order($order, @$_) ] } apart(\%w, @$_))
                     : ($w{seen} = {}) && $_ } @steps;
}


# Within a batch nothing is before: a message in a group, or one that says
# nothing, finds a person whom another message of the batch makes known, and a
# status is known to be somebody else's.  One by one it would be ignored, or
# taken, if it came first.  So it is in a batch of its own, after the other,
# but for streams that are stored in batches only.

sub apart {
    my ($w, @batch) = @_;

    my (@here, @later);

    for my $e (@batch) {
        my $odd = $e->{kind} eq 'status'
                  || $e->{kind} eq 'message'
                     && ($e->{chat} ne 'person' || $e->{empty});
        my @keys = map { "$e->{session} $_" }
                   grep { defined } @$e{@ids};

        my $later = $odd && $w->{order} ne 'loose'
                    && grep { !$w->{seen}{$_} } @keys;

        push @{ $later ? \@later : \@here }, $e;
    }

    # the same message once more makes nobody known

    for my $e (grep { $_->{kind} eq 'message' } @here) {
        my $id = $e->{message_id} // '';

        next if $w->{came}{"$e->{session} $id"}++
                || $e->{chat} ne 'person' || $e->{empty};

        $w->{seen}{"$e->{session} $_"} = 1
            for grep { defined } @$e{@ids};
    }

    return (@here ? \@here : (), @later ? \@later : ());
}


# Session events come first in a batch, since they can tell whose a session is.
# In some streams all events are in the order in which waha.ingest_each takes
# them: of deliveries that say different things, the first one counts.

sub in_order {
    my ($order, @batch) = @_;

    my $sorted = $order eq 'each';
    my ($s, $p) = (sub { $_[0]{kind} eq 'session' ? 0 : 1 },
                   sub { $_[0]{phone} // $_[0]{lid} // $_[0]{bsuid}
                         // "\xff" });

    return @batch[sort {
        my ($one, $other) = @batch[$a, $b];

        $s->($one) <=> $s->($other)
        || ($sorted || $s->($one) == 0)
           && $one->{session} cmp $other->{session}
        || $sorted && $p->($one) cmp $p->($other)
        || $a <=> $b;
    } 0 .. $#batch];
}


# Of a message that is not there, a change by anybody counts, so that another
# one can tell nothing new.  In a batch with its message it can: then both
# answers are the same here.

sub way_sql {
    my ($way, @steps) = @_;

    my $sql = fresh_sql();
    my $step = 0;

    for (@steps) {
        $step++;

        if (!ref) {
            $sql .= $_;
            next;
        }

        my @some = map { {%$_, at => undef } } @$_;
        $some[$_]{place} = $_ for 0 .. $#some;

        splice @some, 7 * $step % (@some + 1), 0,
               { kind => 'status', session => 't0', target_id => "S$step",
                 phone => '3312345', status => 'read', chat => 'person',
                 direction => 'outbound', sent_at => 0 }
            if $way eq 'mixed';

        for my $call ($way eq 'single' ? map { [ $_ ] } @some : \@some) {
            my $how = { single => 'ingest', each => 'each' }->{$way}
                      // 'batch';
            my $places = join ',', map { $_->{place} // 'null' } @$call;
            my $early = join ',', map {
                my $e = $_;
                grep({ $_->{kind} eq 'message'
                       && ($_->{message_id} // '') eq ($e->{target_id} // '-')
                     } @some) ? 'true' : 'false';
            } @$call;

            $sql .= "insert into paths.answers (step, at, action,
                         organization, contact, activity, code)
                     select $step, (array[$places]::int[])[o.position + 1],
                            case when (array[$early])[o.position + 1]
                                      and o.action = 'duplicate'
                                 then 'status_updated' else o.action end,
                            o.organization, o.contact_id,
                            o.activity_id, o.code
                       from (" . call_sql($how, @$call) . ") o;\n";
        }
    }

    return $sql;
}


# the first way that differs from batches, and how

sub differing {
    my ($ways, @steps) = @_;

    $way{$_}->async(way_sql($_, @steps) . $dump_sql) for @$ways;

    my %got = map { $_ => $way{$_}->result(300) // 'ERROR: no answer' } @$ways;

    for my $way (@$ways) {
        return ($way, $1) if $got{$way} =~ /^(.*ERROR: .*)/m;

        my ($one, $other) = map { comparable($way, $_) } @got{'batch', $way};
        return ($way, difference($one, $other)) if $one ne $other;
    }

    return;
}


# A batch merges contacts before it stores its messages: these are the kept
# contact's from the start, and not moved.  It makes contacts in the order of
# their identities: of two, another one can be the older, which is kept when
# they turn out to be one person.

sub comparable {
    my ($way, $text) = @_;

    return $text if $way eq 'mixed';
    return join "\n", grep { !/^waha\.(moved_messages|merges) /
                             && !/^contacts .* merged_into=/ }
                      split /\n/, $text;
}


# the stream without the events that the difference does not need

sub shortened {
    my ($order, $ways, $way, @steps) = @_;

    my $still = sub {
        my @fewer = regular($order, @_);
        my $same = ((differing($ways, @fewer))[0] // '') eq $way;

        @steps = @fewer if $same;
        return $same;
    };

    for (my $s = $#steps; $s >= 0; $s--) {
        $still->(@steps[grep { $_ != $s } 0 .. $#steps]);
    }

    for (my $s = 0; $s < @steps; $s++) {
        for (my $e = 0; ref $steps[$s] && $e < @{ $steps[$s] }; ) {
            my @fewer = @steps;
            $fewer[$s] = [ @{ $steps[$s] }[grep { $_ != $e }
                                           0 .. $#{ $steps[$s] }] ];

            $still->(@fewer) or $e++;
            last if !$steps[$s];
        }
    }

    return @steps;
}


sub described {
    my (@steps) = @_;

    return map {
        my $step = $_ + 1;
        !ref $steps[$_] ? "$step: $steps[$_]" : map {
            my $e = $_;
            "$step: " . join ' ', map { "$_=$e->{$_}" }
                                  grep { defined $e->{$_} } @arguments;
        } @{ $steps[$_] };
    } 0 .. $#steps;
}


sub helpers_sql {
    return <<'EOF_SQL';
create schema paths;

create table paths.answers (step int, at int, action text, organization text,
    contact bigint, activity bigint, code text);

-- contacts have other numbers in each database: a contact is known by its
-- identities, one that was merged by those that it had

create function paths.person(contact bigint) returns text
language sql stable as $$
    select coalesce(
        (select string_agg(i.kind || ' ' || i.key, ',' order by i.kind, i.key)
           from waha.contact_identities i
          where i.contact_id = contact),
        (select 'merged ' || string_agg(array_to_string(m.identities, ','),
                                        ';' order by m.identities)
           from waha.merges m
          where m.merged_id = contact),
        (select 'nobody ' || concat_ws(',', c.first_name, c.phone_1)
           from contacts c
          where c.id = contact),
        case when contact is not null then 'gone' end)
$$;

create function paths.living(organization text, contact bigint) returns text
language sql stable as $$
    select paths.person(coalesce(waha.live_contact(organization, contact),
                                 contact))
$$;

create function paths.message(activity bigint) returns text
language sql stable as $$
    select coalesce((select concat_ws(' ', a.session_name, a.message_id,
                                      a.direction)
                       from contact_activities a
                      where a.id = activity),
                    case when activity is not null then 'gone' end)
$$;
EOF_SQL
}


sub tables {
    return map { $_->[0] } @{ $pg->rows(<<'EOF_SQL') };
select c.oid::regclass
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r'
   and n.nspname in ('waha', 'public')
   and c.relname not in ('version', 'locks')
   and c.relname not like 'message_lock_%'
 order by 1
EOF_SQL
}


# empty tables but for organizations and sessions; plans stay, as they would not
# after "truncate"

sub fresh_sql {
    return "set session_replication_role = replica;\n"
           . join('', map { "delete from $_;\n" } tables_once())
           . <<'EOF_SQL';
delete from paths.answers;
set session_replication_role = origin;
insert into organizations (id, slug, whatsapp_enabled)
    overriding system value
    values (1, 'acme', true), (2, 'other', true), (3, 'off', false),
           (4, 'zero', true);
insert into waha.sessions (organization_slug, name, instance)
    values ('acme', 't1', 'w1'), ('acme', 't2', null), ('other', 't3', null),
           ('off', 't4', null), ('zero', 't0', null);
insert into waha.sessions (organization_slug, name, provider)
    values ('acme', '5001', 'meta'), ('acme', '5002', 'meta'),
           ('other', '5003', 'meta');
insert into waha.connections (id, organization_slug, phone_number_id, waba_id,
                              portfolio)
    values ('c1', 'acme', '5001', '6001', '8001'),
           ('c2', 'acme', '5002', '6002', null),
           ('c3', 'other', '5003', '6003', null);
EOF_SQL
}


my @tables;

sub tables_once { return @tables = @tables ? @tables : tables() }


# a line for each row and each answer

sub dump_sql {
    my %columns;

    push @{ $columns{$_->[0]} }, $_ for @{ $pg->rows(<<'EOF_SQL') };
select a.attrelid::regclass, a.attname, a.atttypid::regtype
  from pg_attribute a
 where a.attrelid = any (array(
       select c.oid
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname in ('waha', 'public')))
   and a.attnum > 0
   and not a.attisdropped
 order by 1, a.attnum
EOF_SQL

    my @rows = map {
        my $table = $_;
        my @shown = map { shown($table, @$_[1, 2]) } @{ $columns{$table} };
        my $own = grep { $_->[1] eq 'organization_slug' }
                  @{ $columns{$table} };

        "select concat_ws(' | ', '$table', " . join(', ', @shown) . ") as line"
        . " from $table x"
        . ($own ? " where organization_slug is distinct from 'zero'" : '')
        . "\n";
    } tables_once();

    return "select line from (" . join(' union all ', @rows, <<'EOF_SQL')
select concat_ws(' | ', 'answer', step, at, action, organization, code,
                 'contact=' || paths.living(organization, contact),
                 'activity=' || paths.message(activity))
  from paths.answers
 where at is not null
EOF_SQL
        . ") t order by line collate \"C\";\n";
}


# A column of a row as text.  What is left out is no part of what happened:
# numbers that a sequence gave, and the clock's time in place of the events'.

sub shown {
    my ($table, $column, $type) = @_;

    return () if $column eq 'id' && $type eq 'bigint'
                 && $table ne 'organizations';

    my $value = $column =~ /^(contact_id|merged_into|kept_id|merged_id
                              |from_id|to_id)$/x ? "paths.person(x.$column)"
                : $column eq 'activity_id' ? "paths.message(x.$column)"
                : $column eq 'traffic_source_id'
                  ? "(select name from traffic_channels c
                       where c.id = x.$column)"
                : $type eq 'timestamp with time zone'
                  ? "case when x.$column > now() - interval '1 year'
                          then 'now' else x.$column\::text end"
                : "x.$column\::text";

    return "'$column=' || $value";
}
