import { describe, expect, test } from 'vitest';
import { STATUSES, type StepEvent } from '../../api/types';
import { orders, rowOf, stateAfter, stepVectors } from '../../fold/vectors';
import { BASE_US, heartbeat, skeletonOf, stepEvent } from './samples';
import { NONE, STATUS, StepTable } from './table';

function tableAfter(events: StepEvent[]): StepTable {
  const table = new StepTable(skeletonOf([]));
  for (const event of events) table.apply(event);
  return table;
}

describe('the table shows what the shared vectors expect, in every order and with repeats', () => {
  test.each(stepVectors().map((vector) => [vector.name, vector] as const))('%s', (_, { id, events, expected }) => {
    const hasDocument = events.some((event) => 'step' in event && event.step_id === id);
    for (const order of orders(events.slice(0, 6))) {
      for (const each of [order, [...order, ...order]]) {
        const table = tableAfter(each);
        const row = table.rowOf(id);
        expect(row === NONE).toBe(!hasDocument);
        if (row === NONE) continue;
        expect(STATUSES[table.status[row] as number]).toBe(expected.status);
        expect(table.input[row]).toBe(expected.usage?.input ?? Number.NaN);
        expect(table.output[row]).toBe(expected.usage?.output ?? Number.NaN);
      }
    }
  });
});

/** A table with one row, as a skeleton has it after these events, and joined with the row of REST. */
function fetchedTable(events: StepEvent[], id: string): StepTable {
  const row = rowOf(stateAfter(events, id));
  if (row === null) return new StepTable(skeletonOf([]));
  const skeleton = skeletonOf([{ id, status: row.status }]);
  const stamp = row.stamps.document ?? row.stamps.progress;
  skeleton.columns.phase = [row.stamps.document?.[0] ?? 1];
  skeleton.columns.at = [(stamp?.[1] ?? 0) - BASE_US];
  skeleton.columns.input_tokens = [row.usage?.input ?? null];
  skeleton.columns.output_tokens = [row.usage?.output ?? null];
  const table = new StepTable(skeleton);
  table.joinStep({ ...row, step_id: id });
  return table;
}

describe('a fetched table joined with its rows and later frames shows what the shared vectors expect', () => {
  test.each(stepVectors().map((vector) => [vector.name, vector] as const))('%s', (_, { id, events, expected }) => {
    for (const order of orders(events.slice(0, 5))) {
      for (let split = 0; split <= order.length; split++) {
        // frames repeat what REST has already seen, too
        for (const from of [split, 0]) {
          const table = fetchedTable(order.slice(0, split), id);
          for (const event of order.slice(from)) table.apply(event);
          const row = table.rowOf(id);
          if (row === NONE) continue;
          expect(STATUSES[table.status[row] as number]).toBe(expected.status);
          expect(table.input[row]).toBe(expected.usage?.input ?? Number.NaN);
          expect(table.output[row]).toBe(expected.usage?.output ?? Number.NaN);
        }
      }
    }
  });
});

describe('progress of a step', () => {
  const lost = (atUs: number, lastBeatUs: number): StepEvent => ({
    ...(heartbeat(atUs, []) as unknown as StepEvent & { kind: 'step.lost' }),
    kind: 'step.lost',
    step_id: 'a',
    last_beat_us: BASE_US + lastBeatUs,
  });

  test('that came before the step: the highest stamp counts, not the last one that arrived', () => {
    const later = heartbeat(300, [{ step_id: 'a', status: 'waiting' }]);
    const table = tableAfter([later, heartbeat(200, [{ step_id: 'a' }]), stepEvent('step.started', 'a', 100)]);

    expect(table.status[table.rowOf('a')]).toBe(STATUS.waiting);
  });

  test('a lost step stays lost when a heartbeat is repeated', () => {
    const beat = heartbeat(200, [{ step_id: 'a' }]);
    const table = tableAfter([stepEvent('step.started', 'a', 100), beat, lost(40_000, 200), beat]);

    expect(table.status[table.rowOf('a')]).toBe(STATUS.lost);
    expect(table.lastEventUsOf(table.rowOf('a'))).toBe(beat.at_us);
  });

  test('of steps that never start is bounded', () => {
    const table = tableAfter([]);
    for (let i = 0; i < 10_001; i++) table.apply(heartbeat(i, [{ step_id: `s${i}`, status: 'waiting' }]));

    table.apply(stepEvent('step.started', 's0', 0));
    table.apply(stepEvent('step.started', 's10000', 0));

    expect(table.status[table.rowOf('s0')]).toBe(STATUS.running);
    expect(table.status[table.rowOf('s10000')]).toBe(STATUS.waiting);
  });
});
