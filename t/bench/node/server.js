'use strict';

// What a careful Node service does with a webhook: the signature checked over
// the raw bytes, one prepared statement, answered after the commit.

const cluster = require('node:cluster');
const crypto = require('node:crypto');
const fs = require('node:fs');
const fastify = require('fastify');
const pg = require('pg');

const key = fs.readFileSync(process.env.BENCH_KEY, 'utf8').replace(/\n$/, '');
const workers = Number(process.env.BENCH_WORKERS);
const port = Number(process.env.BENCH_PORT);

const text = `select * from ${process.env.BENCH_FUNCTION}(${
    Array.from({ length: 20 }, (_, i) => `$${i + 1}`).join(', ')})`;


function signed(header, body) {
    if (!/^[0-9a-f]{128}$/i.test(header)) {
        return false;
    }

    const sum = crypto.createHmac('sha512', key).update(body).digest();

    return crypto.timingSafeEqual(sum, Buffer.from(header, 'hex'));
}


function record(event) {
    const payload = event.payload;
    const parts = payload.id.split('_');
    const data = payload._data;
    const sent = payload.timestamp;

    const metadata = JSON.stringify({
        whatsapp_message_id: payload.id,
        whatsapp_chat_id: payload.from,
        has_media: payload.hasMedia,
        media_url: payload.media && payload.media.url,
        timestamp: sent,
        session: event.session,
        engine: event.engine,
        source: payload.source
    });

    return [
        'waha', null, event.session, 'message',
        payload.fromMe ? 'outbound' : 'inbound', 'person',
        parts[2], null, payload.from.split('@')[0], null,
        payload.fromMe ? null : data && data.pushName,
        payload.hasMedia ? 'unknown' : 'text', payload.body,
        sent * 1000, null, metadata, null, null,
        event.metadata && event.metadata['tenant.id'], null
    ];
}


function answer(row) {
    return {
        success: true,
        data: {
            received: true,
            action: row.action,
            organization: row.organization,
            tenantId: Number(row.tenant_id),
            contactId: Number(row.contact_id),
            activityId: Number(row.activity_id)
        }
    };
}


function refuse(reply, status, code) {
    return reply.code(status).send({ success: false, error: code, code });
}


function serve() {
    const app = fastify({ logger: false, bodyLimit: 8 << 20 });

    const pool = new pg.Pool({
        connectionString: process.env.BENCH_DSN,
        max: Number(process.env.BENCH_CONNECTIONS)
    });

    app.addContentTypeParser('application/json', { parseAs: 'buffer' },
        (request, body, done) => done(null, body));

    app.post('/api/whatsapp/webhook', async (request, reply) => {
        const header = request.headers['x-webhook-hmac'] || '';

        if (!signed(header, request.body)) {
            return refuse(reply, 401, 'invalid_signature');
        }

        const event = JSON.parse(request.body.toString('utf8'));

        if (event.event !== 'message' || !event.payload.from.endsWith('@c.us'))
        {
            return { success: true, data: { received: true, action: 'ignored' } };
        }

        try {
            const values = record(event);
            const result = await pool.query({ name: 'ingest', text, values });

            return answer(result.rows[0]);

        } catch (error) {
            request.log.error(error);
            return refuse(reply, 503, 'database');
        }
    });

    app.listen({ port, host: '127.0.0.1', backlog: 4096 });
}


if (cluster.isPrimary && workers > 1) {
    for (let i = 0; i < workers; i++) {
        cluster.fork();
    }

} else {
    serve();
}
