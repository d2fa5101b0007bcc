import { describe, expect, it } from 'vitest';
import { wordDiff } from './word-diff';

const mark = { same: '', added: '+', removed: '-' };
const shown = (before: string, after: string) =>
  wordDiff(before, after)?.map(({ kind, text }) => `${mark[kind]}${text}`);

describe('a word diff', () => {
  it('marks the words that were added and removed', () => {
    expect(shown('Be brief and kind.', 'Be very brief and true.')).toEqual([
      'Be ',
      '+very ',
      'brief and ',
      '-kind.',
      '+true.',
    ]);
  });

  it('of equal texts is one piece', () => {
    expect(shown('a b', 'a b')).toEqual(['a b']);
  });

  it('joins to both texts', () => {
    const before = 'one two three four two one';
    const after = 'two one five four one one';
    const pieces = wordDiff(before, after) ?? [];
    const join = (left: string) =>
      pieces
        .filter(({ kind }) => kind !== left)
        .map(({ text }) => text)
        .join('');

    expect(join('added')).toBe(before);
    expect(join('removed')).toBe(after);
  });

  it('gives up on long texts without common ends', () => {
    const words = (letter: string) => Array.from({ length: 3_000 }, (_, i) => `${letter}${i}`).join(' ');

    expect(wordDiff(words('a'), words('b'))).toBeNull();
  });
});
