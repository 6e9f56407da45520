# Secrets at rest without nginx, under ASan and UBSan: AES-256-GCM against
# published vectors and another implementation, key files, and that nothing but
# what was sealed for a place is opened there.

use Waha::Test;
use Waha::Sealed qw(seal gcm place);
use Waha::Unit;

use MIME::Base64 qw(decode_base64url encode_base64 encode_base64url);

my $unit = Waha::Unit->new('secret',
    map { source("ngx_http_waha_$_.c") } qw(gcm json secret string));

my $key = pack 'H*', '8f6dc0f7a1b2c3d4e5f60718293a4b5c'
                     . '6d7e8f90a1b2c3d4e5f60718293a4b5d';
my $old = pack 'H*', '00112233445566778899aabbccddeeff'
                     . 'fedcba98765432100123456789abcdef';
my @place = ('connections', 'acme', 'q6vKXUx7cN3yWmPz', 'access_token');


# --- AES-256-GCM -------------------------------------------------------------

# of NIST's CAVP, gcmEncryptExtIV256.rsp: key, nonce, plain text, additional
# data, ciphertext, tag; the nonces have 96 bits, the tags 128

my @vectors = (
    [ 'b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4',
      '516c33929df5a3284ff463d7', '', '', '',
      'bdc1ac884d332457a1d2664f168c76f0' ],
    [ '78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223',
      'd79cf22d504cc793c3fb6c8a', '', 'b96baa8c1c75a671bfb2d08d06be5f36', '',
      '3e5d486aa2e30b22e040b85723a06e76' ],
    [ 'f4069bb739d07d0cafdcbc609ca01597f985c43db63bbaaa0debbb04d384e49c',
      'd25ff30fdc3d464fe173e805', '',
      '3e1449c4837f0892f9d55127c75c4b25d69be334baf5f193'
      . '94d2d8bb460cbf2120e14736d0f634aa792feca20e455f11', '',
      '805ec2931c2181e5bfb74fa0a975f0cf' ],
    [ '31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22',
      '0d18e06c7c725ac9e362e1ce', '2db5168e932556f8089a0622981d017d', '',
      'fa4362189661d163fcd6a56d8bf0405a',
      'd636ac1bbedd5cc3ee727dc2ab4a9489' ],
    [ '92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b',
      'ac93a1a6145299bde902f21a', '2d71bcfa914e4ac045b2aa60955fad24',
      '1e0889016f67601c8ebea4943bc23ad6', '8995ae2e6df3dbf96fac7b7137bae67f',
      'eca5aa77d51d4a0a14d9c51e1da474ab' ],
    [ '82c4f12eeec3b2d3d157b0f992d292b237478d2cecc1d5f161389b97f999057a',
      '7b40b20f5f397177990ef2d1', '982a296ee1cd7086afad976945', '',
      'ec8e05a0471d6b43a59ca5335f', '113ddeafc62373cac2f5951bb9165249' ],
    [ 'dad89d9be9bba138cdcf8752c45b579d7e27c3dbb40f53e771dd8cfd500aa2d5',
      'cfb2aec82cfa6c7d89ee72ff', 'b526ba1050177d05b0f72f8d67',
      '6e43784a91851a77667a02198e28dc32', '8b29e66e924ecae84f6d8f7d68',
      '1e365805c8f28b2ed8a5cadfd9079158' ],
    [ '37ccdba1d929d6436c16bba5b5ff34deec88ed7df3d15d0f4ddf80c0c731ee1f',
      '5c1b21c8998ed6299006d3f9',
      'ad4260e3cdc76bcc10c7b2c06b80b3be948258e5ef20c508a81f51e96a518388',
      '22ed235946235a85a45bc5fad7140bfa',
      '3b335f8b08d33ccdcad228a74700f1007542a4d1e7fc1ebe3f447fe71af29816',
      '1fbf49cc46f458bf6e88f6370975e6d4' ],
    [ '1fded32d5999de4a76e0f8082108823aef60417e1896cf4218a2fa90f632ec8a',
      '1f3afa4711e9474f32e70462',
      '06b2c75853df9aeb17befd33cea81c630b0fc53667ff45199c'
      . '629c8e15dce41e530aa792f796b8138eeab2e86c7b7bee1d40b0', '',
      '91fbd061ddc5a7fcc9513fcdfdc9c3a7c5d4d64cedf6a9c24a'
      . 'b8a77c36eefbf1c5dc00bc50121b96456c8cd8b6ff1f8b3e480f',
      '30096d340f3d5c42d82a6f475def23eb' ],
    [ '463b412911767d57a0b33969e674ffe7845d313b88c6fe312f3d724be68e1fca',
      '611ce6f9a6880750de7da6cb',
      'e7d1dcf668e2876861940e012fe52a98dacbd78ab63c08842c'
      . 'c9801ea581682ad54af0c34d0d7f6f59e8ee0bf4900e0fd85042',
      '0a682fbc6192e1b47a5e0868787ffdafe5a50cead3575849'
      . '990cdd2ea9b3597749403efb4a56684f0c6bde352d4aeec5',
      '8886e196010cb3849d9c1a182abe1eeab0a5f3ca423c3669a4'
      . 'a8703c0f146e8e956fb122e0d721b869d2b6fcd4216d7d4d3758',
      '2469cecd70fd98fec9264f71df1aee9a' ],
);

