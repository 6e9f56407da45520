# The connections to PostgreSQL: what a webhook is answered while the server is
# stopped, refuses or hangs, and that the pool recovers without a reload.

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
not_taken('a database without the role',
          qr/role "waha_gateway" does not exist/);
$pg->psql('create role waha_gateway login');
logged('a database without the schema: the log asks for install.sql',
       qr/schema "waha" does not exist; .*install\.sql/);
$pg->install;
$pg->organization('acme', session => [ 't1', 't2' ]);
heals('running install.sql');

$pg->psql('update waha.version set contract = 3');
serve();
not_taken('an old contract', qr/serves contract 1 to 3, the module needs 4/);
$pg->psql('update waha.version set contract = 4');
heals('an upgrade of the contract');

$pg->psql('alter function waha.quarantine rename to quarantine_');
serve();
not_taken('a missing function', qr/42883: function waha.quarantine/);
$pg->psql('alter function waha.quarantine_ rename to quarantine');
heals('creating the function');

$pg->psql('revoke usage on schema waha from waha_gateway');
serve();
not_taken('a missing grant', qr/42501: permission denied for schema waha/);
unlike($t->error_log, qr/install\.sql/, 'the log asks for no installation');
$pg->psql('grant usage on schema waha to waha_gateway');
heals('the grant');

serve(dbname => 'nowhere');
not_taken('a missing database', qr/3D000: database "nowhere" does not exist/);
$pg->psql('create database nowhere');
logged('an empty database: the log says that the schema is missing',
       qr/schema "waha" does not/);


# roles that must not serve

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
not_taken('a role that can become superuser',
          qr/role "deputy" is or can become/);

serve(user => 'blind');
not_taken('a role that bypasses row-level security',
          qr/role "blind" can byp/);

serve(user => 'owner');
not_taken('a role that owns the tables', qr/role "owner" owns tables/);

serve(user => 'stranger');
not_taken('a role without rights', qr/42501: permission denied/);

$pg->psql("alter role waha_gateway password 'right'");
access('scram-sha-256');
serve(password => 'wrong');
not_taken('a wrong password', qr/28P01: password authentication failed/);
unlike($t->error_log, qr/wrong/, 'the password is not in the log');
ok(wait_for(sub { (() = $pg->log =~ /password authentication f/g) >= 3 }),
   'connecting is tried again after a wrong password');
is(scalar(() = $t->error_log =~ /28P01/g), 1,
   'a wrong password is logged once, not at each try');
$pg->psql("alter role waha_gateway password 'wrong'");
heals('a corrected password');
access('trust');


# settings with which a commit could be lost or a statement never end

serve(options => "'-c synchronous_commit=off'");
not_taken('synchronous_commit=off',
          qr/\[crit\].*synchronous_commit is "off".*take it out of "options"/);

serve(options => "'-c synchronous_commit=local'");
not_taken('synchronous_commit=local',
          qr/synchronous_commit is "local"/);

serve(options => "'-c synchronous_commit=remote_apply'");
is(taken(), 200, 'synchronous_commit=remote_apply is stricter and accepted');

$pg->psql('alter role waha_gateway set synchronous_commit = off');
serve();
is(taken(), 200, "the role's own synchronous_commit=off is overridden");

serve(host => '127.0.0.1', port => pooler());
not_taken("a pooler that drops \"options\": the role's synchronous_commit",
          qr/synchronous_commit is "off".*alter role "waha_gateway" set sync/);
