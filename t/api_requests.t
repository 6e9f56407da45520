# The tenant API as HTTP: who may call what, for whom, with which arguments.

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


subtest 'an answer' => sub {
    my $r = $api->get('acme', '/api/whatsapp/contacts');

    is($r->{status}, 200, 'is given');
    is($r->{headers}{'content-type'}, 'application/json', 'as JSON');
    is($r->{headers}{'cache-control'}, 'no-store', 'kept by no cache');
    is($r->{json}{success}, JSON::PP::true, 'tells success');
    is(@{ $r->{json}{data}{contacts} }, 1, 'and data');

    $r = $api->request('acme', 'GET', '/api/whatsapp/contacts', undef,
                       'If-None-Match' => '*');
    is($r->{status}, 200, 'whatever the client has');
};


subtest 'nobody' => sub {
    for my $path ('/api/whatsapp/contacts', '/api/whatsapp/nothing', '/',
                  '/api/whatsapp/organizations')
    {
        my $r = $api->get(undef, $path);
        refused($r, 401, 'unauthorized', "$path without credentials");
        like($r->{headers}{'www-authenticate'}, qr/^Bearer/,
             'says what is missing');
    }

    my $r = $api->post(undef, $talk, { organization => 'acme' });
    refused($r, 401, 'unauthorized', 'a body does not help');

    $r = $api->get(undef, '/any/api/whatsapp/contacts');
    refused($r, 401, 'unauthorized', 'nor an address that is allowed');
};


subtest 'routes' => sub {
    for my $path ('/api/whatsapp/nothing', '/', '/api/whatsapp/contacts/',
                  "/api/whatsapp/contacts/$contact/activities/1",
                  '/api/whatsapp/contactsx', '/api/whatsapp/contact',
                  "/api/whatsapp/contacts/$contact/", '/API/whatsapp/contacts',
                  '/api/whatsapp/conversations//messages')
    {
        refused($api->get('acme', $path), 404, 'unknown_route',
                "$path is none");
    }

    my $r = $api->get('acme', "/api//whatsapp/./x/../%63ontacts/$contact");
    is($r->{status}, 200, 'a path is read as nginx reads it');
};


subtest 'methods' => sub {
    my $r = $api->request('acme', 'POST', '/api/whatsapp/contacts', {});
    refused($r, 405, 'method_not_allowed', 'POST of a list');
    is($r->{headers}{allow}, 'GET, HEAD', 'what is allowed is told');

    $r = $api->request('acme', 'PUT', "/api/whatsapp/contacts/$contact", {});
    refused($r, 405, 'method_not_allowed', 'PUT of a contact');
    is($r->{headers}{allow}, 'GET, HEAD, DELETE', 'all of them');

    $r = $api->request('acme', 'GET', $talk);
    refused($r, 405, 'method_not_allowed', 'GET of what writes');
    is($r->{headers}{allow}, 'POST', 'without HEAD');

    for my $method ('PATCH', 'OPTIONS', 'PROPFIND', 'FOO') {
        $r = $api->request('acme', $method, '/api/whatsapp/contacts');
        is($r->{status}, 405, "$method is not allowed");
    }

    $r = $api->request('acme', 'HEAD', '/api/whatsapp/contacts');
    is($r->{status}, 200, 'HEAD is');
    is($r->{body}, '', 'without a body');
    is($r->{headers}{'content-length'},
       length $api->get('acme', '/api/whatsapp/contacts')->{body},
       'of the length of that of GET');

    $r = $api->request('acme', 'HEAD', '/api/whatsapp/nothing');
    is($r->{status}, 404, 'HEAD of nothing');
};


subtest 'scopes' => sub {
    is($api->get('acme:read', '/api/whatsapp/contacts')->{status}, 200,
       'a key that may read reads');
    refused($api->post('acme:read', $talk), 403, 'forbidden',
            'and does not write');
    is($api->post('acme', $talk)->{status}, 200, 'another one writes');

    for (['GET', ''], ['GET', '/acme'], ['PUT', '/acme'], ['PUT', '/new'],
         ['DELETE', '/acme'], ['GET', '/acme/export'],
         ['GET', '/acme/api-keys'], ['POST', '/acme/api-keys'],
         ['DELETE', '/acme/api-keys/00000000'])
    {
        my ($method, $path) = @$_;
        refused($api->request('acme', $method,
                              "/api/whatsapp/organizations$path"),
                403, 'forbidden', "$method $path is for operators");
    }

    refused($api->delete('acme', "/api/whatsapp/contacts/$contact"),
            403, 'forbidden', 'so is erasure');
    refused($api->get('acme', "/api/whatsapp/contacts/$contact/export"),
            403, 'forbidden', 'and export');
};


