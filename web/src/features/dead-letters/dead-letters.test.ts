import { expect, test } from 'vitest';
import type { DeadLetter } from '../../api/types';
import { countOpen, countText, hexLines, readable, reasonText } from './dead-letters';

function letter(replayedAtUs: number | null): DeadLetter {
  return {
    place: 'ams.steps.v1/7/4211/0',
    projection: 'steps',
    task_id: null,
    reason: 'invalid',
    detail: '',
    bytes: 1,
    at_us: 1,
    replayed_at_us: replayedAtUs,
  };
}

test('what was replayed is no longer counted', () => {
  expect(countText(countOpen([letter(null), letter(5), letter(null)], false))).toBe('2 not stored');
  expect(countText(countOpen([letter(null)], true))).toBe('1+ not stored');
});

test('reasons are readable, known or not', () => {
  expect(['not_json', 'unknown_kind', 'of_next_year'].map(reasonText)).toEqual([
    'not JSON',
    'an unknown kind of event',
    'of next year',
  ]);
});

test('bytes that are not text are shown sixteen to a line', () => {
  const lines = hexLines(btoa('{"v":1,\xff\xfe\x00 and so on')).split('\n');
  expect(lines).toEqual([
    '00000000  7b 22 76 22 3a 31 2c ff fe 00 20 61 6e 64 20 73  {"v":1,··· and s',
    `00000010  ${'6f 20 6f 6e'.padEnd(47)}  o on`,
  ]);
});

test('JSON gets line breaks, other text stays', () => {
  expect(readable('{"a":[1]}')).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(readable('{"a":')).toBe('{"a":');
});
