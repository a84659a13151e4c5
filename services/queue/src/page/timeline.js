/** What happened to a job from its first moment on: attempts and the waits between them, on one scale. */
import { clock, duration, el, moment, svg, tableOf } from './dom.js';

const WIDTH = 1_000;
const ROW = 10;

/**
 * @param job - As the service tells it. @param nowMs - What runs or waits does so until now.
 * @returns A table with one row for each attempt and each wait, in the order of time.
 */
export function timeline(job, nowMs) {
  const steps = stepsOf(job, nowMs);
  const fromMs = Math.min(...steps.map((step) => step.fromMs));
  const untilMs = Math.max(fromMs + 1, ...steps.map((step) => step.untilMs));
  const table = tableOf(['What', '#Took', 'When', 'How it ended', 'Worker', 'Began']);
  table.id = 'timeline';
  table.tBodies[0].append(...steps.map((step) => row(step, { fromMs, untilMs })));
  const [head] = table.tHead.rows;
  head.cells[2].replaceChildren(
    el('span.scale', null, el('span', null, clock(fromMs)), el('span', null, clock(untilMs))),
  );
  return table;
}

/** Attempts, with the waits before, between and behind them. */
export function stepsOf({ history, enqueuedAtMs, dueAtMs, state, finishedAtMs }, nowMs) {
  const steps = [];
  let atMs = enqueuedAtMs;
  for (const attempt of history) {
    // The first of a long history is not kept, so the first wait may be no wait.
    if (attempt.startedAtMs > atMs)
      steps.push({ fromMs: atMs, untilMs: attempt.startedAtMs, kind: 'wait', text: 'waited' });
    const untilMs = attempt.endedAtMs ?? nowMs;
    steps.push({
      fromMs: attempt.startedAtMs,
      untilMs,
      kind: attempt.outcome,
      text: `attempt ${attempt.attempt}`,
      attempt,
    });
    atMs = untilMs;
  }
  const isOver = ['completed', 'dead', 'cancelled'].includes(state);
  const endMs = isOver ? (finishedAtMs ?? atMs) : Math.max(nowMs, dueAtMs ?? 0);
  if (state !== 'leased' && endMs > atMs && (!isOver || endMs - atMs > 1)) {
    const until = state === 'scheduled' || state === 'retrying' ? 'waits until it is due' : `is ${state}`;
    steps.push({ fromMs: atMs, untilMs: endMs, kind: 'wait', text: isOver ? 'waited' : until });
  }
  return steps.length > 0 ? steps : [{ fromMs: enqueuedAtMs, untilMs: nowMs, kind: 'wait', text: 'waits' }];
}

function row({ fromMs, untilMs, kind, text, attempt }, span) {
  const share = (atMs) => ((atMs - span.fromMs) / (span.untilMs - span.fromMs)) * WIDTH;
  // Wide enough to be seen, however long the whole took.
  const width = Math.max(6, share(untilMs) - share(fromMs));
  const x = Math.min(share(fromMs), WIDTH - width);
  const bar = svg(
    'svg',
    { class: 'bar-row', viewBox: `0 0 ${WIDTH} ${ROW}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('rect', { class: `bar-${kind}`, x, width, y: kind === 'wait' ? 4 : 0, height: kind === 'wait' ? 2 : ROW }),
  );
  const error = attempt?.error;
  return el(
    kind === 'wait' ? 'tr.wait' : 'tr.attempt',
    null,
    el('td.time', null, text),
    el('td.number', null, duration(Math.max(0, untilMs - fromMs))),
    el('td.bars', null, bar),
    el(
      'td.why',
      null,
      attempt === undefined ? '' : el(`span.tag.outcome-${kind}`, null, kind),
      error === undefined ? '' : el('div.denies', null, `${error.type}: ${error.message}`),
    ),
    el('td.key.mono', null, attempt?.worker ?? ''),
    el('td.time', null, moment(fromMs)),
  );
}
