/** What a row says about its step beside the name: the words that distinguish it from its siblings. */
import type { StepTable } from './table';
import { NONE } from './table';
import type { Tree } from './tree';

/** The beginnings of a step's input and output, as the service unwrapped them. */
export interface Said {
  asked: string;
  /** the error's message when it failed without an output */
  answered: string;
}

export interface Label extends Said {
  /** place among the siblings of the same name; null where the words suffice */
  ordinal: number | null;
}

/** Where a step is among its siblings of the same name. */
export interface Namesake {
  /** the row of the one before; NONE */
  before: number;
  /** from 1 */
  ordinal: number;
  total: number;
}

/**
 * The words of a row. What the one before was asked, too, is left out when there is an answer: calls of one loop repeat the question.
 * A step that says the same as the one before, or nothing, has its number.
 *
 * @param own null while it is not loaded
 * @param before of the sibling of the same name before it; null when there is none, or it is not loaded
 */
export function labelOf(own: Said | null, before: Said | null, { ordinal, total }: Namesake): Label {
  const asked = own?.asked ?? '';
  const answered = own?.answered ?? '';
  const isSilent = own !== null && asked === '' && answered === '';
  const isRepeated = before !== null && asked === before.asked && answered === before.answered;
  return {
    asked: asked === before?.asked && answered !== '' ? '' : asked,
    answered,
    ordinal: total > 1 && (isSilent || isRepeated) ? ordinal : null,
  };
}

interface Namesakes {
  /** whose children are counted */
  parents: Set<number>;
  /** by row */
  before: Int32Array;
  ordinal: Int32Array;
  total: Int32Array;
}

const namesakes = new WeakMap<Tree, Namesakes>();

/** Counted once for each parent and layout of the tree: while a task grows, that is every few frames. */
export function namesakeOf(table: StepTable, tree: Tree, row: number): Namesake {
  const n = tree.preorder.length;
  const known: Namesakes = namesakes.get(tree) ?? {
    parents: new Set(),
    // steps that name each other as parents are roots that no other root leads to
    before: new Int32Array(n).fill(NONE),
    ordinal: new Int32Array(n).fill(1),
    total: new Int32Array(n).fill(1),
  };
  namesakes.set(tree, known);
  const parent = tree.above[row] as number;
  if (!known.parents.has(parent)) countNamesakes(table, tree, parent, known);
  return {
    before: known.before[row] as number,
    ordinal: known.ordinal[row] as number,
    total: known.total[row] as number,
  };
}

/** The children of one parent, by their names. */
function countNamesakes(table: StepTable, tree: Tree, parent: number, into: Namesakes): void {
  into.parents.add(parent);
  const counts = new Map<number, number>();
  const last = new Map<number, number>();
  const first = parent === NONE ? (tree.preorder[0] ?? NONE) : (tree.firstChild[parent] ?? NONE);
  for (let row = first; row !== NONE; row = tree.nextSibling[row] ?? NONE) {
    const name = table.name[row] as number;
    const ordinal = (counts.get(name) ?? 0) + 1;
    into.ordinal[row] = ordinal;
    into.before[row] = last.get(name) ?? NONE;
    counts.set(name, ordinal);
    last.set(name, row);
  }
  for (let row = first; row !== NONE; row = tree.nextSibling[row] ?? NONE)
    into.total[row] = counts.get(table.name[row] as number) ?? 1;
}