# of gcmDecrypt256.rsp, with the result FAIL: key, nonce, additional data,
# ciphertext, tag

my @failing = (
    [ 'e5a8123f2e2e007d4e379ba114a2fb66e6613f57c72d4e4f024964053028a831',
      '51e43385bf533e168427e1ad', '', '',
      '38fe845c66e66bdd884c2aecafd280e6' ],
    [ 'c5ba3bf9ada560fb0301cd4e0b8b8a46a2aff2400395a72ed5804b3c755c4e59',
      'de2b956e704063c000f28bbb', '', '',
      '04eb9b20fd4548dc71594f20073a45a2' ],
    [ 'c997768e2d14e3d38259667a6649079de77beb4543589771e5068e6cd7cd0b14',
      '835090aed9552dbdd45277e2', '', '9f6607d68e22ccf21928db0986be126e',
      'f32617f67c574fd9f44ef76ff880ab9f' ],
    [ '9a0343f850a6427120f764789ffec6d237447b898fbf51d2182f065d3861497d',
      '3deef6f453dd70d92143adcd', 'dbb8226a624520863db6897017b2a4f8',
      'e93165935ac18e3a2845d15fe31a9286',
      'f5fc50d18766bc3d9e16dd136d45816b' ],
);

for (@vectors) {
    my ($bytes, $nonce, $plain, $aad, $text, $tag) = map { pack 'H*', $_ } @$_;
    my $what = sprintf 'NIST: a text of %d, data of %d bytes', length $plain,
                       length $aad;

    parameters($bytes, $nonce, $aad);

    is(ask(encrypt => $plain)->{text}, unpack('H*', $text . $tag),
       "$what, encrypted");
    is(unpack('H*', gcm($bytes, $nonce, $aad, $plain)),
       unpack('H*', $text . $tag), "$what, by the test's own code");
    decrypted($text . $tag, $plain, "$what, decrypted");

    # a bit of everything

    my $whole = $text . $tag;

    for my $at (0 .. length($whole) - 1) {
        substr(my $altered = $whole, $at, 1) ^= chr 1 << $at % 8;
        undecrypted($altered, "$what: byte $at of text and tag is altered");
    }

    undecrypted(substr($whole, 0, -1), "$what: cut");
    undecrypted("$whole\0", "$what: longer");

    parameters($bytes, $nonce ^ "\1", $aad);
    undecrypted($whole, "$what: another nonce");
    parameters($bytes ^ "\1", $nonce, $aad);
    undecrypted($whole, "$what: another key");
    parameters($bytes, $nonce, "$aad\0");
    undecrypted($whole, "$what: other data");
}

for (@failing) {
    my ($bytes, $nonce, $aad, $text, $tag) = map { pack 'H*', $_ } @$_;

    parameters($bytes, $nonce, $aad);
    undecrypted($text . $tag, sprintf 'NIST: a wrong tag of %d bytes',
                length $text);
}

# nonces of other lengths, as other software has them

for my $length (1, 8, 16, 60) {
    my $nonce = 'nonce' x 12;
    substr($nonce, $length) = '';

    parameters($key, $nonce, 'data');
    is(ask(encrypt => 'a text of some bytes')->{text},
       unpack('H*', gcm($key, $nonce, 'data', 'a text of some bytes')),
       "a nonce of $length bytes");
}


# --- key files ---------------------------------------------------------------

my $hex = unpack 'H*', $key;
my $base64 = encode_base64($key, '');

