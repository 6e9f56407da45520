package Waha::Ingest;

# Calls of waha.ingest and its kin as SQL text, for tests that need no nginx.
#
#   my $m = message(message_id => 'A1', phone => '79222222222');
#   my $r = outcome($pg, $m);              # waha.ingest
#   my @r = outcomes($pg, batch => $m, ...);
#
# A record is a hash of the contract's arguments; what is missing is null.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(message status call_sql outcome outcomes quote @arguments);

our @arguments = qw(provider instance session kind direction chat message_id
                    target_id phone lid name type body sent_at status
                    metadata organization_slug organization_id tenant
                    claims);

our @columns = qw(position action organization tenant_id contact_id
                  activity_id code);


sub message {
    return { provider => 'waha', session => 't1', kind => 'message',
            direction => 'inbound', chat => 'person', type => 'text',
            body => 'hi', sent_at => 1795226560000, metadata => '{}', @_ };
}


sub status {
    return { provider => 'waha', session => 't1', kind => 'status',
            direction => 'outbound', chat => 'person',
            sent_at => 1795226560000, @_ };
}


# how: ingest, batch or each

sub call_sql {
    my ($how, @records) = @_;

    return "select * from waha.ingest("
           . join(', ', map { quote($records[0]{$_}) } @arguments) . ")"
        if $how eq 'ingest';

    return "select * from waha.ingest_$how("
           . join(', ', map {
                 my $name = $_;
                 'array[' . join(',', map { quote($_->{$name}) } @records)
                 . ']::' . ($name eq 'sent_at' ? 'bigint[]' : 'text[]')
             } @arguments)
           . ') order by 1';
}


# what became of records, as hashes

sub outcomes {
    my ($pg, $how, @records) = @_;

    my $rows = $pg->rows(call_sql($how, @records), user => 'waha_gateway');

    return map {
        my %r;
        @r{@columns} = @$_;
        \%r;
    } @$rows;
}


sub outcome {
    my ($pg, $record) = @_;

    return (outcomes($pg, 'ingest', $record))[0];
}


sub quote {
    my ($value) = @_;

    return 'null' if !defined $value;

    $value =~ s/'/''/g;
    return "'$value'";
}


1;
