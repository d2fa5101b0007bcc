/**
 * Two tasks side by side: steps are paired from the roots down, by type and name and in order, so that a pair's parents are a pair.
 * What has no partner is on a line of its own, and so is all that is below it. Near linear: at a mismatch the side that has the shorter way to a
 * step of the other's next name is advanced. Pure, and run in a worker.
 */
import { STATUSES, STEP_TYPES } from '../../api/types';
import type { Columns } from '../execution-log/columns';

const NONE = -1;
const RUN_MAX = 8;

export interface Alignment {
  /** one entry for each line: the row of the first task, the row of the second one; -1: it has none */
  left: Int32Array<ArrayBuffer>;
  right: Int32Array<ArrayBuffer>;
  depth: Uint16Array<ArrayBuffer>;
  /** of each line, one of DIFFERENCES */
  difference: Uint8Array<ArrayBuffer>;
  /** the first line that differs; -1: none does */
  first: number;
  pairs: number;
  onlyLeft: number;
  onlyRight: number;
}

/** In the order in which one hides another. `usage`: the tokens of a model call. */
export const DIFFERENCES = ['none', 'usage', 'model', 'status', 'left', 'right'] as const;
const DIFFERENCE = Object.fromEntries(DIFFERENCES.map((word, index) => [word, index])) as Record<
  (typeof DIFFERENCES)[number],
  number
>;

export function align(left: Columns, right: Columns): Alignment {
  return new Aligner(left, right).run();
}

class Aligner {
  private readonly lefts: Int32Array<ArrayBuffer>;
  private readonly rights: Int32Array<ArrayBuffer>;
  private readonly depths: Uint16Array<ArrayBuffer>;
  private readonly differences: Uint8Array<ArrayBuffer>;
  private readonly leftSide: Side;
  private readonly rightSide: Side;
  private count = 0;

  constructor(
    private readonly left: Columns,
    private readonly right: Columns,
  ) {
    const most = left.size + right.size;
    this.lefts = new Int32Array(most);
    this.rights = new Int32Array(most);
    this.depths = new Uint16Array(most);
    this.differences = new Uint8Array(most);
    const words = new Map<string, number>();
    this.leftSide = new Side(left, words);
    this.rightSide = new Side(right, words);
  }

  run(): Alignment {
    // a stack of lines that are still to be written, so that deep tasks do not end the worker
    const stack: [number, number, number][] = [];
    const push = (a: number[], b: number[], depth: number) => {
      const lines = pairUp(a, b, this.leftSide.keys, this.rightSide.keys);
      for (let i = lines.length - 1; i >= 0; i--) stack.push([...(lines[i] as [number, number]), depth]);
    };
    push(this.leftSide.childrenOf(NONE), this.rightSide.childrenOf(NONE), 0);
    for (let line = stack.pop(); line; line = stack.pop()) {
      const [a, b, depth] = line;
      this.write(a, b, depth);
      const [below, beside] = [
        a === NONE ? [] : this.leftSide.childrenOf(a),
        b === NONE ? [] : this.rightSide.childrenOf(b),
      ];
      if (below.length + beside.length > 0) push(below, beside, depth + 1);
    }
    return this.result();
  }

  private write(a: number, b: number, depth: number): void {
    const at = this.count++;
    this.lefts[at] = a;
    this.rights[at] = b;
    this.depths[at] = Math.min(depth, 65_535);
    this.differences[at] = this.differenceOf(a, b);
  }

  private differenceOf(a: number, b: number): number {
    const { left, right } = this;
    if (b === NONE) return DIFFERENCE.left;
    if (a === NONE) return DIFFERENCE.right;
    if (left.status[a] !== right.status[b] && !open(left, a) && !open(right, b)) return DIFFERENCE.status;
    if (left.models[left.model[a] as number] !== right.models[right.model[b] as number]) return DIFFERENCE.model;
    const counted = left.counted[a] && right.counted[b];
    if (counted && !(same(left.input[a], right.input[b]) && same(left.output[a], right.output[b])))
      return DIFFERENCE.usage;
    return DIFFERENCE.none;
  }

  private result(): Alignment {
    const difference = this.differences.slice(0, this.count);
    const onlyLeft = difference.reduce((sum, word) => sum + (word === DIFFERENCE.left ? 1 : 0), 0);
    const onlyRight = difference.reduce((sum, word) => sum + (word === DIFFERENCE.right ? 1 : 0), 0);
    return {
      left: this.lefts.slice(0, this.count),
      right: this.rights.slice(0, this.count),
      depth: this.depths.slice(0, this.count),
      ...{ difference, onlyLeft, onlyRight },
      first: difference.findIndex((word) => word !== DIFFERENCE.none),
      pairs: this.count - onlyLeft - onlyRight,
    };
  }
}

