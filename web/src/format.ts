// Numbers, times and ids as people read them. A value that was not measured is shown as a dash, never as a zero.

export const ABSENT = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });

export const count = (n: number): string => (n < 1e6 ? whole.format(n) : compact.format(n));

export const rate = (n: number): string => (n < 100 ? tenth.format(n) : count(n));

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

export function duration(ms: number): string {
  if (ms < 1_000) return `${whole.format(ms)} ms`;
  if (ms < 60_000) return `${tenth.format(ms / 1_000)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export function bytes(n: number): string {
  if (n < 1_024) return `${n} B`;
  return n < 1_048_576 ? `${tenth.format(n / 1_024)} KiB` : `${tenth.format(n / 1_048_576)} MiB`;
}

export const timeOfDay = (ms: number): string => clock.format(ms);

export const preciseTime = (ms: number): string => `${clock.format(ms)}.${String(ms % 1_000).padStart(3, "0")}`;

export const dateTime = (ms: number): string => `${day.format(ms)}, ${clock.format(ms)}`;

const HEX_ID = /^[0-9a-f]{16,}$/;

/** An id's first eight digits for hashes and keys; for time-ordered ids (UUIDv7) the last, which differ. */
export function shortId(id: string): string {
  if (!HEX_ID.test(id)) return id;
  return id.length === 32 && id[12] === "7" ? id.slice(-8) : id.slice(0, 8);
}

/** No characters that could reorder or hide the text around them; hostile names may hold any. */
export const plain = (text: string): string =>
  text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");
