# The tenant API over HTTP: who may call which route, for which organization,
# with which arguments.

use Waha::Test;
use Waha::Api;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');

my %id = map { $_ => $pg->organization_id($_) } qw(acme bolt);

my $api = Waha::Api->new($t, server => <<'EOF_CONF');
        location /any/ {
            rewrite ^/any(/.*)$ $1 break;
            satisfy any;
            allow all;
            waha_api;
        }

        location /if/ {
            if ($arg_size) {
                set $asked 1;
            }

            limit_except GET POST {
                deny all;
            }

            rewrite ^/if(/.*)$ $1 break;
            waha_api;
        }

        location /api/whatsapp/organizations/bolt {
            limit_except GET {
                allow 127.0.0.1;
                deny all;
            }

            waha_api;
        }

        location = /hook {
            limit_except GET {
                allow 127.0.0.1;
                deny all;
            }

            waha_webhook;
        }

        location /small/ {
            rewrite ^/small(/.*)$ $1 break;
            waha_api;
            client_max_body_size 1k;
        }

        location /tight/ {
            rewrite ^/tight(/.*)$ $1 break;
            waha_api;
            client_body_buffer_size 16;
        }
EOF_CONF

$t->start;
$t->webhook($t->message(id => 'A1', from => '4915112345678',
                        name => 'Anna Maria'));

