import { expect, test } from 'vitest';
import type { Task } from '../../api/types';
import { nextSort, orderOf } from './orders';

const task = (id: string, more: Partial<Task>) =>
  ({ task_id: id, sort_at_us: 0, name: id, agent: null, duration_us: null, cost_usd: null, ...more }) as Task;

const sorted = (sort: string, tasks: Task[]) =>
  [...tasks]
    .sort(orderOf(sort))
    .map((item) => item.task_id)
    .join('');

test('unknown values come last in both directions, equal ones newest first', () => {
  const tasks = [
    task('a', { duration_us: 5 }),
    task('b', { sort_at_us: 1 }),
    task('c', { duration_us: 9 }),
    task('d', {}),
  ];
  expect(sorted('-duration', tasks)).toBe('cabd');
  expect(sorted('duration', tasks)).toBe('acbd');
});

test('texts ignore case, costs are numbers', () => {
  expect(sorted('agent', [task('a', { agent: 'b' }), task('b', { agent: 'A' })])).toBe('ba');
  expect(sorted('-cost', [task('a', { cost_usd: '9' }), task('b', { cost_usd: '10' })])).toBe('ba');
});

test('a second press turns the order around', () => {
  expect(nextSort('-started', 'duration', true)).toBe('-duration');
  expect(nextSort('-duration', 'duration', true)).toBe('duration');
  expect(nextSort('-started', 'name', false)).toBe('name');
});
