/** Rules over HTTP: read, set, remove, check. What is set lives in the key-value store and is in force everywhere soon. */
import { type Call, json, type Reply, ratelimit, type Served, serve } from '@plinth/contracts';
import { LIMITS } from '@plinth/contracts/ratelimit';
import { grouped, Problem } from '@plinth/problem';
import type { LiveRules, PlacedDocument, RuleDocument } from '../core/rule-book.ts';
import { RulesRefused } from '../rules/fault.ts';
import { KV_SOURCE, type KvRules } from '../rules/kv-rules.ts';
import { parseRules } from '../rules/parse-rules.ts';
import { parseRulesAside } from '../rules/rule-parser.ts';

/** Faults in one answer. */
const FAULTS_TOLD_MAX = 100;

export interface RulesRooms {
  live: LiveRules;
  /** Undefined without a bus, or when switched off. */
  kv: KvRules | undefined;
  faults: () => readonly { source: string; line?: number | undefined; column?: number | undefined; message: string }[];
}

export function ruleOperations({ live, kv, faults }: RulesRooms): Served[] {
  const store = (): KvRules => {
    if (kv !== undefined) return kv;
    throw new Problem('unavailable', 'rules are set in the key-value store, and there is no bus to it (NATS_URL)');
  };
  const documentOf = (domain: string): PlacedDocument | undefined =>
    live.documents().find(({ document, hiddenBy }) => document.domain === domain && hiddenBy === undefined);
  const revisionOf = ({ sourceId, document }: PlacedDocument): number | undefined =>
    sourceId === KV_SOURCE ? kv?.get(document.domain)?.revision : undefined;

  return [
    serve(ratelimit.listRules, ({ query }) => {
      const inForce = live.documents().filter(({ hiddenBy }) => hiddenBy === undefined);
      const domains = inForce.map((placed) => ({
        domain: placed.document.domain,
        source: placed.document.source,
        revision: revisionOf(placed),
        rules: placed.document.rules.length,
        ...(query.text ? { text: placed.document.text } : {}),
      }));
      return json(200, { version: live.version, domains, faults: faults() });
    }),
    serve(ratelimit.getRules, ({ params }) => {
      const found = documentOf(params.domain!);
      if (found === undefined) throw rulesNotFound(params.domain!);
      const headers: Record<string, string> = {
        'content-type': 'application/yaml',
        'rules-source': found.document.source,
      };
      const revision = revisionOf(found);
      if (revision !== undefined) headers.etag = `"${revision}"`;
      return { status: 200, headers, body: found.document.text };
    }),
    serve(ratelimit.putRules, async (call) => {
      const text = textOf(call.body);
      try {
        const { revision } = await store().put(call.params.domain!, text, conditionOf(call));
        return { status: 204, headers: { etag: `"${revision}"` } };
      } catch (error) {
        throw problemOf(error);
      }
    }),
    serve(ratelimit.removeRules, async (call): Promise<Reply> => {
      const domain = call.params.domain!;
      if (await store().remove(domain, conditionOf(call))) return { status: 204 };
      throw rulesNotFound(domain);
    }),
    serve(ratelimit.checkRules, async ({ body }) => {
      const { domain, rules } = await parsed(textOf(body), 'request');
      return json(200, { domain, rules: rules.length });
    }),
  ];
}

/** @throws Problem `invalid_rules` with every fault. */
async function parsed(text: string, source: string): Promise<RuleDocument> {
  try {
    return await parseRulesAside(text, source);
  } catch (error) {
    throw problemOf(error);
  }
}

/** As `parsed`, at once: for rules that are only tried. @throws Problem `invalid_rules` */
export function compiled(text: string, domain?: string): RuleDocument {
  try {
    const document = parseRules(text, 'request');
    if (domain !== undefined && document.domain !== domain) throw otherDomain(document.domain, domain);
    return document;
  } catch (error) {
    throw problemOf(error);
  }
}

const otherDomain = (said: string, asked: string): Problem =>
  new Problem('invalid_rules', `the rules are of domain ${said}, the request says ${asked}`);

/** Where and what, as people read it; `faults` for programs. */
function problemOf(error: unknown): unknown {
  if (!(error instanceof RulesRefused)) return error;
  const faults = error.faults.slice(0, FAULTS_TOLD_MAX);
  return new Problem('invalid_rules', error.message, {
    issues: faults.map(({ path, message, line, column }) => ({ path, message, line, column })),
  });
}

function textOf(body: Uint8Array): string {
  if (body.length > LIMITS.rulesBytesMax) {
    throw new Problem(
      'body_too_large',
      `rules are ${grouped(body.length)} bytes; the most is ${grouped(LIMITS.rulesBytesMax)}`,
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new Problem('invalid_rules', 'the rules are not UTF-8');
  }
}

/** The revision that a write depends on; 0: that there is none yet. @throws Problem `invalid_precondition` */
function conditionOf(call: Pick<Call, 'header'>): number | undefined {
  const match = call.header('if-match');
  const noneMatch = call.header('if-none-match');
  if (match === undefined && noneMatch === undefined) return undefined;
  if (match === undefined && noneMatch!.trim() === '*') return 0;
  const revision = noneMatch === undefined ? /^"(\d{1,16})"$/.exec(match!.trim())?.[1] : undefined;
  if (revision !== undefined) return Number(revision);
  throw new Problem(
    'invalid_precondition',
    'one of the two: If-Match with an ETag of these rules, If-None-Match with *',
  );
}

const rulesNotFound = (domain: string): Problem => new Problem('rules_not_found', `domain ${domain} has no rules`);
