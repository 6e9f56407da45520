package Waha::Fault;

# Repeats a fault under load.  Afterwards every message that was answered 2xx
# has to be stored once and unchanged, and nothing that was not sent.
#
#   my $fault = Waha::Fault->new($t, $pg);
#   $fault->runs('a backend is killed', sub { kill 'KILL', ... });
#
# RUNS is the number of runs (3), TEST_SEED repeats the random moments.

use strict;
use warnings;

use Test::More ();
use Time::HiRes ();

use Waha::File;
use Waha::Load;
use Waha::Meta ();
use Waha::Process qw(wait_for);
use Waha::Test ();


# options: of Waha::Load (retry, senders, ...); meta: a Waha::Meta, whose
# notifications are sent

sub new {
    my ($class, $t, $pg, %o) = @_;

    my $meta = delete $o{meta};
    $o{meta} = $Waha::Meta::SECRET if $meta;

    my $self = bless {
        test => $t, pg => $pg, organizations => 4, warm => 60,
        runs => $ENV{RUNS} || 3, load => \%o, meta => $meta,
    }, $class;

    $self->{seed} = Waha::Test::seed();

    return $self;
}


my $number = 0;


# Options: bites (a sub, true if the fault had an effect; usually: a message
# was not answered 2xx), calm (every message has to be answered), ok (the least
# share of messages that is answered 2xx, 0.5), resumes (seconds after the fault
# until messages have to be answered 2xx again, 5), check (a sub that returns
# complaints)

sub runs {
    my ($self, $name, $fault, %o) = @_;

    my %sum = map { $_ => 0 } qw(ok fail info stale recovered void slowest);
    my $done = 0;

    while ($done < $self->{runs}) {
        my ($verdict, $complaints, $figures) = $self->_run($fault, %o);

        if ($verdict eq 'void' && !@$complaints) {
            next if ++$sum{void} <= 3 + $self->{runs} / 3;
            push @$complaints, 'the fault had no effect, too often';
        }

        $done++;
        Test::More::ok(!@$complaints, "$name: run $done")
            or map { Test::More::diag("    $_") } @$complaints;

        $sum{$_} += $figures->{$_} for qw(ok fail info stale recovered);
        $sum{slowest} = $figures->{slowest}
            if $figures->{slowest} > $sum{slowest};
    }

    Test::More::note("$name: runs=$done "
                     . join ' ', map { "$_=$sum{$_}" } sort keys %sum);

    return \%sum;
}


