# What workers remember of keys and organizations: not for long, and nothing
# that the database has told to be over.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres(conf => "log_statement = 'all'");

$pg->organization('acme');
$pg->organization('globex');

my $nginx = $t->nginx(workers => 2, conf => <<'EOF_CONF');
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" timeout=5s;
    waha_api_connections 3;
    waha_auth_limit off;

    # a connection stays with its worker
    keepalive_requests 100000;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        add_header X-Worker $pid always;

        location = /keys {
            waha_auth on;
            waha_api_keys on;
            proxy_set_header X-Organization $waha_organization;
            proxy_pass http://127.0.0.1:%%PORT2%%/;
        }

        location = /trusted {
            waha_auth on;
            waha_organization $trusted;
            proxy_set_header X-Organization $waha_organization;
            proxy_pass http://127.0.0.1:%%PORT2%%/;
        }
    }

    map $http_x_test $trusted {
        default $http_x_test;
    }

    server {
        listen 127.0.0.1:%%PORT2%%;

        location / {
            return 200 "[$http_x_organization]";
        }
    }
}
EOF_CONF

$t->start;

# connections to both workers, each of which remembers by itself

my %worker = workers(3);
my @http = map { $_->[0] } values %worker;

listening(6, 'every connection listens');


# --- nothing is asked twice --------------------------------------------------

my $key = $pg->api_key('acme');

is(both($key), '200 200', 'a key is good');
settled($key);

my $calls = calls();
is(both($key), '200 200', 'it stays so') for 1 .. 20;
is(calls(), $calls, 'and the database was not asked for that');

my ($id, $secret) = $key =~ /^wak_(.{8})_(.{43})\z/;
my $wrong = "wak_${id}_" . reverse $secret;
is(both($wrong), '401 401', 'a wrong key is not');

$calls = calls();
is(both($wrong), '401 401', 'it stays so') for 1 .. 20;
is(calls(), $calls, 'and the database was not asked for that, either');


# --- what changes counts at once ---------------------------------------------

my $row = $pg->value('select k from waha.api_keys k');

$pg->psql('delete from waha.api_keys');
changes($key, '401 401', 'a key that is deleted stops to work');

$pg->psql("insert into waha.api_keys select ('$row'::waha.api_keys).*");
changes($key, '200 200', 'a key that was unknown works when it is there');

$pg->psql("update waha.api_keys set expires_at = now() - interval '1 second'");
changes($key, '401 401', 'a key whose time is set to over stops to work');

$pg->psql("update waha.api_keys set expires_at = null");
changes($key, '200 200', 'and works again');

trusted('initech', '401 401', 'an organization that is not there');
$pg->organization('initech');
wait_for(sub { asked('initech') eq '200 200' }, 1);
trusted('initech', '200 200', 'it is made, and may come in');

$id = $pg->organization_id('globex');
trusted($id, '200 200', 'an organization by its id');
$pg->psql("delete from waha.organizations where slug = 'globex'");
wait_for(sub { asked($id) eq '401 401' }, 1);
trusted($id, '401 401', 'it is deleted, and stays out');


# --- an end that was known ---------------------------------------------------

$pg->psql("update waha.api_keys set expires_at = now() + interval '5 seconds'");
is(both($key), '200 200', 'a key that ends in five seconds');
settled($key);
$calls = calls();
is(both($key), '200 200', 'and remember');
is(calls(), $calls, 'without the database');

wait_for(sub { $pg->value('select now() > max(expires_at) + interval'
                          . " '1 second' from waha.api_keys") eq 't' }, 10);
is(both($key), '401 401', 'its end is not forgotten in between');
$pg->psql('update waha.api_keys set expires_at = null');
changes($key, '200 200', 'its end is taken back');


# --- while connections are busy ----------------------------------------------

# all of them wait for a locked table while a key is deleted

my $busy = $pg->session;
$busy->query('begin; lock table waha.organizations');

my @waiting = map { @$_ } values %worker;
my $n = 0;

for my $http (@waiting) {
    $n++;
    $http->connect;
    $http->send($http->format('GET', '/trusted', { 'X-Test' => "busy$n" }));
}

ok(wait_for(sub { $pg->blocked == 6 }, 5), 'every connection waits');
$pg->psql('delete from waha.api_keys');
$busy->query('commit');
$busy->close;

is($_->answer('GET')->{status}, 401, 'an answer') for @waiting;
is(both($key), '401 401', 'what was told came with it');

$pg->psql("insert into waha.api_keys select ('$row'::waha.api_keys).*");
changes($key, '200 200', 'and is heard when they are idle');


# --- a race ------------------------------------------------------------------

