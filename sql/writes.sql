-- Functions read the tables of the CRM through the views of views.sql and write
-- them by the same names.  Here the writes get the names of the tables: an
-- engine that divides tables refuses writes through views.

do $$
declare
    views   constant text := '\m(insert into|update|delete from)(\s+)waha\.'
        '(organizations|traffic_channels|contacts|contact_activities)\M';
    tables  constant text := '\1\2' || replace(quote_ident(
        current_setting('waha.crm_schema')), '\', '\\') || '.\3';
    f       regprocedure;
begin
    for f in
        select p.oid
          from pg_proc p
         where p.pronamespace = 'waha'::regnamespace
           and p.proowner = current_user::regrole
           and p.prosrc ~ views
           -- the CRM's own
           and p.proname <> 'on_merge'
    loop
        execute regexp_replace(pg_get_functiondef(f), views, tables, 'g');
    end loop;
end
$$;
