/** Where rules come from: files, and the key-value store over the bus. */
import type { Kit } from '@plinth/service-kit';
import type { RatelimitConfig } from './config.ts';
import type { LiveRules } from './core/rule-book.ts';
import { FileRules } from './rules/files.ts';
import { KvRules } from './rules/kv-rules.ts';

export interface RuleSourcesOptions {
  config: Pick<RatelimitConfig, 'rulesDir' | 'rulesInKv'>;
  kit: Kit;
  rules: LiveRules;
}

export class RuleSources {
  /** Undefined without a bus, or when switched off. */
  readonly kv: KvRules | undefined;
  readonly #files: FileRules | undefined;

  private constructor(files: FileRules | undefined, kv: KvRules | undefined) {
    this.#files = files;
    this.kv = kv;
  }

  /** Files have been read when this resolves; what the store has may come a moment later. */
  static async open({ config, kit, rules }: RuleSourcesOptions): Promise<RuleSources> {
    const { log, bus } = kit;
    const { rulesDir, rulesInKv } = config;
    const files = rulesDir === undefined ? undefined : await FileRules.start({ path: rulesDir, rules, log });
    const kv = bus === undefined || !rulesInKv ? undefined : new KvRules({ bus, rules, log });
    return new RuleSources(files, kv);
  }

  faults() {
    return [...(this.#files?.faults() ?? []), ...(this.kv?.faults() ?? [])];
  }

  async stop(): Promise<void> {
    await this.kv?.stop();
    await this.#files?.stop();
  }
}
