# Cells: two installations behind one nginx, which chooses by a map.  While
# webhooks come in, an organization moves from one to the other: every message
# is stored once and in the right cell, whatever came when.

use Waha::Test;
use Waha::Fault;
use Waha::Load;

my $t = Waha::Test->new;

my @cells = map { cell() } 0, 1;
my ($old, $new) = map { $_->{pg} } @cells;

# each cell has numbers of its own for organizations, not for contacts

$new->psql('alter table organizations alter id restart with 1000000');

$old->organization('acme', session => [ 't1', 't9' ]);
$old->organization('bolt', session => 't2');
$new->organization('core', session => 't3');

my $front = $t->nginx(conf => front());
$front->start;


subtest 'what is there before' => sub {
    for (1 .. 3) {
        is(action('core', message => id => "CORE$_", session => 't3',
                  from => "7911111110$_"), 'contact_created',
           "the other cell has a contact $_");
    }

    is(action('acme', message => id => 'OLD1', name => 'Ann Ray'),
       'contact_created', 'a message');
    is(action('acme', message => id => 'OUT1', from_me => 1),
       'activity_logged', 'an answer');
    is(action('acme', message => id => 'OLD2'), 'activity_logged',
       'an unread one');
    is(action('acme', message => id => 'GONE', from => '79333333333'),
       'contact_created', 'one that is erased');
    is(action('acme', message => id => 'LID1', from => '55555@lid'),
       'contact_created', 'somebody with a hidden id');
    is(action('acme', message => id => 'TEL1', from => '79444444444'),
       'contact_created', 'and with a number');
    is(action('acme', message => id => 'BOTH', from => '55555@lid',
              phone => '79444444444'), 'activity_logged',
       'who turn out to be one person');

    ack('OUT1', 2, 'DEVICE');
    ack('LATE', 3, 'READ');

    my $gone = $old->value("select contact_id from waha.contact_activities
                             where message_id = 'GONE'");
    $old->psql("select waha.erase_contact('acme', $gone)");
    $old->api_key('acme');
    is($old->value('select count(*) from waha.merges'), 1, 'they were merged');
};


subtest 'every table of an organization moves' => sub {
    is($new->value(q{
        select string_agg(distinct c.relname, ' ' order by c.relname)
          from pg_class c
          join pg_attribute a on a.attrelid = c.oid
         where c.relnamespace = 'waha'::regnamespace
           and c.relkind = 'r'
           and a.attname = 'organization_slug'
           and c.relname <> all (waha.copied_parts())}),
       'audit import_ids imports',
       'only what tells of a cell itself stays');
};


subtest 'a move is refused' => sub {
    like($old->error("select waha.copy_organization('nobody')"),
         qr/there is no organization "nobody"/, 'of nobody');
    like($old->error("select waha.copy_organization('acme')"),
         qr/organization "acme" is enabled/, 'while messages are stored');
    like($new->error("select waha.import_organization('{}')"),
         qr/this is no page of waha.copy_organization/, 'with other JSON');

    disable($old, 'acme');
    my @pages = pages();

    like(transfer(@pages[1 .. $#pages]),
         qr/page 1 of organization "acme" has to be imported before page 2/,
         'without a page');

    (my $older = $pages[0]) =~ s/"migration": \d+/"migration": 18/;
    like(transfer($older), qr/the old cell is at migration 18/,
         'from another schema');

    $new->organization('thief', session => 't1');
    like(transfer(@pages), qr/session "t1" is that of organization "thief"/,
         'with a session of somebody else');
    my $id = $old->organization_id('acme');
    $new->psql("delete from waha.sessions where organization_slug = 'thief';
                update organizations set id = $id where slug = 'thief'");
    like(transfer(@pages),
         qr/the number $id of organization "acme" is that of "thief"/,
         'with a number of somebody else');
    $new->psql("delete from organizations where slug = 'thief'");

    is($new->value("select count(*) from waha.contacts
                     where organization_slug <> 'core'"), 0,
       'nothing is left of it');
    $old->psql("update waha.organizations set whatsapp_enabled = true
                 where slug = 'acme'");
};


my $shown = inbox($old);
my @loads = map { load(@$_) } [ acme => 't9' ], [ bolt => 't2' ];

$_->progress(100) or die 'no message was taken' for @loads;

subtest 'the move' => sub {
    $front->conf(front("acme $cells[1]{address};"));
    ok($front->reload, 'webhooks go to the new cell');
    ok(wait_for(sub {
        $new->value('select count(*) from waha.quarantine') > 3;
    }, 60), 'which keeps what it cannot assign');

    disable($old, 'acme');
    my @pages = pages();

    cmp_ok(@pages, '>', 20, 'there are many pages');
    is(transfer(@pages), '', 'they are imported');

    like(replay(), qr/^(?:(?:activity_logged|duplicate)\ ?)+$/x,
         'what waited is stored');

    $_->progress(100) or die 'no message was taken' for @loads;
    $_->stop or die 'a sender did not end' for @loads;

    my $before = rows();
    is(transfer(@pages), '', 'all pages are imported again');
    is(rows(), $before, 'which changes nothing');

    like(transfer(pages()), qr/there is an organization "acme" in this cell/,
         'another copy is refused');
};


subtest 'every message of the senders' => sub {
    # of the six others one is an answer, before which nothing is unread

    stored(acme => $new, $loads[0], 6, 1);
    stored(bolt => $old, $loads[1], 0, 0);

    is($old->value("select count(*) from waha.contact_activities
                     where organization_slug <> 'acme'
                       and organization_slug <> 'bolt'"), 0,
       'the old cell has none of others');
    is($new->value("select string_agg(distinct organization_slug, ' ')
                      from waha.contact_activities
                     where message_id not like 'CORE%'"), 'acme',
       'the new cell has those of the organization that moved');
    is($new->value("select string_agg(message_id, ' ' order by id)
                      from waha.contact_activities
                     where organization_slug = 'core'"),
       'CORE1 CORE2 CORE3', 'and those that it had');
};


subtest 'what there was' => sub {
    is(inbox($new), $shown, 'conversations and states are as before');

    for my $part (qw(merges api_keys session_budgets shared_phones)) {
        is($new->value("select count(*) from waha.$part"),
           $old->value("select count(*) from waha.$part"), "all $part");
    }

    is($new->value("select string_agg(c.merged_into::text, ' ')
                      from waha.contacts c
                      join waha.merges m on m.merged_id = c.id
                                        and m.kept_id = c.merged_into
                      join waha.contact_identities i
                        on i.contact_id = c.merged_into
                       and i.kind = 'lid' and i.key = '55555'"),
       contact('BOTH'), 'a merged contact is part of the other one');
};


subtest 'what comes later' => sub {
    my $messages = $new->messages;

    is(action('acme', message => id => 'OLD1', name => 'Ann Ray'),
       'duplicate', 'a message that the old cell has stored');
    is(action('acme', message => id => 'GONE', from => '79333333333'),
       'duplicate', 'one that it has erased');
    is($new->messages, $messages, 'nothing is stored for them');

    ack('OUT1', 3, 'READ');
    is(status('OUT1'), 'read', 'an ack changes a message that moved');

    is(action('acme', message => id => 'LATE', from_me => 1),
       'activity_logged', 'a message after its ack');
    is(status('LATE'), 'read', 'has it');

    is(action('acme', message => id => 'NEXT'), 'activity_logged',
       'the next message of a person');
    is(contact('NEXT'), contact('OLD1'), 'is with the others');
    is(action('acme', message => id => 'LID2', from => '55555@lid'),
       'activity_logged', 'that of a hidden id');
    is(contact('LID2'), contact('BOTH'), 'is with those of the number');

    my $r = $t->webhook($t->message(id => 'STRAY', text => 'x'),
                        http => Waha::HTTP->new(port => $cells[0]{port}));
    is($r->{json}{code}, 'disabled_organization',
       'the old cell takes nothing any more');
};


subtest 'one URL for all, the cells tried in turn' => sub {
    $old->organization('dora', session => 't4');

    # acme has moved before

    my @load = map { load(@$_, path => '/turn', tag => "TURN$_->[1]") }
                   [ dora => 't4' ], [ acme => 't9' ];
    $_->progress(60) or die 'no message was taken' for @load;

    disable($old, 'dora');
    my $since = $old->value('select now()');
    ok(wait_for(sub { !$old->backends("xact_start < '$since'") }, 60),
       'what was being stored is stored');
    ok(wait_for(sub {
        $new->value("select count(*) from waha.quarantine
                      where session_name = 't4'") > 3;
    }, 60), 'the new cell keeps the events that the old one refuses');

    is(transfer(pages('dora')), '', 'the pages are imported');
    like(replay(), qr/^(?:(?:activity_logged|contact_created|duplicate)\ ?)+$/x,
         'what waited is stored');

    $_->progress(60) or die 'no message was taken' for @load;
    $_->stop or die 'a sender did not end' for @load;

    stored(dora => $new, $load[0], 0, 0);

    is($old->messages('TURNt9%'), 0,
       'the old cell has none of an organization that moved before');
    is($old->value('select count(*) from waha.quarantine'), 0,
       'not even in quarantine');
    is($new->messages('TURNt9%'), scalar keys %{ ($load[1]->outcome)[0] },
       'the new one has all');
};


$t->done;


# a PostgreSQL and an nginx

sub cell {
    my $pg = $t->postgres;
    my $nginx = $t->nginx(vars => { DSN => $pg->dsn });

    $nginx->start;
    $pg->psql('create role mover login in role waha_admin');

    return { pg => $pg, port => $nginx->port,
             address => '127.0.0.1:' . $nginx->port };
}


# nginx before the cells; more: lines of its map

sub front {
    my ($more) = @_;

    $more //= '';

    return <<"EOF_CONF";
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%

    map \$arg_org \$cell {
        default $cells[0]{address};
        core    $cells[1]{address};
        $more
    }

    upstream turn {
        server $cells[0]{address} max_fails=0;
        server $cells[1]{address} backup;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /api/whatsapp/ { proxy_pass http://\$cell; }

        location = /turn {
            proxy_pass http://turn/api/whatsapp/webhook;
            proxy_next_upstream http_404 non_idempotent;
        }
    }
}
EOF_CONF
}


sub load {
    my ($slug, $session, %o) = @_;

    return Waha::Load->new(port => $front->port, dir => $t->dir,
        organizations => [ [ $slug, $session ] ], tag => uc $slug,
        path => "/api/whatsapp/webhook?org=$slug", retry => 1, resend => 1,
        senders => 1, connections => 4, pause => 0.02, %o)->start;
}


# tests what is stored of an organization's messages: others, that the load has
# not sent, and answered, conversations with an answer among them

sub stored {
    my ($slug, $pg, $load, $others, $answered) = @_;

    my ($messages) = $load->outcome;
    my @taken = grep { $_->{class} eq 'ok' } values %$messages;
    is(scalar @taken, keys %$messages, "$slug: all of them were taken");

    my $fault = Waha::Fault->new($t, $pg);
    my $found = $fault->count_stored($messages, $slug, $slug);
    is(delete $found->{invented}, $others, "$slug: no others are there");
    delete $found->{recovered};
    is(join(' ', map { "$_=$found->{$_}" } sort keys %$found),
       "altered=0 doubled=0 lost=0 miscounted=$answered misfiled=0 twins=0",
       "$slug: each is there once, with its person, and is counted");
}


# runs what the new cell could not assign; what became of it

sub replay {
    return $new->value(<<'EOF_SQL');
select string_agg(distinct r.action, ' ' order by r.action)
  from (select id from waha.quarantine
         where reason = 'unknown_organization' and resolved_at is null
         order by received_at) as q, waha.replay(q.id) as r
EOF_SQL
}


# sends an event of an organization; what became of it

sub action {
    my ($slug, $what, %o) = @_;

    my $r = $t->webhook($t->$what(%o),
                        path => "/api/whatsapp/webhook?org=$slug");

    return $r->{json}{data}{action} // $r->{json}{code};
}


sub ack {
    my ($id, $ack, $name) = @_;

    my $r = $t->webhook($t->event('message.ack', 't1',
        { id => "true_79222222222\@c.us_$id", from => '79222222222@c.us',
          fromMe => JSON::PP::true, ack => $ack, ackName => $name }),
        path => '/api/whatsapp/webhook?org=acme');

    is($r->{status}, 200, "an ack of $id is taken");
}


sub status {
    my ($id) = @_;

    return $new->value("select status from waha.message_states
                         where message_id = '$id'");
}


sub contact {
    my ($id) = @_;

    return $new->value("select contact_id from waha.contact_activities
                         where message_id = '$id'");
}


sub disable {
    my ($pg, $slug) = @_;

    $pg->psql("update waha.organizations set whatsapp_enabled = false
                where slug = '$slug'");
}


sub pages {
    my ($slug) = @_;

    $slug //= 'acme';

    return split /\n/, $old->psql("select waha.copy_organization('$slug', 20)",
                                  user => 'mover');
}


# imports pages in one transaction; the error, if there is one

sub transfer {
    my (@pages) = @_;

    my $sql = join "\n", 'begin;',
        (map { "select waha.import_organization(\$page\$$_\$page\$);" }
             @pages), 'commit;';

    return $new->error($sql, user => 'mover');
}


# what the session t1 of acme has, without numbers of rows

sub inbox {
    my ($pg) = @_;

    return $pg->psql(<<'EOF_SQL');
set timezone = utc;
select v.shown, c.first_name, c.phone_1, c.contact_type, c.created_at, t.name
  from (select (to_jsonb(v) - 'contact_id') as shown, v.contact_id,
               v.last_message_at
          from waha.conversations v where v.session_name = 't1') v
  join waha.contacts c on c.id = v.contact_id
  join waha.traffic_channels t on t.id = c.traffic_source_id
 order by v.last_message_at, c.phone_1;
select to_jsonb(s) from waha.message_states s where s.session_name = 't1'
 order by s.message_id;
select to_jsonb(a) - '{id,contact_id}'::text[]
  from waha.contact_activities a where a.session_name = 't1'
 order by a.message_id;
select to_jsonb(w) - 'id' from waha.waiting_changes w order by w.message_id;
select to_jsonb(s) from waha.sessions s where s.name = 't1';
EOF_SQL
}


# a digest of all that the new cell has

sub rows {
    return $new->value(q{
        select md5(string_agg(x::text, '' order by name))
          from (select c.relname as name,
                       query_to_xml('select t::text from waha.' || c.relname
                                    || ' t order by 1', true, false, '') as x
                  from pg_class c
                 where c.relnamespace = 'waha'::regnamespace
                   and c.relkind in ('r', 'v')
                   and c.relname not like 'message_lock_%') r});
}
