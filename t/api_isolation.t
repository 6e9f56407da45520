# No tenant reaches what another one has: every route of the table is tried
# with each name of the other tenant's things, in the path, in the query and in
# the body.  A route or an argument that this test does not know fails it, so
# that nobody forgets to think about isolation.

use Waha::Test;
use Waha::Sessions;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin;

$pg->organization($_) for 'acme', 'bolt';

# on a busy machine, an answer must not be that something took too long

my $api = Waha::Sessions->new($t, wahas => [ $waha ], timeout => '20s',
    database => 'waha_database "' . $pg->dsn . '" timeout=20s;',
    http => "waha_call_timeout 30s look=20s;\n");
$t->start;

my $table = slurp(source('ngx_http_waha_route.c'));
my @routes = routes($table);
my %arguments = arguments($table);


# makes what each of the two tenants has; $id is the caller's id of a second
# session

sub furnish {
    my ($who, $phone, $id) = @_;

    my $name = $api->post($who, '/api/whatsapp/sessions')
                   ->{json}{data}{session};
    $waha->scan($name, phone => $phone, push_name => "Office of $who");
    $api->post($who, '/connect', { sessionId => $id,
                                   sessionName => "Label of $who" });

    my $second = $pg->value("select name from waha.sessions
                             where client_id = '$id'");
    my $url = $waha->url . $waha->add_file($name, "file-of-$who.jpg",
                                           "bytes of $who", 'image/jpeg');

    my $data = $t->webhook($t->message(session => $name, from => $phone + 1,
        name => "Customer$who", text => "secret of $who",
        media => { url => $url, mimetype => 'image/jpeg',
                   filename => undef }))->{json}{data};
    $t->webhook($t->message(session => $name, from => $phone + $_,
                            text => "secret of $who")) for 1 .. 3;

    my ($key) = $api->token($who) =~ /^wak_([0-9a-f]{8})_/;

    return {
        slug => $who, number => $data->{tenantId}, session => $name,
        second => $second, id => $id, contact => $data->{contactId},
        activity => $data->{activityId}, key => $key,
        conversation => "$data->{contactId}-$name", phone => $phone,
    };
}


my %own = %{ furnish('acme', 491511111110, 'own-uuid-1111') };
my %other = %{ furnish('bolt', 492522222220, 'other-uuid-2222') };

for my $what (\%own, \%other) {
    for my $list ('contacts', 'conversations',
                  "contacts/$what->{contact}/activities")
    {
        push @{ $what->{cursors} }, $api->get($what->{slug},
            "/api/whatsapp/$list?size=1")->{json}{data}{next} // ();
    }
}

# texts that only the other tenant may see

my @secrets = (@other{qw(slug session second id key phone)},
               "other-uuid", $other{phone} + 1, 'secret of bolt',
               'Customerbolt', 'Office of bolt', 'file-of-bolt',
               'bytes of bolt');


# The values of one tenant for the variable segments of a path; what {id} is
# depends on the segment before it.

my %segment = (
    session      => sub { [ @{ $_[0] }{qw(session second id)} ] },
    sessionId    => sub { [ @{ $_[0] }{qw(session second id)} ] },
    contact      => sub { [ $_[0]{contact} ] },
    conversation => sub { [ $_[0]{conversation} ] },
    activity     => sub { [ $_[0]{activity} ] },
    organization => sub { [ @{ $_[0] }{qw(slug number)} ] },
    slug         => sub { [ @{ $_[0] }{qw(slug number)} ] },
    key          => sub { [ $_[0]{key} ] },

    # the right itself, and unsigned here; t/api_clients.t tries signed ones
    link         => sub { [ "$_[0]{session}.0" ] },
);

# arguments that name a thing, and arguments that do not

my %naming = (
    contact => $segment{contact}, session => $segment{session},
    sessionId => $segment{session}, after => sub { $_[0]{cursors} },
    id => sub { [ @{ $_[0] }{qw(id session)} ] },
);

my %harmless = map { $_ => 1 } qw(
    search type size skip limit offset unread label name sessionName
    slug key country_code enabled scopes expires_in);

my @organization = qw(organization organization_slug organizationSlug org
                      tenant_id tenantId companyId user_id userId);


sub kind {
    my ($path, $name) = @_;

    return $name if $name ne 'id';
    return 'contact' if $path =~ m{/contacts/\{id\}};
    return 'conversation' if $path =~ m{/conversations/\{id\}};
    return 'unknown';
}


# the paths of a route with the values of a tenant in their segments

sub paths {
    my ($path, $of) = @_;

    my ($name) = $path =~ /\{(\w+)\}/ or return $path;
    my $values = $segment{ kind($path, $name) } or return;

    return map { (my $filled = $path) =~ s/\{$name\}/$_/; paths($filled, $of) }
               @{ $values->($of) };
}


# tests that an answer shows nothing of the other tenant, but for the value
# that the request itself named

sub silent {
    my ($r, $asked, $name) = @_;

    my $text = join ' ', $r->{body}, %{ $r->{headers} };
    my @shown = grep { index($text, $_) >= 0 && index($asked, $_) < 0 }
               @secrets;

    is_deeply(\@shown, [], "$name shows nothing of the other tenant");
}


# tests that a thing of the other tenant can be neither read nor changed

sub closed {
    my ($method, $path, $body, $name) = @_;

    my $r = $api->request('acme', $method, $path, $body);

    my $refusal = $path =~ m{/qr/[^/]+$} ? qr/^401$/ : qr/^40[34]$/;

    like($r->{status}, $refusal, "$name is refused")
        or diag "$method $path: $r->{status} $r->{body}";
    silent($r, '', $name);
}


cmp_ok(@routes, '>', 30, 'the route table has more than thirty routes');

is_deeply([ grep { !$segment{ kind($_->{path}, $_->{segment}) } }
            map { my $path = $_->{path};
                  map { { path => $path, segment => $_ } }
                      $path =~ /\{(\w+)\}/g } @routes ],
          [], 'this test knows every variable segment of the route table');

is_deeply([ grep { !$naming{$_} && !$harmless{$_} }
            map { @{ $arguments{$_} } } sort keys %arguments ],
          [], 'this test knows every argument of the route table');


subtest 'the other tenant reads its own things' => sub {
    for my $route (grep { $_->{method} eq 'GET'
                          && $_->{access} !~ /OPERATOR|GLOBAL|SIGNED/ } @routes)
    {
        for my $path (paths($route->{path}, \%other)) {
            my $r = $api->get('bolt', $path);
            like($r->{status}, qr/^(200|409)$/,
                 "$path is answered to its own tenant")
                or diag $r->{body};
        }
    }
};


ok($waha->delivered,
   'all that WAHA had to tell of both tenants is stored');

my $before = rows_of_the_other();
$waha->clear_requests;


for my $route (@routes) {
    my ($method, $path) = @{$route}{qw(method path)};
    my $with_body = $method ne 'GET';
    my %body = (phoneNumber => '4915112345678');

    subtest "$method $path" => sub {
        my @mine = paths($path, \%own);
        my @theirs = $path =~ /\{/ ? paths($path, \%other) : ();

        closed($method, $_, $with_body ? \%body : undef, $_) for @theirs;

        for my $name (@organization) {
            for my $value (@other{qw(slug number)}) {
                closed($method, "$mine[0]?$name=$value",
                       $with_body ? \%body : undef, "?$name=$value");

                $with_body || next;
                closed($method, $mine[0], { %body, $name => $value },
                       "$name $value in a body");
                closed($method, "$mine[0]?$name=$own{slug}",
                       { %body, $name => $value },
                       "and $own{slug} in the query");
            }
        }
    };
}


# An argument with a value of the other tenant may find nothing, be refused, or
# make a thing of the own tenant with the same id.  So these come after all
# that has to be refused, and routes that write come last.

for my $route (sort { ($a->{method} ne 'GET') <=> ($b->{method} ne 'GET') }
               @routes)
{
    my ($method, $args) = @{$route}{qw(method args)};
    my ($path) = paths($route->{path}, \%own);

    my @names = grep { $naming{$_} && $route->{path} !~ /\{$_\}/ }
                     @{ $arguments{$args} || [] } or next;

    subtest "arguments of $method $route->{path}" => sub {
        for my $name (@names) {
            for my $value (@{ $naming{$name}->(\%other) }) {
                my $r = $api->request('acme', $method, "$path?$name=$value",
                                      $method eq 'GET' ? undef : {});
                silent($r, $value, "?$name=$value");

                next if $method eq 'GET';
                $r = $api->request('acme', $method, $path,
                                   { $name => $value });
                silent($r, $value, "$name $value in a body");
            }
        }
    };
}


subtest 'ids that mix both tenants' => sub {
    for my $id ("$own{contact}-$other{session}",
                "$other{contact}-$own{session}")
    {
        closed('GET', "/api/whatsapp/conversations/$id/messages", undef, $id);
        closed('POST', "/api/whatsapp/conversations/$id/read", {}, $id);
    }

    my $r = $api->get('acme', "/api/whatsapp/contacts/$own{contact}/activities"
                              . "?session=$other{session}");
    is_deeply($r->{json}{data}{activities}, [],
              "activities filtered by the other tenant's session are none");

    $r = $api->get('acme', '/api/whatsapp/contacts?search=secret');
    is_deeply($r->{json}{data}{contacts}, [],
              "a search for words of the other tenant's messages finds none");
    $r = $api->get('acme', '/api/whatsapp/contacts?search=Customerbolt');
    is_deeply($r->{json}{data}{contacts}, [],
              "a search for a name of the other tenant's contact finds none");
};


is(rows_of_the_other(), $before, 'no row of the other tenant has changed');

is_deeply([ grep { my $uri = $_; grep { index($uri, $_) >= 0 }
                                      @other{qw(session second)} }
            map { $_->{uri} } $waha->requests ],
          [], "WAHA was asked nothing about the other tenant's sessions");

$t->done;


# all rows of the other tenant, as text

sub rows_of_the_other {
    my $where = "organization_slug = 'bolt'";

    return $pg->psql(join ";\n",
        "select o::text from organizations o where slug = 'bolt'",
        map { my ($table, $row) = @$_;
              "select $row from $table x where $where order by 1" }
        [ 'contacts', 'x::text' ], [ 'contact_activities', 'x::text' ],
        [ 'waha.sessions', 'x::text' ], [ 'waha.conversations', 'x::text' ],
        [ 'waha.contact_identities', 'x::text' ],
        [ 'waha.message_states', 'x::text' ],
        [ 'waha.api_keys', 'x::text' ]);
}


sub routes {
    my ($text) = @_;

    my @all;

    push @all, { method => $1, path => $2, access => $3, handler => $4,
                 args => $5 }
        while $text =~ /\{\s*NGX_HTTP_(\w+),\s*"([^"]+)",\s*([\w|\s]+),
                        \s*(\w+),\s*\w+,\s*(\w+),\s*\w+\s*\}/gx;

    my $written = () = $text =~ /\{\s*NGX_HTTP_(?:GET|POST|PUT|DELETE),/g;
    is(scalar @all, $written,
       'this test understands every line of the route table');

    return @all;
}


# the names in each list of arguments of the route table

sub arguments {
    my ($text) = @_;

    my %names;

    while ($text =~ /(ngx_http_waha_args_\w+)\[\] = \{(.*?)\n\};/gs) {
        my ($list, $lines) = ($1, $2);
        $names{$list} = [ $lines =~ /\{ "(\w+)"/g ];
    }

    return %names;
}
