// The event stream: what the log takes in, newest first. It holds still while paused, pointed at, or being read.

import { byId, fill, h, type Row, setAttr, setText } from "../dom";
import { ABSENT, count, plural, preciseTime, rate } from "../format";
import type { EventView } from "../contract";
import { linkTo } from "../route";
import type { Store } from "../store";
import { describe, outvoted } from "./describe";

const ROWS_SHOWN = 120;
const TOUCH_MS = 500;

/** One line of the list. Lines stay where they are and show what comes by, so that nothing on the page moves. */
function createLine(store: Store): Row<EventView> {
  const time = h("time", { class: "num" });
  const kind = h("span", { class: "kind" });
  const differed = h("strong", { class: "differed" });
  const what = h("span", {});
  const link = h("a", {}, time, kind, h("span", { class: "what" }, differed, what));
  const node = h("li", { class: "event" }, link);
  return {
    node,
    update(event) {
      const wrong = outvoted(event);
      setAttr(link, "href", linkTo("event", event.id));
      setText(time, preciseTime(event.atMs));
      setText(kind, event.kind);
      setText(what, describe(event, (id) => store.nodeName(id)));
      setAttr(node, "data-differed", wrong > 0 ? "" : null);
      differed.hidden = wrong === 0;
      setText(differed, `${wrong} differed`);
    },
  };
}

export function mountEvents(store: Store): void {
  const scroll = byId("events-scroll", HTMLElement);
  const select = byId("events-kind", HTMLSelectElement);
  const pause = byId("events-pause", HTMLButtonElement);
  const meta = byId("events-meta", HTMLElement);
  const list = byId("events-list", HTMLElement);
  const lines: Row<EventView>[] = [];
  const log = store.events;
  let paused = false;
  let pointed = false;
  let waiting = 0;

  const held = (): boolean => paused || pointed || scroll.scrollTop > 8 || scroll.querySelector(":focus-visible") !== null;

  function showMeta(): void {
    const position = store.status.get()?.position;
    const reason = paused ? "Paused" : "Held while you read";
    const flow = held() ? `${reason} · ${plural(waiting, "new event")}` : `${rate(log.perSecond())} events a second`;
    setText(meta, `${flow} · ${position === undefined ? ABSENT : count(position)} in the log`);
  }

  function draw(): void {
    waiting = 0;
    const kind = select.value;
    const events = log.newest(ROWS_SHOWN, (event) => kind === "" || event.kind === kind);
    byId("events-empty", HTMLElement).hidden = events.length > 0;
    while (lines.length > events.length) lines.pop()?.node.remove();
    events.forEach((event, i) => {
      const line = (lines[i] ??= createLine(store));
      line.update(event);
      if (!line.node.isConnected) list.append(line.node);
    });
    showMeta();
  }

  const release = (): void => {
    if (!held() && waiting > 0) draw();
    else showMeta();
  };

  function offerKinds(): void {
    const kinds = log.kinds();
    if (select.options.length === kinds.length + 1) return;
    const chosen = select.value;
    fill(select, h("option", { value: "" }, "Every kind"), ...kinds.map((kind) => h("option", { value: kind }, kind)));
    select.value = chosen;
  }

  log.batch.watch((fresh) => {
    offerKinds();
    waiting += fresh.length;
    if (held()) showMeta();
    else draw();
  });
  store.status.watch(release);
  select.addEventListener("change", draw);
  pause.addEventListener("click", () => {
    paused = !paused;
    setAttr(pause, "aria-pressed", String(paused));
    setText(pause, paused ? "Resume" : "Pause");
    release();
  });
  scroll.addEventListener("pointerenter", () => { pointed = true; showMeta(); });
  // A finger leaves before its press becomes a click: what it pressed must still be there.
  scroll.addEventListener("pointerleave", () => setTimeout(() => { pointed = false; release(); }, TOUCH_MS));
  scroll.addEventListener("scroll", release, { passive: true });
  scroll.addEventListener("focusout", () => setTimeout(release));
}
