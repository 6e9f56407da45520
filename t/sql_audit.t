# waha.audit: each operation has its row, in its own transaction; who may see
# and who may change the rows; what stays of them after an erasure.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('other', session => 't2');
$pg->psql('create role alice login in role waha_admin;
           create role clerk login in role waha_reader;');

my $acme = $pg->organization_id('acme');


# the rows since the last call, oldest first: the columns, "-" for null

my $seen = 0;

sub rows {
    my $columns = join ', ', map { "coalesce($_\::text, '-')" }
                             @_ ? @_ : qw(organization_slug principal name
                                          operation);

    my @rows = map { join ' ', @$_ } @{ $pg->rows(
        "select $columns from waha.audit where id > $seen order by id") };
    $seen = $pg->value('select coalesce(max(id), 0) from waha.audit');

    return join ', ', @rows;
}


# calls a function as the module does for an actor

sub act {
    my ($actor, $name, $organization, @arguments) = @_;

    my $sql = reply_sql($name, 'ORGANIZATION', @arguments);
    $sql =~ s/E?'ORGANIZATION'/waha.act_as('$organization', '$actor')/;

    return decode(@{ $pg->rows($sql, user => 'waha_gateway')->[0] });
}


sub person {
    my ($phone, $session) = @_;

    outcomes($pg, batch => message(message_id => "M$phone", phone => $phone,
                                   session => $session, body => 'secret',
                                   name => 'Zaphod Secret'));

    return $pg->value("select contact_id from waha.contact_activities
                        where message_id = 'M$phone'");
}


subtest 'each operation has its row' => sub {
    rows();

    my $key = act('operator key 1a2b3c4d', create_api_key => 'acme', 'Zaphod',
                  'read', 60)->{data}{id};
    is(rows(), 'acme key 1a2b3c4d key.create', 'a key is made');
    act('operator key 1a2b3c4d', delete_api_key => 'acme', $key);
    is(rows('operation', "details->>'key'"), "key.delete $key",
       'a key is revoked');

    act('operator jwt eve@example.com', put_organization => 'acme', 'Zaphod',
        '49', 'true');
    is(rows('name', 'operator', 'operation', 'details'),
       'eve@example.com true organization.change '
       . '{"given": ["name", "country_code", "enabled"], "enabled": true}',
       'an organization is changed');
    act('operator jwt eve', put_organization => 'acme', undef, undef, undef);
    is(rows(), '', 'nothing is changed');
    act('operator jwt eve', put_organization => 'new', undef, undef, undef);
    is(rows(), 'new jwt eve organization.create', 'an organization is made');
    act('operator jwt eve', ensure_organization => 'new2');
    is(rows(), 'new2 jwt eve organization.create', 'the same by a client');
    act('operator jwt eve', put_organization => 'new', undef, undef, 'false');
    act('tenant jwt bob', enable_organization => 'new');
    act('tenant jwt bob', enable_organization => 'new');
    is(rows('name', "details->>'enabled'"), 'eve false, bob true',
       'an organization is disabled, then enabled by a client');

    my $session = act('tenant jwt bob', reserve_session => 'new', undef,
                      undef, [ 'w1' ], 3)->{data}{session}{session};
    act('tenant jwt bob', reserve_session => 'new', undef, undef, [ 'w1' ], 3);
    is(rows('name', 'operation', 'session_name'),
       "bob session.create $session", 'a session is made once');
    my $holder = act('tenant jwt bob', begin_operation => 'new', $session,
                     'connect', 60)->{data}{holder};
    is(rows(), 'new jwt bob session.connect', 'an operation begins');
    act('tenant jwt eve', begin_operation => 'new', $session, 'stop', 60);
    act('tenant jwt eve', begin_operation => 'new', 'none', 'stop', 60);
    is(rows(), '', 'an operation that is refused');
    act('tenant jwt bob', end_operation => 'new', $session, $holder, 0, 'true',
        undef, 'http://a');
    is(rows(), '', 'the configuration of a new session');
    $holder = act('tenant jwt bob', begin_operation => 'new', $session,
                  'start', 60)->{data}{holder};
    act('tenant jwt bob', end_operation => 'new', $session, 'lost', 0, 'true',
        undef, 'http://b');
    act('tenant jwt bob', end_operation => 'new', $session, $holder, 0, 'true',
        undef, 'http://b');
    is(rows('operation'), 'session.start, session.configure',
       'the configuration is changed');

    my $id = person('79220000001', 't1');
    act('operator jwt eve', export_contact => 'acme', $id, undef, 10);
    act('operator jwt eve', export_organization => 'acme', undef, 10);
    act('operator jwt eve', erase_contact => 'acme', $id);
    is(rows('operation', 'contact_id'), "contact.export $id, "
       . "organization.export -, contact.erase $id", 'privacy');

    my $first = person('79220000002', 't1');
    my $second = $pg->value("insert into waha.contacts as c
        (organization_slug, first_name, last_name, phone_1, contact_type,
         state) values ('acme', 'A', 'B', '', 'lead', '') returning c.id");
    $pg->psql("insert into waha.merges (organization_slug, kept_id, merged_id,
                   identities, kept_was, merged_was)
               values ('acme', $first, $second, '{}',
                   '{}', '{\"first_name\": \"A\", \"last_name\": \"B\"}');
               update waha.contacts set merged_into = $first
                where id = $second");
    $pg->psql("select waha.unmerge('acme', $second)", user => 'alice');
    is(rows('principal', 'name', 'operation', 'contact_id', 'details'),
       qq(role alice contact.unmerge $second {"kept": $first}),
       'a merge is undone in psql');

    my $event = $pg->value("select waha.quarantine('unknown_organization',
        null, 'x', 'waha', null, 't1', 'message', 'inbound', 'person', 'A8',
        null, '79220000002', null, null, 'text', 'hi', 1, null, '{}', null,
        null, null, null)", user => 'waha_gateway');
    $pg->psql("select waha.replay($event)", user => 'alice');
    is(rows('organization_slug', 'operation', 'session_name', 'contact_id',
            "details->>'event'"),
       "acme quarantine.replay t1 $first $event", 'an event is replayed');

    $pg->psql("select waha.add_session('acme', 't9', 'w1')", user => 'alice');
    is(rows('operation', 'session_name', 'details'),
       'session.assign t9 {"instance": "w1"}', 'a session is assigned');
    $key = $pg->value("select waha.create_operator_key('Zaphod')",
                      user => 'alice');
    my $own = substr $key, 4, 8;
    $pg->psql("select waha.delete_operator_key('$_')", user => 'alice')
        for $own, $own;
    is(rows('organization_slug', 'name', 'operation', "details->>'key'"),
       "- alice key.create $own, - alice key.delete $own",
       "an operator's key is made and revoked once");

    my $all = $pg->value('select jsonb_agg(to_jsonb(a)) from waha.audit a');
    unlike($all, qr/Zaphod|secret|7922000/i,
           'no row has a name, a number, a label or a text');
    unlike($all, qr/\Q${\ substr $key, 13}\E/, 'no row has a secret');
};


subtest 'in the same transaction' => sub {
    my $id = person('79220000003', 't1');
    rows();

    for my $sql ("waha.create_api_key('acme', null, null, null)",
                 "waha.put_organization('acme', 'x', null, null)",
                 "waha.begin_operation('acme', 't1', 'stop', 60)",
                 "waha.note_operation('acme', 't1', 'qr')",
                 "waha.export_contact('acme', $id, null, 10)",
                 "waha.erase_contact('acme', $id)")
    {
        $pg->psql("begin; select * from $sql; rollback",
                  user => 'waha_gateway');
        is(rows(), '', "$sql: nothing is told of what was taken back");
    }

    is($pg->value("select count(*) from waha.contacts where id = $id"), 1,
       'nothing was erased');

    # what cannot be told cannot be done

    $pg->psql("create function public.no_room() returns trigger
               language plpgsql as \$\$ begin raise 'disk full'; end \$\$;
               create trigger no_room before insert on waha.audit
                   for each row execute function public.no_room()");
    like($pg->error("select * from waha.erase_contact('acme', $id)",
                    user => 'waha_gateway'), qr/disk full/,
         'an erasure without its row fails');
    $pg->psql('drop trigger no_room on waha.audit');
    is($pg->value("select count(*) from waha.contacts where id = $id"), 1,
       'it has erased nothing');

    is(act('operator jwt eve', erase_contact => 'acme', 1e9)->{code},
       'unknown_contact', 'an erasure is refused');
    is(act('operator jwt eve', delete_api_key => 'acme', 'none')->{code},
       'unknown_key', 'a revocation is refused');
    is(act('operator jwt eve', export_contact => 'other', $id, undef,
           10)->{code}, 'unknown_contact', 'an export is refused');
    is(rows(), '', 'what is refused leaves no row');
};


subtest 'who acts' => sub {
    act('tenant variable acme', note_operation => 'acme', 't1', 'qr');
    act('tenant link ', note_operation => 'acme', 't1', 'qr');
    act('tenant jwt ', note_operation => 'acme', 't1', 'qr');
    act("tenant jwt M\xc3\xbcller a\n" . 'x' x 500,
        note_operation => 'acme', 't1', 'qr');
    is(rows('principal', 'name', 'operator', 'login') =~ s/x{9,}/xx/r,
       'variable acme false waha_gateway, link - false waha_gateway, '
       . 'jwt - false waha_gateway, '
       . "jwt M\xc3\xbcller a\nxx false waha_gateway", 'callers of the API');
    is($pg->value("select max(length(name)) from waha.audit"), 200,
       'a long name is cut');

    code($pg, note_operation => 'acme', 't1', 'passkey');
    is(rows('principal', 'name', 'operator'), 'role waha_gateway -',
       'a module that names no caller');
    act('postgres', note_operation => 'acme', 't1', 'pairing-code');
    is(rows('principal', 'name'), 'role waha_gateway',
       'what is no actor is none');

    $pg->psql("set waha.actor = 'operator jwt eve';
               select waha.add_session('acme', 't8')", user => 'alice');
    is(rows('name', 'login'), 'eve alice',
       'who says to be another is still told by the login');

    my $psql = $pg->session(user => 'waha_gateway');
    $psql->query("select * from waha.create_api_key(
                      waha.act_as('other', 'operator jwt eve'), null, null,
                      null)");
    $psql->query("select * from waha.create_api_key('other', null, null,
                                                    null)");
    is(rows('principal', 'name'), 'jwt eve, role waha_gateway',
       'an actor ends with its transaction');
};


subtest 'what is done again and again' => sub {
    my $minutes = "select count(distinct date_trunc('minute', at))
                     from waha.audit where id > $seen and operation = ";
    my @psql = map { $pg->session(user => 'waha_gateway') } 1 .. 8;

    for my $n (1 .. 5) {
        $_->async("select waha.note_operation(
                       waha.act_as('acme', 'tenant jwt polls'), 't1', 'qr')")
            for @psql;
        $_->result for @psql;
    }

    my $spans = $pg->value("$minutes 'session.qr'");
    is(scalar(split /, /, rows()), $spans,
       'eight clients that ask for a QR code leave one row in a minute');

    act("tenant jwt $_->[0]", note_operation => 'acme', @$_[1, 2])
        for [ 'a', 't1', 'qr' ], [ 'b', 't1', 'qr' ], [ 'a', 't2', 'qr' ],
            [ 'a', 't1', 'passkey' ];
    is(scalar(split /, /, rows()), 4,
       'another caller, session or operation has its own');
    is(act('tenant jwt a', note_operation => 'acme', 't1', $_)->{code},
       'invalid_argument', 'an unknown operation')
        for 'x', undef;

    my $id = person('79220000004', 't1');
    person('79220000005', 't1');
    act('operator jwt eve', export_contact => 'acme', $id, undef, 1)
        for 1 .. 2;
    is(scalar(split /, /, rows()), 2, 'each export has its row');

    my $hours = "select count(distinct date_trunc('hour', at))
                   from waha.audit where id > $seen and name = 'page'";
    my $after;
    do {
        $after = act('operator jwt page', export_organization => 'acme',
                     $after, 1)->{data}{next};
    } while (defined $after);
    $spans = $pg->value($hours);
    is(scalar(split /, /, rows()), $spans, 'but not each of its pages');

    my $cursor = $pg->value("select waha.to_cursor('$id,')");
    act('operator jwt half', export_contact => 'acme', $id, $cursor, 1);
    is(rows('name', 'operation'), 'half contact.export',
       'an export that begins at its second page');
};


subtest 'who sees the rows' => sub {
    my $n = $pg->value("select count(*) from waha.audit
                         where organization_slug = 'acme'");
    my @pages = pages($pg, list_audit => [ 'acme' ], [ 7 ]);
    my @ids = map { $_->{id} } map { @{ $_->{audit} } } @pages;
    is(scalar @ids, $n, 'an organization sees all of its rows');
    is("@ids", join(' ', sort { $b <=> $a } @ids), 'the newest row first');
    is(join(' ', sort keys %{ $pages[0]{audit}[0] }),
       'at contact_id details id name operation operator principal session',
       'the members of a row');

    my $others = reply($pg, list_audit => 'other', undef, 200)->{data}{audit};
    is(join(' ', map { $_->{operation} } @$others), 'key.create key.create',
       'another organization sees its own rows only');

    is(code($pg, list_audit => 'none', undef, undef), 'unknown_organization',
       'an unknown organization');
    is(code($pg, list_audit => 'acme', @$_), 'invalid_argument',
       'an invalid page')
        for [ 'x', 5 ], [ undef, 0 ], [ undef, 201 ];

    my $plan = $pg->psql("set role waha_api; set enable_seqscan = off;
        set enable_bitmapscan = off; set waha.organization = 'other';
        explain select * from waha.audit k
                 where k.organization_id = any (array[$acme]) and k.id < 9
                 order by k.organization_id desc, k.id desc limit 5");
    like($plan, qr/Index Scan Backward using audit_organization/,
         'a page reads rows of its organization only');
    unlike($plan, qr/Sort/, 'in the order of the index');

    is($pg->value("set role waha_api;
                   set waha.organization_id = '" . $pg->organization_id('other')
                  . "'; select string_agg(distinct organization_slug, ' ')
                     from waha.audit"), 'other',
       'the functions that read see one organization');
    is($pg->value('set role waha_api; select count(*) from waha.audit'), 0,
       'without an organization they see no row');
    is($pg->value('select count(*) > 30 from waha.audit', user => 'alice'),
       't', 'an administrator sees all rows');
    like($pg->error('select from waha.audit', user => $_),
         qr/permission denied/, "$_ cannot read the table")
        for 'clerk', 'waha_gateway';

    for my $who ('alice', 'clerk', 'waha_gateway') {
        like($pg->error($_, user => $who), qr/permission denied/,
             "$who: $_")
            for 'delete from waha.audit', 'truncate waha.audit',
                "update waha.audit set name = 'x'",
                'select waha.drop_audit(1)',
                "insert into waha.audit (principal, login, operation)
                     values ('x', 'x', 'x')",
                "select waha.record_audit('acme', 'x')";
    }
};


subtest 'retention' => sub {
    my $all = $pg->value('select count(*) from waha.audit');

    $pg->psql("update waha.audit set at = now() - interval '399 days'");
    $pg->psql('select waha.maintain()', user => 'alice');
    is($pg->value('select count(*) from waha.audit'), $all,
       'rows are kept for 400 days');

    $pg->psql('select waha.keep_audit(398)', user => 'alice');
    is(rows('name', 'operation', 'details'),
       'alice audit.keep {"days": 398}', 'the change is told');
    $pg->psql('select waha.maintain(10)', user => 'alice');
    is($pg->value('select count(*) from waha.audit'), $all + 1 - 10,
       'a portion of older rows is removed');
    ok($pg->value('select waha.maintain()', user => 'alice') >= $all - 10,
       'the rest is counted');
    is($pg->value('select count(*) from waha.audit'), 1,
       'newer rows stay');

    like($pg->error("select waha.keep_audit($_)", user => 'alice'),
         qr/kept for 1 to 36500 days/, "keep_audit($_)")
        for 0, -1, 36501, 'null';
    like($pg->error('select waha.keep_audit(1)', user => 'waha_gateway'),
         qr/permission denied/, 'the gateway cannot change it');
};


subtest 'changes of bounds' => sub {
    rows();
    $pg->psql("select waha.remember_erased('8 days'),
                      waha.limit_quarantine(20000, 1000000)", user => 'alice');
    is(rows('name', 'operation', 'details'),
       'alice erasure.keep {"time": "8 days"}, '
       . 'alice quarantine.limit {"bytes": 1000000, "events": 20000}',
       'each leaves a row');
};


subtest 'the deletion of an organization' => sub {
    rows();
    act('tenant jwt bob', note_operation => 'acme', 't1', 'qr');
    act('tenant variable acme', note_operation => 'acme', 't1', 'passkey');
    act('tenant key 11111111', note_operation => 'acme', 't1', 'qr');
    act('operator jwt eve', note_operation => 'acme', 't1', 'qr');
    act('tenant jwt bob', note_operation => 'other', 't2', 'qr');
    $pg->psql("update waha.sessions set deleted_at = now()
                where organization_slug = 'acme'");

    my ($r, @parts);
    do {
        $r = act('operator jwt eve', delete_organization => 'acme');
        push @parts, 'acme eve organization.delete';
    } until $r->{code} || $r->{data}{complete};
    is($r->{data}{organization}, 'deleted', 'the organization is deleted');

    is(rows('organization_slug', 'name', 'operation'),
       join(', ', 'acme - session.qr', 'acme - session.passkey',
            'acme 11111111 session.qr', 'acme eve session.qr',
            'other bob session.qr', @parts),
       'its rows stay, without the names of its people');

    $pg->organization('acme');
    isnt($pg->organization_id('acme'), $acme, 'its slug is given again');
    is_deeply(reply($pg, list_audit => 'acme', undef, 10)->{data},
              { audit => [], next => undef },
              'the new organization does not see the rows of the old one');
};

$t->done;
