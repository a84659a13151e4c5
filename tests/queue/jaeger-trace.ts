/** A trace as Jaeger tells it, and as a tree in text. */

export interface Span {
  readonly id: string;
  readonly parentId: string | undefined;
  /** Of spans elsewhere that this one follows from. */
  readonly links: readonly { readonly traceId: string; readonly id: string }[];
  readonly service: string;
  readonly name: string;
  readonly kind: string;
  readonly startMs: number;
  readonly ms: number;
  readonly tags: Readonly<Record<string, string | number | boolean>>;
}

interface JaegerSpan {
  readonly spanID: string;
  readonly processID: string;
  readonly operationName: string;
  /** Microseconds. */
  readonly startTime: number;
  readonly duration: number;
  readonly references: readonly { readonly refType: string; readonly traceID: string; readonly spanID: string }[];
  readonly tags: readonly { readonly key: string; readonly value: string | number | boolean }[];
}

interface JaegerTrace {
  readonly spans: readonly JaegerSpan[];
  readonly processes: Readonly<Record<string, { readonly serviceName: string }>>;
}

/** None when Jaeger does not know it (yet). */
export async function fetchTrace(jaegerUrl: string, traceId: string): Promise<Span[]> {
  const answer = await fetch(`${jaegerUrl}/api/traces/${traceId}`);
  const { data } = (await answer.json()) as { data?: JaegerTrace[] | null };
  return (data ?? []).flatMap(({ spans, processes }) => spans.map((span) => spanOf(span, processes)));
}

function spanOf(span: JaegerSpan, processes: JaegerTrace['processes']): Span {
  const { references } = span;
  const tags = Object.fromEntries(span.tags.map(({ key, value }) => [key, value]));
  return {
    id: span.spanID,
    parentId: references.find(({ refType }) => refType === 'CHILD_OF')?.spanID,
    links: references
      .filter(({ refType }) => refType === 'FOLLOWS_FROM')
      .map(({ traceID, spanID }) => ({ traceId: traceID, id: spanID })),
    service: processes[span.processID]!.serviceName,
    name: span.operationName,
    kind: `${tags['span.kind'] ?? 'internal'}`,
    startMs: span.startTime / 1_000,
    ms: span.duration / 1_000,
    tags,
  };
}

/** One line a span, those below it indented, in the order of time. */
export function treeOf(spans: readonly Span[]): string {
  const ids = new Set(spans.map(({ id }) => id));
  const lines: string[] = [];
  const add = (span: Span, depth: number): void => {
    const branch = depth === 0 ? '' : `${'   '.repeat(depth - 1)}└─ `;
    const error = span.tags.error === true ? `  ✗ ${span.tags['error.type'] ?? ''}` : '';
    lines.push(`${branch}${span.service}  ${span.name}  ${span.kind}${error}`);
    for (const child of inTime(spans.filter(({ parentId }) => parentId === span.id))) add(child, depth + 1);
  };
  for (const root of inTime(spans.filter(({ parentId }) => parentId === undefined || !ids.has(parentId)))) add(root, 0);
  return lines.join('\n');
}

const inTime = (spans: readonly Span[]): Span[] => spans.toSorted((one, other) => one.startMs - other.startMs);