$pg->psql('alter role waha_gateway reset synchronous_commit');
logged('a pooler that drops "options": the log asks for statement_timeout',
       qr/\[crit\].*statement_timeout is 0.*alter role "waha_g/);
$pg->psql("alter role waha_gateway set statement_timeout = '1s'");
heals('statement_timeout set for the role');
$pg->psql('alter role waha_gateway reset statement_timeout');


# settings of the role that are not for the module

$pg->psql("alter role waha_gateway set $_")
    for q{default_transaction_isolation = 'repeatable read'},
        q{default_transaction_deferrable = on}, q{row_security = off},
        q{standard_conforming_strings = off},
        $pg->version >= 14 ? q{idle_session_timeout = '500ms'} : (),
        $pg->version >= 17 ? q{transaction_timeout = '1ms'} : ();

serve();
is(taken(), 200, 'hostile settings of the role: a message is taken');
my @first = sort { $a <=> $b } $pg->backends;
select undef, undef, undef, 1;
is_deeply([ sort { $a <=> $b } $pg->backends ], \@first,
          'idle connections are not ended by a setting of the role');
$pg->psql('alter role waha_gateway reset all');


# the end of an idle connection is nothing to worry about

serve();
is(taken(), 200, 'a message is taken');
$pg->terminate_backends;
ok(wait_for(sub { $pg->backends == 4 }), 'idle connections are opened again');
like($t->error_log, qr/\[notice\].*57P01/, 'their end is logged');
unlike($t->error_log, qr/\[(?:error|crit)\]/, 'their end is no error');

like(configured('dbname=crm'), qr/\[emerg\] no "user" in "waha_database"/,
     'a connection string without a user is refused');
like(configured('dbname=crm user=waha_gateway', 'connections=101'),
     qr/\[emerg\] "connections=101" in "waha_database" is too much/,
     'more than a hundred connections of a worker are refused');

like(configured('dbname=crm user=waha_gateway', 'connections=100'),
     qr/test is successful/,
     'a connection string with a user is accepted');


# connections that break

serve();
is(taken(), 200, 'a message is taken before any connection breaks');

$pg->terminate_backends;
is(taken(), 200, 'the first message after pg_terminate_backend is taken');

# the worker reads the message before it reads that its connections are closed

my $kept = $t->http;
my $text = $t->message;
is($t->webhook($text, http => $kept)->{status}, 200,
   'a message on a kept connection is taken');
kill 'STOP', $t->worker_pids;
$text = $t->message;
$t->send_webhook($text, http => $kept);
$pg->terminate_backends;
kill 'CONT', $t->worker_pids;
is($kept->answer->{status}, 200,
   'a message that arrives together with the end of all connections is taken');

$pg->restart($_),
    is(taken(), 200, "the first message after a restart ($_) is taken")
    for qw(fast immediate);

$pg->stop;
my $r = $t->webhook($t->message);
is($r->{status}, 503, 'server stopped: a message gives 503');
ok($r->{headers}{'retry-after'}, 'server stopped: the 503 has Retry-After');
cmp_ok($r->{seconds}, '<', 2,
       'server stopped: the 503 comes within two seconds');
is($r->{json}{success}, JSON::PP::false(),
   'server stopped: the 503 is in JSON');
$pg->start;
heals('starting the server');

$pg->reload('alter system set default_transaction_read_only = on');
not_taken('a server that became read-only', qr/25006|is read-only/,
          'database_unavailable');
$pg->reload(<<'EOF_SQL');
set default_transaction_read_only = off;
alter system reset default_transaction_read_only
EOF_SQL
heals('a server that is writable again');


# time limits and the queue

serve(parameters => 'connections=1 queue=3 timeout=1s');
is(taken(), 200, 'one connection is enough');

my $lock = $pg->session;
$lock->query('begin');
$lock->query('lock table contact_activities in access exclusive mode');

$r = $t->webhook($t->message);
is($r->{status}, 503, 'a locked table: a message gives 503');
ok($r->{headers}{'retry-after'}, 'a locked table: the 503 has Retry-After');
cmp_ok($r->{seconds}, '<', 1.5, 'a locked table: the 503 comes in time');

is(taken(), 503, 'a locked table: the next message gives 503');
is(scalar(() = $t->error_log =~ /\[warn\].* 55P03: /g), 1,
   'a locked table is logged once, not for each message');

# a session may have half of the queue

my @many = map { $t->send_webhook($t->message(session => 't' . ($_ % 2 + 1))) }
           1 .. 12;
my $start = time;
my %status;
for my $n (4 .. 11) {
    my $answer = $many[$n]->answer;
    $status{ $answer->{status} }++;
    is($answer->{json}{code}, 'overloaded',
       'a message beyond the queue is refused as "overloaded"');
}
cmp_ok(time - $start, '<', 0.5,
       'messages beyond the queue are refused at once');

$lock->query('rollback');
$status{ $_->answer->{status} }++ for @many[0 .. 3];
is_deeply(\%status, { 200 => 4, 503 => 8 },
          'the messages under way and in the queue are taken when the lock '
          . 'ends');

my ($backend) = $pg->backends;
kill 'STOP', $backend;
my $body = $t->message(id => 'LATE');
$r = $t->webhook($body);
is($r->{status}, 503, 'a stopped backend: a message gives 503');
cmp_ok($r->{seconds}, '<', 1.5, 'a stopped backend: the 503 comes in time');
is(taken(), 200, 'the next message uses another connection');
cmp_ok(scalar $pg->backends, '==', 2,
       'the connection to the stopped backend is not closed');

kill 'CONT', $backend;
ok(wait_for(sub { $pg->messages('LATE') == 1 }),
   'the stopped backend stores its message when it goes on');
is($t->webhook($body)->{json}{data}{action}, 'duplicate',
   'that message sent again is a duplicate');
ok(wait_for(sub { $pg->backends == 1 }),
   'the connection that is no longer needed is closed');


# hosts and addresses

my $closed = free_port();
my $mute = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1:0');

serve(host => '127.0.0.1,127.0.0.1', port => "$closed," . $pg->port);
is(taken(), 200, 'a host that refuses: the next one serves');

serve(host => '127.0.0.1,127.0.0.1', port => $mute->sockport . ',' . $pg->port,
      parameters => 'connect_timeout=300ms');
is(taken(), 200, 'a host that does not answer: the next one serves');

serve(uri => 'postgresql://waha_gateway@localhost:' . $pg->port . '/crm');
is(taken(), 200, 'a connection URI is accepted');


# the functions are replaced while nginx runs

serve();
is(taken(), 200, 'a message is taken before the upgrade');
$pg->psql('drop function waha.quarantine; '
          . 'drop function waha.ingest; drop function waha.ingest_batch');
is(taken(), 503, 'a message in the middle of the upgrade gives 503');
logged('the missing function is logged',
       qr/\[crit\].*42883: function waha.ingest/);
$pg->install;
is(taken(), 200,
   'a message after the upgrade is taken over the same connections');

# a pooler may discard prepared statements

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
   'a message is taken while the server discards its prepared statements');
