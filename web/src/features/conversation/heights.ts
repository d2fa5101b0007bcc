/** Rows of different heights in a scroller: those that were drawn are measured, the others are estimated. */

/** Browsers lay out at most some 17 to 33 million pixels. */
const TOTAL_MAX = 10_000_000;

export class Heights {
  private readonly measured = new Map<number, number>();
  private tops = new Float64Array(1);
  private rows: Int32Array = new Int32Array(0);
  private estimate = 0;

  /** @param usual the height of a row that was not drawn yet; less when there are so many that they would not fit */
  constructor(private readonly usual: number) {}

  /** The rows in their order. Heights belong to rows, so they stay when the order changes. */
  setRows(rows: Int32Array): void {
    if (rows === this.rows) return;
    this.rows = rows;
    this.estimate = Math.min(this.usual, TOTAL_MAX / Math.max(1, rows.length));
    this.sum(0);
  }

  /** Returns whether a height is another than before. */
  measure(heights: Iterable<readonly [row: number, height: number]>): boolean {
    let changed = false;
    for (const [row, height] of heights) {
      if (this.measured.get(row) === height) continue;
      this.measured.set(row, height);
      changed = true;
    }
    if (changed) this.sum(0);
    return changed;
  }

  get total(): number {
    return this.tops[this.rows.length] as number;
  }

  topOf(index: number): number {
    return this.tops[Math.max(0, Math.min(index, this.rows.length))] as number;
  }

  /** The place of the row at this many pixels from the top. */
  indexAt(y: number): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.tops[middle + 1] as number) <= y) low = middle + 1;
      else high = middle;
    }
    return Math.min(low, Math.max(0, this.rows.length - 1));
  }

  private sum(from: number): void {
    const n = this.rows.length;
    if (this.tops.length !== n + 1) this.tops = new Float64Array(n + 1);
    for (let index = from; index < n; index++) {
      const height = this.measured.get(this.rows[index] as number) ?? this.estimate;
      this.tops[index + 1] = (this.tops[index] as number) + height;
    }
  }
}
