/** A browser for tests of web pages, as options for the driver's `launch`. */
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type AcquireOptions, chromiumBrowser, EngineUnavailable } from '@plinth/engines';
import { tempDir } from './temp-dir.ts';

/** What Playwright's `chromium.launch` wants to know. */
export interface ChromiumLaunch {
  executablePath: string;
  env: Record<string, string>;
  args: string[];
  headless: true;
}

/**
 * Finds or fetches Chromium.
 *
 * @returns Undefined when this machine has none and cannot fetch one; why is written to standard error, so that a test
 *   that is skipped for it says so.
 */
export async function chromiumLaunch(options: AcquireOptions = {}): Promise<ChromiumLaunch | undefined> {
  try {
    const { command, env } = await chromiumBrowser(options);
    // Chromium's sandbox refuses to run as root, and containers rarely let others make namespaces.
    const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'];
    const inherited = Object.entries(process.env).filter((pair): pair is [string, string] => pair[1] !== undefined);
    return {
      executablePath: command,
      env: { ...Object.fromEntries(inherited), ...env, ...fonts(command) },
      args,
      headless: true,
    };
  } catch (error) {
    if (!(error instanceof EngineUnavailable)) throw error;
    process.stderr.write(`browser tests are skipped: ${error.message}\n`);
    return undefined;
  }
}

/** A slim image has no list of fonts, so those that were unpacked beside the browser are named in one of our own. */
function fonts(command: string): Record<string, string> {
  const unpacked = resolve(command, '../../../share/fonts');
  if (existsSync('/etc/fonts/fonts.conf') || !existsSync(unpacked)) return {};
  const file = join(tempDir('fonts'), 'fonts.conf');
  const folders = [unpacked, '/usr/share/fonts'].map((folder) => `<dir>${folder}</dir>`);
  writeFileSync(file, `<?xml version="1.0"?><fontconfig>${folders.join('')}</fontconfig>\n`);
  return { FONTCONFIG_FILE: file };
}
