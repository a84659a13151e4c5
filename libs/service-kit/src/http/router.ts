/** Which operation a method and a path mean. */
import type { Operation, Served } from '@plinth/contracts';
import { percentDecode } from '@plinth/contracts/byte-string';
import { Problem, type ProblemCode } from '@plinth/problem';
import type { RouteMetrics } from './http-metrics.ts';
import { bySpecificity, compilePath, type PathTemplate, slashesOf } from './path-template.ts';
import { QueryReader } from './query.ts';

export interface RouteOptions {
  /** The longest body, in bytes. */
  bodyBytesMax: number;
  metrics: RouteMetrics;
  /** Answered without a key, and also when there is too much to do: otherwise a busy service would be taken for a dead one. */
  isVital?: boolean;
}

/** An operation, made ready to serve. */
export class Route {
  readonly operation: Operation;
  readonly handle: Served['handle'];
  readonly template: PathTemplate;
  readonly query: QueryReader;
  readonly bodyBytesMax: number;
  readonly metrics: RouteMetrics;
  readonly isVital: boolean;
  /** Of low cardinality: `GET /v1/kv/{bucket}/{+key}`. */
  readonly spanName: string;
  readonly #paramProblem: ProblemCode;

  constructor({ operation, handle }: Served, options: RouteOptions) {
    this.operation = operation;
    this.handle = handle;
    this.template = compilePath(operation.path);
    this.query = new QueryReader(operation.query);
    this.bodyBytesMax = options.bodyBytesMax;
    this.metrics = options.metrics;
    this.isVital = options.isVital ?? false;
    this.spanName = `${operation.method} ${operation.path}`;
    this.#paramProblem = operation.problems.includes('invalid_key') ? 'invalid_key' : 'invalid_request';
  }

  /** The raw parameters of a path of this operation, else null. What is cheap to see is looked at first. */
  match(path: string, slashes = slashesOf(path)): RegExpExecArray | null {
    const { template } = this;
    if (template.slashes !== undefined && template.slashes !== slashes) return null;
    return path.startsWith(template.literalPrefix) ? template.pattern.exec(path) : null;
  }

  /** Path parameters as byte strings. @throws Problem when one is not percent-encoded well. */
  paramsOf(captured: RegExpExecArray): Record<string, string> {
    const params: Record<string, string> = {};
    const { names } = this.template;
    for (let at = 0; at < names.length; at++) {
      const name = names[at]!;
      const value = percentDecode(captured[at + 1]!);
      if (value === undefined)
        throw new Problem(this.#paramProblem, `${name} has a % without two hex digits behind it`);
      params[name] = value;
    }
    return params;
  }
}

/** A route and what it captured. */
export interface Found {
  route: Route;
  captured: RegExpExecArray;
}

export class Router {
  readonly routes: readonly Route[];
  readonly #byMethod = new Map<string, Route[]>();

  /** @throws TypeError when two operations have one method and path: one of them could never be reached. */
  constructor(routes: readonly Route[]) {
    this.routes = routes.toSorted((a, b) => bySpecificity(a.template, b.template));
    for (const { operation } of routes) this.#byMethod.set(operation.method, []);
    for (const route of this.routes) {
      const same = this.#byMethod.get(route.operation.method)!;
      const twin = same.find(({ template }) => template.pattern.source === route.template.pattern.source);
      if (twin) throw new TypeError(`${route.operation.name} and ${twin.operation.name} are both ${route.spanName}`);
      same.push(route);
    }
  }

  /** HEAD means the GET of the same path, unless it is an operation of its own. */
  find(method: string, path: string): Found | undefined {
    const found = this.#search(method, path);
    return found === undefined && method === 'HEAD' ? this.#search('GET', path) : found;
  }

  /** The methods that a path knows, for `Allow`; empty when there is nothing at the path. */
  methodsOf(path: string): string[] {
    const methods = [...this.#byMethod.keys()].filter((method) => this.#search(method, path));
    if (methods.includes('GET') && !methods.includes('HEAD')) methods.push('HEAD');
    return methods.sort();
  }

  #search(method: string, path: string): Found | undefined {
    const routes = this.#byMethod.get(method);
    if (routes === undefined) return undefined;
    const slashes = slashesOf(path);
    for (const route of routes) {
      const captured = route.match(path, slashes);
      if (captured !== null) return { route, captured };
    }
    return undefined;
  }
}
