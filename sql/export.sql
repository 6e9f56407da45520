-- All that is stored of a person or an organization, page by page.

create or replace function waha.export_contact(organization text,
    contact bigint, after text, size int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    return row('unknown_contact', null)::waha.reply;
end
$$;

comment on function waha.export_contact(text, bigint, text, int) is 'all that is stored of a person; codes: unknown_contact, invalid_argument';


create or replace function waha.export_organization(slug text, after text,
    size int) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
as $$
begin
    return row('unknown_organization', null)::waha.reply;
end
$$;

comment on function waha.export_organization(text, text, int) is 'all that is stored of an organization; codes: unknown_organization, invalid_argument';

grant execute on function waha.export_contact(text, bigint, text, int),
    waha.export_organization(text, text, int)
    to waha_gateway, waha_admin;
