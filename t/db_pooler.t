# PgBouncer between nginx and PostgreSQL: in each of its modes webhooks and the
# API are served, whatever session the next statement runs in.

use Waha::Test;
use Waha::Pooler;

plan(skip_all => 'PgBouncer is not installed') if !Waha::Pooler::binary();

my $t = Waha::Test->new;
my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->psql("alter role waha_gateway set statement_timeout = '600ms'");

my $key = $pg->api_key('acme');


for my $mode (qw(transaction statement session)) {
    subtest "pool_mode = $mode" => sub {
        my $pooler = Waha::Pooler->new(dir => $t->dir, pg => $pg,
                                       mode => $mode,
                                       size => $mode eq 'session' ? 40 : 2);
        serve($pooler->port);

        served('at first');
        like($t->error_log, qr/connected through a pooler/,
             'the log says that there is a pooler');

        # connections of the new worker get sessions that the old one used

        ok($t->reload, "reload $_") && served("after reload $_") for 1 .. 3;

        unlike($t->error_log, qr/42P05|26000|install\.sql/,
               'the log asks nobody for anything');
        unlike($t->error_log, qr/\[(?:error|crit)\]/, 'nothing is an error');

        $t->nginx->stop;
        $pooler->stop;
    };
}


subtest 'a setting that only the role can have' => sub {
    my $pooler = Waha::Pooler->new(dir => $t->dir, pg => $pg);

    $pg->psql('alter role waha_gateway
               set default_transaction_isolation = serializable');
    serve($pooler->port);
    is($t->webhook($t->message)->{status}, 503, 'serializable gives 503');
    ok(wait_for(sub { $t->error_log =~ /default_transaction_isolation\ is
            \ "serializable".*alter\ role\ "waha_gateway"\ set/x }),
       'the log says what to do') or diag($t->error_log);
    $pg->psql('alter role waha_gateway
               reset default_transaction_isolation');
    $t->nginx->stop;
};

$t->done;


sub serve {
    my ($port) = @_;

    $t->nginx(conf => <<'EOF_CONF', vars => { POOLER => $port })->start;
%%GLOBALS%%

events {
}

http {
    %%HTTP_GLOBALS%%

    waha_database "host=127.0.0.1 port=%%POOLER%% dbname=crm
                   user=waha_gateway" connect_timeout=30s;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /api/whatsapp/webhook {
            waha_webhook;
            waha_hmac_key %%KEY%%;
        }

        location / {
            waha_api;
            waha_api_keys on;
        }
    }
}
EOF_CONF
}


sub served {
    my ($when) = @_;

    my @clients = map { $t->send_webhook($t->message) } 1 .. 20;
    my @status = map { $_->answer->{status} } @clients;

    is_deeply([ grep { $_ != 200 } @status ], [],
              "$when: all webhooks are taken");

    my $r = $t->http->get('/api/whatsapp/contacts', bearer($key));
    is($r->{status}, 200, "$when: the API answers") or diag($r->{body});
}
