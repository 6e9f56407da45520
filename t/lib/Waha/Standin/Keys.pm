package Waha::Standin::Keys;

# WAHA's API keys: the administrator's, and those of single sessions.

use strict;
use warnings;

use JSON::PP ();

my $number = 0;


# whether a key (undef: the administrator's) has a right

sub allows {
    my ($key, $right, $session) = @_;

    return 1 if !$key || $key->{isAdmin} || $right eq '';
    return 0 if $right eq 'admin';
    return 0 if !defined $session || $session ne ($key->{session} // '');

    return 1 if $right ne 'delete' && !$key->{actions};
    return $key->{actions}{$right} ? 1 : 0;
}


sub create {
    my ($api, $request, $done) = @_;

    my $data = $request->{data} || {};

    $done->({ status => 201, json => _key($api,
        isAdmin => $data->{isAdmin} ? JSON::PP::true : JSON::PP::false,
        session => $data->{session}, actions => $data->{actions}) });
}


sub list {
    my ($api, $request, $done) = @_;

    $done->({ status => 200, json => [ sort { $a->{id} cmp $b->{id} }
                                       values %{ $api->{keys} } ] });
}


sub remove {
    my ($api, $request, $done, $id) = @_;

    my ($key) = grep { $_->{id} eq $id } values %{ $api->{keys} };
    delete $api->{keys}{ $key->{key} } if $key;

    $done->({ status => 200 });
}


# the key of a session for its media or its control, created once

sub scoped {
    my ($api, $request, $done, $scope) = @_;

    my $session = $request->{data}{session} // 'default';
    my %actions = $scope eq 'media' ? (read => JSON::PP::true)
                  : map { $_ => JSON::PP::true } qw(read control);

    my ($key) = grep { ($_->{scope} // '') eq "$scope $session" }
                values %{ $api->{keys} };

    $key ||= _key($api, isAdmin => JSON::PP::false, session => $session,
                  actions => \%actions, scope => "$scope $session");

    $done->({ status => 201, json => $key });
}


sub _key {
    my ($api, %key) = @_;

    $number++;
    my $secret = sprintf 'key_%08x%08x', rand 2**32, rand 2**32;

    return $api->{keys}{$secret} = { id => "key_id_$number", key => $secret,
        isActive => JSON::PP::true, %key };
}


1;
