/**
 * Tracing of group commits. A commit serves many requests, which live in traces of their own: it gets a span linked to
 * each of them, and each gets a span that shows its wait and links to the commit.
 */
import { batchSpan } from '@plinth/telemetry';
import type { CommitObserver } from './core/commit-queue.ts';

export const commitSpans: CommitObserver = {
  began(callers, commands, bytes) {
    if (callers.length === 0) return () => {};
    const waiting = callers.map(({ context, sinceMs }) => ({ trace: context, sinceMs }));
    const span = batchSpan('commit', waiting, { 'plinth.kv.commands': commands, 'plinth.kv.record_bytes': bytes });
    return (error) => span?.end(error);
  },
};
