/** The rows of a table by the ids of their steps. */
const NONE = -1;

/** Grows with the ids of its table when it is asked. Copies of a table share one, of which each knows its own first rows. */
export class RowIndex {
  private readonly rows = new Map<string, number>();

  rowOf(id: string, ids: readonly string[]): number {
    this.extend(ids, ids.length);
    const row = this.rows.get(id) ?? NONE;
    return row < ids.length ? row : NONE;
  }

  /** Take in so many more of the ids, and say whether it has all. 100,000 take some 20 ms. */
  extend(ids: readonly string[], most: number): boolean {
    const end = Math.min(ids.length, this.rows.size + most);
    for (let row = this.rows.size; row < end; row++) this.rows.set(ids[row] as string, row);
    return this.rows.size >= ids.length;
  }

  /** Take in a row that a table adds. Returns its index from then on: a new one where a copy has another step in that row. */
  with(id: string, row: number): RowIndex {
    if (row === this.rows.size) this.rows.set(id, row);
    return this.rows.get(id) === row ? this : new RowIndex();
  }
}

/** Index a table's rows while the browser has nothing else to do: otherwise the first selection does, and waits for it. */
export function indexWhenIdle(index: (most: number) => boolean): (() => void) | undefined {
  if (typeof requestIdleCallback === 'undefined') return;
  const work = (deadline: IdleDeadline) => {
    while (deadline.timeRemaining() > 2) if (index(1_000)) return;
    waiting = requestIdleCallback(work);
  };
  let waiting = requestIdleCallback(work);
  return () => cancelIdleCallback(waiting);
}
