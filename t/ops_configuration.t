# "nginx -t" refuses mistakes in the directives of webhooks and of the
# database, and says what is wrong and what to do.

use Waha::Test;
use Waha::Conf;

my $t = Waha::Test->new;


my $conf = Waha::Conf->new($t, files => {
    'empty.key'    => "\n",
    'long.key'     => 'x' x 5000,
    'crlf.key'     => "hmackey\r\n",
    'bytes.key'    => "hmac\xffkey",
    'controls.key' => "hmac\0key",
    'umlaut.key'   => "hmac\xc3\xa4key",
});

my $database = 'waha_database "host=127.0.0.1 dbname=crm user=waha_gateway";';
my $key = 'waha_hmac_key hmac.key;';


$conf->accepted('waha_webhook with a key and a database',
    $database, '', "waha_webhook; $key");

$conf->accepted('two keys of a server, one bound to an instance',
    $database,
    "$key waha_hmac_key hmac.key instance=waha-1;",
    'waha_webhook;');

$conf->accepted('waha_hmac_key off',
    $database, '', 'waha_webhook; waha_hmac_key off;');

$conf->accepted('all directives of a webhook', $database, '', <<"EOF_CONF");
waha_webhook;
waha_hmac_key crlf.key;
waha_hmac_legacy on;
waha_tenant_from session metadata pattern query sender;
waha_default_organization acme;
waha_ignore groups statuses;
waha_phone_pattern "^[1-9][0-9]{9,14}\$";
waha_blocked_numbers "+49 (151) 234-56" 79222222222;
EOF_CONF

$conf->refused('waha_webhook without waha_hmac_key',
    qr/has "waha_webhook" but no "waha_hmac_key".*off/,
    $database, '', 'waha_webhook;');

$conf->refused('waha_webhook without waha_database',
    qr/"waha_webhook" needs "waha_database"/,
    '', '', "waha_webhook; $key");

$conf->refused('waha_hmac_key with a file that does not exist',
    qr/nowhere\.key" failed.*No such file/,
    $database, '', 'waha_webhook; waha_hmac_key nowhere.key;');

$conf->refused('waha_hmac_key with an empty file', qr/empty\.key" is empty/,
    $database, '', 'waha_webhook; waha_hmac_key empty.key;');

$conf->refused('waha_hmac_key with a file of 5000 bytes',
    qr/long\.key" is longer than 4096 bytes/,
    $database, '', 'waha_webhook; waha_hmac_key long.key;');

$conf->refused('waha_hmac_key with an unknown parameter',
    qr/invalid parameter "host=a".*instance=<name>/,
    $database, '', 'waha_webhook; waha_hmac_key hmac.key host=a;');

$conf->refused('waha_hmac_key with an instance without a name',
    qr/invalid parameter "instance="/,
    $database, '', 'waha_webhook; waha_hmac_key hmac.key instance=;');

$conf->refused('"waha_hmac_key off" before a key',
    qr/contradicts "waha_hmac_key off"/,
    $database, '', 'waha_webhook; waha_hmac_key off; waha_hmac_key hmac.key;');

$conf->refused('"waha_hmac_key off" after a key', qr/off contradicts/,
    $database, '', 'waha_webhook; waha_hmac_key hmac.key; waha_hmac_key off;');

$conf->refused('waha_tenant_from with an unknown source',
    qr/invalid value "header"/,
    $database, '', "waha_webhook; $key waha_tenant_from session header;");

$conf->refused('waha_tenant_from without "session"', qr/must name "session"/,
    $database, '', "waha_webhook; $key waha_tenant_from metadata;");

$conf->refused('waha_default_organization that is no UTF-8',
    qr/"waha_default_organization" is not a slug/,
    $database, '', "waha_webhook; $key waha_default_organization \"a\xff\";");

$conf->refused('waha_ignore with "none" and another value',
    qr/allows no other value/,
    $database, '', "waha_webhook; $key waha_ignore none groups;");

$conf->refused('waha_phone_pattern that is no regular expression',
    qr/pcre2?_compile\(\) failed/,
    $database, '', "waha_webhook; $key waha_phone_pattern '([';");

$conf->refused('waha_blocked_numbers with letters', qr/invalid number "12ab"/,
    $database, '', "waha_webhook; $key waha_blocked_numbers 12ab;");

$conf->refused('waha_blocked_numbers without digits',
    qr/no digits in number "\+"/,
    $database, '', "waha_webhook; $key waha_blocked_numbers +;");

$conf->refused('waha_webhook twice in a location',
    qr/"waha_webhook" directive is duplicate/,
    $database, '', "waha_webhook; waha_webhook; $key");

$conf->refused('waha_webhook and waha_api in one location',
    qr/"waha_webhook" and "waha_api"/,
    $database, 'waha_api_keys on;', "waha_webhook; waha_api; $key");

my $sessions = 'waha_api_keys on; waha_instance waha-1 /waha-1; '
               . 'waha_webhook_url http://127.0.0.1/hook;';

for my $file (qw(bytes.key controls.key)) {
    $conf->refused("sessions made with a key that JSON cannot carry: $file",
        qr/makes sessions at WAHA, which takes "waha_hmac_key" only as UTF-8/,
        $database, $sessions, "waha_api; waha_hmac_key $file;");

    $conf->accepted("a webhook with that key: $file", $database, '',
        "waha_webhook; waha_hmac_key $file;");
}

$conf->refused('waha_instance with the location "/"',
    qr/invalid uri "\/", WAHA needs a location/,
    $database, 'waha_instance waha-1 /;', "waha_webhook; $key");

$conf->accepted('sessions made with a key in UTF-8', $database, $sessions,
    'waha_api; waha_hmac_key umlaut.key;');

$conf->refused('waha_database twice',
    qr/"waha_database" directive is duplicate/,
    "$database $database", '', "waha_webhook; $key");

$conf->refused('waha_database with an unknown keyword of libpq',
    qr/waha_database|"hots"/,
    'waha_database "hots=1";', '', "waha_webhook; $key");

$conf->refused('waha_database with an unknown parameter',
    qr/invalid parameter "conections=4"/,
    'waha_database "host=127.0.0.1" conections=4;', '',
    "waha_webhook; $key");

$conf->refused('waha_database with connections=0', qr/connections=0/,
    'waha_database "host=127.0.0.1" connections=0;', '',
    "waha_webhook; $key");

$conf->refused('waha_database with a timeout that is no time',
    qr/timeout=soon/,
    'waha_database "host=127.0.0.1" timeout=soon;', '',
    "waha_webhook; $key");

$conf->refused('waha_database with a host that has no address',
    qr/nowhere\.invalid/,
    'waha_database "host=nowhere.invalid user=waha_gateway";', '',
    "waha_webhook; $key");

$t->done;
