/**
 * The thread that reads one large document: parsing YAML is slow, and meanwhile the service decides. What it has read
 * it hands over in parts, each when it is asked for, so that taking them costs no turn of the service's thread much.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { RulesRefused } from './fault.ts';
import { draftRules } from './parse-rules.ts';
import type { DocumentDraft } from './rule-draft.ts';
import { type DraftPart, PART_LENGTH, type ParseAnswer, type ParseOrder } from './rule-parser.ts';

const port = parentPort!;
const { text, source } = workerData as ParseOrder;
answer();

function answer(): void {
  try {
    handOver(draftRules(text, source));
  } catch (error) {
    if (!(error instanceof RulesRefused)) throw error;
    // Classes do not survive the way between threads; their members do.
    post({ faults: error.faults.map((fault) => ({ ...fault })) });
  }
}

function handOver({ rules, paths, ...head }: DocumentDraft): void {
  const rest = partsOf(rules, paths);
  port.on('message', () => port.postMessage(rest.next().value satisfies DraftPart | undefined));
  post({ head });
}

/** Rules first: paths lead to them. */
function* partsOf(rules: DocumentDraft['rules'], paths: DocumentDraft['paths']): Generator<DraftPart, undefined> {
  for (let at = 0; at < rules.length; at += PART_LENGTH) yield { rules: rules.slice(at, at + PART_LENGTH), paths: [] };
  for (let at = 0; at < paths.length; at += PART_LENGTH) yield { rules: [], paths: paths.slice(at, at + PART_LENGTH) };
}

function post(message: ParseAnswer): void {
  port.postMessage(message);
}
