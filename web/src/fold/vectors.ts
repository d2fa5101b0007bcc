/** The shared fold vectors (contracts/vectors) for tests. */
import { readdirSync, readFileSync } from 'node:fs';
import type { LogEvent, Status, StepEvent, Usage } from '../api/types';

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
