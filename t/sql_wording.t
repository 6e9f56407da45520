# How functions are worded, so that other engines than plain PostgreSQL need few
# bodies of their own: rules over the text of all functions of schema waha.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $crm = qr/(?:organizations|traffic_channels|contacts|contact_activities)/;

# tables and views with rows of organizations, but for those that every server
# would have: they are looked up by other names

my $tenant = join '|', map { $_->[0] } @{ $pg->rows(q{
    select c.relname
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'waha'::regnamespace
       and c.relkind in ('r', 'v')
       and a.attname = 'organization_slug'
       and c.relname not in ('api_keys', 'audit', 'connections', 'key_uses',
                             'sessions')
     order by length(c.relname) desc}) };

my @functions = map { { name => $_->[0], text => plain($_->[1]),
                        arguments => [ split / /, $_->[2] ],
                        language => $_->[3] } }
    @{ $pg->rows(q{
    select p.proname, p.prosrc,
           coalesce(array_to_string(p.proargnames, ' '), ''), l.lanname
      from pg_proc p
      join pg_language l on l.oid = p.prolang
     where p.pronamespace = 'waha'::regnamespace
     order by 1}) };

$_->{statements} = [ map { { text => $_, references => [ references($_) ] } }
                         statements($_->{text}) ] for @functions;
cmp_ok(scalar @functions, '>', 200, 'there are more than 200 functions');

# what a rule need not hold for, and why

my %exceptions = (
    # the upsert of a conversation: these expressions are inlined, and with a
    # value for each column or one more copy a message would cost more
    simple_case => [ 'unread_since' ],
    rows => [ 'merge_conversations' ],

    # looks for the organization that knows a number
    slug => [ 'resolve' ],

    # are written into the statements that use them, which are in plpgsql
    language => [ 'identities_of', 'people_of' ],
);


