/** What the limiter tells Prometheus: by rule, never by key. */
import type { Backend } from './store/backend.ts';

export interface MetricsRooms {
  backend: Backend;
  isAway: () => boolean;
  waiting: () => number;
  rulesVersion: () => number;
  ruleFaults: () => number;
  parts: readonly { metrics(): string }[];
}

export function metrics({ backend, isAway, waiting, rulesVersion, ruleFaults, parts }: MetricsRooms): string {
  return [
    gauge(
      'backend_away',
      'The backend has failed several times in a row, and rules decide by their onError.',
      Number(isAway()),
    ),
    gauge('replicas', 'Replicas that share the limits.', backend.replicas()),
    gauge('waiting', 'Requests that wait for their turn in a leaky queue.', waiting()),
    gauge('rules_version', 'Grows with every change of the rules.', rulesVersion()),
    gauge('rules_faults', 'Faults of documents that are refused; what they said before stays in force.', ruleFaults()),
    withNewline(backend.metrics?.() ?? ''),
    ...parts.map((part) => part.metrics()),
  ].join('');
}

function gauge(name: string, help: string, value: number): string {
  const full = `plinth_ratelimit_${name}`;
  return `# HELP ${full} ${help}\n# TYPE ${full} gauge\n${full} ${value}\n`;
}

/** What follows begins a line of its own. */
function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
