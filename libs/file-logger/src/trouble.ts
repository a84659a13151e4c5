/** Which call to the operating system fails. */
export type TroubleKind = 'open' | 'write' | 'sync' | 'rotate' | 'compress' | 'remove';

/** A log file cannot be kept as it should, or can be again: `isOver`. */
export class LogFileError extends Error {
  override readonly name = 'LogFileError';
  readonly kind: TroubleKind;
  /** As the operating system names it: ENOSPC, EACCES … */
  readonly code: string;
  /** True in the second of the two calls: it works again. */
  readonly isOver: boolean;

  constructor(kind: TroubleKind, target: string, cause: unknown, isOver: boolean) {
    const code = codeOf(cause);
    const words = `cannot ${kind} ${target}: ${cause instanceof Error ? cause.message : String(cause)}`;
    super(isOver ? `over: ${words}` : words, { cause });
    this.kind = kind;
    this.code = code;
    this.isOver = isOver;
  }
}

/** The operating system's name of an error, or `UNKNOWN`. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? 'UNKNOWN';
}

/**
 * The troubles of one log file: each is told when it begins and when it is over, however many calls fail in between.
 *
 * A full disk fails thousands of writes a second; a listener that logs each of them would be part of the trouble.
 */
export class Troubles {
  /** Failed calls since the start. */
  errors = 0;
  readonly #target: string;
  readonly #tell: (error: LogFileError) => void;
  readonly #current = new Map<TroubleKind, LogFileError>();

  constructor(target: string, tell: (error: LogFileError) => void) {
    this.#target = target;
    this.#tell = tell;
  }

  /** A call failed. @returns The error as it is told. */
  begin(kind: TroubleKind, cause: unknown): LogFileError {
    this.errors += 1;
    const known = this.#current.get(kind);
    if (known?.code === codeOf(cause)) return known;
    const error = new LogFileError(kind, this.#target, cause, false);
    this.#current.set(kind, error);
    this.#say(error);
    return error;
  }

  /** A call of this kind worked. Cost: a look into a small map. */
  end(kind: TroubleKind): void {
    if (this.#current.size === 0) return;
    const error = this.#current.get(kind);
    if (error === undefined) return;
    this.#current.delete(kind);
    this.#say(new LogFileError(kind, this.#target, error.cause, true));
  }

  /** The trouble that stands, the one that holds back lines first. */
  get current(): LogFileError | undefined {
    if (this.#current.size === 0) return undefined;
    return this.#current.get('open') ?? this.#current.get('write') ?? [...this.#current.values()][0];
  }

  /** A listener's own error must not become the logger's. */
  #say(error: LogFileError): void {
    try {
      this.#tell(error);
    } catch {
      this.errors += 1;
    }
  }
}