my $contact = $pg->value("select id from contacts
                          where organization_slug = 'acme'");
my $talk = "/api/whatsapp/conversations/$contact-t1/read";


subtest 'a list of contacts' => sub {
    my $r = $api->get('acme', '/api/whatsapp/contacts');

    is($r->{status}, 200, 'GET is answered 200');
    is($r->{headers}{'content-type'}, 'application/json',
       'the answer is JSON');
    is($r->{headers}{'cache-control'}, 'no-store',
       'no cache may keep the answer');
    is($r->{json}{success}, JSON::PP::true, 'success is true');
    is(@{ $r->{json}{data}{contacts} }, 1, 'data has the contact');

    $r = $api->request('acme', 'GET', '/api/whatsapp/contacts', undef,
                       'If-None-Match' => '*');
    is($r->{status}, 200, 'If-None-Match does not stop the answer');
};


subtest 'a caller without credentials' => sub {
    for my $path ('/api/whatsapp/contacts', '/api/whatsapp/nothing', '/',
                  '/api/whatsapp/organizations')
    {
        my $r = $api->get(undef, $path);
        refused($r, 401, 'unauthorized', "$path without credentials");
        like($r->{headers}{'www-authenticate'}, qr/^Bearer/,
             'a 401 names the scheme "Bearer"');
    }

    my $r = $api->post(undef, $talk, { organization => 'acme' });
    refused($r, 401, 'unauthorized',
            'an organization named in the body is no credential');

    $r = $api->get(undef, '/any/api/whatsapp/contacts');
    refused($r, 401, 'unauthorized',
            '"satisfy any" with an allowed address does not replace '
            . 'credentials');
};


subtest 'unknown paths' => sub {
    for my $path ('/api/whatsapp/nothing', '/', '/api/whatsapp/contacts/',
                  "/api/whatsapp/contacts/$contact/activities/1",
                  '/api/whatsapp/contactsx', '/api/whatsapp/contact',
                  "/api/whatsapp/contacts/$contact/", '/API/whatsapp/contacts',
                  '/api/whatsapp/conversations//messages')
    {
        refused($api->get('acme', $path), 404, 'unknown_route',
                "path $path");
    }

    my $r = $api->get('acme', "/api//whatsapp/./x/../%63ontacts/$contact");
    is($r->{status}, 200,
       "nginx's normalization of a path applies before the route is looked up");
};


subtest 'methods that a route does not have' => sub {
    my $r = $api->request('acme', 'POST', '/api/whatsapp/contacts', {});
    refused($r, 405, 'method_not_allowed', 'POST of a list');
    is($r->{headers}{allow}, 'GET, HEAD',
       'the 405 of a list names GET and HEAD');

    $r = $api->request('acme', 'PUT', "/api/whatsapp/contacts/$contact", {});
    refused($r, 405, 'method_not_allowed', 'PUT of a contact');
    is($r->{headers}{allow}, 'GET, HEAD, DELETE',
       'the 405 of a contact names all its methods');

    $r = $api->request('acme', 'GET', $talk);
    refused($r, 405, 'method_not_allowed', 'GET of a route that only writes');
    is($r->{headers}{allow}, 'POST',
       'the 405 of a route that only writes names POST alone');

    for my $method ('PATCH', 'OPTIONS', 'PROPFIND', 'FOO') {
        $r = $api->request('acme', $method, '/api/whatsapp/contacts');
        is($r->{status}, 405, "$method of a list is answered 405");
    }

    $r = $api->request('acme', 'HEAD', '/api/whatsapp/contacts');
    is($r->{status}, 200, 'HEAD of a list is answered 200');
    is($r->{body}, '', 'the answer to HEAD has no body');
    is($r->{headers}{'content-length'},
       length $api->get('acme', '/api/whatsapp/contacts')->{body},
       'HEAD has the Content-Length of GET');

    $r = $api->request('acme', 'HEAD', '/api/whatsapp/nothing');
    is($r->{status}, 404, 'HEAD of an unknown path is answered 404');
};


subtest 'scopes of a key' => sub {
    is($api->get('acme:read', '/api/whatsapp/contacts')->{status}, 200,
       'a key with the scope "read" reads');
    refused($api->post('acme:read', $talk), 403, 'forbidden',
            'a key with the scope "read" writes');
    is($api->post('acme', $talk)->{status}, 200,
       'a key with all scopes writes');

    for (['GET', ''], ['GET', '/acme'], ['PUT', '/acme'], ['PUT', '/new'],
         ['DELETE', '/acme'], ['GET', '/acme/export'],
         ['GET', '/acme/api-keys'], ['POST', '/acme/api-keys'],
         ['DELETE', '/acme/api-keys/00000000'])
    {
        my ($method, $path) = @$_;
        refused($api->request('acme', $method,
                              "/api/whatsapp/organizations$path"),
                403, 'forbidden', "$method /organizations$path by a tenant");
    }

    refused($api->delete('acme', "/api/whatsapp/contacts/$contact"),
            403, 'forbidden', 'erasure of a contact by a tenant');
    refused($api->get('acme', "/api/whatsapp/contacts/$contact/export"),
            403, 'forbidden', 'export of a contact by a tenant');
};


my @names = qw(organization org organizationSlug tenant_id companyId
               organization_slug tenantId);

subtest 'a tenant that names an organization' => sub {
    for my $name (@names) {
        for my $own ('acme', $id{acme}, '%61cme') {
            is($api->get('acme', "/api/whatsapp/contacts?$name=$own")
                   ->{status}, 200, "$name=$own, its own, is answered");
        }

        for my $other ('bolt', $id{bolt}, 'nobody', 999999, '', 'ACME',
                       'acme%00', 'acme%20', '%ff', '0' . $id{acme}, "'")
        {
            refused($api->get('acme', "/api/whatsapp/contacts?$name=$other"),
                    403, 'forbidden', "$name=$other, another one");
        }

        refused($api->get('acme',
                    "/api/whatsapp/contacts?$name=acme&$name=bolt"),
                403, 'forbidden', "$name given twice, once another one");

        is($api->post('acme', $talk, { $name => 'acme' })->{status}, 200,
           "$name with its own slug in the body is answered");
        is($api->post('acme', $talk, { $name => $id{acme} + 0 })->{status},
           200, "$name with its own number in the body is answered");
        refused($api->post('acme', $talk, { $name => 'bolt' }),
                403, 'forbidden', "$name with another slug in the body");
        refused($api->post('acme', $talk, { $name => $id{bolt} + 0 }),
                403, 'forbidden', "$name with another number in the body");
        refused($api->post('acme', $talk,
                           qq({"$name":"acme","$name":"bolt"})),
                403, 'forbidden', "$name twice in the body, once another one");

        my $r = $api->post('acme', $talk, { $name => [ 'acme' ] });
        refused($r, 400, 'invalid_argument', "$name as a list");
        is($r->{json}{data}{argument}, $name,
           "the refusal names the argument $name");
    }

    refused($api->get('acme', '/api/whatsapp/contacts?org=acme&tenant_id='
                              . $id{bolt}),
            403, 'forbidden',
            'two arguments that name the organization, one of them wrong');
    is($api->get('acme', "/api/whatsapp/contacts?org=acme&tenant_id=$id{acme}")
           ->{status}, 200,
       'two arguments that name the same organization are fine');
    is($api->post('acme', $talk, { org => undef })->{status}, 200,
       'an organization that is null counts as not named');
};


subtest 'an operator who names an organization' => sub {
    for my $name ('acme', $id{acme}, '%61cme') {
        my $r = $api->get('operator', "/api/whatsapp/contacts?org=$name");
        is($r->{json}{data}{contacts}[0]{id}, $contact,
           "$name in the query selects the organization");
    }

    my $r = $api->get('operator', '/api/whatsapp/contacts?org=bolt');
    is_deeply($r->{json}{data}{contacts}, [],
              "another organization's list is its own, which is empty");

    refused($api->get('operator', "/api/whatsapp/contacts?org=$_"),
            404, 'unknown_organization', "?org=$_")
        for 'nobody', 999999, '', 'acme%00', '%ff', 'a' x 300;

    $r = $api->get('operator', '/api/whatsapp/contacts');
    refused($r, 400, 'invalid_argument', 'no organization named');
    is($r->{json}{data}{argument}, 'organization',
       'the refusal asks for the argument "organization"');

    refused($api->get('operator',
                      '/api/whatsapp/contacts?org=acme&companyId=bolt'),
            403, 'forbidden', 'two');
    is($api->get('operator',
                 "/api/whatsapp/contacts?org=acme&companyId=$id{acme}")
           ->{status}, 200,
       'two arguments that name the same organization are fine');

    is($api->post('operator', $talk, { organization => 'acme' })->{status},
       200, 'a slug in the body selects the organization');
    is($api->post('operator', $talk, { tenantId => $id{acme} + 0 })->{status},
       200, 'a number in the body selects the organization');
    is($api->post('operator', $talk,
                  { tenantId => $id{acme} + 0, org => 'acme' })->{status},
       200, 'both');
    refused($api->post('operator', $talk,
                       { tenantId => $id{acme} + 0, org => 'bolt' }),
            403, 'forbidden', 'two organizations in the body');
    refused($api->post('operator', "$talk?org=acme", { org => 'bolt' }),
            403, 'forbidden',
            'one organization in the query, another in the body');
    refused($api->post('operator', $talk, { org => 'nobody' }),
            404, 'unknown_organization',
            'an unknown organization in the body');
    refused($api->post('operator', $talk, { org => 'bolt' }),
            404, 'unknown_conversation',
            'a conversation of another organization than the named one');

    for my $bad ({}, [], JSON::PP::true, 1.5, "a\x01", '') {
        my $status = $api->post('operator', $talk, { org => $bad })->{status};
        ok($status == 400 || $status == 404,
           'what cannot name an organization is refused');
    }

    $r = $api->post('operator', $talk);
    refused($r, 400, 'invalid_argument', 'no body, so no organization named');
};


subtest 'arguments' => sub {
    my %wrong = (
        size => [ 0, 201, -1, 'x', '1x', '1.5', '99999999999999999999',
                  '%20', '5%00', '1&size=1', '1&size=2' ],
        search => [ '%ff', '%00', 'a%00b', '%0a', '%c0%80', '%ed%a0%80',
                    '%f8%90%80%80', 'x' x 256, 'a&search=a' ],
        after => [ '%ff', 'x' x 300, 'x', 'AAAA', '!!!', '%27' ],
    );

    for my $name (sort keys %wrong) {
        for my $value (@{ $wrong{$name} }) {
            my $r = $api->get('acme',
                              "/api/whatsapp/contacts?$name=$value");
            refused($r, 400, 'invalid_argument',
                    "$name=" . substr $value, 0, 30);

            # "after" is checked by PostgreSQL, which names no argument
            is($r->{json}{data}{argument}, $name,
               "the refusal names the argument $name")
                if $name ne 'after';
        }
    }

    my %skips = (skip => "/api/whatsapp/contacts/$contact/activities",
                 offset => "/api/contacts/$contact/activities");

    for my $name (sort keys %skips) {
        my $at = "$skips{$name}?$name=";

        is($api->get('acme', $at . $_)->{status}, 200, "$name=$_ is answered")
            for '', 0, 1, 1000;

        for my $value (1001, -1, 2**31 - 1, 2**31, 2**32, 2**63, '9' x 20,
                       'x', '1x', '1.5', '1e3', '%31%00', "1&$name=1")
        {
            my $r = $api->get('acme', $at . $value);
            next if $value =~ /%00/ && $r->{status} == 400 && !$r->{json};
            refused($r, 400, 'invalid_argument', "$name=$value");
            is($r->{json}{data}{argument}, $name,
               "the refusal of $value names the argument $name");
        }

        my $r = $api->get('acme', $at . 1001);
        like($r->{json}{data}{reason}, qr/after/,
             "the refusal of $name=1001 names the way on");
    }

    for my $id ('0', '-1', 'x', '1e3', '9' x 19, '99999999999999999999999',
                '1%00', '01', '%D9%A1')
    {
        my $r = $api->get('acme', "/api/whatsapp/contacts/$id");
        next if $id =~ /%00/ && $r->{status} == 400 && !$r->{json};
        refused($r, 400, 'invalid_argument', "contact $id");
    }

    refused($api->get('acme', '/api/whatsapp/contacts/' . '9' x 18),
            404, 'unknown_contact', 'a contact id that does not exist');
    refused($api->get('acme', "/api/whatsapp/contacts/$contact?id=1"),
            400, 'invalid_argument',
            'the id both in the path and in the query');
    refused($api->get('acme', '/api/whatsapp/conversations?unread=maybe'),
            400, 'invalid_argument', 'unread=maybe');
    refused($api->get('acme',
                "/api/contacts/$contact/activities?limit=1000"),
            400, 'invalid_argument',
            "limit=1000 on a guide's route, whose largest page is smaller");

    for my $fine ('', '?', '?size=', '?after=&search=', '?size=200', '?x=1',
                  '?search=Anna+Maria', '?search=anna%20m', '?search=%2B49',
                  '?search=151', '?&&=&a', '?size=1&', '?%73earch=anna')
    {
        my $r = $api->get('acme', "/api/whatsapp/contacts$fine");
        is($r->{status}, 200, "query \"$fine\" is answered");
        is(@{ $r->{json}{data}{contacts} }, 1,
           "query \"$fine\" finds the contact");
    }

    my $r = $api->get('acme', '/api/whatsapp/contacts?search='
                              . '%E4%BD%A0' x 255);
    is($r->{status}, 200,
       '255 characters of three bytes are accepted in "search"');
    is(@{ $r->{json}{data}{contacts} }, 0, 'and match no contact');
};


subtest 'bodies' => sub {
    my %bad = ('no JSON' => 'organization=acme', 'half' => '{"a":',
               'a list' => '[]', 'a string' => '"a"', 'a number' => '1',
               'null' => 'null', 'more behind it' => '{} {}',
               'bytes that are no UTF-8' => qq({"a":"\xff"}),
               'a half of a character' => '{"a":"\ud800"}',
               'NUL' => '{"a":"\u0000"}', 'blanks' => '  ',
               'too deep' => '{"a":' . '[' x 100 . ']' x 100 . '}',
               'too many' => '{"a":[' . join(',', (0) x 30000) . ']}');

    for my $name (sort keys %bad) {
        for my $path ($talk, "/tight$talk") {
            refused($api->post('acme', $path, $bad{$name}), 400,
                    'invalid_request', $name);
        }
    }

    for my $good ('', '{}', ' {"x":{"y":[1,2]}} ', '{"x":"' . 'y' x 100000
                  . '"}')
    {
        for my $path ($talk, "/tight$talk") {
            is($api->post('acme', $path, $good)->{status}, 200,
               'a body of ' . length $good);
        }
    }

    is($api->request('acme', 'POST', $talk, '{}',
                     'Content-Type' => 'text/plain')->{status}, 200,
       'the Content-Type of a body does not matter');
    is($api->request('acme', 'POST', $talk, '{}', Expect => '100-continue')
           ->{status}, 200,
       'a body announced by "Expect: 100-continue" is read');

    my $chunks = "8\r\n{\"org\":\"\r\n6\r\nacme\"}\r\n0\r\n\r\n";
    is($api->request('acme', 'POST', $talk, $chunks,
                     'Transfer-Encoding' => 'chunked')->{status}, 200,
       'a body in chunks is read');

    $chunks =~ s/acme/bolt/;
    refused($api->request('acme', 'POST', $talk, $chunks,
                          'Transfer-Encoding' => 'chunked'),
            403, 'forbidden', 'another organization in a chunked body');

    is($api->post('acme', "/small$talk", '{"x":"' . 'y' x 2000 . '"}')
           ->{status}, 413,
       'a body beyond client_max_body_size is answered 413');

    my $many = sprintf("%x\r\n%s\r\n", 2000, 'y' x 2000) . "0\r\n\r\n";
    is($api->request('acme', 'POST', "/small$talk", $many,
                     'Transfer-Encoding' => 'chunked')->{status}, 413,
       'a chunked body beyond client_max_body_size is answered 413');

    my $hidden = "GET /api/whatsapp/nothing HTTP/1.1\r\nHost: x\r\n\r\n";

    for my $headers ({}, { 'Transfer-Encoding' => 'chunked' }) {
        my $body = %$headers ? sprintf("%x\r\n%s\r\n0\r\n\r\n",
                                       length $hidden, $hidden) : $hidden;
        my $http = $t->http;
        $http->connect;
        $http->send($http->format('POST', $talk, $headers, $body)
                    . $http->format('GET', '/api/whatsapp/contacts',
                                    bearer($api->token('acme'))));

        is($http->answer('POST')->{status}, 401,
           'a request with a body but without credentials is refused');
        is($http->answer('GET')->{status}, 200,
           'the body of the refused request is not read as the next request');
    }

    is($api->request('acme', 'GET', '/api/whatsapp/contacts', '[no')
           ->{status}, 200, 'a body that comes with GET is ignored');
    is($api->get('acme', '/api/whatsapp/contacts')->{status}, 200,
       'the next request on that connection is answered');
};


subtest 'the API in locations with "if" and "limit_except"' => sub {
    for my $path ('/if/api/whatsapp/contacts?size=1',
                  '/if/api/whatsapp/contacts')
    {
        is($api->get('acme', $path)->{status}, 200, "$path is answered");
        is($api->get(undef, $path)->{status}, 401, "$path needs credentials");
    }

    is($api->put('operator', '/if/api/whatsapp/organizations/acme')
           ->{status}, 403,
       'a method that limit_except denies is answered 403');

    is($api->put('operator', '/api/whatsapp/organizations/bolt')
           ->{status}, 200, 'a method that limit_except allows is answered');
    is($api->put(undef, '/api/whatsapp/organizations/bolt')
           ->{status}, 401,
       'a method that limit_except allows needs credentials');

    is($t->webhook($t->message(id => 'A2', from => '4915112345678'),
                   path => '/hook')->{status}, 200,
       'a webhook in a location with limit_except is taken');
};


subtest 'a client that closes its connection while PostgreSQL works' => sub {
    my $lock = $pg->session;
    $lock->query("begin; select 1 from organizations where slug = 'bolt'
                  for update");

    my $http = $api->send($t->http, operator => PUT =>
        '/api/whatsapp/organizations/bolt', { name => 'Late' });

    ok(wait_for(sub { $pg->blocked }, 60), 'the update waits for a lock');
    $http->reset;
    is($api->get('acme', '/api/whatsapp/contacts')->{status}, 200,
       'other callers are answered meanwhile');

    $lock->query('commit');
    ok(wait_for(sub { $pg->value("select name from organizations
                                  where slug = 'bolt'") eq 'Late' }, 60),
       'the update is done though its client has gone');
    is($api->get('acme', '/api/whatsapp/contacts')->{status}, 200,
       'the API still answers');
};


subtest 'a database that fails' => sub {
    $pg->stop;

    my $r = $api->get('acme', '/api/whatsapp/contacts');
    refused($r, 503, 'database_unavailable', 'PostgreSQL is stopped');
    is($r->{headers}{'retry-after'}, 2, 'the 503 has Retry-After');
    unlike($r->{body}, qr/postgres|sql|socket/i,
           'the 503 does not show the cause');

    $pg->start;
    ok(wait_for(sub { $api->get('acme', '/api/whatsapp/contacts')->{status}
                      == 200 }, 60),
       'the API works again once PostgreSQL has started');

    $pg->psql('create or replace function waha.list_sessions(organization
                   text) returns waha.reply language sql
                   as $$ select \'of_its_own\', null::json $$');
    refused($api->get('acme', '/api/whatsapp/sessions'), 503,
            'database_setup', 'a code that the module does not know');
    like($t->error_log, qr/"list_sessions" answers with the code "of_its_own"/,
         "the unknown code is logged with the function's name");
};


subtest 'logs' => sub {
    $api->get('acme', '/api/whatsapp/contacts?size=7');
    $api->get('operator', '/api/whatsapp/contacts?org=bolt&size=0');
    $api->post('operator', $talk, { org => 'acme' });

    my %action = ('GET /api/whatsapp/contacts 200 org=acme' =>
                      '/api/whatsapp/contacts',
                  'GET /api/whatsapp/contacts 400 org=bolt' =>
                      'invalid_argument',
                  "POST $talk 200 org=acme" =>
                      '/api/whatsapp/conversations/{id}/read');

    like($api->log, qr/^\Q$_ action=$action{$_}\E$/m,
         "the access log has organization and action: $_")
        for sort keys %action;

    unlike($t->error_log, qr/wak_/, 'no API key stands in the error log');
};


subtest 'HTTP/2' => sub {
    plan(skip_all => 'curl has no HTTP/2') if !$api->has_http2;

    my $r = $api->http2(acme => GET => "/api/whatsapp/contacts/$contact");
    is("$r->{version} $r->{status}", '2 200', 'a contact is read over HTTP/2');
    is($r->{json}{data}{id}, $contact,
       'the contact read over HTTP/2 is the right one');

    $r = $api->http2(acme => POST => $talk, { org => 'acme' });
    is("$r->{version} $r->{status}", '2 200',
       'a conversation is marked as read over HTTP/2');

    refused($api->http2(acme => POST => $talk, { org => 'bolt' }),
            403, 'forbidden', 'another organization over HTTP/2');
    refused($api->http2(acme => PUT => $talk),
            405, 'method_not_allowed',
            'a method that the route does not have over HTTP/2');
};

$t->done;
