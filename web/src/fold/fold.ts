/**
 * The twin of `ams_contracts.fold`: what a step and a task are, given the events that came so far, in whatever order and
 * however often. Both pass `contracts/vectors/*.json`.
 */
import type * as Contracts from '../api/types';
import type {
  Progress,
  Stamp,
  Status,
  StepDocumentEvent,
  StepEvent,
  StepLost,
  StepProgressed,
  TaskEvent,
  Usage,
} from '../api/types';

export const PHASE_STARTED = 0;
export const PHASE_PROGRESSED = 1;
export const PHASE_ENDED = 2;

/** The document is null while only progress of the step is known. */
export type StepState = Readonly<Required<Contracts.StepState>>;
export type TaskState = Readonly<Required<Contracts.TaskState>>;

export const EMPTY_STEP: StepState = { document: null, stamp: null, progress: null, progress_stamp: null };
export const EMPTY_TASK: TaskState = { document: null, stamp: null };

export function phaseOf(event: StepEvent | TaskEvent): number {
  switch (event.kind) {
    case 'step.started':
    case 'task.started':
    case 'task.updated':
      return PHASE_STARTED;
    case 'step.progressed':
    case 'step.lost':
      return PHASE_PROGRESSED;
    case 'step.ended':
    case 'step.recorded':
    case 'task.ended':
      return PHASE_ENDED;
  }
}

export function stampOf(event: StepEvent | TaskEvent): Stamp {
  return [phaseOf(event), event.at_us, event.seq, event.event_id];
}

/** Negative when `a` ranks below `b`, 0 when they are the same event. */
export function compareStamps(a: Stamp, b: Stamp): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || (a[3] < b[3] ? -1 : a[3] > b[3] ? 1 : 0);
}

/** The steps that an event speaks of: one, or all that a heartbeat lists. */
export function stepIdsOf(event: StepEvent): string[] {
  return event.kind === 'step.progressed' ? (event.steps ?? []).map((step) => step.step_id) : [event.step_id];
}

/** The step `stepId` after one more event; `state` itself when the event changes nothing. */
export function fold(state: StepState, event: StepEvent, stepId: string): StepState {
  const stamp = stampOf(event);
  if (isDocumentEvent(event)) {
    if (state.stamp !== null && compareStamps(stamp, state.stamp) <= 0) return state;
    return { ...state, document: event.step, stamp };
  }
  if (state.progress_stamp !== null && compareStamps(stamp, state.progress_stamp) <= 0) return state;
  return { ...state, progress: progressOf(event, stepId), progress_stamp: stamp };
}

/** The task after one more event; `state` itself when the event changes nothing. */
export function foldTask(state: TaskState, event: TaskEvent): TaskState {
  const stamp = stampOf(event);
  if (state.stamp !== null && compareStamps(stamp, state.stamp) <= 0) return state;
  return { document: event.task, stamp };
}

export function ended(state: StepState): boolean {
  return state.stamp !== null && state.stamp[0] === PHASE_ENDED;
}

/** The status to show: the document's once it is over, else what progress says. */
export function statusOf(state: StepState): Status {
  if (state.document !== null && (ended(state) || state.progress === null)) return state.document.status;
  return state.progress?.status ?? 'running';
}

/** The document's usage, or the partial one while the step is open. */
export function usageOf(state: StepState): Usage | null {
  if (state.document?.usage) return state.document.usage;
  return ended(state) ? null : (state.progress?.usage ?? null);
}

/** What a heartbeat, a wait or a loss says of one open step. */
export function progressOf(event: StepProgressed | StepLost, stepId: string): Progress {
  if (event.kind === 'step.lost') return { status: 'lost', at_us: event.last_beat_us };
  // several entries of one step in one event: the last one said it
  const entry = event.steps?.findLast((step) => step.step_id === stepId);
  const progress: Progress = { status: entry?.status ?? 'running', at_us: event.at_us };
  if (entry?.usage) progress.usage = entry.usage;
  return progress;
}

export function isDocumentEvent(event: StepEvent): event is StepDocumentEvent {
  return event.kind === 'step.started' || event.kind === 'step.ended' || event.kind === 'step.recorded';
}
