/**
 * What a test knows of a key that only it writes: the version that was acknowledged last, and the change that was sent
 * and not yet answered. Nothing else may ever be found.
 */
import type { Answer, HttpClient } from './http-client.ts';

export interface Version {
  value: string;
  revision: number;
  expiresAt: string | undefined;
}

/** The key as it is to become; `value` undefined: deleted. */
export interface Attempt {
  value: string | undefined;
  /** Its idempotency key, where it has one. */
  id?: string;
  /** Its life may be over before anyone looks. */
  isShort?: boolean;
}

/** A moment of an `OwnedKey`. */
export interface Knowledge {
  readonly path: string;
  readonly key: string;
  readonly known: Version | undefined;
  readonly attempt: Attempt | undefined;
  /** The highest revision that was acknowledged for this key, deletions included. */
  readonly lastRevision: number;
}

export class OwnedKey implements Knowledge {
  readonly path: string;
  readonly key: string;
  known: Version | undefined;
  attempt: Attempt | undefined;
  lastRevision = 0;

  constructor(bucket: string, key: string) {
    this.key = key;
    this.path = `/v1/kv/${bucket}/${key}`;
  }

  begin(attempt: Attempt): void {
    this.attempt = attempt;
  }

  /** The attempt happened, as this answer says. */
  acknowledge(revision: number, expiresAt?: string): void {
    const { value } = this.attempt!;
    if (revision <= this.lastRevision) {
      throw new Error(`${this.key}: revision ${revision} was answered after ${this.lastRevision}`);
    }
    this.lastRevision = revision;
    this.known = value === undefined ? undefined : { value, revision, expiresAt };
    this.attempt = undefined;
  }

  acknowledgeBy({ revision, headers }: Answer): void {
    this.acknowledge(revision, headers['kv-expires-at'] as string | undefined);
  }

  /** The attempt did not happen: the service said so, or never got it. */
  giveUp(): void {
    this.attempt = undefined;
  }

  moment(): Knowledge {
    const { path, key, known, attempt, lastRevision } = this;
    return { path, key, known, attempt, lastRevision };
  }

  /** Takes what was found after a restart for what happened. @throws Error when it cannot have. */
  settle(found: Version | undefined): void {
    assertPossible(this, found);
    this.known = found;
    this.lastRevision = Math.max(this.lastRevision, found?.revision ?? 0);
    this.attempt = undefined;
  }
}

export async function readVersion(http: HttpClient, { path, key }: Knowledge): Promise<Version | undefined> {
  const answer = await http.send('GET', path);
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) throw new Error(`${key}: reading answered ${answer.status} ${answer.body}`);
  const { revision, headers } = answer;
  if (headers.etag !== `"${revision}"`) throw new Error(`${key}: ETag ${headers.etag} at revision ${revision}`);
  const expiresAt = headers['kv-expires-at'] as string | undefined;
  return { value: answer.body.toString('utf8'), revision, expiresAt };
}

/** @throws Error unless this is what was acknowledged, or what was attempted, whole. */
export function assertPossible({ key, known, attempt, lastRevision }: Knowledge, found: Version | undefined): void {
  if (isSame(known, found)) return;
  if (attempt !== undefined && attempt.value === found?.value && (found?.revision ?? Infinity) > lastRevision) return;
  if (attempt?.isShort && found === undefined) return;
  throw new Error(
    `${key}: found ${told(found)}; acknowledged was ${told(known)}` +
      (attempt === undefined ? '' : `, attempted ${told({ value: attempt.value ?? 'a deletion', revision: 0 })}`),
  );
}

function isSame(known: Version | undefined, found: Version | undefined): boolean {
  if (known === undefined) return found === undefined;
  if (found === undefined) return mayHaveExpired(known);
  if (isLongOver(known)) return false;
  return known.value === found.value && known.revision === found.revision && known.expiresAt === found.expiresAt;
}

const dueMs = ({ expiresAt }: Version): number => (expiresAt === undefined ? Infinity : Date.parse(expiresAt));
const mayHaveExpired = (version: Version): boolean => dueMs(version) <= Date.now();
/** What was found may have been read some time before this is asked. */
const isLongOver = (version: Version): boolean => dueMs(version) + 2_000 < Date.now();

const told = (version: Pick<Version, 'value' | 'revision'> | undefined): string =>
  version === undefined ? 'nothing' : `${JSON.stringify(version.value.slice(0, 40))} at ${version.revision}`;
