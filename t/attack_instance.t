# The key of one WAHA server, in the hands of an attacker, reaches no session of
# another server: another organization sees nothing of what it signs.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization($_) for 'acme', 'bolt', 'calm';
$pg->psql(q{
    select waha.add_session('acme', 'a1', 'waha-1');
    select waha.add_session('bolt', 'b1', 'waha-2');
    select waha.add_session('calm', 'c1');
});

my $keys = $t->dir;
spew_secret("$keys/one.key", 'key-of-one');
spew_secret("$keys/two.key", 'key-of-two');

$t->nginx(conf => <<'EOF_CONF' =~ s/KEYS/$keys/gr);
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key KEYS/one.key instance=waha-1;
            waha_hmac_key KEYS/two.key instance=waha-2;
            waha_tenant_from session metadata pattern query sender;
            waha_default_organization calm;
        }
    }
}
EOF_CONF
$t->start;

$t->webhook($t->message(session => 'b1', id => 'OWN', from => '4915110000001'),
            key => 'key-of-two');
$t->webhook($t->session_status('b1', 'WORKING'), key => 'key-of-two');

my $before = visible();
my $id = $pg->organization_id('bolt');
my $number = 0;

my @claims = ({ organization_slug => 'bolt' }, { organization_id => "$id" },
              { 'tenant.id' => 'bolt' }, {});
my @sessions = ('b1', 'c1', 'made-up', 'tenant-bolt', "tenant_$id", 'B1');
my %answers;

for my $claim (@claims) {
    for my $session (@sessions) {
        my %from = (session => $session, metadata => $claim);

        for my $body ($t->message(id => 'X' . ++$number,
                                  from => '4915110000001', %from),
                      $t->message(id => 'X' . ++$number, fromMe => 1,
                                  to => '4915110000001@c.us', %from),
                      $t->session_status($session, 'WORKING',
                                         metadata => $claim),
                      $t->session_status($session, 'SCAN_QR_CODE',
                                         metadata => $claim))
        {
            for my $query ('', '?org=bolt') {
                my $r = $t->webhook($body, key => 'key-of-one',
                              path => "/api/whatsapp/webhook$query");
                my $d = $r->{json}{data};
                $answers{join ' ', $r->{status},
                         map { $_ // '-' } @$d{qw(action reason organization
                                                  tenantId contactId)}}++;
            }
        }
    }
}

is(join(', ', sort keys %answers), '200 quarantined foreign_instance - - -',
   'each event is quarantined, and the answer names nobody');
is(visible(), $before, 'nothing of the other organizations has changed');
is($pg->value("select string_agg(name, ' ' order by name)
                 from waha.sessions"), 'a1 b1 c1', 'no session is added');
is($pg->value("select instance is null from waha.sessions
                where name = 'c1'"), 't',
   'a session without a server is not captured');
like($t->nginx->error_log,
     qr/\[warn\].* waha: the key of instance "waha-1" signed .*"b1"/,
     'the error log names the key');


subtest 'in batches and one by one' => sub {
    my $trap = sub {
        return { provider => 'waha', kind => 'session', instance => 'waha-1',
                 session => 'b1', status => 'SCAN_QR_CODE',
                 sent_at => 1995226560000, organization_slug => 'bolt' };
    };

    for my $how ('ingest', 'batch', 'each') {
        my @records = ($trap->(),
            inbound(session => 'b1', instance => 'waha-1',
                    phone => '4915110000001', organization_slug => 'bolt'),
            status(session => 'b1', instance => 'waha-1', target_id => 'OWN',
                   status => 'read'),
            { %{ inbound(session => 'b1', instance => 'waha-1',
                         phone => '4915110000001') },
              kind => 'edit', target_id => 'OWN' });

        for my $set ($how eq 'ingest' ? map { [ $_ ] } @records
                                      : \@records)
        {
            my @got = outcomes($pg, $how, @$set);
            is($_->{action}, 'foreign_instance', "$how refuses it") for @got;
            is(join('', map { $_->{organization} // '' } @got), '',
               "$how names no organization");
        }

        is(visible(), $before, "$how has changed nothing");
    }

    # a neighbour in the batch is not affected

    my @mixed = outcomes($pg, batch => $trap->(),
        inbound(session => 'a1', instance => 'waha-1', phone => '4917'));
    is($mixed[1]{organization}, 'acme', "the key's own session is served");
    is(visible(), $before, 'the other organizations have not changed');
};


subtest 'what is in quarantine' => sub {
    my $contact = $pg->value("select contact_id from waha.contact_identities
                               where organization_slug = 'bolt' limit 1");
    my $export = $pg->psql(reply_sql(export_contact => 'bolt', $contact,
                                     undef, undef), user => 'waha_gateway');
    unlike($export, qr/foreign_instance/,
           'the export of a person does not show what a foreign key signed');

    $t->webhook($t->message(id => 'LATE', session => 'c1',
                            from => '4915110000002'), key => 'key-of-one');
    my $event = $pg->value("select id from waha.quarantine
                             where event->>'message_id' = 'LATE'");
    is($pg->value("select action from waha.replay($event)"),
       'foreign_instance', 'a replay is refused, too');
    is($pg->value("select resolved_at is null from waha.quarantine
                    where id = $event"), 't', 'the event stays open');

    $pg->psql("select waha.add_session('calm', 'c1', 'waha-1')");
    is($pg->value("select action from waha.replay($event)"),
       'contact_created', 'it succeeds when the session is bound to the key');
};


$t->done;


sub visible {
    return join "\n",
        grep { !/\bacme\b|\ba1\b/ }
        map { join '|', map { $_ // '-' } @$_ }
        map { @{ $pg->rows($_) } }
        "select 'contact', organization_slug, id, first_name, phone_1
           from contacts where organization_slug <> 'acme' order by id",
        "select 'activity', organization_slug, id, message_content,
                metadata::text from contact_activities
          where organization_slug <> 'acme' order by id",
        "select 'conversation', organization_slug, last_message, unread_count
           from waha.conversations order by 2, 3",
        "select 'state', organization_slug, message_id, status, edits::text
           from waha.message_states order by 2, 3",
        "select 'session', name, organization_slug, instance, status, phone,
                connected_at, disconnected_at from waha.sessions order by 2",
        "select 'organization', slug, whatsapp_session_name, whatsapp_status,
                whatsapp_phone_number from organizations order by 2";
}
