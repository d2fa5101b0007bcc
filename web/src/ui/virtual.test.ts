import { describe, expect, it } from 'vitest';
import { placesOf } from './virtual';

const drawn = (ids: string[]) => placesOf(new Map(), ids);

describe('the elements of rows', () => {
  it('numbers them in the order of the rows', () => {
    expect([...drawn(['a', 'b', 'c'])]).toEqual([
      ['a', 0],
      ['b', 1],
      ['c', 2],
    ]);
  });

  it('leaves a row that stays its element, and gives those of rows that left to new ones', () => {
    expect([...placesOf(drawn(['a', 'b', 'c']), ['b', 'c', 'd'])]).toEqual([
      ['b', 1],
      ['c', 2],
      ['d', 0],
    ]);
  });

  it('needs no other element, and no other order of them, after a jump', () => {
    expect([...placesOf(drawn(['a', 'b', 'c']), ['x', 'y', 'z']).values()]).toEqual([0, 1, 2]);
  });

  it('adds elements for more rows, and takes the first ones for fewer', () => {
    const more = placesOf(drawn(['a', 'b']), ['a', 'n', 'b', 'm']);
    expect([...more.values()]).toEqual([0, 2, 1, 3]);
    expect([...placesOf(more, ['x']).values()]).toEqual([0]);
  });
});
