# The life of the connections to PostgreSQL: what a webhook is answered when
# the server stops, refuses or hangs, and that it heals without a reload.

use Waha::Test;
use Waha::Process qw(child free_port);

use IO::Select ();
use IO::Socket::INET ();
use Time::HiRes qw(time);

my $conf = <<'EOF_CONF';
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DATABASE%%" %%PARAMETERS%%;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
            client_max_body_size 8m;
        }
    }
}
EOF_CONF

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0);


# a database that is not ready for the module

serve();
not_taken('before the installation', qr/role "waha_gateway" does not exist/);
$pg->psql('create role waha_gateway login');
logged('which the log then asks for',
       qr/schema "waha" does not exist; .*install\.sql/);
$pg->install;
$pg->organization('acme', session => 't1');
heals('the installation');

$pg->psql('update waha.version set contract = 0, contract_min = 0');
serve();
not_taken('an old contract', qr/serves contract 0 to 0, the module needs 1/);
$pg->psql('update waha.version set contract = 1, contract_min = 1');
heals('an upgrade');

$pg->psql('alter function waha.quarantine rename to quarantine_');
serve();
not_taken('a function that is missing', qr/42883: function waha.quarantine/);
$pg->psql('alter function waha.quarantine_ rename to quarantine');
heals('making the function');

$pg->psql('revoke usage on schema waha from waha_gateway');
serve();
not_taken('a missing grant', qr/42501: permission denied for schema waha/);
$pg->psql('grant usage on schema waha to waha_gateway');
heals('the grant');

serve(dbname => 'nowhere');
not_taken('a missing database', qr/3D000: database "nowhere" does not exist/);
$pg->psql('create database nowhere');
logged('making an empty database is not enough', qr/schema "waha" does not/);


# a role that must not serve

serve(user => 'postgres');
not_taken('a superuser', qr/role "postgres" is or can become superuser/);

$pg->psql(<<'EOF_SQL');
create role boss nologin superuser;
create role deputy login in role boss;
create role blind login bypassrls;
create role owner login in role waha_owner;
create role stranger login;
EOF_SQL

serve(user => 'deputy');
not_taken('one that can become superuser', qr/role "deputy" is or can become/);

serve(user => 'blind');
not_taken('one that row-level security does not bind',
          qr/role "blind" can byp/);

serve(user => 'owner');
not_taken('one that owns the tables', qr/role "owner" owns tables/);

serve(user => 'stranger');
not_taken('one that was given nothing', qr/42501: permission denied/);

$pg->psql("alter role waha_gateway password 'right'");
access('scram-sha-256');
serve(password => 'wrong');
not_taken('a wrong password', qr/28P01: password authentication failed/);
unlike($t->error_log, qr/wrong/, 'the password is not in the log');
ok(wait_for(sub { (() = $pg->log =~ /password authentication f/g) >= 3 }),
   'it is tried again');
is(scalar(() = $t->error_log =~ /28P01/g), 1, 'which is not told each time');
$pg->psql("alter role waha_gateway password 'wrong'");
heals('a password that was set right');
access('trust');


# settings with which a commit could be lost, or a statement never end

serve(options => "'-c synchronous_commit=off'");
not_taken('commits that are not waited for',
          qr/\[crit\].*synchronous_commit is "off".*take it out of "options"/);

serve(options => "'-c synchronous_commit=local'");
not_taken('commits that no standby confirms',
          qr/synchronous_commit is "local"/);

serve(options => "'-c synchronous_commit=remote_apply'");
is(taken(), 200, 'commits that the standby even shows');

$pg->psql('alter role waha_gateway set synchronous_commit = off');
serve();
is(taken(), 200, 'what the role is set to does not count');

serve(host => '127.0.0.1', port => pooler());
not_taken('a pooler that drops options, with that role',
          qr/synchronous_commit is "off".*alter role "waha_gateway" set sync/);
