import { expect, test } from 'vitest';
import { BASE_US, heartbeat, skeletonOf, stepEvent } from './samples';
import { lostAfterUs } from './TraceStep';
import { StepTable } from './table';
import { layOut } from './tree';

test('a lost step lasted until its last event, and a step that is not lost says nothing', () => {
  const table = new StepTable(skeletonOf([{ id: 'root' }]));
  table.apply(stepEvent('step.started', 'crawl', 1_000));
  table.apply(heartbeat(8_000, [{ step_id: 'crawl' }]));
  const row = table.rowOf('crawl');
  expect(lostAfterUs(table, row)).toBeNull();

  table.apply({
    kind: 'step.lost',
    event_id: 'f'.repeat(32),
    seq: 0,
    at_us: BASE_US + 38_000,
    step_id: 'crawl',
    last_beat_us: BASE_US + 8_000,
  });

  expect(table.countOf('lost')).toBe(1);
  expect(lostAfterUs(table, row)).toBe(7_000);
});

test('a collapsed row counts the errors of all that it hides, and not its own', () => {
  const table = new StepTable(
    skeletonOf([
      { id: 'root', status: 'error' },
      { id: 'agent', parent: 'root' },
      { id: 'a', parent: 'agent', status: 'error' },
      { id: 'b', parent: 'agent' },
      { id: 'c', parent: 'b', status: 'error' },
    ]),
  );
  const tree = layOut(table);
  const errors = (id: string) => tree.errorsInside[table.rowOf(id)];

  expect(['root', 'agent', 'a', 'b', 'c'].map(errors)).toEqual([2, 2, 0, 1, 0]);
});
