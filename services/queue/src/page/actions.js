/** What people do: asked for first where something goes away, then done, then told. */
import { askFor } from './dialog.js';
import { number } from './dom.js';
import { actionOf, ask, jobPath } from './service.js';

/** Tells what became of it; the view is then shown anew. */
const tell = (words) => dispatchEvent(new CustomEvent('done', { detail: words }));

/** What goes wrong is said like what went well. */
async function attempt(work) {
  try {
    const words = await work();
    if (words !== undefined) tell(words);
  } catch (error) {
    tell(error.message);
  }
}

const jobs = (count) => (count === 1 ? '1 job' : `${number(count)} jobs`);

export const pause = (queue, group) =>
  attempt(async () => {
    await ask('POST', actionOf(queue, 'pause'), group === undefined ? {} : { group });
    return group === undefined ? `${queue} is paused.` : `The group ${group} is paused.`;
  });

export const resume = (queue, group) =>
  attempt(async () => {
    await ask('POST', actionOf(queue, 'resume'), group === undefined ? {} : { group });
    return group === undefined ? `${queue} goes on.` : `The group ${group} goes on.`;
  });

export const pauseGroup = (queue) =>
  attempt(async () => {
    const given = await askFor({
      title: 'Pause a group',
      text: `Its jobs in ${queue} are given to nobody until it is resumed; the others go on.`,
      fields: [{ name: 'group', label: 'Group', required: true, maxLength: 256 }],
      action: 'Pause it',
    });
    if (given === undefined) return;
    await pause(queue, given.group);
  });

export const drain = (queue) =>
  attempt(async () => {
    const given = await askFor({
      title: `Drain ${queue}?`,
      text: 'What waits is removed, and nobody does it. This cannot be undone. What is being worked on goes on.',
      fields: [
        {
          name: 'what',
          label: 'Remove',
          options: [
            ['', 'what waits'],
            ['scheduled', 'also what is scheduled or retrying'],
          ],
        },
      ],
      action: 'Drain',
      isDanger: true,
    });
    if (given === undefined) return;
    const { removed } = await ask('POST', actionOf(queue, 'drain'), { scheduled: given.what === 'scheduled' });
    return `${jobs(removed)} removed.`;
  });

export const purge = (queue, state = 'completed') =>
  attempt(async () => {
    const given = await askFor({
      title: `Purge ${queue}?`,
      text: 'What has ended so is forgotten, with its results and errors. This cannot be undone.',
      fields: [
        {
          name: 'state',
          label: 'Forget what is',
          value: state,
          options: ['completed', 'dead', 'cancelled'].map((one) => [one, one]),
        },
      ],
      action: 'Purge',
      isDanger: true,
    });
    if (given === undefined) return;
    const { removed } = await ask('POST', actionOf(queue, 'purge'), { states: [given.state] });
    return `${jobs(removed)} forgotten.`;
  });

/** @param filter - Which of the dead: name, group, tag, from, until. */
export const redrive = (queue, filter = {}) =>
  attempt(async () => {
    const given = await askFor({
      title: `Redrive dead jobs of ${queue}`,
      text: 'They wait again with all their attempts anew, the oldest first. Their history is kept.',
      fields: [
        { name: 'name', label: 'Name', value: filter.name ?? '', maxLength: 128, hint: 'empty: any' },
        { name: 'group', label: 'Group', value: filter.group ?? '', maxLength: 256, hint: 'empty: any' },
        { name: 'tag', label: 'Tag', value: filter.tag ?? '', maxLength: 64, hint: 'empty: any' },
        { name: 'max', label: 'At the most', type: 'number', min: 1, max: 10_000, value: '1000', required: true },
        {
          name: 'rate',
          label: 'A second',
          type: 'number',
          min: 0.1,
          max: 10_000,
          step: 'any',
          hint: 'empty: all at once',
        },
      ],
      action: 'Redrive',
    });
    if (given === undefined) return;
    const { max, rate, ...rest } = given;
    const { from, until } = filter;
    const wish = { ...rest, from, until, max: Number(max), ...(rate && { ratePerSecond: Number(rate) }) };
    if (rate) tell('Redriving…');
    const { redriven, more } = await ask('POST', actionOf(queue, 'redrive'), wish);
    return `${jobs(redriven)} ${redriven === 1 ? 'waits' : 'wait'} again${more ? '; there may be more' : ''}.`;
  });

export const redriveOne = (queue, id) =>
  attempt(async () => {
    const { redriven } = await ask('POST', actionOf(queue, 'redrive'), { ids: [id] });
    return redriven === 1 ? `Job ${id} waits again.` : `Job ${id} is not dead any more.`;
  });

export const promote = (queue, id) =>
  attempt(async () => {
    await ask('POST', jobPath(queue, id, 'promote'));
    return `Job ${id} is due now.`;
  });

export const cancel = (queue, id) =>
  attempt(async () => {
    const given = await askFor({
      title: `Cancel job ${id}?`,
      text: 'Nobody begins it any more; a worker that has it is asked to stop.',
      fields: [{ name: 'reason', label: 'Reason', maxLength: 1_024, hint: 'kept with the job' }],
      action: 'Cancel the job',
      isDanger: true,
    });
    if (given === undefined) return;
    const { state } = await ask('POST', jobPath(queue, id, 'cancel'), given);
    return state === 'leased' ? `The worker of job ${id} is asked to stop.` : `Job ${id} is ${state}.`;
  });

export const order = (worker, action) =>
  attempt(async () => {
    const given = await askFor({
      title: action === 'quiet' ? `Quiet ${worker}?` : `Terminate ${worker}?`,
      text:
        action === 'quiet'
          ? 'It takes no new jobs, and finishes those that it has. This holds until it starts anew.'
          : 'It takes no new jobs, finishes those that it has, and ends.',
      action: action === 'quiet' ? 'Quiet it' : 'Terminate it',
      isDanger: true,
    });
    if (given === undefined) return;
    await ask('POST', `/v1/workers/${encodeURIComponent(worker)}:${action}`);
    return `${worker} hears of it with its next word.`;
  });

export const runNow = (schedule) =>
  attempt(async () => {
    const { id } = await ask('POST', `/v1/schedules/${encodeURIComponent(schedule)}:run`);
    return `Job ${id} is enqueued.`;
  });
