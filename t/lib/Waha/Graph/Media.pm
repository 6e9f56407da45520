package Waha::Graph::Media;

# The host of media files: a URL of its own that Graph gave serves a file for
# five minutes, to whoever has the access token.

use strict;
use warnings;


# graph: the API that gives the URLs

sub new {
    my ($class, %o) = @_;

    return bless { %o }, $class;
}


sub handle {
    my ($self, $request, $done) = @_;

    my $graph = $self->{graph};
    my ($url) = $request->{uri} =~ m{^/whatsapp_business/attachments/\?(.*)$}
        or return $done->(_plain(404));

    my $given = $graph->{urls}{$url} or return $done->(_plain(404));

    return $done->(_plain(404)) if $given->{until} <= time;

    my ($bearer) = ($request->{headers}{authorization} // '')
                   =~ /^Bearer (\S+)$/;

    return $done->(_plain(401))
        if !defined $bearer || !$graph->may($bearer, $given->{media});

    my $media = $graph->{media_files}{ $given->{media} };
    my $bytes = $media->{bytes};

    my ($first, $last) = ($request->{headers}{range} // '')
                         =~ /^bytes=(\d+)-(\d*)$/;

    return $done->({ status => 200, type => $media->{type}, body => $bytes,
                     headers => [ [ 'Accept-Ranges', 'bytes' ] ] })
        if !defined $first;

    my $size = length $bytes;
    return $done->(_plain(416)) if $first >= $size;

    $last = $size - 1 if $last eq '' || $last >= $size;

    $done->({ status => 206, type => $media->{type},
              body => substr($bytes, $first, $last - $first + 1),
              headers => [ [ 'Accept-Ranges', 'bytes' ],
                           [ 'Content-Range', "bytes $first-$last/$size" ] ] });
}


sub error { return _plain(500) }


sub _plain {
    return { status => $_[0], type => 'text/html', body => '' };
}


1;
