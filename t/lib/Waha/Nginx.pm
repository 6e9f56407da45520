package Waha::Nginx;

# nginx with a complete configuration, in a directory of its own.

use strict;
use warnings;

use Waha::File;
use Waha::Process qw(spawn reap alive wait_for free_port children_of);

# nginx frees little of its configuration before it ends

$ENV{ASAN_OPTIONS} //= 'detect_leaks=0';
$ENV{UBSAN_OPTIONS} //= 'print_stacktrace=1';


# dir, conf, workers (1), vars ({ NAME => value } for %%NAME%%)

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        dir     => $o{dir},
        workers => $o{workers} // 1,
        vars    => $o{vars} || {},
        port    => {},
        allowed => [],
        binary  => _binary(),
    }, $class;

    mkdir $self->{dir} or die "mkdir $self->{dir}: $!";
    mkdir "$self->{dir}/$_" for qw(body proxy);

    $self->write('hmac.key', 'hmackey');
    $self->conf($o{conf});

    return $self;
}


# sets the configuration of the next start or reload

sub conf {
    my ($self, $text) = @_;

    my $module = $ENV{TEST_NGINX_MODULE}
                 // root() . '/build/ngx_http_waha_module.so';
    my $level = $ENV{TEST_NGINX_DEBUG} ? 'debug' : 'info';
    my $dir = $self->{dir};

    my %vars = (
        DIR => $dir,
        KEY => "$dir/hmac.key",
        GLOBALS => join("\n",
            length $module ? "load_module $module;" : (),
            $> == 0 ? 'user root;' : (),
            'daemon off;',
            "worker_processes $self->{workers};",
            "error_log $dir/error.log $level;",
            "pid $dir/nginx.pid;"),
        HTTP_GLOBALS => join("\n",
            "access_log $dir/access.log;",
            "client_body_temp_path $dir/body;",
            "proxy_temp_path $dir/proxy;",
            "fastcgi_temp_path $dir/fastcgi;",
            "scgi_temp_path $dir/scgi;",
            "uwsgi_temp_path $dir/uwsgi;"),
        %{ $self->{vars} },
    );

    $text =~ s/%%PORT(\d*)%%/$self->port($1)/ge;
    $text =~ s/%%(\w+)%%/$vars{$1} \/\/ die "unknown %%$1%%"/ge;

    $self->write('nginx.conf', $text);
}


# a file in nginx's directory, closed to other users as a key has to be; its
# path

sub write {
    my ($self, $name, $text) = @_;

    return spew_secret("$self->{dir}/$name", $text);
}


sub port {
    my ($self, $number) = @_;

    return $self->{port}{ $number // '' } //= free_port();
}


sub pid { return $_[0]{pid} }


# the exit status and the messages of nginx -t

sub test {
    my ($self) = @_;

    my $cmd = join ' ', map { "'$_'" } $self->_command, '-t';
    local $?;
    my $text = `$cmd 2>&1`;

    return ($? >> 8, $text);
}


sub start {
    my ($self) = @_;

    $self->{pid} = spawn(cmd => [ $self->_command ], dir => $self->{dir},
        log => "$self->{dir}/stderr.log");

    my $state = wait_for(sub {
        return 'dead' if !alive($self->{pid});
        return 0 if !-s "$self->{dir}/nginx.pid";
        return $self->worker_pids >= $self->{workers} ? 'up' : 0;
    }, 60) // '';

    return $self if $state eq 'up';

    die "nginx does not start:\n" . $self->log('stderr.log')
        . $self->error_log;
}


# signal: QUIT (requests under way are answered), TERM or KILL

sub stop {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} or return 1;

    kill $signal // 'QUIT', $pid;
    return 1 if defined reap($pid, 60);

    $self->{stuck} = 1;
    Waha::Process::kill_hard($pid);
    return 0;
}


# True when only new workers take requests; false when the configuration was
# refused.

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->worker_pids;
    my $length = length $self->error_log;

    kill 'HUP', $self->{pid};

    my $state = wait_for(sub {
        my @pids = $self->worker_pids;
        my @new = grep { !$old{$_} } @pids;
        return 'new' if @new >= $self->{workers} && @new == @pids;
        return 'bad' if substr($self->error_log, $length) =~ /\[emerg\]/;
        return 0;
    }, 60) // 'none';

    return $state eq 'new';
}


# workers that take requests; all => 1: also those that are quitting

sub worker_pids {
    my ($self, %o) = @_;

    my %child = children_of($self->{pid});

    my @pids = sort { $a <=> $b }
               grep { $child{$_} =~ /worker process/
                      && ($o{all} || $child{$_} !~ /shutting down/) }
               keys %child;

    return @pids;
}


# a log in nginx's directory, empty if the file does not exist

sub log {
    my ($self, $name) = @_;

    return -e "$self->{dir}/$name" ? slurp("$self->{dir}/$name") : '';
}


sub error_log  { return $_[0]->log('error.log') }
sub access_log { return $_[0]->log('access.log') }


# allows an [alert] that the test itself causes

sub allow {
    my ($self, $pattern) = @_;

    push @{ $self->{allowed} }, $pattern;
}


# lines of the logs that fail the test: alerts, reports of sanitizers

sub complaints {
    my ($self) = @_;

    my @bad = grep { /\[alert\]|Sanitizer|runtime error|open socket/ }
              split /\n/, $self->log('stderr.log') . $self->error_log;

    for my $pattern (@{ $self->{allowed} }) {
        @bad = grep { $_ !~ $pattern } @bad;
    }

    push @bad, 'nginx did not stop within 60 seconds' if $self->{stuck};

    return @bad;
}


sub _command {
    my ($self) = @_;

    return ($self->{binary}, '-p', $self->{dir},
            '-c', "$self->{dir}/nginx.conf", '-e', "$self->{dir}/error.log");
}


sub _binary {
    return $ENV{TEST_NGINX_BINARY} if $ENV{TEST_NGINX_BINARY};

    for my $dir (split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin') {
        return "$dir/nginx" if -x "$dir/nginx";
    }

    die "nginx is not installed\n";
}


1;
