package Waha::Token;

# Tokens of an identity provider, signed with keys of its own by openssl.
#
#   my $idp = Waha::Token->new($dir);
#   my $conf = 'waha_jwt_key RS256 ' . $idp->file('RS256');
#   my $token = $idp->token('RS256', { org => 'acme' });

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

my $json = JSON::PP->new->utf8->canonical;

my %options = (
    RS256 => 'RSA -pkeyopt rsa_keygen_bits:2048',
    ES256 => 'EC -pkeyopt ec_paramgen_curve:P-256',
    EdDSA => 'ED25519',
);


# keys are made in the directory, when they are first needed

sub new {
    my ($class, $dir) = @_;

    return bless { dir => $dir }, $class;
}


# the file for "waha_jwt_key"

sub file {
    my ($self, $alg) = @_;

    my $file = "$self->{dir}/$alg.pub";
    return $file if -e $file;

    if ($alg eq 'HS256') {
        $self->{secret} = 'a secret of more than thirty-two bytes';
        _write($file, $self->{secret});

    } else {
        my $key = "$self->{dir}/$alg.key";
        _openssl("genpkey -algorithm $options{$alg} -out $key");
        _openssl("pkey -in $key -pubout -out $file");
    }

    return $file;
}


# Claims that end in ten minutes unless they say otherwise; undef: missing.
# header: more of it; sign: how, other than with the key of the algorithm.

sub token {
    my ($self, $alg, $claims, %o) = @_;

    my %header = (alg => $alg, typ => 'JWT', %{ $o{header} || {} });
    my $text = join '.', map { encode_base64url(ref $_ ? _json($_) : $_) }
                         \%header,
                         ref $claims ? { exp => time + 600, %$claims }
                                     : $claims;

    my $sign = $o{sign} // sub { $self->sign($alg, $_[0]) };

    return $text . '.' . encode_base64url($sign->($text));
}


sub sign {
    my ($self, $alg, $text) = @_;

    my $file = $self->file($alg);

    return hmac_sha256($text, $self->{secret}) if $alg eq 'HS256';

    my $key = "$self->{dir}/$alg.key";
    my $in = "$self->{dir}/text";
    _write($in, $text);

    return _openssl("pkeyutl -sign -rawin -in $in -inkey $key")
        if $alg eq 'EdDSA';

    my $signature = _openssl("dgst -sha256 -sign $key $in");
    return $signature if $alg eq 'RS256';

    # two numbers of 32 bytes, instead of DER

    my ($r, $s) = unpack 'x2 x C/a x C/a', $signature;
    return join '', map { substr "\0" x 32 . $_, -32 } $r, $s;
}


sub _json {
    my ($object) = @_;

    return $json->encode({ map { $_ => $object->{$_} }
                           grep { defined $object->{$_} } keys %$object });
}


sub _openssl {
    my ($command) = @_;

    local $?;
    my $output = `openssl $command 2>/dev/null`;
    $? == 0 or die "openssl $command: failed";

    return $output;
}


sub _write {
    my ($file, $bytes) = @_;

    open my $fh, '>:raw', $file or die "$file: $!";
    print $fh $bytes;
    close $fh or die "$file: $!";
}


1;
