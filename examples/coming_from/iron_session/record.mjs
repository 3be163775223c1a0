// Records the answers of the old service in tests/data/iron_session.json, and a session of it.
import { unsealData } from 'iron-session';
import { PASSWORD, service } from './before.mjs';
import { note } from './calls.mjs';

await note(process.argv[2], service(), async (cookie) => {
    const data = await unsealData(cookie, { password: PASSWORD });
    return { password: PASSWORD, data: JSON.stringify(data) };
});
