// Sends the requests of tests/data/express.json to the old service, and records its answers there.
import { readFileSync, writeFileSync } from 'node:fs';
import session from 'express-session';
import { SECRET, service } from './before.mjs';

const file = process.argv[2];
const record = JSON.parse(readFileSync(file, 'utf8'));
const store = new session.MemoryStore();
const server = service(store).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const browsers = [];
for (const call of record.calls) {
    const jar = (browsers[call.by] ??= new Map());
    const headers = { ...call.fields };
    if (jar.size) headers.cookie = [...jar].map((pair) => pair.join('=')).join('; ');
    if (call.form !== null) headers['content-type'] = 'application/x-www-form-urlencoded';
    const method = call.form === null ? 'GET' : 'POST';
    const body = call.form === null ? undefined : call.form;
    const answer = await fetch(origin + call.path, { method, headers, body, redirect: 'manual' });
    const lines = answer.headers.getSetCookie();
    const removed = lines.filter((line) => line.includes('1970'));
    for (const line of lines) {
        const [name, value] = line.split(';')[0].split('=');
        if (line.includes('1970')) jar.delete(name);
        else jar.set(name, value);
    }
    call.seen = {
        status: answer.status,
        location: answer.headers.get('location'),
        body: await answer.text(),
        cookie: !lines.length ? '' : removed.length === lines.length ? 'removes' : 'sets',
    };
}

// A session as the store and a browser have it.
const [cookie] = browsers[record.session.by].values();
const [id] = decodeURIComponent(cookie).slice(2).split('.');
record.session = { ...record.session, secret: SECRET, cookie, id, row: store.sessions[id] };
writeFileSync(file, JSON.stringify(record, null, 2) + '\n');
server.close();
server.closeAllConnections();
