# The stand-in for Meta's Graph API of the test library behaves as Graph does,
# and fails as a test demands.

use Waha::Test;
use Waha::Message ();

use Digest::SHA ();
use IO::Socket::INET ();
use JSON::PP ();
use Time::HiRes ();
use Waha::Process ();

my $t = Waha::Test->new;
my $graph = $t->graph;
my $http = Waha::HTTP->new(port => $graph->port);

$graph->add_app('900', secret => 'app-secret-one');
$graph->add_app('901', secret => 'app-secret-two', proof => 1);
$graph->add_account('700', business => '500', business_name => 'Acme Group');
$graph->add_account('701');
$graph->add_number('100', account => '700', phone => '+55 11 98888-7777',
                   name => 'Acme', quality => 'YELLOW');
$graph->add_number($_, account => '701') for 201 .. 230;
$graph->add_token('EAAacme', app => '900', accounts => [ '700' ]);
$graph->add_token('EAAbolt', app => '901', accounts => [ '701' ]);
$graph->add_token('EAAold', app => '900', accounts => [ '700' ], dead => 463);
$graph->add_token('EAAsend', app => '900', accounts => [ '700' ],
                  scopes => [ 'whatsapp_business_messaging' ]);


sub call {
    my ($token, $method, $path, $data, %o) = @_;

    my $body = ref $data ? Waha::Message::encode($data) : $data;

    return $http->request($method, ($o{version} // '/v25.0') . $path, {
        defined $token ? (Authorization => "Bearer $token") : (),
        defined $body ? ('Content-Type' => ref $data ? 'application/json'
                         : 'application/x-www-form-urlencoded') : () }, $body);
}


