# The cache of workers: which keys and organizations are known.  An entry is
# dropped as soon as PostgreSQL notifies of a change, and after ten seconds at
# the latest.

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

    waha_database "%%DSN%%" timeout=30s;
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

# connections to both workers, each of which has a cache of its own

my %worker = workers(3);
my @http = map { $_->[0] } values %worker;

listening(6, 'every connection listens for changes');


# --- what is cached ----------------------------------------------------------

my $key = $pg->api_key('acme');

is(both($key), '200 200', 'both workers accept a key');
settled($key);

my $calls = calls();
is(both($key), '200 200', 'a known key is accepted again') for 1 .. 20;
is(calls(), $calls, 'PostgreSQL is not asked about a known key');

my ($id, $secret) = $key =~ /^wak_(.{8})_(.{43})\z/;
my $wrong = "wak_${id}_" . reverse $secret;
is(both($wrong), '401 401', 'both workers refuse a wrong key');

$calls = calls();
is(both($wrong), '401 401', 'a wrong key is refused again') for 1 .. 20;
is(calls(), $calls, 'PostgreSQL is not asked about a wrong key that is known');


# --- changes are heard at once -----------------------------------------------

my $row = $pg->value('select k from waha.api_keys k');

$pg->psql('delete from waha.api_keys');
changes($key, '401 401', 'a deleted key is refused within seconds');

$pg->psql("insert into waha.api_keys select ('$row'::waha.api_keys).*");
changes($key, '200 200',
        'a key that was unknown is accepted within a second of its creation');

$pg->psql("update waha.api_keys set expires_at = now() - interval '1 second'");
changes($key, '401 401',
        'a key that is made to expire is refused within seconds');

$pg->psql("update waha.api_keys set expires_at = null");
changes($key, '200 200',
        'a key that no longer expires is accepted within seconds');

trusted('initech', '401 401', 'an unknown organization is refused');
$pg->organization('initech');
wait_for(sub { asked('initech') eq '200 200' }, 5);
trusted('initech', '200 200',
        'a new organization is accepted within seconds');

$id = $pg->organization_id('globex');
trusted($id, '200 200', 'an organization is accepted by its id');
$pg->psql("delete from waha.organizations where slug = 'globex'");
wait_for(sub { asked($id) eq '401 401' }, 5);
trusted($id, '401 401', 'a deleted organization is refused within seconds');


# --- keys that expire --------------------------------------------------------

$pg->psql("update waha.api_keys set expires_at = now() + interval '5 seconds'");
is(both($key), '200 200', 'a key that expires in five seconds is accepted');
settled($key);
$calls = calls();
is(both($key), '200 200', 'it is accepted again');
is(calls(), $calls, 'PostgreSQL is not asked about it again');

wait_for(sub { $pg->value('select now() > max(expires_at) + interval'
                          . " '1 second' from waha.api_keys") eq 't' }, 60);
is(both($key), '401 401', 'a cached key is refused once it has expired');
$pg->psql('update waha.api_keys set expires_at = null');
changes($key, '200 200',
        'a key whose expiry is removed is accepted within seconds');


# --- while connections are busy ----------------------------------------------

# every connection waits for a locked table while a key is deleted

my $busy = $pg->session;
$busy->query('begin; lock table waha.organizations');

my @waiting = map { @$_ } values %worker;
my $n = 0;

for my $http (@waiting) {
    $n++;
    $http->connect;
    $http->send($http->format('GET', '/trusted', { 'X-Test' => "busy$n" }));
}

ok(wait_for(sub { $pg->blocked == 6 }, 60), 'every connection waits');
$pg->psql('delete from waha.api_keys');
$busy->query('commit');
$busy->close;

is($_->answer('GET')->{status}, 401,
   'an unknown organization is refused after the wait')
    for @waiting;
is(both($key), '401 401', 'a notification that came with the result is heard');

$pg->psql("insert into waha.api_keys select ('$row'::waha.api_keys).*");
changes($key, '200 200', 'notifications are heard on idle connections');


# --- a change during the question --------------------------------------------

# The key is asked for before it changes, and the answer comes after that: the
# answer must not be cached.  It waits for a lock until the worker has heard of
# the change, which its other key shows.

my $second = $pg->api_key('acme');
my ($third) = $second =~ /^wak_(.{8})_/;

$pg->psql(<<"EOF_SQL");
create function waha.wait() returns trigger language plpgsql as \$\$
begin
    perform pg_advisory_xact_lock_shared(4711);
    return new;
end \$\$;

create trigger wait before update on waha.key_uses
    for each row when (new.key_id = '$third') execute function waha.wait();
EOF_SQL

my ($first, $beside) = @{ $worker{ (sort keys %worker)[0] } };
my $lock = $pg->session;

settled($key);
$lock->query('select pg_advisory_lock(4711)');
$first->send($first->format('GET', '/keys', bearer($second)));
ok(wait_for(sub { $pg->blocked == 1 }, 60), 'the question takes a while');

$pg->psql("select pg_notify('waha_tenant', 'acme')");
ok(wait_for(sub {
    my $before = calls();
    ask($beside, $key);
    return calls() > $before;
}, 60), 'the worker hears of a change meanwhile');

$lock->close;
is($first->answer('GET')->{status}, 200, 'a slow answer is given');

$calls = calls();
is(ask($first, $second), 200, 'the next request with that key is answered');
is(calls(), $calls + 1,
   'PostgreSQL is asked again, since the key changed during the question');

