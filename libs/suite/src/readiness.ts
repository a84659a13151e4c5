/** Asks a service whether it is ready. */

/** Ready, or the reason why not. */
export type Readiness = { isReady: true } | { isReady: false; reason: string };

/** One GET of /readyz. Never throws: a service that does not answer is not ready either. */
export async function askReadiness(url: string, timeoutMs = 1_000): Promise<Readiness> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
    if (response.ok) return { isReady: true };
    return { isReady: false, reason: reasonIn(await response.text()) || `status ${response.status}` };
  } catch {
    return { isReady: false, reason: 'no answer' };
  }
}

/** The detail of a problem document, or the start of any other text. */
function reasonIn(body: string): string {
  try {
    const { detail, title, reason } = JSON.parse(body) as { detail?: string; title?: string; reason?: string };
    return detail ?? reason ?? title ?? '';
  } catch {
    return body.trim().slice(0, 200);
  }
}
