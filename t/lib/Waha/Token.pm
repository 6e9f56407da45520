package Waha::Token;

# JWTs of an identity provider with keys of its own, signed by openssl.
#
#   my $idp = Waha::Token->new($dir);
#   my $conf = 'waha_jwt_key RS256 ' . $idp->file('RS256');
#   my $token = $idp->token('RS256', { org => 'acme' });

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

use Waha::File;

use Exporter qw(import);
our @EXPORT_OK = qw(openssl sign);

my $json = JSON::PP->new->utf8->canonical;

my %options = (
    RS256 => 'RSA -pkeyopt rsa_keygen_bits:2048',
    ES256 => 'EC -pkeyopt ec_paramgen_curve:P-256',
    EdDSA => 'ED25519',
);


# keys are created in the directory when they are first needed

sub new {
    my ($class, $dir) = @_;

    return bless { dir => $dir }, $class;
}


# the file of the public key, for "waha_jwt_key"

sub file {
    my ($self, $alg) = @_;

    my $file = "$self->{dir}/$alg.pub";
    return $file if -e $file;

    if ($alg eq 'HS256') {
        $self->{secret} = 'a secret of more than thirty-two bytes';
        spew_secret($file, $self->{secret});

    } else {
        my $key = "$self->{dir}/$alg.key";
        openssl("genpkey -algorithm $options{$alg} -out $key");
        openssl("pkey -in $key -pubout -out $file");
    }

    return $file;
}


# A token that expires in ten minutes unless the claims have "exp" (undef: the
# claim is missing).  header: more members; sign: a sub that signs otherwise.

sub token {
    my ($self, $alg, $claims, %o) = @_;

    my %header = (alg => $alg, typ => 'JWT', %{ $o{header} || {} });
    my $text = join '.', map { encode_base64url(ref $_ ? _json($_) : $_) }
                         \%header,
                         ref $claims ? { exp => time + 600, %$claims }
                                     : $claims;

    my $sign = $o{sign} // sub { $self->_signature($alg, $_[0]) };

    return $text . '.' . encode_base64url($sign->($text));
}


sub _signature {
    my ($self, $alg, $text) = @_;

    $self->file($alg);

    return hmac_sha256($text, $self->{secret}) if $alg eq 'HS256';
    return sign($alg, "$self->{dir}/$alg.key", $text);
}


# the signature of a text with a private key; options: of "openssl dgst"

sub sign {
    my ($alg, $key, $text, @options) = @_;

    my $in = spew("$key.text", $text);

    return openssl("pkeyutl -sign -rawin -in $in -inkey $key")
        if $alg eq 'EdDSA';

    @options = '-sha256' if !@options;
    my $signature = openssl("dgst @options -sign $key $in");
    return $signature if $alg eq 'RS256';

    # JWTs have two numbers of 32 bytes instead of DER

    my ($r, $s) = unpack 'x2 x C/a x C/a', $signature;
    return join '', map { substr "\0" x 32 . $_, -32 } $r, $s;
}


sub _json {
    my ($object) = @_;

    return $json->encode({ map { $_ => $object->{$_} }
                           grep { defined $object->{$_} } keys %$object });
}


# the output of a command of openssl

sub openssl {
    my ($command) = @_;

    local $?;
    my $errors = File::Temp->new;
    my $output = `openssl $command 2>$errors`;
    $? == 0 or die "openssl $command: " . slurp("$errors");

    return $output;
}


1;
