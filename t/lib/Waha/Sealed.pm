package Waha::Sealed;

# Secrets sealed without the module: AES by openssl's command line, the rest of
# GCM in Perl.
#
#   my $text = seal('key-1', $key, [ 'connections', 'acme', $id,
#                                    'access_token' ], 'EAAG...');

use strict;
use warnings;
no warnings 'portable';

use IPC::Open2 ();
use MIME::Base64 qw(decode_base64url encode_base64url);

use Exporter qw(import);
our @EXPORT_OK = qw(seal unseal gcm place);


# id: of the key; key: its 32 bytes; place: table, organization, row, column;
# nonce: of 12 bytes

sub seal {
    my ($id, $key, $place, $plain, $nonce) = @_;

    $nonce //= join '', map { chr int rand 256 } 1 .. 12;

    return "waha1.$id." . encode_base64url($nonce . gcm($key, $nonce,
                                                        place(@$place),
                                                        $plain));
}


# the plain text of a sealed one; undef if it is not that of this place and key

sub unseal {
    my ($key, $place, $sealed) = @_;

    my ($id, $coded) = $sealed =~ /^waha1\.([\w-]+)\.([\w-]+)\z/ or return;
    my ($nonce, $text) = decode_base64url($coded) =~ /^(.{12})(.*).{16}\z/s
        or return;

    # what encrypts decrypts as well

    my $plain = substr gcm($key, $nonce, '', $text), 0, length $text;

    return seal($id, $key, $place, $plain, $nonce) eq $sealed ? $plain : undef;
}


# the additional data of a place

sub place { return join '', map { pack 'N/a*', $_ } 'waha1', @_ }


# AES-256-GCM, NIST SP 800-38D: ciphertext and tag

sub gcm {
    my ($key, $nonce, $aad, $plain) = @_;

    my $hash = _aes($key, 'ecb', undef, "\0" x 16);
    my $start = length $nonce == 12
                ? $nonce . pack('N', 1)
                : _ghash($hash, _padded($nonce)
                                . pack 'Q>2', 0, 8 * length $nonce);

    # block 0 of the key stream hides the tag

    my $stream = _aes($key, 'ctr', $start, "\0" x (16 + length $plain));
    my $text = $plain ^ substr $stream, 16;
    my $tag = _ghash($hash, _padded($aad) . _padded($text)
                     . pack 'Q>2', 8 * length $aad, 8 * length $text);

    return $text . ($tag ^ substr $stream, 0, 16);
}


sub _padded { return $_[0] . "\0" x (-length($_[0]) % 16) }


sub _aes {
    my ($key, $mode, $start, $bytes) = @_;

    my $pid = IPC::Open2::open2(my $from, my $to, 'openssl', 'enc',
        "-aes-256-$mode", '-nopad', '-K', unpack('H*', $key),
        defined $start ? ('-iv', unpack 'H*', $start) : ());

    binmode $_ for $from, $to;
    print $to $bytes;
    close $to;

    local $/;
    my $text = <$from>;
    local $?;
    waitpid $pid, 0;
    die 'openssl enc fails' if $?;

    return $text;
}


sub _ghash {
    my ($hash, $bytes) = @_;

    my @h = unpack 'Q>2', $hash;
    my @y = (0, 0);

    while ($bytes =~ /(.{16})/sg) {
        my @block = unpack 'Q>2', $1;
        @y = _multiply([ $y[0] ^ $block[0], $y[1] ^ $block[1] ], @h);
    }

    return pack 'Q>2', @y;
}


# in the field of 2^128 elements, the highest bit is that of x^0

sub _multiply {
    my ($x, @v) = @_;

    my @z = (0, 0);

    for my $i (0 .. 127) {
        if ($x->[$i >> 6] >> (63 - ($i & 63)) & 1) {
            $z[0] ^= $v[0];
            $z[1] ^= $v[1];
        }

        my $low = $v[1] & 1;

        $v[1] = $v[1] >> 1 | ($v[0] & 1) << 63;
        $v[0] = $v[0] >> 1;
        $v[0] ^= 0xe1 << 56 if $low;
    }

    return @z;
}


1;
