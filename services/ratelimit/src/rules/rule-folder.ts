/** A look at a folder (or one file) of rules: which files there are, what they hold, and whether that has changed. */
import { type BigIntStats, promises as fs } from 'node:fs';
import { basename, join } from 'node:path';

const RULE_FILE = /^[^.].*\.(yaml|yml|json)$/;
/** A folder with more is the wrong folder. */
const FILES_MAX = 1_000;
/** As `parseRules`; a larger file is not even read. */
const FILE_BYTES_MAX = 8 * 1_048_576;
/** Files that are being written while they are read are read again, so often. */
const READS_MAX = 5;

export interface RuleFile {
  /** As it is called in faults: the folder as it was given, and the name. */
  readonly source: string;
  /** What is in it, or why that is not known. */
  readonly content: { readonly text: string } | { readonly unreadable: string };
}

export interface FolderState {
  /** Differs when anything may have changed. */
  readonly signature: string;
  /** By name. */
  readonly files: readonly RuleFile[];
}

/**
 * Reads all files as they were at one moment: when something changes meanwhile, it reads them again.
 *
 * Links are followed, so that a ConfigMap whose `..data` is swapped shows its old files or its new ones.
 *
 * @param path - A folder, whose files that end in .yaml, .yml or .json and do not begin with a dot count; or one file.
 * @throws ENOENT and the like when the path itself cannot be read, and when it does not stand still.
 */
export async function readRuleFolder(path: string): Promise<FolderState> {
  for (let triesLeft = READS_MAX; triesLeft > 0; triesLeft--) {
    const before = await signatureOf(path);
    const files = await Promise.all((await listed(path)).map((source) => readFile(source)));
    if ((await signatureOf(path)) === before) return { signature: before, files };
  }
  throw new Error(`${path} changed while it was read, ${READS_MAX} times`);
}

/** Changes when a file comes, goes, or is written. Cost: a `stat` for each. @throws as `readRuleFolder` */
export async function signatureOf(path: string): Promise<string> {
  const lines = await Promise.all(
    (await listed(path)).map(async (source) => {
      const stat = await fs.stat(source, { bigint: true }).catch((error) => error as NodeJS.ErrnoException);
      return `${basename(source)} ${stat instanceof Error ? stat.code : stampOf(stat)}`;
    }),
  );
  return lines.join('\n');
}

/** The change time tells of a file whose size and modification time were put back. */
const stampOf = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string => `${ino}:${size}:${mtimeNs}:${ctimeNs}`;

/** In the order of their names. */
async function listed(path: string): Promise<string[]> {
  if (!(await fs.stat(path)).isDirectory()) return [path];
  const names = (await fs.readdir(path)).filter((name) => RULE_FILE.test(name)).sort();
  if (names.length > FILES_MAX)
    throw new Error(`${path} holds ${names.length} files of rules; the most is ${FILES_MAX}`);
  return names.map((name) => join(path, name));
}

async function readFile(source: string): Promise<RuleFile> {
  try {
    const { size } = await fs.stat(source);
    if (size > FILE_BYTES_MAX)
      return { source, content: { unreadable: `${size} bytes; the most is ${FILE_BYTES_MAX}` } };
    return { source, content: { text: await fs.readFile(source, 'utf8') } };
  } catch (error) {
    return { source, content: { unreadable: (error as Error).message } };
  }
}
