# Rights: what the gateway, readers of one organization, operators and other
# roles may do.

use Waha::Test;
use Waha::Ingest;

my $t = Waha::Test->new;
my $pg = $t->postgres;

# as install.sql asks for where a database was made by PostgreSQL 14 or older

$pg->psql('revoke create on schema public from public');

$pg->organization('acme', session => 't1');
$pg->organization('other', session => 't2');
outcomes($pg, batch =>
         message(message_id => 'A1', phone => '79222222222'),
         message(message_id => 'A1', phone => '79222222222', session => 't2'),
         message(message_id => 'A2', phone => '79333333333', session => 't2'),
         status(target_id => 'A1', status => 'read', session => 't2'));
$pg->psql('create role clerk login in role waha_reader;
           create role stranger login;');

my @relations = map { $_->[0] } @{ $pg->rows(q{
    select oid::regclass from pg_class
     where relnamespace in ('waha'::regnamespace, 'public'::regnamespace)
       and relkind in ('r', 'v') order by 1}) };
cmp_ok(scalar @relations, '>', 15,
       'there are more than fifteen tables and views');


subtest 'waha_gateway only executes' => sub {
    for my $relation (@relations) {
        like($pg->error($_, user => 'waha_gateway'), qr/permission denied/, $_)
            for "select from $relation", "delete from $relation",
                "insert into $relation default values";
    }

    like($pg->error($_, user => 'waha_gateway'), qr/permission denied/, $_)
        for 'create table x ()', 'create table waha.x ()', 'create schema x',
            'create function waha.x() returns int language sql as $$ $$',
            'select waha.merge_contacts(null, null, null, null)',
            "select waha.unmerge('acme', 1)",
            'select waha.replay(1)', 'select waha.maintain()',
            'set role waha_owner';

    is($pg->value(q{
        select string_agg(distinct p.proname, ' ' order by p.proname)
          from pg_proc p
         where pronamespace = 'waha'::regnamespace
           and has_function_privilege('waha_gateway', p.oid, 'execute')}),
       join(' ', sort qw(act_as authenticate begin_operation charge_operation
            check connect_number disconnect_number find_connection
            find_number record_number_check show_number
            list_audit note_operation
            count_timeout create_api_key delete_api_key delete_organization
            delete_session disconnect_session end_operation move_session
            enable_organization ensure_organization erase_contact
            expect_number export_contact export_organization find_contact
            find_media find_organization find_session ingest ingest_batch
            ingest_each list_activities list_activity_rows list_api_keys
            list_contacts list_conversations list_messages list_organizations
            list_secrets list_sessions put_organization quarantine
            read_conversation replace_secret
            record_session_check reserve_session show_organization)),
       'waha_gateway may execute the functions of the contract and no other');

    is($pg->value('select count(*) from (select proname from pg_proc
                    where pronamespace = \'waha\'::regnamespace
                    group by 1 having count(*) > 1) twice'), 0,
       'each function has a name of its own');

    is($pg->value("select waha.check($_, $_)", user => 'waha_gateway'),
       undef, "waha.check accepts waha_gateway: contract $_")
        for 1 .. 4;
};


subtest 'waha.check' => sub {
    like($pg->value('select waha.check(1, 1)'),
         qr/^role "postgres" is a superuser: connect as waha_gateway/,
         'waha.check refuses a superuser');
    like($pg->value('select waha.check(5, 6)', user => 'waha_gateway'),
         qr/serves contract 1 to 4, the module needs 5 to 6: run/,
         'waha.check refuses a newer module');

    $pg->psql('grant execute on function waha.check to stranger;
               grant usage on schema waha to stranger;
               alter role stranger bypassrls');
    like($pg->value('select waha.check(1, 1)', user => 'stranger'),
         qr/has BYPASSRLS/,
         'waha.check refuses a role that bypasses row-level security');

    $pg->psql('alter role stranger nobypassrls; grant waha_owner to stranger');
    like($pg->value('select waha.check(1, 1)', user => 'stranger'),
         qr/"stranger" owns tables/,
         'waha.check refuses a member of waha_owner');

    $pg->psql('revoke waha_owner from stranger;
               revoke usage on schema waha from stranger;
               revoke execute on function waha.check from stranger');
};


subtest 'waha_admin has the rights that it needs' => sub {
    $pg->psql('create role operator login in role waha_admin');

    is($pg->psql("select waha.add_session('acme', 't9', 'waha-9');
                  select waha.maintain()", user => 'operator'), "\n0",
       'waha_admin can add sessions and maintain');

    my $id = $pg->value("select waha.quarantine('unknown_organization', null,
        'x', 'waha', null, 't8', 'message', 'inbound', 'person', 'A8', null,
        '79222222222', null, null, 'text', 'hi', 1, null, '{}', null, null,
        null, null)", user => 'waha_gateway');
    is($pg->rows("select * from waha.replay($id)",
                 user => 'operator')->[0][1],
       'unknown_organization', 'waha_admin can replay');

    like($pg->error($_, user => 'operator'), qr/permission denied/, $_)
        for 'select from waha.sessions', 'select waha.learn_all()',
            'create table waha.x ()';

    $pg->psql("delete from waha.sessions where name = 't9'");
};


subtest 'waha_reader sees the rows of one organization' => sub {
    my @seen = qw(waha.tenant_organizations waha.tenant_contacts
                  waha.tenant_traffic_channels
                  waha.tenant_contact_activities
                  waha.tenant_activity_notes waha.sessions
                  waha.contact_identities waha.conversations
                  waha.message_states);
    my %count = map { $_ => 2 } @seen;
    @count{'waha.tenant_organizations', 'waha.tenant_traffic_channels',
           'waha.sessions', 'waha.message_states'} = (1) x 4;

    for my $relation (@seen) {
        is($pg->value("select count(*) from $relation", user => 'clerk'), 0,
           "$relation: no row without an organization");
        is($pg->value("set waha.organization = 'other';
                       select count(*) from $relation", user => 'clerk'),
           $count{$relation}, "$relation: the rows of the organization");
        is($pg->value("begin; set local waha.organization = 'other'; commit;
                       select count(*) from $relation", user => 'clerk'), 0,
           "$relation: no row after the transaction that set the organization");
    }

    my %seen = map { $_ => 1 } @seen;
    for my $relation (grep { !$seen{$_} } @relations) {
        like($pg->error("select from $relation", user => 'clerk'),
             qr/permission denied/,
             "$relation: no right to read");
    }

    like($pg->error("delete from $_", user => 'clerk'),
         qr/permission denied|cannot delete/, "$_: no right to write")
        for @seen;

    # a function that raises what it is given, cheap enough to be called first

    is($pg->value(q{
        create function pg_temp.told(text) returns bool language plpgsql
            cost 0.0000001
            as $$ begin raise exception 'told %', $1; end $$;
        set waha.organization = 'none';
        select count(*) from waha.tenant_contacts
         where pg_temp.told(organization_slug)}, user => 'clerk'), 0,
       'a function in the condition sees no row of another organization');
};


subtest 'rows that refer to another organization' => sub {
    my ($id) = map { $_->[0] } @{ $pg->rows(
        "select id from contacts where organization_slug = 'other'") };

    like($pg->error($_), qr/violates foreign key constraint/, $_) for
        "insert into contact_activities (organization_slug, contact_id,
             activity_type) values ('acme', $id, 'note')",
        "begin; insert into waha.contact_identities (organization_slug, kind,
             key, contact_id, seen, proved)
             values ('acme', 'lid', '1', $id, '1', true); commit",
        "insert into waha.conversations (organization_slug, contact_id,
             session_name, last_message_id, last_message_at, last_direction,
             unread_count) values ('acme', $id, 't1', 'x', now(), 'x', 0)";

    like($pg->error("update organizations set slug = 'acne'
                      where slug = 'acme'"),
         qr/slug of organization "acme" cannot be changed/,
         'the slug of an organization cannot be changed');
};


subtest 'roles without rights' => sub {
    like($pg->error($_, user => 'stranger'), qr/permission denied/, $_)
        for 'select from waha.sessions', 'select waha.check(1, 1)',
            'select waha.status_rank(null)';

    is($pg->value(q{
        select string_agg(p.oid::regprocedure::text, ' ')
          from pg_proc p
         where pronamespace = 'waha'::regnamespace
           and has_function_privilege('stranger', p.oid, 'execute')}), undef,
       'a role without rights may execute no function');
};

$t->done;
