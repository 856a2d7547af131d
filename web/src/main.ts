// Puts the page together: asks the coordinator, fills the store, opens what the address names.

import { Api, ApiError, explain } from "./api";
import type { JobView, NodeView, Page, Status } from "./contract";
import { Poll } from "./poll";
import { currentRoute } from "./route";
import { storedToken, storeToken, takeTokenFromAddress } from "./session";
import { type HealthState, Store } from "./store";
import { follow } from "./stream";
import { mountTheme } from "./theme";
import { mountCharts } from "./views/charts";
import { openEvent } from "./views/event";
import { mountEvents } from "./views/events";
import { mountHeader } from "./views/header";
import { JOBS_SHOWN, mountJobs } from "./views/jobs";
import { openNode } from "./views/node";
import { mountNodes } from "./views/nodes";
import { PackPanels } from "./views/panels";
import { Sheet } from "./views/sheet";
import { openTask } from "./views/task";
import { TasksPanel } from "./views/tasks";
import { mountTiles } from "./views/tiles";
import { mountToken } from "./views/token";

const SECOND_MS = 1_000;
const IDLE_MS = 4 * SECOND_MS;
const MANY_NODES = 500;
const EVENTS_BEFORE = 200;

takeTokenFromAddress();
let token = storedToken();
let streaming = new AbortController(); // ends what follows the log for the present token
let followed: AbortController | null = null;

const base = new URL(".", document.baseURI);
const store = new Store();
const api = new Api(base, () => token, refused);
const sheet = new Sheet();
const tasks = new TasksPanel(api, store);
const panels = new PackPanels(api);
const askForToken = mountToken(tryToken, () => token !== "" && store.health.get().state !== "refused");

// Both the polls and the stream must be well for the page to say that it is connected.
const links = { polls: "connecting" as HealthState, stream: "connecting" as HealthState };

function link(name: keyof typeof links, state: HealthState, detail = ""): void {
  links[name] = state;
  const worst = (["refused", "reconnecting", "connecting"] as const).find((one) => Object.values(links).includes(one));
  store.health.set({ state: worst ?? "connected", detail });
}

function refused(): void {
  if (links.polls === "refused") return;
  link("polls", "refused", "The coordinator refused this token.");
  stop();
  askForToken();
}

async function loadStatus(): Promise<void> {
  try {
    const status = await api.get<Status>("api/v1/status");
    store.status.set(status);
    link("polls", "connected");
    if (followed !== streaming) followEvents(status, (followed = streaming).signal);
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) refused();
    else link("polls", "reconnecting", explain(error));
  }
}

/** Other polls leave health to the status poll: what it can reach, they can. */
function quietly(load: () => Promise<void>): () => Promise<void> {
  return async () => {
    try {
      await load();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  };
}

const polls = {
  status: new Poll(loadStatus, SECOND_MS),
  nodes: new Poll(quietly(async () => {
    const nodes = (await api.get<{ items: NodeView[] }>("api/v1/nodes")).items;
    store.nodes.set(nodes);
    polls.nodes.rest(nodes.length > MANY_NODES ? 2 * IDLE_MS : SECOND_MS);
  }), SECOND_MS),
  jobs: new Poll(quietly(async () => {
    store.jobs.set((await api.get<Page<JobView>>("api/v1/jobs", { limit: JOBS_SHOWN })).items);
  }), SECOND_MS, IDLE_MS),
  tasks: new Poll(() => tasks.load(), SECOND_MS, IDLE_MS),
  panels: new Poll(quietly(() => panels.load()), IDLE_MS),
};

function start(): void {
  stop();
  if (!token) return askForToken();
  links.polls = links.stream = "connecting";
  streaming = new AbortController();
  for (const poll of Object.values(polls)) poll.start();
}

/** Follows the log from a little before the present, so that the page opens with what led up to it. */
function followEvents(status: Status, signal: AbortSignal): void {
  const follower = {
    onEvent: store.events.add.bind(store.events),
    onConnected: () => link("stream", "connected"),
    onLost: (error: unknown) => link("stream", "reconnecting", explain(error)),
  };
  const since = status.cursor.replace(/\d+$/, (position) => String(Math.max(0, Number(position) - EVENTS_BEFORE)));
  void follow(api, since, follower, signal);
}

function stop(): void {
  streaming.abort();
  for (const poll of Object.values(polls)) poll.stop();
}

async function tryToken(candidate: string): Promise<void> {
  await new Api(base, () => candidate, () => undefined).get<Status>("api/v1/status");
  token = candidate;
  storeToken(candidate);
  store.events.clear();
  start();
}

function openRoute(): void {
  const fresh = takeTokenFromAddress();
  if (fresh) {
    token = fresh;
    start();
  }
  const route = currentRoute();
  if (route?.subject === "task") openTask(route.id, api, store, sheet);
  else if (route?.subject === "node") openNode(route.id, store, sheet);
  else if (route?.subject === "event") openEvent(route.id, store, sheet);
  else sheet.close();
}

mountTheme();
mountHeader(store, askForToken);
mountTiles(store);
mountCharts(store);
mountNodes(store);
mountJobs(store, (job) => tasks.showJob(job));
mountEvents(store);

// What happens to tasks shows in the log first; asking then is sooner than waiting for the next round.
store.events.batch.watch((fresh) => {
  if (fresh.some((event) => /^(task|lease|job)\./.test(event.kind))) {
    polls.tasks.nudge();
    polls.jobs.nudge();
  }
  if (fresh.some((event) => event.kind.startsWith("node."))) polls.nodes.nudge();
});

// A page nobody sees asks nothing; its charts show the gap.
document.addEventListener("visibilitychange", () => {
  const each = document.hidden ? (poll: Poll) => poll.stop() : (poll: Poll) => poll.start();
  if (token && links.polls !== "refused") Object.values(polls).forEach(each);
});
window.addEventListener("hashchange", openRoute);

start();
openRoute();
