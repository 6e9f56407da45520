package Waha::Standin::Files;

# WAHA's media files, served as Express serves files.

use strict;
use warnings;

use Digest::SHA ();

use Waha::Standin::Server ();


sub add {
    my ($api, $session, $name, $bytes, $type, $time, $where) = @_;

    $api->{files}{"$where/$session/$name"} = {
        bytes => $bytes, type => $type // 'application/octet-stream',
        time => $time // time,
        etag => 'W/"' . substr(Digest::SHA::sha1_hex($bytes), 0, 16) . '"',
    };
}


sub get {
    my ($api, $request, $done) = @_;

    my ($path) = Waha::Standin::Server::unescape($request->{path})
                 =~ m{^/api/(.*)};
    my $file = $api->{files}{$path}
        or return $done->({ status => 404, json => {
            message => "Cannot $request->{method} $request->{path}",
            error => 'Not Found', statusCode => 404 } });

    my $headers = $request->{headers};
    my $modified = Waha::Standin::Server::date($file->{time});
    my $size = length $file->{bytes};

    my @headers = ([ 'Accept-Ranges', 'bytes' ],
                   [ 'Cache-Control', 'public, max-age=0' ],
                   [ 'Last-Modified', $modified ],
                   [ 'ETag', $file->{etag} ]);

    return $done->({ status => 304, headers => \@headers })
        if defined $headers->{'if-none-match'}
           ? $headers->{'if-none-match'} eq $file->{etag}
           : ($headers->{'if-modified-since'} // '') eq $modified;

    my $range = $headers->{range} // '';
    my $if = $headers->{'if-range'};
    $range = '' if defined $if && $if ne $file->{etag} && $if ne $modified;

    my ($first, $last) = $range =~ /^bytes=(\d*)-(\d*)$/
                         ? _range($1, $2, $size) : ();

    return $done->({ status => 200, headers => \@headers,
                     type => $file->{type}, body => $file->{bytes} })
        if !defined $first;

    return $done->({ status => 416, type => 'text/html; charset=utf-8',
        headers => [ [ 'Content-Range', "bytes */$size" ] ] })
        if $first > $last;

    $done->({ status => 206, type => $file->{type},
        headers => [ @headers,
                     [ 'Content-Range', "bytes $first-$last/$size" ] ],
        body => substr $file->{bytes}, $first, $last - $first + 1 });
}


# first and last byte of a range; first > last: the range does not exist

sub _range {
    my ($first, $last, $size) = @_;

    return if $first eq '' && $last eq '';

    if ($first eq '') {
        return (1, 0) if $last == 0;
        return ($last < $size ? $size - $last : 0, $size - 1);
    }

    return (1, 0) if $first >= $size;

    $last = $size - 1 if $last eq '' || $last >= $size;
    return ($first, $last) if $first <= $last;

    return;
}


1;
