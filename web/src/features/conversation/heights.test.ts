import { describe, expect, it } from 'vitest';
import { Heights } from './heights';

describe('rows of different heights', () => {
  it('are estimated until they are measured', () => {
    const heights = new Heights(100);
    heights.setRows(Int32Array.of(7, 3, 5));
    expect(heights.total).toBe(300);

    expect(heights.measure([[3, 40]])).toBe(true);
    expect(heights.measure([[3, 40]])).toBe(false);

    expect([0, 1, 2, 3].map((index) => heights.topOf(index))).toEqual([0, 100, 140, 240]);
    expect([0, 99, 100, 139, 140, 1_000].map((y) => heights.indexAt(y))).toEqual([0, 0, 1, 1, 2, 2]);
  });

  it('keep their heights when others come before them', () => {
    const heights = new Heights(100);
    heights.setRows(Int32Array.of(1, 2));
    heights.measure([[2, 10]]);

    heights.setRows(Int32Array.of(9, 1, 2));

    expect(heights.total).toBe(210);
  });

  it('fit into a browser however many they are', () => {
    const heights = new Heights(200);
    heights.setRows(new Int32Array(1_000_000).map((_, index) => index));

    expect(heights.total).toBeLessThanOrEqual(10_000_001);
  });

  it('may be none', () => {
    const heights = new Heights(100);
    heights.setRows(new Int32Array(0));

    expect([heights.total, heights.indexAt(50)]).toEqual([0, 0]);
  });
});
