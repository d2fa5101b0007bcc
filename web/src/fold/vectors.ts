/** The shared fold vectors (contracts/vectors) for tests. */
import { readdirSync, readFileSync } from 'node:fs';
import type { LogEvent, Status, Step, StepEvent, Usage } from '../api/types';
import { StepDocumentDefaults } from '../api/types.gen';
import { EMPTY_STEP, fold, type StepState, statusOf, stepIdsOf, usageOf } from './fold';

export interface Vector {
  name: string;
  task?: boolean;
  step_id?: string;
  events: LogEvent[];
  expect: { state: unknown; status: Status; usage?: Usage | null };
}

const FOLDER = new URL('../../../contracts/vectors/', import.meta.url);

export function readVectors(): Vector[] {
  return readdirSync(FOLDER)
    .filter((name) => /^(step|task)-.*\.json$/.test(name))
    .map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Vector);
}

/** The step vectors: name, events about the step, its id, and what is expected. */
export function stepVectors(): { name: string; id: string; events: StepEvent[]; expected: Vector['expect'] }[] {
  return readVectors()
    .filter((vector) => !vector.task)
    .map(({ name, step_id = '', events, expect: expected }) => ({
      name,
      id: step_id,
      events: events as StepEvent[],
      expected,
    }));
}

/** All orders of a few items. */
export function orders<T>(items: T[]): T[][] {
  if (items.length < 2) return [items];
  return items.flatMap((item, index) => orders(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

export function stateAfter(events: StepEvent[], id: string): StepState {
  return events
    .filter((event) => stepIdsOf(event).includes(id))
    .reduce<StepState>((state, event) => fold(state, event, id), EMPTY_STEP);
}

/** The row of a state as the service answers it; null while no event of the step is stored. */
export function rowOf(state: StepState): Step | null {
  if (state === EMPTY_STEP) return null;
  const { cost_nusd: _, ...columns } = { name: '', type: 'span' as const, ...StepDocumentDefaults, ...state.document };
  return {
    ...columns,
    task_id: 't',
    step_id: 's',
    cost_usd: null,
    counted: true,
    affected: false,
    derived_flags: [],
    status: statusOf(state),
    usage: usageOf(state),
    progress: state.progress,
    stamps: { document: state.stamp, progress: state.progress_stamp },
  };
}
