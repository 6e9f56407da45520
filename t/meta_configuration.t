# "nginx -t" refuses mistakes in the directives of Meta's Cloud API; clients do
# not reach the locations that lead to Meta.

use Waha::Test;
use Waha::Conf;
use Waha::Numbers;

my $t = Waha::Test->new;
my $conf = Waha::Conf->new($t);

my $database = 'waha_database "host=127.0.0.1 dbname=crm user=waha_gateway";';
my $api = 'waha_api; waha_api_keys on;';
my $url = 'waha_webhook_url https://crm.example/hook;';

$conf->accepted('a location that connects numbers, without WAHA',
    $database, '', "$api $url waha_graph /graph;");

$conf->accepted('all directives of numbers', "$database waha_graph /graph/;",
    'waha_meta_app_id 123456789012345;', <<"EOF_CONF");
$api $url
waha_meta_media lookaside.fbsbx.com /media;
waha_meta_media files.example:8443 /files/;
EOF_CONF

$conf->refused('waha_graph without waha_webhook_url',
    qr/connects numbers of Meta, which need "waha_webhook_url"/,
    $database, '', "$api waha_graph /graph;");

$conf->refused('a second waha_graph', qr/"waha_graph" directive is duplicate/,
    $database, '', "$api $url waha_graph /graph; waha_graph /other;");

for my $bad ([ 'graph', qr/begin with "\/"/ ], [ '/', qr/Graph needs a/ ],
             [ 'https://graph.facebook.com', qr/begin with "\/"/ ])
{
    $conf->refused("waha_graph $bad->[0]", $bad->[1],
        $database, '', "$api $url waha_graph $bad->[0];");
}

for my $host ('https://lookaside.fbsbx.com', 'Lookaside.fbsbx.com',
              'a.example/path', '*.fbcdn.net', '""')
{
    $conf->refused("waha_meta_media $host", qr/invalid host/,
        $database, '', "$api $url waha_meta_media $host /media;");
}

$conf->refused('a host twice', qr/"waha_meta_media" directive is duplicate/,
    $database, '', "$api waha_meta_media a.example /a; "
                   . 'waha_meta_media a.example /b;');
$conf->refused('waha_meta_app_id with letters', qr/invalid id "abc" of an app/,
    $database, '', "$api waha_meta_app_id abc;");
$conf->refused('a second waha_meta_app_id', qr/directive is duplicate/,
    $database, '', "$api waha_meta_app_id 1; waha_meta_app_id 2;");


my $pg = $t->postgres;
my $graph = $t->graph;
$pg->organization('acme');

my $numbers = Waha::Numbers->new($t, graph => $graph, key => 0,
                                 server => <<'EOF_SERVER');
        location /bare/ {
            waha_api;
            waha_graph /open;
        }

        location /open/ {
            return 200 'open';
        }
EOF_SERVER

$t->start;
$numbers->account('acme', number => '100');

for my $path (qw(/graph/100 /graph /media/x /open/x /OPEN/x)) {
    is($t->http->get($path, bearer('EAAacme'))->{status}, 404,
       "a client does not reach $path");
}

is(scalar $graph->requests, 0, 'Graph gets no request of a client');
refused($numbers->connect('acme', '100'), 503, 'no_secret_key',
        'connecting without a key that seals');

$t->done;
