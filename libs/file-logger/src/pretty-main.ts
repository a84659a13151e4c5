#!/usr/bin/env node
/** Reads lines of a logger, prints them for people: `node app.js | file-logger-pretty`. */
import { StringDecoder } from 'node:string_decoder';
import { prettyLine, wantsColours } from './pretty.ts';

const colours = wantsColours(process.stdout, process.env);
const decoder = new StringDecoder('utf8');
let rest = '';

// Ctrl-C is for the program before the pipe: what it says last is still shown.
process.on('SIGINT', () => undefined);
process.stdout.on('error', () => process.exit(0));

process.stdin.on('data', (chunk: Buffer) => {
  const lines = (rest + decoder.write(chunk)).split('\n');
  rest = lines.pop() ?? '';
  const shown = lines.map((line) => prettyLine(line, { colours })).join('');
  if (shown !== '' && !process.stdout.write(shown)) {
    process.stdin.pause();
    process.stdout.once('drain', () => process.stdin.resume());
  }
});
process.stdin.on('end', () => {
  rest += decoder.end();
  if (rest !== '') process.stdout.write(prettyLine(rest, { colours }));
});
