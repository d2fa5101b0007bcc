import { describe, expect, test } from 'vitest';
import type { StepState } from '../../fold/fold';
import { orders, rowOf, stateAfter, stepVectors } from '../../fold/vectors';
import { isBehind, stepWith } from './step';

describe('a step of REST with later frames shows what the shared vectors expect', () => {
  test.each(stepVectors().map((vector) => [vector.name, vector] as const))('%s', (_, { id, events, expected }) => {
    for (const order of orders(events.slice(0, 5))) {
      for (let split = 0; split <= order.length; split++) {
        // frames repeat what REST has already seen, too
        for (const from of [split, 0]) {
          const live = stateAfter(order.slice(from), id);
          const step = stepWith('t', 's', rowOf(stateAfter(order.slice(0, split), id)), live);
          if (step === null) continue;
          expect(step.status).toBe(expected.status);
          expect(step.usage).toEqual(expected.usage ?? null);
        }
      }
    }
  });
});

test('a document that only frames have is a complete step', () => {
  const document = { type: 'tool', name: 'fetch', status: 'ok', cost_nusd: 2_100_000 } as const;
  const live: StepState = { document, stamp: [2, 5, 1, 'e'], progress: null, progress_stamp: null };

  const step = stepWith('t', 's', null, live);

  expect(step).toMatchObject({ name: 'fetch', cost_usd: '0.0021', ttft_us: null, finish_reasons: [], attempts: 1 });
});

test('REST is asked again until it has the newest document and the payloads of a step that is over', () => {
  const running = {
    stamps: { document: [1, 1, 1, 'a'], progress: null },
    ended_at_us: null,
    status: 'running',
  } as const;
  const over = { ...running, stamps: { document: [2, 5, 1, 'a'], progress: null }, ended_at_us: 5 } as never;
  const newest: StepState = { document: null, stamp: [2, 5, 1, 'a'], progress: null, progress_stamp: null };
  const here = [{ absent: null }, { absent: 'not_captured' }];
  const late = [{ absent: null }, { absent: 'not_here_yet' }];

  expect(isBehind(undefined, newest)).toBe(false);
  // an open step has no output yet, and nobody has announced one
  expect(isBehind({ step: running as never, payloads: late }, null)).toBe(false);
  expect(isBehind({ step: { ...running, status: 'waiting' } as never, payloads: late }, null)).toBe(false);
  // a frame has brought its end
  expect(isBehind({ step: running as never, payloads: late }, newest)).toBe(true);
  expect(isBehind({ step: over, payloads: late }, newest)).toBe(true);
  expect(isBehind({ step: over, payloads: here }, newest)).toBe(false);
});
