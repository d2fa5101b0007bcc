/** The contracts as TypeScript: names are those of `contracts/src/ams_contracts`. Times are microseconds UTC. */

export const STEP_TYPES = [
  'agent',
  'llm',
  'tool',
  'retrieval',
  'embedding',
  'rerank',
  'workflow',
  'guardrail',
  'evaluator',
  'handoff',
  'memory',
  'log',
  'span',
] as const;
export type StepType = (typeof STEP_TYPES)[number];

export const STATUSES = ['running', 'waiting', 'ok', 'error', 'cancelled', 'lost'] as const;
export type Status = (typeof STATUSES)[number];

export type CostSource = 'reported' | 'computed' | 'unknown';
export type Slot = 'input' | 'output' | 'original' | 'error_stack';

/** Tokens; `input` includes the cached ones, `output` the reasoning. Absent means unknown. */
export interface Usage {
  input?: number | null;
  output?: number | null;
  cache_read?: number | null;
  cache_write?: number | null;
  cache_write_1h?: number | null;
  reasoning?: number | null;
  audio_input?: number | null;
  audio_output?: number | null;
  image_input?: number | null;
  video_input?: number | null;
}

export interface Failure {
  type?: string | null;
  message?: string | null;
}

/** `[phase, at_us, seq, event_id]`: the rank of an event among those of one register. */
export type Stamp = readonly [phase: number, at_us: number, seq: number, event_id: string];

export interface Progress {
  status: Status;
  at_us: number;
  usage?: Usage | null;
}

export interface StepDocument {
  parent_step_id?: string | null;
  type: StepType;
  type_raw?: string | null;
  name: string;
  span_name?: string | null;
  agent?: string | null;
  status: Status;
  started_at_us?: number | null;
  ended_at_us?: number | null;
  duration_us?: number | null;
  ttft_us?: number | null;
  seq?: number;
  provider?: string | null;
  model_requested?: string | null;
  model?: string | null;
  response_id?: string | null;
  finish_reasons?: string[];
  parameters?: string | null;
  usage?: Usage | null;
  cost_nusd?: number | null;
  cost_source?: CostSource;
  tool_name?: string | null;
  tool_call_id?: string | null;
  error?: Failure | null;
  preview_input?: string | null;
  preview_output?: string | null;
  attempts?: number;
  captured?: Slot[];
  too_large?: Slot[];
  flags?: string[];
}

export interface TaskDocument {
  name: string;
  kind?: string;
  agent?: string | null;
  status: Status;
  started_at_us?: number | null;
  ended_at_us?: number | null;
  duration_us?: number | null;
  error?: Failure | null;
  preview?: string | null;
  flags?: string[];
}

interface EventBase {
  event_id: string;
  seq: number;
  at_us: number;
}
export interface OpenStep {
  step_id: string;
  status?: 'running' | 'waiting';
  usage?: Usage | null;
}
export interface OutputDelta {
  step_id: string;
  index: number;
  text: string;
}
export interface LogLine {
  step_id: string;
  level?: string;
  text: string;
}
export interface StepDocumentEvent extends EventBase {
  kind: 'step.started' | 'step.ended' | 'step.recorded';
  step_id: string;
  step: StepDocument;
}
export interface StepProgressed extends EventBase {
  kind: 'step.progressed';
  steps?: OpenStep[];
  deltas?: OutputDelta[];
  logs?: LogLine[];
}
export interface StepLost extends EventBase {
  kind: 'step.lost';
  step_id: string;
  last_beat_us: number;
}
export interface TaskEvent extends EventBase {
  kind: 'task.started' | 'task.updated' | 'task.ended';
  task: TaskDocument;
}
export interface TaskDeleted extends EventBase {
  kind: 'task.deleted';
  by: string;
}
/** Kinds that the explorer does not act on; a newer platform may send more. */
export interface OtherEvent extends EventBase {
  kind: 'agent.registered' | 'step.scored' | 'payload.stored';
}
export type StepEvent = StepDocumentEvent | StepProgressed | StepLost;
export type LogEvent = StepEvent | TaskEvent | TaskDeleted | OtherEvent;

export interface Batch {
  v: 1;
  project_id: string;
  task_id?: string | null;
  events: LogEvent[];
}

export interface Task {
  task_id: string;
  name: string;
  kind: string;
  agent: string | null;
  status: Status;
  started_at_us: number | null;
  ended_at_us: number | null;
  duration_us: number | null;
  steps: number;
  errors: number;
  running_steps: number;
  waiting_steps: number;
  lost_steps: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: string | null;
  unpriced_steps: number;
  conversation_id: string | null;
  user_id: string | null;
  environment: string | null;
  tags: Record<string, string>;
  parent_task_id: string | null;
  preview: string | null;
  error: Failure | null;
  last_event_at_us: number;
  flags: string[];
}