is(taken(), 200, 'the next message is taken: statements are prepared again');

# A connection that breaks while it prepares again has served before, so no
# other host is tried.

serve(host => '127.0.0.1,127.0.0.1', port => $pg->port . ",$closed",
      parameters => 'connections=1 timeout=20s connect_timeout=20s');
is($t->webhook($t->message(text => 'forget'))->{status}, 200,
   'a message is taken while the statements are discarded again');

# the backend has to look up the function, and waits for the lock on pg_proc

$pg->psql('alter function waha.ingest cost 101');
$lock->query('begin');
$lock->query('lock table pg_catalog.pg_proc in access exclusive mode');
my $unprepared = $t->send_webhook($t->message);
ok(wait_for(sub { $lock->query(<<'EOF_SQL') }), 'a statement waits for it');
select pg_stat_clear_snapshot();
select 1 from pg_stat_activity
 where application_name = 'nginx-waha' and wait_event_type = 'Lock'
EOF_SQL
$lock->query(<<'EOF_SQL');
select pg_terminate_backend(pid) from pg_stat_activity
 where application_name = 'nginx-waha'
EOF_SQL
is($unprepared->answer->{status}, 503,
   'a connection that breaks while it prepares gives 503');
logged('the end of the connection is logged',
       qr/57P01: terminating connection/);
