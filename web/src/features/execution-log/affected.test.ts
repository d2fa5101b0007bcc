import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { StepDocument } from '../../api/types';
import type { DeriveStep } from '../../fold/derive';
import { markAffected } from './affected';
import { skeletonOf, stepEvent } from './samples';
import { StepTable } from './table';
import { isError, layOut } from './tree';

interface Vector {
  name: string;
  steps: DeriveStep[];
  expect: { steps: Record<string, { affected?: boolean }>; task: { errors?: number } };
}

const folder = new URL('../../../../contracts/vectors/derive/', import.meta.url);
const vectors = readdirSync(folder)
  .filter((name) => name.startsWith('error-'))
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Vector);

function tableOf(steps: DeriveStep[]): StepTable {
  const table = new StepTable(skeletonOf([]));
  for (const { step_id, asks: _, answers: __, wrong_clock: ___, ...step } of steps) {
    const document = { name: step_id, ...step } as StepDocument;
    const end = document.ended_at_us ?? null;
    const start = document.started_at_us ?? null;
    const duration = end !== null && start !== null ? end - start : null;
    table.apply(stepEvent('step.recorded', step_id, 0, { ...document, duration_us: duration }));
  }
  return table;
}

describe('failures that repeat one below are marked as the shared vectors expect', () => {
  test('there are vectors', () => expect(vectors.length).toBeGreaterThan(15));

  test.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_, { steps, expect: expected }) => {
    const table = tableOf(steps);

    expect(markAffected(table)).toBe(true);

    const marked = table.ids.filter((__, row) => table.affected[row] === 1).sort();
    const wanted = Object.entries(expected.steps).filter(([, step]) => step.affected);
    expect(marked).toEqual(wanted.map(([id]) => id).sort());
    const errors = table.ids.filter((__, row) => isError(table, row)).length;
    expect(errors).toBe(expected.task.errors ?? 0);
  });
});

test('errors inside a step count where they arose, once', () => {
  const error = { type: 'OSError', message: 'disk full' };
  const table = new StepTable(skeletonOf([{ id: 'root', status: 'ok' }]));
  table.apply(stepEvent('step.recorded', 'outer', 1, { parent_step_id: 'root', status: 'error', error }));
  table.apply(stepEvent('step.recorded', 'inner', 2, { parent_step_id: 'outer', status: 'error', error }));
  markAffected(table);

  expect(layOut(table).errorsInside[table.rowOf('root')]).toBe(1);
});

test('while a failure is not known nothing is marked', () => {
  const table = new StepTable(
    skeletonOf([
      { id: 'a', status: 'error' },
      { id: 'b', parent: 'a', status: 'error' },
    ]),
  );

  expect(markAffected(table)).toBe(false);
  expect([...table.affected]).toEqual([0, 0]);
});
