/** Tokens and cost of what a collapsed row hides, with its own: only what counts in the task's total. */
import type { StepTable } from './table';
import type { Tree } from './tree';

export interface Sums {
  /** null when none is known */
  tokens: number | null;
  /** nano-USD; null when none is known */
  cost: number | null;
}

export function sumsBelow(table: StepTable, tree: Tree, row: number): Sums {
  let tokens: number | null = null;
  let cost: number | null = null;
  const from = tree.place[row] as number;
  for (let place = from; place < from + (tree.subtree[row] as number); place++) {
    const step = tree.preorder[place] as number;
    if (!table.counted[step]) continue;
    for (const value of [table.input[step] as number, table.output[step] as number]) {
      if (!Number.isNaN(value)) tokens = (tokens ?? 0) + value;
    }
    const price = table.cost[step] as number;
    if (!Number.isNaN(price)) cost = (cost ?? 0) + price;
  }
  return { tokens, cost };
}
