/** Limiters that live in the process of those who ask them, each asked as its documents say. */
import { readFileSync } from 'node:fs';
import { Limiter } from '@plinth/limiter';
import { MemoryStore, type Options } from 'express-rate-limit';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Arena } from './arena.ts';
import type { Door } from './door.ts';
import { LIMITS, type LimitName } from './workload.ts';

const PACKAGE_FILE = new URL('../../package.json', import.meta.url);

export const LIBRARIES = ['plinth', 'rate-limiter-flexible', 'express-rate-limit'] as const;
export type LibraryName = (typeof LIBRARIES)[number];

/** One limit of one library. */
export interface Library {
  /** True when the unit may be had; libraries that promise their answer are waited for, as their users do. */
  take(key: string): boolean | Promise<boolean>;
  /** Its timers keep a process alive. */
  close(): void;
}

const MAKERS: Record<LibraryName, (limit: LimitName) => Library> = {
  plinth(name) {
    const { units, windowMs } = LIMITS[name];
    const limiter = new Limiter({ limit: units, windowMs });
    return { take: (key) => limiter.take(key).isAllowed, close: () => {} };
  },
  'rate-limiter-flexible'(name) {
    const { units, windowMs } = LIMITS[name];
    const limiter = new RateLimiterMemory({ points: units, duration: windowMs / 1_000 });
    return { take: (key) => limiter.consume(key).then(() => true, deniedOrThrow), close: () => {} };
  },
  'express-rate-limit'(name) {
    const { units, windowMs } = LIMITS[name];
    const store = new MemoryStore();
    store.init({ windowMs } as Options);
    return { take: async (key) => (await store.increment(key)).totalHits <= units, close: () => store.shutdown() };
  },
};

export function library(name: LibraryName, limit: LimitName): Library {
  return MAKERS[name](limit);
}

/** It rejects with the state of the key when the limit is reached, and with an Error when something broke. */
export function deniedOrThrow(reason: unknown): boolean {
  if (reason instanceof RateLimiterRes) return false;
  throw reason;
}

/** A library as a door: one limit of each name, made when it is first asked for, and closed with the arena. */
export function libraryDoor(arena: Arena, name: LibraryName): Door {
  const made = new Map<LimitName, Library>();
  const of = (limit: LimitName): Library => {
    const known = made.get(limit) ?? library(name, limit);
    if (!made.has(limit)) arena.defer(() => known.close());
    made.set(limit, known);
    return known;
  };
  return { name: `${name}, in process`, isInProcess: true, take: async (limit, key) => of(limit).take(key) };
}

export function libraryTitle(name: LibraryName): string {
  return name === 'plinth' ? 'plinth, @plinth/limiter' : `${name} ${versionOf(name)}, memory`;
}

/** Of a package that the repository pins. */
export function versionOf(name: string): string {
  const { devDependencies } = JSON.parse(readFileSync(PACKAGE_FILE, 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  return devDependencies[name]!;
}