sub _run {
    my ($self, $fault, %o) = @_;

    my $t = $self->{test};
    $number++;
    my $tag = "R$number";

    my @where = map { [ "r$number-o$_",
                        $self->{meta} ? "70$number$_" : "r$number-s$_" ] }
                1 .. $self->{organizations};
    $self->_add(@$_) for @where;

    my $load = Waha::Load->new(port => $t->port, dir => $t->dir,
        organizations => \@where, tag => $tag,
        seed => $self->{seed} + $number, %{ $self->{load} })->start;

    my @complaints;

    $load->progress($self->{warm})
        or push @complaints, 'no message was taken before the fault';

    Time::HiRes::sleep(rand 0.2);
    eval { $fault->($load, \@where); 1 } or push @complaints, "fault: $@";

    my $resumes = $o{resumes} // 5;
    $load->progress(20, $resumes)
        or push @complaints,
                "no message was taken within $resumes s after the fault";

    $load->stop or push @complaints, 'the senders did not end';
    $self->_quiet or push @complaints, 'PostgreSQL has an open transaction';

    my ($messages, $tally, $status, $slowest) = $load->outcome;
    my $figures = $self->count_stored($messages, "r$number-", $tag);

    $figures->{slowest} = $slowest;
    $figures->{$_} = $tally->{$_} // 0 for qw(ok fail info stale);

    for (qw(lost doubled altered invented misfiled twins miscounted)) {
        push @complaints, "messages $_: $figures->{$_}" if $figures->{$_};
    }

    push @complaints, "answers with $_: $status->{$_}"
        for grep { !/^(200|503|closed|reset|refused)$/ } sort keys %$status;

    push @complaints, "an answer took $slowest s" if $slowest > 3;

    if ($o{calm}) {
        push @complaints, "messages without an answer: $figures->{info}"
            if $figures->{info};
    }

    push @complaints, $o{check}->($figures) if $o{check};

    if ($self->{load}{retry}) {
        my @left = grep { $_->{class} ne 'ok' } values %$messages;
        push @complaints, @left . ' messages were never taken'
            if @left;
    }

    my $bites = $o{bites} ? $o{bites}->($figures)
                          : $figures->{fail} + $figures->{info};
    my $sent = keys %$messages;
    my $promised = grep { $_->{class} eq 'ok' } values %$messages;
    my $share = $sent ? $promised / $sent : 0;

    push @complaints, "only $promised of $sent messages were answered 2xx"
        if $share < ($o{ok} // 0.5);

    return ($bites ? 'bit' : 'void', \@complaints, $figures);
}


sub _add {
    my ($self, $slug, $session) = @_;

    if (!$self->{meta}) {
        $self->{pg}->organization($slug, session => $session);
        return;
    }

    $self->{pg}->organization($slug);
    $self->{meta}->connect($slug, $session);
}


# true as soon as the module has no transaction open

sub _quiet {
    my ($self) = @_;

    return wait_for(sub { !$self->{pg}->backends(q{state <> 'idle'}) }, 60);
}


# compares what is stored with what was sent: how many messages are lost (taken
# and not stored), doubled, altered, invented (never sent), misfiled (at another
# person), ...

sub count_stored {
    my ($self, $messages, $prefix, $tag) = @_;

    my $file = spew($self->{test}->dir . "/$tag.sent", join '', map {
        join("\t", @$_{qw(organization id phone class digest)}) . "\n"
    } values %$messages);

    my $row = $self->{pg}->rows(<<"EOF_SQL")->[0];
create temp table sent (organization text, id text, phone text, class text,
                        digest text);
\\copy sent from '$file'
create temp table stored as
select a.organization_slug as organization, a.message_id as id, a.direction,
       a.contact_id, a.occurred_at, a.session_name,
       encode(sha256(convert_to(message_content, 'utf8')), 'hex') as digest,
       c.merged_into is not null as merged,
       regexp_replace(coalesce(c.phone_1, ''), '\\D', '', 'g') as phone
  from waha.contact_activities a
  left join waha.contacts c
    on c.organization_slug = a.organization_slug and c.id = a.contact_id
 where a.organization_slug like '$prefix%';
create temp table counted as
select organization, id, count(*) as n, min(digest) as digest
  from stored group by 1, 2;
select (select count(*) from sent s left join counted c
          using (organization, id)
         where s.class = 'ok' and c.n is null) as lost,
       (select count(*) from counted where n > 1) as doubled,
       (select count(*) from sent s join counted c using (organization, id)
         where s.digest is distinct from c.digest) as altered,
       (select count(*) from stored left join sent s
          using (organization, id) where s.id is null) as invented,
       (select count(*) from stored d join sent s using (organization, id)
         where d.phone <> s.phone or d.merged) as misfiled,
       (select count(*) from (select 1 from waha.contacts
         where organization_slug like '$prefix%' and merged_into is null
         group by organization_slug, phone_1 having count(*) > 1) t) as twins,
       (select count(*) from (select organization, contact_id, session_name,
                                     count(*) as n, max(occurred_at) as last
                                from stored group by 1, 2, 3) d
          full join (select * from waha.conversations
                      where organization_slug like '$prefix%') v
            on v.organization_slug = d.organization
               and v.contact_id = d.contact_id
               and v.session_name = d.session_name
         where v.unread_count is distinct from d.n
            or v.last_message_at is distinct from d.last) as miscounted,
       (select count(*) from sent s join counted using (organization, id)
         where s.class <> 'ok') as recovered;
EOF_SQL

    my %figures;
    @figures{qw(lost doubled altered invented misfiled twins miscounted
                recovered)} = @$row;
    unlink $file;

    return \%figures;
}


# looks into another server from now on

sub moved {
    my ($self, $pg) = @_;

    $self->{pg} = $pg;
}


1;