for ([ $key, '32 bytes' ], [ $hex, 'hex' ], [ uc $hex, 'capital hex' ],
     [ $base64, 'base64' ], [ encode_base64url($key), 'base64url' ],
     [ $base64 =~ s/=//r, 'base64 without padding' ])
{
    my ($material, $what) = @$_;

    for my $end ('', "\n", "\r\n") {
        use_keys([ 'k', $material . $end ]);
        opened(seal('k', $key, \@place, 'secret'), 'secret',
               "a key of $what" . ($end && ', with ' . unpack 'H*', $end));
    }
}

# none of these is cut

for my $last ("\n", "\r\n", "\0", ' ', '=') {
    my $bytes = substr($key, 0, 32 - length $last) . $last;

    use_keys([ 'k', $bytes ]);
    opened(seal('k', $bytes, \@place, 'secret'), 'secret',
           'a key of 32 bytes that ends with ' . unpack 'H*', $last);
}

for my $material ('', "\n", 'k', substr($key, 1), "$key\0", "$key\n\n",
                  "\n$key", substr($hex, 1), "${hex}0", "$hex\n\n", " $hex",
                  $hex =~ s/f/g/r, $hex =~ s/^../0x/r, "0x$hex", "$hex ",
                  substr($base64, 1), "$base64=", $base64 =~ s/=/ /r,
                  $base64 =~ s/^./!/r, $base64 =~ s/.=$/1=/r,
                  "$base64\n\n", 'x' x 4096)
{
    no_key('k', $material, qr/32 random bytes.*openssl rand -hex 32/,
           length($material) . ' bytes');
}

for my $byte ("\0", "\xff", 'a', "\n") {
    no_key('k', $_, qr/all of its bytes are equal.*openssl rand -hex 32/,
           'the same byte everywhere: ' . unpack 'H*', $_)
        for $byte x 32, unpack('H*', $byte x 32),
            encode_base64($byte x 32, '');
}

for my $id ('k', '0', 'A-Z_a-z-0-9', '-', '_', 'i' x 32) {
    use_keys([ $id, $key ]);
    opened(seal($id, $key, \@place, 'secret'), 'secret', "the id $id");
}

no_key($_, $key, qr/id can only be 1 to 32/, 'the id ' . unpack 'H*', $_)
    for '', 'i' x 33, 'a.b', 'a b', "a\n", "a\0", "\xc3\xa9", 'a/b', 'a+b';

use_keys([ 'k', $key ]);
no_key('k', $old, qr/same id/, 'an id twice');
no_key('other', $_, qr/another id has the same key/, 'a key twice')
    for $key, $hex, $base64;

use_keys([ 'k', $key ], [ 'old', $old ]);
is(ask('forget')->{wiped}, JSON::PP::true, 'keys are wiped with their pool');


# --- what is sealed ----------------------------------------------------------

use_keys([ 'k', $key ], [ 'old', $old ]);

my %seen;

for my $plain ('', 'x', 'EAAG' . 'x' x 200, join('', map { chr } 0 .. 255),
               "\0" x 16384)
{
    my $what = length($plain) . ' bytes';
    my $sealed = ask(seal => $plain)->{sealed};

    like($sealed, qr/^waha1\.k\.[A-Za-z0-9_-]+\z/, "$what: the form");
    opened($sealed, $plain, "$what: sealed and opened");

    my ($nonce) = decode_base64url($sealed =~ s/.*\.//r) =~ /^(.{12})/s;
    is(seal('k', $key, \@place, $plain, $nonce), $sealed,
       "$what: another implementation seals the same")
        if length $plain < 1000;
}

opened(seal('old', $old, \@place, 'secret'), 'secret', 'any key opens');
is(ask(seal => 'x' x 16385)->{rc}, 'declined', 'too long to be sealed');

$seen{ ask(seal => 'the same')->{sealed} =~ s/.*\.(.{16}).*/$1/r }++
    for 1 .. 1000;
is(keys %seen, 1000, 'each text has another nonce');

# bytes and organizations of any kind

for my $i (0 .. 3) {
    for my $part ('', 'x' x 1000, "\0", "\xc3\xa9", "a\nb") {
        my @other = @place;
        $other[$i] = $part;

        use_keys([ 'k', $key ], [ 'old', $old ]);
        stands(@other);
        opened(seal('k', $key, \@other, 'secret'), 'secret',
               "part $i of the place has " . length($part) . ' bytes');
    }
}

use_keys([ 'k', $key ], [ 'old', $old ]);


# --- what is refused ---------------------------------------------------------

my $sealed = seal('k', $key, \@place, 'EAAGm0PX4ZCpsBAA');
my $binary = decode_base64url($sealed =~ s/.*\.//r);

sub as_text { return "waha1.k." . encode_base64url($_[0]) }

is(as_text($binary), $sealed, 'the text is put together as it was');
opened($sealed, 'EAAGm0PX4ZCpsBAA', 'the text as it is');

for my $at (0 .. length($binary) - 1) {
    for my $bit (0 .. 7) {
        substr(my $altered = $binary, $at, 1) ^= chr 1 << $bit;
        refused_text(as_text($altered), qr/"k": the text was altered or moved/,
                     "bit $bit of byte $at");
    }

    refused_text(as_text(substr $binary, 0, $at),
                 $at < 28 ? qr/malformed/ : qr/altered/, "cut to $at bytes");
    refused_text(as_text(substr($binary, 0, $at) . substr $binary, $at + 1),
                 qr/altered/, "byte $at is missing");
    refused_text(as_text(substr($binary, 0, $at) . "\0"
                         . substr $binary, $at), qr/altered/,
                 "a byte more at $at");
}

for my $at (0 .. length($sealed) - 1) {
    for my $char ('A', '.', '=', ' ', "\0", "\xff") {
        next if substr($sealed, $at, 1) eq $char;

        substr(my $altered = $sealed, $at, 1) = $char;
        refused_text($altered, qr/cannot be opened/,
                     "character $at is " . unpack 'H*', $char);
    }
}

refused_text($_, qr/opened: the text is not sealed, or in a form/,
             'no sealed text: ' . unpack 'H*', substr $_, 0, 12)
    for '', '.', 'x', 'EAAGm0PX4ZCpsBAA', substr($sealed, 1), " $sealed",
        'waha1', $sealed =~ s/waha1/waha2/r, $sealed =~ s/waha1/WAHA1/r,
        $sealed =~ s/waha1/waha/r, $sealed =~ s/waha1/waha10/r, "\n$sealed",
        '{}', 'waha2.k.AAAA';

refused_text($_, qr/opened: the sealed text is malformed/,
             'malformed: ' . unpack 'H*', substr $_, 0, 12)
    for 'waha1.', 'waha1.k', 'waha1..', 'waha1.k.', 'waha1.k.AAAA',
        $sealed =~ s/\.k\././r, $sealed =~ s/\.k\./../r, "$sealed=",
        "$sealed==", "$sealed\n", "$sealed ", "$sealed.", "$sealed.k",
        $sealed =~ s/k/k.k/r, $sealed =~ s/\.k\./.k!./r, "$sealed\0",
        $sealed =~ s/\.k\./'.' . 'k' x 33 . '.'/er,
        'waha1.k.' . 'A' x 30000, as_text("\0" x 27);

refused_text($sealed =~ s/\.k\./.$_./r,
             qr/key "\Q$_\E": no "waha_secret_key" has this id/,
             "an unknown key: $_") for qw(K k1 other -), 'k' x 32;
refused_text($sealed =~ s/\.k\./.old./r, qr/key "old": .*altered/,
             'the id of another key');
refused_text(seal('k', $old, \@place, 'x'), qr/the key was replaced/,
             'the id of a key with other bytes');

# one form only: unused bits of the last letter

for my $n (1 .. 3) {
    my $text = seal('k', $key, \@place, 'x' x $n);
    my $unused = (0, 2, 4)[-(28 + $n) % 3] or next;
    my $letters = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_';
    my $last = index $letters, substr $text, -1;

    substr(my $other = $text, -1) = substr $letters, $last | 1, 1;
    refused_text($other, qr/malformed/, "$unused unused bits");
}

# each text at each other place

my @places = (\@place, map { my $i = $_;
                             map { my @other = @place;
                                   $other[$i] = $_;
                                   \@other }
                                 '', "$place[$i]x", substr($place[$i], 1),
                                 uc $place[$i], 'app_secret' } 0 .. 3);

# the same bytes divided differently

push @places, [ 'connection', 'sacme', @place[2, 3] ],
              [ 'connectionsacme', '', @place[2, 3] ],
              [ @place[0, 1], "$place[2]access_token", '' ],
              [ @place[1, 0, 2, 3] ], [ @place[0, 2, 1, 3] ],
              [ @place[0, 1, 3, 2] ];

for my $from (@places) {
    for my $to (@places) {
        stands(@$to);

        my $what = join ' ', 'sealed for', @$from, 'and read at', @$to;
        my $text = sealed_for($from);

        if (join("\0", @$from) eq join "\0", @$to) {
            opened($text, 'secret', $what);
        } else {
            refused_text($text, qr/altered or moved/, $what);
        }
    }
}

stands(@place);


# --- the log -----------------------------------------------------------------

my $line = ask(open => as_text($binary ^ "\1"))->{log};

is($line, qq(waha: "access_token" in "connections" of organization "acme" )
          . qq(cannot be opened with the key "k": the text was altered or )
          . qq(moved, or the key was replaced\n),
   'one line says which place and which reason');

unlike(ask(open => $_)->{log}, qr/\Q$place[2]\E|EAAG|[A-Za-z0-9_-]{25}/,
       'neither the row nor the text is in a line: ' . substr $_, 0, 12)
    for 'EAAGm0PX4ZCpsBAAEAAGm0PX4ZCpsBAA', "waha1.$hex.AAAA",
        $sealed =~ s/\.k\./.none./r, as_text($binary ^ "\1"),
        'waha1.k.EAAGm0PX4ZCpsBAAEAAGm0PX4ZCpsBAA';

ask('forget');
stands(@place);
is(ask(seal => 'x')->{rc}, 'declined', 'nothing is sealed without a key');
refused_text($sealed, qr/no "waha_secret_key" has this id/,
             'nothing is opened without a key');


# --- out of memory -----------------------------------------------------------

for ([ seal => 'secret' ], [ open => $sealed ]) {
    my ($command, $text) = @$_;
    my ($n, $got) = (0);

    use_keys([ 'k', $key ]);

    do {
        ask(fail => ++$n);
        $got = ask($command => $text);
    } while ($got->{rc} eq 'error' && $n < 100);

    is($got->{rc}, 'ok', "$command: each allocation may fail, 1 to $n");
    cmp_ok($n, '>', 3, "$command: some failed");
}

ask('forget');
ask(id => 'k');
ask(fail => 1);
is(ask(key => $key)->{rc}, 'error', 'no memory for a key');

$unit->end;
done_testing();


# --- helpers -----------------------------------------------------------------

sub ask { return $unit->ask($_[0], $_[1] // '') }


sub stands {
    my @parts = @_;

    ask($_ => shift @parts) for qw(table organization row column);
}


# [ id, content of the key file ], ...; the place is @place

sub use_keys {
    ask('forget');
    stands(@place);

    for (@_) {
        ask(id => $_->[0]);
        my $got = ask(key => $_->[1]);
        $got->{rc} eq 'ok' or die "no key: $got->{reason}";
    }
}


sub no_key {
    my ($id, $material, $reason, $what) = @_;

    ask(id => $id);
    my $got = ask(key => $material);

    is($got->{rc}, 'declined', "no key: $what");
    like($got->{reason}, $reason, "no key: $what: the reason");
}


sub opened {
    my ($text, $plain, $what) = @_;

    my $got = ask(open => $text);

    is_deeply([ @$got{qw(rc plain log)} ],
              [ 'ok', unpack('H*', $plain), '' ], $what);
    ok($got->{wiped}, "$what: wiped with its pool");
    ok(!$got->{errors}, "$what: OpenSSL's queue of errors is empty");
}


sub refused_text {
    my ($text, $reason, $what) = @_;

    my $got = ask(open => $text);

    is($got->{rc}, 'declined', "refused: $what");
    like($got->{log}, qr/\A[^\n]*$reason[^\n]*\n\z/, "$what: one line");
    ok($got->{null} && !$got->{errors}, "$what: nothing else is left");
}


# sealed once: openssl is started for each

sub sealed_for {
    my ($place) = @_;

    our %sealed;

    return $sealed{ join "\0", @$place }
           //= seal('k', $key, $place, 'secret');
}


sub parameters {
    my ($bytes, $nonce, $aad) = @_;

    ask(bytes => $bytes);
    ask(nonce => $nonce);
    ask(aad => $aad);
}


sub decrypted {
    my ($text, $plain, $what) = @_;

    my $got = ask(decrypt => $text);

    is_deeply([ @$got{qw(rc plain)} ], [ 'ok', unpack 'H*', $plain ], $what);
}


sub undecrypted {
    my ($text, $what) = @_;

    my $got = ask(decrypt => $text);

    is($got->{rc}, 'declined', $what);
    like($got->{plain}, qr/^0*\z/, "$what: wiped") if length $text > 16;
    ok(!$got->{errors}, "$what: OpenSSL's queue of errors is empty");
}
