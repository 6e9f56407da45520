# Ids of organizations that JSON's doubles cannot hold: they reach the database
# as they were written, from everywhere, and are never taken for a neighbour's.

use Waha::Test;
use Waha::Sessions;
use Waha::Token;

my $t = Waha::Test->new;
my $pg = $t->postgres;
my $waha = $t->standin;
my $idp = Waha::Token->new($t->dir);
my $file = $idp->file('HS256');

# a double takes the first three for one number

my %id = (
    even => '9007199254740992',
    odd  => '9007199254740993',
    next => '9007199254740994',
    high => '9223372036854775806',
    last => '9223372036854775807',
);

$pg->psql("insert into waha.organizations (id, slug, name, whatsapp_enabled)"
          . " overriding system value values ($id{$_}, '$_', '$_', true)")
    for keys %id;

my $api = Waha::Sessions->new($t, wahas => [ $waha ],
    http => "waha_jwt_key HS256 $file;\nwaha_jwt_issuer i;\n"
            . "waha_jwt_audience a;\n");
$t->start;

my $n = 0;


# --- webhooks ----------------------------------------------------------------

for my $slug (sort keys %id) {
    for (['organization_id', $id{$slug}], ['organization_id', qq("$id{$slug}")],
         ['tenant.id', $id{$slug}], ['tenant_id', qq("$id{$slug}")])
    {
        my ($name, $value) = @$_;

        $n++;

        my $body = $t->message(id => "W$n", session => "new$n",
                               text => 'numbers: 1, "2", -3 \\ {4}',
                               metadata => { other => 7, $name => 'HERE' });
        $body =~ s/"HERE"/$value/ or die;

        my $r = $t->webhook($body);
        is($r->{json}{data}{organization}, $slug,
           "a webhook with $name $value is of $slug");
        like($r->{body}, qr/"tenantId":$id{$slug}\b/,
             'the answer has the id as it is');
    }
}

for my $value ('9007199254740993.0', '9.007199254740993e15',
               '9223372036854775808', '1' . '0' x 40, '-9007199254740993')
{
    my $body = $t->message(id => 'X' . ++$n, session => "none$n",
                           metadata => { organization_id => 'HERE' });
    $body =~ s/"HERE"/$value/ or die;

    is($t->webhook($body)->{status}, 404, "$value names nobody");
}


# --- credentials -------------------------------------------------------------

my $soon = time + 600;

for my $slug (sort keys %id) {
    for my $org ($id{$slug}, qq("$id{$slug}")) {
        my $token = $idp->token('HS256', qq({"n":[1,"2",{"3":-4}],"iss":"i",)
                                . qq("org":$org,"aud":"a","exp":$soon}));

        is($t->http->get('/api/whatsapp/contacts?org=' . $slug,
                         bearer($token))->{status}, 200,
           "a token with the organization $org is of $slug");
    }
}


# --- arguments ---------------------------------------------------------------

for my $slug (sort keys %id) {
    my $other = $slug eq 'odd' ? 'even' : 'odd';

    for (["/api/whatsapp/contacts?organization=$id{$slug}", 'operator', 200],
         ["/api/whatsapp/contacts?tenant_id=$id{$slug}", $slug, 200],
         ["/api/whatsapp/contacts?tenant_id=$id{$other}", $slug, 403])
    {
        my ($path, $who, $status) = @$_;

        is($api->get($who, $path)->{status}, $status, "$who: $path: $status");
    }

    is($api->post($slug, '/api/whatsapp/sessions',
                  qq({"tenant_id":$id{$slug}}))->{status}, 200,
       "a number in a body names $slug");
    is($api->post($slug, '/api/whatsapp/sessions',
                  qq({"tenant_id":$id{$other}}))->{status}, 403,
       "a number in a body does not name its neighbour");

    is($waha->session("tenant-$slug")->{config}{metadata}{organization_id},
       $id{$slug}, 'the session at WAHA has the id as it is');
}

$t->done;
