// Bytes of a blob as text: an input, an output, or an outvoted output beside the one that was agreed on.

import type { Api, Bytes } from "../api";
import { announce, download, fill, h } from "../dom";
import { bytes, count, shortId } from "../format";
import { fault } from "./parts";

const SHOWN_MAX_BYTES = 64 * 1024;
const DUMP_BYTES = 512;

interface Content {
  text: string;
  binary: boolean;
  truncated: boolean;
  size: number;
}

function decode({ data, truncated }: Bytes): Content {
  const base = { truncated, size: data.length };
  try {
    // `stream` leaves a character cut in two by the limit aside instead of failing on it.
    return { ...base, text: new TextDecoder("utf-8", { fatal: true }).decode(data, { stream: truncated }), binary: false };
  } catch {
    const digits = [...data.subarray(0, DUMP_BYTES)].map((byte) => byte.toString(16).padStart(2, "0"));
    const lines = digits.flatMap((_, i) => (i % 16 === 0 ? [digits.slice(i, i + 16).join(" ")] : []));
    return { ...base, text: lines.join("\n"), binary: true };
  }
}

/** Where two texts part and where they meet again: `[start, end)` of `text`. */
function difference(text: string, other: string): [start: number, end: number] {
  const shortest = Math.min(text.length, other.length);
  let start = 0;
  while (start < shortest && text[start] === other[start]) start++;
  let tail = 0;
  while (tail < shortest - start && text[text.length - 1 - tail] === other[other.length - 1 - tail]) tail++;
  return [start, text.length - tail];
}

function contentNodes(content: Content, agreed: Content | null): HTMLElement[] {
  const size = content.truncated ? `The first ${bytes(content.size)}` : bytes(content.size);
  const note = content.binary ? `${size}, not text; the first ${Math.min(DUMP_BYTES, content.size)} bytes in hexadecimal` : size;
  if (!agreed || agreed.binary !== content.binary) {
    return [h("p", { class: "sub" }, note), h("pre", { tabindex: 0 }, content.text || "(empty)")];
  }
  const [start, end] = difference(content.text, agreed.text);
  const [, agreedEnd] = difference(agreed.text, content.text);
  const marked = (text: string, stop: number, name: string): HTMLElement =>
    h("pre", { tabindex: 0, "aria-label": name }, text.slice(0, start), h("mark", {}, text.slice(start, stop)), text.slice(stop));
  return [
    h("p", { class: "sub" }, `${note} · parts from the agreed output at character ${count(start + 1)}`),
    h("h4", { class: "tone-wrong" }, "This output"), marked(content.text, end, "This output"),
    h("h4", { class: "tone-good" }, "The agreed output"), marked(agreed.text, agreedEnd, "The agreed output"),
  ];
}

export class OutputView {
  readonly node = h("section", { class: "part output", hidden: true });

  constructor(readonly api: Api, readonly signal: AbortSignal) {}

  /** Shows `blob`; with `agreed`, also how it differs from that one. */
  async show(title: string, blob: string, agreed = ""): Promise<void> {
    const save = h("button", { type: "button", onclick: () => void this.#save(blob) }, "Download");
    const body = h("div", {}, h("p", { class: "sub" }, "Loading…"));
    fill(this.node, h("header", {}, h("h3", {}, title), save), body);
    this.node.hidden = false;
    this.node.scrollIntoView({ block: "nearest" });
    try {
      const [content, reference] = await Promise.all([this.#load(blob), agreed ? this.#load(agreed) : null]);
      fill(body, ...contentNodes(content, reference));
      announce(`${title} is shown`);
    } catch (error) {
      if (!this.signal.aborted) fill(body, fault(error));
    }
    this.node.scrollIntoView({ block: "nearest" });
  }

  async #load(blob: string): Promise<Content> {
    return decode(await this.api.bytes(`api/v1/blobs/${encodeURIComponent(blob)}`, SHOWN_MAX_BYTES, this.signal));
  }

  async #save(blob: string): Promise<void> {
    try {
      download(`${shortId(blob)}.bin`, await this.api.blob(`api/v1/blobs/${encodeURIComponent(blob)}`));
    } catch (error) {
      this.node.append(fault(error));
    }
  }
}
