# The fuzz targets pass their corpus and 5000 inputs made from it, the same in
# each run; "make fuzz" takes others, and more of them.

use Waha::Test;

use File::Temp ();

plan(skip_all => 'no clang: see "make fuzz"')
    if system('command -v ${CLANG:-clang} > /dev/null 2>&1') != 0;

my $dir = File::Temp->newdir('waha-fuzz-XXXXXX', TMPDIR => 1);

# ten targets are compiled; the machine may be busy

alarm 3600;

my @targets = qw(clean signature identity envelope notification jwt session
                 bearer argument secret);
my $run = "DIR=$dir TARGETS='@targets' " . root() . '/t/fuzz/run';
my $text = `$run -runs=5000 -seed=1 2>&1`;

is($?, 0, 'no input breaks a rule') or diag $text;
like($text, qr/^running $_\n.*\n?.*number_of_executed_units: 5000/m,
     "fuzz target $_: 5000 inputs were run")
    for @targets;

done_testing();
