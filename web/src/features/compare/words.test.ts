import { describe, expect, it } from 'vitest';
import { CHARS_MAX, differenceOf } from './words';

const textOf = (left: string, right: string, side: 'left' | 'right') =>
  differenceOf(left, right)
    .pieces.filter((piece) => piece.side === 'both' || piece.side === side)
    .map((piece) => piece.text)
    .join('');

describe('differenceOf', () => {
  it('marks the words of one side and keeps both texts whole', () => {
    const [left, right] = ['It is 21 degrees in Paris.\n', 'It is 19 degrees and rainy in Paris.\n'];
    const found = differenceOf(left, right);
    expect(found.by).toBe('words');
    expect(found.pieces.filter((piece) => piece.side === 'right').map((piece) => piece.text.trim())).toEqual([
      '19',
      'and rainy',
    ]);
    expect([textOf(left, right, 'left'), textOf(left, right, 'right')]).toEqual([left, right]);
  });

  it('says when texts are cut, and does not compare what has nothing in common for long', () => {
    const left = Array.from({ length: 30_000 }, (_, i) => `a${i}`).join(' ');
    const right = Array.from({ length: 30_000 }, (_, i) => `b${i}`).join(' ');
    const found = differenceOf(left, right);
    expect(found.by).not.toBe('words');
    expect(found.cut).toBe(left.length - CHARS_MAX);
  });

  it('knows equal and empty texts', () => {
    expect(differenceOf('same', 'same').pieces).toEqual([{ text: 'same', side: 'both' }]);
    expect(
      differenceOf('', '')
        .pieces.map((piece) => piece.text)
        .join(''),
    ).toBe('');
  });
});
