/**
 * The rules of a domain as a tree: a level for each entry of a descriptor, so that looking one up costs by its depth
 * and not by how many rules there are.
 *
 * A descriptor matches a path of its own depth only. On each level an exact value goes before wildcards, these in the
 * order they are written in, and they before "any value". What happens when the better branch leads nowhere differs:
 * `greedy` gives up, as envoyproxy/ratelimit does and its configurations count on; `thorough` tries the next best.
 */
import type { Descriptor, Entry, Rule } from './rule.ts';
import { WildcardIndex } from './wildcard-index.ts';

/** What the value of an entry has to be. In a wildcard `*` stands for any number of characters. */
export type ValuePattern =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'wildcard'; readonly pattern: string }
  | { readonly kind: 'any' };

export interface Step {
  readonly key: string;
  readonly value: ValuePattern;
}

/** Which descriptors a rule is for. One rule may have several paths. */
export interface RulePath {
  /** One for each entry of the descriptor, in their order. */
  readonly steps: readonly Step[];
  /** Undefined: descriptors that come here are not limited, as if no rule were there. */
  readonly rule: Rule | undefined;
}

export type Search = 'greedy' | 'thorough';

/** A look at one branch of the tree, for people who ask why a rule does or does not match. */
export interface Trial {
  /** 0 is the first entry. */
  readonly depth: number;
  /** `user=alice` exact, `user=al*` wildcard, `user` any value; as rules are named. */
  readonly branch: string;
  readonly outcome:
    | 'matched'
    | 'no entry of this key is written here'
    | 'no such value is written here'
    | 'no wildcard here matches'
    | 'no rule for any value here'
    | 'taken, and it leads on'
    | 'taken, and it leads nowhere'
    | 'taken, and it is written without a limit'
    | 'rules go deeper, the descriptor ends here'
    | 'the descriptor goes on, rules end here';
}

interface Branch {
  readonly exact: Map<string, Node>;
  wildcards: WildcardIndex<Node> | undefined;
  any: Node | undefined;
}

interface Node {
  end: RulePath | undefined;
  branches: Map<string, Branch> | undefined;
}

export class RuleTree {
  readonly search: Search;
  /** RulePaths that are written twice, the earlier one first. The earlier one stands. */
  readonly duplicates: readonly { readonly first: RulePath; readonly second: RulePath }[];
  readonly #root: Node = { end: undefined, branches: undefined };

