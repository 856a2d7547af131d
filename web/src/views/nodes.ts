// The nodes: who is there, how busy, and what their record says. A node that was outvoted is marked in words.

import { announce, byId, h, KeyedList, meter, type Row, setAttr, setText } from "../dom";
import { count, shortId } from "../format";
import type { NodeView } from "../contract";
import { linkTo } from "../route";
import type { Store } from "../store";

const NODES_SHOWN = 100;

const byName = (a: NodeView, b: NodeView): number =>
  a.name.localeCompare(b.name, "en", { numeric: true }) || (a.id < b.id ? -1 : 1);

/** All of them while they fit; of more, those that differed and those that are gone come first. */
function chosen(nodes: readonly NodeView[]): NodeView[] {
  const worry = (node: NodeView): number => (node.evidence[1] > 0 ? 2 : 0) + (node.state === "online" ? 0 : 1);
  const sorted = [...nodes].sort(byName);
  if (sorted.length <= NODES_SHOWN) return sorted;
  return sorted.sort((a, b) => worry(b) - worry(a)).slice(0, NODES_SHOWN);
}

export const differedText = (times: number): string => (times === 1 ? "differed once" : `differed ${count(times)} times`);

function reputationTone(node: NodeView): string {
  if (node.reputation < 0.6) return "low";
  return node.reputation < 0.85 ? "fair" : "good";
}

function createRow(first: NodeView): Row<NodeView> {
  const name = h("a", { class: "name", href: linkTo("node", first.id) });
  const state = h("span", { class: "state" });
  const differed = h("strong", { class: "differed" });
  const evidence = h("span", {});
  const load = meter("Slots in use", "slots");
  const loadText = h("span", { class: "num" });
  const reputation = meter("Reputation", "reputation");
  const reputationText = h("span", { class: "num" });
  const node = h(
    "li", { class: "node" },
    h("div", { class: "who" }, name, h("p", { class: "sub" }, state, " ", h("span", { class: "mono" }, shortId(first.id)))),
    h("div", { class: "gauge" }, h("p", {}, h("span", { class: "label" }, "load"), loadText), load.node),
    h("div", { class: "gauge" }, h("p", {}, h("span", { class: "label" }, "reputation"), reputationText), reputation.node),
    h("p", { class: "evidence" }, differed, evidence),
  );
  return {
    node,
    update(item) {
      const [agreed, dissent, failed] = item.evidence;
      setText(name, item.name || shortId(item.id));
      setAttr(node, "data-state", item.state);
      setText(state, item.state);
      setAttr(node, "data-differed", dissent > 0 ? "" : null);
      differed.hidden = dissent === 0;
      setText(differed, differedText(dissent));
      setText(evidence, `${count(agreed)} agreed` + (failed > 0 ? ` · ${count(failed)} failed` : ""));
      load.node.style.setProperty("--slots", String(Math.min(16, Math.max(1, item.slots))));
      load.set(item.running, item.slots, `${item.running} of ${item.slots}`);
      setText(loadText, `${item.running} of ${item.slots}`);
      setAttr(reputation.node, "data-tone", reputationTone(item));
      reputation.set(item.reputation, 1, item.reputation.toFixed(2));
      setText(reputationText, item.reputation.toFixed(2));
    },
  };
}

export function mountNodes(store: Store): void {
  const list = new KeyedList<NodeView>(byId("nodes-list", HTMLElement), (node) => node.id, createRow);
  const meta = byId("nodes-meta", HTMLElement);
  const caught = new Set<string>();
  store.nodes.watch((nodes) => {
    if (!nodes) return;
    list.render(chosen(nodes));
    for (const node of nodes) {
      if (node.evidence[1] === 0 || caught.has(node.id)) continue;
      caught.add(node.id);
      announce(`${node.name} differed from the quorum`);
    }
  });
  store.status.watch((status) => {
    if (!status) return;
    const { online, total } = status.nodes;
    const shown = total > NODES_SHOWN ? ` · ${NODES_SHOWN} shown` : "";
    setText(meta, total === 0 ? "None yet: join one with “quorate node URL --token …”" : `${count(online)} of ${count(total)} online${shown}`);
  });
}
