/** Logs to standard output, and then imports a package that is a link. */
import { FileSink } from '../src/file-logger.ts';

const sink = new FileSink({ descriptor: 1 });
sink.write('{"msg":"first"}\n');
await import('@plinth/testkit');
sink.write('{"msg":"imported"}\n');
