// One node in full: its key, its record, what it offers.

import type { NodeView } from "../contract";
import { type Child, h } from "../dom";
import { ABSENT, count, dateTime, duration, plural, shortId } from "../format";
import type { Store } from "../store";
import { differedText } from "./nodes";
import { copyable, facts, part } from "./parts";
import type { Sheet } from "./sheet";

const CAPABILITIES_SHOWN = 256;

function record(node: NodeView): Child[] {
  const [agreed, dissent, failed] = node.evidence;
  return [
    h("p", { class: "standing" },
      h("span", { class: "chip", "data-state": node.state }, node.state),
      dissent > 0 && h("strong", { class: "differed" }, differedText(dissent)),
    ),
    facts(
      ["Id (its public key)", copyable(node.id)],
      ["Reputation", `${node.reputation.toFixed(3)}, the mean of a beta posterior over its record`],
      ["Record", `${count(agreed)} agreed · ${count(dissent)} differed · ${count(failed)} failed`],
      ["Load", `${node.running} of ${plural(node.slots, "slot")} in use`],
      ["Joined", dateTime(node.joinedMs)],
      ["Last seen", node.lastSeenMs > 0 ? `${duration(Math.max(0, Date.now() - node.lastSeenMs))} ago` : ABSENT],
    ),
  ];
}

export function openNode(id: string, store: Store, sheet: Sheet): void {
  sheet.open("Node", shortId(id), (body, signal) => {
    const standing = part<NodeView>("Standing", record);
    const offers = part<string[]>("Capabilities", (names) => [
      names.length > 0
        ? h("ul", { class: "tags" }, ...names.slice(0, CAPABILITIES_SHOWN).map((name) => h("li", {}, name)))
        : h("p", { class: "sub" }, "It offers none."),
    ]);
    const missing = h("p", { class: "sub", hidden: true }, "No node of this id is in the swarm.");
    body.append(missing, standing.node, offers.node);
    store.nodes.watch((nodes) => {
      const node = nodes?.find((one) => one.id === id);
      missing.hidden = nodes === null || node !== undefined;
      if (!node) return;
      sheet.setTitle(node.name || shortId(id));
      standing.show(node);
      offers.show(node.capabilities);
    }, signal);
  });
}
