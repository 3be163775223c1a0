// Sends requests, and puts answers into plain sentences.

/** Sends a request. The answer has the status, the reason of a denial, and the body. */
export async function send(method, path, headers = {}) {
  const response = await fetch(path, { method, headers });
  const text = await response.text();
  const after = response.headers.get('retry-after');
  const reason = response.headers.get('x-demo-reason') || 'denied';
  return {
    ok: response.ok,
    status: response.status,
    reason: response.ok ? '' : reason + (after ? ', Retry-After: ' + after : ''),
    body: response.ok && text ? JSON.parse(text) : {},
  };
}

/** The log's line of an answer. */
export function logged(answer, done = '') {
  const text = answer.ok ? done : answer.reason;
  return answer.status + (text ? ', ' + text : '');
}

/** Good or bad for Alice, or neither: an outage, and a thief with empty hands. */
export function kindOf(answer, who) {
  if (answer.status === 503 || answer.reason === 'no credential') return 'wait';
  return answer.ok === (who !== 'Thief') ? 'good' : 'bad';
}

export const OUTAGE = 'No answer: the store is stopped. Nobody is logged out by that.';

/** A number with its noun. */
export function plural(count, noun) {
  return count + ' ' + noun + (count === 1 ? '' : 's');
}

/** A time in words, rounded up. The text before the unit is optional. */
export function inWords(seconds, between = '') {
  const units = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
  const [unit, size] = units.find(([, length]) => seconds >= 1.5 * length) || units[3];
  return plural(Math.ceil(seconds / size), between + unit);
}

/** A time that is left, in words. */
export function more(seconds) {
  return inWords(seconds, 'more ');
}

/** A time in whole minutes, in words. */
export function exactly(seconds) {
  const parts = [
    [Math.floor(seconds / 86400), 'day'],
    [Math.floor(seconds / 3600) % 24, 'hour'],
    [Math.floor(seconds / 60) % 60, 'minute'],
  ].filter(([count]) => count > 0);
  return parts.map(([count, unit]) => plural(count, unit)).join(', ') || '0 minutes';
}

/** Shows a sentence, with its kind. */
export function say(element, sentence, kind) {
  element.textContent = sentence;
  element.classList.remove('good', 'bad', 'wait');
  element.classList.add(kind);
}

/** Shows one sentence for each strategy. */
export function sayEach(element, verdicts) {
  const list = document.createElement('dl');
  for (const { where, sentence, kind } of verdicts) {
    const row = document.createElement('div');
    const name = document.createElement('dt');
    const text = document.createElement('dd');
    name.textContent = where;
    say(text, sentence, kind);
    row.append(name, text);
    list.append(row);
  }
  element.replaceChildren(list);
}
