# "make run" shows numbers at WAHA and at Meta, and the commands that it prints
# work as they are.

use Waha::Test;
use Waha::Process qw(free_port);

my $t = Waha::Test->new;
my $port = free_port();
my $log = $t->dir . '/run.log';

my $pid = Waha::Process::spawn(cmd => [ root() . '/t/run' ], log => $log,
                               env => { PORT => $port, WAHA_URL => '' });

my $shown = wait_for(sub {
    my $text = -e $log ? slurp($log) : '';
    return $text =~ /^Ctrl-C stops/m || !Waha::Process::alive($pid) ? $text
                                                                    : undef;
}, 300) // '';

like($shown, qr/^Ctrl-C stops/m, 'it shows all') or diag($shown);

my ($demonstration, %block) = blocks();


subtest 'what it shows' => sub {
    is_deeply([ $demonstration =~ /^    (\d{3}) /mg ], [ (200) x 12 ],
              'each request is answered 200') or diag($demonstration);
    like($demonstration, qr/"action":"duplicate"/, 'WAHA sends again');
    like($demonstration, qr/^    200 42$/m, 'Meta gets its challenge');

    my ($ada) = $demonstration =~ /^ +(\d+) \| acme +\| Ada /m;

    is_deeply([ rows($demonstration =~ /^Ada and her(.*)/ms) ],
              [ "$ada|Ada|waha|tenant-acme|2",
                "$ada|Ada|meta|106540352242922|1" ],
              'one contact has a conversation with each number');
};


subtest 'connect a second number' => sub {
    my $out = try(qr/a second number/);

    ok(-s $t->dir . '/qr.png', 'the QR code is saved');
    like($out, qr/"id":"support"/, 'the number is in the list');
};


subtest 'list the conversations' => sub {
    my $out = try(qr/list the conversations/);

    is(() = $out =~ /"contact_id"/g, 3, 'there are three') or diag($out);
};


subtest 'send a webhook' => sub {
    my $out = try(qr/send a webhook/);

    like($out, qr/"action":"activity_logged"/, 'it is stored');
};


subtest 'connect a number of the Cloud API' => sub {
    my $out = try(qr/number of the Cloud API/);

    like($out, qr/"phoneNumberId":"106540352242923"/, 'it is connected');

    $out = try(qr/callback URL/);

    like($out, qr/\r\n\r\n1158201444/, 'Meta gets its challenge');
    like($out, qr/"action":"activity_logged"/, 'a notification is stored');

    $out = try(qr/list the conversations/);

    is(() = $out =~ /"contact_id"/g, 4, 'it is a conversation of its own');
};


subtest 'look at the tables' => sub {
    my $out = try(qr/look at the tables/,
                  "select 'messages: ' || count(*) from waha.contact_activities"
                  . " where message_content = 'Sent by hand'");

    like($out, qr/messages: 2/, 'psql shows what was sent by hand');
};


subtest 'Ctrl-C' => sub {
    my ($dir) = $demonstration =~ /and nginx in (\S+)/;

    ok(-d $dir, 'it has a directory');
    kill INT => $pid;
    is(Waha::Process::reap($pid, 60), 0, 'it stops');
    ok(wait_for(sub { !-e $dir }, 60), 'the directory is removed');
};

$t->done;


# what is shown before the commands, and the commands by their headings

sub blocks {
    my ($before, @parts) = split /^(To .*):\n\n/m, $shown;
    my %commands = @parts;

    s/\n\n.*//s for values %commands;

    return ($before, %commands);
}


# runs the commands under a heading; what they print

sub try {
    my ($heading, $input) = @_;

    my ($title) = grep { $_ =~ $heading } keys %block;
    my ($key) = $shown =~ /^(key=.*)$/m;

    spew($t->dir . '/commands', "set -e\n$key\n" . $block{ $title // '' });
    spew($t->dir . '/input', $input // '');

    my $dir = $t->dir;
    my $out = `cd $dir && bash commands < input 2>&1`;

    is($?, 0, 'the commands run') or diag($out);
    unlike($out, qr/"success":false/, 'nothing is refused');

    return $out;
}


# rows of a table that psql has shown

sub rows {
    my ($text) = @_;

    return map { join '|', map { s/^\s+|\s+$//gr } split /\|/ }
           grep { /^ +\d+ \|/ } split /\n/, $text;
}
