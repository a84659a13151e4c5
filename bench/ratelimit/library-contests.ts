/** Rows of libraries: what one process pays that asks nobody. */

import { type Contender, type Contest, CPU, workingIn } from './contest.ts';
import type { Field } from './contests.ts';
import { LIBRARIES, libraryDoor, libraryTitle } from './library.ts';
import { KEYS } from './workload.ts';

export async function libraryContest({ arena }: Field): Promise<Contest[]> {
  const contenders: Contender[] = [];
  for (const name of LIBRARIES) {
    await arena.check(libraryDoor(arena, name));
    const measure = workingIn(await arena.driver('library-load.ts', [name]));
    contenders.push({ name, title: libraryTitle(name), measure });
  }
  return [{ row: 'A1', name: 'library', title: `library, ${KEYS} hot keys`, cost: CPU, contenders }];
}

export async function memoryContest({ arena }: Field): Promise<Contest[]> {
  const contenders = LIBRARIES.map((name) => ({
    name,
    title: libraryTitle(name),
    measure: async (task: Parameters<Contender['measure']>[0]) => {
      const driver = await arena.driver('library-memory.ts', [name], ['--expose-gc']);
      return workingIn(driver)(task).finally(() => driver.stop());
    },
  }));
  return [{ row: 'A2', name: 'memory', title: 'library, 500,000 keys', cost: 'bytes/key', contenders }];
}
