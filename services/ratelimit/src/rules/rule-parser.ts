/** Reads documents without holding up decisions: small ones at once, large ones in a thread of their own. */
import { once } from 'node:events';
import { getCompileCacheDir } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { RuleDocument } from '../core/rule-book.ts';
import { RuleFault, RulesRefused } from './fault.ts';
import { parseRules } from './parse-rules.ts';
import { DocumentBuilder, type DocumentDraft } from './rule-draft.ts';

export interface ParseOrder {
  readonly text: string;
  readonly source: string;
}

/** The thread's first word. After a head come parts, one for each `null` it is sent, and undefined when it has no more. */
export type ParseAnswer =
  | { readonly head: Omit<DocumentDraft, 'rules' | 'paths'> }
  | { readonly faults: readonly Omit<RuleFault, 'toString'>[] };
export type DraftPart = Pick<DocumentDraft, 'rules' | 'paths'>;

/** About 1 ms to take over. */
export const PART_LENGTH = 250;
/** About 60 rules and 5 ms; a thread takes 100 ms to start, and a few MB while it lives. */
const ASIDE_CHARS_MIN = 8_192;

/**
 * As `parseRules`; decisions go on meanwhile.
 *
 * @throws RulesRefused with everything that is wrong with it.
 * Cost: in this thread 5 µs per rule, a millisecond at a time; in the other 100 ms, and 60–100 µs per rule.
 */
export async function parseRulesAside(text: string, source: string): Promise<RuleDocument> {
  if (text.length < ASIDE_CHARS_MIN) return parseRules(text, source);
  const worker = startWorker({ text, source });
  try {
    // Rejects with what ended the thread, were it a bug or a lack of memory.
    const answer = await nextMessage<ParseAnswer>(worker);
    if ('faults' in answer) throw new RulesRefused(answer.faults.map((fault) => new RuleFault(fault)));
    const builder = new DocumentBuilder({ text, source });
    for (;;) {
      worker.postMessage(null);
      const part = await nextMessage<DraftPart | undefined>(worker);
      if (part === undefined) return builder.finish(answer.head);
      builder.add(answer.head.domain, part);
    }
  } finally {
    void worker.terminate();
  }
}

async function nextMessage<Message>(worker: Worker): Promise<Message> {
  const [message] = (await once(worker, 'message')) as [Message];
  return message;
}

function startWorker(workerData: ParseOrder): Worker {
  const cache = getCompileCacheDir();
  return new Worker(new URL('./parse-worker.ts', import.meta.url), {
    workerData,
    name: 'rule-parser',
    // Flags of the main thread (jest's VM modules, inspectors) are none of the thread's business.
    execArgv: [],
    // A compile cache that was enabled by call is not inherited; only one in the environment is.
    ...(cache === undefined ? {} : { env: { NODE_COMPILE_CACHE: cache } }),
  });
}
