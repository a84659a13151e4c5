/**
 * Which values of a line are secret: paths like `a.b`, `a[*].b`, `*.token`, `a["b-c"]`.
 *
 * The paths become a tree that is walked beside the value while it is written. Nothing is copied and nothing of the
 * caller's objects changes; what `toJSON` returns is censored too, since it is what gets written.
 */

/** What the `redact` option takes: paths, or paths and what to write in place of the values. */
export type RedactOptions =
  | readonly string[]
  | {
      paths: readonly string[];
      /** Written in place of a value; a function is given the value and the keys that lead to it. Default "[Redacted]". */
      censor?: unknown;
      /** Leaves the keys out altogether. */
      remove?: boolean;
    };

/** Any key. */
const WILDCARD = '*';

/** A place in the tree of paths. */
export class RedactionNode {
  /** A path ends here: the value is censored whole. */
  isCensored = false;
  readonly members = new Map<string, RedactionNode>();
  any: RedactionNode | undefined;

  /** The node for a member, if something in it is censored. */
  below(key: string): RedactionNode | undefined {
    return this.members.get(key) ?? this.any;
  }

  /** The node for a member, made when there is none. */
  step(key: string): RedactionNode {
    const known = key === WILDCARD ? this.any : this.members.get(key);
    if (known !== undefined) return known;
    const node = new RedactionNode();
    if (key === WILDCARD) this.any = node;
    else this.members.set(key, node);
    return node;
  }

  /** Adds all that another node censors. */
  add(other: RedactionNode): void {
    this.isCensored ||= other.isCensored;
    for (const [key, node] of other.members) this.step(key).add(node);
    if (other.any !== undefined) this.step(WILDCARD).add(other.any);
  }

  /** Makes each named member censor what the wildcard beside it does, so that one look-up finds all. */
  settle(): void {
    if (this.any !== undefined) for (const node of this.members.values()) node.add(this.any);
    for (const node of this.members.values()) node.settle();
    this.any?.settle();
  }
}

/** A compiled `redact` option. */
export class Redaction {
  readonly root = new RedactionNode();
  readonly censor: unknown;
  readonly remove: boolean;

  /** @throws TypeError naming a path that cannot be understood. */
  constructor(options: RedactOptions) {
    const given = 'paths' in options ? options : { paths: options as readonly string[] };
    if (!Array.isArray(given.paths)) throw new TypeError('redact must be an array of paths, or have one as `paths`');
    this.remove = given.remove === true;
    this.censor = given.censor === undefined ? '[Redacted]' : given.censor;
    for (const path of given.paths) {
      let node = this.root;
      for (const key of pathKeys(path)) node = node.step(key);
      node.isCensored = true;
    }
    this.root.settle();
  }

  /** Whether there is no path at all. */
  get isEmpty(): boolean {
    return this.root.members.size === 0 && this.root.any === undefined;
  }
}

/** One step of a path: a name with or without a dot before it, or brackets around a name, a quoted name or `*`. */
const STEP = /(?:^|\.)([^.[\]'"\s]+)|(?:^|\.)?\[(?:"([^"]*)"|'([^']*)'|`([^`]*)`|([^\]"'`[]+))\]/y;

function pathKeys(path: unknown): string[] {
  if (typeof path !== 'string' || path === '')
    throw new TypeError('redact: each path must be a string that is not empty');
  const keys: string[] = [];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < path.length) {
    const found = STEP.exec(path);
    if (found === null) throw new TypeError(`redact: the path ${JSON.stringify(path)} cannot be understood`);
    keys.push(found.slice(1).find((part) => part !== undefined)!);
  }
  return keys;
}
