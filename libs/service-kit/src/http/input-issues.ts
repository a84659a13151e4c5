/** Faults in the input, from zod's words to ours. */
import { type Issue, Problem } from '@plinth/problem';
import type { z } from 'zod';

/** A body of a thousand operations may have a fault in each; nobody reads more than these. */
const ISSUES_MAX = 20;

/** `invalid_request` with its issues. `what`: `the query`, `the body`. */
export function problemOfIssues(what: string, issues: readonly Issue[]): Problem {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  return new Problem('invalid_request', `${what} is not right: ${first!.path || '/'}: ${first!.message}${more}`, {
    issues: issues.slice(0, ISSUES_MAX),
  });
}

/** Zod's issues with JSON Pointers below `base`; an unknown member is an issue at its own place. */
export function toIssues(base: string, issues: readonly z.core.$ZodIssue[]): Issue[] {
  return issues.flatMap((issue) => {
    const path = base + pointer(issue.path);
    if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
    return issue.keys.map((key) => ({ path: path + pointer([key]), message: 'is not known here' }));
  });
}

/** RFC 6901: `~` and `/` in a name are written `~0` and `~1`. */
function pointer(path: readonly PropertyKey[]): string {
  return path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
