# The functions give the same results whatever the database is set to: other
# tests run once more under settings that change what a statement means.

use Test::More;

use strict;
use warnings;

my $settings = <<'EOF_CONF';
standard_conforming_strings = off
escape_string_warning = off
array_nulls = off
transform_null_equals = on
DateStyle = 'SQL, DMY'
IntervalStyle = 'sql_standard'
TimeZone = 'Asia/Kathmandu'
bytea_output = escape
extra_float_digits = -15
search_path = 'trap, public'
plpgsql.variable_conflict = use_variable
EOF_CONF

# with these, a statement of the test itself meets a policy

my %policies = map { $_ => 1 } qw(adoption audit isolation reading);

(my $dir = __FILE__) =~ s/[^\/]*\z//;

for my $name (qw(adoption audit events identity isolation keys order privacy
                 reading sessions))
{
    local $ENV{TEST_POSTGRES_SETTINGS} = $settings
        . ($policies{$name} ? '' : "row_security = off\n");

    my @command = ($^X, "-I${dir}lib", "${dir}sql_$name.t");
    my $out = do {
        open my $fh, '-|', "@command 2>&1" or die "@command: $!";
        local $/;
        my $all = <$fh>;
        close $fh;
        $all;
    };

    is($?, 0, "t/sql_$name.t") or diag($out);
}

done_testing();
