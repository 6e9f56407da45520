package Waha::Ingest;

# Calls of waha.ingest, ingest_batch and ingest_each, for tests without nginx.
#
#   my $m = message(message_id => 'A1', phone => '79222222222');
#   my $r = outcome($pg, $m);              # waha.ingest
#   my @r = outcomes($pg, batch => $m, ...);
#
# A record is a hash of the contract's arguments; what is missing is null.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(message inbound status call_sql outcome outcomes empty_sql
                 stored difference quote @arguments);

our @arguments = qw(provider instance session kind direction chat message_id
                    target_id phone lid name type body sent_at status
                    metadata organization_slug organization_id tenant
                    claims chat_id empty meta);

our @columns = qw(position action organization tenant_id contact_id
                  activity_id code);


my $number = 0;


sub message {
    return { provider => 'waha', session => 't1', kind => 'message',
            direction => 'inbound', chat => 'person', type => 'text',
            body => 'hi', sent_at => 1795226560000, metadata => '{}', @_ };
}


# an inbound message with an id that no other one has

sub inbound { return message(message_id => 'IN' . ++$number, @_) }


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
           . join(', ', map { array_sql($_, @records) } @arguments)
           . ') order by 1';
}


# where all are WAHA's the module gives null for "meta", no array of nulls

sub array_sql {
    my ($name, @records) = @_;

    my @values = map { quote($_->{$name}) } @records;

    return 'null' if $name eq 'meta' && !grep { $_ ne 'null' } @values;

    return 'array[' . join(',', @values) . ']::'
           . ($name eq 'sent_at' ? 'bigint[]' : 'text[]');
}


# the results of records, as hashes

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

    # an escape string, whatever standard_conforming_strings is

    $value =~ s/(['\\])/$1$1/g;
    return "E'$value'";
}


# SQL that removes everything but organizations and sessions

sub empty_sql {
    return <<'EOF_SQL';
truncate waha.message_states, waha.waiting_changes, waha.moved_people,
         waha.conversations, waha.contact_identities,
         waha.shared_phones, waha.merges, waha.moves, waha.moved_messages,
         contact_activities, contacts;
update waha.sessions set status = null, status_at = null, phone = null,
       push_name = null, named_at = null, connected_at = null,
       disconnected_at = null, working_times = null, other_times = null;
update organizations set whatsapp_session_name = null,
       whatsapp_status = null, whatsapp_phone_number = null,
       whatsapp_connected_at = null;
EOF_SQL
}


# All that is stored, one line for each row, with numbers in place of the ids of
# contacts; sql: is run before.

sub stored {
    my ($pg, $sql) = @_;

    return join "\n", sort map { join ' | ', map { $_ // '-' } @$_ }
                           @{ $pg->rows(($sql // '') . stored_sql()) };
}


sub stored_sql {
    return <<'EOF_SQL';
create temp view person as
select i.organization_slug, i.contact_id,
       string_agg(i.kind || i.key, ',' order by i.kind, i.key) as who
  from waha.contact_identities i
 group by 1, 2;

select 'activity', p.who, a.session_name, a.message_id, a.direction,
       a.message_content, a.metadata::text, a.occurred_at::text,
       a.sender_name, a.activity_type
  from contact_activities a
  join person p using (organization_slug, contact_id)
union all
select 'contact', p.who, c.first_name, c.last_name, c.whatsapp_name,
       (select string_agg(waha.phone_key(waha.phone_digits(x, null)), ','
                          order by 1)
          from unnest(array[c.phone_1, c.phone_2, c.phone_3]) x),
       c.merged_into::text, c.organization_slug, null, null
  from contacts c
  left join person p on p.contact_id = c.id
 where c.merged_into is null
union all
select 'conversation', p.who, v.session_name, v.last_message_id,
       v.last_direction, v.last_message, v.unread_count::text,
       v.last_message_at::text, v.last_inbound_at::text || '/'
       || coalesce(v.last_outbound_at::text, '-'), v.unread_since::text
  from waha.conversations v
  left join person p using (organization_slug, contact_id)
union all
select 'state', m.organization_slug, m.session_name, m.message_id, m.status,
       m.status_at::text, m.reactions::text, m.edits::text,
       m.revoked_at::text, null
  from waha.message_states m
union all
select 'session', s.name, s.status, s.status_at::text, s.phone, s.push_name,
       s.connected_at::text, s.disconnected_at::text, s.named_at::text, null
  from waha.sessions s
union all
select 'organization', o.slug, o.whatsapp_session_name, o.whatsapp_status,
       o.whatsapp_phone_number, o.whatsapp_connected_at::text,
       null, null, null, null
  from organizations o;
EOF_SQL
}


# the lines that only one of two such texts has

sub difference {
    my ($one, $other) = @_;

    my (%one, %other);
    $one{$_}++ for split /\n/, $one;
    $other{$_}++ for split /\n/, $other;

    return join "\n", (map { "first: $_" } grep { !$other{$_} } sort keys %one),
                      (map { "now:   $_" } grep { !$one{$_} } sort keys %other);
}


1;
