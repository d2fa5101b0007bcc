import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { LogEvent, StepEvent, TaskEvent } from '../api/types';
import { EMPTY_STEP, EMPTY_TASK, fold, foldTask, statusOf, stepIdsOf, usageOf } from './fold';
import { isBefore, parsePosition } from './position';

interface Vector {
  name: string;
  task?: boolean;
  step_id?: string;
  events: LogEvent[];
  expect: { state: unknown; status: string; usage?: unknown };
}

const folder = new URL('../../../contracts/vectors/', import.meta.url);
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Vector);

/** States leave out what is null, as the vectors do. */
function told(state: object): unknown {
  return Object.fromEntries(Object.entries(state).filter(([, value]) => value !== null));
}

function orders<T>(items: T[]): T[][] {
  if (items.length < 2) return [items];
  return items.flatMap((item, index) => orders(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

describe('the fold gives what the shared vectors expect, in every order and with repeats', () => {
  test('there are vectors', () => expect(vectors.length).toBeGreaterThan(30));

  test.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
    for (const order of orders(vector.events.slice(0, 6))) {
      for (const events of [order, [...order, ...order]]) {
        if (vector.task) {
          const state = (events as TaskEvent[]).reduce(foldTask, EMPTY_TASK);
          expect(told(state)).toEqual(vector.expect.state);
          expect(state.document?.status ?? 'running').toBe(vector.expect.status);
        } else {
          const id = vector.step_id ?? '';
          const state = (events as StepEvent[])
            .filter((event) => stepIdsOf(event).includes(id))
            .reduce((before, event) => fold(before, event, id), EMPTY_STEP);
          expect(told(state)).toEqual(vector.expect.state);
          expect(statusOf(state)).toBe(vector.expect.status);
          expect(usageOf(state)).toEqual(vector.expect.usage ?? null);
        }
      }
    }
  });

  test('an event that changes nothing leaves the same state', () => {
    const event = vectors.find((vector) => !vector.task && vector.events.length > 0);
    const first = event?.events[0] as StepEvent;
    const state = fold(EMPTY_STEP, first, event?.step_id ?? '');
    expect(fold(state, first, event?.step_id ?? '')).toBe(state);
  });
});

describe('positions', () => {
  test('compare within one partition only', () => {
    expect(isBefore('1.7.41', '1.7.42')).toBe(true);
    expect(isBefore('1.7.9', '1.7.10')).toBe(true);
    expect(isBefore('1.7.42', '1.7.42')).toBe(false);
    expect(isBefore('1.6.1', '1.7.42')).toBe(false);
    expect(isBefore(null, '1.7.42')).toBe(false);
  });

  test('what is not a position is none', () => {
    expect(parsePosition('1.7')).toBeNull();
    expect(parsePosition('a.b.c')).toBeNull();
  });
});
