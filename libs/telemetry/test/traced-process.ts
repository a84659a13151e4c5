/** Makes one span if the environment says so, and prints which packages of OpenTelemetry were loaded for it. */
import { registerHooks } from 'node:module';

const loaded = new Set<string>();
registerHooks({
  load(url, context, next) {
    const name = /node_modules\/@opentelemetry\/([^/]+)/.exec(url)?.[1];
    if (name !== undefined) loaded.add(name);
    return next(url, context);
  },
});

const { endSpan, serverSpan, startTelemetry, traceIdOf } = await import('../src/telemetry.ts');
const telemetry = await startTelemetry({ service: 'probe', version: '0.0.0', env: process.env });
const traced = serverSpan({}, 'GET /probe');
endSpan(traced?.span);
await telemetry.stop();
process.stdout.write(`${JSON.stringify({ loaded: [...loaded].sort(), traceId: traceIdOf(traced?.context) })}\n`);
process.exit(0);
