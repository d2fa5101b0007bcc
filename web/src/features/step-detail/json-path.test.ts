import { expect, test } from 'vitest';
import { pathBelow } from './json-path';

test('a path names keys and places, and quotes what is no plain name', () => {
  const first = pathBelow(pathBelow(pathBelow('', 'choices'), 0), 'message');
  expect(first).toBe('choices[0].message');
  expect(pathBelow(first, 'tool calls')).toBe('choices[0].message["tool calls"]');
  expect(pathBelow('', 'gen_ai.input')).toBe('["gen_ai.input"]');
  expect(pathBelow('a', '"><script>')).toBe('a["\\"><script>"]');
  expect(pathBelow('', 3)).toBe('[3]');
});
