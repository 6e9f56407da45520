package Waha::Api;

# The tenant API of an nginx of a test, and those who call it.
#
#   my $api = Waha::Api->new($t);
#   $t->start;
#
#   my $r = $api->get('acme', '/api/whatsapp/contacts');
#   my $r = $api->put('operator', '/api/whatsapp/organizations/acme',
#                     { name => 'Acme' });
#
# Who calls is the slug of an organization, 'operator', "acme:read" (a key
# that may only read) or undef (nobody).

use strict;
use warnings;

use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical;

my $conf = <<'EOF_CONF';
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    log_format api '$request_method $uri $status org=$waha_organization '
                   'action=$waha_action';
    access_log %%DIR%%/api.log api;

    waha_database "%%DSN%%";
    waha_hmac_key %%KEY%%;
    waha_api_keys on;
    %%API%%

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT2%% http2;

        location = /api/whatsapp/webhook {
            waha_webhook;
        }

        location / {
            waha_api;
        }

        %%SERVER%%
    }
}
EOF_CONF


# http, server: more of the configuration; workers (1)

sub new {
    my ($class, $t, %o) = @_;

    $t->nginx(conf => $conf, workers => $o{workers} // 1,
              vars => { API => $o{http} // '', SERVER => $o{server} // '' });

    return bless { t => $t, pg => $t->{postgres}[0], token => {} }, $class;
}


# the token of a caller, made when it is first needed

sub token {
    my ($self, $who) = @_;

    return $self->{token}{$who} //= $self->_token($who);
}


# body: a hash that is sent as JSON, or bytes

sub request {
    my ($self, $who, $method, $path, $body, %headers) = @_;

    $body = $json->encode($body) if ref $body;

    my $http = $self->{http} //= $self->{t}->http;

    return $http->request($method, $path, {
        defined $who ? (Authorization => 'Bearer ' . $self->token($who)) : (),
        defined $body ? ('Content-Type' => 'application/json') : (),
        %headers }, $body);
}


sub get    { my ($self, $who, @r) = @_; $self->request($who, 'GET', @r) }
sub post   { my ($self, $who, @r) = @_; $self->request($who, 'POST', @r) }
sub put    { my ($self, $who, @r) = @_; $self->request($who, 'PUT', @r) }
sub delete { my ($self, $who, @r) = @_; $self->request($who, 'DELETE', @r) }


# lines of the access log: "method uri status org=.. action=.."

sub log {
    my ($self) = @_;

    return $self->{t}->nginx->_file('api.log');
}


sub _token {
    my ($self, $who) = @_;

    return $self->{pg}->value("select waha.create_operator_key('test')")
        if $who eq 'operator';

    my ($slug, $scopes) = split /:/, $who;
    my $given = defined $scopes ? "'$scopes'" : 'null';

    return $self->{pg}->value("select data->>'key' from
        waha.create_api_key('$slug', 'test', $given, null)");
}


1;
