// Sends the requests of a record to an old service, and notes its answers in the record.
import { readFileSync, writeFileSync } from 'node:fs';

// `session` gets the cookie of the browser `record.session.by`, and returns what else the record keeps.
export async function note(file, service, session) {
    const record = JSON.parse(readFileSync(file, 'utf8'));
    const server = service.listen(0, '127.0.0.1');
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
        const isRemoval = (line) => /1970|Max-Age=0/.test(line);
        for (const line of lines) {
            const [name, value] = line.split(';')[0].split('=');
            if (isRemoval(line)) jar.delete(name);
            else jar.set(name, value);
        }
        call.seen = {
            status: answer.status,
            location: answer.headers.get('location'),
            body: await answer.text(),
            cookie: !lines.length ? '' : lines.every(isRemoval) ? 'removes' : 'sets',
        };
    }

    const [cookie] = browsers[record.session.by].values();
    record.session = { ...record.session, cookie, ...await session(cookie) };
    writeFileSync(file, JSON.stringify(record, null, 2) + '\n');
    server.close();
    server.closeAllConnections();
}
