/**
 * Rules from files, loaded again when they change.
 *
 * All files are read and parsed first, and take effect together. A file that is at fault is refused, with its lines, and
 * what it said before stays in force; a file that is gone takes its domain with it. When the whole folder is away
 * nothing changes: a mount that failed must not open every limit.
 *
 * Changes are told by the kernel, and looked for every few seconds as well, since it does not tell all of them: files
 * on network mounts, and those behind links.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Log } from '@plinth/service-kit';
import type { LiveRules, RuleDocument } from '../core/rule-book.ts';
import { RuleFault, RulesRefused } from './fault.ts';
import { type FolderState, type RuleFile, readRuleFolder, signatureOf } from './rule-folder.ts';
import { parseRulesAside } from './rule-parser.ts';

export interface FileRulesOptions {
  /** A folder of .yaml, .yml and .json files, or one file. */
  readonly path: string;
  readonly rules: LiveRules;
  readonly log: Log;
  /** How often to look without being told. */
  readonly pollMs?: number;
  /** Changes so close together are one: editors and deployments write in several steps. */
  readonly quietMs?: number;
}

export const FILES_SOURCE = 'files';

interface Loaded {
  readonly text: string | undefined;
  /** The last good one. */
  readonly document: RuleDocument | undefined;
  readonly faults: readonly RuleFault[];
}

export class FileRules {
  /** How often files were loaded anew, and how often one was refused. */
  readonly counts = { loads: 0, refusals: 0 };
  readonly #options: Required<FileRulesOptions>;
  #loaded: ReadonlyMap<string, Loaded> = new Map();
  #inForce: readonly RuleDocument[] = [];
  #conflicts: readonly RuleFault[] = [];
  /** The folder itself cannot be read. */
  #away: RuleFault | undefined;
  #signature: string | undefined;
  #watcher: FSWatcher | undefined;
  #watchedInode: number | undefined;
  #quietTimer: NodeJS.Timeout | undefined;
  readonly #pollTimer: NodeJS.Timeout;
  #running: Promise<void> | undefined;
  #isAskedAgain = false;
  #isStopped = false;

  private constructor(options: FileRulesOptions) {
    this.#options = { pollMs: 5_000, quietMs: 100, ...options };
    this.#pollTimer = setInterval(() => void this.check(), this.#options.pollMs).unref();
  }

  /** Resolves when the files have been read for the first time; what is wrong with them is in `faults`. */
  static async start(options: FileRulesOptions): Promise<FileRules> {
    const files = new FileRules(options);
    await files.check();
    return files;
  }

