// Who answered what: a task's results gathered by their bytes, the agreed ones first, with the nodes that signed them.

import type { ResultView, TaskView } from "../contract";
import { type Child, h } from "../dom";
import { bytes, duration, plural, shortId } from "../format";
import { linkTo } from "../route";
import type { Store } from "../store";
import type { OutputView } from "./output";
import { idText } from "./parts";

type Verdict = "agreed" | "differed" | "failed" | "waiting";

interface Group {
  verdict: Verdict;
  code: number;
  output: string;
  results: ResultView[];
}

const WORDS: Record<Verdict, string> = { agreed: "Agreed", differed: "Differed", failed: "Failed", waiting: "Answered" };
const ORDER: readonly Verdict[] = ["agreed", "waiting", "differed", "failed"];

function verdictOf(result: ResultView, settled: boolean): Verdict {
  if (result.agreed) return "agreed";
  if (result.code !== 0) return "failed";
  return settled ? "differed" : "waiting";
}

function grouped(results: readonly ResultView[], settled: boolean): Group[] {
  const groups = new Map<string, Group>();
  for (const result of results) {
    const verdict = verdictOf(result, settled);
    const key = `${verdict} ${result.code} ${result.output}`;
    const group = groups.get(key) ?? { verdict, code: result.code, output: result.output, results: [] };
    group.results.push(result);
    groups.set(key, group);
  }
  return [...groups.values()].sort(
    (a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict) || b.results.length - a.results.length,
  );
}

/** Wall and processor time, memory and size, as far as the node measured them. */
function usageText([wallMs, cpuMs, peakKib, outBytes]: readonly number[] = []): string {
  return [
    wallMs !== undefined && duration(wallMs),
    cpuMs !== undefined && `${duration(cpuMs)} of CPU`,
    peakKib !== undefined && `${bytes(peakKib * 1_024)} at most`,
    outBytes !== undefined && `${bytes(outBytes)} out`,
  ].filter(Boolean).join(" · ");
}

export interface Answers {
  task: TaskView;
  results: readonly ResultView[];
}

export function resultNodes({ task, results }: Answers, store: Store, output: OutputView): Child[] {
  const settled = task.endedMs !== null;
  if (results.length === 0) return [h("p", { class: "sub" }, settled ? "No node answered." : "No answer yet.")];
  const groups = grouped(results, settled);
  const agreed = groups.find((group) => group.verdict === "agreed");
  return groups.map((group) => {
    const title = `Output ${shortId(group.output)}: ${plural(group.results.length, "node")} ${WORDS[group.verdict].toLowerCase()}`;
    const reference = group.verdict === "differed" ? (agreed?.output ?? "") : "";
    const view = (): void => void output.show(title, group.output, reference);
    const kept = group.code === 0 && group.output !== "";
    return h(
      "article", { class: "answer", "data-verdict": group.verdict },
      h("header", {},
        h("h4", {}, `${WORDS[group.verdict]}: ${plural(group.results.length, "node")}`),
        kept && h("span", { class: "sub" }, "output ", idText(group.output)),
        group.code !== 0 && h("span", { class: "sub" }, `code ${group.code}`),
        kept && h("button", { type: "button", onclick: view }, reference ? "Compare outputs" : "View output"),
      ),
      h("ul", {}, ...group.results.map((result) => h(
        "li", {},
        h("a", { href: linkTo("node", result.node) }, store.nodeName(result.node)),
        h("span", { class: "sub" }, usageText(result.usage)),
      ))),
    );
  });
}
