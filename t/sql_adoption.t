# Adoption of a CRM's own tables: they get the columns that they lack, and the
# CRM works as before.

use Waha::Test;
use Waha::Ingest;

my $t = Waha::Test->new;
my $pg = $t->postgres(install => 0);


# the tables of the Express integration guide, with an owner, an application
# and a backup role, and triggers of the CRM

my $guide = <<'EOF_SQL';
create role crm_owner;
create role crm_app login;
create role crm_backup login;
create role admin login createrole in role crm_owner;
grant create on database crm to admin, crm_owner;
create schema crm authorization crm_owner;
grant usage on schema crm to crm_app, crm_backup;
set role crm_owner;
create table crm.users (id serial primary key);
create table crm.organizations (id serial primary key,
    slug varchar(255) not null unique, title text not null);
create table crm.contacts (id serial primary key,
    organization_slug varchar(255) not null, first_name varchar(100),
    last_name varchar(100), phone_1 varchar(50), phone_2 varchar(50),
    phone_3 varchar(50), contact_type varchar(50) not null,
    email text, updated_at timestamp default now());
create table crm.contact_activities (id serial primary key,
    contact_id int not null references crm.contacts on delete cascade,
    organization_slug varchar(255) not null,
    activity_type varchar(50) not null, direction varchar(20),
    message_content text, subject varchar(255), metadata jsonb,
    created_at timestamp default now(), created_by int references crm.users);
create index on crm.contact_activities (organization_slug);
create index on crm.contact_activities (contact_id);
create index on crm.contacts (organization_slug, phone_1);
create table crm.log (what text);
create function crm.logged() returns trigger language plpgsql
    security definer set search_path = crm as
    $$ begin insert into log values (tg_op || ' ' || new.id); return new;
       end $$;
create trigger logged after insert or update on crm.contacts
    for each row execute function crm.logged();
grant select, insert, update, delete on all tables in schema crm to crm_app;
grant usage on all sequences in schema crm to crm_app;
grant select on all tables in schema crm to crm_backup;
insert into crm.organizations (slug, title)
    values ('acme', 'Acme'), ('other', 'Other');
insert into crm.contacts (organization_slug, first_name, last_name, phone_1,
                          phone_2, contact_type) values
    ('acme', 'Ann', 'Lee', '+55 (11) 98765-4321', null, 'customer'),
    ('acme', 'Ann', 'Double', '551187654321', null, 'customer'),
    ('acme', 'Joe', 'Poe', 'call me', '0049 30 1234567', 'customer'),
    ('other', 'Ann', 'Lee', '+55 (11) 98765-4321', null, 'customer');
insert into crm.contact_activities (contact_id, organization_slug,
    activity_type, message_content)
    values (1, 'acme', 'note', 'a note'), (4, 'acme', 'note', 'crossed');
reset role;
EOF_SQL

crm($guide);

my @crm = (user => 'admin', crm_schema => 'crm');
my $rows = contents();
my $works = works();

is($pg->try_install(@crm), '',
   "an administrator can install into the CRM's schema");
is(contents(), $rows, 'adoption changes no row of the CRM');
is(works(), $works, "the CRM's roles work as before");
is($pg->try_install(user => 'admin'), '', 'installing again succeeds');
is(works(), $works, "the CRM's roles still work");

