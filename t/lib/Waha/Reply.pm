package Waha::Reply;

# Calls of the functions behind the tenant API, for tests that need no nginx.
#
#   my $r = reply($pg, find_session => 'acme', undef);
#   is($r->{code}, undef);              # the code of an error, if any
#   is($r->{data}{session}{status}, 'WORKING');

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Waha::Ingest ();

our @EXPORT = qw(reply code pages reply_sql decode);

my $json = JSON::PP->new->utf8->allow_nonref;


sub reply_sql {
    my ($name, @arguments) = @_;

    return "select * from waha.$name("
           . join(', ', map { ref $_ ? Waha::Ingest::quote('{'
                                  . join(',', @$_) . '}')
                              : Waha::Ingest::quote($_) } @arguments) . ')';
}


sub reply {
    my ($pg, $name, @arguments) = @_;

    return decode(@{ $pg->rows(reply_sql($name, @arguments),
                               user => 'waha_gateway')->[0] });
}


# the code of an error, or an empty text

sub code {
    return reply(@_)->{code} // '';
}


# The data of each page of a list, to the last page: the arguments before
# "after" and those behind it.

sub pages {
    my ($pg, $name, $before, $behind) = @_;

    my ($after, @pages);

    do {
        push @pages, reply($pg, $name, @$before, $after, @$behind)->{data};
        die "$name has no end" if @pages > 1000;
        $after = $pages[-1]{next};
    } while (defined $after);

    return @pages;
}


sub decode {
    my ($code, $data) = @_;

    return { code => $code,
             data => defined $data ? $json->decode($data) : undef };
}


1;
