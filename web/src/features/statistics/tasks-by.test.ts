import { expect, test } from 'vitest';
import type { TaskGroup, TaskHistogram } from '../../api/types';
import { nameOf, queryOf, taskGroupsCsv, taskPoints } from './tasks-by';

const group = (tag: string | null, key: string, other = false) =>
  ({
    tag,
    key,
    other,
    tasks: 2,
    failed: 1,
    steps: 9,
    input_tokens: 3,
    output_tokens: 4,
    cost_usd: '0.5',
    p50_duration_us: 7,
    p95_duration_us: null,
  }) as TaskGroup;

test('the query of a group finds its tasks', () => {
  expect(queryOf('user', group(null, 'ann@example.com'))).toBe('user:"ann@example.com"');
  expect(queryOf('user', group(null, ''))).toBe('-user:*');
  expect(queryOf('tag', group('env', 'prod'))).toBe('tag.env:prod');
  expect(queryOf('tag', group('a "b"', 'x y'))).toBe('tag."a \\"b\\"":"x y"');
  expect(queryOf('tag', group(null, '', true))).toBeNull();
  expect([group('env', 'prod'), group(null, 'ann'), group(null, '', true)].map(nameOf)).toEqual([
    'env: prod',
    'ann',
    'other',
  ]);
});

test('every bucket of the range is a point', () => {
  const bucket = { start_us: 20 };
  const points = taskPoints({ from_us: 0, to_us: 30, bucket_us: 10, items: [bucket] } as TaskHistogram);

  expect(points).toEqual([
    { startUs: 0, bucket: null },
    { startUs: 10, bucket: null },
    { startUs: 20, bucket },
  ]);
});

test('a spreadsheet has the tag and its value apart, and no formula', () => {
  expect(taskGroupsCsv('tag', [group('env', '=1+1'), group(null, '', true)])).toBe(
    'tag,value,tasks,failed,p50_duration_us,p95_duration_us,steps,input_tokens,output_tokens,cost_usd\r\n' +
      "env,'=1+1,2,1,7,,9,3,4,0.5\r\n" +
      ',other,2,1,7,,9,3,4,0.5\r\n',
  );
  expect(taskGroupsCsv('user', [group(null, 'ann')])).toContain('\r\nann,2,1,');
});
