# The README lists exactly the directives, variables, routes and codes that the
# source has.

use Waha::Test;

my $readme = slurp(root() . '/README.md');


sub section {
    my ($title) = @_;

    my ($text) = $readme =~ /^## \Q$title\E\n(.*?)(?=^## |\z)/ms
        or die "README has no section $title";
    return $text;
}


sub same {
    my ($name, $source, $readme) = @_;

    is_deeply([ sort @$readme ], [ sort @$source ], $name);
}


my $module = slurp(root() . '/ngx_http_waha_module.c');

my ($commands) = $module =~ /ngx_http_waha_commands\[\] = \{(.*?)\n\};/s;
my ($variables) = slurp(source('ngx_http_waha_variables.c'))
    =~ /ngx_http_waha_variables\[\] = \{(.*?)\n\};/s;

same('the README documents every directive and no other',
     [ $commands =~ /ngx_string\("(\w+)"\)/g ],
     [ section('Directives') =~ /^### (\w+)$/mg ]);

same('the README documents every variable and no other',
     [ $variables =~ /ngx_string\("(\w+)"\)/g ],
     [ section('Variables') =~ /^\| `\$(\w+)`/mg ]);


my $routes = slurp(source('ngx_http_waha_route.c'));

same('the README documents every route and no other',
     [ map { s/ngx_http_waha_//ir; }
       map { "$_->[0] $_->[1]" }
       pairs($routes =~ /\{ NGX_HTTP_(\w+),\s*"([^"]+)"/g) ],
     [ section('Tenant API') =~ m{`((?:GET|POST|PUT|DELETE) /[^`\s]+)`}g ]);


my ($errors) = slurp(source('ngx_http_waha_error.c'))
    =~ /ngx_http_waha_errors\[\] = \{(.*?)\n\};/s;

same('the README documents every code and no other',
     [ $errors =~ /\{ ngx_string\("(\w+)"\)/g ],
     [ section('Answers') =~ /^\| \d{3}\s*\| `(\w+)`/mg ]);

my ($ignored) = section('Answers') =~ /^\| reason .*?\n(.*?)\n\n/ms;
my $readers = join '', map { slurp($_) }
                       glob root() . '/src/event/{waha,meta}/*.c';
my ($reasons) = slurp(source('ngx_http_waha_webhook.c'))
    =~ /^(ngx_http_waha_webhook_ignore_reason\(.*?)
        ^ngx_http_waha_webhook_is_blocked\(/msx;

same('the README documents every reason to ignore an event',
     [ unique($readers =~ /reader_ignore\(reader,\s*"(\w+)"\)/g,
              $readers =~ /event->reason, "(\w+)"/g,
              $readers =~ /add_ignored\(reader, "(\w+)"\)/g,
              $readers =~ /NULL, "(\w+)" \}/g,
              $reasons =~ /[?:] "(\w+)"|return "(\w+)"/g,
              qw(no_contact unknown_number unknown_session)) ],
     [ map { /`(\w+)`/g } map { /^\| (.*?) \|/ } split /\n/, $ignored ]);

done_testing();


sub unique {
    my %seen;

    return grep { defined && !$seen{$_}++ } @_;
}


sub pairs {
    my @list = @_;

    return map { [ @list[2 * $_, 2 * $_ + 1] ] } 0 .. $#list / 2;
}
