/** `npm run <command>`: the entry behind bootstrap.mjs, on Node 24. */
import { runSuiteCommand } from './suite.ts';

// An explicit exit, because a build that Ctrl-C left behind must not hold the terminal.
process.exit(await runSuiteCommand(process.argv.slice(2)));
