/** A step of REST joined with what frames have brought since. */
import type { Step, StepDocument } from '../../api/types';
import { StepDocumentDefaults } from '../../api/types.gen';
import {
  type DocumentSummary,
  EMPTY_STEP,
  join,
  type PartialState,
  PHASE_ENDED,
  type StepState,
  statusOf,
  usageOf,
} from '../../fold/fold';

/** The step to show; null when neither REST nor a frame has its document. */
export function stepWith(taskId: string, stepId: string, rest: Step | null, live: StepState | null): Step | null {
  if (live === null) return rest;
  const before = rest === null ? EMPTY_STEP : stateOf(rest);
  const state = join<DocumentSummary, StepDocument>(before, live);
  const isNewer = live.document !== null && state.document === live.document;
  const base = isNewer ? fromDocument(taskId, stepId, live.document, rest) : rest;
  if (base === null) return null;
  const { stamp, progress, progress_stamp } = state;
  const stamps = { document: stamp, progress: progress_stamp };
  return { ...base, status: statusOf(state), usage: usageOf(state), progress, stamps };
}

/** The registers of which REST shows the result. */
function stateOf(rest: Step): PartialState<DocumentSummary> {
  const { stamps, status, progress } = rest;
  const stamp = stamps.document ?? null;
  // the usage of an open step is the partial one of its progress unless the document has one
  const partial = stamp?.[0] !== PHASE_ENDED && JSON.stringify(rest.usage) === JSON.stringify(progress?.usage ?? null);
  const document = stamp === null ? null : { status, usage: partial ? null : rest.usage };
  return { document, stamp, progress, progress_stamp: stamps.progress ?? null };
}

/** What the server derives (`counted`) stays as it was until REST has the new document, too. */
function fromDocument(taskId: string, stepId: string, document: StepDocument, rest: Step | null): Step {
  const { cost_nusd, ...columns } = { ...StepDocumentDefaults, ...document };
  return {
    ...columns,
    task_id: taskId,
    step_id: stepId,
    cost_usd: cost_nusd == null ? null : (cost_nusd / 1e9).toFixed(9).replace(/\.?0+$/, ''),
    counted: rest?.counted ?? true,
    progress: null,
    stamps: { document: null, progress: null },
  };
}
