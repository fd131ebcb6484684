/** The first pause and the longest, in milliseconds, where the cluster names no time of its own. */
const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/** Of what a cluster may ask for, in milliseconds: some quotas are of a month, and operators lift them. */
const LONGEST_ASKED_MS = 24 * 3_600_000;

/**
 * Keeps a typist's requests from a cluster that has said it cannot take them.
 *
 * A pause is as long as the cluster asks for, and longer each time in a row that it refuses. What was asked before a pause
 * changes nothing of it, whatever its answer: a typist has several requests under way.
 */
export class BackOff {
  readonly #now: () => number;
  #begunAt = Number.NEGATIVE_INFINITY;
  #until = Number.NEGATIVE_INFINITY;
  #nextMs = FIRST_MS;

  /** `now` is milliseconds of a clock that is never set. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The time of a request that begins now, for what is said of it later. */
  get now(): number {
    return this.#now();
  }

  /** Milliseconds until the cluster may be asked again; 0 is now. */
  get remainingMs(): number {
    return Math.max(0, this.#until - this.#now());
  }

  refused(askedAt: number, retryAfterMs: number | undefined): void {
    if (askedAt < this.#begunAt) {
      return;
    }
    this.#begunAt = this.#now();
    this.#until = this.#begunAt + Math.max(this.#nextMs, Math.min(retryAfterMs ?? 0, LONGEST_ASKED_MS));
    this.#nextMs = Math.min(2 * this.#nextMs, LONGEST_MS);
  }

  answered(askedAt: number): void {
    if (askedAt >= this.#begunAt) {
      this.#until = Number.NEGATIVE_INFINITY;
      this.#nextMs = FIRST_MS;
    }
  }
}
