// The six numbers that say how the swarm is doing.

import { byId, h, setAttr, setText } from "../dom";
import { ABSENT, count, duration, plural, rate } from "../format";
import type { NodeView, Status, TaskState } from "../contract";
import type { Store } from "../store";

interface Reading {
  value: string;
  note: string;
  alert?: boolean;
}

const total = (status: Status): number => Object.values(status.tasks).reduce((sum, n) => sum + n, 0);

const inState = (status: Status, state: TaskState): number => status.tasks[state] ?? 0;

const shown = (ms: number | null): string => (ms === null ? ABSENT : duration(ms));

function caughtBy(status: Status, nodes: readonly NodeView[]): string {
  const differing = nodes.filter((node) => node.evidence[1] > 0).length;
  if (status.rejected === 0) return "every answer agreed";
  return differing > 0 ? `from ${plural(differing, "node")}` : "outvoted by a quorum";
}

function tolerated(status: Status): string {
  return status.tolerates > 0 ? `tolerates ${plural(status.tolerates, "liar")}` : "too few nodes to outvote a liar";
}

const TILES: readonly (readonly [label: string, read: (status: Status, nodes: readonly NodeView[]) => Reading])[] = [
  ["Tasks done", (s) => ({
    value: count(inState(s, "completed")),
    note: `of ${count(total(s))}` + (inState(s, "failed") > 0 ? ` · ${count(inState(s, "failed"))} failed` : ""),
  })],
  ["Rate", (s) => ({ value: `${rate(s.tasksPerSecond)}/s`, note: "tasks settled a second" })],
  ["Median latency", (s) => ({ value: shown(s.p50Ms), note: `p95 ${shown(s.p95Ms)}` })],
  ["Wrong results caught", (s, nodes) => ({ value: count(s.rejected), note: caughtBy(s, nodes), alert: s.rejected > 0 })],
  ["Reassigned", (s) => ({ value: count(s.reassigned), note: "to another node" })],
  ["Queue", (s) => ({ value: count(s.queueDepth), note: `${count(inState(s, "executing"))} executing · ${tolerated(s)}` })],
];

export function mountTiles(store: Store): void {
  const list = byId("tiles", HTMLElement);
  const tiles = TILES.map(([label, read]) => {
    const value = h("span", { class: "value" }, ABSENT);
    const note = h("span", { class: "note" }, "\u00a0");
    const tile = h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, value, note));
    list.append(tile);
    return (status: Status, nodes: readonly NodeView[]): void => {
      const reading = read(status, nodes);
      setText(value, reading.value);
      setText(note, reading.note);
      setAttr(tile, "data-alert", reading.alert ? "" : null);
    };
  });
  store.status.watch((status) => {
    if (status) for (const show of tiles) show(status, store.nodes.get() ?? []);
  });
}
