package Waha::Graph::Api;

# Graph's part for WhatsApp: numbers, accounts, subscriptions, tokens, media,
# and how it refuses.

use strict;
use warnings;

use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();

use Waha::Standin::Client ();
use Waha::Standin::Server ();

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my $id = qr/(\d+)/;

my @routes = map { [ $_->[0], qr/^$_->[1]$/, $_->[2] ] } (
    [ GET    => '/debug_token', \&_debug_token ],
    [ GET    => '/app', \&_app ],
    [ POST   => '/', \&_batch ],
    [ GET    => '/oauth/access_token', \&_exchange ],
    [ POST   => '/oauth/access_token', \&_exchange ],
    [ GET    => "/$id/phone_numbers", \&_phone_numbers ],
    [ GET    => "/$id/subscribed_apps", \&_subscriptions ],
    [ POST   => "/$id/subscribed_apps", \&_subscribe ],
    [ DELETE => "/$id/subscribed_apps", \&_unsubscribe ],
    [ POST   => "/$id/register", \&_register ],
    [ POST   => "/$id/messages", \&_message ],
    [ POST   => "/$id", \&_update ],
    [ GET    => '/([\w.-]+)', \&_node ],
);

# the HTTP status that comes with the code of an error: no rule is behind it

my %http = (0 => 401, 190 => 401, 3 => 500, 10 => 403, 1 => 500, 2 => 503,
            4 => 403, 80007 => 400, 130429 => 400, 131000 => 500,
            131016 => 500, 131057 => 500, 368 => 403, 131031 => 403);

my %message = (
    0      => 'AuthException: unable to authenticate the app user',
    3      => 'Capability or permissions issue',
    10     => 'Application does not have permission for this action',
    100    => 'Invalid parameter',
    190    => 'Error validating access token: the session has expired',
    200    => 'Provide valid app ID',
    2200   => 'Callback verification failed with the following errors:',
    130429 => 'Rate limit hit',
    131031 => 'Business account has been locked',
    131005 => 'Access denied',
);


# loop, version, verify, media (URL of the host of media files)

sub new {
    my ($class, %o) = @_;

    return bless { %o, map { $_ => {} } qw(apps accounts numbers tokens codes
                                           media_files urls) }, $class;
}


sub add {
    my ($self, $what, $id, $o) = @_;

    my %default = (
        accounts => { name => "Account $id", apps => {} },
        numbers  => { phone => '+1 555-0100', name => "Number $id",
                      quality => 'GREEN', limit => 'TIER_1K',
                      status => 'CONNECTED', registered => 0 },
        tokens   => { scopes => [ 'whatsapp_business_management',
                                  'whatsapp_business_messaging' ],
                      accounts => [] },
    );

    # Graph's ids are texts

    $o->{$_} = "$o->{$_}" for grep { defined $o->{$_} }
                              qw(account app business);
    $o->{accounts} = [ map { "$_" } @{ $o->{accounts} } ] if $o->{accounts};

    $self->{$what}{$id} = { id => "$id", %{ $default{$what} || {} }, %$o };
}


