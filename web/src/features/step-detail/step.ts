/** A step of REST joined with what frames have brought since. */
import type { Payload, Step, StepDocument } from '../../api/types';
import { StepDocumentDefaults } from '../../api/types.gen';
import {
  type DocumentSummary,
  EMPTY_STEP,
  ended,
  join,
  outranks,
  type StepState,
  statusOf,
  usageOf,
} from '../../fold/fold';
import { stateOfRow } from '../../fold/row';
import type { LiveTask } from '../execution-log/live-task';

/** The step to show; null when neither REST nor a frame has its document. */
export function stepWith(taskId: string, stepId: string, rest: Step | null, live: StepState | null): Step | null {
  if (live === null) return rest;
  const before = rest === null ? EMPTY_STEP : stateOfRow(rest);
  const state = join<DocumentSummary, StepDocument>(before, live);
  const isNewer = live.document !== null && state.document === live.document;
  const base = isNewer ? fromDocument(taskId, stepId, live.document, rest) : rest;
  if (base === null) return null;
  const { stamp, progress, progress_stamp } = state;
  const stamps = { document: stamp, progress: progress_stamp };
  return { ...base, status: statusOf(state), usage: usageOf(state), progress, stamps };
}

/** What the server derives (`counted`, `agent`, ...) stays as it was until REST has the new document, too. */
function fromDocument(taskId: string, stepId: string, document: StepDocument, rest: Step | null): Step {
  const { cost_nusd, ...columns } = { ...StepDocumentDefaults, ...document };
  return {
    ...columns,
    task_id: taskId,
    step_id: stepId,
    cost_usd: cost_nusd == null ? null : (cost_nusd / 1e9).toFixed(9).replace(/\.?0+$/, ''),
    agent: columns.agent ?? rest?.agent ?? columns.service,
    affected: rest?.affected ?? false,
    derived_flags: rest?.derived_flags ?? [],
    counted: rest?.counted ?? true,
    progress: null,
    stamps: { document: null, progress: null },
  };
}

/** What REST has of a step and its payloads. */
interface Announced {
  step: Pick<Step, 'stamps' | 'ended_at_us' | 'status'>;
  payloads: readonly { absent: string | null }[];
}

/**
 * Whether REST does not have everything that has been announced: a frame may be faster than the tables, and the payloads of a
 * step that is over are sent apart from it.
 */
export function isBehind(rest: Announced | undefined, live: StepState | null): boolean {
  if (rest === undefined) return false;
  const { step, payloads } = rest;
  const isOlder = outranks(live?.stamp ?? null, step.stamps.document);
  const isOver = step.ended_at_us !== null || (step.status !== 'running' && step.status !== 'waiting');
  return isOlder || (isOver && payloads.some((payload) => payload.absent === 'not_here_yet'));
}

/** The payloads to show. At a past position an open step has its input alone: the others are sent when it ends. */
export function payloadsAt(live: LiveTask, stepId: string, payloads: Payload[] | undefined): Payload[] | undefined {
  const state = live.stateOf(stepId);
  if (!live.isPast || payloads === undefined || (state !== null && ended(state))) return payloads;
  return payloads.map((payload) =>
    payload.slot === 'input'
      ? payload
      : { ...payload, text: null, bytes: null, truncated: false, absent: 'not_here_yet' },
  );
}