# the question is asked before the key is deleted, and answered after that:
# what it was told is not what is remembered

$pg->psql('create or replace function waha.slow() returns trigger'
          . ' language plpgsql as $$ begin perform pg_sleep(0.3);'
          . ' return new; end $$;'
          . ' create trigger slow before update of last_used_at'
          . ' on waha.api_keys for each row execute function waha.slow()');

my $second = $pg->api_key('acme');
my $first = $http[0];

$first->send($first->format('GET', '/keys', bearer($second)));
wait_for(sub { $pg->value("select count(*) from pg_stat_activity"
                          . " where wait_event = 'PgSleep'") }, 5);
$pg->psql("select pg_notify('waha_tenant', 'acme')");
is($first->answer('GET')->{status}, 200, 'an answer that took its time');

$calls = calls();
is(ask($first, $second), 200, 'the next asks again');
is(calls(), $calls + 1, 'since a change was told between');

$pg->psql('drop trigger slow on waha.api_keys');


# --- connections that are lost -----------------------------------------------

is(both($key), '200 200', 'a key that both workers know');
$pg->terminate_backends;
listening(6, 'new connections listen');

$calls = calls();
is(both($key), '200 200', 'what was known before is asked again');
cmp_ok(calls(), '>=', $calls + 2, 'since nobody heard what was told between');

$pg->psql("select pg_terminate_backend(pid) from pg_stat_activity"
          . " where usename = 'waha_gateway'"
          . '; delete from waha.api_keys');
listening(6, 'connections again');
changes($key, '401 401', 'what was deleted unheard is deleted');


# --- changes of which nobody was told ----------------------------------------

$pg->psql("insert into waha.api_keys select ('$row'::waha.api_keys).*");
changes($key, '200 200', 'a key that both workers know');

$pg->psql('alter table waha.api_keys disable trigger all;'
          . ' delete from waha.api_keys');
is(both($key), '200 200', 'it is deleted, and no worker hears of it');
ok(wait_for(sub { both($key) eq '401 401' }, 12),
   'it is forgotten in ten seconds nevertheless');
$pg->psql('alter table waha.api_keys enable trigger all');


# --- many --------------------------------------------------------------------

asked_once($http[0], "nobody$_") for 1 .. 4500;

is(asked_once($http[0], 'acme'), 200, 'after thousands of names: a good one');
$calls = calls('find_organization');
is(asked_once($http[0], 'nobody4500'), 401, 'the last is remembered');
is(calls('find_organization'), $calls, 'indeed');
is(asked_once($http[0], 'nobody1'), 401, 'the first is asked again');
is(calls('find_organization'), $calls + 1, 'indeed');

$t->done;


# as many connections to each worker: pid => [ client, ... ]

sub workers {
    my ($count) = @_;

    my %worker;

    wait_for(sub {
        my $http = $t->http;
        my $pid = $http->get('/keys')->{headers}{'x-worker'};
        push @{ $worker{$pid} }, $http if @{ $worker{$pid} || [] } < $count;
        return $count * 2 == map { @$_ } values %worker;
    }, 10) or die 'no connection to each worker';

    return %worker;
}


sub listening {
    my ($count, $name) = @_;

    ok(wait_for(sub {
        $pg->value("select count(*) from pg_stat_activity"
                   . " where query = 'listen waha_tenant'"
                   . " and state = 'idle'") == $count
    }, 10), $name);
}


# how often the database was asked

sub calls {
    my ($name) = @_;

    $name //= 'authenticate';
    my @calls = $pg->log =~ /execute \Q$name\E:/g;

    return scalar @calls;
}


sub ask {
    my ($http, $key) = @_;

    return $http->get('/keys', bearer($key))->{status};
}


sub both { my ($key) = @_; return join ' ', map { ask($_, $key) } @http }


# what was told before has been heard by all

sub settled {
    my ($key) = @_;

    wait_for(sub {
        my $calls = calls();
        both($key) for 1 .. 3;
        return calls() == $calls;
    }, 2) or die 'keys are not remembered';
}


sub asked_once {
    my ($http, $name) = @_;

    return $http->get('/trusted', { 'X-Test' => $name })->{status};
}


sub asked {
    my ($name) = @_;

    return join ' ', map { asked_once($_, $name) } @http;
}


sub trusted {
    my ($organization, $expected, $name) = @_;

    is(asked($organization), $expected, $name);
}


# within a second, thus not because it was forgotten by itself

sub changes {
    my ($key, $expected, $name) = @_;

    wait_for(sub { both($key) eq $expected }, 1);
    is(both($key), $expected, $name);
}