my @names = qw(organization org organizationSlug tenant_id companyId
               organization_slug tenantId);

subtest 'the organization of a tenant' => sub {
    for my $name (@names) {
        for my $own ('acme', $id{acme}, '%61cme') {
            is($api->get('acme', "/api/whatsapp/contacts?$name=$own")
                   ->{status}, 200, "$name=$own is its own");
        }

        for my $other ('bolt', $id{bolt}, 'nobody', 999999, '', 'ACME',
                       'acme%00', 'acme%20', '%ff', '0' . $id{acme}, "'")
        {
            refused($api->get('acme', "/api/whatsapp/contacts?$name=$other"),
                    403, 'forbidden', "$name=$other is not");
        }

        refused($api->get('acme',
                    "/api/whatsapp/contacts?$name=acme&$name=bolt"),
                403, 'forbidden', 'nor one of two');

        is($api->post('acme', $talk, { $name => 'acme' })->{status}, 200,
           "$name in a body");
        is($api->post('acme', $talk, { $name => $id{acme} + 0 })->{status},
           200, 'its number');
        refused($api->post('acme', $talk, { $name => 'bolt' }),
                403, 'forbidden', 'another one');
        refused($api->post('acme', $talk, { $name => $id{bolt} + 0 }),
                403, 'forbidden', 'its number');
        refused($api->post('acme', $talk,
                           qq({"$name":"acme","$name":"bolt"})),
                403, 'forbidden', 'and both');

        my $r = $api->post('acme', $talk, { $name => [ 'acme' ] });
        refused($r, 400, 'invalid_argument', 'a list');
        is($r->{json}{data}{argument}, $name, 'is told');
    }

    refused($api->get('acme', '/api/whatsapp/contacts?org=acme&tenant_id='
                              . $id{bolt}),
            403, 'forbidden', 'two names, one of them wrong');
    is($api->get('acme', "/api/whatsapp/contacts?org=acme&tenant_id=$id{acme}")
           ->{status}, 200, 'two names of one');
    is($api->post('acme', $talk, { org => undef })->{status}, 200,
       'null names nobody');
};


