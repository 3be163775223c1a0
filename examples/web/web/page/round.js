// The guided round: four steps with all strategies at once, which tick themselves off.

import { MODES, onAct, run } from './cards.js';
import { sayEach } from './sentences.js';

const STEPS = ['login', 'steal', 'logout', 'thief'];
const HINTS = [
  'Alice is logged in, three times. Now the thief copies what her browser sends: step 2.',
  'The thief has a copy of each secret. Alice knows nothing of it, and logs out: step 3.',
  'Alice has logged out. Are the copies dead? Let the thief try: step 4.',
];

let next = 0;

function mark() {
  STEPS.forEach((step, at) => {
    const button = document.getElementById('step-' + step);
    button.classList.toggle('done', at < next);
    button.classList.toggle('next', at === next);
    button.closest('li').dataset.state = at < next ? 'done' : 'open';
    button.ariaDescription = at < next ? 'done' : '';
    button.setAttribute('aria-current', at === next ? 'step' : 'false');
  });
}

const result = document.getElementById('round-result');

function paragraph(text) {
  const element = document.createElement('p');
  element.className = 'hint';
  element.textContent = text;
  return element;
}

function conclude(verdicts) {
  sayEach(result, verdicts);
  result.append(paragraph('One theft, three answers: the cards below say why. Step 1 plays again.'));
}

/** Ticks the next step off if this act is it, wherever its button is. */
function tick(act, answer) {
  if (act !== STEPS[next]) return;
  const tried = act === 'thief' && answer.reason !== 'no credential' && answer.status !== 503;
  if (!answer.ok && !tried) return;
  next += 1;
  if (next < STEPS.length) result.replaceChildren(paragraph(HINTS[next - 1]));
  mark();
}

export function build() {
  onAct(tick);
  for (const step of STEPS) {
    document.getElementById('step-' + step).addEventListener('click', async () => {
      // The first step begins another round.
      if (step === 'login') next = 0;
      const verdicts = [];
      for (const mode of MODES) verdicts.push(await run(mode, step));
      if (step === 'thief' && next === STEPS.length) conclude(verdicts);
    });
  }
  mark();
}
