/**
 * The lines at the left of a row, as text, so that a row compares one string to see whether they changed. Three letters a level:
 * upper half, lower half, elbow; each `.` nothing, `n` ordinary, `e` leads to an error, `s` leads to the selection.
 */
import type { StepTable } from './table';
import { failing, type Tree } from './tree';

/** Levels drawn; deeper rows are indented like the last one, with `+n`. */
export const LEVELS_MAX = 9;
const NONE = -1;

/** From each ancestor of the selected step to its child on the way there. */
export function pathTo(tree: Tree, row: number): Map<number, number> {
  const path = new Map<number, number>();
  let child = row;
  while (child !== NONE) {
    const up = tree.above[child] as number;
    if (up !== NONE) path.set(up, child);
    child = up;
  }
  return path;
}

export function guidesOf(
  table: StepTable,
  tree: Tree,
  row: number,
  expanded: boolean,
  path: ReadonlyMap<number, number>,
): string {
  const letters: string[] = [];
  const depth = tree.depth[row] as number;
  let child = row;
  let up = tree.above[row] as number;
  for (let level = depth - 1; level >= 0 && up !== NONE; level--) {
    if (level < LEVELS_MAX) letters.push(levelOf(table, tree, up, child, child === row, path));
    child = up;
    up = tree.above[up] as number;
  }
  letters.reverse();
  // the way down from the row to its own children
  if (depth < LEVELS_MAX) {
    const colour = path.has(row) ? 's' : (tree.errorsInside[row] as number) > 0 ? 'e' : 'n';
    letters.push(expanded && (tree.children[row] as number) > 0 ? `.${colour}.` : '...');
  }
  return letters.join('');
}

function levelOf(
  table: StepTable,
  tree: Tree,
  up: number,
  child: number,
  own: boolean,
  path: ReadonlyMap<number, number>,
): string {
  const more = tree.nextSibling[child] !== NONE;
  const target = path.get(up);
  const selectedBelow = target !== undefined && (tree.place[target] as number) > (tree.place[child] as number);
  const below = !more ? '.' : selectedBelow ? 's' : tree.errorAfter[child] ? 'e' : 'n';
  if (!own) return `${below}${below}.`;
  const elbow = target === child ? 's' : failing(table, tree, child) ? 'e' : 'n';
  const above = target === child || selectedBelow ? 's' : elbow === 'e' || below === 'e' ? 'e' : 'n';
  return `${above}${below}${elbow}`;
}
