import { describe, expect, test } from 'vitest';
import type { Step, StepEvent } from '../../api/types';
import { StepDocumentDefaults } from '../../api/types.gen';
import { EMPTY_STEP, fold, type StepState, statusOf, stepIdsOf, usageOf } from '../../fold/fold';
import { orders, stepVectors } from '../../fold/vectors';
import { stepWith } from './step';

function stateAfter(events: StepEvent[], id: string): StepState {
  return events
    .filter((event) => stepIdsOf(event).includes(id))
    .reduce<StepState>((state, event) => fold(state, event, id), EMPTY_STEP);
}

/** The row of a state as the service answers it; null while no event of the step is stored. */
function rowOf(state: StepState): Step | null {
  if (state === EMPTY_STEP) return null;
  const { cost_nusd: _, ...columns } = { name: '', type: 'span' as const, ...StepDocumentDefaults, ...state.document };
  return {
    ...columns,
    task_id: 't',
    step_id: 's',
    cost_usd: null,
    counted: true,
    status: statusOf(state),
    usage: usageOf(state),
    progress: state.progress,
    stamps: { document: state.stamp, progress: state.progress_stamp },
  };
}

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
