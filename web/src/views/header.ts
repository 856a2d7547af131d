// The bar at the top and the line at the bottom: which swarm this is, how the link is, how far its log is witnessed.

import { announce, byId, setAttr, setText } from "../dom";
import { count, duration, shortId } from "../format";
import type { Status } from "../contract";
import type { Health, Store } from "../store";

const WORDS: Record<Health["state"], string> = {
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  refused: "Token refused",
};

export function mountHeader(store: Store, askForToken: () => void): void {
  const button = byId("health", HTMLButtonElement);
  const text = byId("health-text", HTMLElement);
  button.addEventListener("click", askForToken);
  store.health.watch((health) => {
    const before = button.dataset["state"];
    setAttr(button, "data-state", health.state);
    setText(text, WORDS[health.state]);
    setAttr(button, "title", health.detail || "Use another token");
    if (before !== health.state && before !== "connecting") announce(WORDS[health.state]);
  });
  store.status.watch((status) => status && showStatus(status));
}

function showStatus(status: Status): void {
  const realm = byId("realm", HTMLElement);
  setText(realm, status.name ? `${status.name} ${shortId(status.realm)}` : shortId(status.realm));
  setAttr(realm, "title", status.realm);
  const { size, root, cosigned, of } = status.head;
  setText(byId("head-size", HTMLElement), count(size));
  const witnesses = byId("head-cosigned", HTMLElement);
  setText(witnesses, `${cosigned} of ${of} cosigned`);
  setAttr(witnesses, "data-witnessed", String(cosigned > 0));
  setAttr(byId("head", HTMLElement), "title", `Head of the log: ${size} events, root ${root}`);
  setText(
    byId("foot", HTMLElement),
    `Quorate ${status.version} · authority ${shortId(status.authority)} · epoch ${status.epoch} · up ${duration(status.uptimeMs)}`,
  );
}
