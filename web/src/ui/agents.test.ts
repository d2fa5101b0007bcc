import { expect, test } from 'vitest';
import { programOf } from './agents';

test('a browser is named with its system', () => {
  expect(programOf('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0')).toBe('Firefox on Linux');
  const edge =
    'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Safari/537.36 Edg/150.0';
  expect(programOf(edge)).toBe('Edge on Windows');
});

test('another program is named by its first words', () => {
  expect(programOf('python-httpx/0.28')).toBe('python-httpx/0.28');
  expect(programOf(null)).toBe('Unknown program');
  expect(programOf('x'.repeat(300))).toHaveLength(60);
});
