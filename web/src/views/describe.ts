// An event in one line. The kinds that Quorate itself writes get a sentence; any other kind its fields, as they come.

import type { EventView } from "../contract";
import { count, plural } from "../format";

type Body = Record<string, unknown>;
type Name = (id: string) => string;

const PARTS_MAX = 6;
const CHARS_MAX = 160;
const DEPTH_MAX = 3;

const text = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value).slice(0, CHARS_MAX) : "";

const items = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

const nodesOf = (values: unknown[], name: Name): string =>
  [...new Set(values.map((one) => name(text((one as Body | null)?.["node"]))))].slice(0, PARTS_MAX).join(", ");

const SENTENCES: Record<string, (body: Body, name: Name) => string[]> = {
  "realm.founded": (b) => [text(b["name"])],
  "grant.issued": (b) => [text(b["role"]), text(b["label"])],
  "node.joined": (b, name) => [name(text(b["node"])), `${text(b["slots"])} slots`],
  "node.changed": (b, name) => [name(text(b["node"])), text(b["state"]), text(b["reason"])],
  "job.submitted": (b) => [text(b["name"]), plural(items(b["tasks"]).length, "task")],
  "job.cancelled": (b) => [text(b["reason"])],
  "lease.granted": (b, name) => [plural(items(b["leases"]).length, "lease"), nodesOf(items(b["leases"]), name)],
  "lease.ended": (b) => [plural(items(b["ended"]).length, "lease"), text(b["reason"])],
  "task.answered": (b, name) => [plural(items(b["results"]).length, "result"), nodesOf(items(b["results"]), name)],
  "task.settled": (b, name) => [name(text(b["task"])), text(b["state"]), `${count(items(b["agreed"]).length)} agreed`, text(b["reason"])],
  "note": (b) => [text(b["type"]), text(typeof b["data"] === "object" ? JSON.stringify(b["data"]) : b["data"])],
};

function fields(body: unknown, name: Name): string[] {
  const parts: string[] = [];
  visit(body, "", 0);
  return parts;

  function visit(value: unknown, field: string, depth: number): void {
    if (value === null || value === undefined || value === "" || parts.length >= PARTS_MAX) return;
    if (Array.isArray(value) && value.length > 1 && field) parts.push(`${field} ×${value.length}`);
    else if (typeof value !== "object") parts.push(`${field} ${name(String(value).slice(0, CHARS_MAX))}`.trim());
    else if (depth < DEPTH_MAX) {
      for (const [key, inner] of Object.entries(value)) visit(inner, Array.isArray(value) ? field : key.slice(0, 40), depth + 1);
    }
  }
}

/** `name` gives a node's name for its id, and shortens any other id. */
export function describe(event: EventView, name: Name): string {
  if (event.body === null) return "body erased";
  const sentence = Object.hasOwn(SENTENCES, event.kind) ? SENTENCES[event.kind] : undefined;
  const known = sentence && typeof event.body === "object" && !Array.isArray(event.body);
  const parts = known ? sentence(event.body as Body, name) : fields(event.body, name);
  return parts.filter(Boolean).join(" · ").slice(0, CHARS_MAX);
}

/** How many answers a settled task's event lists as outvoted. */
export function outvoted(event: EventView): number {
  if (event.kind !== "task.settled" || typeof event.body !== "object" || event.body === null) return 0;
  return items((event.body as Body)["dissent"]).length;
}
