/** Rows never move under the pointer: while it rests on them, a new order waits, unless it only adds rows at the end. */
import { useRef } from 'react';
import type { Tree } from './tree';

export interface Order {
  /** rows in the order in which they are drawn */
  visible: Int32Array;
  /** the tree to which that order belongs */
  tree: Tree;
}

/** Whether `next` draws all rows of `before` at their places. */
export function extendsOrder(before: Int32Array, next: Int32Array): boolean {
  if (next.length < before.length) return false;
  for (let i = 0; i < before.length; i++) if (before[i] !== next[i]) return false;
  return true;
}

export class HeldOrder {
  private held: { order: Order; cause: unknown[] } | null = null;

  /**
   * The order to draw now.
   *
   * @param latest the order of all steps that have arrived
   * @param hold whether the pointer is on the rows
   * @param causes what the reader changes (filter, collapsed rows, view): a new value counts at once
   */
  next(latest: Order, hold: boolean, causes: unknown[]): Order {
    const { held } = this;
    const isSame = held?.cause.every((cause, index) => Object.is(cause, causes[index])) ?? false;
    if (held && hold && isSame && !extendsOrder(held.order.visible, latest.visible)) return held.order;
    // the rows of the log are a window into an array that is sorted in place
    const order = hold ? { visible: latest.visible.slice(), tree: latest.tree } : latest;
    this.held = { order, cause: causes };
    return order;
  }
}

/** As `HeldOrder`, for the life of a component. `waiting` counts rows that are not drawn yet. */
export function useHeldOrder(latest: Order, hold: boolean, causes: unknown[]): Order & { waiting: number } {
  const state = useRef<HeldOrder | null>(null);
  state.current ??= new HeldOrder();
  const order = state.current.next(latest, hold, causes);
  return { ...order, waiting: Math.max(0, latest.visible.length - order.visible.length) };
}
