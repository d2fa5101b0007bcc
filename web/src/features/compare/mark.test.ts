import { describe, expect, it } from 'vitest';
import { comparisonOf, type Mark, readMark, writeMark } from './mark';

const task: Mark = { project: 'p', task: 't1', step: null, name: 'Weather report' };

describe('a mark', () => {
  it('is read as it was written', () => {
    for (const mark of [task, { ...task, step: 's1' }]) expect(readMark(writeMark(mark))).toEqual(mark);
    expect(readMark(writeMark({ ...task, name: '' }))?.name).toBe('t1');
    expect([readMark(''), readMark('p t1'), readMark('p t1 s')]).toEqual([null, null, null]);
  });

  it('leads to a comparison of two tasks or of two steps, also of one task', () => {
    expect(comparisonOf(task, { ...task, task: 't2' })).toBe('/projects/p/compare?left=t1&right=t2');
    expect(comparisonOf({ ...task, step: 'a' }, { ...task, step: 'b' })).toBe(
      '/projects/p/compare?left=t1&right=t1&ls=a&rs=b',
    );
  });

  it('does not compare a thing with itself, a step with a task, or projects', () => {
    expect(comparisonOf(task, task)).toBeNull();
    expect(comparisonOf(task, { ...task, task: 't2', step: 'b' })).toBeNull();
    expect(comparisonOf(task, { ...task, project: 'q', task: 't2' })).toBeNull();
  });
});
