import { NONE, type StepTable } from '../execution-log/table';
import type { Tree } from '../execution-log/tree';

/** The nearest row of the same type and name in the order of the tree, before (-1) or after (1) a row; NONE when there is none. */
export function sameKind(table: StepTable, tree: Tree, row: number, direction: -1 | 1): number {
  if (row === NONE) return NONE;
  const { preorder, place } = tree;
  for (let at = (place[row] as number) + direction; at >= 0 && at < preorder.length; at += direction) {
    const other = preorder[at] as number;
    if (table.type[other] === table.type[row] && table.name[other] === table.name[row]) return other;
  }
  return NONE;
}
