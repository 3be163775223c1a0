// The cards of the three strategies.

import { OUTAGE, kindOf, logged as logOf, more, plural, say, send } from './sentences.js';
import { setNow, tell } from './timeline.js';

/** The strategies, in the order of the cards. */
export const MODES = ['session', 'token', 'hybrid'];

const ACTS = {
  login: { label: 'Log in', who: 'Alice', main: true },
  call: { label: 'Use the page', who: 'Alice' },
  refresh: { label: 'Renew', who: 'Alice', only: 'hybrid' },
  logout: { label: 'Log out', who: 'Alice' },
  everywhere: { label: 'End all her logins', who: 'Administrator' },
  steal: { label: 'Copy the secret', who: 'Thief' },
  thief: { label: 'Use the copy', who: 'Thief' },
  'steal-refresh': { label: 'Copy the second', who: 'Thief', only: 'hybrid' },
  'thief-refresh': { label: 'Renew', who: 'Thief', only: 'hybrid' },
};

const PATHS = {
  login: ['POST', '/auth/login'],
  call: ['GET', '/me'],
  refresh: ['POST', '/auth/refresh'],
  logout: ['POST', '/auth/logout'],
  everywhere: ['POST', '/revoke-all'],
  demote: ['POST', '/demote'],
  steal: ['POST', '/auth/steal'],
  thief: ['GET', '/thief'],
  'steal-refresh': ['POST', '/auth/steal-refresh'],
  'thief-refresh': ['POST', '/thief/refresh'],
};

const token = { token: null, logged: null };
const logged = document.getElementById('logged');
const listeners = [];

// The card of the token has two services: without and with a revocation log.
const service = (mode) => (mode === 'token' && logged.checked ? 'logged' : mode);
const card = (mode) => document.querySelector('[data-mode=' + mode + ']');

// When the latest logout of each service takes effect.
const ended = {};

/** Name of a strategy. */
export function nameOf(mode) {
  const name = card(mode).querySelector('h3').textContent;
  return service(mode) === 'logged' ? name + ' with log' : name;
}

/** Calls a function after each act, with the act and its answer. */
export function onAct(listener) {
  listeners.push(listener);
}

/** Does an act with one strategy, and shows nothing. */
export async function ask(mode, act) {
  let [method, path] = PATHS[act];
  // Scripts get the token in the body, and send it in `Authorization`.
  if (mode === 'token' && act === 'login') path = '/auth/token';
  const held = token[service(mode)];
  const headers = mode === 'token' && held ? { Authorization: 'Bearer ' + held } : {};
  const answer = await send(method, '/' + service(mode) + path, headers);
  if (answer.ok && act === 'login') {
    if (mode === 'token') token[service(mode)] = answer.body.access_token;
    delete ended[service(mode)];
  }
  if (answer.ok && (act === 'logout' || act === 'everywhere')) {
    ended[service(mode)] = answer.body.effective;
  }
  return answer;
}

/** Does an act with one strategy, and shows its sentence on the card and in the timeline. */
export async function run(mode, act) {
  const answer = await ask(mode, act);
  const verdict = {
    where: nameOf(mode),
    sentence: sentence(mode, act, answer),
    kind: kindOf(answer, ACTS[act].who),
  };
  say(card(mode).querySelector('.last'), verdict.sentence, verdict.kind);
  tell({ ...verdict, log: logOf(answer, done(act, answer.body)) });
  for (const listener of listeners) listener(act, answer);
  await show();
  return verdict;
}

function done(act, body) {
  switch (act) {
    case 'login': return 'logged in';
    case 'call': return 'the caller is ' + body.user;
    case 'refresh':
    case 'thief-refresh': return 'refreshed for ' + body.user;
    case 'steal':
    case 'steal-refresh': return 'stole ' + body.length + ' characters';
    case 'thief': return 'accepted as ' + body.user;
    default: return body.effective;
  }
}

function sentence(mode, act, answer) {
  if (answer.status === 503) return OUTAGE;
  const when = answer.body.effective;
  switch (act) {
    case 'login': return 'Alice is logged in.';
    case 'call': return answer.ok ? 'The server recognises Alice.' : unknownAlice(answer);
    case 'refresh': return answer.ok ? 'Alice has a new token.' : unknownAlice(answer);
    case 'logout': return answer.ok ? 'Alice has logged out. It ' + when + '.' : unknownAlice(answer);
    case 'everywhere': return 'An administrator has ended her logins. It ' + when + '.';
    case 'steal':
    case 'steal-refresh':
      return answer.ok ? 'The thief has a copy.' : 'There is nothing to copy: Alice is not logged in.';
    case 'thief-refresh':
      return answer.ok ? 'The thief has a new token.' : thiefIsOut(mode, answer);
    default: return answer.ok ? thiefIsIn(mode, answer.body) : thiefIsOut(mode, answer);
  }
}

