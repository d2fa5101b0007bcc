import { describe, expect, test } from 'vitest';
import {
  ago,
  bytes,
  cost,
  count,
  duration,
  exactCost,
  nusd,
  offset,
  safeLocale,
  ticking,
  tickLabel,
  tickStep,
} from './format';

test('durations keep three digits and their unit', () => {
  expect(
    [0, 842, 1_000, 12_400, 999_400, 1_240_000, 14_230_000, 59_970_000, 125_000_000, 11_220_000_000].map(duration),
  ).toEqual(['0 µs', '842 µs', '1.0 ms', '12 ms', '999 ms', '1.24 s', '14.2 s', '1 m 00 s', '2 m 05 s', '3 h 07 m']);
  expect(duration(null)).toBe('');
});

test('a running clock shows tenths under ten seconds and whole seconds after', () => {
  expect(ticking(4_230_000)).toBe('4.2 s');
  expect(ticking(14_900_000)).toBe('14 s');
  expect(ticking(61_000_000)).toBe('1 m 01 s');
});

describe('cost', () => {
  test('has two significant digits, and below $0.00001 says so', () => {
    expect([2_100_000, 123_456, 98_000, 9_940, 320, 1, 45_600_000, 999_000_000, 1_234_000_000].map(cost)).toEqual([
      '$0.0021',
      '$0.00012',
      '$0.000098',
      '<$0.00001',
      '<$0.00001',
      '<$0.00001',
      '$0.046',
      '$1.00',
      '$1.23',
    ]);
  });

  test('fits its column at any size, and its title has every digit', () => {
    for (let value = 1; value < 1e18; value *= 7) expect(cost(value).length).toBeLessThanOrEqual(9);
    expect(cost(1_234_567_890_000_000)).toBe('$1.2M');
    expect([320, 98_040, 12_000_000_000].map(exactCost)).toEqual(['$0.00000032', '$0.00009804', '$12']);
  });

  test('is empty when unknown and $0 only when known', () => {
    expect(cost(null)).toBe('');
    expect(cost(0)).toBe('$0');
    expect(nusd(null)).toBeNull();
    expect(nusd('0.0021')).toBe(2_100_000);
  });
});

test('counts and sizes are short', () => {
  expect([0, 950, 9_999, 12_400, 120_000, 3_100_000].map(count)).toEqual([
    '0',
    '950',
    '9,999',
    '12.4k',
    '120k',
    '3.1M',
  ]);
  expect([12, 1_200, 20_480, 1_250_000].map(bytes)).toEqual(['12 B', '1.2 KB', '20 KB', '1.3 MB']);
});

test('relative times', () => {
  const now = 1_782_000_000_000_000;
  expect([0, 40, 300, 7_300, 180_000].map((s) => ago(now - s * 1e6, now))).toEqual([
    'just now',
    '40 s ago',
    '5 m ago',
    '2 h ago',
    '2 d ago',
  ]);
  expect(ago(now - 30 * 86_400 * 1e6, now)).toMatch(/^\D*\d+, \d\d:\d\d$/);
  expect(ago(now - 400 * 86_400 * 1e6, now)).toMatch(/2025, \d\d:\d\d$/);
  expect(offset(1_240_000)).toBe('+1.24 s');
});

test('axis ticks are round', () => {
  expect(tickStep(235_987, 6)).toBe(50_000);
  expect(tickStep(60_000_000, 6)).toBe(10_000_000);
  expect(tickStep(240_000_000, 6)).toBe(60_000_000);
  expect(tickLabel(150_000, 50_000)).toBe('150 ms');
  expect(tickLabel(12_000_000, 2_000_000)).toBe('12 s');
});

test('a malformed language does not throw', () => {
  expect(safeLocale('en-US@posix')).toBe('en');
  expect(safeLocale('de-DE')).toBe('de-DE');
});
