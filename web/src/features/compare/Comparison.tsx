import { useMemo, useRef, useState } from 'react';
import type { Status, StepType } from '../../api/types';
import { STATUSES, STEP_TYPES } from '../../api/types';
import { useKeys } from '../../app/keys';
import { cost, duration, exact, plural } from '../../ui/format';
import { Icon, StatusMark } from '../../ui/Icon';
import { useRows } from '../../ui/virtual';
import { useLatestWorker } from '../execution-log/column-worker';
import { buffersOf, type Columns, columnsOf } from '../execution-log/columns';
import type { StepTable } from '../execution-log/table';
import type { Tree } from '../execution-log/tree';
import { type Alignment, DIFFERENCES } from './align';
import './compare.css';

const ROW = 28;
const HEAD = 24;
const NONE = -1;
const open = () => new Worker(new URL('./align.worker.ts', import.meta.url), { type: 'module' });

export interface ComparedTask {
  table: StepTable;
  tree: Tree;
  version: number;
}

interface ComparisonProps {
  left: ComparedTask;
  right: ComparedTask;
  /** ids of the selected steps; null: that side has none */
  chosen: { left: string | null; right: string | null };
  onChoose: (left: string | null, right: string | null) => void;
}

/** The steps of two tasks in one tree: pairs on one line, and alone what only one of them has. */
export function Comparison({ left, right, chosen, onChoose }: ComparisonProps) {
  const make = useMemo(() => {
    void [left.version, right.version];
    return (): [{ left: Columns; right: Columns }, Transferable[]] => {
      const [a, b] = [columnsOf(left.table, left.tree), columnsOf(right.table, right.tree)];
      return [{ left: a, right: b }, [...buffersOf(a), ...buffersOf(b)]];
    };
  }, [left.table, left.tree, left.version, right.table, right.tree, right.version]);
  const alignment = useLatestWorker<{ left: Columns; right: Columns }, Alignment>(open, make);
  if (!alignment) return <div className="loading-bar" />;
  return <Lines alignment={alignment} left={left.table} right={right.table} chosen={chosen} onChoose={onChoose} />;
}

interface LinesProps {
  alignment: Alignment;
  left: StepTable;
  right: StepTable;
  chosen: ComparisonProps['chosen'];
  onChoose: ComparisonProps['onChoose'];
}

function Lines({ alignment, left, right, chosen, onChoose }: LinesProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [onlyDifferent, setOnlyDifferent] = useState(false);
  const shown = useMemo(() => {
    const all = Int32Array.from(alignment.left, (_, line) => line);
    return onlyDifferent ? all.filter((line) => alignment.difference[line] !== 0) : all;
  }, [alignment, onlyDifferent]);
  const { rows, onScroll, scrollTo } = useRows({ scroller, count: shown.length, rowHeight: ROW, headHeight: HEAD });
  const idsOf = (line: number) =>
    [left.ids[alignment.left[line] as number] ?? null, right.ids[alignment.right[line] as number] ?? null] as const;
  const at = shown.findIndex((line) => {
    const [a, b] = idsOf(line);
    return a === chosen.left && b === chosen.right;
  });
  const go = (index: number) => {
    const to = Math.max(0, Math.min(shown.length - 1, index));
    const line = shown[to];
    if (line === undefined) return;
    onChoose(...idsOf(line));
    scrollTo(to, 'nearest');
  };
  const toFirst = () => {
    const index = shown.indexOf(alignment.first);
    if (index < 0) return;
    onChoose(...idsOf(alignment.first));
    scrollTo(index, 'center');
  };
  useKeys({
    j: () => go(at + 1),
    ArrowDown: () => go(at + 1),
    k: () => go(at < 0 ? 0 : at - 1),
    ArrowUp: () => go(at < 0 ? 0 : at - 1),
    Home: () => go(0),
    End: () => go(shown.length - 1),
    d: toFirst,
  });
  const lines: React.ReactNode[] = [];
  for (let index = rows.first; index < rows.end; index++) {
    const line = shown[index] as number;
    lines.push(
      <Line
        key={line}
        alignment={alignment}
        line={line}
        left={left}
        right={right}
        index={index}
        top={rows.topOf(index)}
        selected={index === at}
        onSelect={() => onChoose(...idsOf(line))}
      />,
    );
  }
  return (
    <section className="compare-lines" aria-label="Steps of both tasks">
      <div className="compare-bar" role="toolbar" aria-label="Comparison">
        <span role="status">
          {plural(alignment.pairs, 'pair')}, {exact(alignment.onlyLeft)} only left, {exact(alignment.onlyRight)} only
          right
        </span>
        <span style={{ flex: 1 }} />
        <button
          type="button"
          className="button small"
          disabled={alignment.first === NONE}
          onClick={toFirst}
          title="Go to the first divergence (d)"
        >
          First divergence
        </button>
        <button
          type="button"
          className="button small"
          aria-pressed={onlyDifferent}
          onClick={() => setOnlyDifferent(!onlyDifferent)}
        >
          Only differences
        </button>
      </div>
      <div
        ref={scroller}
        className="compare-grid"
        role="grid"
        aria-label="Aligned steps"
        aria-rowcount={shown.length + 1}
        tabIndex={0}
        onScroll={onScroll}
      >
        <div className="compare-row compare-head" role="row" aria-rowindex={1}>
          <span role="columnheader">Step</span>
          <span role="columnheader">Difference</span>
          <span role="columnheader" className="num">
            Left
          </span>
          <span role="columnheader" className="num">
            Right
          </span>
          <span role="columnheader" className="num">
            Time
          </span>
          <span role="columnheader" className="num">
            Tokens
          </span>
          <span role="columnheader" className="num">
            Cost
          </span>
        </div>
        <div role="rowgroup" className="compare-body" style={{ height: rows.height }}>
          {lines}
        </div>
        {shown.length === 0 ? (
          <p className="compare-none">No differences in structure, status, model or tokens.</p>
        ) : null}
      </div>
    </section>
  );
}

