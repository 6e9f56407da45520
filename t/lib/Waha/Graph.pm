package Waha::Graph;

# A server that behaves as Meta's Graph API does, with the host of media files
# beside it, and fails as a test demands.
#
#   my $graph = $t->graph;
#   $graph->add_app('900', secret => 'appsecret');
#   $graph->add_account('700', business => '500', name => 'Acme');
#   $graph->add_number('100', account => '700', phone => '+55 11 98888-7777');
#   $graph->add_token('EAAtoken', app => '900', accounts => [ '700' ]);
#   ... $graph->url is what the tenant API proxies to ...
#   is($graph->number('100')->{callback}, $url, 'the number sends its news');
#
#   $graph->fail(match => '^GET /v25.0/100', code => 190);
#   $graph->heal;
#
# Faults of the host of media files need on => 'media'.

use strict;
use warnings;

use parent 'Waha::Standin::Base';

use MIME::Base64 ();

use Waha::Graph::Api;
use Waha::Graph::Media;
use Waha::Process qw(free_port);
use Waha::Standin::Fault;
use Waha::Standin::Server;


# dir (for the control socket), version ("v25.0"), idle (seconds, of a
# connection), verify (whether a callback is asked when it is set, true)

sub new {
    my ($class, %o) = @_;

    my $dir = delete $o{dir};
    my ($port, $media) = (free_port(), free_port());

    my $self = bless { version => 'v25.0', idle => 5, verify => 1, %o,
                       port => $port, media => $media,
                       host => 'graph.internal' }, $class;

    return $self->launch($dir, $port, $media);
}


sub port { return $_[0]{port} }
sub url  { return "http://127.0.0.1:$_[0]{port}/$_[0]{version}" }


# the host of media files, and where it is

sub media_host { return "127.0.0.1:$_[0]{media}" }
sub media_url  { return 'http://' . $_[0]->media_host }


# An app: secret, proof (whether calls need appsecret_proof).

sub add_app { my ($self, $id, %o) = @_;
              return $self->_command('add', 'apps', $id, \%o) }


# A WhatsApp business account: name, business (id of the portfolio),
# business_name.

sub add_account { my ($self, $id, %o) = @_;
                  return $self->_command('add', 'accounts', $id, \%o) }


# A phone number: account, phone (as Meta shows it), name, quality (GREEN),
# limit (TIER_1K), status (CONNECTED).

sub add_number { my ($self, $id, %o) = @_;
                 return $self->_command('add', 'numbers', $id, \%o) }


# An access token: app, accounts, scopes (both of WhatsApp), dead (subcode of
# the error 190).

sub add_token { my ($self, $token, %o) = @_;
                return $self->_command('add', 'tokens', $token, \%o) }


# The code of an embedded signup: app, token, life (seconds, 30).

sub add_code { my ($self, $code, %o) = @_;
               return $self->_command('add_code', $code, \%o) }


# A media file: number, bytes, type, life (of its URL, seconds, 300), size and
# sha256 (where they differ from the bytes), url (where it is another).

sub add_media {
    my ($self, $id, %o) = @_;

    $o{base64} = MIME::Base64::encode_base64(delete $o{bytes}, '');

    return $self->_command('add_media', $id, \%o);
}


# changes members of an app, account, number or token

sub change { my ($self, $what, $id, %o) = @_;
             return $self->_command('change', $what, $id, \%o) }


# A number with its callback and verify_token, if it has its own; an account
# with apps: those subscribed, each with its callback or none.

sub number  { return $_[0]->_command('show', 'numbers', $_[1]) }
sub account { return $_[0]->_command('show', 'accounts', $_[1]) }


# requests to the host of media files

sub media_requests { return @{ $_[0]->_command('media_requests') } }


# runs in the process of the server

sub build {
    my ($self, $listen, $media) = @_;

    my $api = $self->{api} = Waha::Graph::Api->new(loop => $self->{loop},
        media => $self->media_url,
        map { $_ => $self->{$_} } qw(version verify));

    $self->{server} = Waha::Standin::Server->new(loop => $self->{loop},
        listen => $listen, api => $api, banner => [
            [ 'facebook-api-version', $self->{version} ],
            [ 'x-fb-trace-id', 'FbTrace' ] ],
        map { $_ => $self->{$_} } qw(port host idle));

    $self->{files} = Waha::Standin::Server->new(loop => $self->{loop},
        listen => $media, api => Waha::Graph::Media->new(graph => $api),
        banner => [], port => $self->{media}, host => 'media.internal',
        idle => $self->{idle});
}


sub _on_add {
    my ($self, $what, $id, $o) = @_;

    $self->{api}->add($what, $id, $o);
    return;
}


sub _on_add_code  { $_[0]{api}->add_code(@_[1, 2]); return }
sub _on_add_media { $_[0]{api}->add_media(@_[1, 2]); return }


sub _on_change {
    my ($self, $what, $id, $o) = @_;

    my $had = $self->{api}{$what}{$id} // die "no $what $id\n";

    $self->{api}->add($what, $id, { %$had, %$o });
    return;
}


sub _on_show {
    my ($self, $what, $id) = @_;

    return $self->{api}{$what}{$id};
}


sub _on_fail {
    my ($self, $o) = @_;

    my $on = delete $o->{on} // '';
    my $server = $on eq 'media' ? $self->{files} : $self->{server};

    $server->fail(Waha::Standin::Fault->new(%$o));
    return;
}


sub _on_heal {
    my ($self) = @_;

    $_->heal for @$self{qw(server files)};
    return;
}


sub _on_media_requests { return $_[0]{files}->log }


1;
