import { describe, expect, it } from 'vitest';
import { RowIndex } from './row-index';
import { skeletonOf, stepEvent } from './samples';
import { StepTable } from './table';

describe('the index of rows', () => {
  it('grows by as many as it is asked for, and at once when a row is looked up', () => {
    const index = new RowIndex();
    const ids = ['a', 'b', 'c'];
    expect(index.extend(ids, 2)).toBe(false);
    expect(index.extend(ids, 2)).toBe(true);
    expect(new RowIndex().rowOf('c', ids)).toBe(2);
  });

  it('is shared with a copy of the table, which knows its own rows only', () => {
    const table = new StepTable(skeletonOf([{ id: 'a' }, { id: 'b' }]));
    const before = table.copy();
    table.apply(stepEvent('step.started', 'c', 100));
    expect(table.rowOf('c')).toBe(2);
    expect(before.rowOf('c')).toBe(-1);
    expect(before.rowOf('b')).toBe(1);
    before.apply(stepEvent('step.started', 'c', 100));
    expect(before.rowOf('c')).toBe(2);
  });

  it('is another one for a copy that goes another way', () => {
    const table = new StepTable(skeletonOf([{ id: 'a' }]));
    const other = table.copy();
    table.apply(stepEvent('step.started', 'b', 100));
    other.apply(stepEvent('step.started', 'x', 100));
    expect([table.rowOf('b'), table.rowOf('x')]).toEqual([1, -1]);
    expect([other.rowOf('b'), other.rowOf('x'), other.rowOf('a')]).toEqual([-1, 1, 0]);
  });
});
