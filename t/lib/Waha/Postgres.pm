package Waha::Postgres;

# A private PostgreSQL on a unix socket and a port of 127.0.0.1: a copy of a
# cluster that is made once for this checkout.  TEST_POSTGRES_BIN is the
# directory of the server's programs; without it, those of the newest release
# that is installed run.

use strict;
use warnings;

use Fcntl qw(:flock);
use File::Path ();
use POSIX ();

use Waha::File;
use Waha::Process qw(spawn reap alive wait_for within free_port);


# dir, port (a free one), conf (lines of postgresql.conf), install (1:
# sql/install.sql is run)

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        dir    => $o{dir},
        data   => "$o{dir}/data",
        log    => "$o{dir}/postgres.log",
        port   => $o{port} // free_port(),
        bin    => _bindir(),
        dbname => 'crm',
        user   => scalar account(),
    }, $class;

    mkdir $self->{dir} or die "mkdir $self->{dir}: $!";
    $self->_own($self->{dir});

    _run('cp', '-a', $self->_template, $self->{data});

    my $settings = $ENV{TEST_POSTGRES_SETTINGS} // '';

    open my $fh, '>>', "$self->{data}/postgresql.conf" or die $!;
    print $fh <<EOF_CONF . ($o{conf} // '') . "\n";

listen_addresses = '127.0.0.1'
port = $self->{port}
unix_socket_directories = '$self->{dir}'
# tests kill processes, not the machine
fsync = off
dynamic_shared_memory_type = mmap
max_connections = 60
shared_buffers = 64MB
log_line_prefix = '%m [%p] %a %e '
$settings
EOF_CONF
    close $fh;

    $self->start;
    $self->install if $o{install} // 1;

    return $self;
}


sub port       { return $_[0]{port} }
sub pid        { return $_[0]{pid} }
sub version    { return (`$_[0]{bin}/postgres --version` =~ /(\d+)/)[0] }
sub socket_dir { return $_[0]{dir} }


# the path of one of PostgreSQL's programs: a server may come without clients

sub program {
    my ($self, $name) = @_;

    my ($found) = grep { -x $_ } map { "$_/$name" }
                  $self->{bin}, _installed(), split /:/, $ENV{PATH};

    return $found // die "$name of PostgreSQL is not installed\n";
}


sub start {
    my ($self) = @_;

    for (1 .. 100) {
        open my $cut, '>', $self->{log};
        $self->_own($self->{log});

        $self->{pid} = spawn(
            cmd  => [ "$self->{bin}/postgres", '-D', $self->{data} ],
            user => $self->{user}, dir => $self->{dir},
            log  => $self->{log});

        return $self if $self->wait_ready;

        reap($self->{pid}, 0);

        # backends of a killed server need a moment to notice
        last if $self->log !~ /shared memory block|lock file/;
        select undef, undef, undef, 0.05;
    }

    die "PostgreSQL does not start:\n" . $self->log;
}


# true when the server takes connections, false when it has ended

