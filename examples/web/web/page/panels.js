// The panels: one more capability each, with the thief beside it.

import { MODES, ask, nameOf, show, thiefIsOut } from './cards.js';
import { OUTAGE, inWords, kindOf, logged, more, say, sayEach, send } from './sentences.js';
import { tell } from './timeline.js';

const FIRST = 'Not yet: press the first button on the left.';
const COPIED = 'The thief has a copy of the cookie.';
const NOTICED = 'The theft is noticed: an old copy came back, so this login ends for both.';

/**
 * Acts of each panel: the requests, one after the other, and the sentences of the last answer. A
 * sentence for a denial is chosen by the reason.
 */
const PANELS = {
  'step-up': {
    login: {
      calls: ['/step-up/login'],
      ok: 'Alice is logged in, by her password alone.',
    },
    steal: { who: 'Thief', calls: ['/step-up/steal'], ok: COPIED },
    code: {
      calls: ['/step-up/code'],
      ok: 'The code is right: for 5 minutes her login may move money.',
    },
    transfer: {
      calls: ['/step-up/transfer'],
      ok: 'The server transfers the money for Alice.',
      denied: { class: 'Refused: a login alone is not enough. Alice must enter the code.' },
    },
    thief: {
      who: 'Thief',
      calls: ['/step-up/thief'],
      ok: 'The thief has the money.',
      denied: { class: 'The thief is refused: his copy never gets the second factor.' },
    },
  },
  link: {
    mail: { calls: ['/link/mail'], ok: 'A link is in the mail of Alice. The thief reads it too.' },
    alice: {
      calls: ['/link/open'],
      ok: 'Alice is in, and the link is spent.',
      denied: { rejected: 'Alice is refused: the link was used before. Now she knows.' },
    },
    thief: {
      who: 'Thief',
      calls: ['/link/thief'],
      ok: 'The thief was first and gets in. Let Alice try: she will notice.',
      denied: { rejected: 'The thief is out: the link was used before.' },
    },
  },
  'api-key': {
    make: {
      calls: ['/api-key/make'],
      ok: 'The script of Alice has a key. It may read, and nothing else.',
    },
    leak: {
      who: 'Thief',
      calls: ['/api-key/leak'],
      ok: 'The key was published by mistake. The thief has it.',
    },
    revoke: {
      calls: ['/api-key/revoke'],
      ok: 'The key is dead at once. The logins of Alice go on.',
    },
    read: {
      who: 'Thief',
      calls: ['/api-key/thief/read'],
      ok: 'The thief reads the articles, until the key is revoked.',
      denied: { rejected: 'The thief is out at once: the key is revoked.' },
    },
    write: {
      who: 'Thief',
      calls: ['/api-key/thief/write'],
      ok: 'The thief changes an article.',
      denied: {
        rejected: 'The thief is out at once: the key is revoked.',
        role: 'The thief is refused: the key may only read.',
      },
    },
    account: {
      who: 'Thief',
      calls: ['/api-key/thief/account'],
      ok: 'The thief is in the account of Alice.',
      denied: {
        rejected: 'The thief is out at once: the key is revoked.',
        'API key': 'The thief is refused: this page asks for a login, and a key is none.',
      },
    },
  },
  audience: {
    call: { calls: ['/audience/call'], ok: 'The service “billing” recognises Alice.' },
    forge: {
      who: 'Thief',
      calls: ['/audience/thief'],
      ok: 'The thief is Alice in “billing”.',
      denied: { rejected: 'Refused: the key of “orders” signs nothing that “billing” accepts.' },
    },
    shared: {
      who: 'Thief',
      calls: ['/audience/thief/shared'],
      ok: 'The thief is Alice in “billing”: with one key, each service can forge for all.',
    },
  },
  remember: {
    login: {
      calls: ['/remember/login'],
      ok: (body) => 'The cookie goes when the browser closes. The login ends after '
        + inWords(body.unused) + ' without use.',
    },
    remember: {
      calls: ['/remember/login/remember'],
      ok: (body) => 'The browser keeps the cookie for ' + inWords(body.left)
        + '. The login ends after ' + inWords(body.unused) + ' without use.',
    },
    logout: {
      calls: ['/remember/logout'],
      ok: 'Alice has logged out. Her cookie and each copy of it are dead.',
    },
    steal: { who: 'Thief', calls: ['/remember/steal'], ok: COPIED },
    thief: { who: 'Thief', calls: ['/remember/thief'], ...remembered() },
    day: {
      who: 'Thief', calls: ['/demo/wait-day', '/remember/thief'], ...remembered('A day later: '),
    },
  },
};

