import { expect, test } from 'vitest';
import { HeldOrder } from './held';
import { skeletonOf, stepEvent } from './samples';
import { StepTable } from './table';
import { layOut } from './tree';

function orderOf(table: StepTable) {
  const tree = layOut(table);
  return { visible: tree.preorder, tree };
}

function names(table: StepTable, rows: Int32Array): string {
  return [...rows].map((row) => table.ids[row]).join(' ');
}

const twoAgents = () =>
  new StepTable(skeletonOf([{ id: 'root' }, { id: 'a', parent: 'root' }, { id: 'b', parent: 'root' }]));

test('while the pointer is on the rows a step that would be inserted between them waits', () => {
  const table = twoAgents();
  const held = new HeldOrder();
  held.next(orderOf(table), true, []);
  table.apply(stepEvent('step.started', 'a1', 900, { parent_step_id: 'a' }));

  expect(names(table, held.next(orderOf(table), true, []).visible)).toBe('root a b');
  expect(names(table, held.next(orderOf(table), false, []).visible)).toBe('root a a1 b');
});

test('steps at the end are drawn at once, and what the reader changes counts at once', () => {
  const table = twoAgents();
  const held = new HeldOrder();
  held.next(orderOf(table), true, ['']);
  table.apply(stepEvent('step.started', 'b1', 900, { parent_step_id: 'b' }));
  expect(names(table, held.next(orderOf(table), true, ['']).visible)).toBe('root a b b1');

  table.apply(stepEvent('step.started', 'a1', 950, { parent_step_id: 'a' }));
  expect(names(table, held.next(orderOf(table), true, ['filter']).visible)).toBe('root a a1 b b1');
});

test('rows of the log are kept although the table sorts them in place', () => {
  const table = twoAgents();
  const held = new HeldOrder();
  const log = () => ({ visible: table.chronological.subarray(0, table.size), tree: layOut(table) });
  held.next(log(), true, []);
  table.apply(stepEvent('step.started', 'early', 50, { parent_step_id: 'root' }));

  expect(names(table, held.next(log(), true, []).visible)).toBe('root a b');
});
