// The tasks, newest first, narrowed by state, job and text. The first page follows the swarm; older ones stand still.

import type { Api } from "../api";
import { explain } from "../api";
import { byId, fill, h, KeyedList, type Row, setAttr, setText } from "../dom";
import { ABSENT, count, duration, plural, shortId } from "../format";
import { type JobView, type Page, TASK_STATES, type TaskView } from "../contract";
import { linkTo } from "../route";
import type { Store } from "../store";

const PAGE_TASKS = 50;
const TYPING_MS = 250;

export const took = (task: TaskView): string => {
  if (task.startedMs === null) return ABSENT;
  return duration(Math.max(0, (task.endedMs ?? Date.now()) - task.startedMs));
};

function verdict(task: TaskView): string {
  if (task.agreed.length > 0) return `${task.agreed.length} agreed`;
  return task.endedMs === null ? `${task.quorum} of ${task.replicas} needed` : "no verdict";
}

function createRow(store: Store, first: TaskView): Row<TaskView> {
  const name = h("a", { class: "name", href: linkTo("task", first.id) });
  const sub = h("span", { class: "sub" });
  const state = h("span", { class: "chip" });
  const agreed = h("span", {});
  const differed = h("strong", { class: "differed" });
  const time = h("td", { role: "cell", class: "num took" });
  const node = h(
    "tr", { role: "row", onclick: (event) => event.target instanceof HTMLAnchorElement || name.click() },
    h("td", { role: "cell", class: "task" }, name, sub),
    h("td", { role: "cell" }, state),
    h("td", { role: "cell", class: "verdict" }, agreed, differed),
    time,
  );
  return {
    node,
    update(task) {
      setText(name, task.name || shortId(task.id));
      setAttr(name, "title", task.name);
      setText(sub, `${shortId(task.id)} · ${store.jobName(task.job)}`);
      setText(state, task.state);
      setAttr(state, "data-state", task.state);
      setText(agreed, verdict(task));
      differed.hidden = task.dissent.length === 0;
      setText(differed, `${task.dissent.length} differed`);
      setText(time, took(task));
    },
  };
}

export class TasksPanel {
  readonly #state = byId("tasks-state", HTMLSelectElement);
  readonly #job = byId("tasks-job", HTMLSelectElement);
  readonly #text = byId("tasks-text", HTMLInputElement);
  readonly #meta = byId("tasks-meta", HTMLElement);
  readonly #empty = byId("tasks-empty", HTMLElement);
  readonly #newest = byId("tasks-newest", HTMLButtonElement);
  readonly #older = byId("tasks-older", HTMLButtonElement);
  readonly #list: KeyedList<TaskView>;
  #before = "";
  #next: string | null = null;
  #asked = 0;

  constructor(readonly api: Api, readonly store: Store) {
    const create = (task: TaskView): Row<TaskView> => createRow(store, task);
    this.#list = new KeyedList<TaskView>(byId("tasks-list", HTMLElement), (task) => task.id, create);
    for (const state of TASK_STATES) this.#state.append(h("option", { value: state }, state));
    let typing = 0;
    this.#text.addEventListener("input", () => {
      clearTimeout(typing);
      typing = window.setTimeout(() => this.#turn(""), TYPING_MS);
    });
    this.#state.addEventListener("change", () => this.#turn(""));
    this.#job.addEventListener("change", () => this.#turn(""));
    this.#newest.addEventListener("click", () => this.#turn(""));
    this.#older.addEventListener("click", () => this.#turn(this.#next ?? ""));
    byId("tasks-filters", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());
    store.jobs.watch((jobs) => this.#offerJobs(jobs ?? []));
  }

  showJob(job: string): void {
    this.#job.value = job;
    this.#turn("");
    byId("tasks", HTMLElement).scrollIntoView();
    this.#job.focus({ preventScroll: true });
  }

  async load(): Promise<void> {
    const asked = ++this.#asked;
    const query = {
      state: this.#state.value, job: this.#job.value, q: this.#text.value.trim(), before: this.#before, limit: PAGE_TASKS,
    };
    try {
      const page = await this.api.get<Page<TaskView>>("api/v1/tasks", query);
      if (asked === this.#asked) this.#show(page); // a slower answer to an older question is not shown
    } catch (error) {
      if (asked === this.#asked) setText(this.#meta, explain(error));
    }
  }

  #turn(before: string): void {
    this.#before = before;
    byId("tasks-scroll", HTMLElement).scrollTop = 0;
    void this.load();
  }

  #show(page: Page<TaskView>): void {
    this.#list.render(page.items.slice(0, PAGE_TASKS));
    this.#next = page.next;
    this.#older.disabled = page.next === null;
    this.#newest.disabled = this.#before === "";
    const filtered = this.#state.value !== "" || this.#job.value !== "" || this.#text.value.trim() !== "";
    this.#empty.hidden = page.items.length > 0;
    setText(this.#empty, filtered ? "No task matches." : "No task yet.");
    const age = this.#before ? "older " : page.next === null ? "" : "newest ";
    setText(this.#meta, plural(page.items.length, `${age}task`));
  }

  #offerJobs(jobs: readonly JobView[]): void {
    const chosen = this.#job.value;
    const offered = [...this.#job.options].slice(1).map((option) => option.value).join();
    if (offered === jobs.map((job) => job.id).join()) return;
    const options = jobs.map((job) => h("option", { value: job.id }, `${job.name || shortId(job.id)} (${count(job.total)})`));
    if (chosen && !jobs.some((job) => job.id === chosen)) options.push(h("option", { value: chosen }, shortId(chosen)));
    fill(this.#job, h("option", { value: "" }, "Every job"), ...options);
    this.#job.value = chosen;
  }
}
