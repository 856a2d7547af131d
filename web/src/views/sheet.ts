// The side sheet: one thing in full. The browser's own dialog keeps focus inside, closes on Escape and gives focus back.

import { byId, fill, setText } from "../dom";
import { leaveRoute } from "../route";

/** Fills the sheet. `signal` ends whatever keeps it up to date, when it closes or shows something else. */
export type Fill = (body: HTMLElement, signal: AbortSignal) => void;

export class Sheet {
  readonly #dialog = byId("sheet", HTMLDialogElement);
  readonly #body = byId("sheet-body", HTMLElement);
  #shown: AbortController | null = null;

  constructor() {
    byId("sheet-close", HTMLButtonElement).addEventListener("click", () => this.close());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.close(); // the backdrop; everything else has a child as its target
    });
    this.#dialog.addEventListener("close", () => {
      this.#shown?.abort();
      leaveRoute();
    });
  }

  open(kind: string, title: string, fillBody: Fill): void {
    this.#shown?.abort();
    this.#shown = new AbortController();
    setText(byId("sheet-kind", HTMLElement), kind);
    this.setTitle(title);
    fill(this.#body);
    this.#body.scrollTop = 0;
    fillBody(this.#body, this.#shown.signal);
    if (!this.#dialog.open) this.#dialog.showModal();
    byId("sheet-title", HTMLElement).focus({ preventScroll: true });
  }

  setTitle(title: string): void {
    setText(byId("sheet-title", HTMLElement), title);
  }

  close(): void {
    this.#dialog.close();
  }
}
