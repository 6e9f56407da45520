-- What agents change in an inbox.  It is not with the functions that read:
-- those belong to waha_api, which may not write.

create or replace function waha.read_conversation(organization text,
    conversation text) returns waha.reply
language plpgsql security definer
set search_path = waha, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    r  waha.reply := waha.find_conversation(organization, conversation);
begin
    if r.code is not null then
        return r;
    end if;

    -- not until now(): a message that was sent before and arrives later is
    -- unread

    update waha.conversations v
       set unread_count = 0,
           unread_since = null,
           read_at = coalesce(greatest(v.read_at, v.last_inbound_at),
                              v.last_message_at)
     where v.organization_slug = organization
       and v.contact_id = (r.data->>'contact_id')::bigint
       and v.session_name = r.data->>'session'
       and v.unread_count <> 0;

    return waha.find_conversation(organization, conversation);
end
$$;

comment on function waha.read_conversation(text, text) is
    'marks a conversation as read; codes: unknown_conversation';

grant execute on function waha.read_conversation(text, text) to waha_gateway;
