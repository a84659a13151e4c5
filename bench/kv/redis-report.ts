/** What one run of redis-benchmark found, read from its CSV. */

/**
 * Reads the output of `redis-benchmark --csv` with one test.
 * @throws Error when there is no line of figures, which is how it ends after an error.
 */
export function parseRedisCsv(output: string): { perSecond: number; p50Ms: number; p99Ms: number } {
  const [head = '', figures] = output.split('\n').filter((line) => line.startsWith('"'));
  if (figures === undefined) throw new Error(`redis-benchmark: run void: ${output.trim().slice(-300)}`);
  const names = cellsOf(head);
  const cells = cellsOf(figures);
  const cell = (name: string) => Number(cells[names.indexOf(name)]);
  return { perSecond: cell('rps'), p50Ms: cell('p50_latency_ms'), p99Ms: cell('p99_latency_ms') };
}

function cellsOf(line: string): string[] {
  return line.split(',').map((cell) => cell.trim().replaceAll('"', ''));
}
