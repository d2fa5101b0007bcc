import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { accept, complete, type Observed, readRecent, TASK_QUERY_FIELDS, withRecent } from './completion';

const observed: Observed = new Map([
  [
    'agent',
    [
      { value: 'planner', tasks: 12 },
      { value: 'the critic', tasks: 1 },
    ],
  ],
  ['status', [{ value: 'error', tasks: 3 }]],
  ['tag.tier', [{ value: 'gold', tasks: 2 }]],
  ['score.helpful', []],
  ['score.well written', []],
]);
const labels = (text: string, caret = text.length) => complete(text, caret, observed).options.map(({ label }) => label);

/** Accept the first option at `|`; the result has `|` where the caret is. */
function first(marked: string): string {
  const caret = marked.indexOf('|');
  const text = marked.replace('|', '');
  const completion = complete(text, caret, observed);
  const option = completion.options[0];
  if (!option) return '';
  const result = accept(text, completion, option);
  return `${result.text.slice(0, result.caret)}|${result.text.slice(result.caret)}`;
}

test('the fields are those of the reference', () => {
  const reference = readFileSync('../docs/reference/queries.md', 'utf8');
  const rows = [...reference.matchAll(/^\| `([\w.]+)` \| ([\w ]+) \| (.*) \|$/gm)];
  const ofTasks = rows.filter(([, , of]) => of?.includes('tasks')).map(([, name]) => name as string);
  expect(Object.keys(TASK_QUERY_FIELDS).toSorted()).toEqual(ofTasks.toSorted());
});

describe('completion', () => {
  test('of fields', () => {
    expect(labels('st')).toEqual(['status:', 'steps:']);
    expect(labels('ok -lat')).toEqual(['latency:']);
    expect(labels('tag')).toEqual(['tag.tier:']);
    expect(labels('zzz')).toEqual([]);
    expect(labels('sco')).toEqual(['score.…']);
    expect(labels('score')).toEqual(['score.helpful:', 'score.well written:']);
    expect(first('score.w|')).toBe('score."well written":|');
    expect(first('-score.h|')).toBe('-score.helpful:|');
  });

  test('of values, with how many tasks have them', () => {
    expect(complete('agent:', 6, observed).options).toMatchObject([
      { label: 'planner', hint: '12 tasks' },
      { label: 'the critic', hint: '1 task' },
    ]);
    expect(labels('status:e')).toEqual(['error', 'waiting', 'running', 'cancelled'].filter((one) => one.includes('e')));
    expect(labels('tag.tier:g')).toEqual(['gold']);
    expect(labels('latency:>1')).toEqual(['latency:>1s', 'latency:>10s', 'latency:>1m']);
  });

  test.each([
    ['sta|', 'status:|'],
    ['status:err|', 'status:error |'],
    ['agent:cri|', 'agent:"the critic" |'],
    ['-agent:pl|', '-agent:planner |'],
    ['status:err| latency:>1s', 'status:error |latency:>1s'],
    ['(agent:pl|)', '(agent:planner |)'],
    ['status:ok,err|', 'status:ok,error |'],
    ['"a b" sta|', '"a b" status:|'],
    ['sta|tus:x', 'status:|'],
  ])('%s becomes %s', (before, after) => expect(first(before)).toBe(after));

  test('nothing inside of quotation marks', () => expect(labels('"some sta')).toEqual([]));
});

test('recent queries are kept once, the newest first', () => {
  expect(withRecent(['a', 'b'], 'b')).toEqual(['b', 'a']);
  expect(withRecent(['a'], '')).toEqual(['a']);
  expect(readRecent('[1, "a"]')).toEqual(['a']);
  expect(readRecent('{')).toEqual([]);
});

test('a score of a name is compared, or found whatever it is', () => {
  const inserts = (text: string) => complete(text, text.length, new Map()).options.map((option) => option.insert);

  expect(inserts('sco')).toEqual(['score.']);
  expect(inserts('-score.helpful:')).toEqual(['-score.helpful:<0.5', '-score.helpful:>=0.5', '-score.helpful:*']);
});
