// What the server says: the JSON of `/api/v1`, as `quorate/model/views.py` and the status operation define it.
// Ids are hexadecimal text; times are milliseconds since 1970. Names, reasons and bodies come from strangers.

export type TaskState = "queued" | "assigned" | "executing" | "validating" | "completed" | "failed" | "cancelled";

export const TASK_STATES: readonly TaskState[] = [
  "queued", "assigned", "executing", "validating", "completed", "failed", "cancelled",
];

export interface Status {
  version: string;
  realm: string;
  name: string;
  authority: string;
  epoch: number;
  position: number;
  cursor: string;
  head: { size: number; root: string; cosigned: number; of: number };
  nodes: { online: number; total: number };
  tasks: Partial<Record<TaskState, number>>; // a state that no task is in may be absent
  jobs: { running?: number };
  uptimeMs: number;
  tasksPerSecond: number;
  p50Ms: number | null;
  p95Ms: number | null;
  rejected: number;
  reassigned: number;
  queueDepth: number;
  tolerates: number;
}

export interface NodeView {
  id: string;
  name: string;
  state: string;
  capabilities: string[];
  slots: number;
  running: number;
  reputation: number;
  evidence: [agreed: number, differed: number, failed: number];
  lastSeenMs: number;
  joinedMs: number;
}

export interface JobView {
  id: string;
  name: string;
  state: string;
  total: number;
  queued: number;
  running: number;
  completed: number;
  failed: number;
  cancelled: number;
  createdMs: number;
  endedMs: number | null;
  owner: string;
}

export interface AttemptView {
  slot: number;
  epoch: number;
  node: string;
  startedMs: number;
  endedMs: number | null;
  code: number | null;
  reason: string;
}

export interface TaskView {
  id: string;
  job: string;
  name: string;
  state: TaskState;
  executor: string;
  deps: string[];
  replicas: number;
  quorum: number;
  validator: string;
  createdMs: number;
  startedMs: number | null;
  endedMs: number | null;
  code: number;
  reason: string;
  input: string;
  output: string;
  attempts: AttemptView[];
  agreed: string[];
  dissent: string[];
  settledAt: number;
}

export interface ResultView {
  node: string;
  code: number;
  output: string;
  agreed: boolean;
  slot: number;
  epoch: number;
  usage?: number[];
}

export interface Receipt {
  position: number;
  authority: string;
  agreed: unknown[];
  dissent: unknown[];
  head: { epoch: number; size: number; root: string; cosigned: unknown[] };
}

export interface EventView {
  cursor: string;
  position: number;
  id: string;
  kind: string;
  subject: string;
  actor: string;
  seq: number;
  hlc: string;
  grant: string;
  atMs: number;
  body: unknown;
}

export interface PanelView {
  name: string;
  title: string;
  path: string;
}

export interface ErrorView {
  code: number;
  name: string;
  message: string;
  whatToDo: string;
  requestId: string;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}
