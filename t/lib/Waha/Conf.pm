package Waha::Conf;

# What "nginx -t" says of a configuration.
#
#   my $conf = Waha::Conf->new($t, files => { 'empty.key' => '' });
#
#   $conf->accepted('a webhook with a key', $http, $server, $location);
#   $conf->refused('an empty key', qr/is empty/, $http, $server, $location);
#
# $http, $server and $location are the directives of each level.

use strict;
use warnings;

use Test::More ();


# files: in the directory of nginx.conf, name => bytes

sub new {
    my ($class, $t, %o) = @_;

    return bless { t => $t, files => $o{files} || {} }, $class;
}


sub accepted {
    my ($self, $name, @directives) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $text) = $self->_test(@directives);
    Test::More::is($status, 0, "nginx -t accepts $name")
        or Test::More::diag($text);
}


# why: what the error has to say

sub refused {
    my ($self, $name, $why, @directives) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $text) = $self->_test(@directives);
    Test::More::like($status ? $text : 'it is accepted', $why,
                     "nginx -t refuses $name and says why");
}


sub _test {
    my ($self, $http, $server, $location) = @_;

    my $nginx = $self->{t}->nginx(conf => <<"EOF_CONF");
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    $http
    server {
        listen 127.0.0.1:%%PORT%%;
        $server
        location = /hook {
            $location
        }
    }
}
EOF_CONF

    $nginx->write($_, $self->{files}{$_}) for keys %{ $self->{files} };

    return $nginx->test;
}


1;
