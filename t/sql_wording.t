# How functions are worded, so that other engines than plain PostgreSQL need few
# bodies of their own: rules over the text of all functions of schema waha.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

my @functions = map { { name => $_->[0], text => plain($_->[1]) } }
    @{ $pg->rows(q{
    select p.proname, p.prosrc
      from pg_proc p
     where p.pronamespace = 'waha'::regnamespace
     order by 1}) };
cmp_ok(scalar @functions, '>', 200, 'there are more than 200 functions');

# what a rule need not hold for, and why

my %exceptions = (
    # the price of planning a message's upsert: the expression would be
    # inlined once more
    simple_case => [ 'unread_since' ],
);


subtest 'searched "case" only' => sub {
    # a deparsed simple one has no type for what it compares

    is_deeply(offenders(simple_case => sub {
                  scalar map { m{(?<!end )\bcase\s++(?!when\b)}g }
                         statements($_[0]{text}) }),
              [], 'no statement has a simple "case"');
};


subtest 'what "do update" sets depends on the rows' => sub {
    is_deeply(offenders(clock => sub {
                  grep { /\bdo update\b.*\b(now|clock_timestamp)\(/s }
                       statements($_[0]{text}) }),
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
