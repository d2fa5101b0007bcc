/** A word diff of two texts. */

export interface Piece {
  kind: 'same' | 'added' | 'removed';
  text: string;
}

/** The table of a diff has this many cells at most; longer texts are compared without their common ends first. */
const CELLS_MAX = 4_000_000;

/** Null when the texts are too different and too long to compare word by word. */
export function wordDiff(before: string, after: string): Piece[] | null {
  const a = before.match(/\s+|[^\s]+/g) ?? [];
  const b = after.match(/\s+|[^\s]+/g) ?? [];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const left = a.slice(start, a.length - end);
  const right = b.slice(start, b.length - end);
  if (left.length * right.length > CELLS_MAX) return null;
  const pieces: Piece[] = [];
  push(pieces, 'same', a.slice(0, start).join(''));
  compare(left, right, pieces);
  push(pieces, 'same', a.slice(a.length - end).join(''));
  return pieces;
}

/** Longest common subsequence, by its table. */
function compare(left: string[], right: string[], pieces: Piece[]): void {
  const width = right.length + 1;
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        left[i] === right[j]
          ? (lengths[(i + 1) * width + j + 1] as number) + 1
          : Math.max(lengths[(i + 1) * width + j] as number, lengths[i * width + j + 1] as number);
    }
  }
  let i = 0;
  let j = 0;
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      push(pieces, 'same', left[i] as string);
      i++;
      j++;
    } else if (
      i < left.length &&
      (j === right.length || (lengths[(i + 1) * width + j] as number) >= (lengths[i * width + j + 1] as number))
    ) {
      push(pieces, 'removed', left[i] as string);
      i++;
    } else {
      push(pieces, 'added', right[j] as string);
      j++;
    }
  }
}

function push(pieces: Piece[], kind: Piece['kind'], text: string): void {
  if (text === '') return;
  const last = pieces.at(-1);
  if (last?.kind === kind) last.text += text;
  else pieces.push({ kind, text });
}
