// Throughput and latency over the last two minutes, one sample a status. The time axis stands still; the data moves.

import uPlot from "uplot";
import { byId, h, setAttr, setText } from "../dom";
import { ABSENT, count, duration, rate } from "../format";
import type { Status } from "../contract";
import type { Store } from "../store";
import { themeChanged } from "../theme";

const WINDOW_S = 120;
const GAP_S = 5;
const HEIGHT_PX = 156;
const TICKS_S = [90, 60, 30, 0];

interface Line {
  label: string;
  tone: string; // a class that gives the colour, in light and dark
  kind: "area" | "line" | "bars";
  read(status: Status, before: Status | null): number | null;
}

interface Plan {
  id: string;
  title: string;
  lines: readonly Line[];
  show(value: number): string;
  least: number; // the axis reaches at least this far, so that noise near zero looks like noise
}

const PLANS: readonly Plan[] = [
  {
    id: "chart-throughput",
    title: "Throughput",
    show: (value) => (Number.isInteger(value) ? count(value) : rate(value)),
    least: 4,
    lines: [
      { label: "tasks a second", tone: "tone-main", kind: "area", read: (s) => s.tasksPerSecond },
      {
        label: "wrong results caught",
        tone: "tone-wrong",
        kind: "bars",
        // A counter that fell means another coordinator or a fresh one: no difference can be told.
        read: (s, before) => (before && s.rejected > before.rejected ? s.rejected - before.rejected : null),
      },
    ],
  },
  {
    id: "chart-latency",
    title: "Latency",
    show: (value) => (value === 0 ? "0" : duration(value)),
    least: 10,
    lines: [
      { label: "p50", tone: "tone-main", kind: "area", read: (s) => s.p50Ms },
      { label: "p95", tone: "tone-second", kind: "line", read: (s) => s.p95Ms },
    ],
  },
];

export function mountCharts(store: Store): void {
  for (const plan of PLANS) mountChart(plan, store);
}

function mountChart(plan: Plan, store: Store): void {
  const figure = byId(plan.id, HTMLElement);
  const legend = plan.lines.map((line) => {
    const value = h("span", { class: "num" }, ABSENT);
    const node = h("span", { class: `legend ${line.tone}` }, h("i", { class: line.kind }), `${line.label} `, value);
    return { node, value };
  });
  const canvas = h("div", { class: "canvas", role: "img" });
  figure.append(
    h("figcaption", {}, h("h2", {}, plan.title), h("p", { class: "meta" }, ...legend.map((entry) => entry.node))), canvas,
  );
  const data: (number | null)[][] = [[], ...plan.lines.map(() => [])];
  const colours = (): string[] => legend.map((entry) => getComputedStyle(entry.node).getPropertyValue("color"));

  let hovered: number | null = null;
  const showValues = (): void => {
    const index = hovered ?? (data[0]?.length ?? 0) - 1;
    const texts = plan.lines.map((line, i) => {
      const value = data[i + 1]?.[index] ?? (line.kind === "bars" && index >= 0 ? 0 : null);
      return value === null ? ABSENT : plan.show(value);
    });
    legend.forEach((entry, i) => setText(entry.value, texts[i] ?? ABSENT));
    setAttr(canvas, "aria-label", `${plan.title}: ${plan.lines.map((line, i) => `${line.label} ${texts[i]}`).join(", ")}`);
  };

  const hover = (index: number | null): void => {
    hovered = index;
    showValues();
  };
  const plot = new uPlot(options(plan, canvas, colours, hover), data as uPlot.AlignedData, canvas);
  new ResizeObserver(() => plot.setSize({ width: canvas.clientWidth, height: HEIGHT_PX })).observe(canvas);
  themeChanged.watch(() => plot.redraw());

  let before: Status | null = null;
  store.status.watch((status) => {
    if (!status) return;
    const now = Date.now() / 1_000;
    // What was not asked for (a hidden page, a lost link) is a gap, not a straight line.
    if (now - (data[0]?.at(-1) ?? now) > GAP_S) data.forEach((column, i) => column.push(i === 0 ? now - GAP_S / 2 : null));
    data[0]?.push(now);
    plan.lines.forEach((line, i) => data[i + 1]?.push(line.read(status, before)));
    before = status;
    while ((data[0]?.[0] ?? now) < now - WINDOW_S - 5) for (const column of data) column.shift();
    plot.setData(data as uPlot.AlignedData);
    showValues();
  });
}

function options(
  plan: Plan, host: HTMLElement, colours: () => string[], hover: (index: number | null) => void,
): uPlot.Options {
  const muted = (): string => getComputedStyle(host).color;
  const rule = (): string => getComputedStyle(host).borderTopColor;
  const font = `11px ${getComputedStyle(host).fontFamily}`;
  return {
    width: host.clientWidth || 300,
    height: HEIGHT_PX,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    hooks: { setCursor: [(u) => hover(u.cursor.idx ?? null)] },
    scales: {
      x: { time: false, range: () => [Date.now() / 1_000 - WINDOW_S, Date.now() / 1_000] },
      y: { range: (_u, _min, max) => [0, Math.max(plan.least, (max ?? 0) * 1.15)] },
    },
    axes: [
      {
        font, stroke: muted, size: 24, gap: 4,
        grid: { show: false },
        ticks: { show: false },
        splits: () => TICKS_S.map((ago) => Date.now() / 1_000 - ago),
        values: () => TICKS_S.map((ago) => (ago === 0 ? "now" : `${ago} s ago`)),
      },
      {
        font, stroke: muted, size: 56, gap: 6, space: 32,
        grid: { stroke: rule, width: 1 },
        ticks: { show: false },
        values: (_u, splits) => splits.map(plan.show),
      },
    ],
    series: [{}, ...plan.lines.map((line, i) => series(line, () => colours()[i] ?? "gray"))],
  };
}

function series(line: Line, colour: () => string): uPlot.Series {
  const base: uPlot.Series = { label: line.label, stroke: colour, width: 1.75, points: { show: false } };
  if (line.kind === "line") return base;
  if (line.kind === "area") return { ...base, fill: () => `color-mix(in srgb, ${colour()} 12%, transparent)` };
  const paths = uPlot.paths.bars?.({ size: [0.6, 5, 3] });
  return paths ? { ...base, width: 0, fill: colour, paths } : base;
}