$pg->psql('drop trigger wait on waha.key_uses');


# --- notifications of others -------------------------------------------------

# whoever may connect may notify: a name drops only what it names

settled($_) for $key, $second;
$calls = calls();

for my $name ($third, 'globex', 'nobody', 'x' x 5000, 'null') {
    $pg->psql('notify waha_tenant, ' . quote($name));
    wait_for(sub { both($second); calls() > $calls }, 0.5)
        if $name eq $third;
}

is(both($key), '200 200', 'a key that no notification names is accepted');
cmp_ok(calls(), '<=', $calls + 2,
       'PostgreSQL is asked again about the named key only');
cmp_ok(calls(), '>', $calls, 'PostgreSQL is asked again about the named key');

# without a name everything is dropped, but not more often than ten times in a
# second, however often somebody asks for it

settled($_) for $key, $second;

my $other = $pg->session;
my $began = time;

$calls = calls();

for (1 .. 300) {
    $other->query('notify waha_tenant');
    is(both($key), '200 200', 'a key is accepted meanwhile') if $_ % 50 == 0;
    both($key);
}

my $elapsed = time - $began;
cmp_ok(calls(), '<=', $calls + 2 * (10 * ($elapsed + 1) + 2),
       'notifications do not empty the caches all the time');

$pg->psql('alter table waha.api_keys disable trigger all;'
          . " delete from waha.api_keys where id = '$third';"
          . ' alter table waha.api_keys enable trigger all');
$other->query('notify waha_tenant') for 1 .. 3;
changes($second, '401 401',
        'a notification without a name drops everything within a second');
$other->close;

# a name that was unknown until now is found by its number, too

my $later = 4242;
trusted($later, '401 401', 'an organization is unknown by its number');
$pg->psql("insert into waha.organizations (id, slug, name)"
          . " overriding system value values ($later, 'later', 'Later')");
wait_for(sub { asked($later) eq '200 200' }, 1);
trusted($later, '200 200', 'it is known by its number within a second');


# --- connections that break --------------------------------------------------

is(both($key), '200 200', 'both workers know a key');
$pg->terminate_backends;
listening(6, 'new connections listen for changes');

$calls = calls();
is(both($key), '200 200', 'the key is accepted over new connections');
cmp_ok(calls(), '>=', $calls + 2,
       'PostgreSQL is asked again, since notifications may have been missed');

$pg->psql("select pg_terminate_backend(pid) from pg_stat_activity"
          . " where usename = 'waha_gateway'"
          . '; delete from waha.api_keys');
listening(6, 'new connections listen again');
changes($key, '401 401',
        'a key that was deleted while no connection listened is refused');


# --- changes without a notification ------------------------------------------

$pg->psql("insert into waha.api_keys select ('$row'::waha.api_keys).*");
changes($key, '200 200', 'both workers know a key');

# the notification of the insertion may drop what a worker has just read

my $rounds = 0;
wait_for(sub {
    my $before = calls();
    both($key);
    $rounds = calls() == $before ? $rounds + 1 : 0;
    return $rounds == 20;
}, 60) or die 'the key is not cached';

$pg->psql('alter table waha.api_keys disable trigger all;'
          . ' delete from waha.api_keys');
is(both($key), '200 200',
   'a key deleted without a notification is still accepted');
ok(wait_for(sub { both($key) eq '401 401' }, 12),
   'it is refused after ten seconds at the latest');
$pg->psql('alter table waha.api_keys enable trigger all');


# --- more entries than the cache holds ---------------------------------------

asked_once($http[0], "nobody$_") for 1 .. 4500;

is(asked_once($http[0], 'acme'), 200,
   'an organization is accepted after thousands of unknown names');
$calls = calls('find_organization');
is(asked_once($http[0], 'nobody4500'), 401,
   'the last unknown name is refused');
is(calls('find_organization'), $calls,
   'PostgreSQL is not asked about the last name again');
is(asked_once($http[0], 'nobody1'), 401, 'the first unknown name is refused');
is(calls('find_organization'), $calls + 1,
   'PostgreSQL is asked about the first name again');

$t->done;


sub quote { my ($text) = @_; return "'$text'" }


# so many connections to each worker: pid => [ client, ... ]

sub workers {
    my ($count) = @_;

    my %worker;

    wait_for(sub {
        my $http = $t->http;
        my $pid = $http->get('/keys')->{headers}{'x-worker'};
        push @{ $worker{$pid} }, $http if @{ $worker{$pid} || [] } < $count;
        return $count * 2 == map { @$_ } values %worker;
    }, 60) or die 'no connection to each worker';

    return %worker;
}


sub listening {
    my ($count, $name) = @_;

    ok(wait_for(sub {
        $pg->value("select count(*) from pg_stat_activity"
                   . " where query = 'listen waha_tenant'"
                   . " and state = 'idle'") == $count
    }, 60), $name);
}


# how often PostgreSQL was asked

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


# all notifications so far have been heard

sub settled {
    my ($key) = @_;

    wait_for(sub {
        my $calls = calls();
        both($key) for 1 .. 3;
        return calls() == $calls;
    }, 60) or die 'the cache does not keep keys';
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


# within seconds, so not because the entry has become too old

sub changes {
    my ($key, $expected, $name) = @_;

    wait_for(sub { both($key) eq $expected }, 5);
    is(both($key), $expected, $name);
}