/** One task: its children in order, and one number for each type and name, the same in both tasks. */
class Side {
  readonly keys: Int32Array;
  private readonly first: Int32Array;
  private readonly next: Int32Array;
  private root = NONE;

  constructor(columns: Columns, words: Map<string, number>) {
    const { size, above, preorder } = columns;
    this.keys = new Int32Array(size);
    this.first = new Int32Array(size).fill(NONE);
    this.next = new Int32Array(size).fill(NONE);
    const ofName = columns.names.map((name) => wordOf(words, name));
    const unnamed = wordOf(words, '');
    // from the last to the first: putting each in front leaves siblings in order
    for (let i = size - 1; i >= 0; i--) {
      const row = preorder[i] as number;
      this.keys[row] =
        (ofName[columns.name[row] as number] ?? unnamed) * STEP_TYPES.length + (columns.type[row] as number);
      const up = above[row] as number;
      this.next[row] = up === NONE ? this.root : (this.first[up] as number);
      if (up === NONE) this.root = row;
      else this.first[up] = row;
    }
  }

  childrenOf(row: number): number[] {
    const children: number[] = [];
    for (let at = row === NONE ? this.root : (this.first[row] as number); at !== NONE; at = this.next[at] as number)
      children.push(at);
    return children;
  }
}

/** Pairs of two lists of rows in order: `[a, b]`, or `-1` for what has no partner. */
function pairUp(a: number[], b: number[], keysA: Int32Array, keysB: Int32Array): [number, number][] {
  const lines: [number, number][] = [];
  // a root is its task, whatever it is called
  if (a.length === 1 && b.length === 1 && keysA[a[0] as number] !== keysB[b[0] as number]) {
    const [left, right] = [keysA[a[0] as number] as number, keysB[b[0] as number] as number];
    if (left % STEP_TYPES.length === right % STEP_TYPES.length) return [[a[0] as number, b[0] as number]];
  }
  const placesA = placesOf(a, keysA);
  const placesB = placesOf(b, keysB);
  /** How many pairs follow from there, as far as it is looked. */
  const runAt = (from: number, beside: number) => {
    let run = 0;
    while (
      run < RUN_MAX &&
      from + run < a.length &&
      beside + run < b.length &&
      keysA[a[from + run] as number] === keysB[b[beside + run] as number]
    )
      run++;
    return run;
  };
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const keyA = keysA[a[i] as number] as number;
    const keyB = keysB[b[j] as number] as number;
    if (keyA === keyB) {
      lines.push([a[i++] as number, b[j++] as number]);
      continue;
    }
    const skipB = nextPlace(placesB.get(keyA), j) - j;
    const skipA = nextPlace(placesA.get(keyB), i) - i;
    if (skipA === Number.POSITIVE_INFINITY && skipB === Number.POSITIVE_INFINITY) {
      lines.push([a[i++] as number, NONE], [NONE, b[j++] as number]);
    } else if (skipA < skipB || (skipA === skipB && runAt(i + skipA, j) > runAt(i, j + skipB))) {
      for (let n = 0; n < skipA; n++) lines.push([a[i++] as number, NONE]);
    } else {
      for (let n = 0; n < skipB; n++) lines.push([NONE, b[j++] as number]);
    }
  }
  while (i < a.length) lines.push([a[i++] as number, NONE]);
  while (j < b.length) lines.push([NONE, b[j++] as number]);
  return lines;
}

/** Where each key is in a list, ascending; `seen` moves with the search, so that all searches together are one pass. */
interface Places {
  at: number[];
  seen: number;
}

function placesOf(rows: number[], keys: Int32Array): Map<number, Places> {
  const places = new Map<number, Places>();
  for (const [place, row] of rows.entries()) {
    const key = keys[row] as number;
    const known = places.get(key);
    if (known) known.at.push(place);
    else places.set(key, { at: [place], seen: 0 });
  }
  return places;
}

function nextPlace(places: Places | undefined, from: number): number {
  if (!places) return Number.POSITIVE_INFINITY;
  while (places.seen < places.at.length && (places.at[places.seen] as number) < from) places.seen++;
  return places.at[places.seen] ?? Number.POSITIVE_INFINITY;
}

function wordOf(words: Map<string, number>, word: string): number {
  const known = words.get(word);
  if (known !== undefined) return known;
  words.set(word, words.size);
  return words.size - 1;
}

function open(columns: Columns, row: number): boolean {
  const status = STATUSES[columns.status[row] as number];
  return status === 'running' || status === 'waiting';
}

function same(a: number | undefined, b: number | undefined): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}
