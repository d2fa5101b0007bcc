/** Marks failed steps that only repeat the failure of a step below them, by the rules of `derive`, as the service does. */
import { STATUSES, STEP_TYPES } from '../../api/types';
import { type DeriveStep, derive } from '../../fold/derive';
import { PARENT_UNKNOWN, ROOT, STATUS, type StepTable } from './table';

/** Failed steps with all that is above them: beyond, the totals of the service are shown. */
export const MARKED_STEPS_MAX = 5_000;

/**
 * Marks `table.affected`. Whether a failure repeats another depends on failed steps and the steps above them alone.
 *
 * @returns false, with nothing marked, when a failure is not known or there are too many
 */
export function markAffected(table: StepTable): boolean {
  table.affected.fill(0);
  if (table.countOf('error') === 0) return true;
  const rows = new Set<number>();
  for (let row = 0; row < table.size; row++) {
    if (table.status[row] !== STATUS.error) continue;
    if (!table.failures.has(row)) return false;
    for (let up = row; up !== ROOT && up !== PARENT_UNKNOWN && !rows.has(up); up = table.parent[up] as number)
      rows.add(up);
    if (rows.size > MARKED_STEPS_MAX) return false;
  }
  const { steps } = derive([...rows].map((row) => deriveStep(table, row)));
  for (const row of rows) if (steps.get(table.ids[row] as string)?.affected) table.affected[row] = 1;
  return true;
}

function deriveStep(table: StepTable, row: number): DeriveStep {
  const parent = table.parent[row] as number;
  const end = table.endOf(row);
  return {
    step_id: table.ids[row] as string,
    parent_step_id: parent === ROOT || parent === PARENT_UNKNOWN ? null : (table.ids[parent] as string),
    type: STEP_TYPES[table.type[row] as number] ?? 'span',
    status: STATUSES[table.status[row] as number] ?? 'ok',
    started_at_us: microseconds(table, table.start[row] as number),
    ended_at_us: microseconds(table, end),
    error: table.failures.get(row) ?? null,
  };
}

function microseconds(table: StepTable, relative: number): number | null {
  return Number.isNaN(relative) ? null : table.baseUs + relative;
}
