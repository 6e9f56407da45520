# Plans that were made while the tables were empty are still good when they are
# full: each access uses the right index, even beside the CRM's own indexes.

use Waha::Test;
use Waha::Ingest;

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0, conf => <<'EOF_CONF');
session_preload_libraries = 'auto_explain'
auto_explain.log_nested_statements = on
autovacuum = off
EOF_CONF

# the tables of the integration guide, with its indexes

$pg->psql(<<'EOF_SQL');
create table organizations (id serial primary key,
    slug varchar(255) not null unique);
create table contacts (id serial primary key,
    organization_slug varchar(255) not null, phone_1 varchar(50));
create index contacts_org_phone on contacts (organization_slug, phone_1);
create index contacts_org on contacts (organization_slug);
create table contact_activities (id serial primary key,
    contact_id int not null references contacts on delete cascade,
    organization_slug varchar(255) not null, activity_type varchar(50),
    created_at timestamp default now());
create index activities_contact on contact_activities (contact_id);
create index activities_org on contact_activities (organization_slug);
create index activities_type on contact_activities (activity_type);
create index activities_time on contact_activities
    (contact_id, created_at desc);
EOF_SQL
$pg->install;
$pg->organization('acme', session => 't1');
$pg->psql("insert into waha.sessions (name, organization_slug, provider)
               values ('5001', 'acme', 'meta');
           insert into waha.connections (id, organization_slug,
                   phone_number_id, waba_id)
               values ('c1', 'acme', '5001', '6001')");

my $people = 3000;
my $session = $pg->session(user => 'waha_gateway');
my $n = 0;

# to the planner a table that was vacuumed while empty is empty

$pg->psql('vacuum analyze');
run();          # while all is empty

$pg->psql(<<"EOF_SQL");
insert into contacts (organization_slug, phone_1, whatsapp_name)
    select 'acme', '+' || 49000000000 + k, 'Bob'
      from generate_series(1, $people) k;
update waha.contact_identities set proved = true;
insert into contact_activities (organization_slug, contact_id, session_name,
        message_id, direction, activity_type, chat, sender_name)
    select 'acme', c.id, 't1', 'S' || c.id || '.' || k, 'inbound',
           'whatsapp_message', 'person', 'Bob'
      from contacts c, generate_series(1, 5) k;
insert into waha.message_states (organization_slug, session_name, message_id,
                                 status)
    select 'acme', 't1', 'S' || k, 'read' from generate_series(1, $people) k;
insert into waha.conversations (organization_slug, contact_id, session_name,
        last_message_id, last_message_at, last_direction, unread_count)
    select 'acme', id, 't1', 'x', '1970-01-01', 'inbound', 0 from contacts
    on conflict do nothing;
insert into waha.erased (hash)
    select waha.erased_key('acme', 't1', 'gone' || k)
      from generate_series(1, $people) k;
insert into organizations (slug, whatsapp_enabled)
    select 'o' || k, true from generate_series(1, $people) k;
insert into waha.sessions (name, organization_slug)
    select 's' || k, 'o' || k from generate_series(1, $people) k;
insert into waha.connections (id, organization_slug, phone_number_id, waba_id)
    select 'k' || k, 'o' || k, 10000 + k, 10000 + k
      from generate_series(1, $people) k;
insert into waha.moved_people (organization_slug, kind, key, other_kind,
                               other_key, other_seen)
    select 'acme', 'bsuid', 'x' || k, 'bsuid', 'y' || k, 'y'
      from generate_series(1, $people) k;
alter system set auto_explain.log_min_duration = 0;
EOF_SQL
$pg->psql('select pg_reload_conf()');

wait_for(sub { $session->query('show auto_explain.log_min_duration') eq '0' })
    or die 'no auto_explain';
my $from = length $pg->log;

run();          # with the plans of before

my $log = substr $pg->log, $from;
my @scans = $log =~ /((?:Seq\ Scan|Bitmap\ Heap\ Scan)\ on\ \w+
    |Index\ (?:Only\ )?Scan\ (?:Backward\ )?using\ \w+\ on\ \w+\ [^\n]*
     (?:\n\s+Index\ Cond)?)/gx;
my %seen;
$seen{s{ +\(cost=.*}{}r . (/Cond/ ? " Index Cond" : "")}++ for @scans;

cmp_ok(scalar @scans, '>', 50, 'there are plans to look at');

# the table of the version has one row

delete @seen{grep { /^Seq Scan on version$/ } keys %seen};
is(join(', ', grep { /^(Seq|Bitmap)/ } sort keys %seen), '',
   'no table is read sequentially');

is(join(', ', grep { /^Index/ && !/Index Cond/ } sort keys %seen), '',
   'no index is read without a condition');

my @wide = grep { !/\b(contact_id|message_id|id)\b/ }
           $log =~ /\ on\ contact_activities\b[^\n]*\n\s+
                    Index\ Cond:\ ([^\n]*)/gx;
is(join("\n", @wide), '', 'no index is read for a whole organization');

my %by = (contacts => qr/^(waha_contacts_key|contacts_pkey)$/,
          contact_activities =>
              qr/^(waha_activities_message|waha_activities_person
                   |contact_activities_pkey)$/x,
          contact_identities => qr/^(contact_identities_pkey
              |contact_identities_contact_id_idx)$/x,
          message_states => qr/^message_states_pkey$/,
          waiting_changes => qr/^waiting_changes_(pkey|person|lid)$/,
          conversations => qr/^conversations_pkey$/,
          organizations => qr/^organizations_(slug_key|pkey)$/,
          sessions => qr/^sessions_pkey$/,
          connections => qr/^connections_(number|pkey|account)$/,
          moved_people => qr/^moved_people_pkey$/,
          merges => qr/^merges_(kept|merged)$/,
          moves => qr/^moves_(pkey|to)$/,
          erased => qr/^erased_pkey$/,
          traffic_channels => qr/./);

for (sort keys %seen) {
    my ($index, $table) = /using (\w+) on (\w+)/ or next;
    like($index, $by{$table} // qr/^$/, "$table is read by the index $index");
}

unlike($log, qr/(Hash|Merge) (Left )?Join/, 'joins are nested loops');

$t->done;


# each kind of event, of known and unknown people, with a merge; one by one and
# in a batch

sub run {
    my @events = map {
        my $phone = 49000000000 + 1 + int rand 3000;
        my $lid = 1000 + ++$n;
        my $id = "M$n";

        (message(message_id => $id, phone => $phone, name => 'Bob'),
         message(message_id => "N$id", phone => $phone, name => "Bob $n",
                 direction => 'outbound'),
         message(message_id => "L$id", lid => $lid, name => "Lid $n"),
         message(message_id => "B$id", lid => $lid, phone => $phone,
                 name => "Both $n"),
         message(message_id => "B$id", lid => $lid, phone => $phone),
         status(target_id => $id, status => 'read'),
         (map { { provider => 'waha', session => 't1', kind => $_->[0],
                  direction => 'inbound', chat => 'person', lid => $_->[2],
                  phone => $_->[2] ? undef : $phone,
                  message_id => "@$_$id", target_id => $_->[1] // $id,
                  body => 'x', sent_at => 1795226570000 } }
              [ 'edit' ], [ 'reaction' ], [ 'vote' ], [ 'revoke' ],
              [ 'edit', $id, "9$lid" ], [ 'edit', "L$id", "9$lid" ],
              [ 'status', "Z$id" ]),
         message(message_id => "L$id", lid => "9$lid", phone => $phone,
                 direction => 'outbound', status => 'sent'),
         message(message_id => $id, phone => $phone, type => 'image',
                 metadata => '{"media": {"url": "x"}}'),
         status(target_id => $id, status => 'read', direction => 'inbound'),
         message(message_id => "E$id", phone => $phone, body => undef,
                 empty => 'true'),
         message(message_id => "E$id", phone => $phone, name => "Bob $n"),
         message(kind => 'call', message_id => "C$id", phone => $phone,
                 status => 'received'),
         message(kind => 'call', message_id => "C$id", phone => $phone,
                 status => 'rejected'),
         meta_events($id, $phone),
         { provider => 'waha', session => "s$n", kind => 'session',
           status => 'WORKING', phone => '7911', sent_at => 1795226570000 })
    } 1 .. 4;

    # the seventh time with a plan that is kept

    $session->query("select waha.find_media('acme', 1)") for 1 .. 7;
    $session->query(call_sql(ingest => $_)) for @events;
    $session->query(call_sql(batch => map { { %$_, message_id => "b"
        . ($_->{message_id} // '') } } @events));
}


sub meta_events {
    my ($id, $phone) = @_;

    my %meta = (provider => 'meta', session => '5001');
    my ($one, $other) = map { qq("bsuid": "$_$id") } 'BR.', 'US.';

    return (message(%meta, message_id => "P$id", phone => $phone,
                    meta => '{}'),
            message(%meta, message_id => "Q$id", meta => "{$one}"),
            message(%meta, message_id => "R$id", phone => $phone,
                    meta => "{$one}"),
            message(%meta, message_id => "T$id",
                    meta => qq({$one, "parent_bsuid": "BR.ENT.$id"})),
            { %{ status(target_id => "T$id", status => 'read') }, %meta,
              meta => qq({$one, "details": {"pricing": {}}}) },
            { %meta, kind => 'user', sent_at => 1795226560000,
              name => 'Book', meta => qq({$other, "previous_bsuid": "U$id"}) },
            message(%meta, message_id => "U$id", meta => "{$other}"),
            { %meta, kind => 'account', session => '6001',
              sent_at => 1795226560000,
              meta => qq({"field": "x", "details": {"id": "$id"}}) });
}
