/** What every service answers beside its own operations: health, metrics, documents. */
import { json, operationsOf, type Served, serve } from '@plinth/contracts';
import { openApi } from '@plinth/contracts/openapi';
import { PROBLEM_MEDIA_TYPE, Problem } from '@plinth/problem';
import { z } from 'zod';
import type { Service } from './kit.ts';

/** Where the answers come from. */
export interface StandardSources {
  name: string;
  version: string;
  service: Service;
  /** Callers need an API key. */
  isGuarded: boolean;
  /** Why the service should get no requests, part by part; a part that is well has undefined. */
  parts(): Record<string, string | undefined>;
  isStopping(): boolean;
  metrics(): string;
}

const operation = operationsOf('kit');
const get = (name: string, path: string) =>
  operation({
    name,
    summary: name,
    method: 'GET',
    path,
    // Probes and scrapers may be set up with parameters of their own.
    query: z.looseObject({}),
    body: { kind: 'none' },
    replies: [],
  });

export function standardEndpoints(sources: StandardSources): Served[] {
  let openApiText: string | undefined;
  const documentOnce = () => {
    const { name, version, service, isGuarded } = sources;
    const operations = service.operations.map((served) => served.operation);
    openApiText ??= JSON.stringify(openApi({ title: `Plinth ${name}`, version, operations, isGuarded }));
    return { status: 200, headers: { 'content-type': 'application/json' }, body: openApiText };
  };
  return [
    serve(get('healthz', '/healthz'), () => json(200, { status: 'alive' })),
    serve(get('readyz', '/readyz'), () => readiness(sources)),
    serve(get('metrics', '/metrics'), () => metrics(sources)),
    serve(get('openapi', '/openapi.json'), documentOnce),
    serve(get('version', '/version'), () => json(200, versionOf(sources))),
  ];
}

/** What is running: also a member of the start-up log line. */
export function versionOf({ name, version, service }: Pick<StandardSources, 'name' | 'version' | 'service'>) {
  return { name, version, node: process.version, ...service.describe?.() };
}

function readiness(sources: StandardSources) {
  const parts = Object.entries(sources.parts());
  const isVital = (part: string) => part !== 'bus' || !sources.service.worksWithoutBus;
  const reasons = parts.filter(([part, reason]) => reason !== undefined && isVital(part));
  const told = { parts: Object.fromEntries(parts.map(([part, reason]) => [part, reason ?? 'ready'])) };
  if (reasons.length === 0) return json(200, { status: 'ready', ...told });
  const detail = reasons.map(([part, reason]) => `${part}: ${reason}`).join('; ');
  const problem = new Problem(sources.isStopping() ? 'stopping' : 'unavailable', detail, { retryAfterMs: 1_000 });
  const answer = json(problem.status, { ...problem.toBody(), ...told }, problem.toHeaders());
  return { ...answer, headers: { ...answer.headers, 'content-type': PROBLEM_MEDIA_TYPE } };
}

function metrics({ metrics: kitMetrics, service }: StandardSources) {
  const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' };
  return { status: 200, headers, body: kitMetrics() + withNewline(service.metrics?.() ?? '') };
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