  /** Cost: a few hash entries per place; 10,000 places of depth 2 take about 10 ms. */
  constructor(paths: Iterable<RulePath>, search: Search) {
    this.search = search;
    const duplicates: { first: RulePath; second: RulePath }[] = [];
    for (const path of paths) {
      const node = path.steps.reduce(stepDown, this.#root);
      if (node.end === undefined) node.end = path;
      else duplicates.push({ first: node.end, second: path });
    }
    this.duplicates = duplicates;
  }

  /** The place that a descriptor belongs to. Cost: two hash look-ups per entry, more where wildcards are. */
  find(descriptor: Descriptor): RulePath | undefined {
    return this.search === 'greedy' ? this.#findGreedily(descriptor) : findThoroughly(this.#root, descriptor, 0);
  }

  /** What was looked at for a descriptor, in order, and what came of it. Slow, for people. */
  explain(descriptor: Descriptor): Trial[] {
    const trials: Trial[] = [];
    explainBelow(this.#root, { descriptor, depth: 0, search: this.search, trials });
    return trials;
  }

  #findGreedily(descriptor: Descriptor): RulePath | undefined {
    let node = this.#root;
    for (const entry of descriptor) {
      const branch = node.branches?.get(entry.key);
      if (branch === undefined) return undefined;
      const next = branch.exact.get(entry.value) ?? branch.wildcards?.first(entry.value)?.leadsTo ?? branch.any;
      if (next === undefined) return undefined;
      node = next;
    }
    return node.end;
  }
}

function stepDown(node: Node, { key, value }: Step): Node {
  node.branches ??= new Map();
  let branch = node.branches.get(key);
  if (branch === undefined) {
    branch = { exact: new Map(), wildcards: undefined, any: undefined };
    node.branches.set(key, branch);
  }
  if (value.kind === 'any') {
    branch.any ??= fresh();
    return branch.any;
  }
  if (value.kind === 'wildcard') {
    branch.wildcards ??= new WildcardIndex();
    return branch.wildcards.at(value.pattern, fresh);
  }
  const known = branch.exact.get(value.value);
  if (known !== undefined) return known;
  const next = fresh();
  branch.exact.set(value.value, next);
  return next;
}

const fresh = (): Node => ({ end: undefined, branches: undefined });

function findThoroughly(node: Node, descriptor: Descriptor, depth: number): RulePath | undefined {
  if (depth === descriptor.length) return node.end;
  const { key, value } = descriptor[depth]!;
  const branch = node.branches?.get(key);
  if (branch === undefined) return undefined;
  const exact = branch.exact.get(value);
  if (exact !== undefined) {
    const path = findThoroughly(exact, descriptor, depth + 1);
    if (path !== undefined) return path;
  }
  if (branch.wildcards !== undefined) {
    for (const { leadsTo } of branch.wildcards.all(value)) {
      const path = findThoroughly(leadsTo, descriptor, depth + 1);
      if (path !== undefined) return path;
    }
  }
  return branch.any === undefined ? undefined : findThoroughly(branch.any, descriptor, depth + 1);
}

interface Explanation {
  readonly descriptor: Descriptor;
  readonly depth: number;
  readonly search: Search;
  readonly trials: Trial[];
}

/** @returns Whether the search ends here. */
function explainBelow(node: Node, explanation: Explanation): boolean {
  const { descriptor, depth, search, trials } = explanation;
  const entry = descriptor[depth];
  if (entry === undefined) return node.end !== undefined;
  const branch = node.branches?.get(entry.key);
  if (branch === undefined) {
    const outcome = 'no entry of this key is written here';
    if (node.branches !== undefined || depth === 0) trials.push({ depth, branch: entry.key, outcome });
    return false;
  }
  for (const way of waysOf(branch, entry)) {
    if (way.node === undefined) {
      trials.push({ depth, branch: way.name, outcome: way.absence });
      continue;
    }
    const at = trials.push({ depth, branch: way.name, outcome: 'taken, and it leads on' }) - 1;
    const isEnd = explainBelow(way.node, { ...explanation, depth: depth + 1 });
    trials[at] = { depth, branch: way.name, outcome: outcomeOf(way.node, isEnd, descriptor.length === depth + 1) };
    if (isEnd || search === 'greedy') return isEnd;
  }
  return false;
}

function outcomeOf(node: Node, isEnd: boolean, isLast: boolean): Trial['outcome'] {
  if (isEnd && !isLast) return 'taken, and it leads on';
  if (isEnd) return node.end?.rule === undefined ? 'taken, and it is written without a limit' : 'matched';
  if (isLast) return 'rules go deeper, the descriptor ends here';
  return node.branches === undefined ? 'the descriptor goes on, rules end here' : 'taken, and it leads nowhere';
}

interface Way {
  readonly name: string;
  readonly node: Node | undefined;
  readonly absence: Trial['outcome'];
}

function* waysOf(branch: Branch, { key, value }: Entry): Generator<Way> {
  yield { name: `${key}=${value}`, node: branch.exact.get(value), absence: 'no such value is written here' };
  if (branch.wildcards !== undefined) {
    const absence = 'no wildcard here matches';
    const matching = branch.wildcards.all(value);
    if (matching.length === 0) yield { name: `${key}=*`, node: undefined, absence };
    for (const { pattern, leadsTo } of matching) yield { name: `${key}=${pattern}`, node: leadsTo, absence };
  }
  yield { name: key, node: branch.any, absence: 'no rule for any value here' };
}
