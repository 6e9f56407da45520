# What connecting writes into the configuration of a session: one webhook of
# ours, whatever it was before; the events that nginx stores; and at which of
# several WAHA servers.

use Waha::Test;
use Waha::Sessions;

use JSON::PP ();

my $t = Waha::Test->new;
my $pg = $t->postgres;
my @wahas = map { $t->standin } 1 .. 3;
my $waha = $wahas[0];

$pg->organization($_) for qw(acme bolt cat dog);

my $api = Waha::Sessions->new($t, unlimited => 1, wahas => \@wahas,
                              timeout => '1s');
$t->start;

my $sessions = '/api/whatsapp/sessions';
my $true = JSON::PP::true;


sub webhooks { return $waha->session('tenant-acme')->{config}{webhooks} }


# --- webhooks of before ------------------------------------------------------

is($api->post('acme', $sessions)->{status}, 200, 'a session is created');

my $ours = webhooks()->[0];


subtest "the README's example" => sub {
    my ($example) = slurp(root() . '/README.md')
        =~ /^### Without the tenant API\n.*?^```json\n(.*?)^```/ms;
    $example = JSON::PP->new->decode($example);

    my $config = $waha->session('tenant-acme')->{config};

    delete $config->{metadata}{organization_id};
    $example->{config}{webhooks}[0]{url} = $api->url;
    $example->{config}{webhooks}[0]{hmac} = $config->{webhooks}[0]{hmac};

    is_deeply($example, { name => 'tenant-acme', start => $true,
                          config => $config },
              'it is what the API sends to WAHA');
};


my ($host, $path) = $api->url =~ m{^http://([^:/]+)[^/]*(/.*)};

sub hook {
    my ($url) = @_;

    return { url => $url, events => [ 'message' ], hmac => { key => 'old' },
             retries => {} };
}

my @foreign = map { hook($_) } 'https://crm.example.com/other',
    "https://crm.example.com$path/more", "http://$host/other";

for my $url ("http://$host:1$path", "https://$host$path", "http://$host$path/",
             "http://\U$host\E:8080$path?org=acme", $api->url . '?org=acme',
             $api->url . '#x',
             'https://abc123.ngrok.io/api/whatsapp/webhook',
             'http://backend:8000/api/webhook/waha?tenant_id=7')
{
    subtest "replaced: $url" => sub {
        for my $hooks ([ hook($url) ], [ hook($url), $ours ],
                       [ $foreign[0], hook($url), hook($url), @foreign[1, 2] ])
        {
            $waha->remove_session('tenant-acme');
            $waha->add_session('tenant-acme', start => 1,
                               config => { webhooks => $hooks });

            is($api->post('acme', $sessions)->{status}, 200,
               'it is connected');
            is_deeply(webhooks(),
                      [ (@$hooks > 2 ? @foreign : ()), $ours ],
                      'there is one webhook of ours, others are kept');
            $waha->asked;
            $api->post('acme', $sessions);
            is_deeply([ $waha->asked ], [],
                      'connecting again changes nothing at WAHA');
        }
    };
}


# replaces directives of http{} and reloads

sub reconfigured {
    my ($edit) = @_;

    my $file = $t->nginx->{dir} . '/nginx.conf';
    my $conf = slurp($file);
    my $old = $conf;

    local $_ = $conf;
    $edit->();
    isnt($_, $old, 'the configuration is another one');
    spew($file, $_);
    ok($t->reload, 'nginx is reloaded');
    delete $api->{http};

    return sub { spew($file, $old); $t->reload; delete $api->{http} };
}


subtest 'waha_webhook_url is changed' => sub {
    $api->post('acme', $sessions);

    my $url = 'http://127.0.0.2:9/elsewhere';
    my $undo = reconfigured(sub {
        s{waha_webhook_url \S+;}{waha_webhook_url $url;} });

    is($api->post('acme', $sessions)->{status}, 200, 'it is connected');
    is_deeply([ map { $_->{url} } @{ webhooks() } ],
              [ (map { $_->{url} } @foreign), $url ],
              'the new URL takes the place of the old one');

    $undo->();
    $api->post('acme', "$sessions/tenant-acme/restart");
    is_deeply([ map { $_->{url} } @{ webhooks() } ],
              [ (map { $_->{url} } @foreign), $ours->{url} ],
              'so it does when the session is restarted');
};


subtest 'the subscription follows waha_ignore' => sub {
    my %events = map { $_ => 1 } @{ webhooks()->[-1]{events} };
    ok($events{"call.$_"}, "calls are subscribed to: $_")
        for qw(received accepted rejected);
    ok(!$events{'message.ack.group'}, 'acks of ignored groups are not');

    my $undo = reconfigured(sub {
        s{waha_webhook_url}{waha_ignore broadcasts; waha_webhook_url} });

    $api->post('acme', $sessions);

    my $config = $waha->session('tenant-acme')->{config};
    %events = map { $_ => 1 } @{ $config->{webhooks}[-1]{events} };
    ok($events{'message.ack.group'}, 'acks of groups are subscribed to');
    is_deeply($config->{ignore}, { status => JSON::PP::false,
        channels => JSON::PP::false, broadcast => $true },
        'WAHA ignores what nginx ignores');

    $undo->();
    $api->post('acme', $sessions);
    is_deeply($waha->session('tenant-acme')->{config}{ignore},
              { map { $_ => $true } qw(status channels broadcast) },
              'WAHA ignores it again');
};


# --- servers that are down ---------------------------------------------------

subtest 'a WAHA server is down when a session is made' => sub {
    $wahas[1]->fail(with => 'refuse');

    my %r = map { $_ => $api->post($_, $sessions) } qw(bolt cat dog);
    is(join(' ', map { $r{$_}{status} } qw(bolt cat dog)), '200 200 200',
       'all three are connected') or diag map { "$_->{body}\n" } values %r;
    is(join(' ', sort map { $_->{name} } map { $_->sessions }
                 @wahas[0, 2]),
       'tenant-acme tenant-bolt tenant-cat tenant-dog',
       'they are at the servers that run');

    my ($down) = grep { $wahas[2]->session("tenant-$_") } qw(bolt cat dog);
    $wahas[2]->fail(with => 'refuse');
    refused($api->post($down, $sessions), 502, 'waha_unavailable',
            'a session that a server has');
    is($pg->value("select instance from waha.sessions
                    where name = 'tenant-$down'"), 'waha-3',
       'a session that a server has stays there');

    $_->heal for @wahas;
    is($api->post($down, $sessions)->{status}, 200,
       'it is connected once the server is up');
};


subtest 'all WAHA servers are down when a session is made' => sub {
    $pg->organization('eel');
    $api->token('eel');
    $_->fail(with => 'refuse') for @wahas;
    refused($api->post('eel', $sessions), 502, 'waha_unavailable',
            'a session of no server');
    $_->heal for @wahas;
    is($api->post('eel', $sessions)->{status}, 200,
       'it is connected once a server is up');
};


$t->done;
