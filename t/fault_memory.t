# No memory left: a request that cannot be served for want of it is answered as
# any other fault of ours, so that its sender tries again, and is not blamed on
# the sender or the database.

use Waha::Test;
use Waha::Api;

plan(skip_all => 'a sanitizer has an allocator of its own')
    if has_sanitizer();

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');

# an allocator that has no large pieces while a file is there

my $switch = $t->dir . '/no-memory';
my $shim = $t->dir . '/shim.so';

spew("$shim.c", <<"EOF_C");
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <unistd.h>

void *
malloc(size_t size)
{
    static void *(*next)(size_t);

    if (next == NULL) {
        next = (void *(*)(size_t)) dlsym(RTLD_NEXT, "malloc");
    }

    if (size > 3000000 && access("$switch", F_OK) == 0) {
        return NULL;
    }

    return next(size);
}
EOF_C

system('gcc', '-shared', '-fPIC', '-o', $shim, "$shim.c", '-ldl') == 0
    or die 'gcc cannot make the allocator';

my $api = Waha::Api->new($t, http => 'client_max_body_size 8m;');

{
    local $ENV{LD_PRELOAD} = $shim;
    $t->start;
}

my $long = 'x' x 4_000_000;
my $message = $t->message(id => 'LONG', text => $long);

is($t->webhook($t->message(id => 'A1'))->{status}, 200,
   'a webhook is taken while there is memory');
spew($switch, '');

my $r = $t->webhook($message);
refused($r, 503, 'out_of_memory', 'a webhook without memory for its body');
cmp_ok($r->{headers}{'retry-after'}, '>', 0, 'the 503 has Retry-After');
like($t->error_log, qr/\[info\].*waha: webhook answered 503 out_of_memory/,
     'the error log tells it');
ok(wait_for(sub {
    $t->nginx->log('api.log')
        =~ m{POST /api/whatsapp/webhook 503 .*action=out_of_memory}
}, 60), 'the access log tells it');

$r = $api->put('operator', '/api/whatsapp/organizations/acme',
               '{"name":"' . $long . '"}');
refused($r, 503, 'out_of_memory', 'an API request without memory for its body');
like($r->{headers}{'content-type'}, qr/json/, 'its answer is JSON');

unlink $switch;
is($t->webhook($message)->{json}{data}{action}, 'activity_logged',
   'the webhook is stored when it is sent again');
is($pg->messages('LONG'), 1, 'the message is stored once');

$t->done;