$lock->query('rollback');
heals('the next connection');
unlike($t->error_log, qr/Connection refused/, 'no other host is tried');

# an error in a record, whose message quotes the record

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
   'quarantined', 'a record that PostgreSQL cannot store goes to quarantine');
logged("the record's SQLSTATE is logged",
       qr/\[warn\].*a record failed with SQLSTATE 22P02/);
unlike($t->error_log, qr/invalid input/,
       'the words of the record are not logged');


# a worker that is told to quit

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
is(taken(), 200, 'a message is taken before the worker has to quit');

$lock->query('begin');
$lock->query('lock table contact_activities in access exclusive mode');
my $last = $t->send_webhook($t->message(text => 'retry'));
ok(wait_for(sub { $pg->blocked }), 'a message waits for a lock');
my $half = $t->message;
my $sender = $t->send_webhook($half, bytes => 10);
my ($leaving) = $t->worker_pids;
kill 'QUIT', $leaving;
ok(wait_for(sub { $pg->backends == 1 }),
   'a quitting worker closes its idle connections');
$lock->query('rollback');
is($last->answer->{status}, 200,
   'a quitting worker answers the message that it has read');
my @tried = $pg->log =~ /\[(\d+)\] nginx-waha \S+ LOG:  tried$/mg;
is(scalar @tried, 2, 'the message needed a second try');
is($tried[0], $tried[1], 'the second try used the same connection');
ok(wait_for(sub { $pg->backends == 0 }),
   'that connection is closed afterwards');
ok(kill(0, $leaving), 'the worker waits for the rest of another message');
$sender->send(substr $half, 10);
is($sender->answer->{status}, 200, 'the worker takes that message, too');
ok(wait_for(sub { $t->worker_pids }), 'a new worker starts');
ok(wait_for(sub { taken() == 200 }), 'the new worker takes messages');

$t->done;


# starts a new nginx.  parameters: of "waha_database"; uri: instead of a
# connection string, to which all other options belong.

sub serve {
    my (%o) = @_;

    my $parameters = delete $o{parameters} // '';
    my $database = delete $o{uri} // $pg->dsn(%o);

    $t->nginx->stop if @{ $t->{nginx} };
    $t->nginx(conf => $conf, vars => { DATABASE => $database,
                                       PARAMETERS => $parameters })->start;
}


sub taken { return $t->webhook($t->message)->{status} }


# what "nginx -t" says of a connection string

sub configured {
    my ($database, $parameters) = @_;

    $t->nginx->stop;

    return ($t->nginx(conf => $conf, vars => { DATABASE => $database,
                                               PARAMETERS => $parameters // ''
                                             })->test)[1];
}


# the port of a pooler that drops "options" (blanks take their place)

sub pooler {
    my $listen = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1:0')
        or die "pooler: $!";
    my $target = '127.0.0.1:' . $pg->port;

    child(sub {
        my $select = IO::Select->new($listen);
        my %peer;

        while (1) {
            for my $from ($select->can_read) {
                # the other end of this connection was closed just now
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

    is($r->{status}, 503, "$name: a message gives 503");
    is($r->{json}{code}, $code // 'database_setup',
       "$name: the code of the 503");
    ok($r->{headers}{'retry-after'}, "$name: the 503 has Retry-After");
    logged("$name: the log says what is wrong", $pattern);
}


sub heals {
    my ($name) = @_;

    ok(wait_for(sub { taken() == 200 }, 60),
       "$name makes messages taken again");
}


sub logged {
    my ($name, $pattern) = @_;

    ok(wait_for(sub { $t->error_log =~ $pattern }, 60), $name)
        or diag($t->error_log);
}


sub access {
    my ($method) = @_;

    spew("$pg->{data}/pg_hba.conf",
         "local all postgres trust\nlocal all all $method\n"
         . "host all all 127.0.0.1/32 $method\n");
    $pg->psql('select pg_reload_conf()');
}