subtest 'writes name tables' => sub {
    is_deeply(offenders(views => sub {
                  $_[0]{text} =~ /\b(insert into|update|delete from)\s+
                                  waha\.$crm\b/x }),
              [], 'no function writes through a view');

    cmp_ok(scalar(grep { writes($_->{text}) } @functions), '>', 10,
           'functions change tables of the CRM');

    # the CRM's own columns may have any name

    is_deeply(offenders(columns => sub {
                  writes($_[0]{text})
                  && $_[0]{text} !~ /^\s*#variable_conflict use_variable$/m }),
              [], 'variables win over columns of the CRM');
};


subtest 'no rows as arguments' => sub {
    # a row of a part of a table has a type of its own

    is_deeply(offenders(rows => sub { grep { row_argument($_) }
                                           @{ $_[0]{statements} } }),
              [], 'no statement hands a row of its tables to a function');
};


subtest 'no queries for each row' => sub {
    # where the rows are, only they can be read

    my %queries = map { $_->{name} => 1 }
                  grep { grep { @{ $_->{references} } } @{ $_->{statements} } }
                  @functions;

    while (my @more = grep { !$queries{ $_->{name} }
                             && grep { $queries{$_} } called($_->{text}) }
                      @functions)
    {
        $queries{ $_->{name} } = 1 for @more;
    }

    ok($queries{$_}, "$_ runs queries") for 'live_contact', 'ingest_batch';
    ok(!$queries{$_}, "$_ runs none") for 'phone_key', 'clean_name';

    is_deeply(offenders(queries => sub {
                  grep { grep { $queries{$_} } called($_->{text}, 1) }
                  grep { grep { !$_->{inserts} } @{ $_->{references} } }
                       @{ $_[0]{statements} } }),
              [], 'no statement that reads rows calls a function that does');
};


subtest 'the organization in every statement' => sub {
    # it says on which server the rows are

    is_deeply(offenders(slug => sub {
                  map { grep { !has_slug($_) } @{ $_->{references} } }
                      @{ $_[0]{statements} } }),
              [], 'each table is read and written by organization');
};


subtest 'plpgsql where tables are read' => sub {
    # the plans of others have no settings of their own on PostgreSQL 18

    is_deeply(offenders(language => sub {
                  $_[0]{language} eq 'sql'
                  && $_[0]{text} =~ /\b(?:from|join|into|update)\s+
                                     (?:waha|public)\.\w+\b(?!\s*\()/x }),
              [], 'no function in SQL reads or writes a table');
};


subtest 'columns of the CRM that are called like variables' => sub {
    $pg->organization('acme', session => 't1');
    my $plain = story();

    $pg->psql("select waha.delete_session('acme', 't1');"
              . empty_sql()
              . 'delete from waha.sessions; delete from waha.erased');

    my %names = map { $_ => 1 }
                grep { /^[a-z]\w*\z/ && !/^(?:id|slug|organization_slug)\z/ }
                map { my ($declared) = $_->{text}
                          =~ /\bdeclare\b(.*?)\bbegin\b/s;
                      @{ $_->{arguments} },
                      ($declared // '') =~ /^\s+(\w+)\s/mg } @functions;
    cmp_ok(scalar keys %names, '>', 200, 'variables have many names');

    for my $table (qw(organizations contacts contact_activities)) {
        $pg->psql(join ";\n", map {
            qq{alter table $table add column if not exists "$_" text
                   default 'trap'} } sort keys %names);
    }

    $pg->psql("select waha.add_session('acme', 't1')");
    is(difference($plain, story()), '', 'they change nothing');
};


subtest 'searched "case" only' => sub {
    # a deparsed simple one has no type for what it compares

    is_deeply(offenders(simple_case => sub {
                  scalar map { m{(?<!end )\bcase\s++(?!when\b)}g }
                         map { $_->{text} } @{ $_[0]{statements} } }),
              [], 'no statement has a simple "case"');
};


subtest 'what "do update" sets depends on the rows' => sub {
    is_deeply(offenders(clock => sub {
                  grep { /\bdo update\b.*\b(now|clock_timestamp)\(/s }
                       map { $_->{text} } @{ $_[0]{statements} } }),
              [], 'no "do update" sets the time of its execution');
};


subtest 'functions notify, triggers do so for others' => sub {
    # an engine that keeps a table on several machines fires it on each

    my %called = map { $_->{name} => 1 }
                 grep { $_->{text} =~ /\b(pg_notify|notify_workers)\(/ }
                 @functions;
    my @triggers = grep { $called{ $_->[1] } } @{ $pg->rows(q{
        select t.tgname || ' on ' || t.tgrelid::regclass, p.proname,
               pg_get_triggerdef(t.oid)
          from pg_trigger t
          join pg_proc p on p.oid = t.tgfoid
         where p.pronamespace = 'waha'::regnamespace}) };

    cmp_ok(scalar @triggers, '>', 4, 'there are triggers that notify');
    like($_->[2],
         qr/WHEN \(+(CURRENT_USER|"current_user"\(\)) <> 'waha_owner'/,
         "$_->[0] is not for what functions write")
        for @triggers;
};


subtest 'what changes often stands apart' => sub {
    is_deeply(offenders(uses => sub {
                  $_[0]{text} =~ /\bupdate (only )?waha\.api_keys\b/ }),
              [], 'no function updates keys');
};


$t->done;


# The tables of organizations in a statement, with their names there and the
# part of it around: up to the parentheses that it is in.

sub references {
    my ($text) = @_;

    my @references;

    while ($text =~ /\b(from|join|update|using|insert\s+into|delete\s+from)\s+
                     (?:only\s+)?(?:waha|public)\.($tenant)\b
                     (?:\s+(?:as\s+)?
                        (?!(?:where|set|on|join|left|cross|order|group|limit
                            |values|for|union|select|default|using|returning
                            |overriding)\b)(\w+))?/gx)
    {
        my ($verb, $table, $alias, $at) = ($1, $2, $3 // $2, $-[0]);

        push @references, {
            table => $table, alias => $alias, query => around($text, $at),
            inserts => scalar $verb =~ /^insert/ };
    }

    return @references;
}


sub around {
    my ($text, $at) = @_;

    my @open = -1;

    while ($text =~ /([()])/g) {
        my $place = $-[0];

        if ($1 eq '(') {
            push @open, $place;
        } elsif (@open > 1) {
            my $from = pop @open;
            return substr $text, $from + 1, $place - $from - 1
                if $from < $at && $at < $place;
        }
    }

    return $text;
}


sub has_slug {
    my ($reference) = @_;

    my ($table, $alias, $query) = @$reference{qw(table alias query)};

    return $query =~ /\b$table(?:\s+as\s+\w+)?\s*\([^)]*organization_slug/
        if $reference->{inserts};

    return $query =~ /\b$alias\.organization_slug\b/;
}


sub row_argument {
    my ($statement) = @_;

    return grep {
        my $alias = qr/(?<![.\w])$_->{alias}\b(?!\s*[.(\w])/;
        $statement->{text} =~ /\bwaha\.\w+\s*
                               \((?:[^()]|\([^()]*\))*?$alias/x
    } @{ $statement->{references} };
}


# functions of schema waha that a text calls; but not those that a query reads
# like a table

sub called {
    my ($text, $but) = @_;

    return map { $_->[1] } grep { !$but || $_->[0] !~ /^(from|join|lateral)\b/ }
           map { [ /(\S+)\s+(\S+)/ ] }
           map { s/waha\.(\w+)\s*\(/ $1/r }
           $text =~ /((?:\w+|\S)\s*\bwaha\.\w+\s*\()/g;
}


# what is stored and answered when something of each kind has happened

sub story {
    my $at = 1795226570000;
    my @ann = (phone => '79222222222', name => 'Ann Lee');

    my @answers = map { $_->{action} } outcomes($pg, batch =>
        message(@ann, message_id => 'A1'),
        message(lid => '77', name => 'Ann Poe', message_id => 'A2',
                sent_at => $at),
        message(@ann, message_id => 'A3', type => 'image', body => undef),
        message(@ann, message_id => 'A4', body => undef, empty => 'true'),
        message(@ann, message_id => 'C1', kind => 'call',
                status => 'received', sent_at => $at),
        { provider => 'waha', session => 't1', kind => 'session',
          status => 'WORKING', phone => '7911', sent_at => $at });

    for my $how (qw(batch ingest)) {
        push @answers, map { $_->{action} } map { outcomes($pg, $how => $_) }
            message(@ann, message_id => 'A3', type => 'image', body => $how,
                    metadata => '{"media": {"url": "x"}}'),
            message(@ann, message_id => 'A4', body => 'hi'),
            message(@ann, message_id => 'C1', kind => 'call',
                    status => 'rejected', sent_at => $at - 5),
            message(@ann, name => "Ann $how", message_id => "N$how",
                    sent_at => $at + 1000),
            message(@ann, lid => '77', message_id => "B$how"),
            { %{ status(target_id => 'A1') }, kind => 'edit',
              body => "said $how", message_id => "E$how",
              direction => 'inbound', @ann },
            { %{ status(target_id => 'A2') }, kind => 'revoke',
              direction => 'inbound', message_id => "R$how", lid => '77' };
    }

    push @answers, map { reply($pg, @$_)->{code} }
        [ put_organization => 'acme', 'Acme', '49', 'true' ],
        [ record_session_check => 'acme', 't1', 'WORKING', '7911', 'Acme' ];
    my $merged = stored($pg);

    my $contact = $pg->value('select id from waha.contacts
                               where merged_into is not null');
    $pg->psql("select waha.unmerge('acme', $contact)");
    push @answers, $pg->psql('select first_name, last_name, phone_1, phone_2,
                                     whatsapp_name, merged_into
                                from waha.contacts order by id');
    push @answers, reply($pg, erase_contact => 'acme', $contact)->{data}
                       {contact},
                   reply($pg, delete_session => 'acme', 't1')->{code};

    return join "\n", grep { !/^session / } map { split /\n/ }
        $merged, stored($pg), map { $_ // '' } @answers;
}


# whether a function changes or deletes rows of the CRM's tables, where an
# expression sees their columns

sub writes { return $_[0] =~ /\b(?:update|delete from)\s+public\.$crm\b/ }


# the names of functions that break a rule, without its exceptions, which have
# to break it

sub offenders {
    my ($rule, $breaks) = @_;

    my %excepted = map { $_ => 1 } @{ $exceptions{$rule} // [] };
    my @names = map { $_->{name} } grep { $breaks->($_) } @functions;

    for my $name (sort keys %excepted) {
        ok(scalar(grep { $_ eq $name } @names),
           "$name is still an exception");
    }

    return [ grep { !$excepted{$_} } @names ];
}


# a body in lower case without comments and what is in quotes

sub plain {
    my ($text) = @_;

    $text =~ s{--[^\n]*|('(?:[^']|'')*')}{$1 ? "''" : ''}ge;

    return lc $text;
}


# the statements of a body; those with "case" of plpgsql have none of their own

sub statements {
    my ($text) = @_;

    my @statements = '';
    my $depth = 0;

    for my $word ($text =~ /\s+|\w+|./gs) {
        my $ends = $word eq ';'
            || !$depth && $word =~ /^(begin|then|else|loop)\z/
            || $word eq 'case' && $statements[-1] !~ /\S/;

        $depth++ if $word eq 'case' && !$ends;
        $depth-- if $word eq 'end' && $depth;

        if ($ends) {
            push @statements, '';
        } else {
            $statements[-1] .= $word;
        }
    }

    return grep { /\S/ } @statements;
}
