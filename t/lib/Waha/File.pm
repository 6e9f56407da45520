package Waha::File;

# Files of this checkout, and files that a test reads and writes.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Find ();

use Exporter qw(import);
our @EXPORT = qw(root source sources slurp spew spew_secret);

my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');


# the top directory of the checkout

sub root { return $root }


# paths of the C files of a room, those of its subrooms included

sub sources {
    my ($room) = @_;

    my @found;
    File::Find::find(sub { push @found, $File::Find::name if /\.c\z/ },
                     "$root/src/$room");

    return sort @found;
}


# the path of a source file, which may stand in any room

sub source {
    my ($name) = @_;

    my @found;
    File::Find::find(sub { push @found, $File::Find::name if $_ eq $name },
                     "$root/src");
    @found == 1 or die "src/ has " . @found . " files of the name $name\n";

    return $found[0];
}


# the bytes of a file

sub slurp {
    my ($path) = @_;

    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return <$fh> // '';
}


# writes bytes to a file; its path

sub spew {
    my ($path, $bytes) = @_;

    open my $fh, '>:raw', $path or die "$path: $!";
    print $fh $bytes;
    close $fh or die "$path: $!";

    return $path;
}


# the same, and only the owner of the file can read it

sub spew_secret {
    my ($path, $bytes) = @_;

    my $umask = umask 077;
    spew($path, $bytes);
    umask $umask;

    return $path;
}


1;
