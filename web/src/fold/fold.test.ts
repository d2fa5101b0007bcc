import { describe, expect, test } from 'vitest';
import type { StepEvent, TaskEvent } from '../api/types';
import { EMPTY_STEP, EMPTY_TASK, fold, foldTask, join, statusOf, stepIdsOf, usageOf } from './fold';
import { isBefore, parsePosition } from './position';
import { orders, readVectors, stateAfter, stepVectors } from './vectors';

const vectors = readVectors();

/** States leave out what is null, as the vectors do. */
function withoutNulls(state: object): unknown {
  return Object.fromEntries(Object.entries(state).filter(([, value]) => value !== null));
}

describe('the fold gives what the shared vectors expect, in every order and with repeats', () => {
  test('there are vectors', () => expect(vectors.length).toBeGreaterThan(30));

  test.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
    for (const order of orders(vector.events.slice(0, 6))) {
      for (const events of [order, [...order, ...order]]) {
        if (vector.task) {
          const state = (events as TaskEvent[]).reduce(foldTask, EMPTY_TASK);
          expect(withoutNulls(state)).toEqual(vector.expect.state);
          expect(state.document?.status ?? 'running').toBe(vector.expect.status);
        } else {
          const id = vector.step_id ?? '';
          const state = (events as StepEvent[])
            .filter((event) => stepIdsOf(event).includes(id))
            .reduce((before, event) => fold(before, event, id), EMPTY_STEP);
          expect(withoutNulls(state)).toEqual(vector.expect.state);
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

describe('the join of two states is the state of all their events', () => {
  test.each(stepVectors().map((vector) => [vector.name, vector] as const))('%s', (_, { id, events }) => {
    const all = stateAfter(events, id);
    for (let split = 0; split <= events.length; split++) {
      const left = stateAfter(events.slice(0, split), id);
      const right = stateAfter(events.slice(split), id);
      expect(join(left, right)).toEqual(all);
      expect(join(right, left)).toEqual(all);
      expect(join(all, left)).toBe(all);
    }
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
