// Talks to the coordinator: one place that knows the base address, the token and how errors look.

import type { ErrorView } from "./contract";

const TIMEOUT_MS = 10_000;

export class ApiError extends Error {
  constructor(readonly status: number, readonly view: ErrorView) {
    super(view.message);
  }
}

const unreachable = (cause: unknown): ApiError =>
  new ApiError(0, {
    code: 0,
    name: "unreachable",
    message: cause instanceof DOMException && cause.name === "TimeoutError"
      ? "The coordinator took too long to answer." : "The coordinator does not answer.",
    whatToDo: "Check that it runs and that this machine can reach it.",
    requestId: "",
  });

export interface Bytes {
  data: Uint8Array<ArrayBuffer>;
  truncated: boolean;
}

export class Api {
  constructor(readonly base: URL, readonly token: () => string, readonly onRefused: () => void) {}

  async get<T>(path: string, query: Record<string, string | number> = {}, signal?: AbortSignal): Promise<T> {
    const response = await this.#fetch(this.#url(path, query), {}, signal);
    return (await response.json()) as T;
  }

  async post(path: string): Promise<void> {
    const response = await this.#fetch(this.#url(path), { method: "POST" });
    await response.body?.cancel();
  }

  async blob(path: string): Promise<Blob> {
    return (await this.#send(this.#url(path), {})).blob(); // as long as it takes
  }

  /** The first `max` bytes; the rest is not downloaded. */
  async bytes(path: string, max: number, signal: AbortSignal): Promise<Bytes> {
    const response = await this.#fetch(this.#url(path), {}, signal);
    const data = new Uint8Array(max);
    let size = 0;
    for await (const chunk of chunks(response)) {
      const part = chunk.subarray(0, max - size);
      data.set(part, size);
      size += part.length;
      if (part.length < chunk.length) return { data, truncated: true };
    }
    return { data: data.subarray(0, size), truncated: false };
  }

  /** An answer that never ends: no timeout but the caller's. */
  async open(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    return this.#send(this.#url(path), { headers, signal });
  }

  async #fetch(url: URL, init: RequestInit, signal?: AbortSignal): Promise<Response> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    return this.#send(url, { ...init, signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  }

  async #send(url: URL, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("Authorization", `Bearer ${this.token()}`);
    if (!headers.has("Accept")) headers.set("Accept", "application/json");
    const response = await fetch(url, { ...init, headers, cache: "no-store" }).catch((error: unknown) => {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw unreachable(error);
    });
    if (response.ok) return response;
    if (response.status === 401) this.onRefused();
    throw new ApiError(response.status, await errorView(response));
  }

  /** The token goes to this coordinator only, whatever address a pack's panel names. */
  #url(path: string, query: Record<string, string | number> = {}): URL {
    const url = new URL(path, this.base);
    if (url.origin !== this.base.origin) throw new Error(`refused to ask ${url.origin}: not this coordinator`);
    for (const [name, value] of Object.entries(query)) if (value !== "") url.searchParams.set(name, String(value));
    return url;
  }
}

/** A body piece by piece. Leaving the loop early ends the download. */
export async function* chunks(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  try {
    for (let step = await reader?.read(); step && !step.done; step = await reader?.read()) yield step.value;
  } finally {
    await reader?.cancel();
  }
}

async function errorView(response: Response): Promise<ErrorView> {
  const fallback: ErrorView = {
    code: 0,
    name: `http_${response.status}`,
    message: `The coordinator answered ${response.status} ${response.statusText}`.trim() + ".",
    whatToDo: "Try again; look at the coordinator's log if it stays.",
    requestId: response.headers.get("X-Request-ID") ?? "",
  };
  const body: unknown = await response.json().catch(() => null);
  const known = typeof body === "object" && body !== null && "message" in body && typeof body.message === "string";
  return known ? { ...fallback, ...(body as Partial<ErrorView>) } : fallback;
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

/** What went wrong and what to do about it, as one line of text. */
export function explain(error: unknown): string {
  if (error instanceof ApiError) return [error.view.message, error.view.whatToDo].filter(Boolean).map(sentence).join(" ");
  return error instanceof Error ? error.message : String(error);
}
