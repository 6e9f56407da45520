package Waha::Numbers;

# The tenant API of a test's nginx, with a stand-in of Graph behind it.
#
#   my $graph = $t->graph;
#   my $api = Waha::Numbers->new($t, graph => $graph);
#   $t->start;
#
#   $api->account('acme', number => '100');
#   my $r = $api->connect('acme', '100');
#
# The account, the token and the secret of an organization are named after it.

use strict;
use warnings;

use parent 'Waha::Api';

use Waha::Process qw(free_port);

my %ids;


# graph: the stand-in; key: whether there is a waha_secret_key (1); timeout:
# proxy_read_timeout (5s); look: of waha_call_timeout (5s); media: directives
# for media files (those of the stand-in); and the options of Waha::Api

sub new {
    my ($class, $t, %o) = @_;

    my $graph = delete $o{graph};
    my $timeout = delete $o{timeout} // '5s';
    my $look = delete $o{look} // '5s';
    my $key = delete($o{key}) // 1 ? 'waha_secret_key k1 seal.key;' : '';
    my $port = free_port();
    my $url = "http://127.0.0.1:$port/api/whatsapp/webhook";
    my $media = delete $o{media}
                // 'waha_meta_media ' . $graph->media_host . ' /media;';

    my $http = "waha_webhook_url $url;\n$key\nwaha_graph /graph;\n$media\n"
               . "waha_call_timeout 5s look=$look;\n";

    my $server = <<"EOF_CONF";
        listen 127.0.0.1:$port;

        location /graph/ {
            internal;
            proxy_pass @{[ $graph->url ]}/;
            proxy_read_timeout $timeout;
        }

        location /media/ {
            internal;
            proxy_pass @{[ $graph->media_url ]}/;
            proxy_read_timeout $timeout;
        }

        location /api/whatsapp/webhook/ {
            waha_webhook;
            access_log off;
        }
EOF_CONF

    my $self = Waha::Api::new($class, $t, %o,
                              http => $http . ($o{http} // ''),
                              server => $server . ($o{server} // ''));

    $self->{graph} = $graph;
    $self->{url} = $url;

    $t->nginx->write('seal.key', '0123456789abcdef' x 4);

    return $self;
}


sub url { return $_[0]{url} }


# An app, an account and a token at Graph for an organization; number: the
# first in the account, with number_... its members.  Their ids are kept.

sub account {
    my ($self, $name, %o) = @_;

    my $graph = $self->{graph};
    my $n = $ids{$name} // 1 + keys %ids;
    my ($app, $account) = (900 + $n, 700 + $n);

    $ids{$name} = $n;
    $graph->add_app($app, secret => "app-secret-of-$name");
    $graph->add_account($account, business => 500 + $n,
                        business_name => ucfirst $name);
    $graph->add_token("EAA$name", app => $app, accounts => [ $account ],
                      %{ $o{token} || {} });

    $graph->add_number($o{number}, account => $account,
        phone => "+55 11 98888-70$n$n", name => ucfirst($name) . ' Shop',
        map { s/^number_//r => $o{$_} } grep { /^number_/ } keys %o)
        if $o{number};

    return $account;
}


# the body of a request that connects a number of an organization

sub body {
    my ($self, $name, $number, %o) = @_;

    my %body = (accessToken => "EAA$name", phoneNumberId => $number,
                verifyToken => "verify-$name", appSecret =>
                "app-secret-of-$name", wabaId => 700 + $ids{$name}, %o);

    delete @body{ grep { !defined $body{$_} } keys %body };

    return \%body;
}


# connects a number of an organization; the answer

sub connect {
    my ($self, $who, $number, %o) = @_;

    return $self->post($who, '/api/integrations/whatsapp/connect',
                       $self->body($who, $number, %o));
}


sub status {
    my ($self, $who) = @_;

    return $self->get($who, '/api/integrations/whatsapp/status');
}


1;
