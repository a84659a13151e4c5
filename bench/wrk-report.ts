/** What one run of wrk found, read from the line that wrk.lua writes. */

/** A run in which every request was answered. */
export interface LoadResult {
  requests: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Bytes of one answer on average, status line and headers included. */
  answerBytesMean: number;
}

/** wrk.lua's line as it is. */
interface Line {
  requests: number;
  durationUs: number;
  bytes: number;
  p50Us: number;
  p99Us: number;
  errors: Record<'connect' | 'read' | 'write' | 'status' | 'timeout', number>;
}

/**
 * Reads wrk's output.
 * @throws Error when a request failed or none was answered: such a run says nothing about speed.
 */
export function parseWrkOutput(output: string): LoadResult {
  const json = /^plinth-bench (\{.*\})$/m.exec(output)?.[1];
  if (json === undefined) throw new Error(`wrk did not finish: ${output.trim().slice(-300) || 'it said nothing'}`);
  const line = JSON.parse(json) as Line;
  assertAllAnswered(line);
  return {
    requests: line.requests,
    perSecond: line.requests / (line.durationUs / 1e6),
    p50Ms: line.p50Us / 1_000,
    p99Ms: line.p99Us / 1_000,
    answerBytesMean: line.bytes / line.requests,
  };
}

function assertAllAnswered({ requests, errors }: Line): void {
  const failed = Object.entries(errors).filter(([, count]) => count > 0);
  if (failed.length > 0) {
    const list = failed.map(([kind, count]) => `${count} × ${kind}`).join(', ');
    throw new Error(`run void: of ${requests} answers and failures, ${list}`);
  }
  if (requests === 0) throw new Error('run void: not one answer');
}
