/**
 * The web page: files served as they lie in `src/page`, read once. The page is no secret, so it is given without a key;
 * what it shows it asks for like any caller.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Call, json, operationsOf, type Reply, type Served, serve } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import { z } from 'zod';

const FOLDER = new URL('../page/', import.meta.url).pathname;
const MEDIA_TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Nothing from elsewhere, nothing inline, in nobody's frame: a key with markup in it stays text, whatever it tries. */
const SECURITY = {
  'content-security-policy':
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};

interface PageFile {
  bytes: Buffer;
  headers: Record<string, string>;
}

// The page is a part of this service, not of its contract: no client calls it.
const operation = operationsOf('queue');
/** `streams`: nobody asks for it over the bus. `open`: it asks for the key itself. */
const PAGE = {
  method: 'GET',
  query: z.looseObject({}),
  body: { kind: 'none' },
  replies: [{ status: 200, description: 'A file of the page.' }],
  open: true,
  streams: true,
} as const;
const page = operation({ ...PAGE, name: 'page', summary: 'The web page', path: '/' });
const pageFile = operation({
  ...PAGE,
  name: 'pageFile',
  summary: 'What the web page is made of',
  path: '/page/{file}',
});

/** Not open: where the traces are is told to callers with a key alone. */
const pageSettings = operation({
  ...PAGE,
  open: false,
  name: 'pageSettings',
  summary: 'What the web page has to know of its surroundings',
  path: '/page:settings',
});

/** @param settings - `traceUrl`: where people look at a trace, with `{traceId}` in it. */
export function pageOperations(settings: { traceUrl?: string | undefined }): Served[] {
  const files = readFiles();
  return [
    serve(page, (call) => answer(files.get('index.html')!, call as Call)),
    serve(pageFile, (call) => {
      const file = files.get(call.params.file!);
      if (file === undefined) throw new Problem('not_found', `the page has no file ${call.params.file}`);
      return answer(file, call as Call);
    }),
    serve(pageSettings, () => json(200, { traceUrl: settings.traceUrl })),
  ];
}

function readFiles(): ReadonlyMap<string, PageFile> {
  const names = readdirSync(FOLDER).filter((name) => extension(name) in MEDIA_TYPES);
  return new Map(names.map((name) => [name, readFile(name)]));
}

function readFile(name: string): PageFile {
  const bytes = readFileSync(join(FOLDER, name));
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 16)}"`;
  const type = MEDIA_TYPES[extension(name)]!;
  // Kept by browsers, and asked about each time: a new version of the service has a new page at once.
  return { bytes, headers: { ...SECURITY, 'content-type': type, 'cache-control': 'no-cache', etag } };
}

const extension = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

function answer({ bytes, headers }: PageFile, call: Call): Reply {
  if (call.header('if-none-match') === headers.etag) return { status: 304, headers };
  return { status: 200, headers, body: bytes };
}
