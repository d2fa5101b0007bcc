import { expect, test } from 'vitest';
import { skeletonOf, stepEvent } from './samples';
import { sumsBelow } from './sums';
import { StepTable } from './table';
import { layOut } from './tree';

test('a collapsed row shows the tokens and cost of all that it hides, counted once', () => {
  const table = new StepTable(skeletonOf([{ id: 'root' }]));
  const usage = { input: 10, output: 5 };
  const call = { parent_step_id: 'agent', type: 'llm', usage, cost_nusd: 1_000 } as const;
  // an agent that repeats the usage of its calls is not counted
  table.apply(stepEvent('step.recorded', 'agent', 1, { parent_step_id: 'root', type: 'agent', usage }));
  table.apply(stepEvent('step.recorded', 'a', 2, call));
  table.apply(stepEvent('step.recorded', 'b', 3, { ...call, cost_nusd: null }));
  table.apply(stepEvent('step.recorded', 'other', 4, { parent_step_id: 'root' }));
  const tree = layOut(table);

  expect(sumsBelow(table, tree, table.rowOf('agent'))).toEqual({ tokens: 30, cost: 1_000 });
  expect(sumsBelow(table, tree, table.rowOf('other'))).toEqual({ tokens: null, cost: null });
});