$pg->psql('alter role waha_gateway reset synchronous_commit');
logged('and without', qr/\[crit\].*statement_timeout is 0.*alter role "waha_g/);
$pg->psql("alter role waha_gateway set statement_timeout = '1s'");
heals('a timeout of the role');
$pg->psql('alter role waha_gateway reset statement_timeout');

like(configured('dbname=crm'), qr/\[emerg\] no "user" in "waha_database"/,
     'a connection string without a role is refused');
like(configured('dbname=crm user=waha_gateway'), qr/test is successful/,
     'one with a role is not');


# connections that are lost

serve();
is(taken(), 200, 'a message before anything happens');

$pg->terminate_backends;
is(taken(), 200, 'the first after an administrator ended all connections');

# the worker sees the message before it sees that its connections are gone

my $kept = $t->http;
my $text = $t->message;
is($t->webhook($text, http => $kept)->{status}, 200, 'a kept connection');
kill 'STOP', $t->worker_pids;
$text = $t->message;
$t->send_webhook($text, http => $kept);
$pg->terminate_backends;
kill 'CONT', $t->worker_pids;
is($kept->answer->{status}, 200, 'a message is not sent to a dead server');

$pg->restart($_), is(taken(), 200, "the first after a restart ($_)")
    for qw(fast immediate);

$pg->stop;
my $r = $t->webhook($t->message);
is($r->{status}, 503, 'while the server is down it is not taken');
ok($r->{headers}{'retry-after'}, 'and is to be sent again');
cmp_ok($r->{seconds}, '<', 2, 'which is told within two seconds');
is($r->{json}{success}, JSON::PP::false(), 'in JSON');
$pg->start;
heals('a start');

$pg->reload('alter system set default_transaction_read_only = on');
not_taken('a server that became read-only', qr/25006|is read-only/,
          'database_unavailable');
$pg->reload(<<'EOF_SQL');
set default_transaction_read_only = off;
alter system reset default_transaction_read_only
EOF_SQL
heals('taking writes again');


# time and room

serve(parameters => 'connections=1 queue=3 timeout=1s');
is(taken(), 200, 'with one connection it works');

my $lock = $pg->session;
$lock->query('begin');
$lock->query('lock table contact_activities in access exclusive mode');

$r = $t->webhook($t->message);
is($r->{status}, 503, 'behind a lock it is not taken');
ok($r->{headers}{'retry-after'}, 'and is to be sent again');
cmp_ok($r->{seconds}, '<', 1.5, 'which is told in time');

is(taken(), 503, 'nor is the next');
is(scalar(() = $t->error_log =~ /\[warn\].* 55P03: /g), 1,
   'which the log tells, but not each time');

my @many = map { $t->send_webhook($t->message) } 1 .. 12;
my $start = time;
my %status;
for my $n (4 .. 11) {
    my $answer = $many[$n]->answer;
    $status{ $answer->{status} }++;
    is($answer->{json}{code}, 'overloaded', 'beyond the queue is refused');
}
cmp_ok(time - $start, '<', 0.5, 'beyond the queue refusals are immediate');

$lock->query('rollback');
$status{ $_->answer->{status} }++ for @many[0 .. 3];
is_deeply(\%status, { 200 => 4, 503 => 8 },
          'those under way and in the queue are taken');

my ($backend) = $pg->backends;
kill 'STOP', $backend;
my $body = $t->message(id => 'LATE');
$r = $t->webhook($body);
is($r->{status}, 503, 'a backend that stands still: not taken');
cmp_ok($r->{seconds}, '<', 1.5, 'which is told in time');
is(taken(), 200, 'the next gets another connection');
cmp_ok(scalar $pg->backends, '==', 2, 'while the first is left to end');

kill 'CONT', $backend;
ok(wait_for(sub { $pg->messages('LATE') == 1 }),
   'what it had got it stores late');
is($t->webhook($body)->{json}{data}{action}, 'duplicate',
   'sent again, that is a duplicate');
ok(wait_for(sub { $pg->backends == 1 }), 'the spare connection is closed');


# the way to the server

my $closed = free_port();
my $mute = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1:0');

serve(host => '127.0.0.1,127.0.0.1', port => "$closed," . $pg->port);
is(taken(), 200, 'the first host refuses, the second serves');

serve(host => '127.0.0.1,127.0.0.1', port => $mute->sockport . ',' . $pg->port,
      parameters => 'connect_timeout=300ms');
is(taken(), 200, 'the first host is mute, the second serves');

serve(uri => 'postgresql://waha_gateway@localhost:' . $pg->port . '/crm');
is(taken(), 200, 'a URI');


# the installation is run again, with other functions

serve();
is(taken(), 200, 'before an upgrade');
$pg->psql('drop function waha.quarantine; '
          . 'drop function waha.ingest; drop function waha.ingest_batch');
is(taken(), 503, 'in the middle of one');
logged('which is told', qr/\[crit\].*42883: function waha.ingest/);
$pg->install;
is(taken(), 200, 'and after it, on the same connections');

# as a pooler in between may do it

$pg->psql(<<'EOF_SQL');
create function forget() returns trigger language plpgsql as $$
begin
    deallocate all;
    return null;
end
$$;
create trigger forget after insert on contact_activities for each row
    when (new.message_content = 'forget') execute function forget();
EOF_SQL
is($t->webhook($t->message(text => 'forget'))->{status}, 200,
   'the server forgets the prepared statements');
is(taken(), 200, 'they are prepared again');

# the connection is lost while they are: it served, no other host is tried

serve(host => '127.0.0.1,127.0.0.1', port => $pg->port . ",$closed",
      parameters => 'connections=1 timeout=20s connect_timeout=20s');
is($t->webhook($t->message(text => 'forget'))->{status}, 200,
   'they are forgotten once more');

# a backend that has to look the function up again waits for the lock

$pg->psql('alter function waha.ingest cost 101');
$lock->query('begin');
$lock->query('lock table pg_catalog.pg_proc in access exclusive mode');
my $unprepared = $t->send_webhook($t->message);
ok(wait_for(sub { $lock->query(<<'EOF_SQL') }), 'a statement is prepared');
select pg_stat_clear_snapshot();
select 1 from pg_stat_activity
 where application_name = 'nginx-waha' and wait_event_type = 'Lock'
EOF_SQL
$lock->query(<<'EOF_SQL');
select pg_terminate_backend(pid) from pg_stat_activity
 where application_name = 'nginx-waha'
EOF_SQL
is($unprepared->answer->{status}, 503, 'and the connection is lost');
logged('for a reason', qr/57P01: terminating connection/);
$lock->query('rollback');
heals('the next connection');
unlike($t->error_log, qr/Connection refused/, 'to the same host');

# the fault of a record, in words that hold what it says

$pg->psql(<<'EOF_SQL');
create function mistake() returns trigger language plpgsql as $$
begin
    perform new.message_content::int;
    return null;
end
$$;
create trigger mistake after insert on contact_activities for each row
    when (new.message_content = 'mistake') execute function mistake();
EOF_SQL
is($t->webhook($t->message(text => 'mistake'))->{json}{data}{action},
   'quarantined', 'a record that does not fit is set aside');
logged('which is told', qr/\[warn\].*a record failed with SQLSTATE 22P02/);
unlike($t->error_log, qr/invalid input/, 'without the words of it');


# a worker that quits

$pg->psql(<<'EOF_SQL');
create sequence tries;
grant usage on sequence tries to public;
create function retry() returns trigger language plpgsql as $$
begin
    raise log 'tried';

    if nextval('public.tries') = 1 then
        raise serialization_failure;
    end if;

    return null;
end
$$;
create trigger retry after insert on contact_activities for each row
    when (new.message_content = 'retry') execute function retry();
EOF_SQL

serve(parameters => 'timeout=20s');
is(taken(), 200, 'before it is told to');

$lock->query('begin');
$lock->query('lock table contact_activities in access exclusive mode');
my $last = $t->send_webhook($t->message(text => 'retry'));
ok(wait_for(sub { $pg->blocked }), 'a message waits for a lock');
my $half = $t->message;
my $sender = $t->send_webhook($half, bytes => 10);
my ($leaving) = $t->worker_pids;
kill 'QUIT', $leaving;
ok(wait_for(sub { $pg->backends == 1 }),
   'nginx closes the idle connections');
$lock->query('rollback');
is($last->answer->{status}, 200, 'but answers what it has taken in');
my @tried = $pg->log =~ /\[(\d+)\] nginx-waha \S+ LOG:  tried$/mg;
is(scalar @tried, 2, 'at the second try');
is($tried[0], $tried[1], 'on the same connection');
ok(wait_for(sub { $pg->backends == 0 }), 'which it then lets go of');
ok(kill(0, $leaving), 'though it has to wait for the rest of another');
$sender->send(substr $half, 10);
is($sender->answer->{status}, 200, 'that it takes as well');
ok(wait_for(sub { $t->worker_pids }), 'before the next worker');
ok(wait_for(sub { taken() == 200 }), 'serves');

$t->done;


# a new nginx; parameters, uri, the others go to the connection string

sub serve {
    my (%o) = @_;

    my $parameters = delete $o{parameters} // '';
    my $database = delete $o{uri} // $pg->dsn(%o);

    $t->nginx->stop if @{ $t->{nginx} };
    $t->nginx(conf => $conf, vars => { DATABASE => $database,
                                       PARAMETERS => $parameters })->start;
}


sub taken { return $t->webhook($t->message)->{status} }


# what nginx -t says about a connection string

sub configured {
    my ($database) = @_;

    $t->nginx->stop;

    return ($t->nginx(conf => $conf, vars => { DATABASE => $database,
                                               PARAMETERS => '' })->test)[1];
}


# the port of a pooler that drops "options" (their bytes become blanks)

sub pooler {
    my $listen = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1:0')
        or die "pooler: $!";
    my $target = '127.0.0.1:' . $pg->port;

    child(sub {
        my $select = IO::Select->new($listen);
        my %peer;

        while (1) {
            for my $from ($select->can_read) {
                # its other side was closed just now
                next if !$from->opened;

                if ($from == $listen) {
                    my $client = $listen->accept or next;
                    my $server = IO::Socket::INET->new(PeerAddr => $target)
                        or next;

                    @peer{$client, $server} = ($server, $client);
                    $select->add($client, $server);

                } elsif (sysread $from, my $bytes, 65536) {
                    $bytes =~ s/(\0options\0)([^\0]+)/$1 . ' ' x length $2/e;
                    syswrite $peer{$from}, $bytes;

                } else {
                    my $to = delete $peer{$from} or next;
                    delete $peer{$to};
                    $select->remove($from, $to);
                    close $_ for $from, $to;
                }
            }
        }
    });

    return $listen->sockport;
}


sub not_taken {
    my ($name, $pattern, $code) = @_;

    my $r = $t->webhook($t->message);

    is($r->{status}, 503, "$name: nothing is taken");
    is($r->{json}{code}, $code // 'database_setup', "$name: the code");
    ok($r->{headers}{'retry-after'}, "$name: it is to be sent again");
    logged("$name: the log says what is wrong", $pattern);
}


sub heals {
    my ($name) = @_;

    ok(wait_for(sub { taken() == 200 }, 5), "$name heals it");
}


sub logged {
    my ($name, $pattern) = @_;

    ok(wait_for(sub { $t->error_log =~ $pattern }, 5), $name)
        or diag($t->error_log);
}


sub access {
    my ($method) = @_;

    spew("$pg->{data}/pg_hba.conf",
         "local all postgres trust\nlocal all all $method\n"
         . "host all all 127.0.0.1/32 $method\n");
    $pg->psql('select pg_reload_conf()');
}
