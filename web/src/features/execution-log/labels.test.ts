import { describe, expect, it } from 'vitest';
import { labelOf, namesakeOf } from './labels';
import { skeletonOf } from './samples';
import { NONE, StepTable } from './table';
import { layOut } from './tree';

const of = (ordinal: number, total: number) => ({ before: NONE, ordinal, total });

describe('the label of a row', () => {
  it('has what was asked and answered', () => {
    const said = { asked: 'city=Paris', answered: '21 degrees' };

    expect(labelOf(said, null, of(1, 1))).toEqual({ ...said, ordinal: null });
  });

  it('leaves out a question that the call before it had', () => {
    const before = { asked: 'How warm is it?', answered: 'get_weather(city=Paris)' };
    const own = { asked: 'How warm is it?', answered: '21 degrees' };

    expect(labelOf(own, before, of(2, 2))).toEqual({ asked: '', answered: '21 degrees', ordinal: null });
  });

  it('keeps the question while there is no answer', () => {
    const said = { asked: 'How warm is it?', answered: '' };

    expect(labelOf(said, { ...said, answered: '21' }, of(2, 2)).asked).toBe('How warm is it?');
  });

  it('numbers steps that say the same as the one before', () => {
    const said = { asked: 'x=0', answered: '0' };

    expect(labelOf(said, said, of(3, 7)).ordinal).toBe(3);
  });

  it('numbers steps that say nothing, but only among others of their name', () => {
    const silent = { asked: '', answered: '' };

    expect(labelOf(silent, null, of(1, 220)).ordinal).toBe(1);
    expect(labelOf(silent, null, of(1, 1)).ordinal).toBeNull();
  });

  it('is empty while nothing is loaded', () => {
    expect(labelOf(null, null, of(2, 5))).toEqual({ asked: '', answered: '', ordinal: null });
  });
});

describe('steps of one name', () => {
  const table = new StepTable(
    skeletonOf([
      { id: 'root' },
      { id: 'a', parent: 'root', name: 'fetch' },
      { id: 'b', parent: 'root', name: 'think' },
      { id: 'c', parent: 'root', name: 'fetch' },
      { id: 'd', parent: 'c', name: 'fetch' },
      { id: 'root2', name: 'root' },
    ]),
  );
  const tree = layOut(table);
  const namesake = (id: string) => namesakeOf(table, tree, table.rowOf(id));

  it('are counted below one parent', () => {
    expect(namesake('a')).toEqual({ before: NONE, ordinal: 1, total: 2 });
    expect(namesake('c')).toEqual({ before: table.rowOf('a'), ordinal: 2, total: 2 });
    expect(namesake('d').total).toBe(1);
    expect(namesake('b').total).toBe(1);
  });

  it('are counted among roots', () => {
    expect(namesake('root2')).toEqual({ before: table.rowOf('root'), ordinal: 2, total: 2 });
  });
});