subtest 'the organization of an operator' => sub {
    for my $name ('acme', $id{acme}, '%61cme') {
        my $r = $api->get('operator', "/api/whatsapp/contacts?org=$name");
        is($r->{json}{data}{contacts}[0]{id}, $contact, "$name in a query");
    }

    my $r = $api->get('operator', '/api/whatsapp/contacts?org=bolt');
    is_deeply($r->{json}{data}{contacts}, [], 'any');

    refused($api->get('operator', "/api/whatsapp/contacts?org=$_"),
            404, 'unknown_organization', "?org=$_")
        for 'nobody', 999999, '', 'acme%00', '%ff', 'a' x 300;

    $r = $api->get('operator', '/api/whatsapp/contacts');
    refused($r, 400, 'invalid_argument', 'none');
    is($r->{json}{data}{argument}, 'organization', 'is told');

    refused($api->get('operator',
                      '/api/whatsapp/contacts?org=acme&companyId=bolt'),
            403, 'forbidden', 'two');
    is($api->get('operator',
                 "/api/whatsapp/contacts?org=acme&companyId=$id{acme}")
           ->{status}, 200, 'two names of one');

    is($api->post('operator', $talk, { organization => 'acme' })->{status},
       200, 'in a body');
    is($api->post('operator', $talk, { tenantId => $id{acme} + 0 })->{status},
       200, 'its number there');
    is($api->post('operator', $talk,
                  { tenantId => $id{acme} + 0, org => 'acme' })->{status},
       200, 'both');
    refused($api->post('operator', $talk,
                       { tenantId => $id{acme} + 0, org => 'bolt' }),
            403, 'forbidden', 'two in a body');
    refused($api->post('operator', "$talk?org=acme", { org => 'bolt' }),
            403, 'forbidden', 'one in the query, one in the body');
    refused($api->post('operator', $talk, { org => 'nobody' }),
            404, 'unknown_organization', 'an unknown one in a body');
    refused($api->post('operator', $talk, { org => 'bolt' }),
            404, 'unknown_conversation', 'is acted for, alone');

    for my $bad ({}, [], JSON::PP::true, 1.5, "a\x01", '') {
        my $status = $api->post('operator', $talk, { org => $bad })->{status};
        ok($status == 400 || $status == 404, 'what is no name');
    }

    $r = $api->post('operator', $talk);
    refused($r, 400, 'invalid_argument', 'no body');
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

            # a place in a list is the database's matter
            is($r->{json}{data}{argument}, $name, 'is told')
                if $name ne 'after';
        }
    }

    for my $id ('0', '-1', 'x', '1e3', '9' x 19, '99999999999999999999999',
                '1%00', '01', '%D9%A1')
    {
        my $r = $api->get('acme', "/api/whatsapp/contacts/$id");
        next if $id =~ /%00/ && $r->{status} == 400 && !$r->{json};
        refused($r, 400, 'invalid_argument', "contact $id");
    }

    refused($api->get('acme', '/api/whatsapp/contacts/' . '9' x 18),
            404, 'unknown_contact', 'a number that nobody has');
    refused($api->get('acme', "/api/whatsapp/contacts/$contact?id=1"),
            400, 'invalid_argument', 'in the path and the query');
    refused($api->get('acme', '/api/whatsapp/conversations?unread=maybe'),
            400, 'invalid_argument', 'neither true nor false');
    refused($api->get('acme',
                "/api/contacts/$contact/activities?limit=1000"),
            400, 'invalid_argument', 'a guide counts otherwise');

    for my $fine ('', '?', '?size=', '?after=&search=', '?size=200', '?x=1',
                  '?search=Anna+Maria', '?search=anna%20m', '?search=%2B49',
                  '?search=151', '?&&=&a', '?size=1&', '?%73earch=anna')
    {
        my $r = $api->get('acme', "/api/whatsapp/contacts$fine");
        is($r->{status}, 200, "\"$fine\" is fine");
        is(@{ $r->{json}{data}{contacts} }, 1, 'and finds Anna');
    }

    my $r = $api->get('acme', '/api/whatsapp/contacts?search='
                              . '%E4%BD%A0' x 255);
    is($r->{status}, 200, '255 characters of three bytes are fine');
    is(@{ $r->{json}{data}{contacts} }, 0, 'and find nobody');
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
       'its type does not matter');
    is($api->request('acme', 'POST', $talk, '{}', Expect => '100-continue')
           ->{status}, 200, 'it may be announced');

    my $chunks = "8\r\n{\"org\":\"\r\n6\r\nacme\"}\r\n0\r\n\r\n";
    is($api->request('acme', 'POST', $talk, $chunks,
                     'Transfer-Encoding' => 'chunked')->{status}, 200,
       'it may come in chunks');

    $chunks =~ s/acme/bolt/;
    refused($api->request('acme', 'POST', $talk, $chunks,
                          'Transfer-Encoding' => 'chunked'),
            403, 'forbidden', 'and is read');

    is($api->post('acme', "/small$talk", '{"x":"' . 'y' x 2000 . '"}')
           ->{status}, 413, 'one that is too big is refused');

    my $many = sprintf("%x\r\n%s\r\n", 2000, 'y' x 2000) . "0\r\n\r\n";
    is($api->request('acme', 'POST', "/small$talk", $many,
                     'Transfer-Encoding' => 'chunked')->{status}, 413,
       'in chunks, too');

    my $hidden = "GET /api/whatsapp/nothing HTTP/1.1\r\nHost: x\r\n\r\n";

    for my $headers ({}, { 'Transfer-Encoding' => 'chunked' }) {
        my $body = %$headers ? sprintf("%x\r\n%s\r\n0\r\n\r\n",
                                       length $hidden, $hidden) : $hidden;
        my $http = $t->http;
        $http->connect;
        $http->send($http->format('POST', $talk, $headers, $body)
                    . $http->format('GET', '/api/whatsapp/contacts',
                                    bearer($api->token('acme'))));

        is($http->answer('POST')->{status}, 401, 'of a refused request');
        is($http->answer('GET')->{status}, 200, 'it is not the next one');
    }

    is($api->request('acme', 'GET', '/api/whatsapp/contacts', '[no')
           ->{status}, 200, 'that of GET is not looked at');
    is($api->get('acme', '/api/whatsapp/contacts')->{status}, 200,
       'and the connection goes on');
};


