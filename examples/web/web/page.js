'use strict';

const ACTS = {
  login: { label: 'Log in', actor: 'Alice', main: true },
  call: { label: 'Call', actor: 'Alice' },
  refresh: { label: 'Refresh', actor: 'Alice', only: 'hybrid' },
  logout: { label: 'Log out', actor: 'Alice' },
  steal: { label: 'Steal the credential', actor: 'Thief', thief: true },
  thief: { label: 'Thief calls', actor: 'Thief', thief: true },
  'steal-refresh': {
    label: 'Steal the refresh credential', actor: 'Thief', thief: true, only: 'hybrid',
  },
  'thief-refresh': { label: 'Thief refreshes', actor: 'Thief', thief: true, only: 'hybrid' },
  everywhere: { label: 'Revoke everywhere', actor: 'Admin' },
};

const token = { token: null, logged: null };
const logged = document.getElementById('logged');

// The card of the token has two services: without and with a revocation log.
const service = (mode) => (mode === 'token' && logged.checked ? 'logged' : mode);

function request(mode, act) {
  const at = '/' + service(mode);
  switch (act) {
    case 'login': return ['POST', at + (mode === 'token' ? '/auth/token' : '/auth/login')];
    case 'call': return ['GET', at + '/me'];
    case 'refresh': return ['POST', at + '/auth/refresh'];
    case 'logout': return ['POST', at + '/auth/logout'];
    case 'steal': return ['POST', at + '/auth/steal'];
    case 'thief': return ['GET', at + '/thief'];
    case 'steal-refresh': return ['POST', at + '/auth/steal-refresh'];
    case 'thief-refresh': return ['POST', at + '/thief/refresh'];
    default: return ['POST', at + '/revoke-all'];
  }
}

function describe(act, { status, headers }, body) {
  if (status >= 400) {
    const after = headers.get('retry-after');
    return (headers.get('x-demo-cause') || 'denied') + (after ? ', Retry-After: ' + after : '');
  }
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

async function run(mode, act) {
  const [method, path] = request(mode, act);
  const held = token[service(mode)];
  const headers = mode === 'token' && held ? { Authorization: 'Bearer ' + held } : {};
  const response = await fetch(path, { method, headers });
  const text = await response.text();
  const body = response.ok && text ? JSON.parse(text) : {};
  const ok = response.status < 400;
  if (ok && act === 'login' && mode === 'token') token[service(mode)] = body.access_token;
  report(mode, act, response.status, describe(act, response, body));
  await show();
}

function report(mode, act, status, text) {
  const { label, actor, thief } = ACTS[act];
  const card = document.querySelector('[data-mode=' + mode + ']');
  const last = card.querySelector('.last');
  // A denied thief is good news.
  const good = (status < 400) !== Boolean(thief);
  const kind = status === 503 ? 'wait' : good ? 'good' : 'bad';
  last.textContent = actor + ': ' + status + ', ' + text;
  last.className = 'last ' + kind;
  const name = card.querySelector('h2').textContent;
  line([name + (service(mode) === 'logged' ? ', log' : ''), label, String(status), text], kind);
}

function line(texts, kind) {
  const item = document.createElement('li');
  const time = new Date(now * 1000).toISOString().slice(11, 19);
  [time, ...texts].forEach((text, at) => {
    const span = document.createElement('span');
    span.textContent = text;
    if (at > 2) span.className = kind;
    item.append(span);
  });
  document.getElementById('timeline').prepend(item);
}

let now = Date.now() / 1000;
let stopped = false;

const plural = (count, noun) => count + ' ' + noun + (count === 1 ? '' : 's');

async function show() {
  const state = await (await fetch('/demo/state')).json();
  ({ now, stopped } = state);
  document.getElementById('store').textContent = stopped ? 'Start the store' : 'Stop the store';
  document.getElementById('passed').value = state.passed / 60 + ' minutes have passed';
  const set = (mode, field, text) => {
    document.querySelector('[data-mode=' + mode + '] .' + field).textContent = text;
  };
  const rows = (of) => (of
    ? plural(of.rows, 'row') + ' of ' + of.bytes + ' bytes for alice, hashes only'
    : 'unknown: the store does not answer');
  set('session', 'server', rows(state.session));
  set('session', 'holds', state.cookies.session
    ? 'a cookie of 64 characters, HttpOnly, Secure, SameSite=Lax' : 'nothing');
  set('session', 'script', readable());

  const held = token[service('token')];
  const facts = (of) => plural(of.facts, 'fact') + ' in the log';
  set('token', 'server', '0 bytes for alice, and a key'
    + (logged.checked ? '; ' + facts(state.logged) : ''));
  set('token', 'holds', held
    ? held.length + ' characters, in a variable of this page' : 'nothing');
  set('token', 'script', held ? 'the whole token, to send it' : 'nothing');
  set('token', 'decoded', held ? decoded(held) : '');

  set('hybrid', 'server', rows(state.hybrid.stored) + '; ' + facts(state.hybrid));
  set('hybrid', 'holds', state.cookies.hybrid
    ? 'two cookies: the access token for all requests, the refresh credential for /hybrid/auth only'
    : 'nothing');
  set('hybrid', 'script', readable());
}

function readable() {
  return document.cookie === '' ? 'nothing: document.cookie is empty' : document.cookie;
}

function decoded(text) {
  const parts = text.split('.').slice(0, 2).map((part) => {
    const bytes = atob(part.replace(/-/g, '+').replace(/_/g, '/'));
    return JSON.stringify(JSON.parse(bytes), null, 2);
  });
  return parts.join('\n');
}

for (const card of document.querySelectorAll('.card')) {
  const mode = card.dataset.mode;
  for (const [act, { label, main, thief, only }] of Object.entries(ACTS)) {
    if (only && only !== mode) continue;
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.dataset.act = act;
    if (main) button.className = 'main';
    if (thief) button.className = 'thief';
    button.addEventListener('click', () => run(mode, act));
    card.querySelector('.buttons').append(button);
  }
}

async function control(path, label, text) {
  now = (await (await fetch(path, { method: 'POST' })).json()).now;
  line(['', label, '', text], 'wait');
  await show();
}

document.getElementById('wait').addEventListener('click',
  () => control('/demo/wait', 'Wait', 'five minutes have passed'));

document.getElementById('store').addEventListener('click', () => (stopped
  ? control('/demo/start', 'Start the store', 'all its data is still there')
  : control('/demo/stop', 'Stop the store', 'every call of it fails; all users stay logged in')));

logged.addEventListener('change', show);
show();
