// The event stream: server-sent events read with fetch (EventSource cannot send a token), resumed by cursor.

import { type Api, ApiError, chunks } from "./api";
import type { EventView } from "./contract";

const FRAME_MAX_CHARS = 8 * 1024 * 1024;
const BODY_KEPT_CHARS = 32 * 1024;
const SILENCE_MAX_MS = 45_000; // heartbeats come far more often; without them the link is dead
const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 10_000;

interface Frame {
  id: string;
  data: string;
}

/** Splits text into frames, however the chunks fall. Comments (heartbeats) give none. */
class SseParser {
  #rest = "";
  #id = "";
  #data: string[] = [];

  push(chunk: string): Frame[] {
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > FRAME_MAX_CHARS) throw new Error("an event is larger than the stream allows");
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): Frame[] {
    if (line === "") {
      const frame = { id: this.#id, data: this.#data.join("\n") };
      const empty = this.#data.length === 0;
      this.#data = [];
      return empty ? [] : [frame];
    }
    const colon = line.indexOf(":");
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    const field = colon < 0 ? line : line.slice(0, colon);
    if (field === "id") this.#id = value;
    else if (field === "data") this.#data.push(value);
    return [];
  }
}

function readEvent(frame: Frame): EventView {
  const event = JSON.parse(frame.data) as EventView;
  if (frame.data.length <= BODY_KEPT_CHARS) return event;
  return { ...event, body: `${frame.data.length} characters, not kept in this page` };
}

interface Follower {
  onEvent(event: EventView): void;
  onConnected(): void;
  onLost(error: unknown): void;
}

/** Follows the stream until `signal` ends it; reconnects with backoff and misses nothing while away. */
export async function follow(api: Api, since: string, to: Follower, signal: AbortSignal): Promise<void> {
  let cursor = since;
  let delay = RETRY_BASE_MS;
  while (!signal.aborted) {
    try {
      for await (const frame of frames(api, cursor, to, signal)) {
        delay = RETRY_BASE_MS;
        if (frame.id) cursor = frame.id;
        to.onEvent(readEvent(frame));
      }
      throw new Error("the stream ended");
    } catch (error) {
      if (signal.aborted) return;
      // A cursor of another log (the data directory was replaced) will never be accepted: start at the present.
      if (error instanceof ApiError && (error.status === 400 || error.status === 404)) cursor = "";
      to.onLost(error);
    }
    await pause(delay * (0.75 + Math.random() / 2), signal);
    delay = Math.min(RETRY_CAP_MS, delay * 2);
  }
}

async function* frames(api: Api, cursor: string, to: Follower, signal: AbortSignal): AsyncGenerator<Frame> {
  const silence = new AbortController();
  const watch = (): number => window.setTimeout(() => silence.abort(), SILENCE_MAX_MS);
  let timer = watch();
  try {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (cursor) headers["Last-Event-ID"] = cursor;
    const response = await api.open("api/v1/events/stream", headers, AbortSignal.any([signal, silence.signal]));
    to.onConnected();
    const parser = new SseParser();
    const decoder = new TextDecoder();
    for await (const chunk of chunks(response)) {
      clearTimeout(timer);
      timer = watch();
      yield* parser.push(decoder.decode(chunk, { stream: true }));
    }
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