function unknownAlice({ reason }) {
  if (reason.includes('theft')) return 'The theft is noticed: the login ends, for the thief too.';
  if (reason.includes('expired')) return 'Alice is not recognised: her token has expired.';
  if (reason.includes('outdated')) return 'Alice must renew: her token carries an old role.';
  return 'Alice is not logged in.';
}

function thiefIsIn(mode, { left }) {
  // Each use extends a session, so only its end stops the thief.
  if (mode === 'session') return 'The thief gets in, until Alice logs out.';
  return 'The thief gets in for ' + more(left) + '.';
}

/** What a denial means for the thief. */
export function thiefIsOut(mode, { reason }) {
  if (reason === 'no credential') return 'The thief has no copy yet.';
  if (reason.includes('theft')) return 'The theft is noticed: the login ends, and the thief is out.';
  if (reason.includes('expired')) return 'The thief is out: his copy has expired.';
  if (reason.includes('outdated')) return 'The thief is out: his copy carries the old role.';
  const within = /within (\d+) s/.exec(ended[service(mode)] || '');
  if (within) return 'The thief is out: within ' + within[1] + ' seconds on every server.';
  return ended[service(mode)] ? 'The thief is out at once.' : 'The thief is out: this login has ended.';
}

/** Shows what server and browser hold. Returns the state of the service. */
export async function show() {
  const { body: state } = await send('GET', '/demo/state');
  setNow(state.now);
  const { session, logged: facts, hybrid, cookies } = state.inside;
  const set = (mode, field, text) => {
    card(mode).querySelector('.' + field).textContent = text;
  };
  const rows = (of) => (of
    ? plural(of.rows, 'row') + ' of ' + of.bytes + ' bytes for alice, hashes only'
    : 'unknown: the store does not answer');
  const readable = document.cookie === ''
    ? 'nothing: document.cookie is empty' : document.cookie;
  set('session', 'server', rows(session));
  set('session', 'holds', cookies.session
    ? 'a cookie of 64 characters, HttpOnly, Secure, SameSite=Lax' : 'nothing');
  set('session', 'script', readable);

  const held = token[service('token')];
  set('token', 'server', '0 bytes for alice, and a key'
    + (logged.checked ? '; ' + plural(facts, 'fact') + ' in the log' : ''));
  set('token', 'holds', held
    ? held.length + ' characters, in a variable of this page' : 'nothing');
  set('token', 'script', held ? 'the whole token, to send it' : 'nothing');
  set('token', 'decoded', held ? decoded(held) : 'none yet');

  set('hybrid', 'server', rows(hybrid.stored) + '; ' + plural(hybrid.facts, 'fact') + ' in the log');
  set('hybrid', 'holds', cookies.hybrid
    ? 'two cookies: the access token for all requests, the refresh credential for /hybrid/auth only'
    : 'nothing');
  set('hybrid', 'script', readable);
  return state;
}

function decoded(text) {
  const parts = text.split('.').slice(0, 2).map((part) => {
    const bytes = atob(part.replace(/-/g, '+').replace(/_/g, '/'));
    return JSON.stringify(JSON.parse(bytes), null, 2);
  });
  return parts.join('\n');
}

/** Adds the buttons to the cards: those of Alice, of the thief beside her, and of an administrator. */
export function build() {
  for (const mode of MODES) {
    for (const actor of ['Alice', 'Thief', 'Administrator']) {
      const side = document.createElement('div');
      side.className = 'side';
      const heading = document.createElement('h4');
      heading.textContent = actor;
      heading.className = actor.toLowerCase();
      side.append(heading);
      for (const [act, { label, who, main, only }] of Object.entries(ACTS)) {
        if (who !== actor || (only && only !== mode)) continue;
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = label;
        button.dataset.act = act;
        if (main) button.className = 'main';
        if (who === 'Thief') button.className = 'thief';
        button.addEventListener('click', () => run(mode, act));
        side.append(button);
      }
      card(mode).querySelector('.sides').append(side);
    }
    say(card(mode).querySelector('.last'), 'Alice is not logged in.', 'wait');
  }
  logged.addEventListener('change', show);
}
