# A second provider is a row, its files and their place in "config"; its
# deliveries may have several events, one of which decides the answer.
# The provider is built into a copy of the sources, for this test only.

use Waha::Test;
use Waha::File;

use Digest::SHA ();
use File::Copy ();
use JSON::PP ();

plan(skip_all => 'needs the nginx of the system, to build a module for it')
    if $ENV{TEST_NGINX_BINARY};

my $t = Waha::Test->new;
my $copy = $t->dir . '/tree';
my $json = JSON::PP->new->utf8->canonical;

build();
local $ENV{TEST_NGINX_MODULE} = "$copy/build/ngx_http_waha_module.so";

my $pg = $t->postgres;

$pg->organization('acme', session => 't1');
$pg->organization('bolt', session => 't2');
$pg->organization('closed', session => 't3', enabled => 0);

$t->start;


# in a copy, so that nobody finds the provider in a release

sub build {
    mkdir $copy or die "$copy: $!";
    my $root = root();
    system("tar -C '$root' --exclude=./build --exclude=./.git -cf - ."
           . " | tar -C '$copy' -xf -") == 0 or die 'cannot copy the sources';

    for my $ext ('c', 'h') {
        File::Copy::copy("$root/t/unit/pair.$ext",
                         "$copy/src/event/ngx_http_waha_pair.$ext")
            or die "cannot copy the provider: $!";
    }

    edit('config', qr/(\$ngx_addon_dir\/src\/event\/)ngx_http_waha_event\.c/,
         sub { "$1ngx_http_waha_event.c $1ngx_http_waha_pair.c" });

    my $provider = 'src/intake/ngx_http_waha_provider.c';

    edit($provider, qr/(#include <ngx_http_waha_provider\.h>\n)/,
         sub { "#include <ngx_http_waha_pair.h>\n$1" });
    edit($provider, qr/(?=\nstatic const ngx_http_waha_provider_t)/,
         sub { <<'EOF_C' });

static const ngx_http_waha_provider_signature_t
    ngx_http_waha_provider_pair[] =
{
    { ngx_string("x-pair-signature"), ngx_null_string,
      NGX_HTTP_WAHA_HMAC_SHA256, 0 },
    { ngx_null_string, ngx_null_string, 0, 0 }
};

EOF_C
    edit($provider, qr/(?=    \{ ngx_null_string, NULL, 0, )/,
         sub { <<'EOF_C' });
    { ngx_string("pair"),
      ngx_http_waha_provider_pair,
      offsetof(ngx_http_waha_loc_conf_t, hmac_keys),
      ngx_http_waha_pair_parse,
      "unsigned", "keyless", "forged",
      NULL, NULL, 0, 0, 1, 1 },

EOF_C

    system("make -C '$copy' > '$copy/make.log' 2>&1") == 0
        or die slurp("$copy/make.log");
}


sub edit {
    my ($file, $where, $what) = @_;

    my $text = slurp("$copy/$file");
    $text =~ s/$where/$what->()/e or die "$file has changed: edit the test\n";
    spew("$copy/$file", $text);
}


# sends messages, [ session, id, phone, text ] each; key: of the signature

sub deliver {
    my ($messages, %o) = @_;

    my $body = $json->encode({ messages => [ map {
        my %m;
        @m{qw(session id phone text)} = @$_;
        \%m } @$messages ] });

    return $t->http->post('/api/whatsapp/webhook',
        { 'Content-Type' => 'application/json',
          'X-Pair-Signature' =>
              Digest::SHA::hmac_sha256_hex($body, $o{key} // 'hmackey') },
        $body);
}


# the connections of the pool are idle when the first delivery comes

$t->webhook($t->message(id => 'T0', from => '4915100000000'));


subtest 'a delivery of three messages' => sub {
    my @three = (['t1', 'P1', '4915111111111', 'one'],
                 ['t2', 'P2', '4915122222222', 'two'],
                 ['t1', 'P3', '4915111111111', 'three']);

    my $r = deliver(\@three);
    is($r->{status}, 200, 'is taken');
    is($r->{json}{data}{action}, 'contact_created',
       'the answer is that of the first message');
    is($r->{json}{data}{organization}, 'acme', 'with its organization');

    is_deeply($pg->rows(q{
        select o.slug, a.message_id, a.message_content
          from contact_activities a
          join organizations o on o.slug = a.organization_slug
         where a.message_id like 'P%' order by a.message_id}),
        [['acme', 'P1', 'one'], ['bolt', 'P2', 'two'],
         ['acme', 'P3', 'three']], 'all are stored, each for its tenant');
    is($pg->value('select count(distinct xmin::text) from contact_activities
                    where message_id like \'P%\''), 1,
       'in one transaction, so that their order counts');

    $r = deliver(\@three);
    is($r->{status}, 200, 'its repetition is taken');
    is($r->{json}{data}{action}, 'duplicate', 'as a duplicate');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id like 'P%'}), 3,
       'and nothing is doubled');
};


subtest 'one event in error' => sub {
    my $r = deliver([['t1', 'Q1', '4915111111111', 'one'],
                     ['t3', 'Q2', '4915133333333', 'two'],
                     ['t1', 'Q3', '4915111111111', 'three']]);
    is($r->{status}, 404, 'decides the answer');
    is($r->{json}{code}, 'disabled_organization', 'with its code');
    is_deeply($pg->rows(q{select message_id from contact_activities
                           where message_id like 'Q%' order by 1}),
              [['Q1'], ['Q3']], 'its neighbours are stored');
};


subtest 'an event that is ignored' => sub {
    my $r = deliver([['t1', 'R1', '12', 'no phone number'],
                     ['t1', 'R2', '4915111111111', 'two']]);
    is($r->{status}, 200, 'does not hold up its neighbours');
    is($r->{json}{data}{action}, 'activity_logged',
       'the answer is that of the second');
    is($r->{json}{data}{organization}, 'acme', 'with its organization');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id like 'R%'}), 1, 'the second is stored');

    $r = deliver([['t1', 'R3', '12', 'no phone number'],
                  ['t1', 'R4', '13', 'none either']]);
    is($r->{status}, 200, 'with nothing to store the answer comes at once');
    is($r->{json}{data}{action}, 'ignored', 'and says so');
};


