/** The order in which rows are drawn: a tree laid out from a table's parents, then what of it is expanded and matches. */
import { PARENT_UNKNOWN, ROOT, STATUS, type StepTable } from './table';

export interface Tree {
  /** rows in depth-first order; siblings by (start, seq, id) */
  preorder: Int32Array;
  /** place of a row in `preorder` */
  place: Int32Array;
  depth: Uint16Array;
  /** the row above: a parent that is not known hangs under the first root */
  above: Int32Array;
  firstChild: Int32Array;
  nextSibling: Int32Array;
  /** how many children a row has, and its place among its siblings from the last one, from 1 */
  children: Int32Array;
  fromLast: Int32Array;
  /** 1 when a later sibling failed or holds a failed step: the guide down to it is drawn in the error's colour */
  errorAfter: Uint8Array;
  /** steps below, itself included */
  subtree: Int32Array;
  /** errors that arose below, itself not included */
  errorsInside: Int32Array;
  openInside: Int32Array;
  roots: number;
}

const NONE = -1;

/** Lay out the tree. Linear in the number of steps: some 5 ms for 100,000. */
export function layOut(table: StepTable): Tree {
  const n = table.size;
  const firstChild = new Int32Array(n).fill(NONE);
  const nextSibling = new Int32Array(n).fill(NONE);
  const above = new Int32Array(n);
  const children = new Int32Array(n);
  const fromLast = new Int32Array(n);
  const { parent, chronological } = table;
  let mainRoot = NONE;
  for (let i = 0; i < n && mainRoot === NONE; i++) {
    const row = chronological[i] as number;
    if (parent[row] === ROOT) mainRoot = row;
  }
  let firstRoot = NONE;
  let roots = 0;
  // from the last to the first: putting each in front leaves siblings in order of time
  for (let i = n - 1; i >= 0; i--) {
    const row = chronological[i] as number;
    let up = parent[row] as number;
    if (up === PARENT_UNKNOWN) up = mainRoot;
    if (up === ROOT || up === row) {
      above[row] = NONE;
      nextSibling[row] = firstRoot;
      firstRoot = row;
      roots++;
      fromLast[row] = roots;
    } else {
      children[up] = (children[up] as number) + 1;
      fromLast[row] = children[up] as number;
      above[row] = up;
      nextSibling[row] = firstChild[up] as number;
      firstChild[up] = row;
    }
  }
  const tree: Tree = {
    preorder: new Int32Array(n),
    place: new Int32Array(n).fill(NONE),
    depth: new Uint16Array(n),
    above,
    firstChild,
    nextSibling,
    children,
    fromLast,
    errorAfter: new Uint8Array(n),
    subtree: new Int32Array(n).fill(1),
    errorsInside: new Int32Array(n),
    openInside: new Int32Array(n),
    roots,
  };
  let filled = traverse(tree, firstRoot, 0);
  // steps that name each other as parents hang under no root: the first of each ring becomes one
  for (let i = 0; filled < n && i < n; i++) {
    const row = chronological[i] as number;
    if (tree.place[row] !== NONE) continue;
    detach(tree, row);
    tree.roots++;
    filled = traverse(tree, row, filled);
  }
  for (let i = n - 1; i >= 0; i--) {
    const row = tree.preorder[i] as number;
    const up = above[row] as number;
    const status = table.status[row];
    const next = nextSibling[row] as number;
    if (next !== NONE && (tree.errorAfter[next] || failing(table, tree, next))) tree.errorAfter[row] = 1;
    if (up === NONE) continue;
    tree.subtree[up] = (tree.subtree[up] as number) + (tree.subtree[row] as number);
    tree.errorsInside[up] =
      (tree.errorsInside[up] as number) +
      (tree.errorsInside[row] as number) +
      (status === STATUS.error && !table.affected[row] ? 1 : 0);
    tree.openInside[up] =
      (tree.openInside[up] as number) +
      (tree.openInside[row] as number) +
      (status === STATUS.running || status === STATUS.waiting ? 1 : 0);
  }
  return tree;
}

/** Whether a step failed and its failure arose there: it does not repeat that of a step below. */
export function isError(table: StepTable, row: number): boolean {
  return table.status[row] === STATUS.error && !table.affected[row];
}

/** Whether a step failed or holds one that did. */
export function failing(table: StepTable, tree: Tree, row: number): boolean {
  return table.status[row] === STATUS.error || (tree.errorsInside[row] as number) > 0;
}

/** Depth first from `start` and its next siblings, without recursion: traces are thousands of levels deep at times. */
function traverse(tree: Tree, start: number, from: number): number {
  const { preorder, place, depth, firstChild, nextSibling, above } = tree;
  let filled = from;
  let row = start;
  let level = 0;
  while (row !== NONE) {
    place[row] = filled;
    preorder[filled++] = row;
    depth[row] = Math.min(level, 65_535);
    const child = firstChild[row] as number;
    if (child !== NONE) {
      row = child;
      level++;
      continue;
    }
    while (row !== NONE && nextSibling[row] === NONE) {
      row = above[row] as number;
      level--;
    }
    if (row !== NONE) row = nextSibling[row] as number;
  }
  return filled;
}

function detach(tree: Tree, row: number): void {
  const up = tree.above[row] as number;
  let child = tree.firstChild[up] as number;
  if (child === row) tree.firstChild[up] = tree.nextSibling[row] as number;
  else {
    while (child !== NONE && tree.nextSibling[child] !== row) child = tree.nextSibling[child] as number;
    if (child !== NONE) tree.nextSibling[child] = tree.nextSibling[row] as number;
  }
  tree.above[row] = NONE;
  tree.nextSibling[row] = NONE;
}

/** Which rows a filter lets through; null when there is no filter. */
export type Match = Uint8Array | null;
export const HIT = 1;
export const ANCESTOR = 2;

/** Rows to draw, in order. Collapsed subtrees are skipped; with a filter, hits stay with their ancestors. */
export function visibleRows(tree: Tree, collapsed: ReadonlySet<number>, match: Match): Int32Array {
  const { preorder, subtree } = tree;
  const n = preorder.length;
  if (collapsed.size === 0 && match === null) return preorder;
  const rows = new Int32Array(n);
  let count = 0;
  for (let i = 0; i < n; ) {
    const row = preorder[i] as number;
    if (match !== null && match[row] === 0) {
      // no hit below either, or this row would be an ancestor of one
      i += subtree[row] as number;
      continue;
    }
    rows[count++] = row;
    i += match === null && collapsed.has(row) ? (subtree[row] as number) : 1;
  }
  return rows.subarray(0, count);
}

/** Marks hits, and in a tree what lies above them. */
export function matchRows(tree: Tree, size: number, hit: (row: number) => boolean): Uint8Array {
  const match = new Uint8Array(size);
  for (let row = 0; row < size; row++) {
    if (!hit(row)) continue;
    match[row] = HIT;
    let up = tree.above[row] as number;
    while (up !== NONE && match[up] === 0) {
      match[up] = ANCESTOR;
      up = tree.above[up] as number;
    }
  }
  return match;
}
