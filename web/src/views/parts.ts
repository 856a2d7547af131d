// Small pieces that several sheets show: facts, ids in full, faults.

import { type Child, fill, h } from "../dom";
import { explain } from "../api";
import { shortId } from "../format";

export type Fact = readonly [name: string, value: Child];

/** Facts with a value, as a list of pairs. */
export function facts(...pairs: (Fact | null)[]): HTMLElement {
  const present = pairs.filter((pair): pair is Fact => pair !== null && Boolean(pair[1]));
  return h("dl", { class: "facts" }, ...present.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export const idText = (id: string): HTMLElement => h("span", { class: "mono", title: id }, shortId(id));

/** An id in full that a press copies. */
export function copyable(id: string): HTMLElement {
  const button = h("button", { type: "button", class: "copy mono", title: "Copy", onclick: () => void copy() }, id);
  async function copy(): Promise<void> {
    // Browsers give a page on plain HTTP no clipboard; selecting the text then leaves one keystroke to do.
    if (window.isSecureContext) {
      await navigator.clipboard.writeText(id);
      button.dataset["copied"] = "";
      setTimeout(() => delete button.dataset["copied"], 1_200);
    } else {
      getSelection()?.selectAllChildren(button);
    }
  }
  return button;
}

export const fault = (error: unknown): HTMLElement => h("p", { class: "fault", role: "alert" }, explain(error));

/** A titled part of a sheet, redrawn only when what it shows has changed, so that focus inside it survives. */
export function part<T>(title: string, draw: (value: T) => Child[]): { node: HTMLElement; show(value: T): void } {
  const body = h("div", {});
  const node = h("section", { class: "part" }, h("h3", {}, title), body);
  let before = "";
  return {
    node,
    show(value) {
      const now = JSON.stringify(value);
      if (now === before) return;
      before = now;
      fill(body, ...draw(value));
    },
  };
}
