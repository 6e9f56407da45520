# Attacks that succeeded once.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin(key => 'key-of-one');
my $other = $t->standin(key => 'key-of-two');

$pg->organization($_) for 'acme', 'bolt';

my $api = Waha::Sessions->new($t, wahas => [ $waha, $other ],
                              server => <<'EOF_CONF');
        location /hidden/ {
            internal;
            return 200 '{"hidden":true}';
        }

        location @hidden {
            return 200 '{"hidden":true}';
        }

        location /file/ {
            internal;
            alias /etc/;
        }
EOF_CONF

$t->start;


subtest 'a WAHA server that leads elsewhere' => sub {
    my $name = $api->post('acme', '/api/whatsapp/sessions')
                   ->{json}{data}{session};
    my $foreign = $api->post('bolt', '/api/whatsapp/sessions')
                      ->{json}{data}{session};
    is($pg->value("select count(distinct instance) from waha.sessions"), 2,
       'each has a server of its own');

    my $url = $waha->url . $waha->add_file($name, 'a.png', 'x', 'image/png');
    $waha->scan($name, phone => '4915112345678');

    my $file = $t->webhook($t->message(session => $name,
        from => '4915222222222', media => {
            url => $url, mimetype => 'image/png' }))->{json}{data}{activityId};

    $waha->status($name, 'PASSKEY_REQUIRED');

    my $slash = $other->{name};
    my %where = (
        'another WAHA'     => "/$slash/api/sessions?all=true",
        'another session'  => "/$slash/api/sessions/$foreign",
        'itself'           => "/$waha->{name}/api/sessions/$name",
        'a page'           => '/hidden/',
        'a named location' => '@hidden',
        'a file'           => '/file/hostname',
        'the API'          => '/api/whatsapp/contacts',
    );

    for my $to (sort keys %where) {
        for my $path ("/api/whatsapp/media/$file",
                      "/api/whatsapp/sessions/$name/passkey/challenge")
        {
            $waha->heal;
            $waha->fail(match => '/api/files|/challenge', with => 'status',
                status => 200, body => '{}',
                headers => [ [ 'X-Accel-Redirect', $where{$to} ] ]);
            $waha->clear_requests;
            $other->clear_requests;

            my $r = $api->get('acme', $path);
            is($r->{json}{code}, 'waha_invalid_answer', "$to: $path");
            unlike($r->{body}, qr/hidden|config/, 'nothing of it');
            is($other->requests, 0, 'the other WAHA is not asked');
            cmp_ok(scalar $waha->requests, '<=', 2, 'nor is this one again');
        }
    }

    $waha->heal;
    is($api->get('acme', "/api/whatsapp/media/$file")->{body}, 'x',
       'a file is still served');

    like($t->error_log, qr/\[error\] .*WAHA's answer has "X-Accel-Redirect"/,
         'an operator is told');
};


$t->done;
