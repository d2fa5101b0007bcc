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

const namesakes = new WeakMap<Tree, Map<number, ReadonlyMap<number, Namesake>>>();

/** Counted once for each parent and layout of the tree. */
export function namesakeOf(table: StepTable, tree: Tree, row: number): Namesake {
  const byParent = namesakes.get(tree) ?? new Map<number, ReadonlyMap<number, Namesake>>();
  namesakes.set(tree, byParent);
  const parent = tree.above[row] as number;
  const known = byParent.get(parent) ?? countNamesakes(table, tree, parent);
  byParent.set(parent, known);
  return known.get(row) ?? { before: NONE, ordinal: 1, total: 1 };
}

/** The children of one parent that share their name with another. */
function countNamesakes(table: StepTable, tree: Tree, parent: number): ReadonlyMap<number, Namesake> {
  const byName = new Map<number, number[]>();
  const first = parent === NONE ? (tree.preorder[0] ?? NONE) : (tree.firstChild[parent] ?? NONE);
  for (let row = first; row !== NONE; row = tree.nextSibling[row] ?? NONE) {
    const name = table.name[row] as number;
    const rows = byName.get(name);
    if (rows) rows.push(row);
    else byName.set(name, [row]);
  }
  const counted = new Map<number, Namesake>();
  for (const rows of byName.values()) {
    if (rows.length === 1) continue;
    rows.forEach((row, index) => {
      counted.set(row, { before: rows[index - 1] ?? NONE, ordinal: index + 1, total: rows.length });
    });
  }
  return counted;
}
