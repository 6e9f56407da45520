# The configurations in conf.examples/ pass "nginx -t" once the files that they
# name exist.

use Waha::Test;
use Waha::Token qw(openssl);

my $t = Waha::Test->new;
my $dir = $t->dir;

mkdir "$dir/waha" or die $!;

put('waha-hmac.key', 'a' x 64);
put("waha-$_.key", 'a' x 64) for 1, 2;
put('waha/hmac.key', 'a' x 64);
put('waha/seal.key', '0123456789abcdef' x 4);
put('waha-secret.key', '0123456789abcdef' x 4);
put($_, 'a' x 32) for qw(meta-app.secret meta-verify.token);
put($_, qq{proxy_set_header X-Api-Key "key";\n})
    for qw(waha.conf waha-1.conf waha-2.conf waha/waha.conf);
put($_, "*:*:crm:waha_gateway:password\n") for qw(waha.pgpass waha/pgpass);

openssl("req -x509 -newkey rsa:2048 -nodes -subj /CN=crm.example.com"
        . " -keyout $dir/crm.key -out $dir/crm.pem");
put('pg-root.pem', slurp("$dir/crm.pem"));
openssl("ecparam -name prime256v1 -genkey -noout -out $dir/login.key");
openssl("ec -in $dir/login.key -pubout -out $dir/login.pem");

my @examples = glob root() . '/conf.examples/*.conf';
cmp_ok(scalar @examples, '>=', 3, 'there are at least three examples');

for my $example (@examples) {
    my $conf = slurp($example);

    $conf =~ s/^load_module .*\n/%%GLOBALS%%\n/m;
    $conf =~ s/^(?:user|worker_processes|error_log|pid) .*\n//mg;
    $conf =~ s/^http \{\n/http {\n%%HTTP_GLOBALS%%\n/m;
    $conf =~ s{/etc/nginx/}{$dir/}g;
    $conf =~ s{/var/log/nginx/}{$dir/}g;
    $conf =~ s{/etc/ssl/certs/ca-certificates\.crt}{$dir/crm.pem}g;
    $conf =~ s/\b(?:db\d|waha)\.internal\b/127.0.0.1/g;
    $conf =~ s{https://(?:graph\.facebook|lookaside\.fbsbx)\.com/}
              {https://127.0.0.1/}g;

    my ($status, $text) = $t->nginx(conf => $conf)->test;

    is($status, 0, $example =~ s{.*/}{}r) or diag($text);
}

$t->done;


sub put {
    my ($name, $text) = @_;

    chmod 0600, spew("$dir/$name", $text);
}
