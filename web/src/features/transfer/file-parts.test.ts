import { describe, expect, it } from 'vitest';
import { fileParts } from './file-parts';

function file(text: string) {
  const bytes = new TextEncoder().encode(text);
  return {
    size: bytes.length,
    slice: (start: number, end: number) => ({
      arrayBuffer: async () => bytes.slice(start, end).buffer,
    }),
  };
}

async function partsOf(text: string, partBytes: number): Promise<[string, number, number][]> {
  const found: [string, number, number][] = [];
  for await (const part of fileParts(file(text), partBytes)) {
    found.push([new TextDecoder().decode(part.bytes), part.linesBefore, part.end]);
  }
  return found;
}

describe('fileParts', () => {
  it('ends each part at the end of a line and counts the lines before it', async () => {
    expect(await partsOf('one\ntwo\nthree\n', 9)).toEqual([
      ['one\ntwo\n', 0, 8],
      ['three\n', 2, 14],
    ]);
  });

  it('reads on until a line ends that is longer than a part', async () => {
    expect(await partsOf('a long line\nand another\nb\n', 4)).toEqual([
      ['a long line\n', 0, 12],
      ['and another\nb\n', 1, 26],
    ]);
  });

  it('keeps the last line without its end, and nothing of an empty file', async () => {
    expect(await partsOf('a\nb', 2)).toEqual([
      ['a\n', 0, 2],
      ['b', 1, 3],
    ]);
    expect(await partsOf('', 2)).toEqual([]);
  });
});
