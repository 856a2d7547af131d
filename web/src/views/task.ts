// One task in full: how it stands, who answered what, every attempt with its reason, its receipt and its output.

import { type Api, explain } from "../api";
import type { AttemptView, ResultView, TaskView } from "../contract";
import { announce, type Child, fill, h, setAttr } from "../dom";
import { ABSENT, count, dateTime, duration, shortId, timeOfDay } from "../format";
import { Poll } from "../poll";
import { linkTo } from "../route";
import type { Store } from "../store";
import { OutputView } from "./output";
import { copyable, facts, fault, part } from "./parts";
import { ReceiptView } from "./receipt";
import { type Answers, resultNodes } from "./results";
import type { Sheet } from "./sheet";
import { took } from "./tasks";

const REFRESH_MS = 1_000;
const SETTLED_REFRESH_MS = 10_000;
const ATTEMPTS_SHOWN = 64;
const DEPS_SHOWN = 12;
const NO_BLOB = /^0*$/;

function outcome(attempt: AttemptView): string {
  if (attempt.code === null || attempt.endedMs === null) return "running";
  return attempt.code === 0 ? "answered" : `ended with ${attempt.code}`;
}

function attemptNodes(attempts: readonly AttemptView[], store: Store): Child[] {
  if (attempts.length === 0) return [h("p", { class: "sub" }, "No node has had a lease for it.")];
  return [
    h("ol", { class: "attempts" }, ...attempts.slice(-ATTEMPTS_SHOWN).map((attempt) => h(
      "li", { "data-ended": attempt.code === null ? null : attempt.code === 0 ? "well" : "ill" },
      h("p", {},
        h("a", { href: linkTo("node", attempt.node) }, store.nodeName(attempt.node)),
        h("span", {}, outcome(attempt)),
        h("span", { class: "sub num" }, attempt.endedMs === null ? timeOfDay(attempt.startedMs)
          : `${timeOfDay(attempt.startedMs)} · ${duration(attempt.endedMs - attempt.startedMs)}`),
        h("span", { class: "sub" }, `slot ${attempt.slot}, epoch ${attempt.epoch}`),
      ),
      attempt.reason ? h("pre", { tabindex: 0, "aria-label": "Reason and log" }, attempt.reason) : null,
    ))),
  ];
}

function depNodes(deps: readonly string[]): HTMLElement | null {
  if (deps.length === 0) return null;
  const links = deps.slice(0, DEPS_SHOWN).flatMap((id) => [h("a", { class: "mono", href: linkTo("task", id) }, shortId(id)), " "]);
  return h("span", {}, ...links, deps.length > DEPS_SHOWN ? `and ${count(deps.length - DEPS_SHOWN)} more` : null);
}

function standing(task: TaskView, store: Store, output: OutputView): Child[] {
  const input = h("button", { type: "button", class: "link mono", onclick: () => void output.show("Input", task.input) }, shortId(task.input));
  const reason = task.reason ? h("p", { class: task.state === "completed" ? "sub" : "fault" }, task.reason) : null;
  return [
    h("p", { class: "standing" },
      h("span", { class: "chip", "data-state": task.state }, task.state),
      h("span", { class: "num" }, took(task)),
      h("span", { class: "tone-good" }, task.agreed.length > 0 ? `${count(task.agreed.length)} agreed` : ""),
      task.dissent.length > 0 && h("strong", { class: "differed" }, `${count(task.dissent.length)} differed`),
    ),
    reason,
    facts(
      ["Id", copyable(task.id)],
      ["Job", store.jobName(task.job)],
      ["Executor", task.executor],
      ["Validation", `${task.validator}, ${task.quorum} of ${task.replicas} must agree`],
      ["Created", dateTime(task.createdMs)],
      ["Started", task.startedMs === null ? ABSENT : dateTime(task.startedMs)],
      ["Ended", task.endedMs === null ? ABSENT : dateTime(task.endedMs)],
      task.code === 0 ? null : ["Code", String(task.code)],
      task.settledAt > 0 ? ["Settled at", `position ${count(task.settledAt)} of the log`] : null,
      NO_BLOB.test(task.input) ? null : ["Input", input],
      ["Depends on", depNodes(task.deps)],
    ),
  ];
}

/** Asks twice: the first press arms the button, the second cancels. */
function cancelButton(cancel: () => Promise<void>): HTMLButtonElement {
  const button = h("button", { type: "button", class: "danger" }, "Cancel task");
  let armed = false;
  const disarm = (): void => {
    armed = false;
    fill(button, "Cancel task");
  };
  button.addEventListener("blur", disarm);
  button.addEventListener("click", () => {
    if (armed) void cancel().then(disarm);
    else fill(button, "Press again to cancel it");
    armed = !armed;
  });
  return button;
}

export function openTask(id: string, api: Api, store: Store, sheet: Sheet): void {
  sheet.open("Task", shortId(id), (body, signal) => fillTask(id, api, store, sheet, body, signal));
}

function fillTask(id: string, api: Api, store: Store, sheet: Sheet, body: HTMLElement, signal: AbortSignal): void {
  const path = `api/v1/tasks/${encodeURIComponent(id)}`;
  const output = new OutputView(api, signal);
  const receipt = new ReceiptView(api);
  const state = part<TaskView>("Standing", (task) => standing(task, store, output));
  const answers = part<Answers>("Answers", (value) => resultNodes(value, store, output));
  const attempts = part<AttemptView[]>("Attempts", (value) => attemptNodes(value, store));
  const problem = h("div", {});
  const cancel = cancelButton(async () => {
    try {
      await api.post(`${path}/cancel`);
      announce("The task is being cancelled");
      poll.nudge();
    } catch (error) {
      fill(problem, fault(error));
    }
  });
  const actions = h("div", { class: "row", hidden: true }, cancel);
  fill(body, problem, state.node, actions, answers.node, output.node, receipt.node, attempts.node);

  async function load(): Promise<void> {
    try {
      const [task, { results }] = await Promise.all([
        api.get<TaskView>(path, {}, signal),
        api.get<{ results: ResultView[] }>(`${path}/results`, {}, signal),
      ]);
      fill(problem);
      sheet.setTitle(task.name || shortId(task.id));
      state.show(task);
      answers.show({ task, results });
      attempts.show(task.attempts);
      actions.hidden = task.endedMs !== null;
      setAttr(body, "data-settled", task.endedMs === null ? null : "");
      if (task.endedMs !== null) poll.rest(SETTLED_REFRESH_MS);
      await receipt.show(task);
    } catch (error) {
      if (!signal.aborted) fill(problem, h("p", { class: "fault", role: "alert" }, explain(error)));
    }
  }
  const poll = new Poll(load, REFRESH_MS);
  signal.addEventListener("abort", () => poll.stop());
  poll.start();
}
