import { expect, test } from 'vitest';
import { limitText, megabytesText, parseLimit, parseMegabytes, share } from './limits';

test('an empty field is no limit, and what is no whole number is refused', () => {
  expect(parseLimit('')).toBeNull();
  expect(parseLimit(' 1,000 ')).toBe(1000);
  for (const text of ['0', '-1', '1.5', 'many', '9'.repeat(13)]) expect(parseLimit(text)).toBeUndefined();
});

test('megabytes are bytes and back', () => {
  expect(parseMegabytes('20')).toBe(20_000_000);
  expect(megabytesText(20_000_000)).toBe('20');
  expect(parseMegabytes(megabytesText(1_234_567))).toBe(1_234_567);
  for (const text of ['0', '0.0000001', '-1', 'many']) expect(parseMegabytes(text)).toBeUndefined();
  expect(megabytesText(null)).toBe('');
  expect(limitText(undefined)).toBe('');
});

test('the share of a limit ends at 1', () => {
  expect(share(5, 10)).toBe(0.5);
  expect(share(50, 10)).toBe(1);
  expect(share(5, null)).toBeNull();
});
