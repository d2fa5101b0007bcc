/**
 * The twin of `ams_contracts.fold`: what a step and a task are, given the events that came so far, in whatever order and
 * however often. Both pass `contracts/vectors/*.json`.
 */
import type * as Contracts from '../api/types';
import type {
  Progress,
  Stamp,
  Status,
  StepDocument,
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
/** A state whose view keeps only a part `D` of the document: the table of a task keeps columns. It folds in the same way. */
export type PartialState<D> = Readonly<Omit<StepState, 'document'> & { document: D | null }>;
/** What the status and the usage of a step depend on. */
export type DocumentSummary = Pick<StepDocument, 'status' | 'usage'>;
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

/** The steps that an event is about: one, or all that a heartbeat lists. */
export function stepIdsOf(event: StepEvent): string[] {
  return event.kind === 'step.progressed' ? (event.steps ?? []).map((step) => step.step_id) : [event.step_id];
}

/** The step `stepId` after one more event; `state` itself when the event changes nothing. */
export function fold<D>(state: PartialState<D>, event: StepEvent, stepId: string): PartialState<D | StepDocument> {
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

/** The step that has seen the events of both: the higher stamp of each register. `state` itself when `other` adds nothing. */
export function join<D, E>(state: PartialState<D>, other: PartialState<E>): PartialState<D | E> {
  const document = outranks(other.stamp, state.stamp);
  const progress = outranks(other.progress_stamp, state.progress_stamp);
  if (!document && !progress) return state;
  const first = document ? other : state;
  const second = progress ? other : state;
  return {
    document: first.document,
    stamp: first.stamp,
    progress: second.progress,
    progress_stamp: second.progress_stamp,
  };
}

export function outranks(stamp: Stamp | null, other: Stamp | null): boolean {
  return stamp !== null && (other === null || compareStamps(stamp, other) > 0);
}

export function ended(state: PartialState<unknown>): boolean {
  return state.stamp !== null && state.stamp[0] === PHASE_ENDED;
}

/** The status to show: the document's once the step has ended, else that of its progress. */
export function statusOf(state: PartialState<DocumentSummary>): Status {
  if (state.document !== null && (ended(state) || state.progress === null)) return state.document.status;
  return state.progress?.status ?? 'running';
}

/** The document's usage, or the partial one while the step is open. */
export function usageOf(state: PartialState<DocumentSummary>): Usage | null {
  if (state.document?.usage) return state.document.usage;
  return ended(state) ? null : (state.progress?.usage ?? null);
}

/** The progress of one open step in a heartbeat, a wait or a loss. */
function progressOf(event: StepProgressed | StepLost, stepId: string): Progress {
  if (event.kind === 'step.lost') return { status: 'lost', at_us: event.last_beat_us };
  // several entries of one step in one event: the last one counts
  const entry = event.steps?.findLast((step) => step.step_id === stepId);
  const progress: Progress = { status: entry?.status ?? 'running', at_us: event.at_us };
  if (entry?.usage) progress.usage = entry.usage;
  return progress;
}

export function isDocumentEvent(event: StepEvent): event is StepDocumentEvent {
  return event.kind === 'step.started' || event.kind === 'step.ended' || event.kind === 'step.recorded';
}
