import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type DeriveStep, derive } from './derive';
import type { TaskState } from './fold';

interface Vector {
  name: string;
  steps: DeriveStep[];
  task?: TaskState;
  expect: { steps: Record<string, object>; task: object };
}

const folder = new URL('../../../contracts/vectors/derive/', import.meta.url);
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Vector);

/** Leaves out what is at its default, as the vectors do. */
function withoutDefaults(value: object): object {
  const isDefault = (key: string, item: unknown) =>
    item === null || item === false || (key === 'errors' && item === 0) || (Array.isArray(item) && item.length === 0);
  return Object.fromEntries(Object.entries(value).filter(([key, item]) => !isDefault(key, item)));
}

function orders(steps: DeriveStep[]): DeriveStep[][] {
  if (steps.length > 4)
    return [steps, steps.toReversed(), ...[1, 2, 3].map((by) => [...steps.slice(by), ...steps.slice(0, by)])];
  if (steps.length < 2) return [steps];
  return steps.flatMap((step, index) => orders(steps.toSpliced(index, 1)).map((rest) => [step, ...rest]));
}

function id(number: number): string {
  return number.toString(16).padStart(16, '0');
}

describe('derive gives what the shared vectors expect, in every order', () => {
  test('there are vectors', () => expect(vectors.length).toBeGreaterThan(70));

  test.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
    for (const steps of orders(vector.steps)) {
      const found = derive(steps, vector.task);
      expect(Object.fromEntries([...found.steps].map(([step, value]) => [step, withoutDefaults(value)]))).toEqual(
        vector.expect.steps,
      );
      expect(withoutDefaults(found.task)).toEqual(vector.expect.task);
    }
  });
});

describe('derive is bounded', () => {
  const chain: DeriveStep[] = Array.from({ length: 10_000 }, (_, index) => ({
    step_id: id(index + 1),
    parent_step_id: index === 0 ? null : id(index),
    type: 'span',
    status: 'error',
    error: { type: 'OSError', message: 'disk full' },
    agent: index === 0 ? 'planner' : null,
  }));

  test('a chain of 10,000 failed steps is one error of one agent', () => {
    const found = derive(chain.toReversed());
    expect(found.steps.get(id(10_000))).toEqual({ agent: 'planner', affected: false, flags: [] });
    expect(found.task.errors).toBe(1);
  });

  test('a ring of 10,000 steps ends', () => {
    const found = derive([...chain.slice(1), { ...chain[0], parent_step_id: id(10_000) } as DeriveStep]);
    expect(new Set([...found.steps.values()].flatMap((step) => step.flags))).toEqual(new Set(['cycle']));
    expect(found.task.root_step_id).toBeNull();
  });
});
