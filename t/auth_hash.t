# "$waha_token_hash": a client that writes its header differently stays in the
# same zone of "limit_req".

use Digest::SHA qw(sha256_hex);

use Waha::Test;

my $t = Waha::Test->new;

$t->nginx(conf => <<'EOF_CONF');
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    limit_req_zone $waha_token_hash zone=token:1m rate=1r/m;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /hash {
            return 200 "[$waha_token_hash]";
        }

        location / {
            limit_req zone=token;
            limit_req_status 429;
            try_files /ok =404;
            root %%DIR%%;
        }
    }
}
EOF_CONF
$t->nginx->write('ok', 'ok');
$t->start;

my $hash = '[' . substr(sha256_hex('abc.def'), 0, 32) . ']';

is(body('/hash', "$_ abc.def"), $hash, "the hash with \"$_\"")
    for 'Bearer', 'bearer', 'BEARER', 'bEaReR  ', 'Bearer     ';

isnt(body('/hash', 'Bearer abc.deF'), $hash, 'another token, another hash');
is(body('/hash', $_), '[]', "no hash with \"$_\"")
    for '', 'Basic abc', 'Bearer', 'Bearer a b', "Bearer a\x{e9}";

is(status('/', 'Bearer abc.def'), 200, 'the first request is served');
is(status('/', "$_ abc.def"), 429, "the limit holds with \"$_\"")
    for 'bearer', 'BEARER   ';
is(status('/', 'Bearer other'), 200, 'another token has a limit of its own');

$t->done;


sub ask {
    my ($path, $value) = @_;

    return $t->http->get($path, length $value ? { Authorization => $value }
                                              : {});
}


sub body { return ask(@_)->{body} }


sub status { return ask(@_)->{status} }