export interface Step {
  task_id: string;
  step_id: string;
  parent_step_id: string | null;
  type: StepType;
  type_raw: string | null;
  name: string;
  span_name: string | null;
  status: Status;
  agent: string | null;
  provider: string | null;
  model_requested: string | null;
  model: string | null;
  started_at_us: number | null;
  ended_at_us: number | null;
  duration_us: number | null;
  ttft_us: number | null;
  seq: number;
  usage: Usage | null;
  counted: boolean;
  cost_usd: string | null;
  cost_source: CostSource;
  response_id: string | null;
  finish_reasons: string[];
  parameters: string | null;
  tool_name: string | null;
  tool_call_id: string | null;
  error: Failure | null;
  attempts: number;
  preview_input: string | null;
  preview_output: string | null;
  captured: string[];
  too_large: string[];
  flags: string[];
  progress: Progress | null;
  stamps: { document?: Stamp | null; progress?: Stamp | null };
}

/** Why a payload's text is null. */
export type Absence = 'not_captured' | 'not_here_yet' | 'too_large';

export interface Payload {
  slot: Slot;
  mime: string;
  text: string | null;
  bytes: number;
  truncated: boolean;
  absent: Absence | null;
}

export interface StepAnswer {
  step: Step;
  payloads: Payload[];
}

/** All steps of a task as columns, in order of (started_at_us, seq, step_id). Times are relative to `base_us`. */
export interface Skeleton {
  task_id: string;
  position: string | null;
  base_us: number;
  types: string[];
  statuses: string[];
  names: string[];
  agents: string[];
  models: string[];
  columns: {
    step_id: string[];
    /** row index, -1 a root, -2 the parent is not known (see `missing_parents`) */
    parent: number[];
    type: number[];
    status: number[];
    name: number[];
    agent: number[];
    model: number[];
    start: (number | null)[];
    duration: (number | null)[];
    input_tokens: (number | null)[];
    output_tokens: (number | null)[];
    cost_nusd: (number | null)[];
    counted: number[];
    seq: number[];
    phase: number[];
    at: number[];
  };
  missing_parents?: Record<string, string>;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}
/** Of a search by words: how far inputs and outputs are searchable; null when the query has no words. */
export interface TextReach {
  text_lag_records?: number | null;
  text_until_us?: number | null;
  /** the search took too long: everything from this moment on was looked at, and the cursor goes on */
  scanned_back_to_us?: number | null;
}
export interface TaskAnswer {
  task: Task;
  position: string | null;
}
export interface TaskChanged {
  v: 1;
  project_id: string;
  position: string;
  task: Task;
}

export interface User {
  user_id: string;
  username: string;
  email: string;
  created_at: string;
}
export interface Session {
  access_token: string;
  token_type: string;
  expires_in: number;
  user: User;
}
export interface Project {
  project_id: string;
  name: string;
  role: 'owner' | 'member' | 'viewer';
}
export interface ApiKey {
  key_id: string;
  name: string;
  prefix: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  scopes: string[];
}
export interface NewApiKey {
  key_id: string;
  key: string;
}
export interface Agent {
  name: string;
  version?: string | null;
  framework?: string | null;
  description?: string | null;
  tools?: string[];
  owner?: string | null;
  metadata?: Record<string, string>;
  last_seen_at_us?: number | null;
  first_seen_at_us?: number | null;
  tasks?: number | null;
}

/** Something of this project that no table could take. `place` names it in the log. */
export interface DeadLetter {
  place: string;
  projection: string;
  task_id: string | null;
  reason: string;
  detail: string;
  bytes: number;
  at_us: number;
  replayed_at_us: number | null;
}
/** With its first 64 KiB: as text, or as base64 when it is no UTF-8. */
export interface DeadLetterWhole {
  letter: DeadLetter;
  text: string | null;
  base64: string | null;
}

/** What the live websocket sends: every text message is a JSON array of these. */
export type ServerMessage =
  | { op: 'subscribed'; id: string; sub: string; position?: string | null }
  | { op: 'unsubscribed'; id: string; sub: string }
  | { op: 'renewed'; id: string; expires_at_us: number }
  | { op: 'frame'; sub: string; prev: string | null; position: string; batch: Batch }
  | { op: 'task'; sub: 'list'; task_id: string; change: TaskChanged | null }
  | { op: 'reset'; sub: string; position?: string | null }
  | { op: 'stale'; stale: boolean }
  | { op: 'error'; code: string; id?: string | null; detail?: string };

export type ClientMessage =
  | { op: 'subscribe'; id: string; task_id?: string; list?: boolean; after?: string | null }
  | { op: 'unsubscribe'; id: string; sub: string }
  | { op: 'renew'; id: string; ticket: string };
