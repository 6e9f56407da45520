# A role that may only connect takes every lock that it can guess or see: the
# webhooks of the organizations go on.

use Waha::Test;
use Waha::Ingest;
use Waha::Reply;

my $t = Waha::Test->new;
my $pg = $t->postgres(conf => "deadlock_timeout = 200ms");

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');
$pg->psql('create role stranger login');

my $attacker = $pg->session(user => 'stranger');
my $n = 0;

like($pg->try_install, qr/\A\z/, 'install.sql runs again');


# what it can know: the keys of earlier versions, names of organizations, and
# all that pg_locks shows while messages are stored

my @guesses = (
    'select pg_advisory_lock(7761686, n) from generate_series(0, 127) n',
    map({ "select pg_advisory_lock(hashtextextended('$_', 7761686))" }
        'acme/sessions', 'bolt/keys', 'bolt/channel', 'bolt/phone/4915',
        'acme/channel', 'acme/keys'),
    'select pg_advisory_lock(7761686100 + n) from generate_series(1, 50) n',
);
$attacker->query($_) for @guesses;

my $gateway = $pg->session(user => 'waha_gateway');
my %seen;

for my $event (inbound(session => 't2', phone => '4915110000001'),
               inbound(session => 't2', phone => '4915110000001'),
               { %{ inbound(session => 't2', phone => '4915110000001') },
                 kind => 'edit', target_id => 'LATER' },
               inbound(session => 't2', lid => '881'))
{
    $gateway->query('begin; ' . call_sql(ingest => $event));

    my $keys = $attacker->query(
        "select classid || ' ' || objid || ' ' || objsubid from pg_locks
          where locktype = 'advisory' and pid <> pg_backend_pid();");
    $seen{$_} = 1 for $keys =~ /^\d+ \d+ \d+$/mg;
    $gateway->query('commit');
}

for (keys %seen) {
    my ($high, $low, $kind) = split;
    $attacker->query($kind == 1
        ? "select pg_advisory_lock((${high}::bigint << 32) | $low)"
        : "select pg_advisory_lock($high, $low)");
}

like($pg->error("begin; $_", user => 'stranger'), qr/permission denied/,
     "refused: $_")
    for map({ "lock table waha.message_lock_$_ in access share mode" } 0, 15),
        'select from waha.locks for update', 'select from waha.version',
        'lock table waha.locks', 'lock table contacts in access share mode';

my $held = $attacker->query("select 'held ' || count(*) from pg_locks
                              where locktype = 'advisory'
                                and pid = pg_backend_pid()");
like($held, qr/held [1-9]\d\d/, 'the attacker holds hundreds of locks');


# everything that a tenant does

for my $how ('ingest', 'batch', 'each') {
    my @records = (
        inbound(session => 't2', phone => '4915110000001'),
        inbound(session => 't2', phone => '49151100001' . ++$n),
        inbound(session => 't2', lid => "77$n"),
        inbound(session => 't2', phone => '49151100002' . $n, lid => "99$n"),
        { %{ inbound(session => 't2', phone => '4915110000001') },
          kind => 'reaction', target_id => "NONE$n" },
        map { inbound(session => 't2', phone => '4915110000001') } 1 .. 64);

    for my $set ($how eq 'ingest' ? map { [ $_ ] } @records : \@records) {
        my $actions = eval {
            join ' ', map { $_->{action} }
            map {
                my %r;
                @r{qw(position action)} = @$_;
                \%r
            } @{ $pg->rows("set lock_timeout = '2s'; "
                           . call_sql($how, @$set), user => 'waha_gateway') }
        } // $@;
        unlike($actions, qr/failed|ERROR/, "$how stores");
    }
}

for (reply_sql(reserve_session => 'bolt', 'two', undef, [ 'w1', 'w2' ], 5),
     reply_sql(reserve_session => 'acme', undef, undef, [ 'w1', 'w2' ], 5),
     reply_sql(create_api_key => 'bolt', 'x', undef, undef),
     reply_sql(delete_session => 'bolt', 'two'),
     reply_sql(delete_session => 'bolt', 't2'),
     reply_sql(delete_organization => 'bolt'))
{
    my ($name) = /waha\.(\w+)/;
    unlike($pg->error("set lock_timeout = '2s'; $_", user => 'waha_gateway'),
           qr/./, "$name is not stopped");
}

# locks of messages write nothing

is($pg->value("select count(*) from pg_locks l join pg_class c
                   on c.oid = l.relation
                where c.relname like 'message_lock_%'"), 0,
   'the locks of messages end with their transaction');
is($pg->value("select sum(pg_relation_size(oid)) from pg_class
                where relname like 'message_lock_%'"), 0,
   'the tables of these locks stay empty');

$t->done;
