/**
 * Chromium: where to get a browser for tests of web pages. It is run by whoever drives it; here it is only found.
 *
 * `chromium-headless-shell` is the part of Chromium without windows: a third less to fetch, and it asks for no
 * desktop's libraries.
 */
import { existsSync } from 'node:fs';
import { type AcquireOptions, acquire } from './acquire.ts';
import { checkBinary } from './cache.ts';
import type { EngineBinary, Recipe } from './engine.ts';
import { isAtLeast } from './version.ts';
import { debianPackages } from './ways/debian-packages.ts';

/** The oldest whose protocol the drivers of today speak, by far. */
const MINIMUM = '120';

/** How Chromium is found and fetched. `PLINTH_CHROMIUM` is a path: nobody shares a browser by URL. */
export const CHROMIUM_RECIPE: Recipe = {
  name: 'chromium',
  urlVariable: 'PLINTH_CHROMIUM',
  commands: ['chromium-headless-shell', 'chromium', 'google-chrome', 'chromium-browser'],
  cacheKey: 'chromium',
  parseVersion: (output) => /(?:Chromium|Chrome|HeadlessChrome)\D*?(\d+(?:\.\d+)+)/.exec(output)?.[1],
  objection(output) {
    const version = this.parseVersion(output);
    if (version === undefined) return 'this is not Chromium';
    return isAtLeast(version, MINIMUM) ? undefined : `version ${version} is older than ${MINIMUM}`;
  },
  ways: [
    debianPackages({
      // Slim images have no font, and a page without letters cannot be looked at.
      sets: [
        ['chromium-headless-shell', 'fonts-dejavu-core'],
        ['chromium', 'fonts-dejavu-core'],
      ],
      binaries: ['usr/lib/chromium/chromium-headless-shell', 'usr/lib/chromium/chromium'],
    }),
  ],
};

/**
 * Finds or fetches Chromium: the path in `PLINTH_CHROMIUM`, then PATH, the cache and Debian's packages (some 110 MB).
 *
 * @throws EngineUnavailable when every way is closed, Error when `PLINTH_CHROMIUM` names something else.
 */
export async function chromiumBrowser(options: AcquireOptions = {}): Promise<EngineBinary> {
  const { env = process.env } = options;
  const command = env.PLINTH_CHROMIUM;
  if (command) {
    if (!existsSync(command)) throw new Error(`PLINTH_CHROMIUM=${command}: there is no such file`);
    return checkBinary(CHROMIUM_RECIPE, { command, env: {}, source: 'PLINTH_CHROMIUM' });
  }
  // Every way of the recipe leads to a binary.
  return (await acquire(CHROMIUM_RECIPE, { ...options, ignoreUrl: true })) as EngineBinary;
}
