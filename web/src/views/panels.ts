// Panels that packs add: each is an operation whose items are shown as a table, whatever their fields are.

import { type Api, explain } from "../api";
import { byId, fill, h, setText } from "../dom";
import { ABSENT, dateTime, duration, plural } from "../format";
import type { PanelView } from "../contract";

const PANELS_MAX = 12;
const ROWS_MAX = 50;
const COLUMNS_MAX = 10;
const CELL_CHARS = 200;

type Item = Record<string, unknown>;

const isItem = (value: unknown): value is Item => typeof value === "object" && value !== null && !Array.isArray(value);

const TIME = /Ms$/;
const TIME_FROM_MS = 1e11; // smaller numbers of milliseconds are durations

function cell(name: string, value: unknown): string {
  if (TIME.test(name) && typeof value === "number") return value > TIME_FROM_MS ? dateTime(value) : duration(value);
  if (value === null || value === undefined || value === "") return ABSENT;
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > CELL_CHARS ? `${text.slice(0, CELL_CHARS)}…` : text;
}

/** “lastSeenMs” as “last seen”. */
const heading = (name: string): string => name.slice(0, 60).replace(TIME, "").replace(/([a-z])([A-Z])/g, "$1 $2").replace(/_/g, " ").toLowerCase();

function table(items: readonly Item[]): HTMLElement {
  const columns = [...new Set(items.flatMap((item) => Object.keys(item)))].slice(0, COLUMNS_MAX);
  const numeric = new Set(columns.filter((name) => items.every((item) => typeof item[name] === "number")));
  const kind = (name: string): string | null => (numeric.has(name) ? "num" : null);
  return h(
    "table", { class: "free" },
    h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col", class: kind(name) }, heading(name))))),
    h("tbody", {}, ...items.map((item) => h("tr", {}, ...columns.map((name) => h("td", { class: kind(name) }, cell(name, item[name])))))),
  );
}

interface Shown {
  node: HTMLElement;
  load(): Promise<void>;
}

function createPanel(api: Api, panel: PanelView): Shown {
  const meta = h("p", { class: "meta" });
  const body = h("div", { class: "scroll" });
  const node = h("section", { class: "panel pack", "aria-label": panel.title }, h("header", {}, h("h2", {}, panel.title), meta), body);
  let before = "";
  return {
    node,
    async load() {
      try {
        const answer = await api.get<{ items?: unknown }>(panel.path);
        const items = Array.isArray(answer.items) ? answer.items.filter(isItem) : [];
        setText(meta, items.length === 0 ? "Nothing yet" : plural(items.length, "row"));
        const now = JSON.stringify(items.slice(0, ROWS_MAX));
        if (now !== before) fill(body, items.length > 0 && table(items.slice(0, ROWS_MAX)));
        before = now;
      } catch (error) {
        setText(meta, explain(error));
      }
    },
  };
}

export class PackPanels {
  readonly #host = byId("panels", HTMLElement);
  #key = "";
  #shown: Shown[] = [];

  constructor(readonly api: Api) {}

  async load(): Promise<void> {
    const panels = (await this.api.get<{ items: PanelView[] }>("api/v1/panels")).items.slice(0, PANELS_MAX);
    const key = JSON.stringify(panels);
    if (key !== this.#key) {
      this.#key = key;
      this.#shown = panels.map((panel) => createPanel(this.api, panel));
      fill(this.#host, ...this.#shown.map((panel) => panel.node));
    }
    await Promise.all(this.#shown.map((panel) => panel.load()));
  }
}
