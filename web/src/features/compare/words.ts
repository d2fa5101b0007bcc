/** The difference of two texts by words, bounded: by lines where the words are too many, and none where even these are. */
import { diffLines, diffWordsWithSpace } from 'diff';

export interface Piece {
  text: string;
  /** in which of the two texts it is */
  side: 'both' | 'left' | 'right';
}

export interface TextDifference {
  pieces: Piece[];
  /** `words`, `lines`, or `none` where the texts are too different or too long to compare */
  by: 'words' | 'lines' | 'none';
  /** characters of the longer text that were left out */
  cut: number;
}

export const CHARS_MAX = 60_000;
const EDITS_MAX = 4_000;
const TIMEOUT_MS = 700;

export function differenceOf(left: string, right: string): TextDifference {
  const cut = Math.max(0, Math.max(left.length, right.length) - CHARS_MAX);
  const [a, b] = [left.slice(0, CHARS_MAX), right.slice(0, CHARS_MAX)];
  const bounds = { maxEditLength: EDITS_MAX, timeout: TIMEOUT_MS };
  const words = diffWordsWithSpace(a, b, bounds);
  const changes = words ?? diffLines(a, b, bounds);
  if (!changes) return { pieces: [], by: 'none', cut };
  return {
    pieces: changes.map(({ value, added, removed }) => ({
      text: value,
      side: added ? 'right' : removed ? 'left' : 'both',
    })),
    by: words ? 'words' : 'lines',
    cut,
  };
}