  /** What is wrong now, file by file. Empty: all that is written is in force. */
  faults(): RuleFault[] {
    const away = this.#away === undefined ? [] : [this.#away];
    return [...away, ...[...this.#loaded.values()].flatMap(({ faults }) => faults), ...this.#conflicts];
  }

  /** Looks whether anything has changed, and loads it. Resolves when what is there now is in force. */
  check(): Promise<void> {
    if (this.#running !== undefined) {
      this.#isAskedAgain = true;
      return this.#running;
    }
    this.#running = this.#checkUntilQuiet().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#pollTimer);
    clearTimeout(this.#quietTimer);
    this.#watcher?.close();
    await this.#running;
  }

  async #checkUntilQuiet(): Promise<void> {
    do {
      this.#isAskedAgain = false;
      if (this.#isStopped) return;
      this.#watch();
      await this.#checkOnce();
    } while (this.#isAskedAgain);
  }

  async #checkOnce(): Promise<void> {
    const { path } = this.#options;
    try {
      if ((await signatureOf(path)) === this.#signature) return this.#isBack();
      await this.#load(await readRuleFolder(path));
      this.#isBack();
    } catch (error) {
      this.#isAway((error as Error).message);
    }
  }

  async #load({ files, signature }: FolderState): Promise<void> {
    const loaded = new Map<string, Loaded>();
    for (const file of files) loaded.set(file.source, await this.#loadFile(file));
    if (this.#isStopped) return;
    const before = this.#loaded;
    this.#loaded = loaded;
    this.#signature = signature;
    this.#settle();
    this.counts.loads++;
    this.#tell(before);
  }

  /** One file; unchanged text is not parsed again. */
  async #loadFile({ source, content }: RuleFile): Promise<Loaded> {
    const before = this.#loaded.get(source);
    if ('unreadable' in content) {
      const faults = [faultOf(source, `cannot be read: ${content.unreadable}`)];
      return { text: undefined, document: before?.document, faults };
    }
    if (before !== undefined && before.text === content.text) return before;
    try {
      return { text: content.text, document: await parseRulesAside(content.text, source), faults: [] };
    } catch (error) {
      if (!(error instanceof RulesRefused)) throw error;
      return { text: content.text, document: before?.document, faults: error.faults };
    }
  }

  /** Puts in force what can be: where files contend for a domain, the one that has it keeps it. */
  #settle(): void {
    const holders = new Map(this.#inForce.map(({ domain, source }) => [domain, source]));
    const documents = [...this.#loaded.values()].map(({ document }) => document).filter((each) => each !== undefined);
    const chosen: RuleDocument[] = [];
    const conflicts: RuleFault[] = [];
    for (const [domain, rivals] of Map.groupBy(documents, (document) => document.domain)) {
      const winner = rivals.length === 1 ? rivals[0] : rivals.find(({ source }) => holders.get(domain) === source);
      if (winner !== undefined) chosen.push(winner);
      for (const loser of rivals) if (loser !== winner) conflicts.push(conflictOf(loser, rivals, winner));
    }
    this.#conflicts = conflicts;
    const isSame =
      chosen.length === this.#inForce.length && chosen.every((document, at) => document === this.#inForce[at]);
    this.#inForce = chosen;
    if (!isSame) this.#options.rules.replace(FILES_SOURCE, chosen);
  }

  #tell(before: ReadonlyMap<string, Loaded>): void {
    const { log } = this.#options;
    for (const [source, { faults, document }] of this.#loaded) {
      const earlier = before.get(source);
      if (faults.length > 0 && earlier?.faults !== faults) {
        this.counts.refusals++;
        const kept = document === undefined ? 'it has no rules in force' : 'its earlier rules stay in force';
        log.error(`a file of rules is refused; ${kept}`, { source, faults: faults.slice(0, 10).map(String) });
      }
      if (document !== undefined && document !== earlier?.document) {
        const { domain, rules, warnings } = document;
        log.info('rules loaded', { source, domain, rules: rules.length });
        for (const { line, message } of warnings.slice(0, 10))
          log.warn('a rule does not do what it seems to', { source, line, message });
      }
    }
    for (const source of before.keys()) if (!this.#loaded.has(source)) log.info('a file of rules is gone', { source });
    for (const { source, message } of this.#conflicts) log.error('a file of rules is refused', { source, message });
  }

  #isAway(reason: string): void {
    const message = `cannot be read: ${reason}; the rules loaded before stay in force`;
    if (this.#away === undefined)
      this.#options.log.error('the rules cannot be read; what is loaded stays in force', {
        path: this.#options.path,
        reason,
      });
    this.#away = faultOf(this.#options.path, message);
  }

  #isBack(): void {
    if (this.#away !== undefined) this.#options.log.info('the rules can be read again', { path: this.#options.path });
    this.#away = undefined;
  }

  /** Watches the folder that is there now: after it was replaced, the old watcher sees nothing. */
  #watch(): void {
    const { path } = this.#options;
    try {
      const stat = statSync(path);
      const folder = stat.isDirectory() ? path : dirname(path);
      const { ino } = stat.isDirectory() ? stat : statSync(folder);
      if (ino === this.#watchedInode) return;
      this.#watcher?.close();
      this.#watchedInode = undefined;
      this.#watcher = watch(folder, { persistent: false }, () => this.#soon());
      // Out of watches, or the folder is gone: there is the poll.
      this.#watcher.on('error', () => this.#forgetWatcher());
      this.#watchedInode = ino;
    } catch {
      this.#forgetWatcher();
    }
  }

  #forgetWatcher(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watchedInode = undefined;
  }

  #soon(): void {
    if (this.#isStopped) return;
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => void this.check(), this.#options.quietMs).unref();
  }
}

const faultOf = (source: string, message: string): RuleFault =>
  new RuleFault({ source, line: 1, column: 1, path: '', message });

function conflictOf(loser: RuleDocument, rivals: readonly RuleDocument[], winner: RuleDocument | undefined): RuleFault {
  const others = rivals.filter((rival) => rival !== loser).map(({ source }) => source);
  const end = winner === undefined ? 'none of them is in force' : `${winner.source} had it first and keeps it`;
  return faultOf(loser.source, `domain ${loser.domain} stands in ${others.join(', ')} as well; ${end}`);
}
