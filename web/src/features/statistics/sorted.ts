/** The columns of a table of groups, and its order by one of them. */

export interface Column<Row> {
  name: string;
  /** what it is sorted by; null where it is not known, which comes after all that is */
  value: (row: Row) => number | string | null;
  text: (row: Row) => string;
  /** a number above zero is bad news */
  isBad?: boolean;
}

const NAMES = new Intl.Collator('en', { numeric: true });

export function sorted<Row>(
  rows: readonly Row[],
  { value }: Column<Row>,
  descending: boolean,
  isRest: (row: Row) => boolean = () => false,
): Row[] {
  const direction = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    if (isRest(a) !== isRest(b)) return isRest(a) ? 1 : -1;
    const [left, right] = [value(a), value(b)];
    if (left === null || right === null) return (left === null ? 1 : 0) - (right === null ? 1 : 0);
    if (typeof left === 'string' || typeof right === 'string')
      return NAMES.compare(String(left), String(right)) * direction;
    return (left - right) * direction;
  });
}
