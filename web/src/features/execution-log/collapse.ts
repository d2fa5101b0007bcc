/** Which subtrees are collapsed, by step id, so that it survives a reload of the table. */
import type { StepTable } from './table';
import type { Tree } from './tree';

const NONE = -1;

export function toggled(
  before: ReadonlySet<string>,
  table: StepTable,
  tree: Tree,
  row: number,
  deep: boolean,
): ReadonlySet<string> {
  const next = new Set(before);
  const id = table.ids[row] as string;
  const collapsing = !next.has(id);
  if (collapsing) next.add(id);
  else next.delete(id);
  if (!deep) return next;
  const from = tree.place[row] as number;
  for (let place = from; place < from + (tree.subtree[row] as number); place++) {
    const inner = tree.preorder[place] as number;
    if ((tree.children[inner] as number) === 0) continue;
    if (collapsing) next.add(table.ids[inner] as string);
    else next.delete(table.ids[inner] as string);
  }
  return next;
}

export function expandedTo(
  before: ReadonlySet<string>,
  table: StepTable,
  tree: Tree,
  row: number,
): ReadonlySet<string> {
  let next: Set<string> | null = null;
  for (let up = tree.above[row] as number; up !== NONE; up = tree.above[up] as number) {
    const id = table.ids[up] as string;
    if (!before.has(id)) continue;
    next ??= new Set(before);
    next.delete(id);
  }
  return next ?? before;
}

/** Everything at `depth` and deeper collapsed. */
export function collapsedBelow(table: StepTable, tree: Tree, depth: number): ReadonlySet<string> {
  const next = new Set<string>();
  for (let row = 0; row < table.size; row++) {
    if ((tree.depth[row] as number) >= depth && (tree.children[row] as number) > 0) next.add(table.ids[row] as string);
  }
  return next;
}
