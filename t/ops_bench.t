# The benchmark runs, and what it sends is what is stored; what it measures
# here means nothing.

use Waha::Test;

plan(skip_all => 'the benchmark is one of an nginx that loads the module')
    if has_sanitizer();

my $root = root();

local %ENV = (%ENV, ROUNDS => 1, SECONDS => 1, CONTACTS => 200,
              CONNECTIONS => 8, BATCHES => '1,40', DELAYS => 0, RATE => 3000,
              OPTIONS => 'timeout=60s', SIDES => 'webhook');

my $text = `cd '$root' && t/bench/run mixed floors batch readers meta 2>&1`;

is($?, 0, 'the benchmark runs') or diag($text);

like($text, qr/one of ten a new person.*^webhook +1 worker +\d+/ms,
     'there is a figure for messages of which some are of strangers');
like($text, qr{^all / $_ +\d}m, "there is a ratio to the floor \"$_\"")
    for qw(insert nothing ignored static);
like($text, qr/^$_(?: +[\d.]+){2} +-?\d+ +-?[\d.]+$/m,
     "there is a cost of batches and records, \"$_\"")
    for qw(all insert nothing);

like($text, qr/^round 1  beside readers .* refused 0  reads [1-9]/m,
     'webhooks are stored while clients read');
like($text, qr{^p99 beside readers / alone +[\d.]+}m,
     'there is a ratio of latencies');

like($text, qr/^round 1  $_ updates .* refused 0$/m,
     "notifications of $_ updates are stored")
    for 1, 10, 1000;

done_testing();
