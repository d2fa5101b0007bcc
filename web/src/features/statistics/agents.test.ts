import { expect, test } from 'vitest';
import type { Agent, StatisticsGroup } from '../../api/types';
import { rowsOf, successRate } from './agents';

const group = (key: string, steps: number, errors: number) => ({ key, steps, errors }) as StatisticsGroup;

test('the success of an agent is that of its runs, and an agent without runs has none', () => {
  const agents = ['a', 'b', 'c', 'd'].map((name) => ({ name }) as Agent);
  const workflows = [group('a', 2, 2), group('d', 2, 1)];
  const steps = [group('a', 90, 9), group('b', 10, 1), group('d', 20, 1)];

  const rows = rowsOf(agents, [group('a', 4, 1)], workflows, steps, new Map([['b', 2]]));

  expect(rows.map(successRate)).toEqual([0.75, null, null, 0.5]);
  expect(rows.map(({ running }) => running)).toEqual([0, 2, 0, 0]);
});
