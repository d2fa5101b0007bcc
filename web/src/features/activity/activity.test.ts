import { describe, expect, it } from 'vitest';
import { columnsOf } from '../execution-log/columns';
import { type Row, skeletonOf } from '../execution-log/samples';
import { StepTable } from '../execution-log/table';
import { layOut } from '../execution-log/tree';
import { activityOf, LANES_MAX, type Range } from './activity';

function activity(rows: Row[], range: Partial<Range> = {}) {
  const table = new StepTable(skeletonOf(rows));
  return activityOf(columnsOf(table, layOut(table)), { view: null, width: 10, now: 100, ...range });
}

const TASK: Row[] = [
  { id: 'r', type: 'agent', name: 'boss', start: 0, duration: 100 },
  {
    id: 'm',
    parent: 'r',
    type: 'llm',
    name: 'chat',
    start: 10,
    duration: 19,
    input: 500,
    output: 50,
    counted: true,
    cost: 7,
  },
  { id: 'f', parent: 'r', type: 'tool', name: 'fetch', start: 30, duration: 9, status: 'error' },
  { id: 'g', parent: 'r', type: 'tool', name: 'fetch', start: 40, duration: 9 },
  { id: 'h', parent: 'r', type: 'tool', name: 'fetch', start: 50, duration: 9 },
  { id: 's', parent: 'r', type: 'agent', name: 'helper', start: 60, duration: 39 },
  { id: 'n', parent: 's', type: 'llm', name: 'chat', start: 60, duration: 19, input: 900, output: 1, counted: true },
  { id: 'w', parent: 's', type: 'tool', name: 'ask', start: 80, status: 'waiting', duration: null },
];

describe('activityOf', () => {
  it('has a lane for each agent, with the step to show at each pixel', () => {
    const { lanes } = activity(TASK);
    expect(lanes.map(({ name, steps }) => [name, steps])).toEqual([
      ['boss', 5],
      ['helper', 3],
    ]);
    expect([...(lanes[0]?.rows ?? [])]).toEqual([-1, 1, 1, 2, 3, 4, -1, -1, -1, -1]);
    expect([...(lanes[1]?.busy ?? [])]).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
  });

  it('shows a step whose agent is not known in the lane of the agent above it', () => {
    const { lanes } = activity([
      { id: 'r', type: 'agent', name: 'boss', agent: 'boss', start: 0 },
      { id: 't', parent: 'r', type: 'tool', name: 'fetch', start: 1 },
    ]);
    expect(lanes.map(({ name, steps }) => [name, steps])).toEqual([['boss', 2]]);
  });

  it('counts open steps, the size of the context and what was used since the start', () => {
    const found = activity(TASK);
    expect([...found.open]).toEqual([1, 2, 2, 2, 2, 2, 3, 3, 3, 3]);
    expect([...found.context]).toEqual([NaN, 500, 500, NaN, NaN, NaN, 900, 900, NaN, NaN]);
    expect([...found.tokens]).toEqual([0, 0, 550, 550, 550, 550, 550, 1451, 1451, 1451]);
    expect([found.costKnown, found.cost[9]]).toEqual([true, 7]);
  });

  it('marks errors where they end, waits, and a retry after a failure, once', () => {
    const found = activity(TASK);
    expect([...found.errors]).toEqual([-1, -1, -1, 2, -1, -1, -1, -1, -1, -1]);
    expect(found.waits[8]).toBe(7);
    expect([...found.retries]).toEqual([-1, -1, -1, -1, 3, -1, -1, -1, -1, -1]);
  });

  it('shows a range of time, with sums that include what came before', () => {
    const found = activity(TASK, { view: { from: 50, to: 100 }, width: 5 });
    expect([found.from, found.to, found.whole]).toEqual([50, 100, { from: 0, to: 100 }]);
    expect([...found.tokens]).toEqual([550, 550, 1451, 1451, 1451]);
    expect([...found.errors]).toEqual([-1, -1, -1, -1, -1]);
    expect(found.open[0]).toBe(2);
  });

  it('answers as much for many steps and agents as for few', () => {
    const rows: Row[] = Array.from({ length: 20_000 }, (_, i) => ({
      id: `s${i}`,
      type: 'agent',
      name: `a${i % 500}`,
      start: i,
      duration: 5,
    }));
    const found = activity(rows, { width: 1_000, now: 0 });
    expect(found.lanes).toHaveLength(LANES_MAX);
    expect(found.lanes.at(-1)?.name).toBe('491 other agents');
    expect(found.lanes.reduce((sum, lane) => sum + lane.steps, 0)).toBe(20_000);
    expect(found.open).toHaveLength(1_000);
  });

  it('survives a task without a known start', () => {
    expect(activity([{ id: 'r', start: null }]).whole).toEqual({ from: 0, to: 1_000_000 });
  });
});
