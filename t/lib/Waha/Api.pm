package Waha::Api;

# The tenant API of a test's nginx, and its callers.
#
#   my $api = Waha::Api->new($t);
#   $t->start;
#
#   my $r = $api->get('acme', '/api/whatsapp/contacts');
#   my $r = $api->put('operator', '/api/whatsapp/organizations/acme',
#                     { name => 'Acme' });
#
# A caller is the slug of an organization, 'operator', "acme:read" (a key that
# may only read) or undef (no credentials).

use strict;
use warnings;

use JSON::PP ();
use Test::More ();

use Waha::HTTP;
use Waha::Standin ();

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

    %%LOGINS%%
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


# http, server: more directives; workers (1); timeout: of the
# database; database: directives instead of one for all uses

sub new {
    my ($class, $t, %o) = @_;

    $t->nginx(conf => $conf, workers => $o{workers} // 1,
              vars => { API => $o{http} // '', SERVER => $o{server} // '',
                        LOGINS => $o{database} // 'waha_database "'
                            . $t->{postgres}[0]->dsn . '" timeout='
                            . ($o{timeout} // '10s') . ';' });

    return bless { t => $t, pg => $t->{postgres}[0], token => {} }, $class;
}


# the API key of a caller, created when it is first needed

sub token {
    my ($self, $who) = @_;

    return $self->{token}{$who} //= $self->_token($who);
}


# A request and its answer.  body: a hash that is sent as JSON, or bytes.

sub request {
    my ($self, @request) = @_;

    my $http = $self->{http} //= $self->{t}->http;

    return $self->_seen($http->request($self->_complete(@request)));
}


# Sends a request with the given client, whose answer() can be read later; the
# client.

sub send {
    my ($self, $http, @request) = @_;

    $http->connect or die 'no connection to nginx';
    $http->send($http->format($self->_complete(@request)))
        or die 'nginx takes no request';

    return $http;
}


# sends a request, tests that it succeeds; the JSON of the answer

sub ok {
    my ($self, $who, $method, $path, $body, $name) = @_;

    # a failure has the line of the caller
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $r = $self->request($who, $method, $path, $body);
    $name //= "$method $path";

    Test::More::is($r->{status}, 200, "$name: status 200")
        or Test::More::diag($r->{body});
    Test::More::is($r->{json}{success}, JSON::PP::true,
                   "$name: success is true");

    return $r->{json};
}


# The data of each page of a list, to the last page.  size: rows of a page;
# between: a sub that is called between two pages.

sub pages {
    my ($self, $who, $path, %o) = @_;

    my @pages;
    my $url = $path . ($path =~ /\?/ ? '&' : '?') . "size=$o{size}";
    my $next = '';

    while (defined $next) {
        $o{between}->() if $o{between} && @pages;
        push @pages, $self->ok($who, GET => $url . $next)->{data};
        last if @pages > 1000;

        $next = $pages[-1]{next};
        $next = "&after=$next" if defined $next;
    }

    return @pages;
}


# A request over HTTP/2, by curl: status, version, headers, body, json.
# options: of curl.

sub http2 {
    my ($self, $who, $method, $path, $body, @options) = @_;

    my @curl = ('curl', '-s', '-i', '--max-time', 60,
                '--http2-prior-knowledge', '-w',
                "\n%{http_version} %{http_code}",
                $method eq 'HEAD' ? '-I' : ('-X', $method),
                '-H', 'Authorization: Bearer ' . $self->token($who),
                defined $body ? ('-d', ref $body ? $json->encode($body)
                                                 : $body) : (),
                @options, 'http://127.0.0.1:' . $self->{t}->port(2) . $path);

    open my $out, '-|', @curl or die "curl: $!";
    local $/;
    my ($answer, $version, $status) = <$out> =~ /^(.*)\n(\S+) (\d+)\z/s;
    close $out;

    my ($head, $text) = $answer =~ /^(HTTP.*?\r\n)\r\n(.*)\z/s;
    my %headers = ($head // '') =~ /^([\w-]+):\s*(.*?)\r$/mg;

    return $self->_seen({ status => $status, version => $version,
        headers => \%headers, body => $text // '',
        json => scalar eval { JSON::PP::decode_json($text) } });
}


# whether curl speaks HTTP/2

sub has_http2 { return `curl --version 2>/dev/null` =~ /HTTP2/ }


# Tests that no answer so far and no log shows one of the secrets; the error log
# may show why WAHA has refused.

sub hides {
    my ($self, @secrets) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %text = ('an answer' => $self->{answers}, 'access.log' => $self->log,
                'error.log' => $self->{t}->error_log);

    for my $where (sort keys %text) {
        Test::More::ok(length $text{$where}, "$where is there to be searched");

        for my $secret (grep { length } @secrets) {
            next if $where eq 'error.log'
                    && Waha::Standin::is_reason($secret);

            Test::More::ok(index($text{$where}, $secret) < 0,
                           "$where does not show \"$secret\"");
        }
    }
}


sub get    { my ($self, $who, @r) = @_; $self->request($who, 'GET', @r) }
sub post   { my ($self, $who, @r) = @_; $self->request($who, 'POST', @r) }
sub put    { my ($self, $who, @r) = @_; $self->request($who, 'PUT', @r) }
sub delete { my ($self, $who, @r) = @_; $self->request($who, 'DELETE', @r) }


# the access log, with lines like "GET /uri 200 org=acme action=..."

sub log {
    my ($self) = @_;

    return $self->{t}->nginx->log('api.log');
}


# method, path, headers and body of a request

sub _complete {
    my ($self, $who, $method, $path, $body, %headers) = @_;

    $body = $json->encode($body) if ref $body;

    return ($method, $path, {
        defined $who ? %{ bearer($self->token($who)) } : (),
        defined $body ? ('Content-Type' => 'application/json') : (),
        %headers }, $body);
}


# Keeps an answer for hides(), and tests that no cache may keep it.

sub _seen {
    my ($self, $r) = @_;

    my ($type, $cache, $sniff) = @{ $r->{headers} }
        {qw(content-type cache-control x-content-type-options)};

    Test::More::is($cache, 'no-store', 'no cache may keep an answer')
        if ($type // '') =~ /json/ && ($cache // '') ne 'no-store';
    Test::More::is($sniff, 'nosniff', 'no browser may take JSON for a page')
        if ($type // '') =~ /json/ && ($sniff // '') ne 'nosniff';

    $self->{answers} .= join "\n", %{ $r->{headers} },
                             substr($r->{body}, 0, 10_000), '';

    return $r;
}


sub _token {
    my ($self, $who) = @_;

    return $self->{pg}->operator_key if $who eq 'operator';
    return $self->{pg}->api_key(split /:/, $who);
}


1;
