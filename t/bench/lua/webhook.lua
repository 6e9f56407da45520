-- The same service in Lua: what lua-nginx-module and pgmoon make of it.

local cjson = require("cjson.safe")
local ffi = require("ffi")
local pgmoon = require("pgmoon")

ffi.cdef[[
void *EVP_sha512(void);
unsigned char *HMAC(const void *evp_md, const void *key, int key_len,
    const unsigned char *d, size_t n, unsigned char *md, unsigned int *len);
]]

local _M = {}

local sum = ffi.new("unsigned char[64]")
local bit = require("bit")
local sha512 = ffi.C.EVP_sha512()


local function parameters()
    local t = {}

    for i = 1, 20 do
        t[i] = i == 14 and "$14::bigint" or "$" .. i
    end

    return table.concat(t, ", ")
end


function _M.init(options)
    _M.options = options
    _M.query = "select * from " .. options.call .. "(" .. parameters() .. ")"
end


local function signed(header, body)
    local key = _M.options.key

    if not header or not header:match("^%x+$") or #header ~= 128 then
        return false
    end

    ffi.C.HMAC(sha512, key, #key, body, #body, sum, nil)

    local diff = 0

    for i = 0, 63 do
        local byte = tonumber(header:sub(2 * i + 1, 2 * i + 2), 16)
        diff = bit.bor(diff, bit.bxor(byte, sum[i]))
    end

    return diff == 0
end


local function answer(status, text)
    ngx.status = status
    ngx.header.content_type = "application/json"
    ngx.header.content_length = #text
    ngx.print(text)
    return ngx.exit(ngx.HTTP_OK)
end


local function known(value)
    if value == nil or value == cjson.null then
        return nil
    end

    return value
end


local function ingest(event)
    local payload = event.payload
    local outbound = payload.fromMe
    local data = known(payload._data) or {}
    local media = known(payload.media)

    local metadata = cjson.encode({
        whatsapp_message_id = payload.id,
        whatsapp_chat_id = payload.from,
        has_media = payload.hasMedia,
        media_url = media and media.url,
        timestamp = payload.timestamp,
        session = event.session,
        engine = event.engine,
        source = payload.source
    })

    local pg = pgmoon.new(_M.options.postgres)

    local ok, err = pg:connect()
    if not ok then
        return nil, err
    end

    local rows
    rows, err = pg:query(_M.query,
        "waha", nil, event.session, "message",
        outbound and "outbound" or "inbound", "person",
        payload.id:match("([^_]+)$"), nil, payload.from:match("^(%d+)"), nil,
        not outbound and known(data.pushName) or nil,
        payload.hasMedia and "unknown" or "text", known(payload.body),
        payload.timestamp * 1000, nil, metadata, nil, nil,
        known(event.metadata) and event.metadata["tenant.id"] or nil, nil)

    if not rows then
        pg:disconnect()
        return nil, err
    end

    pg:keepalive(60000)

    return rows[1]
end


function _M.handle()
    ngx.req.read_body()

    local body = ngx.req.get_body_data()

    if not body or not signed(ngx.var.http_x_webhook_hmac, body) then
        return answer(401, '{"success":false,"code":"invalid_signature"}')
    end

    local event = cjson.decode(body)

    if not event then
        return answer(400, '{"success":false,"code":"invalid_json"}')
    end

    if event.event ~= "message" or not event.payload.from:find("@c.us", 1, true)
    then
        return answer(200, '{"success":true,"data":{"action":"ignored"}}')
    end

    local row, err = ingest(event)

    if not row then
        ngx.log(ngx.ERR, err)
        return answer(503, '{"success":false,"code":"database"}')
    end

    return answer(200, cjson.encode({
        success = true,
        data = {
            received = true,
            action = row.action,
            organization = row.organization,
            tenantId = row.tenant_id,
            contactId = row.contact_id,
            activityId = row.activity_id
        }
    }))
end


return _M
