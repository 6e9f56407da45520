# Sessions that a CRM has at WAHA when it moves in: one function takes them from
# the tables of the integration guides and says what it has left out.

use Waha::Test;

my $t = Waha::Test->new;


# what import_sessions says, one line for each organization

sub imported {
    my ($pg, %o) = @_;

    return join "\n", map { join ' ', map { $_ // '-' } @$_ }
        @{ $pg->rows('select * from waha.import_sessions()', %o) };
}


sub known {
    my ($pg) = @_;

    return $pg->psql("select organization_slug, name, instance,
                             deleted_at is not null
                        from waha.sessions
                       order by organization_slug, name");
}


subtest 'columns of organizations' => sub {
    my $pg = $t->postgres(install => 0);

    $pg->psql(<<'EOF_SQL');
create schema crm;
create table crm.organizations (id serial primary key,
    slug varchar(255) not null unique, name varchar(255),
    whatsapp_session_name varchar(255), whatsapp_status varchar(50),
    whatsapp_phone_number varchar(50), whatsapp_connected_at timestamp,
    whatsapp_enabled boolean default false, waha_instance varchar(50));
insert into crm.organizations (slug, whatsapp_session_name, whatsapp_enabled,
                               waha_instance, whatsapp_status) values
    ('acme', 'tenant-acme', true, 'waha-1', 'WORKING'),
    ('bolt', 'tenant-bolt', true, null, 'STARTING'),
    ('none', null, true, null, null), ('empty', '', true, null, null),
    ('off', 'tenant-off', false, null, null),
    ('null', 'tenant-null', null, null, null),
    ('same', 'shared', true, null, null), ('too', 'shared', true, null, null),
    ('thief', 'tenant-mine', true, null, null),
    ('owner', 'other', true, null, null), ('old', 'gone', true, 'w9', null);
EOF_SQL
    $pg->install(crm_schema => 'crm');
    $pg->psql("select waha.add_session('owner', 'tenant-mine', 'waha-2');
               select waha.add_session('old', 'gone', 'waha-3');
               update waha.sessions set deleted_at = '2026-01-01'
                where name = 'gone'");

    my $said = <<'EOF_TEXT';
acme tenant-acme imported
bolt tenant-bolt imported
empty  it has no session
none - it has no session
null tenant-null WhatsApp is not enabled for it
off tenant-off WhatsApp is not enabled for it
old gone it was there before
owner other imported
same shared several organizations name the session
thief tenant-mine the session is that of another organization
too shared several organizations name the session
EOF_TEXT
    chomp $said;
    my $crm = $pg->psql('select * from crm.organizations order by id');

    is(imported($pg), $said, 'what can be taken is taken');

    my $rows = "acme|tenant-acme|waha-1|f\nbolt|tenant-bolt||f\n"
               . "old|gone|waha-3|t\nowner|other||f\n"
               . 'owner|tenant-mine|waha-2|f';
    is(known($pg), $rows, 'nothing that was there has changed');

    $said =~ s/imported/it was there before/g;
    is(imported($pg), $said, 'a second call takes nothing');
    is(known($pg), $rows, 'and changes nothing');
    is($pg->psql('select * from crm.organizations order by id'), $crm,
       "the CRM's table is as before");

    # a role of administrators, with and without the right to read the CRM

    $pg->psql('create role helper login in role waha_admin');
    like($pg->error('select * from waha.import_sessions()',
                    user => 'helper'), qr/permission denied/,
         'who may not read the tables cannot import');
    $pg->psql('grant usage on schema crm to helper;
               grant select on crm.organizations to helper');
    is(imported($pg, user => 'helper'), $said, 'who may, can');
};


subtest 'a column of tenants' => sub {
    my $pg = $t->postgres(install => 0);

    $pg->psql(<<'EOF_SQL');
create table tenants (id serial primary key, name text, slug text,
    waha_session_name varchar(100) unique);
insert into tenants (name, slug, waha_session_name) values
    ('Acme', 'acme', 'tenant_1'), ('Bolt', null, 'tenant_2'),
    ('Cat', 'cat', null), ('Dog', 'dog', 'tenant_4');
EOF_SQL
    $pg->install;
    $pg->psql("insert into organizations (slug, whatsapp_enabled)
                   values ('acme', true), ('2', true), ('4', true),
                          ('dog', true)");

    is(imported($pg), <<'EOF_TEXT' =~ s/\n\z//r, 'they are taken, too');
2 tenant_2 imported
2 - it has no session
4 tenant_4 several organizations name the session
4 - it has no session
acme tenant_1 imported
acme - it has no session
dog tenant_4 several organizations name the session
dog - it has no session
EOF_TEXT
    is(known($pg), "2|tenant_2||f\nacme|tenant_1||f", 'each to its own');
};


subtest 'guides without sessions at WAHA' => sub {
    my $pg = $t->postgres(install => 0);

    $pg->psql(<<'EOF_SQL');
create table "Business" (id text primary key, "whatsappPhoneNumberId" text);
insert into "Business" values ('b', '1234567890');
create table whatsapp_sessions (id uuid primary key, user_id uuid,
    status text, session_data jsonb);
insert into whatsapp_sessions
    values (gen_random_uuid(), gen_random_uuid(), 'connected', '{}');
EOF_SQL
    $pg->install;

    is(imported($pg), '', 'there is nothing to take');
    is(known($pg), '', 'and nothing is');
};


$t->done;
