import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../api/types';
import { gapsPath, lastNumberOf, rangeText, reasonText, totalsOf, verdictOf } from './delivery';

function producer(values: Partial<Delivery> = {}): Delivery {
  return {
    instance_id: 'a',
    sdk: 'ams-python',
    version: '1',
    host: 'h',
    ranges: [[1, 10]],
    gaps: [],
    delivered: 10,
    missing: 0,
    duplicates: 0,
    unproven: 0,
    dropped: {},
    truncated: 0,
    reported_at_us: null,
    ...values,
  };
}

const gap = { ranges: [[2, 3], [7, 7]], gaps: [[1, 1], [4, 6]], delivered: 3, missing: 4 }; // biome-ignore format: short

describe('delivery of a task', () => {
  it('sums its producers', () => {
    const totals = totalsOf([
      producer(gap),
      producer({ dropped: { queue_full: 17, odd: 1 }, truncated: 2, duplicates: 3 }),
    ]);
    expect(totals).toEqual({ delivered: 13, missing: 4, duplicates: 3, unproven: 0, dropped: 18, truncated: 2 });
  });

  it('is complete only when every number arrived and nothing was dropped, cut or left out', () => {
    expect(verdictOf([producer(), producer({ duplicates: 4 })], 0)).toBe('complete');
    expect(verdictOf([producer(), producer(gap)], 0)).toBe('incomplete');
    expect(verdictOf([producer({ dropped: { queue_full: 1 } })], 0)).toBe('incomplete');
    expect(verdictOf([producer()], 1)).toBe('incomplete');
    expect(verdictOf([producer({ unproven: 1 })], 0)).toBe('unproven');
    expect(verdictOf([producer({ truncated: 1 })], 0)).toBe('cut');
    expect(verdictOf([], 0)).toBe('unnumbered');
  });

  it('draws all gaps as one path, each wide enough to see and none beyond the edge', () => {
    expect(
      gapsPath(
        [
          [1, 1],
          [4, 6],
        ],
        10,
      ),
    ).toBe('M0 0h100v8h-100zM300 0h300v8h-300z');
    expect(gapsPath([[100_000, 100_000]], 100_000)).toBe('M998 0h2v8h-2z');
    expect(gapsPath([], 0)).toBe('');
  });

  it('names numbers, ranges and reasons', () => {
    expect([lastNumberOf(producer(gap)), lastNumberOf(producer({ ranges: [] }))]).toEqual([7, 0]);
    expect([rangeText([4, 4]), rangeText([4, 6])]).toEqual(['4', '4–6']);
    expect([reasonText('queue_full'), reasonText('new_reason')]).toEqual([
      'the queue in memory was full',
      'new reason',
    ]);
  });
});
