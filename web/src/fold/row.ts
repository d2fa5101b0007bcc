import type { Step } from '../api/types';
import { type DocumentSummary, type PartialState, PHASE_ENDED } from './fold';

/** The state of a step as a row of REST shows it, to be joined with frames. */
export function stateOfRow(rest: Step): PartialState<DocumentSummary> {
  const { stamps, status, progress } = rest;
  const stamp = stamps.document ?? null;
  // the usage of an open step is the partial one of its progress unless the document has one
  const partial = stamp?.[0] !== PHASE_ENDED && JSON.stringify(rest.usage) === JSON.stringify(progress?.usage ?? null);
  const document = stamp === null ? null : { status, usage: partial ? null : rest.usage };
  return { document, stamp, progress, progress_stamp: stamps.progress ?? null };
}
