// What the page knows at this moment. Views read cells and are told when one changes; only `main.ts` writes them.

import type { EventView, JobView, NodeView, Status } from "./contract";
import { shortId } from "./format";

export class Cell<T> {
  readonly #listeners = new Set<(value: T) => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    this.value = value;
    for (const listener of this.#listeners) {
      try {
        listener(value);
      } catch (error) {
        reportError(error); // one view that fails must not stop the others
      }
    }
  }

  /** Calls `listener` now and after every change, until `signal`. */
  watch(listener: (value: T) => void, signal?: AbortSignal): void {
    this.#listeners.add(listener);
    signal?.addEventListener("abort", () => this.#listeners.delete(listener));
    listener(this.value);
  }
}

export type HealthState = "connecting" | "connected" | "reconnecting" | "refused";

export interface Health {
  state: HealthState;
  detail: string;
}

const EVENTS_KEPT = 500;
const KINDS_KEPT = 64;
const BATCH_MS = 150;
const RATE_WINDOW_MS = 5_000;

/** The last events in order, each once. Arrivals are told in batches, so that a burst costs one redraw. */
export class EventLog {
  #events: EventView[] = [];
  readonly #ids = new Set<string>();
  readonly #kinds = new Set<string>();
  readonly #arrivals: number[] = [];
  #timer = 0;
  /** Told after each batch, with the events that were new in it. */
  readonly batch = new Cell<readonly EventView[]>([]);
  #fresh: EventView[] = [];

  add(event: EventView): void {
    if (this.#ids.has(event.id)) return;
    this.#ids.add(event.id);
    this.#events.push(event);
    this.#fresh.push(event);
    this.#arrivals.push(performance.now());
    if (this.#kinds.size < KINDS_KEPT) this.#kinds.add(event.kind);
    if (this.#events.length > 2 * EVENTS_KEPT) this.#trim();
    if (!this.#timer) this.#timer = window.setTimeout(() => this.#tell(), BATCH_MS);
  }

  clear(): void {
    this.#events = [];
    this.#ids.clear();
    this.#kinds.clear();
    this.batch.set([]);
  }

  /** Newest first, at most `limit` of those that `wanted` picks. */
  newest(limit: number, wanted: (event: EventView) => boolean): EventView[] {
    const found: EventView[] = [];
    for (let i = this.#events.length - 1; i >= 0 && found.length < limit; i--) {
      const event = this.#events[i];
      if (event && wanted(event)) found.push(event);
    }
    return found;
  }

  find(id: string): EventView | undefined {
    return this.#events.find((event) => event.id === id);
  }

  kinds(): string[] {
    return [...this.#kinds].sort();
  }

  perSecond(): number {
    const since = performance.now() - RATE_WINDOW_MS;
    while ((this.#arrivals[0] ?? Infinity) < since) this.#arrivals.shift();
    return this.#arrivals.length / (RATE_WINDOW_MS / 1_000);
  }

  #trim(): void {
    for (const old of this.#events.slice(0, -EVENTS_KEPT)) this.#ids.delete(old.id);
    this.#events = this.#events.slice(-EVENTS_KEPT);
  }

  #tell(): void {
    this.#timer = 0;
    const fresh = this.#fresh;
    this.#fresh = [];
    this.batch.set(fresh);
  }
}

export class Store {
  readonly status = new Cell<Status | null>(null);
  readonly nodes = new Cell<readonly NodeView[] | null>(null);
  readonly jobs = new Cell<readonly JobView[] | null>(null);
  readonly health = new Cell<Health>({ state: "connecting", detail: "" });
  readonly events = new EventLog();

  /** A node's name with the start of its id; names are chosen by the nodes and need not be unique. */
  nodeName(id: string): string {
    const node = this.nodes.get()?.find((one) => one.id === id);
    return node ? `${node.name} (${shortId(id)})` : shortId(id);
  }

  jobName(id: string): string {
    return this.jobs.get()?.find((one) => one.id === id)?.name ?? shortId(id);
  }
}