sub wait_ready {
    my ($self, $timeout) = @_;

    my $state = wait_for(sub {
        return 'dead' if !alive($self->{pid});

        open my $fh, '<', "$self->{data}/postmaster.pid" or return 0;
        chomp(my @line = <$fh>);
        return 0 if @line < 8 || $line[0] != $self->{pid};
        return $line[7] =~ /^ready/ ? 'ready' : 0;
    }, $timeout // 60);

    return ($state // '') eq 'ready';
}


# mode: smart, fast (usual), immediate or kill

sub stop {
    my ($self, $mode) = @_;

    my $pid = delete $self->{pid} or return;

    my %signal = (smart => 'TERM', fast => 'INT', immediate => 'QUIT',
                  kill => 'KILL');
    kill $signal{$mode // 'fast'}, $pid;

    defined reap($pid, 120) or die "PostgreSQL does not stop";
}


# all processes at once: the machine dies, hangs, and goes on

sub crash  { my ($self) = @_; kill 'KILL', $self->_pids; $self->stop('kill') }
sub freeze { my ($self) = @_; kill 'STOP', $self->_pids }
sub thaw   { my ($self) = @_; kill 'CONT', $self->_pids }


sub restart {
    my ($self, $mode) = @_;

    $self->stop($mode);
    return $self->start;
}


# runs SQL that changes the configuration; when this returns, open connections
# use it, too

sub reload {
    my ($self, $sql) = @_;

    my $loaded = $self->value('select pg_conf_load_time()');

    $self->psql($sql . ";\nselect pg_reload_conf()");
    wait_for(sub { $self->value('select pg_conf_load_time()') ne $loaded },
             10) or die 'PostgreSQL did not read its configuration';
}


# Runs sql/install.sql.  user, dbname; crm_schema: where the tables of the
# CRM are; file: another version of install.sql.

sub install {
    my ($self, %o) = @_;

    my $schema = $o{crm_schema};

    return $self->_psql([ defined $schema ? ('-v', "crm_schema=$schema") : (),
                          '-f', $o{file} // root() . '/sql/install.sql' ],
                        '', %o);
}


# the same where it may fail: what psql prints, nothing on success

sub try_install {
    my ($self, @options) = @_;

    my $text = eval { $self->install(@options) } // $@;

    # every database of a test is open to every role, and schema public before
    # PostgreSQL 15

    return $text =~ s/^psql:\S+ WARNING:  every role .*\nHINT: .*\n//mgr;
}


# Runs SQL as the superuser, or as user, in dbname; what it prints, trimmed.

sub psql {
    my ($self, $sql, %o) = @_;

    my $out = $self->_psql([ '-A', '-t', '-f', '-' ], $sql, %o);
    $out =~ s/\s+\z//;

    return $out;
}


# the error of SQL that has to fail; nothing if it succeeds

sub error {
    my ($self, $sql, %o) = @_;

    return eval { $self->psql($sql, %o); 1 } ? '' : $@;
}


# the rows of a query; null is undef

sub rows {
    my ($self, $sql, %o) = @_;

    my $out = $self->_psql([ '-A', '-t', '-F', "\x1f", '-R', "\x1e",
                             '-P', "null=\x1d", '-f', '-' ], $sql, %o);
    chomp $out;

    return [ map { [ map { $_ eq "\x1d" ? undef : $_ } split /\x1f/, $_, -1 ] }
             split /\x1e/, $out, -1 ] if length $out;
    return [];
}


# the rows of a query as a table for people

sub table {
    my ($self, $sql) = @_;

    return $self->_psql([ '-f', '-' ], $sql);
}


# the first column of the first row

sub value {
    my ($self, $sql, %o) = @_;

    my $rows = $self->rows($sql, %o);
    return @$rows ? $rows->[0][0] : undef;
}


# a psql process with a connection of its own, to hold a transaction open: user,
# dbname

sub session {
    my ($self, %o) = @_;

    return Waha::Postgres::Session->new($self, %o);
}


# connection strings of the gateway and of the superuser

sub dsn {
    my ($self, %o) = @_;

    return $self->_conninfo('waha_gateway', %o);
}

sub admin_dsn {
    my ($self, %o) = @_;

    return $self->_conninfo('postgres', %o);
}


# Makes an organization that takes webhooks: slug, then enabled, name,
# country_code, session (name, or list of names).

sub organization {
    my ($self, $slug, %o) = @_;

    my $enabled = ($o{enabled} // 1) ? 'true' : 'false';
    my $name = _quote($o{name} // ucfirst $slug);
    my $country = _quote($o{country_code});
    my $key = _quote($slug);

    my $sql = "insert into waha.organizations "
              . "(slug, name, whatsapp_enabled, country_code) "
              . "values ($key, $name, $enabled, $country);\n";

    for my $session (ref $o{session} ? @{ $o{session} }
                                     : $o{session} // ())
    {
        $sql .= "insert into waha.sessions (organization_slug, name) "
                . "values ($key, " . _quote($session) . ");\n";
    }

    $self->psql($sql);
}


# the id of an organization

sub organization_id {
    my ($self, $slug) = @_;

    return $self->value('select id from waha.organizations where slug = '
                        . _quote($slug));
}


# a new API key of an organization: slug, scopes (undef: all), expires_in (s)

sub api_key {
    my ($self, $slug, $scopes, $expires_in) = @_;

    return $self->value("select data->>'key' from waha.create_api_key("
        . join(', ', map { _quote($_) } $slug, 'test', $scopes, $expires_in)
        . ')');
}


sub operator_key {
    my ($self) = @_;

    return $self->value("select waha.create_operator_key('test')");
}


# pids of the backends that serve the module; condition: on pg_stat_activity

sub backends {
    my ($self, $condition) = @_;

    $condition //= 'true';

    my @pids = map { $_->[0] } @{ $self->rows(<<"EOF_SQL") };
select pid from pg_stat_activity
 where application_name = 'nginx-waha' and ($condition)
EOF_SQL

    return @pids;
}


# how many of them wait for a lock

sub blocked {
    my ($self) = @_;

    return scalar $self->backends(q{wait_event_type = 'Lock'});
}


# ends the connections of the module, as an administrator can; they are closed
# when this returns

sub terminate_backends {
    my ($self) = @_;

    $self->psql(<<'EOF_SQL');
select pg_terminate_backend(pid, 5000) from pg_stat_activity
 where application_name = 'nginx-waha'
EOF_SQL
}


# how many messages are stored; pattern: of their ids, for "like"

sub messages {
    my ($self, $pattern) = @_;

    return $self->value('select count(*) from waha.contact_activities '
                        . 'where message_id like ' . _quote($pattern // '%'));
}


# how many messages are stored more than once

sub doubled {
    my ($self) = @_;

    return $self->value(<<'EOF_SQL');
select count(*) from (select 1 from waha.contact_activities
 group by message_id having count(*) > 1) t
EOF_SQL
}


# how many deadlocks there were

sub deadlocks {
    my ($self) = @_;

    return $self->value('select deadlocks from pg_stat_database '
                        . 'where datname = current_database()');
}


sub log { return -e $_[0]{log} ? slurp($_[0]{log}) : '' }


sub _pids { return within($_[0]{data}) }


sub _conninfo {
    my ($self, $user, %o) = @_;

    my %c = (host => $self->{dir}, port => $self->{port},
             dbname => $self->{dbname}, user => $user, %o);

    return join ' ', map { "$_=$c{$_}" } sort keys %c;
}


sub _psql {
    my ($self, $options, $sql, %o) = @_;

    open my $in, '+>', undef or die $!;
    print $in $sql // '';
    $in->flush;
    seek $in, 0, 0;

    open my $err, '+>', undef or die $!;
    my @cmd = ($self->program('psql'), '-X', '-q', '-v', 'ON_ERROR_STOP=1',
               '-d', $self->_conninfo($o{user} // 'postgres',
                   defined $o{dbname} ? (dbname => $o{dbname}) : ()),
               @$options);

    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<&', $in;
        open STDERR, '>&', $err;
        $ENV{PGCLIENTENCODING} = 'UTF8';
        { no warnings 'exec'; exec { $cmd[0] } @cmd; }
        POSIX::_exit(127);
    }

    local ($/, $?, $!);
    my $text = <$out> // '';
    close $out;

    if ($?) {
        seek $err, 0, 0;
        die "psql: " . (<$err> // "exit $?");
    }

    return $text;
}


# initdb takes seconds and makes the same each time, so it runs only once

sub _template {
    my ($self) = @_;

    # two builds of one version have other libraries and time zones

    my ($version) = `$self->{bin}/postgres --version` =~ /(\d.*\w)/;
    $version =~ s/\W+/-/g;
    my $owner = $self->{user} // getpwuid $>;
    my $build = root() . '/build';
    my $template = "$build/cluster-$version-$owner";

    File::Path::make_path($build);
    open my $lock, '>', "$build/cluster.lock" or die "$build: $!";
    flock $lock, LOCK_EX;

    return $template if -d $template;

    my $data = "$self->{dir}/template";
    my $log = "$self->{dir}/initdb.log";
    my $sh = "umask 077 && '$self->{bin}/initdb' -D '$data' -U postgres "
             . "-A trust -E UTF8 --locale=C.UTF-8 --no-sync && "
             . "echo 'create database crm' | "
             . "'$self->{bin}/postgres' --single -D '$data' postgres";

    my $pid = spawn(cmd => [ '/bin/sh', '-c', $sh ], user => $self->{user},
                    dir => $self->{dir}, log => $log);

    die "initdb failed:\n", slurp($log) if reap($pid, 300);

    _run('cp', '-a', $data, "$template.new");
    rename "$template.new", $template or die "rename $template: $!";
    File::Path::remove_tree($data);

    return $template;
}


sub _own {
    my ($self, $path) = @_;

    return if !$self->{user};
    chown +(getpwnam $self->{user})[2, 3], $path;
}


# the account of the server, which refuses to run as root; none: our own

sub account {
    return if $> != 0;
    return getpwnam('postgres') ? 'postgres' : 'nobody';
}


sub _bindir {
    return $ENV{TEST_POSTGRES_BIN} if $ENV{TEST_POSTGRES_BIN};

    my ($found) = grep { -x "$_/postgres" } _installed(),
                  split /:/, $ENV{PATH};

    return $found // die "PostgreSQL's server is not installed\n";
}


# Debian's directories of programs, the newest release first

sub _installed {
    return sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] }
           glob '/usr/lib/postgresql/*/bin';
}


sub _quote {
    my ($text) = @_;

    return 'null' if !defined $text;
    $text =~ s/'/''/g;
    return "'$text'";
}


sub _run {
    my (@cmd) = @_;

    local $?;
    system(@cmd) == 0 or die "@cmd: failed";
}


package Waha::Postgres::Session;

use strict;
use warnings;

use IO::Handle ();
use Waha::Process qw(wait_for);


sub new {
    my ($class, $pg, %o) = @_;

    pipe my $child_in, my $in or die $!;
    pipe my $out, my $child_out or die $!;
    $in->autoflush(1);

    my @cmd = ($pg->program('psql'), '-X', '-q', '-A', '-t',
               '-d', $pg->_conninfo($o{user} // 'postgres',
                   defined $o{dbname} ? (dbname => $o{dbname}) : ()));

    my $pid = fork();
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<&', $child_in;
        open STDOUT, '>&', $child_out;
        open STDERR, '>&', $child_out;
        $ENV{PGCLIENTENCODING} = 'UTF8';
        { no warnings 'exec'; exec { $cmd[0] } @cmd; }
        POSIX::_exit(127);
    }

    $out->blocking(0);

    my $self = bless { pg => $pg, in => $in, out => $out, pid => $pid,
                       buffer => '', number => 0 }, $class;
    $self->{backend} = $self->query('select pg_backend_pid()');

    return $self;
}


sub backend { return $_[0]{backend} }


# true as soon as the statement of async() waits for a lock

sub wait_blocked {
    my ($self) = @_;

    return wait_for(sub {
        $self->{pg}->value("select 1 from pg_stat_activity "
            . "where wait_event_type = 'Lock' and pid = $self->{backend}");
    });
}


# runs SQL; what it prints, or dies with its error

sub query {
    my ($self, $sql) = @_;

    $self->async($sql);
    my $text = $self->result(30);

    die "no answer within 30 s: $sql" if !defined $text;
    die $text if $text =~ /^(psql:.*)?(ERROR|FATAL):/m;

    return $text;
}


# starts SQL that may wait for a lock

sub async {
    my ($self, $sql) = @_;

    $self->{number}++;
    print { $self->{in} } "$sql\n;\n\\echo done $self->{number}\n";
}


# what the SQL of the last async() printed; undef if it has not ended in time

sub result {
    my ($self, $timeout) = @_;

    my $mark = "done $self->{number}\n";

    wait_for(sub {
        1 while sysread $self->{out}, $self->{buffer}, 65536,
                        length $self->{buffer};
        return $self->{buffer} =~ /^\Q$mark\E/m;
    }, $timeout // 60) or return undef;

    my ($text) = split /^\Q$mark\E/m, $self->{buffer}, 2;
    $self->{buffer} = '';
    $text //= '';
    $text =~ s/\s+\z//;

    return $text;
}


sub close {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    CORE::close($self->{in});
    local ($?, $!);
    waitpid $pid, 0;
}


sub DESTROY {
    my ($self) = @_;

    return if ${^GLOBAL_PHASE} eq 'DESTRUCT';
    $self->close;
}


1;