crm("update crm.organizations set whatsapp_enabled = true;
     select waha.add_session('acme', 't1');
     select waha.add_session('other', 't2');");

my $r = outcome($pg, message(message_id => 'A1', phone => '5511987654321',
                             name => 'Annie'));
is("$r->{action} $r->{contact_id}", 'activity_logged 1',
   "a number in the CRM's own spelling finds its contact");
is(crm('select first_name, last_name, whatsapp_name from crm.contacts '
       . 'where id = 1'), 'Ann|Lee|Annie',
   "WhatsApp's name does not replace the CRM's");

$r = outcome($pg, message(message_id => 'A2', phone => '49301234567'));
is("$r->{action} $r->{contact_id}", 'activity_logged 3',
   'a number in phone_2 finds its contact');

$r = outcome($pg, message(message_id => 'A1', phone => '5511987654321',
                          session => 't2'));
is("$r->{action} $r->{contact_id} $r->{organization}",
   'activity_logged 4 other',
   'the same number in another organization is another contact');

$r = outcome($pg, message(message_id => 'A3', phone => '79222222222',
                          name => 'Bob Dylan'));
is("$r->{action}", 'contact_created', 'an unknown number makes a lead');
is(crm("select first_name, last_name, phone_1, contact_type from crm.contacts "
       . "where id = $r->{contact_id}"), 'Bob|Dylan|+79222222222|lead',
   "the lead has the CRM's columns");
like(crm('select what from crm.log'), qr/^INSERT $r->{contact_id}$/m,
     "the CRM's trigger ran for the lead");

like($pg->error("insert into crm.contact_activities (contact_id,
                organization_slug, activity_type) values (4, 'acme', 'note')"),
     qr/violates foreign key/,
     "an activity cannot belong to another organization's contact");

crm("delete from crm.contacts where id = 1", 'crm_app');
is(crm("select count(*) from waha.contact_identities where contact_id = 1"),
   0, 'the CRM can delete a contact that has messages');

crm("update crm.contacts set organization_slug = 'other' where id = 2",
    'crm_app');
is(crm("select organization_slug from crm.contacts where id = 2"), 'other',
   'the CRM can move a contact without messages');


subtest 'a CRM with row-level security' => sub {
    crm(<<'EOF_SQL');
drop schema crm cascade;
drop schema waha cascade;
create schema crm authorization crm_owner;
grant usage on schema crm to crm_app;
set role crm_owner;
create table crm.organizations (id bigserial primary key,
    slug text not null unique);
create table crm.contacts (id bigserial primary key,
    organization_slug text not null);
alter table crm.contacts enable row level security;
create policy mine on crm.contacts to crm_app
    using (organization_slug = current_setting('app.org', true));
grant all on all tables in schema crm to crm_app;
grant all on all sequences in schema crm to crm_app;
insert into crm.organizations (slug) values ('acme'), ('other');
insert into crm.contacts (organization_slug) values ('acme'), ('other');
reset role;
EOF_SQL

    is($pg->try_install(@crm), '', 'installing succeeds');
    is(crm("set app.org = 'acme'; select count(*) from crm.contacts",
           'crm_app'), 1, "the CRM's policy is still in force");

    crm("update crm.organizations set whatsapp_enabled = true;
         select waha.add_session('acme', 't1')");
    is(outcome($pg, message(message_id => 'A1', phone => '79222222222'))
           ->{action}, 'contact_created',
       'messages are stored under row-level security');
    is(crm("set app.org = 'acme'; select count(*) from crm.contacts",
           'crm_app'), 2, 'the CRM sees the stored contact under its policy');
};


subtest 'triggers of the CRM that do not find their tables' => sub {
    crm(<<'EOF_SQL');
drop schema crm cascade;
drop schema waha cascade;
create schema crm;
create sequence crm.numbers;
create table crm.contacts (id int primary key
    default nextval('crm.numbers'), organization_slug text not null);
create table crm.audit_log (what text);
create function crm.audits() returns trigger language plpgsql as
    $$ begin insert into audit_log values (tg_op); return new; end $$;
create trigger audits before insert on crm.contacts
    for each row execute function crm.audits();
grant all on crm.audit_log to waha_owner;
EOF_SQL

    my $cure = 'alter function crm.audits() set search_path = crm, pg_temp';
    my $said = warned();
    like($said, qr/WARNING:  trigger "audits" on crm.contacts .*\Q$cure\E/s,
         'installing warns of the trigger and names the cure');
    like($said, qr/a trial failed: contacts: .*"audit_log" does not exist/,
         'the warning has the error of a trial insert');

    crm($cure);
    is(warned(), '', 'with the cure there is no warning');

    $pg->organization('acme', session => 't1');
    is(outcome($pg, message(message_id => 'A1', phone => '79222222222'))
           ->{action}, 'contact_created',
       'messages are stored where a sequence has no owner');
    is(crm('select what from crm.audit_log'), 'INSERT',
       'the trial insert left no row');

    crm('alter table crm.contacts enable row level security;
         alter table crm.contact_activities enable row level security');
    is(outcome($pg, message(message_id => 'A2', phone => '79222222222'))
           ->{action}, 'activity_logged',
       'row-level security enabled later does not hide rows from ingest');

    crm('grant create on schema crm to public');
    like(warnings(), qr/^psql:\S+\ WARNING:\ \ every\ role\ may\ create\ objects
                        \ in\ schema\ "crm"\nHINT:\ \ revoke\ create\ on
                        \ schema\ crm\ from\ public$/mx,
         'installing warns of a schema that every role may create objects in');
    crm('revoke create on schema crm from public');
    unlike(warnings(), qr/create objects/,
           'with the cure there is no warning');

    crm('alter function crm.audits() reset all');
    like(warned(), qr/^psql:\S+ WARNING:  trigger "audits"/,
         'installing again warns of a trigger that became wrong');
};


my %refusals = (
    'contacts.id is of type uuid' =>
        'create table contacts (id uuid primary key,
                                organization_slug text not null)',
    'contacts.email is required and has no default' =>
        'create table contacts (id serial primary key,
            organization_slug text not null, email text not null)',
    'contacts.phone_1 is required' =>
        'create table contacts (id serial primary key,
            organization_slug text not null, phone_1 text not null)',
    'contacts.id is required' =>
        'create table contacts (id int primary key,
            organization_slug text not null)',
    'contacts.first_name holds 20 characters; 50 are needed' =>
        'create table contacts (id serial primary key,
            organization_slug text not null, first_name varchar(20))',
    'contacts has no column "organization_slug"' =>
        'create table contacts (id serial primary key)',
    'contacts.state is generated' =>
        "create table contacts (id serial primary key,
            organization_slug text not null,
            state text generated always as ('x') stored)",
    'contact_activities.metadata is of type json;' =>
        'create table contact_activities (id serial primary key,
            organization_slug text not null, contact_id int not null,
            metadata json)',
    'contacts is not an ordinary table' =>
        "create view contacts as select 1 as id, 'x'::text
            as organization_slug",
    'contacts belongs to "crm_owner"' =>
        'create table contacts (id serial primary key,
                                organization_slug text not null);
         alter table contacts owner to crm_owner;
         create role stranger login createrole;
         grant stranger to crm_owner;
         grant waha_owner, waha_api to stranger;
         grant all on schema public to stranger;
         grant create on database crm to stranger;
         grant all on schema waha to stranger',
    'contacts has the restrictive policy "no"' =>
        'create table contacts (id serial primary key,
                                organization_slug text not null);
         alter table contacts enable row level security;
         create policy no on contacts as restrictive using (false)',
    'traffic_channels has the unique index '
    . '"public.traffic_channels_name_key"' =>
        'create table traffic_channels (id serial primary key,
                                        name text unique)',
    'a trial failed: contacts: new row for relation "contacts" violates' =>
        "create table contacts (id serial primary key,
            organization_slug text not null,
            contact_type text check (contact_type in ('customer')))",
    'a trial failed: contact_activities: relation "audit_log" does not' =>
        "create table contact_activities (id serial primary key,
            organization_slug text not null, contact_id int not null);
         create table audit_log (what text);
         create function logs() returns trigger language plpgsql as
            'begin insert into audit_log values (1); return new; end';
         create trigger logs before insert on contact_activities
            for each row execute function logs()",
    'two rows of public.organizations have the same slug' =>
        "create table organizations (id serial primary key, slug text);
         insert into organizations (slug) values ('a'), ('a')",
);