sub add_code {
    my ($self, $code, $o) = @_;

    $self->{codes}{$code} = { %$o, until => time + ($o->{life} // 30) };
}


sub add_media {
    my ($self, $id, $o) = @_;

    my $bytes = MIME::Base64::decode_base64($o->{base64});

    $self->{media_files}{$id} = {
        size => length $bytes, life => 300,
        type => 'application/octet-stream',
        sha256 => Digest::SHA::sha256_hex($bytes), %$o, bytes => $bytes };
}


# answers a request, now or later

sub handle {
    my ($self, $request, $done) = @_;

    my $path = $request->{path};

    $path =~ s{^/v\d+\.\d(?=/)}{};

    $request->{data} = $self->_data($request)
        // return $done->($self->refusal(100));

    for my $route (@routes) {
        my ($method, $pattern, $code) = @$route;
        next if $method ne $request->{method};

        my @values = $path =~ $pattern or next;
        return $self->$code($request, $done, @values);
    }

    $done->($self->refusal(2500, undef, 400));
}


# Graph's answer to an error

sub refusal {
    my ($self, $code, $subcode, $http, $message) = @_;

    $http //= $http{$code} // 400;
    $message //= "(#$code) " . ($message{$code} // 'An error occurred');

    return { status => $http, json => { error => {
        message => $message, type => 'OAuthException', code => $code + 0,
        defined $subcode ? (error_subcode => $subcode + 0) : (),
        fbtrace_id => 'AFbTraceId' } } };
}


sub error { return $_[0]->refusal(1) }


# whether a token may read a media file

sub may {
    my ($self, $bearer, $media) = @_;

    my $token = $self->{tokens}{$bearer} or return 0;
    my $number = $self->{numbers}{ $self->{media_files}{$media}{number} }
        or return 0;

    return !$token->{dead} && _has($token->{accounts}, $number->{account});
}


sub _has {
    my ($list, $value) = @_;

    return scalar grep { $_ eq $value } @$list;
}


# members of the query and of a body in JSON or as a form; undef: a bad body

sub _data {
    my ($self, $request) = @_;

    my $type = $request->{headers}{'content-type'} // '';
    my %data = %{ $request->{args} };

    return \%data if !length $request->{body};

    if ($type =~ m{^application/json}) {
        my $body = eval { $json->decode($request->{body}) };
        return if ref $body ne 'HASH';
        return { %data, %$body };
    }

    for (split /&/, $request->{body}) {
        my ($name, $value) = map { Waha::Standin::Server::unescape($_) }
                             split /=/, $_, 2;
        $data{$name} = $value;
    }

    return \%data;
}


# The access token of a request; or nothing and the answer that refuses.  An
# app's own token is "ID|SECRET".

sub _token {
    my ($self, $request) = @_;

    my ($given) = ($request->{headers}{authorization} // '')
                  =~ /^Bearer (\S+)$/;
    $given //= $request->{data}{access_token}
        // return (undef, $self->refusal(200));

    if ($given =~ /^(\d+)\|(.+)$/) {
        my $app = $self->{apps}{$1};
        return { app => $1, accounts => [], scopes => [] }
            if $app && $app->{secret} eq $2;
        return (undef, $self->refusal(190, undef, 400,
                                      'Error validating application.'));
    }

    # Graph repeats a token that it cannot read

    my $token = $self->{tokens}{$given}
        or return (undef, $self->refusal(190, undef, 401,
                              "Malformed access token $given"));

    return (undef, $self->refusal(190, $token->{dead})) if $token->{dead};

    my $app = $self->{apps}{ $token->{app} };
    my $proof = $request->{data}{appsecret_proof};

    return (undef, $self->refusal(100, undef, 400, defined $proof
        ? 'Invalid appsecret_proof provided in the API argument'
        : 'API calls from the server require an appsecret_proof argument'))
        if defined $proof ? $proof ne Digest::SHA::hmac_sha256_hex($given,
                                                         $app->{secret})
                          : $app->{proof};

    return $token;
}


# An object that a token may see: token and object, or nothing and the answer.
# Graph does not tell a missing object from one that is not shown.

sub _object {
    my ($self, $request, $what, $id, $scope) = @_;

    my ($token, $refusal) = $self->_token($request);
    return (undef, undef, $refusal) if !$token;

    my $object = $self->{$what}{$id};
    my $account = $object && ($what eq 'numbers' ? $object->{account} : $id);

    return (undef, undef, $self->refusal(100, 33, 400,
        "Unsupported $request->{method} request. Object with ID '$id' does "
        . 'not exist, cannot be loaded due to missing permissions, or does '
        . 'not support this operation'))
        if !$object || !_has($token->{accounts}, $account);

    $scope //= 'whatsapp_business_management';

    return (undef, undef, $self->refusal(200, undef, 403,
                              "(#200) Requires $scope permission"))
        if !_has($token->{scopes}, $scope);

    return ($token, $object);
}


sub _ok { return { status => 200, json => $_[0] } }

sub _success { return _ok({ success => JSON::PP::true }) }


# a number, an account, an app or a media file

sub _node {
    my ($self, $request, $done, $id) = @_;

    return $self->_media($request, $done, $id) if $self->{media_files}{$id};

    if ($self->{apps}{$id}) {
        my ($token, $refusal) = $self->_token($request);
        return $done->($refusal // _ok({ id => $id, name => "App $id" }));
    }

    my $what = $self->{accounts}{$id} ? 'accounts' : 'numbers';
    my ($token, $object, $refusal) = $self->_object($request, $what, $id);
    return $done->($refusal) if $refusal;

    my %shown = $what eq 'accounts' ? _account($object)
                                    : $self->_number($object);
    my @fields = split /,/, $request->{args}{fields} // 'id';
    my ($unknown) = grep { !exists $shown{$_} } @fields;

    return $done->($self->refusal(100, undef, 400, '(#100) Tried accessing '
                                  . "nonexisting field ($unknown)"))
        if defined $unknown;

    $done->(_ok({ id => $id, map { $_ => $shown{$_} }
                             grep { defined $shown{$_} } @fields }));
}


sub _number {
    my ($self, $n) = @_;

    my %shown = (id => $n->{id}, display_phone_number => $n->{phone},
        verified_name => $n->{name}, quality_rating => $n->{quality},
        code_verification_status => 'VERIFIED', name_status => 'APPROVED',
        status => $n->{status}, messaging_limit_tier => $n->{limit},
        platform_type => 'CLOUD_API', throughput => { level => 'STANDARD' },
        webhook_configuration => {
            application => 'https://app.example/default',
            defined $n->{callback} ? (phone_number => $n->{callback}) : () });

    delete $shown{$_} for @{ $n->{without} || [] };

    return %shown;
}


sub _account {
    my ($a) = @_;

    return (id => $a->{id}, name => $a->{name}, currency => 'USD',
            timezone_id => '1', account_review_status => 'APPROVED',
            owner_business_info => defined $a->{business} ? {
                id => $a->{business}, name => $a->{business_name}
                                              // 'Business' } : undef);
}


# the numbers of an account, in pages of limit (25)

sub _phone_numbers {
    my ($self, $request, $done, $id) = @_;

    my ($token, $account, $refusal)
        = $self->_object($request, 'accounts', $id);
    return $done->($refusal) if $refusal;

    my $limit = $request->{args}{limit} // 25;
    $limit = 100 if $limit > 100;

    # compared as texts: a text that was a number once is no text in JSON

    my $from = MIME::Base64::decode_base64($request->{args}{after} // '');
    my @page = sort { $a->{id} cmp $b->{id} }
               grep { $_->{account} eq $id && $_->{id} gt $from }
               values %{ $self->{numbers} };
    my $more = @page > $limit;
    @page = @page[0 .. $limit - 1] if $more;

    my %paging = !@page ? () : (paging => {
        cursors => { before => MIME::Base64::encode_base64($page[0]{id}, ''),
                     after => MIME::Base64::encode_base64($page[-1]{id}, '') },
        $more ? (next => "https://graph.facebook.com/$id/next") : () });

    $done->(_ok({ data => [ map { { id => $_->{id},
        display_phone_number => $_->{phone}, verified_name => $_->{name},
        quality_rating => $_->{quality} } } @page ], %paging }));
}


sub _subscriptions {
    my ($self, $request, $done, $id) = @_;

    my ($token, $account, $refusal)
        = $self->_object($request, 'accounts', $id);
    return $done->($refusal) if $refusal;

    my $apps = $account->{apps};

    $done->(_ok({ data => [ map { {
        whatsapp_business_api_data => { id => $_, name => "App $_",
            link => 'https://www.facebook.com/games/?app_id=' . $_ },
        defined $apps->{$_}{callback}
            ? (override_callback_uri => $apps->{$_}{callback}) : ()
    } } sort keys %$apps ] }));
}


# without a callback in the body, the one that was set is removed

sub _subscribe {
    my ($self, $request, $done, $id) = @_;

    my ($token, $account, $refusal)
        = $self->_object($request, 'accounts', $id);
    return $done->($refusal) if $refusal;

    my $data = $request->{data};

    $self->_verify($data->{override_callback_uri}, $data->{verify_token},
                   $done, sub {
        $account->{apps}{ $token->{app} }
            = { callback => $data->{override_callback_uri},
                verify_token => $data->{verify_token} };
    });
}


sub _unsubscribe {
    my ($self, $request, $done, $id) = @_;

    my ($token, $account, $refusal)
        = $self->_object($request, 'accounts', $id);
    return $done->($refusal) if $refusal;

    delete $account->{apps}{ $token->{app} };
    $done->(_success());
}


# the callback of a number alone; an empty one is removed

sub _update {
    my ($self, $request, $done, $id) = @_;

    my ($token, $number, $refusal)
        = $self->_object($request, 'numbers', $id);
    return $done->($refusal) if $refusal;

    my $config = $request->{data}{webhook_configuration};
    return $done->($self->refusal(100)) if ref $config ne 'HASH';

    my $url = $config->{override_callback_uri};

    if (!length($url // '')) {
        delete @$number{qw(callback verify_token)};
        return $done->(_success());
    }

    $self->_verify($url, $config->{verify_token}, $done, sub {
        @$number{qw(callback verify_token)} = ($url, $config->{verify_token});
    });
}


# A callback is asked before it is set: it has to answer with the challenge.

sub _verify {
    my ($self, $url, $verify_token, $done, $set) = @_;

    if (!defined $url || !$self->{verify}) {
        $set->();
        return $done->(_success());
    }

    my ($host, $port, $path) = Waha::Standin::Client::split_url($url)
        or return $done->($self->refusal(100));
    my $challenge = 1 + int rand 1e9;
    my $token = $verify_token // '';
    $token =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ge;

    my $query = "hub.mode=subscribe&hub.challenge=$challenge"
                . "&hub.verify_token=$token";
    $path .= ($path =~ /\?/ ? '&' : '?') . $query;

    Waha::Standin::Client::request($self->{loop}, $host, $port,
        "GET $path HTTP/1.1\r\nHost: $host:$port\r\n"
        . "User-Agent: facebookplatform/1.0\r\nConnection: close\r\n\r\n",
        sub {
            my ($status, $bytes) = @_;
            my (undef, $body) = split /\r\n\r\n/, $bytes, 2;

            return $done->($self->refusal(2200, undef, 400,
                "(#2200) Callback verification failed with the following "
                . "errors: HTTP Status Code = $status; $url"))
                if $status != 200 || ($body // '') ne $challenge;

            $set->();
            $done->(_success());
        });
}


# ten times in 72 hours

sub _register {
    my ($self, $request, $done, $id) = @_;

    my ($token, $number, $refusal)
        = $self->_object($request, 'numbers', $id);
    return $done->($refusal) if $refusal;

    return $done->($self->refusal(100))
        if ($request->{data}{messaging_product} // '') ne 'whatsapp'
           || ($request->{data}{pin} // '') !~ /^\d{6}$/;

    return $done->($self->refusal(133016)) if $number->{registered}++ >= 10;

    $done->(_success());
}


sub _message {
    my ($self, $request, $done, $id) = @_;

    my ($token, $number, $refusal) = $self->_object($request, 'numbers', $id,
                                         'whatsapp_business_messaging');
    return $done->($refusal) if $refusal;

    my $data = $request->{data};
    return $done->($self->refusal(100))
        if ($data->{messaging_product} // '') ne 'whatsapp';

    return $done->(_success()) if ($data->{status} // '') eq 'read';

    my $to = $data->{to} // $data->{recipient}
        // return $done->($self->refusal(131008));
    my $user = !defined $data->{to};

    $done->(_ok({ messaging_product => 'whatsapp',
        contacts => [ { input => $to, $user ? (user_id => $to)
                                            : (wa_id => $to =~ s/\D//gr) } ],
        messages => [ { id => 'wamid.' . MIME::Base64::encode_base64(
                                         $id . ++$self->{sent}, '') } ] }));
}


sub _app {
    my ($self, $request, $done) = @_;

    my ($token, $refusal) = $self->_token($request);
    return $done->($refusal) if $refusal;

    $done->(_ok({ id => $token->{app}, name => "App $token->{app}" }));
}


# what a token is: for itself, or for its app

sub _debug_token {
    my ($self, $request, $done) = @_;

    my ($token, $refusal) = $self->_token($request);
    return $done->($refusal) if $refusal;

    my $wanted = $self->{tokens}{ $request->{data}{input_token} // '' };

    return $done->(_ok({ data => { is_valid => JSON::PP::false, scopes => [],
        error => { code => 190, message => 'Invalid OAuth access token.' } } }))
        if !$wanted || $wanted->{dead};

    return $done->($self->refusal(100)) if $wanted->{app} ne $token->{app};

    $done->(_ok({ data => { app_id => $wanted->{app}, type => 'SYSTEM_USER',
        application => "App $wanted->{app}", expires_at => 0,
        is_valid => JSON::PP::true, scopes => $wanted->{scopes},
        granular_scopes => [ map { { scope => $_,
            $wanted->{all} ? () : (target_ids => $wanted->{accounts}) } }
            @{ $wanted->{scopes} } ], user_id => '1' } }));
}


# Requests in one: each has its own status and, as text, its own body.

sub _batch {
    my ($self, $request, $done) = @_;

    my ($token, $refusal) = $self->_token($request);
    return $done->($refusal) if $refusal;

    my $batch = $request->{data}{batch};
    $batch = eval { $json->decode($batch) } if !ref $batch;
    return $done->($self->refusal(100)) if ref $batch ne 'ARRAY' || !@$batch;

    my (@answers, $left);
    $left = @$batch;

    for my $i (0 .. $#$batch) {
        my ($path, $query) = split /\?/, $batch->[$i]{relative_url}, 2;
        my %args;

        for (split /&/, $query // '') {
            my ($name, $value) = map { Waha::Standin::Server::unescape($_) }
                                 split /=/, $_, 2;
            $args{$name} = $value;
        }

        $self->handle({ method => $batch->[$i]{method}, body => '',
            path => "/$self->{version}/$path", args => \%args,
            headers => { authorization => $request->{headers}{authorization} },
        }, sub {
            $answers[$i] = { code => $_[0]{status},
                             body => $json->encode($_[0]{json}) };
            $done->({ status => 200, json => \@answers }) if !--$left;
        });
    }
}


# the token for a code, which lives 30 seconds and is good for once

sub _exchange {
    my ($self, $request, $done) = @_;

    my $data = $request->{data};
    my $app = $self->{apps}{ $data->{client_id} // '' };

    return $done->($self->refusal(1, undef, 400,
                              'Error validating client secret.'))
        if !$app || $app->{secret} ne ($data->{client_secret} // '');

    my $code = delete $self->{codes}{ $data->{code} // '' };

    return $done->($self->refusal(100, 36009, 400,
                              'This authorization code has been used.'))
        if !$code || $code->{app} ne $app->{id};

    return $done->($self->refusal(100, 36007, 400,
                              'This authorization code has expired.'))
        if $code->{until} <= time;

    $done->(_ok({ access_token => $code->{token}, token_type => 'bearer' }));
}


# a URL for a file, on the other host

sub _media {
    my ($self, $request, $done, $id) = @_;

    my ($token, $refusal) = $self->_token($request);
    return $done->($refusal) if $refusal;

    my $media = $self->{media_files}{$id};
    my $number = $request->{args}{phone_number_id};
    my $owner = $self->{numbers}{ $media->{number} } // {};

    return $done->($self->refusal(100, 33, 400, "Unsupported get request. "
        . "Object with ID '$id' does not exist"))
        if !_has($token->{accounts}, $owner->{account} // '')
           || defined $number && $number ne $media->{number};

    my $until = time + $media->{life};
    my $query = "mid=$id&source=webhook&ext=$until&hash=ATv" . ++$self->{given};

    $self->{urls}{$query} = { media => $id, until => $until };

    $done->(_ok({ id => $id, messaging_product => 'whatsapp',
        mime_type => $media->{type}, sha256 => $media->{sha256},
        file_size => $media->{size}, url => $media->{url}
            // "$self->{media}/whatsapp_business/attachments/?$query" }));
}


1;