sub fails {
    my ($name, $code, $subcode, $r) = @_;

    my $error = $r->{json}{error} // {};

    cmp_ok($r->{status}, '>=', 400, "$name: the status is no success");
    is($error->{code}, $code, "$name: code $code");
    is($error->{error_subcode}, $subcode, "$name: its subcode");
    ok(length($error->{message} // '') && length($error->{fbtrace_id} // ''),
       "$name: a message and a trace");

    return $r;
}


subtest 'tokens' => sub {
    fails('no token', 200, undef, call(undef, GET => '/100'));
    like(fails('an unknown token', 190, undef,
               call('EAAnone', GET => '/100'))->{json}{error}{message},
         qr/EAAnone/, 'Graph repeats a token that it cannot read');
    is(fails('a dead token', 190, 463,
             call('EAAold', GET => '/100'))->{status}, 401, 'status 401');
    fails('another account', 100, 33, call('EAAacme', GET => '/701'));
    fails('a missing number', 100, 33, call('EAAacme', GET => '/999'));
    fails('a missing right', 200, undef, call('EAAsend', GET => '/100'));
    fails('an unknown path', 2500, undef, call('EAAacme', GET => '/100/none'));

    my $proof = Digest::SHA::hmac_sha256_hex('EAAbolt', 'app-secret-two');

    fails('no proof', 100, undef, call('EAAbolt', GET => '/701'));
    is(call('EAAbolt', GET => "/701?appsecret_proof=$proof")->{status}, 200,
       'the right proof');
    fails('a wrong proof', 100, undef,
          call('EAAacme', GET => "/100?appsecret_proof=$proof"));
    is(call('900|app-secret-one', GET => '/900')->{json}{id}, '900',
       'the secret of an app is proved by its own token');
    fails('a wrong secret', 190, undef,
          call('900|app-secret-two', GET => '/900'));
};


subtest 'what a token is' => sub {
    my $wanted = { app_id => '900', type => 'SYSTEM_USER',
        application => 'App 900', expires_at => 0, user_id => '1',
        is_valid => JSON::PP::true,
        scopes => [ 'whatsapp_business_management',
                    'whatsapp_business_messaging' ],
        granular_scopes => [ map { { scope => "whatsapp_business_$_",
            target_ids => [ '700' ] } } qw(management messaging) ] };

    is_deeply(call('EAAacme', GET => '/debug_token?input_token=EAAacme')
              ->{json}{data}, $wanted, 'a token asks for itself');

    my $r = call('EAAacme', POST => '/', { batch => [
        { method => 'GET', relative_url => 'debug_token?input_token=EAAacme' },
        { method => 'GET', relative_url => '999' } ] });

    is($r->{status}, 200, 'a batch is answered 200');
    is_deeply([ map { $_->{code} } @{ $r->{json} } ], [ 200, 400 ],
              'each request in it has its status');
    is_deeply(JSON::PP::decode_json($r->{json}[0]{body})->{data}, $wanted,
              'and its body, as text');
    is(call('EAAacme', GET => '/debug_token?input_token=EAAold')
       ->{json}{data}{is_valid}, JSON::PP::false, 'a dead token is not valid');
    is(call('EAAacme', GET => '/app')->{json}{id}, '900', 'the app of a token');
};


subtest 'numbers and accounts' => sub {
    is_deeply(call('EAAacme', GET => '/100?fields=id,display_phone_number,'
                   . 'verified_name,quality_rating')->{json},
              { id => '100', display_phone_number => '+55 11 98888-7777',
                verified_name => 'Acme', quality_rating => 'YELLOW' },
              'a number');
    fails('an unknown field', 100, undef,
          call('EAAacme', GET => '/100?fields=id,nothing'));
    is_deeply(call('EAAacme', GET => '/700?fields=name,owner_business_info')
              ->{json}, { id => '700', name => 'Account 700',
              owner_business_info => { id => '500', name => 'Acme Group' } },
              'an account');
    is(call('EAAacme', GET => '/100', undef, version => '')->{status}, 200,
       'a request without a version');

    my $proof = Digest::SHA::hmac_sha256_hex('EAAbolt', 'app-secret-two');
    my ($after, @ids) = ('');

    while (defined $after) {
        my $r = call('EAAbolt', GET => "/701/phone_numbers?limit=20&after="
                     . "$after&appsecret_proof=$proof")->{json};
        push @ids, map { $_->{id} } @{ $r->{data} };
        $after = $r->{paging}{next} ? $r->{paging}{cursors}{after} : undef;
    }

    is_deeply(\@ids, [ 201 .. 230 ], 'the numbers of an account, in pages');
};


# answers with what is given: a sub of the challenge; its URL

sub callback {
    my ($answer) = @_;

    my $socket = IO::Socket::INET->new(Listen => 64,
        LocalAddr => '127.0.0.1:0') or die "listen: $!";

    Waha::Process::child(sub {
        while (my $client = $socket->accept) {
            my ($uri) = <$client> =~ /^GET (\S+)/;
            local $/ = "\r\n\r\n";
            <$client>;

            my ($challenge) = $uri =~ /hub\.challenge=(\d+)/;
            my $right = $uri =~ /hub\.mode=subscribe/
                        && $uri =~ /hub\.verify_token=vt%2F1(?:&|$)/;
            my $text = $answer->($right, $challenge);

            print $client "HTTP/1.1 200 OK\r\nContent-Length: "
                          . length($text) . "\r\nConnection: close\r\n\r\n"
                          . $text;
        }
    });

    return 'http://127.0.0.1:' . $socket->sockport . '/hook/c1';
}


subtest 'callbacks' => sub {
    my $good = callback(sub { $_[0] ? $_[1] : 'no' });
    my $bad = callback(sub { 'hello' });

    is_deeply(call('EAAacme', POST => '/700/subscribed_apps')->{json},
              { success => JSON::PP::true }, 'an app is subscribed');
    is_deeply(call('EAAacme', GET => '/700/subscribed_apps')->{json}{data}[0]
              {whatsapp_business_api_data}{id}, '900', 'and is in the list');

    is(call('EAAacme', POST => '/700/subscribed_apps', {
        override_callback_uri => $good, verify_token => 'vt/1' })->{status},
       200, 'with a callback that answers');
    is($graph->account('700')->{apps}{900}{callback}, $good, 'which is kept');

    fails('a callback that answers anything', 2200, undef,
          call('EAAacme', POST => '/700/subscribed_apps', {
              override_callback_uri => $bad, verify_token => 'vt/1' }));
    is($graph->account('700')->{apps}{900}{callback}, $good,
       'the one before is kept');
    is(call('EAAacme', POST => '/700/subscribed_apps')->{status}, 200,
       'without a callback');
    is($graph->account('700')->{apps}{900}{callback}, undef,
       'the one before is removed');

    is(call('EAAacme', POST => '/100', { webhook_configuration => {
        override_callback_uri => $good, verify_token => 'vt/1' } })->{status},
       200, 'the callback of a number');
    is(call('EAAacme', GET => '/100?fields=webhook_configuration')->{json}
       {webhook_configuration}{phone_number}, $good, 'is shown');
    fails('a wrong verify token', 2200, undef,
          call('EAAacme', POST => '/100', { webhook_configuration => {
              override_callback_uri => $good, verify_token => 'other' } }));
    is(call('EAAacme', POST => '/100', { webhook_configuration => {
        override_callback_uri => '' } })->{status}, 200, 'an empty callback');
    is($graph->number('100')->{callback}, undef, 'removes it');

    is(call('EAAacme', DELETE => '/700/subscribed_apps')->{status}, 200,
       'an app is unsubscribed');
    is_deeply($graph->account('700')->{apps}, {}, 'and not in the list');
};


subtest 'codes' => sub {
    $graph->add_code('code1', app => '900', token => 'EAAacme');
    $graph->add_code('code2', app => '900', token => 'EAAacme', life => 0);

    my $form = 'client_id=900&client_secret=app-secret-one&code=';

    fails('a wrong secret', 1, undef, call(undef, POST =>
        '/oauth/access_token', 'client_id=900&client_secret=x&code=code1'));
    is(call(undef, POST => '/oauth/access_token', $form . 'code1')
       ->{json}{access_token}, 'EAAacme', 'a code is exchanged for a token');
    fails('a code that was used', 100, 36009,
          call(undef, POST => '/oauth/access_token', $form . 'code1'));
    fails('a code that is too old', 100, 36007,
          call(undef, GET => "/oauth/access_token?${form}code2"));
};


subtest 'media' => sub {
    my $bytes = join '', map { chr $_ % 256 } 1 .. 1000;

    $graph->add_media('300', number => '100', bytes => $bytes,
                      type => 'image/png');
    $graph->add_media('301', number => '100', bytes => 'x', life => 0);

    my $r = call('EAAacme', GET => '/300?phone_number_id=100')->{json};
    my $files = Waha::HTTP->new(port => $graph->media_host =~ s/.*://r);
    my ($path) = $r->{url} =~ m{^http://[^/]+(/.*)};

    is($r->{file_size}, 1000, 'the size of a file');
    is($r->{sha256}, Digest::SHA::sha256_hex($bytes), 'its digest');
    ok($files->get($path, bearer('EAAacme'))->{body} eq $bytes, 'its bytes');
    is($files->get($path)->{status}, 401, 'no token');
    is($files->get($path, bearer('EAAbolt'))->{status}, 401, 'another token');
    is($files->get($path, { %{ bearer('EAAacme') }, Range => 'bytes=10-19' })
       ->{body}, substr($bytes, 10, 10), 'a part of it');
    fails('another number', 100, 33,
          call('EAAacme', GET => '/300?phone_number_id=101'));

    $r = call('EAAacme', GET => '/301?phone_number_id=100')->{json};
    ($path) = $r->{url} =~ m{^http://[^/]+(/.*)};
    is($files->get($path, bearer('EAAacme'))->{status}, 404,
       'a URL that is too old');
};


subtest 'messages and registration' => sub {
    my $r = call('EAAsend', POST => '/100/messages', {
        messaging_product => 'whatsapp', to => '+55 11 9', type => 'text' });

    is($r->{json}{contacts}[0]{wa_id}, '55119', 'a message has its recipient');
    like($r->{json}{messages}[0]{id}, qr/^wamid\./, 'and its id');
    fails('no recipient', 131008, undef, call('EAAsend', POST =>
        '/100/messages', { messaging_product => 'whatsapp' }));
    is(call('EAAacme', POST => '/100/register', { pin => '123456',
            messaging_product => 'whatsapp' })->{status}, 200, 'registered');
    fails('a bad pin', 100, undef, call('EAAacme', POST => '/100/register',
          { pin => '1', messaging_product => 'whatsapp' }));
};


subtest 'faults' => sub {
    for my $code (0, 190, 3, 10, 200, 131005, 4, 80007, 130429, 131056, 1, 2,
                  131000, 131016, 100, 368, 131031, 33)
    {
        $graph->fail(match => '^GET /v25.0/100', code => $code, times => 1);
        fails("switch $code", $code, undef, call('EAAacme', GET => '/100'));
    }

    $graph->fail(match => '/100', code => 190, subcode => 460, http => 500);
    is(fails('a switch with a subcode', 190, 460,
             call('EAAacme', GET => '/100'))->{status}, 500, 'and its status');
    $graph->heal;

    $graph->fail(with => 'truncate');
    isnt(call('EAAacme', GET => '/100')->{error}, undef, 'an answer is cut');
    $graph->heal;

    $graph->fail(on => 'media', status => 500);
    is(call('EAAacme', GET => '/100')->{status}, 200,
       'a fault of the other host is not one of Graph');
    is(Waha::HTTP->new(port => $graph->media_host =~ s/.*://r)->get('/x')
       ->{status}, 500, 'but its own');
    $graph->heal;

    is(scalar $graph->requests('^GET /v25.0/app$'), 1, 'requests are logged');
};

$t->done;
