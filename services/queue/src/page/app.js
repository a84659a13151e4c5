/** The page, put together: views by the address behind `#`, and one clock for all of them. */
import { BoardView } from './board.js';
import { byId } from './dom.js';
import { JobView } from './job.js';
import { JobsView } from './jobs.js';
import { QueueView } from './queue.js';
import { QueuesView } from './queues.js';
import { Samples } from './samples.js';
import { SchedulesView } from './schedules.js';
import { WorkersView } from './workers.js';

/** From the end of one look to the next: a slow service is not asked more often than it answers. */
const LOOK_EVERY_MS = 2_000;

const samples = new Samples();

/** What is shown. */
let view;
let turn = 0;
let timer;

/** `#/queue/mails/jobs?state=dead` */
function readAddress() {
  const [path = '', search = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  return {
    parts: path.split('/').filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

/** Whatever somebody wrote behind `#` is shown, not thrown. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function viewAt({ parts: [room, queue, what, id], query }) {
  if (room === 'queue' && queue !== undefined) {
    if (what === 'job' && id !== undefined) return new JobView(queue, id);
    if (what === 'jobs') return new JobsView(queue, query);
    return new QueueView(queue, samples);
  }
  if (room === 'workers') return new WorkersView();
  if (room === 'schedules') return new SchedulesView();
  if (room === 'board') return new BoardView(queue === 'key');
  return new QueuesView(samples);
}

function go() {
  const address = readAddress();
  view = viewAt(address);
  say('');
  byId('title').replaceChildren(...view.title);
  document.title = `${byId('title').textContent} · Plinth`;
  byId('view').replaceChildren(view.element);
  for (const link of document.querySelectorAll('.bar nav a')) {
    if (link.hash === `#/${view.room}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  look();
}

function say(words) {
  if (byId('said').textContent !== words) byId('said').textContent = words;
}

function showLink(state, words) {
  byId('link').className = `link ${state}`;
  if (byId('link').textContent !== words) byId('link').textContent = words;
}

/** Shows the view anew, and so on; a later call takes over from an earlier one. */
async function look() {
  clearTimeout(timer);
  const mine = ++turn;
  const shown = view;
  if (!document.hidden) await lookAt(shown, () => mine === turn);
  if (mine === turn) timer = setTimeout(look, LOOK_EVERY_MS);
}

async function lookAt(shown, isCurrent) {
  try {
    await shown.refresh();
    if (isCurrent()) showLink('live', 'live');
    if (isCurrent() && byId('said').dataset.isFault) say('');
    if (isCurrent()) delete byId('said').dataset.isFault;
  } catch (error) {
    if (!isCurrent()) return;
    // A refusal is an answer; anything else is a bug of this page, which the console should have too.
    const isAnswered = error.status !== undefined;
    if (!isAnswered && error.cause === undefined) reportError(error);
    showLink(isAnswered ? 'live' : 'lost', isAnswered ? 'live' : 'no connection, trying again…');
    if (isAnswered) say(error.message);
    if (isAnswered) byId('said').dataset.isFault = 'yes';
  }
}

/** Views tell what they have done, and want to be shown anew. */
addEventListener('done', ({ detail }) => {
  say(detail);
  look();
});
// The address says which view is shown, so it must not change by this.
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('content').focus();
});
addEventListener('hashchange', go);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) look();
});
go();
