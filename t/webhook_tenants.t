# The organization of an event: the signed session decides; other sources help
# where the operator allows them; two sources that differ are refused.

use Waha::Test;

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');
$pg->organization('solo');

my %id = map { $_ => $pg->organization_id($_) } qw(acme bolt);

$t->nginx(conf => <<'EOF_CONF');
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    waha_hmac_key %%KEY%%;

    server {
        listen 127.0.0.1:%%PORT%%;
        location = /usual { waha_webhook; }
        location = /session { waha_webhook; waha_tenant_from session; }
        location = /pattern { waha_webhook; waha_tenant_from session pattern; }
        location = /query { waha_webhook; waha_tenant_from session query; }
        location = /sender { waha_webhook; waha_tenant_from session sender; }
        location = /default {
            waha_webhook;
            waha_default_organization solo;
        }
    }
}
EOF_CONF

$t->start;


my $n = 0;

sub goes {
    my ($name, $path, $to, %message) = @_;

    my $r = $t->webhook($t->message(id => 'T' . ++$n, %message),
                        path => $path);

    is($r->{json}{data}{organization} // $r->{json}{code}, $to, $name);
}


my %unknown = (session => 'new');

goes('the session decides', '/usual', 'acme', session => 't1');

goes('signed slug, of a new session', '/usual', 'bolt', %unknown,
     metadata => { organization_slug => 'bolt' });
goes('signed id, of a new session', '/usual', 'bolt', %unknown,
     metadata => { organization_id => "$id{bolt}" });
goes('signed tenant.id that is a slug', '/usual', 'bolt', %unknown,
     metadata => { 'tenant.id' => 'bolt' });
goes('signed tenant.id that is an id', '/usual', 'bolt', %unknown,
     metadata => { 'tenant.id' => "$id{bolt}" });
goes('signed tenant.id that names nobody is ignored', '/usual', 'acme',
     session => 't1', metadata => { 'tenant.id' => '42000' });
goes('signed slug that names nobody is ignored', '/usual', 'acme',
     session => 't1', metadata => { organization_slug => 'nobody' });
goes('signed slug of another organization', '/usual', 'contradiction',
     session => 't1', metadata => { organization_slug => 'bolt' });
goes('signed slug and id that differ', '/usual', 'contradiction', %unknown,
     metadata => { organization_slug => 'bolt',
                   organization_id => "$id{acme}" });
goes('metadata where it does not count', '/session', 'acme',
     session => 't1', metadata => { organization_slug => 'bolt' });
goes('metadata alone where it does not count', '/session',
     'unknown_organization', %unknown,
     metadata => { organization_slug => 'bolt' });

goes('a query that confirms', '/usual?org=acme', 'acme', session => 't1');
goes('a query that confirms by id', "/usual?tenant_id=$id{acme}", 'acme',
     session => 't1');
goes('a query that names another', '/usual?org=bolt', 'contradiction',
     session => 't1');
goes('a query that names nobody', '/usual?org=nobody', 'contradiction',
     session => 't1');
goes('a query that cannot be a name', '/usual?org=%00%ff', 'contradiction',
     session => 't1');
goes('a query alone is not trusted', '/usual?org=acme',
     'unknown_organization', %unknown);
goes('a query where it is trusted', '/query?org=bolt', 'bolt', %unknown);
goes('a trusted query never overrides the session', '/query?org=bolt',
     'contradiction', session => 't1');

goes('tenant-<slug>', '/pattern', 'bolt', session => 'tenant-bolt');
goes('tenant_<id>', '/pattern', 'bolt', session => "tenant_$id{bolt}");
goes('tenant-<slug> where it does not count', '/usual',
     'unknown_organization', session => 'tenant-bolt');

$pg->psql(q{delete from waha.contact_identities});
$pg->psql(q{insert into contacts (organization_slug, first_name, phone_1)
            values ('acme', 'A', '+4915112345678'),
                   ('bolt', 'B', '+4915112345679'),
                   ('acme', 'C', '+4915112345670'),
                   ('bolt', 'D', '+4915112345670')});
goes('the organization that knows the sender', '/sender', 'bolt', %unknown,
     from => '4915112345679');
goes('a sender that two organizations know', '/sender',
     'unknown_organization', %unknown, from => '4915112345670');
goes('a sender where he does not count', '/usual', 'unknown_organization',
     %unknown, from => '4915112345679');

goes('the default organization', '/default', 'solo', %unknown);
goes('the session before the default', '/default', 'acme', session => 't1');


# a session whose organization another source named is stored with its first
# status

my $r = $t->webhook($t->session_status('fresh', 'WORKING',
    metadata => { organization_slug => 'bolt' }), path => '/usual');
is($r->{json}{data}{action}, 'session_updated',
   'the first status of a session stores it');

goes('the session is known now', '/usual', 'bolt', session => 'fresh');


# a key that is bound to an instance

$pg->psql(q{update waha.sessions set instance = 'waha-1' where name = 't1';
            update waha.sessions set instance = 'waha-2' where name = 't2'});

$t->nginx->write('one.key', 'key-of-one');
$t->nginx->conf(<<"EOF_CONF");
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /usual {
            waha_webhook;
            waha_hmac_key %%KEY%%;
            waha_hmac_key one.key instance=waha-1;
        }
    }
}
EOF_CONF
ok($t->reload, 'nginx is reloaded with a bound key');

sub signed {
    my ($key, $session, %more) = @_;

    my $r = $t->webhook($t->message(id => 'T' . ++$n, session => $session,
                                    %more), path => '/usual', key => $key);
    my $d = $r->{json}{data};
    return join ' ', grep { defined } $d->{organization}, $d->{reason},
                                      $r->{json}{code};
}

is(signed('key-of-one', 't1'), 'acme',
   'a bound key for a session of its instance');
is(signed('key-of-one', 't2'), 'foreign_instance',
   'a bound key for a session of another instance');
is(signed('key-of-one', 'fresh'), 'foreign_instance',
   'a bound key for a session without an instance');
is(signed('key-of-one', 'new', metadata => { organization_slug => 'bolt' }),
   'foreign_instance', 'a bound key for a session that nobody knows');
is(signed('hmackey', 't2'), 'bolt',
   'a key that is not bound, for any session');


# where the API makes the sessions, events add none

$t->nginx->conf(<<"EOF_CONF");
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%
    waha_database "%%DSN%%" timeout=20s;
    waha_instance waha-1 /waha-1;
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /usual {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }
    }
}
EOF_CONF
ok($t->reload, 'nginx is reloaded with a WAHA server');

my %of_bolt = (metadata => { organization_slug => 'bolt' });

$r = $t->webhook($t->session_status('made-up', 'WORKING', %of_bolt),
                 path => '/usual');
is("$r->{json}{data}{action} $r->{json}{data}{reason}",
   'ignored unknown_session', 'the status of a session that the API does '
   . 'not know is ignored');
is($pg->value("select count(*) from waha.sessions where name = 'made-up'"),
   0, 'the session is not added');
is($t->webhook($t->session_status('fresh', 'FAILED', %of_bolt),
               path => '/usual')->{json}{data}{action}, 'session_updated',
   'the status of a known session is stored');

$t->done;
