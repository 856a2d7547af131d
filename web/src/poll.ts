// Asks again and again, one question at a time: at rest every `idleMs`, after a nudge sooner, never under `minMs`.

export class Poll {
  #timer = 0;
  #active = false;
  #busy = false;
  #nudged = false;
  #lastMs = -Infinity;

  constructor(readonly ask: () => Promise<void>, readonly minMs: number, private idleMs = minMs) {}

  start(): void {
    this.#active = true;
    this.nudge();
  }

  stop(): void {
    this.#active = false;
    clearTimeout(this.#timer);
  }

  /** From now on, asks only every `idleMs` unless nudged. */
  rest(idleMs: number): void {
    this.idleMs = idleMs;
  }

  nudge(): void {
    this.#nudged = true;
    if (this.#active && !this.#busy) this.#schedule(this.minMs);
  }

  #schedule(intervalMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#run(), Math.max(0, this.#lastMs + intervalMs - performance.now()));
  }

  async #run(): Promise<void> {
    this.#busy = true;
    this.#nudged = false;
    this.#lastMs = performance.now();
    try {
      await this.ask();
    } finally {
      this.#busy = false;
      if (this.#active) this.#schedule(this.#nudged ? this.minMs : this.idleMs);
    }
  }
}
