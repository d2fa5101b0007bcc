/** The columns of the list of tasks: which there are, how wide, which of them fit. */
export interface Column {
  id: string;
  title: string;
  width: number;
  /** its order in the API */
  sort?: string;
  numeric?: boolean;
  /** shown unless a person chose otherwise */
  usual: boolean;
  /** leaves first when there is no room: the smallest */
  rank: number;
}

export const COLUMNS: readonly Column[] = [
  { id: 'agent', title: 'Agent', width: 140, sort: 'agent', usual: true, rank: 5 },
  { id: 'started', title: 'Started', width: 112, sort: 'started', numeric: false, usual: true, rank: 9 },
  { id: 'duration', title: 'Duration', width: 92, sort: 'duration', numeric: true, usual: true, rank: 8 },
  { id: 'steps', title: 'Steps', width: 64, sort: 'steps', numeric: true, usual: true, rank: 3 },
  { id: 'errors', title: 'Errors', width: 60, sort: 'errors', numeric: true, usual: true, rank: 6 },
  { id: 'tokens', title: 'Tokens', width: 80, sort: 'tokens', numeric: true, usual: true, rank: 4 },
  { id: 'cost', title: 'Cost', width: 80, sort: 'cost', numeric: true, usual: true, rank: 7 },
  { id: 'updated', title: 'Last event', width: 112, sort: 'updated', usual: false, rank: 2 },
  { id: 'env', title: 'Environment', width: 104, usual: false, rank: 2 },
  { id: 'user', title: 'User', width: 120, usual: false, rank: 2 },
  { id: 'kind', title: 'Kind', width: 88, usual: false, rank: 2 },
  { id: 'tags', title: 'Tags', width: 168, usual: true, rank: 1 },
];

const GAP = 12;
const SIDES = 28;
const MARK = 24;
const WIDTH_MIN = 44;
const WIDTH_MAX = 640;

/** What a person chose: kept as text. */
export interface ColumnChoice {
  shown: string[];
  widths: Record<string, number>;
}

const USUAL: ColumnChoice = { shown: COLUMNS.filter((column) => column.usual).map(({ id }) => id), widths: {} };

export function readChoice(text: string): ColumnChoice {
  try {
    const value = JSON.parse(text) as Partial<ColumnChoice> | null;
    const shown = Array.isArray(value?.shown) ? value.shown : null;
    if (shown === null) return USUAL;
    const widths: Record<string, number> = {};
    for (const { id } of COLUMNS) {
      const width = value?.widths?.[id];
      if (typeof width === 'number' && Number.isFinite(width)) widths[id] = clampWidth(width);
    }
    return { shown: COLUMNS.filter(({ id }) => shown.includes(id)).map(({ id }) => id), widths };
  } catch {
    return USUAL;
  }
}

export function clampWidth(width: number): number {
  return Math.round(Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, width)));
}

/** The chosen columns that fit beside the name, in their order, and the template of the grid. */
export function fitColumns(choice: ColumnChoice, available: number, omit: ReadonlySet<string>): [Column[], string] {
  const nameMin = available < 640 ? 110 : available < 1_000 ? 200 : 280;
  const narrow = available < 640 ? 0.78 : 1;
  const widthOf = (column: Column) => Math.round((choice.widths[column.id] ?? column.width) * narrow);
  let columns = COLUMNS.filter(({ id }) => choice.shown.includes(id) && !omit.has(id));
  const room = available - SIDES - MARK - GAP - nameMin;
  while (columns.length > 0 && columns.reduce((sum, column) => sum + widthOf(column) + GAP, 0) > room) {
    const least = Math.min(...columns.map(({ rank }) => rank));
    const leaves = columns.findLast(({ rank }) => rank === least);
    columns = columns.filter((column) => column !== leaves);
  }
  const widths = columns.map((column) => `${widthOf(column)}px`);
  return [columns, [`${MARK}px`, `minmax(${nameMin}px, 1fr)`, ...widths].join(' ')];
}