subtest 'events of an unknown organization' => sub {
    my @two = (['t9', 'U1', '4915111111111', 'one'],
               ['t9', 'U2', '4915122222222', 'two']);

    is(deliver(\@two)->{status}, 404, 'are refused') for 1 .. 2;
    is($pg->value('select count(*) from waha.quarantine where event is not null
                    and resolved_at is null and event->>\'message_id\'
                                                like \'U%\''), 2,
       'each is kept, once');

    $pg->organization('dawn', session => 't9');
    $pg->rows(q{select waha.replay(id) from waha.quarantine
                  where event->>'message_id' like 'U%'});
    is_deeply($pg->rows(q{select message_id from contact_activities
                           where message_id like 'U%' order by 1}),
              [['U1'], ['U2']], 'and can be replayed');
};


subtest 'a row that somebody else has locked' => sub {
    my $lock = $pg->session;
    $lock->query('begin');
    $lock->query(q{select 1 from contacts where phone_1 = '+4915111111111'
                    for update});

    my $r = deliver([['t2', 'S1', '4915122222222', 'one'],
                     ['t1', 'S2', '4915111111111', 'two']]);
    is($r->{status}, 503, 'one event that cannot be stored: send it again');

    $lock->query('rollback');

    $r = deliver([['t2', 'S1', '4915122222222', 'one'],
                  ['t1', 'S2', '4915111111111', 'two']]);
    is($r->{status}, 200, 'the repetition is taken');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id like 'S%'}), 2, 'each is stored once');
};


subtest 'signatures' => sub {
    my $message = ['t1', 'T1', '4915111111111', 'one'];

    is(deliver([$message], key => 'wrong')->{status}, 401,
       'a wrong one is refused');
    is($t->webhook($json->encode({ messages => [] }))->{status}, 400,
       'the signature chooses the provider, whatever the body');
    is(deliver([])->{status}, 400, 'a delivery without an event is refused');
    is($t->webhook($t->message(id => 'T2', from => '4915111111111'))
        ->{status}, 200, 'WAHA is understood as before');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id in ('T1', 'T2')}), 1,
       'only that is stored');
};


subtest 'more events than may wait' => sub {
    $t->stop;
    $t->nginx(vars => { DATABASE => 'queue=2 timeout=20s' })->start;

    my @many = map { ['t1', "V$_", '4915111111111', $_] } 1 .. 200;

    is(deliver(\@many)->{status}, 200, 'are taken');
    is($pg->value(q{select count(*) from contact_activities
                     where message_id like 'V%'}), 200, 'all of them');
};


$t->done;
