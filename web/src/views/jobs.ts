// The jobs, newest first, each with its tasks as one bar. Choosing one narrows the tasks to it.

import { byId, h, KeyedList, type Row, setAttr, setText } from "../dom";
import { count, duration, plural } from "../format";
import type { JobView } from "../contract";
import type { Store } from "../store";

export const JOBS_SHOWN = 20;

const PARTS = ["completed", "running", "failed", "cancelled"] as const;

function describe(job: JobView): string {
  const parts = PARTS.filter((part) => part !== "completed" && job[part] > 0).map((part) => `${count(job[part])} ${part}`);
  if (job.queued > 0) parts.push(`${count(job.queued)} queued`);
  if (job.endedMs !== null) parts.push(`took ${duration(job.endedMs - job.createdMs)}`);
  return parts.join(" · ");
}

function createRow(first: JobView, choose: (job: string) => void): Row<JobView> {
  const name = h("button", { type: "button", class: "name", onclick: () => choose(first.id) });
  const state = h("span", { class: "chip" });
  const done = h("span", { class: "num" });
  const note = h("span", { class: "sub" });
  const segments = PARTS.map((part) => h("i", { class: part }));
  const bar = h("div", { class: "progress", role: "progressbar", "aria-label": "Tasks ended", "aria-valuemin": 0 }, ...segments);
  const node = h("li", { class: "job" }, h("p", { class: "title" }, name, state), bar, h("p", { class: "tally" }, done, note));
  return {
    node,
    update(job) {
      const ended = job.completed + job.failed + job.cancelled;
      setText(name, job.name || job.id);
      setAttr(name, "title", `Show the tasks of ${job.name || job.id}`);
      setText(state, job.state);
      setAttr(state, "data-state", job.state);
      setText(done, `${count(job.completed)} of ${plural(job.total, "task")}`);
      setText(note, describe(job));
      PARTS.forEach((part, i) => segments[i]?.style.setProperty("--part", String(job.total > 0 ? job[part] / job.total : 0)));
      setAttr(bar, "aria-valuemax", String(job.total));
      setAttr(bar, "aria-valuenow", String(ended));
      setAttr(bar, "aria-valuetext", `${ended} of ${job.total} ended`);
    },
  };
}

export function mountJobs(store: Store, choose: (job: string) => void): void {
  const create = (job: JobView): Row<JobView> => createRow(job, choose);
  const list = new KeyedList<JobView>(byId("jobs-list", HTMLElement), (job) => job.id, create);
  const meta = byId("jobs-meta", HTMLElement);
  store.jobs.watch((jobs) => {
    if (!jobs) return;
    list.render(jobs.slice(0, JOBS_SHOWN));
    const running = store.status.get()?.jobs.running ?? jobs.filter((job) => job.state === "running").length;
    setText(meta, jobs.length === 0 ? "None yet: “quorate submit job.yaml”" : `${count(running)} running`);
  });
}
