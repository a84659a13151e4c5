/** From the text of a document to rules. YAML or JSON, in Envoy's language or ours: what it says tells which. */
import { grouped } from '@plinth/problem';
import type { RuleDocument } from '../core/rule-book.ts';
import { DocumentReader, type Members } from './document-reader.ts';
import { DraftCollector } from './draft-collector.ts';
import { ENVOY_MEMBERS, readEnvoyRules } from './envoy-dialect.ts';
import { RuleFault, RulesRefused } from './fault.ts';
import { PLINTH_MEMBERS, readPlinthRules } from './plinth-dialect.ts';
import { DocumentBuilder, type DocumentDraft } from './rule-draft.ts';

/** As in the contract. */
const DOCUMENT_BYTES_MAX = 8 * 1_048_576;
const DOMAIN = /^[\x21-\x7e]{1,256}$/;

/**
 * Reads a document.
 *
 * @param source - What faults and rules call it: `limits/api.yaml`.
 * @throws RulesRefused with everything that is wrong with it.
 * Cost: 60–100 µs per rule, most of it YAML; `parseRulesAside` does it in another thread.
 */
export function parseRules(text: string, source: string): RuleDocument {
  const draft = draftRules(text, source);
  const builder = new DocumentBuilder({ text, source });
  builder.add(draft.domain, draft);
  return builder.finish(draft);
}

/** The part of `parseRules` that costs, without functions in what it gives. @throws RulesRefused */
export function draftRules(text: string, source: string): DocumentDraft {
  const bytes = Buffer.byteLength(text);
  if (bytes > DOCUMENT_BYTES_MAX) {
    const message = `the document has ${grouped(bytes)} bytes; the most is ${grouped(DOCUMENT_BYTES_MAX)}`;
    throw new RulesRefused([new RuleFault({ source, line: 1, column: 1, path: '', message })]);
  }
  const reader = new DocumentReader(text, source);
  // Behind an error of syntax nothing means what it says.
  const draft = reader.faults.length > 0 ? undefined : readDocument(reader);
  if (draft === undefined || reader.faults.length > 0) throw new RulesRefused(inOrder(reader.faults));
  return draft;
}

function inOrder(faults: readonly RuleFault[]): RuleFault[] {
  return faults.toSorted((left, right) => left.line - right.line || left.column - right.column);
}

function readDocument(reader: DocumentReader): DocumentDraft | undefined {
  if (reader.isEmpty(reader.root)) return reader.fault(reader.root, 'the document is empty');
  if (!reader.isMapping(reader.root))
    return reader.fault(reader.root, 'the document must be a mapping: domain, and rules or descriptors');
  const isPlinth = reader.members(reader.root).has('rules');
  const isEnvoy = reader.members(reader.root).has('descriptors');
  if (isPlinth && isEnvoy)
    return reader.fault(reader.root, 'rules and descriptors together; a document is in one language');
  const root = reader.members(
    reader.root,
    isPlinth ? PLINTH_MEMBERS : isEnvoy ? ENVOY_MEMBERS : [...PLINTH_MEMBERS, 'descriptors'],
  );
  const domain = domainOf(reader, root);
  const collector = new DraftCollector(reader, isPlinth ? 'thorough' : 'greedy');
  if (isPlinth) readPlinthRules(reader, root, collector);
  else readEnvoyRules(reader, root, collector);
  return collector.finish(domain ?? '');
}

function domainOf(reader: DocumentReader, root: Members): string | undefined {
  const item = root.get('domain');
  if (item === undefined) return reader.fault(reader.root, 'domain is missing');
  if (reader.isEmpty(item)) return reader.fault(item, 'domain is empty');
  const domain = reader.text(item);
  if (domain === undefined || DOMAIN.test(domain)) return domain;
  return reader.fault(item, `domain is ${JSON.stringify(domain)}; it must be 1–256 visible ASCII characters`);
}
