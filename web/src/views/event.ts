// One event in full: its place in the log, who signed it, under which grant, and its body.

import type { EventView } from "../contract";
import { h } from "../dom";
import { count, dateTime } from "../format";
import { linkTo } from "../route";
import type { Store } from "../store";
import { copyable, facts } from "./parts";
import type { Sheet } from "./sheet";

function subjectText(event: EventView): HTMLElement {
  const subject = event.kind.startsWith("task.") ? "task" : event.kind.startsWith("node.") ? "node" : null;
  return h("span", {}, copyable(event.subject), " ", subject && h("a", { href: linkTo(subject, event.subject) }, `Open the ${subject}`));
}

export function openEvent(id: string, store: Store, sheet: Sheet): void {
  const event = store.events.find(id);
  sheet.open("Event", event?.kind ?? "Not kept", (body) => {
    if (!event) {
      body.append(h("p", { class: "sub" }, "This page keeps the last few hundred events only; this one is not among them."));
      return;
    }
    body.append(
      h("section", { class: "part" }, h("h3", {}, "Head"), facts(
        ["Position in the log", count(event.position)],
        ["Time", dateTime(event.atMs)],
        ["Id", copyable(event.id)],
        ["Subject", event.subject ? subjectText(event) : null],
        ["Actor", copyable(event.actor)],
        ["In its chain", `event ${count(event.seq)}`],
        ["Grant", event.grant ? copyable(event.grant) : null],
        ["Hybrid clock", event.hlc],
      )),
      h("section", { class: "part" }, h("h3", {}, "Body"),
        h("pre", { tabindex: 0 }, event.body === null ? "(erased)" : JSON.stringify(event.body, null, 2))),
    );
  });
}
