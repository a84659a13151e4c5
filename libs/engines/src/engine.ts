/** Receives one-line messages for a person who waits: "building nats-server 2.15.2: 120 packages". */
export type Progress = (line: string) => void;

/** A server somebody else runs: nothing is started or stopped here. */
export interface EngineAtUrl {
  kind: 'url';
  name: string;
  url: string;
  /** Where it came from, for tables and logs: "NATS_URL". */
  source: string;
}

/** A binary on this machine, checked to run and to be of a good version. */
export interface EngineBinary {
  kind: 'binary';
  name: string;
  version: string;
  command: string;
  /** Variables the binary needs, such as the path of libraries unpacked beside it. */
  env: Record<string, string>;
  source: string;
}

/** A container image, run with Docker. */
export interface EngineImage {
  kind: 'image';
  name: string;
  version: string;
  image: string;
  source: string;
}

/** A way to run an engine, found or fetched by `natsServer`, `redisServer` or `jaegerServer`. */
export type Engine = EngineAtUrl | EngineBinary | EngineImage;

/**
 * What a way of fetching leaves behind. Paths are absolute, or relative to the engine's folder in the cache, so that
 * a finished folder can be renamed into place.
 */
export type Fetched = { binary: string; libraries?: string[] } | { image: string };

/** Thrown by a way that cannot work on this machine; its message is the reason a person reads. */
export class WayClosed extends Error {}

/** What a way may use while it fetches. */
export interface FetchContext {
  env: NodeJS.ProcessEnv;
  /** An empty folder of this attempt alone; it becomes the engine's folder in the cache when the way succeeds. */
  stagingDir: string;
  progress: Progress;
}

/** One way to fetch an engine. It throws when it cannot: `WayClosed` for a reason of this machine. */
export interface Way {
  /** What is tried, for the error that lists the ways: "go install example.com/server@v2". */
  name: string;
  /** Where an engine came from, for tables: "Go toolchain". */
  source: string;
  fetch(context: FetchContext): Promise<Fetched>;
}

/** Everything that differs between engines when they are looked for. */
export interface Recipe {
  name: string;
  /** The environment variable with the address of a server that already runs. */
  urlVariable: string;
  /** Names to look for on PATH, best first. */
  commands: string[];
  /** The folder in the cache; it carries the pinned version, so that a new pin fetches anew. */
  cacheKey: string;
  /** What makes it print its version and end; `--version` when omitted. */
  versionArguments?: string[];
  /**
   * Reads that output.
   * @returns The version, or undefined when this is another program.
   */
  parseVersion(output: string): string | undefined;
  /** Says why a version will not do, or undefined when it is good. */
  objection(output: string): string | undefined;
  ways: Way[];
}
