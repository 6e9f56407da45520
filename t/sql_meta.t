# Events of Meta's Cloud API: whose they are, who they are about, and what they
# leave, in any order and any batches.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

use List::Util qw(shuffle);

my $t = Waha::Test->new(timeout => $ENV{TEST_TIMEOUT});
my $pg = $t->postgres;
my $json = JSON::PP->new->canonical;

my ($number, $second, $third) = map { 2000000000000 . $_ } 1 .. 3;
my %connection = map { $_ => "conn-$_-" . 'x' x 20 }
                     qw(acme twin other own);
my $n = 0;

$pg->organization('acme', session => 't1');
$pg->organization($_) for qw(other own off);
connect_number(acme => $number, 'acme');
connect_number(acme => $second, 'twin', account => 1002);
connect_number(own => $third, 'own', own_secret => 1, account => 1003,
               portfolio => 77);


subtest 'whose an event is' => sub {
    my $r = outcome($pg, meta(phone => '4915100000001'));
    is("$r->{action} $r->{organization}", 'contact_created acme',
       'the operator signs for a connection without a secret of its own');
    is(action(meta(phone => '4915100000001', connection => 'acme')),
       'activity_logged', 'so may the connection');
    is(action(meta(session => $third, connection => 'own',
                   phone => '4915100000001')),
       'contact_created', 'a connection speaks for its number');

    my @cases = (
        [ 'ignored unknown_number', session => '99' ],
        [ 'ignored unknown_number', session => 't1' ],
        [ 'ignored unknown_number', session => '99', connection => 'own' ],
        [ 'foreign_connection', session => $third ],
        [ 'foreign_connection', session => $third, connection => 'acme' ],
        [ 'foreign_connection', session => $number, connection => 'own' ],
        [ 'foreign_connection', session => $number, connection => 'twin' ],
        [ 'foreign_connection', session => $number, connection => 'nobody' ],
    );

    for my $how (qw(ingest batch each)) {
        for (@cases) {
            my ($action, %o) = @$_;
            my ($r) = outcomes($pg, $how => meta(phone => '4915100000009',
                organization_slug => 'acme', tenant => 'acme',
                claims => '{"default": "acme", "query": "acme",'
                          . ' "query_trusted": true}', %o));
            is(join(' ', grep { defined && $_ ne '' } @$r{qw(action code)}),
               $action, "$how: " . join(' ', %o));
            is($r->{organization}, undef, 'it names no organization');
        }
    }

    is($pg->value("select count(*) from waha.contact_identities
                    where key = '4915100000009'"), 0, 'nobody gets them');

    $pg->psql("update organizations set whatsapp_enabled = false
                where slug = 'own'");
    is(action(meta(session => $third, connection => 'own', phone => 4915)),
       'disabled_organization', 'an organization that is disabled');
    $pg->psql("update organizations set whatsapp_enabled = true
                where slug = 'own'");

    is(action({ %{ message(session => $number, message_id => 'W1',
                           phone => '4915100000001') } }),
       'contradiction', 'WAHA does not speak for a number of Meta');
    is(action({ %{ message(session => $number, message_id => 'W1',
                           phone => '4915100000001') },
                organization_slug => 'acme' }),
       'contradiction', 'whatever it says besides');
    is(action({ provider => 'waha', session => $number, kind => 'session',
                status => 'FAILED', sent_at => 1 }), 'contradiction',
       'nor of its state');
};


subtest 'a number that was handed over' => sub {
    my $moved = '30000000000001';
    connect_number(acme => $moved, 'acme', connection => 'conn-first-xxxxxx');
    $pg->psql("update waha.connections set valid_from = '2026-01-01',
                      valid_to = '2026-02-01', access_token = null
                where phone_number_id = '$moved'");
    connect_number(other => $moved, 'other');
    $pg->psql("update waha.connections set valid_from = '2026-02-10'
                where phone_number_id = '$moved'
                  and organization_slug = 'other'");

    my $at = sub { $pg->value("select (extract(epoch from timestamptz '$_[0]')
                                       * 1000)::bigint") };
    my %early = (session => $moved, sent_at => $at->('2026-01-15'),
                 phone => '4915100000003');
    my %late = (%early, sent_at => $at->('2026-03-01'));

    my $r = outcome($pg, meta(%early, message_id => 'wamid.EARLY'));
    is("$r->{action} $r->{organization}", 'contact_created acme',
       'a message of before is that of the first one');
    $r = outcome($pg, meta(%late, message_id => 'wamid.LATE'));
    is("$r->{action} $r->{organization}", 'contact_created other',
       'a message of now is that of the second one');

    is(action(meta(%early, sent_at => $at->($_))), 'outside_tenure',
       "one of $_ is nobody's")
        for '2025-12-31 23:59:59', '2026-02-01', '2026-02-05',
            '2026-02-09 23:59:59';
    is(action(meta(%early, connection => 'other')), 'foreign_connection',
       'the second one does not speak for the time of the first');
    is(action(meta(%late, connection => 'conn-first-xxxxxx')),
       'foreign_connection', 'nor the first one for that of the second');

    my %read = (kind => 'status', target_id => 'wamid.EARLY',
                status => 'read', session => $moved, message_id => undef,
                sent_at => $at->('2026-03-01'), direction => 'outbound');
    $r = outcome($pg, meta(%read));
    is($r->{organization}, 'acme',
       'a status is told to whoever has the message');
    is(action(meta(%read, connection => 'other')), 'foreign_connection',
       'not by the secret of the second one');
    is($pg->value("select count(*) from waha.message_states
                    where organization_slug = 'other'"), 0,
       'who hears nothing of it');

    is(join(' ', map { $_->{session} }
            @{ reply($pg, list_conversations => 'acme', $moved, undef, undef,
                     9)->{data}{conversations} }), $moved,
       'the first organization keeps its conversation');
    is(reply($pg, export_organization => $_, undef, 200)->{data}{items}
           ? 1 : 0, 1, "$_ exports its own") for qw(acme other);
};


subtest 'people' => sub {
    my %who = (bsuid => 'BR.100', name => 'Ana', username => 'ana.b');

    is(action(meta(%who)), 'contact_created', 'a person without a number');
    is($pg->psql("select c.first_name, c.phone_1, i.kind, i.key, i.seen
                    from waha.contact_identities i
                    join contacts c on c.id = i.contact_id
                   where i.seen = 'BR.100'"),
       'Ana||bsuid|506914307656634/BR.100|BR.100',
       'is known by the user id within the portfolio');
    is(action(meta(%who, session => $second)), 'activity_logged',
       'by another number of the portfolio, too');
    is(action(meta(%who, session => $third, connection => 'own')),
       'contact_created', 'a contact of its own for another organization');
    is($pg->value("select a.metadata->>'username'
                     from contact_activities a
                    where a.metadata ? 'username' limit 1"), 'ana.b',
       'the user name is shown');
    is($pg->value("select count(*) from waha.contact_identities
                    where key like '%ana%'"), 0, 'and is no identity');

    connect_number(acme => '30000000000002', 'acme', account => 555,
                   portfolio => undef, connection => 'conn-alone-xxxxxx');
    is(action(meta(%who, session => '30000000000002')), 'contact_created',
       'the same id of another portfolio is another person');
    is(action(meta(%who, session => '30000000000002')), 'activity_logged',
       'who is known from then on');

    is(action(meta(%who, bsuid => $_)), 'ignored',
       'an id that is too long, or empty') for 'BR.' . 'x' x 1000, '';
};


subtest 'one person with a number of WAHA and one of Meta' => sub {
    outcome($pg, message(message_id => 'WA1', phone => '5511988887777'));
    my $r = outcome($pg, meta(phone => '551188887777', bsuid => 'BR.55'));
    is($r->{action}, 'activity_logged', 'is one contact');
    is($pg->value("select count(*) from waha.conversations
                    where contact_id = $r->{contact_id}"), 2,
       'with two conversations');
    outcome($pg, message(message_id => 'WA2', phone => '5511988887777',
                         lid => '777'));
    is(outcome($pg, meta(bsuid => 'BR.55'))->{contact_id}, $r->{contact_id},
       'also by the user id alone');
    is($pg->value("select string_agg(kind, ' ' order by kind)
                     from waha.contact_identities
                    where contact_id = $r->{contact_id}"),
       'bsuid lid phone', 'with all identities');
};


# the same events in any order and any batches leave the same

subtest 'orders' => sub {
    my %a = (phone => '4915200000001');
    my %b = (bsuid => 'DE.1');
    my %c = (parent_bsuid => 'DE.ENT.1');
    my %d = (bsuid => 'DE.2');

    my %streams = (
        'number and user id' => [
            meta(%a, message_id => 'S1', name => 'Bo'),
            meta(%b, message_id => 'S2', name => 'Bo'),
            meta(%a, %b, message_id => 'S3', name => 'Bo') ],
        'number, user id and its parent' => [
            meta(%a, message_id => 'S1'), meta(%b, message_id => 'S2'),
            meta(%c, message_id => 'S3'),
            meta(%a, %b, %c, message_id => 'S4') ],
        'two user ids of one parent' => [
            meta(%b, message_id => 'S1'),
            meta(%d, session => $second, message_id => 'S2'),
            meta(%b, %c, message_id => 'S3'),
            meta(%d, %c, session => $second, message_id => 'S4') ],
        'with WAHA' => [
            message(message_id => 'S1', lid => '99'),
            message(message_id => 'S2', lid => '99', %a),
            meta(%b, message_id => 'S3'),
            meta(%a, %b, message_id => 'S4') ],
        'a change of the user id' => [
            meta(%b, message_id => 'S1', name => 'Bo'),
            meta(%d, message_id => 'S2', name => 'Bo'),
            user(%d, previous_bsuid => 'DE.1'),
            meta(%d, message_id => 'S3', name => 'Bo') ],
        'a change of the number' => [
            meta(%a, message_id => 'S1'),
            meta(phone => '4915200000002', message_id => 'S2'),
            user(phone => '4915200000002',
                 previous_phone => '4915200000001') ],
        'a chain of changes' => [
            meta(bsuid => 'DE.3', message_id => 'S1'),
            user(bsuid => 'DE.4', previous_bsuid => 'DE.3'),
            user(bsuid => 'DE.5', previous_bsuid => 'DE.4', %a),
            meta(bsuid => 'DE.5', message_id => 'S2') ],
        'states' => [
            meta(%a, %b, message_id => 'S1', direction => 'outbound'),
            (map { state_of('S1', $_, %a) }
                 qw(sent delivered read played failed)),
            state_of('S2', 'failed', %b,
                     details => { errors => [ { code => 131026 } ] }),
            state_of('S2', 'sent', %b,
                     details => { pricing => { billable => 1 } }),
            meta(%b, message_id => 'S2', direction => 'outbound') ],
        'a group' => [
            meta(%a, message_id => 'S1', chat => 'person'),
            (map { my $p = $_; map { state_of('G1', $_, chat => 'group',
                       chat_id => 'g', phone => "491520000000$p") }
                                   qw(sent delivered read failed) } 1 .. 3),
            meta(%a, message_id => 'G1', direction => 'outbound',
                 chat => 'group', chat_id => 'g') ],
    );

    for my $name (sort keys %streams) {
        my @events = @{ $streams{$name} };
        my ($first, $wrong);

        for my $round (0 .. 11) {
            $pg->psql(empty_sql());
            srand $round;

            my @order = $round ? shuffle(@events) : @events;
            @order = ordered(@order) if $name eq 'a group';
            my @doubled = $round % 3 ? (@order, @order) : @order;

            while (@doubled) {
                my @part = splice @doubled, 0, 1 + int rand @doubled;
                my $how = (qw(batch each))[rand 2];
                $how = 'ingest' if @part == 1;
                outcomes($pg, $how => @part);
            }

            my $left = left();
            $first //= $left;
            $wrong //= difference($first, $left) || 'rows'
                if $left ne $first;
        }

        is($wrong, undef, $name);
        unlike($first, qr/\bcontact .*\n.*\bcontact /,
               "$name: it is one contact") if $name ne 'a group';
    }
};


# batches with the same people, in other orders, by three connections at once

subtest 'at the same moment' => sub {
    my @people = map { { phone => "49153000000$_", bsuid => "DE.R$_",
                         parent_bsuid => "DE.ENT.R$_" } } 10 .. 15;
    my @events = map {
        my %who = %$_;
        my $one = $who{bsuid};

        (meta(phone => $who{phone}, message_id => "P$one"),
         meta(bsuid => $one, message_id => "B$one"),
         message(phone => $who{phone}, lid => '77' . substr($one, -2),
                 message_id => "W$one"),
         meta(parent_bsuid => $who{parent_bsuid}, message_id => "E$one",
              session => $second),
         meta(%who, message_id => "A$one"),
         state_of("A$one", 'read', bsuid => $one))
    } @people;

    $pg->psql(empty_sql());
    outcomes($pg, batch => @events);
    my $alone = left();
    my $deadlocks = $pg->deadlocks;
    my @s = map { $pg->session(user => 'waha_gateway') } 1 .. 3;

    for my $round (1 .. 4) {
        $pg->psql(empty_sql());
        srand $round;

        my @todo = map { [ shuffle(@events) ] } @s;
        my $tries = 0;

        while (my @busy = grep { @{ $todo[$_] } } 0 .. $#s) {
            my %part = map { $_ => [ splice @{ $todo[$_] }, 0,
                                     1 + int rand 12 ] } @busy;
            $s[$_]->async(call_sql(batch => @{ $part{$_} })) for @busy;

            # what a batch of others was faster with is sent again

            for my $n (@busy) {
                my $text = $s[$n]->result // 'ERROR: no answer';
                next if $text !~ /ERROR:  (.*)/;
                $text =~ /meanwhile|could not obtain lock/
                    && $tries++ < 100 or die $text;
                unshift @{ $todo[$n] }, @{ $part{$n} };
            }
        }

        is(difference($alone, left()), '', "round $round: as one by one");
    }

    is($pg->deadlocks, $deadlocks, 'no two of them waited for each other');
};


subtest 'changes of a person' => sub {
    $pg->psql(empty_sql());
    is(action(user(bsuid => 'DE.2', previous_bsuid => 'DE.1',
                   name => 'Book')), 'ignored', 'of somebody unknown');
    is($pg->value('select count(*) from contacts'), 0, 'make no contact');

    outcome($pg, meta(bsuid => 'DE.1', phone => '4915200000001'));
    is(action(user(phone => '4915200000001', name => 'Book Name')),
       'contact_updated', 'a name in the address book');
    is(names(), 'Book|Name', 'is shown where there is none');
    is(action(user(phone => '4915200000001', name => 'Other')),
       'duplicate', 'another one');
    is(names(), 'Book|Name', 'changes nothing');
    outcome($pg, meta(bsuid => 'DE.1', name => 'Real'));
    is(names(), 'Real|', 'the own name of the person is better');

    is(action(user(phone => '4915200000007', bsuid => 'DE.9',
                   previous_phone => '4915200000001')),
       'contact_updated', 'a new number');
    is(action(user(phone => '4915200000007', bsuid => 'DE.9',
                   previous_phone => '4915200000001')), 'duplicate',
       'once more');
    is($pg->psql('select phone_1, phone_2 from contacts'),
       '+4915200000001|+4915200000007', 'is one more number');
    is(action(meta(phone => '4915200000007')), 'activity_logged',
       'by which the person is known');
    is(action(meta(bsuid => 'DE.9')), 'activity_logged',
       'and by the new user id');
    is($pg->value('select count(*) from contacts'), 1,
       'all is one contact');
};


subtest 'states' => sub {
    $pg->psql(empty_sql());
    outcome($pg, meta(phone => '4915200000001', direction => 'outbound',
                      message_id => 'S1'));
    my ($activity) = map { $_->{contact_id} }
                     outcome($pg, meta(phone => '4915200000001'));
    my $shown = sub {
        my ($a) = grep { $_->{message_id} eq 'S1' }
            @{ reply($pg, list_activities => 'acme', $activity, undef, undef,
                     undef, undef, 9)->{data}{activities} };
        return $a;
    };

    is($shown->()->{metadata}{status_details}, undef, 'there are no details');
    is(action(state_of('S1', 'sent', phone => '4915200000001',
           details => { pricing => { category => 'service' } })),
       'status_updated', 'a status with details');
    is_deeply($shown->()->{metadata}{status_details},
              { sent => { pricing => { category => 'service' } } },
              'they are shown');
    is(action(state_of('S1', 'failed', phone => '4915200000001',
           details => { errors => [ { code => 131047, title => 'x' } ] })),
       'status_updated', 'an error');
    is($shown->()->{status} . ' '
       . $shown->()->{metadata}{status_details}{failed}{errors}[0]{code},
       'failed 131047', 'is shown with its code');
    outcome($pg, state_of('S1', 'delivered', phone => '4915200000001',
                          details => { x => 'y' x 9000 }));
    is_deeply($shown->()->{metadata}{status_details}{delivered},
              { truncated => JSON::PP::true }, 'very long ones are left out');
    is($shown->()->{status}, 'delivered', 'the status goes on');
    is(action(state_of('S1', 'sent', phone => '4915200000001')), 'duplicate',
       'but not back');
};


subtest 'news of an account' => sub {
    connect_number(acme => $number, 'acme');
    $pg->psql("update waha.sessions set phone = '15550783881'
                where provider = 'meta'");
    my $news = sub {
        my ($field, $value, %o) = @_;
        return action(news($field, $value, %o));
    };
    my $shown = sub { reply($pg, show_number => 'acme', $number)->{data} };

    is($news->(message_template_status_update => { event => 'APPROVED' }),
       'account_updated', 'of a template');
    is($shown->()->{state}{message_template_status_update}{value}{event},
       'APPROVED', 'are shown');
    is($news->(message_template_status_update => { event => 'APPROVED' }),
       'duplicate', 'once');
    is($news->(message_template_status_update => { event => 'PENDING' },
               sent_at => 1000), 'duplicate', 'older ones are not');
    is($news->(phone_number_quality_update =>
               { display_phone_number => '15550783881', event => 'FLAGGED',
                 current_limit => 'TIER_50' }), 'account_updated',
       'of the quality');
    is(join(' ', @{ $shown->()->{session} }{qw(quality limit)}),
       'RED TIER_50', 'change the number');
    is($news->(phone_number_quality_update =>
               { display_phone_number => '199', event => 'UNFLAGGED' },
               sent_at => 1795226570000), 'ignored', 'of another number');
    is($shown->()->{session}{quality}, 'RED', 'do not');

    is($news->(account_update => { event => 'DISABLED_UPDATE',
               ban_info => { waba_ban_state => 'DISABLE' } }),
       'account_updated', 'a ban');
    is($shown->()->{session}{status}, 'RESTRICTED', 'restricts the number');
    is($news->(account_update => { event => 'VERIFIED_ACCOUNT' },
               sent_at => 1795226570000), 'account_updated', 'other news');
    is(reply($pg, record_number_check => 'acme', $number,
             '{"status": "CONNECTED"}')->{data}{session}{status},
       'RESTRICTED', 'and a check do not end that');
    is($news->(account_update => { event => 'DISABLED_UPDATE',
               ban_info => { waba_ban_state => 'REINSTATE' } },
               sent_at => 1795226580000), 'account_updated',
       'the end of the ban');
    is($shown->()->{session}{status}, 'CONNECTED', 'does');

    is($news->(account_update => { event => 'ACCOUNT_RESTRICTION',
               restriction_info => [ { restriction_type => 'X',
                                       expiration => time - 10 } ] },
               sent_at => 1795226590000), 'account_updated',
       'a restriction that is over');
    is($shown->()->{session}{status}, 'CONNECTED', 'restricts nothing');

    is($news->(account_update => {}, session => '42'), 'ignored',
       'of an unknown account');
    is($news->(account_update => {}, session => '1003'),
       'foreign_connection', "of an organization's own app by the operator");
    is($news->(account_update => { event => 'X' }, session => '1003',
               connection => 'own'), 'account_updated', 'by its own');
    is($news->(account_update => { event => 'X' }, connection => 'own'),
       'foreign_connection', 'of another account by that app');

    $news->("field$_" => { n => $_ }, sent_at => 1795226600000 + $_)
        for 1 .. 40;
    is(scalar keys %{ $shown->()->{state} }, 32, 'there are bounds');
};


subtest 'what is kept in quarantine' => sub {
    my %foreign = (session => $number, connection => 'own',
                   phone => '4915100000001', message_id => 'wamid.Q1');
    my $id = set_aside('foreign_connection', meta(%foreign));
    is($pg->psql('select kind, instance, session_name
                    from waha.quarantine_fill order by kind'),
       "stranger|meta own|$number\nstrangers|meta own|",
       'counts for whoever has signed it');
    is($pg->rows("select * from waha.replay($id)")->[0][1],
       'foreign_connection', 'it is not stored by a replay');
    is($pg->value("select resolved_at from waha.quarantine
                    where id = $id"), undef, 'and not resolved');

    my %same = (session => $number, phone => '4915100000001',
                message_id => 'wamid.Q3', raw => 'the same bytes');
    $id = set_aside('data_error', meta(%same));
    isnt(set_aside('foreign_connection', meta(%same, connection => 'own')),
         $id, 'who signs what another one has sent');
    is($pg->rows("select * from waha.replay($id)")->[0][1],
       'contact_created', 'does not change what is kept of that');
    my $unread = set_aside('unreadable:messages.id', meta(%same));
    isnt(set_aside('unreadable:messages.id', meta(%same,
             connection => 'own')), $unread, 'also where it is not readable');
    $pg->psql('delete from waha.quarantine');

    my $contact = outcome($pg, meta(phone => '4915100000001',
                                    bsuid => 'DE.77'))->{contact_id};
    $id = set_aside('data_error', meta(bsuid => 'DE.77',
                                       message_id => 'wamid.Q2'));
    is($pg->value("select count(*) from waha.quarantine
                    where id = $id and instance is null"), 1,
       'of a known number it counts for that');
    is(scalar @{ reply($pg, export_contact => 'acme', $contact, undef, 9)
                     ->{data}{quarantine} }, 1,
       'a person is exported with it');
    is($pg->rows("select * from waha.replay($id)")->[0][1],
       'activity_logged', 'it is stored by a replay');

    my $r = reply($pg, erase_contact => 'acme', $contact);
    is($r->{data}{quarantine}, 1, 'an erasure takes it');
    is($pg->value("select count(*) from waha.contact_identities
                    where key like '%DE.77'"), 0, 'with the user id');
    is(action(meta(bsuid => 'DE.77', message_id => 'wamid.Q2')),
       'duplicate', 'which does not come back');
};

$t->done;


sub connect_number {
    my ($organization, $phone_number_id, $name, %d) = @_;

    my $connection = delete $d{connection} // $connection{$name};
    my $own = delete $d{own_secret};

    my $r = reply($pg, connect_number => $organization, $phone_number_id,
                  $connection, $json->encode({
        account => '1001', portfolio => '506914307656634',
        phone => '15550783881', name => 'Acme', maximum => 99, %d,
        own_secret => $own ? JSON::PP::true : JSON::PP::false }));
    die "$phone_number_id: $r->{code}" if defined $r->{code};
}


sub meta {
    my (%o) = @_;

    my %told = map { $_ => delete $o{$_} }
               grep { defined $o{$_} }
               qw(connection account bsuid parent_bsuid username field
                  previous_phone previous_bsuid details);
    $told{connection} = $connection{ $told{connection} }
                        // $told{connection} if exists $told{connection};

    return { provider => 'meta', session => $number, kind => 'message',
             direction => 'inbound', chat => 'person', type => 'text',
             body => 'hi', sent_at => 1795226560000, metadata => '{}',
             message_id => 'wamid.' . ++$n, %o,
             meta => $json->encode(\%told) };
}


sub user { return meta(kind => 'user', type => undef, body => undef, @_) }


sub state_of {
    my ($target, $status, %o) = @_;

    return meta(kind => 'status', target_id => $target, status => $status,
                message_id => undef, direction => 'outbound', body => undef,
                type => undef, %o);
}


sub news {
    my ($field, $value, %o) = @_;

    return meta(kind => 'account', session => '1001', message_id => undef,
                field => $field, details => $value, %o);
}


sub action { return outcome($pg, $_[0])->{action} }


# who writes into a group has to be known by a message before

sub ordered {
    return ((grep { $_->{chat} ne 'group' } @_),
            (grep { $_->{chat} eq 'group' } @_));
}


sub names { return $pg->psql('select first_name, last_name from contacts') }


sub left {
    $pg->psql('select waha.maintain()');

    return join("\n", map { join ' | ', map { join ',', sort split /,/ }
                                       split / \| / }
                      split /\n/, stored($pg)) . "\n"
           . $pg->psql("select message_id, details from waha.message_states
                         where details is not null order by 1");
}


sub set_aside {
    my ($reason, $event) = @_;

    return $pg->value("select waha.quarantine(" . join(', ',
        map { quote($_) } $reason, undef,
        delete $event->{raw} // 'raw ' . ++$n,
        map { $event->{$_} } @arguments) . ')', user => 'waha_gateway');
}