for my $reason (sort keys %refusals) {
    crm('drop schema if exists waha, crm cascade;
         drop schema public cascade; create schema public;
         create schema waha authorization waha_owner;');
    crm($refusals{$reason});

    like($pg->try_install(user => $reason =~ /belongs/ ? 'stranger'
                                                       : 'postgres'),
         qr/cannot adopt the tables of the CRM: .*\Q$reason\E/,
         "refused with the reason: $reason");
}

$t->done;


sub crm {
    my ($sql, $user) = @_;

    return $pg->psql($sql, user => $user // 'postgres');
}


# what psql prints on standard error

sub warnings {
    my $psql = $pg->program('psql');

    return `$psql -X -q -v crm_schema=crm -f sql/install.sql '@{[
        $pg->admin_dsn]}' 2>&1 >/dev/null`;
}


# the same without what is so in every test: its database is open to every role

sub warned {
    return warnings() =~ s/^psql:\S+ WARNING:  every role .*\nHINT: .*\n//mgr;
}


# the columns of the CRM before adoption

sub contents {
    return crm('select id, slug, title from crm.organizations order by id;
        select id, organization_slug, first_name, last_name, phone_1, phone_2,
               phone_3, contact_type, email from crm.contacts order by id;
        select id, contact_id, organization_slug, activity_type,
               message_content from crm.contact_activities order by id;');
}


# what the CRM's own roles do all day, and what they see

sub works {
    my $dump = $t->dir . '/dump';
    my @seen;

    push @seen, crm(q{
        begin;
        insert into crm.contacts (organization_slug, first_name, phone_1,
                                  contact_type)
            values ('acme', 'New', 'any ☎ 123', 'x');
        copy crm.contacts (organization_slug, first_name, contact_type)
            from stdin;
acme	Copied	x
\.
        update crm.contacts set phone_1 = '(11) 98765-4321', phone_2 = 'x'
         where id <= 2;
        insert into crm.contact_activities (contact_id, organization_slug,
            activity_type) values (2, 'acme', 'call');
        delete from crm.contacts where id = 2;
        select organization_slug, first_name, phone_1, contact_type
          from crm.contacts order by 1, 2, 3;
        select activity_type from crm.contact_activities order by id;
        rollback;
        insert into crm.organizations (slug, title) values ('new', 'New');
        update crm.organizations set title = 'Newer' where slug = 'new';
        delete from crm.organizations where slug = 'new';
    }, 'crm_app');

    my $bin = $pg->{bin};
    push @seen, 'backup ' . system("$bin/pg_dump -n crm -d '"
        . $pg->admin_dsn(user => 'crm_backup') . "' -t crm.contacts "
        . "-t crm.contact_activities -f $dump 2>&1");

    return join "\n", @seen;
}
