# Notifications of Meta while backends and workers are killed and nginx is
# reloaded: what was answered 200 is stored once, as WAHA's webhooks are.

use Waha::Test;
use Waha::Fault;
use Waha::Meta;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $meta = Waha::Meta->new($t, $pg);

my $nginx = $t->nginx(workers => 2, vars => { $meta->vars },
                      conf => <<'EOF_CONF');
%%GLOBALS%%
events { }
http {
    %%HTTP_GLOBALS%%

    waha_database "%%DSN%%" timeout=10s;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /api/whatsapp/webhook {
            waha_webhook;
            waha_meta_app_secret %%SECRET%%;
        }
    }
}
EOF_CONF

$nginx->allow(qr/worker process \d+ exited on signal 9/);
$nginx->start;


my $fault = Waha::Fault->new($t, $pg, meta => $meta, retry => 1);

$fault->runs('backends are terminated', sub {
    my ($load) = @_;

    for (1 .. 5) {
        $pg->psql(<<'EOF_SQL');
select pg_terminate_backend(pid) from pg_stat_activity
 where application_name = 'nginx-waha' and random() < 0.5
EOF_SQL
        $load->progress(20) or die 'no progress';
    }
});

$fault->runs('a worker is killed', sub {
    my @workers = $nginx->worker_pids;
    kill 'KILL', $workers[ rand @workers ];
});


my $reloads;

Waha::Fault->new($t, $pg, meta => $meta, fresh => 3, resend => 1)
    ->runs('reloads', sub {
    my ($load) = @_;

    $reloads = 0;

    for (1 .. 5) {
        $nginx->reload or die 'the reload was refused';
        $load->progress(1) or die 'no answers';
        $reloads++;
    }
}, calm => 1, ok => 1, bites => sub { $reloads == 5 });

$t->done;
