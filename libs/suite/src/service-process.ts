/** How the process of a service is started: by the supervisor, by the benchmarks, and in the same way by the images. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Room for young objects, in MiB. V8's 16 lets an idle service keep some 20 MB of garbage, and a stream as much again;
 * requests leave so little alive that collecting it more often costs nothing that `npm run bench -- kv` can see.
 */
const YOUNG_OBJECTS_MIB = 16;

export interface ServiceProcess {
  command: string;
  args: string[];
  env: Record<string, string>;
}

/**
 * @param main - The service's `src/main.ts`.
 * @param cacheDir - Where compiled code is kept between starts. It must be told from outside: when the entry file
 * asks for it, Node has already loaded what strips its types, and keeps those 17 MB.
 */
export function serviceProcess(main: string, cacheDir = join(tmpdir(), 'plinth-compile-cache')): ServiceProcess {
  return {
    command: process.execPath,
    args: [`--max-semi-space-size=${YOUNG_OBJECTS_MIB}`, main],
    env: { NODE_COMPILE_CACHE: cacheDir },
  };
}
