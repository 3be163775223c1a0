// Records the answers of the old service in tests/data/express.json, and a session of it.
import session from 'express-session';
import { SECRET, service } from './before.mjs';
import { note } from './calls.mjs';

const store = new session.MemoryStore();
await note(process.argv[2], service(store), (cookie) => {
    const [id] = decodeURIComponent(cookie).slice(2).split('.');
    return { secret: SECRET, id, row: store.sessions[id] };
});