interface LineProps {
  alignment: Alignment;
  line: number;
  left: StepTable;
  right: StepTable;
  index: number;
  top: number;
  selected: boolean;
  onSelect: () => void;
}

const WORDS: Record<(typeof DIFFERENCES)[number], string> = {
  none: '',
  usage: 'tokens',
  model: 'model',
  status: 'status',
  left: 'only left',
  right: 'only right',
};

function Line({ alignment, line, left, right, index, top, selected, onSelect }: LineProps) {
  const a = alignment.left[line] as number;
  const b = alignment.right[line] as number;
  const [table, row] = a === NONE ? [right, b] : [left, a];
  const word = DIFFERENCES[alignment.difference[line] as number] ?? 'none';
  const isFirst = line === alignment.first;
  const type = STEP_TYPES[table.type[row] as number] as StepType;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has keys for all rows
    <div
      className={isFirst ? 'compare-row first' : 'compare-row'}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={selected}
      data-difference={word}
      style={{ top, height: ROW }}
      onClick={onSelect}
    >
      <span
        role="gridcell"
        className="compare-name"
        style={{ paddingLeft: 12 + Math.min(14, alignment.depth[line] as number) * 14 }}
      >
        <span className="tile" data-type={type} title={type}>
          <Icon name={type} />
        </span>
        <span className="cut" dir="auto">
          {table.names.at(table.name[row])}
        </span>
        <StatusMark status={STATUSES[table.status[row] as number] as Status} />
      </span>
      <span role="gridcell" className="compare-word">
        {isFirst ? `first: ${WORDS[word]}` : WORDS[word]}
      </span>
      <span role="gridcell" className="num">
        {a === NONE ? '' : duration(left.duration[a] as number)}
      </span>
      <span role="gridcell" className="num">
        {b === NONE ? '' : duration(right.duration[b] as number)}
      </span>
      <span role="gridcell" className="num">
        {signed((right.duration[b] as number) - (left.duration[a] as number), duration)}
      </span>
      <span role="gridcell" className="num">
        {signed(tokensOf(right, b) - tokensOf(left, a), exact)}
      </span>
      <span role="gridcell" className="num">
        {signed((right.cost[b] as number) - (left.cost[a] as number), cost)}
      </span>
    </div>
  );
}

function tokensOf(table: StepTable, row: number): number {
  const input = table.input[row] as number;
  const output = table.output[row] as number;
  if (row === NONE || (Number.isNaN(input) && Number.isNaN(output))) return Number.NaN;
  return (input || 0) + (output || 0);
}

/** `+1.2 s`, `−30`; empty when either side is unknown, or when they are equal. */
export function signed(difference: number, format: (value: number) => string): string {
  if (!Number.isFinite(difference) || difference === 0) return '';
  return `${difference < 0 ? '−' : '+'}${format(Math.abs(difference))}`;
}
