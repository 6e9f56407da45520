package Waha::Unit;

# A part of the module without nginx: t/unit/<name>.c, compiled with ASan and
# UBSan, reads commands with an argument and answers each with a line of JSON.
#
#   my $unit = Waha::Unit->new('event', sources('event'));
#   is($unit->ask(envelope => $body)->{rc}, 'ok', 'a webhook is read');
#   $unit->end;

use strict;
use warnings;

use File::Temp ();
use IPC::Open2 ();
use JSON::PP ();
use Test::More ();

use Waha::File;

my $json = JSON::PP->new->utf8->allow_nonref;

my $checked = '-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined'
              . ' -fno-sanitize-recover=all';


# name: of the C file in t/unit; sources: paths of the C files that it needs

sub new {
    my ($class, $name, @sources) = @_;

    # a part that hangs must not hang the test

    alarm 3600;

    my $self = bless { name => $name, sources => \@sources,
        dir => File::Temp->newdir('waha-unit-XXXXXX', TMPDIR => 1) }, $class;

    $self->_start($checked);

    return $self;
}


# the directory of the program, removed at the end of the test

sub dir { return "$_[0]{dir}" }


# sends a command with its argument; the answer, decoded

sub ask {
    my ($self, $command, $bytes) = @_;

    my ($to, $from) = @$self{qw(to from)};

    print $to "$command " . length($bytes) . "\n$bytes";
    $to->flush;

    my $line = <$from> // die "no answer to $command";

    return $json->decode($line);
}


# ends the program, which then has the status 0 unless a sanitizer complained

sub end {
    my ($self) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    close $self->{to};
    waitpid $self->{pid}, 0;
    Test::More::is($?, 0, 'no sanitizer complains about memory or overflow');
}


# starts it again as fast as it can be, to measure time

sub start_fast { $_[0]->_start('-O2') }


sub _start {
    my ($self, $options) = @_;

    my $root = root();
    my $cc = $ENV{CC} || 'cc';
    my $headers = join ' ', split ' ', `$root/t/unit/headers`;
    my $rooms = join ' ', map { "-I$_" } glob "$root/src $root/src/{*,*/*}/";
    my $binary = "$self->{dir}/$self->{name}";

    system("$cc $options -W -Wall -Wextra -Werror -Wno-unused-parameter"
           . " $headers $rooms -I$root/t/fuzz -o $binary"
           . " $root/t/unit/$self->{name}.c $root/t/fuzz/ngx_shim*.c"
           . " @{ $self->{sources} } -lcjson -lcrypto") == 0
        or Test::More::BAIL_OUT("t/unit/$self->{name}.c does not compile");

    $self->{pid} = IPC::Open2::open2($self->{from}, $self->{to}, $binary);
    binmode $self->{to};
}


1;