subtest 'a location with conditions' => sub {
    for my $path ('/if/api/whatsapp/contacts?size=1',
                  '/if/api/whatsapp/contacts')
    {
        is($api->get('acme', $path)->{status}, 200, "$path is answered");
        is($api->get(undef, $path)->{status}, 401, 'but not to everybody');
    }

    is($api->put('operator', '/if/api/whatsapp/organizations/acme')
           ->{status}, 403, 'what is denied there is denied');

    is($api->put('operator', '/api/whatsapp/organizations/bolt')
           ->{status}, 200, 'a method that is allowed from here is answered');
    is($api->put(undef, '/api/whatsapp/organizations/bolt')
           ->{status}, 401, 'but not to everybody');

    is($t->webhook($t->message(id => 'A2', from => '4915112345678'),
                   path => '/hook')->{status}, 200,
       'and so is a webhook');
};


subtest 'a client that leaves' => sub {
    my $lock = $pg->session;
    $lock->query("begin; select 1 from organizations where slug = 'bolt'
                  for update");

    my $http = $api->send($t->http, operator => PUT =>
        '/api/whatsapp/organizations/bolt', { name => 'Late' });

    ok(wait_for(sub { $pg->blocked }, 10), 'while the database waits');
    $http->reset;
    is($api->get('acme', '/api/whatsapp/contacts')->{status}, 200,
       'others are answered');

    $lock->query('commit');
    ok(wait_for(sub { $pg->value("select name from organizations
                                  where slug = 'bolt'") eq 'Late' }, 10),
       'what was asked is done');
    is($api->get('acme', '/api/whatsapp/contacts')->{status}, 200,
       'and all goes on');
};


subtest 'the database' => sub {
    $pg->stop;

    my $r = $api->get('acme', '/api/whatsapp/contacts');
    refused($r, 503, 'database_unavailable', 'away');
    is($r->{headers}{'retry-after'}, 2, 'is asked again later');
    unlike($r->{body}, qr/postgres|sql|socket/i, 'nothing of it is told');

    $pg->start;
    ok(wait_for(sub { $api->get('acme', '/api/whatsapp/contacts')->{status}
                      == 200 }, 20), 'and is back');

    $pg->psql('create or replace function waha.list_sessions(organization
                   text) returns waha.reply language sql
                   as $$ select \'of_its_own\', null::json $$');
    refused($api->get('acme', '/api/whatsapp/sessions'), 503,
            'database_setup', 'a code that nobody knows');
    like($t->error_log, qr/"list_sessions" answers with the code "of_its_own"/,
         'is logged');
};


subtest 'the log' => sub {
    $api->get('acme', '/api/whatsapp/contacts?size=7');
    $api->get('operator', '/api/whatsapp/contacts?org=bolt&size=0');
    $api->post('operator', $talk, { org => 'acme' });

    my %action = ('GET /api/whatsapp/contacts 200 org=acme' =>
                      '/api/whatsapp/contacts',
                  'GET /api/whatsapp/contacts 400 org=bolt' =>
                      'invalid_argument',
                  "POST $talk 200 org=acme" =>
                      '/api/whatsapp/conversations/{id}/read');

    like($api->log, qr/^\Q$_ action=$action{$_}\E$/m, "tells $_")
        for sort keys %action;

    unlike($t->error_log, qr/wak_/, 'no key stands in a log');
};


subtest 'HTTP/2' => sub {
    plan(skip_all => 'curl has no HTTP/2') if !$api->has_http2;

    my $r = $api->http2(acme => GET => "/api/whatsapp/contacts/$contact");
    is("$r->{version} $r->{status}", '2 200', 'reads');
    is($r->{json}{data}{id}, $contact, 'the contact');

    $r = $api->http2(acme => POST => $talk, { org => 'acme' });
    is("$r->{version} $r->{status}", '2 200', 'writes');

    refused($api->http2(acme => POST => $talk, { org => 'bolt' }),
            403, 'forbidden', 'another organization');
    refused($api->http2(acme => PUT => $talk),
            405, 'method_not_allowed', 'another method');
};

$t->done;
