// The list of all acts, newest first.

let now = Date.now() / 1000;

/** Sets the time of the server's clock, in seconds. */
export function setNow(seconds) {
  now = seconds;
}

/** Adds an act: where it happened, the sentence, and the reason as the server logs it. */
export function tell({ where, sentence, log, kind }) {
  const item = document.createElement('li');
  const time = new Date(now * 1000).toISOString().slice(11, 16);
  const parts = { time, where, sentence, log };
  for (const [name, text] of Object.entries(parts)) {
    const span = document.createElement('span');
    span.className = name === 'sentence' ? 'sentence ' + kind : name;
    span.textContent = text;
    item.append(span);
  }
  document.getElementById('timeline').prepend(item);
}