function remembered(later = '') {
  const start = later ? later + 'the thief' : 'The thief';
  return {
    ok: (body) => start + ' gets in, at most for ' + more(body.left) + '.',
    denied: { rejected: start + ' is out: this login has ended.' },
  };
}

function sentence({ ok, denied = {} }, answer) {
  if (answer.ok) return typeof ok === 'string' ? ok : ok(answer.body);
  if (answer.status === 503) return OUTAGE;
  if (answer.reason.includes('theft')) return NOTICED;
  const reason = Object.keys(denied).find((part) => answer.reason.includes(part));
  if (reason) return denied[reason];
  return answer.reason === 'no credential' ? FIRST : 'Refused: this login has ended.';
}

/** Does an act, and returns its sentence. */
async function act(panel, { who = 'Alice', calls, ...sentences }) {
  let answer;
  for (const path of calls) answer = await send('POST', path);
  const verdict = {
    where: panel, sentence: sentence(sentences, answer), kind: kindOf(answer, who), ok: answer.ok,
  };
  tell({ ...verdict, log: logged(answer, answer.body.effective) });
  return verdict;
}

/** Alice and the thief open the same link at the same time. */
async function race(panel) {
  const { alice, thief } = PANELS.link;
  const [her, his] = await Promise.all([act(panel, alice), act(panel, thief)]);
  if (her.ok && his.ok) return { sentence: 'Two logins by one link.', kind: 'bad' };
  if (!her.ok && !his.ok) return her;
  const winner = her.ok ? 'Alice' : 'the thief';
  return {
    sentence: 'Two clicks at once, one login: ' + winner + ' was first.',
    kind: her.ok ? 'good' : 'bad',
  };
}

// A change of role, with the three strategies of the cards.
const DEMOTE = {
  async login(mode) {
    return { answer: await ask(mode, 'login'), done: () => 'Alice is an editor.' };
  },
  async steal(mode) {
    return { answer: await ask(mode, 'steal'), who: 'Thief', done: () => 'The thief has a copy.' };
  },
  async demote(mode) {
    return {
      answer: await ask(mode, 'demote'),
      done: ({ effective }) => 'Alice is made a reader. It ' + effective + '.',
    };
  },
  async alice(mode) {
    let answer = await ask(mode, 'call');
    let renewed = '';
    if (answer.reason.includes('outdated') && (await ask(mode, 'refresh')).ok) {
      answer = await ask(mode, 'call');
      renewed = ', after a renewal';
    }
    return { answer, done: ({ roles }) => 'Alice gets in as ' + roles + renewed + '.' };
  },
  async thief(mode) {
    const answer = await ask(mode, 'thief');
    const keeps = String(answer.body.roles) === 'editor';
    return {
      answer,
      who: 'Thief',
      kind: answer.ok ? (keeps ? 'bad' : 'good') : undefined,
      done: ({ roles, left }) => {
        if (!keeps) return 'The thief is only a ' + roles + '.';
        // Each use extends a session.
        const end = mode === 'session' ? 'until Alice logs out' : 'for ' + more(left);
        return 'The thief is still an editor, ' + end + '.';
      },
      denied: thiefIsOut(mode, answer),
    };
  },
};

async function demote(pressed) {
  const verdicts = [];
  for (const mode of MODES) {
    const { answer, who = 'Alice', kind, done, denied = FIRST } = await DEMOTE[pressed](mode);
    const { effective, roles } = answer.body;
    const verdict = {
      where: nameOf(mode),
      sentence: answer.ok ? done(answer.body) : answer.status === 503 ? OUTAGE : denied,
      kind: kind || kindOf(answer, who),
    };
    const log = logged(answer, effective || (roles ? 'role ' + roles : ''));
    tell({ ...verdict, where: 'Roles, ' + verdict.where, log });
    verdicts.push(verdict);
  }
  return verdicts;
}

export function build() {
  for (const panel of document.querySelectorAll('.panel')) {
    const { panel: name } = panel.dataset;
    const title = panel.querySelector('.kicker span').textContent;
    const last = panel.querySelector('.last');
    for (const button of panel.querySelectorAll('button')) {
      button.addEventListener('click', async () => {
        const { act: pressed } = button.dataset;
        if (name === 'demote') {
          sayEach(last, await demote(pressed));
        } else {
          const done = pressed === 'both' ? race(title) : act(title, PANELS[name][pressed]);
          const { sentence: text, kind } = await done;
          say(last, text, kind);
        }
        await show();
      });
    }
  }
}
