// Starts the page: the clock, the store, and its parts.

import * as cards from './cards.js';
import * as panels from './panels.js';
import * as round from './round.js';
import { exactly, send } from './sentences.js';
import { tell } from './timeline.js';

let stopped = false;

async function show() {
  const state = await cards.show();
  ({ stopped } = state);
  document.getElementById('store').textContent = stopped ? 'Start the store' : 'Stop the store';
  document.getElementById('passed').value = 'Passed: ' + exactly(state.passed);
}

async function control(path, sentence) {
  const answer = await send('POST', path);
  await show();
  tell({ where: 'Clock and store', sentence, log: String(answer.status), kind: 'wait' });
}

const controls = {
  wait: () => control('/demo/wait', 'Five minutes pass.'),
  'wait-day': () => control('/demo/wait-day', 'A day passes.'),
  store: () => (stopped
    ? control('/demo/start', 'The store is back, with all its data.')
    : control('/demo/stop', 'The store does not answer. All users stay logged in.')),
};

for (const [id, press] of Object.entries(controls)) {
  document.getElementById(id).addEventListener('click', press);
}

cards.build();
round.build();
panels.build();
show();
