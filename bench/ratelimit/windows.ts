/** Row A13: how many units pass in any one window, of everybody, by one measure. */

import { type Excess, probe } from './boundary-probe.ts';
import type { Field } from './contests.ts';
import type { Door } from './door.ts';
import { startEnvoy } from './envoy.ts';
import { startGubernator } from './gubernator.ts';
import { LIBRARIES, libraryDoor, libraryTitle } from './library.ts';
import { PROBED, startPlinth } from './plinth.ts';
import { worstSchedule } from './schedules.ts';
import { startThrottlecrab } from './throttlecrab.ts';

const SEED = 20_260_101;
/** Enough to find the worst of an algorithm that promises no strict window. */
const SCHEDULES_OF_OTHERS = 50_000;
/** So far apart do probes begin that need not begin with the second. */
const PHASE_MS = 60;

/** The most that passed one limiter in one window. */
export interface WindowFinding extends Excess {
  name: string;
  title: string;
  how: string;
  /** Ours promises so much; a peer promises what it promises. */
  ratioMax: number | undefined;
}

/** Probes every limiter that runs here, and searches schedules for ours. */
export async function measureWindows(field: Field, schedules: number): Promise<WindowFinding[]> {
  return [...searchSchedules(schedules, field), ...(await probeAll(field))];
}

function searchSchedules(schedules: number, { arena }: Field): WindowFinding[] {
  return PROBED.map((algorithm) => {
    const count = algorithm === 'strict' ? schedules : Math.min(schedules, SCHEDULES_OF_OTHERS);
    const { seed, ...excess } = worstSchedule(algorithm, { schedules: count, seed: SEED });
    arena.progress(`windows: ${algorithm}: ${excess.admittedMax} in the worst of ${count} schedules`);
    const how = `worst of ${count.toLocaleString('en-US')} random schedules, seed ${seed}`;
    return { name: 'plinth', title: `plinth, ${algorithm}`, how, ratioMax: promiseOf(algorithm), ...excess };
  });
}

/** `strict` means what it says; the others are told by what their documents promise. */
function promiseOf(algorithm: (typeof PROBED)[number]): number | undefined {
  return algorithm === 'strict' ? 1 : undefined;
}

async function probeAll(field: Field): Promise<WindowFinding[]> {
  const doors = await doorsOf(field);
  field.arena.progress(`windows: probing ${doors.length} limiters, about 20 s`);
  return Promise.all(
    doors.map(async ({ name, title, door, ratioMax }, index) => {
      const { slackMs, ...excess } = await probe(door, index * PHASE_MS);
      const how = `probe of the running limiter, to within ${Math.ceil(slackMs)} ms`;
      return { name, title, how, ratioMax, ...excess };
    }),
  );
}

interface Probed {
  name: string;
  title: string;
  door: Door;
  ratioMax: number | undefined;
}

/** Envoy's windows are those of the wall clock, so it comes first and begins with the second. */
async function doorsOf({ arena, main }: Field): Promise<Probed[]> {
  const peer = (name: string, title: string, door: Door): Probed => ({ name, title, door, ratioMax: undefined });
  const found = [
    ...(await arena.unlessMissing('envoy', async () => {
      const { title, door } = await startEnvoy(arena, 'usual');
      return [peer('envoy', title, door)];
    })),
    ...(await arena.unlessMissing('gubernator', async () => {
      const { title, door } = await startGubernator(arena);
      return (['token', 'leaky'] as const).map((one) => peer('gubernator', `${title}, ${one} bucket`, door(one)));
    })),
    ...(await arena.unlessMissing('throttlecrab', async () => {
      const { title, respDoor } = await startThrottlecrab(arena);
      return [peer('throttlecrab', title, respDoor)];
    })),
    LIBRARIES.filter((name) => name !== 'plinth').map((name) =>
      peer(name, libraryTitle(name), libraryDoor(arena, name)),
    ),
    ...(await arena.unlessMissing('plinth', async () => {
      const { probeDoor } = await startPlinth(arena, main);
      return PROBED.map((algorithm) => ({
        name: 'plinth',
        title: `plinth, ${algorithm}, HTTP`,
        door: probeDoor(algorithm),
        ratioMax: promiseOf(algorithm),
      }));
    })),
  ];
  const doors = found.flat();
  for (const { door } of doors) await arena.check(door);
  return doors;
}
