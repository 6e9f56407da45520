package Waha::Sessions;

# The tenant API of a test's nginx, with stand-ins of WAHA behind it.
#
#   my $waha = $t->standin;
#   my $api = Waha::Sessions->new($t, wahas => [ $waha ]);
#   $t->start;
#
#   my $r = $api->post('acme', '/api/whatsapp/sessions');
#   $waha->scan($r->{json}{data}{session}, phone => '4915112345678');
#
# Instances have the names of the stand-ins: waha-1, waha-2, ...

use strict;
use warnings;

use parent 'Waha::Api';

use Waha::Process qw(free_port);


# wahas: list of stand-ins; timeout: proxy_read_timeout (5s); unlimited: without
# waha_session_budget; and the options of Waha::Api

sub new {
    my ($class, $t, %o) = @_;

    my $wahas = delete $o{wahas};
    my $timeout = delete $o{timeout} // "5s";
    my $budget = delete $o{unlimited} ? 'waha_session_budget codes=off '
                                        . "connects=off restarts=off;\n" : '';
    my $port = free_port();
    my $url = "http://127.0.0.1:$port/api/whatsapp/webhook";

    my $http = "waha_webhook_url $url;\n$budget"
               . join '', map { "waha_instance $_->{name} /$_->{name};\n" }
                          @$wahas;

    my $server = "listen 127.0.0.1:$port;\n" . join '', map { <<"EOF_CONF" }
        location /$_->{name}/ {
            internal;
            proxy_pass @{[ $_->url ]}/;
            proxy_set_header X-Api-Key @{[ $_->key ]};
            proxy_read_timeout $timeout;
        }
EOF_CONF
        @$wahas;

    my $self = Waha::Api::new($class, $t, %o,
                              http => $http . ($o{http} // ''),
                              server => $server . ($o{server} // ''));

    $self->{url} = $url;

    return $self;
}


# the URL of the webhook that sessions are configured with

sub url { return $_[0]{url} }


1;
