/** The project's own release: an archive from its release page, checked against the SHA256SUMS beside it. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { mustRun } from '../command.ts';
import { type FetchContext, type Progress, type Way, WayClosed } from '../engine.ts';

/** Short, so that a machine without a way out falls on to the next way quickly. */
const CONNECT_TIMEOUT_MS = 6_000;
/** The archive is about 7 MB: enough for a line of 25 kB/s. */
const DOWNLOAD_TIMEOUT_MS = 300_000;

/**
 * @param baseUrl - The release's folder of files, without a slash at the end.
 * @param archive - File name of a `.tar.gz` for a platform and architecture as Go names them.
 * @param binary - Path of the program inside the archive, for the same platform.
 */
export function officialRelease(options: {
  version: string;
  baseUrl: string;
  archive: (platform: string, arch: string) => string;
  binary: (platform: string, arch: string) => string;
}): Way {
  return {
    name: `official release ${options.version}`,
    source: 'official release',
    async fetch({ stagingDir, progress }: FetchContext) {
      const [platform, arch] = goTarget();
      const archive = options.archive(platform, arch);
      progress(`asking for the official release ${options.version}`);
      const wanted = checksumOf(archive, await text(`${options.baseUrl}/SHA256SUMS`));
      const path = join(stagingDir, archive);
      const actual = await download(`${options.baseUrl}/${archive}`, path, progress);
      if (actual !== wanted) throw new Error(`${archive} has SHA-256 ${actual}; SHA256SUMS says ${wanted}`);
      await mustRun('tar', ['-xzf', path, '-C', stagingDir]);
      return { binary: options.binary(platform, arch) };
    },
  };
}

function goTarget(): [string, string] {
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  if (arch === undefined) throw new WayClosed(`no release for ${process.arch}`);
  return [process.platform, arch];
}

/** The checksum of one file in the text of a SHA256SUMS file. */
export function checksumOf(file: string, sums: string): string {
  const line = sums.split('\n').find((candidate) => candidate.trim().split(/\s+\*?/)[1] === file);
  if (line === undefined) throw new Error(`SHA256SUMS does not name ${file}`);
  return line.trim().split(/\s+/)[0] ?? '';
}

async function text(url: string): Promise<string> {
  return (await get(url, CONNECT_TIMEOUT_MS)).text();
}

async function get(url: string, timeoutMs: number): Promise<Response> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).catch((error: Error) => {
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    throw new WayClosed(`${new URL(url).host} did not answer (${cause})`);
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response;
}

/** Streams a URL into a file. Returns the SHA-256 of what was written. */
async function download(url: string, path: string, progress: Progress): Promise<string> {
  const response = await get(url, DOWNLOAD_TIMEOUT_MS);
  const bytesTotal = Number(response.headers.get('content-length') ?? 0);
  const hash = createHash('sha256');
  let bytes = 0;
  let reported = 0;
  const body = Readable.fromWeb(response.body as import('node:stream/web').ReadableStream);
  body.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
    if (bytesTotal > 0 && bytes - reported < bytesTotal / 5) return;
    reported = bytes;
    progress(`downloading, ${(bytes / 1e6).toFixed(1)} MB${bytesTotal ? ` of ${(bytesTotal / 1e6).toFixed(1)}` : ''}`);
  });
  await pipeline(body, createWriteStream(path));
  return hash.digest('hex');
}
