// A task's receipt: what it vouches for in short, and the file that anyone can check without this swarm.

import { type Api, ApiError, explain } from "../api";
import type { Receipt, TaskView } from "../contract";
import { announce, type Child, download, fill, h } from "../dom";
import { count, plural, shortId } from "../format";
import { facts, fault, idText } from "./parts";

const TOO_EARLY = 1001; // too few nodes have cosigned the log so far

export class ReceiptView {
  readonly #body = h("div", {}, h("p", { class: "sub" }, "A task that has settled has a receipt."));
  readonly node = h("section", { class: "part" }, h("h3", {}, "Receipt"), this.#body);
  #asked = false;

  constructor(readonly api: Api) {}

  async show(task: TaskView): Promise<void> {
    if (this.#asked || task.endedMs === null) return;
    this.#asked = true;
    if (task.state !== "completed") {
      fill(this.#body, h("p", { class: "sub" }, `Only a completed task has a receipt: this one is ${task.state}.`));
      return;
    }
    try {
      // The file is handed on byte for byte as the coordinator wrote it; parsing is for the summary only.
      const file = await this.api.blob(`api/v1/tasks/${encodeURIComponent(task.id)}/receipt`);
      fill(this.#body, ...this.#summary(task, JSON.parse(await file.text()) as Receipt, file));
    } catch (error) {
      this.#asked = false; // the head that covers it may not have been cosigned yet: the next round asks again
      const early = error instanceof ApiError && error.view.code === TOO_EARLY;
      fill(this.#body, early ? h("p", { class: "sub" }, explain(error)) : fault(error));
    }
  }

  #summary(task: TaskView, receipt: Receipt, file: Blob): Child[] {
    const name = `receipt-${shortId(task.id)}.json`;
    const save = (): void => {
      download(name, file);
      announce(`${name} is saved`);
    };
    return [
      facts(
        ["When it settled", `${plural(receipt.agreed.length, "node")} agreed, ${count(receipt.dissent.length)} differed`],
        ["Position in the log", count(receipt.position)],
        ["Head", h("span", {}, `${plural(receipt.head.size, "event")}, epoch ${receipt.head.epoch}, root `, idText(receipt.head.root))],
        ["Cosigned by", plural(receipt.head.cosigned.length, "node")],
        ["Authority", idText(receipt.authority)],
      ),
      h("div", { class: "row" },
        h("button", { type: "button", class: "primary", onclick: save }, "Download receipt"),
        h("span", { class: "sub" }, "Check it anywhere: ", h("code", {}, `quorate receipt verify ${name}`)),
      ),
    ];
  }
}
