/**
 * The facts line of a step: one cell for each column of `Step` that it shows. A column that is new in the contracts is shown with
 * its own name until it gets a cell here, which is the only edit that it needs.
 */
import type { ReactNode } from 'react';
import type { Step } from '../../api/types';
import { CopyId, Ticking } from '../../ui/controls';
import { clock, cost, duration, exact, moment, nusd, offset } from '../../ui/format';
import { lostAfterUs } from '../execution-log/TraceStep';
import { NONE, type StepTable } from '../execution-log/table';
import type { Tree } from '../execution-log/tree';
import { selfTimeUs } from '../execution-log/waterfall';

export interface FactsProps {
  step: Step;
  table: StepTable;
  tree: Tree;
  row: number;
}

export interface Cell {
  name: string;
  /** null: nothing to show */
  show: (props: FactsProps) => ReactNode;
  title?: (step: Step) => string | undefined;
}

const MODEL_TYPES: ReadonlySet<string> = new Set(['llm', 'embedding', 'rerank']);
const isOpen = (step: Step) => step.status === 'running' || step.status === 'waiting';
const faint = (text: ReactNode) => <span className="faint">{text}</span>;

/** In the order in which they are shown. */
const CELLS: Partial<Record<keyof Step, Cell>> = {
  started_at_us: {
    name: 'Started',
    title: ({ started_at_us }) => (started_at_us === null ? 'Unknown' : moment(started_at_us)),
    show: ({ step, table }) =>
      step.started_at_us === null ? (
        faint('unknown')
      ) : (
        <>
          {clock(step.started_at_us)} {faint(offset(step.started_at_us - table.baseUs))}
        </>
      ),
  },
  duration_us: {
    name: 'Duration',
    show: ({ step, table, tree, row }) => {
      const selfUs = row === NONE ? Number.NaN : selfTimeUs(table, tree, row);
      const open = isOpen(step);
      const lostAfter = row === NONE ? null : lostAfterUs(table, row);
      if (lostAfter !== null) {
        return (
          <>
            {duration(lostAfter)} {faint(`· lost, last event at ${clock(table.lastEventUsOf(row))}`)}
          </>
        );
      }
      return (
        <>
          {open && step.started_at_us !== null ? <Ticking sinceUs={step.started_at_us} /> : duration(step.duration_us)}
          {!open && !Number.isNaN(selfUs) && step.duration_us !== null && selfUs < step.duration_us
            ? faint(` · ${duration(selfUs)} self`)
            : null}
        </>
      );
    },
  },
  // in a card of their own
  waiting_for: { name: 'Waiting for', show: () => null },
  waiting_since_us: { name: 'Waiting since', show: () => null },
  ttft_us: { name: 'Time to first token', show: ({ step }) => (step.ttft_us === null ? null : duration(step.ttft_us)) },
  usage: {
    name: 'Tokens',
    title: ({ usage }) => usageTitle(usage),
    show: ({ step: { usage } }) =>
      usage === null || (usage.input == null && usage.output == null) ? null : (
        <>
          {usage.input == null ? '' : `${exact(usage.input)} in`}
          {usage.cache_read ? faint(` (${exact(usage.cache_read)} cached)`) : null}
          {usage.output == null ? '' : ` · ${exact(usage.output)} out`}
          {usage.reasoning ? faint(` (${exact(usage.reasoning)} reasoning)`) : null}
        </>
      ),
  },
  cost_usd: {
    name: 'Cost',
    title: ({ cost_usd }) => (cost_usd === null ? 'No price for this model, and none was reported' : `$${cost_usd}`),
    show: ({ step }) => {
      const nano = nusd(step.cost_usd);
      if (nano !== null) {
        return (
          <>
            {cost(nano)} {faint(step.cost_source)}
          </>
        );
      }
      return !isOpen(step) && MODEL_TYPES.has(step.type) ? faint('unknown') : null;
    },
  },
  model: {
    name: 'Model',
    show: ({ step: { model, model_requested, provider } }) => {
      const name = model ?? model_requested;
      if (name === null) return null;
      return (
        <>
          {model_requested !== null && model_requested !== name ? faint(`${model_requested} → `) : null}
          {name}
          {provider ? faint(` · ${provider}`) : null}
        </>
      );
    },
  },
  agent: { name: 'Agent', show: ({ step }) => step.agent },
  tool_name: { name: 'Tool', show: ({ step }) => (step.tool_name === step.name ? null : step.tool_name) },
  attempts: { name: 'Attempts', show: ({ step }) => (step.attempts > 1 ? exact(step.attempts) : null) },
  finish_reasons: { name: 'Finish reason', show: ({ step }) => step.finish_reasons.join(', ') },
  flags: { name: 'Flags', show: ({ step }) => step.flags.join(', ').replaceAll('_', ' ') },
  step_id: { name: 'Step ID', show: ({ step }) => <CopyId id={step.step_id} what="the step ID" shown={16} /> },
};

/** Columns that another part of the page shows, or that only programs need. */
const ELSEWHERE: ReadonlySet<string> = new Set<keyof Step>([
  ...([
    'task_id',
    'parent_step_id',
    'type',
    'type_raw',
    'name',
    'span_name',
    'status',
    'error',
    'ended_at_us',
  ] as const),
  ...(['seq', 'counted', 'cost_source', 'model_requested', 'provider', 'response_id', 'parameters'] as const),
  ...(['tool_call_id', 'preview_input', 'preview_output', 'captured', 'too_large', 'progress', 'stamps'] as const),
  ...(['conversation_id', 'user_id', 'environment', 'tags'] as const),
]);

/** The cells of a step: those above, then the columns for which there is none. */
export function cellsOf(step: Step): [string, Cell][] {
  const others = Object.entries(step)
    .filter(([column, value]) => !(column in CELLS) && !ELSEWHERE.has(column) && textOf(value) !== '')
    .map(([column, value]): [string, Cell] => [column, { name: titleOf(column), show: () => textOf(value) }]);
  return [...Object.entries(CELLS), ...others.sort(([a], [b]) => (a < b ? -1 : 1))];
}

export function Facts(props: FactsProps) {
  return (
    <dl className="fact-list">
      {cellsOf(props.step).map(([column, cell]) => {
        const content = cell.show(props);
        if (content === null || content === undefined || content === '') return null;
        return (
          <div key={column} title={cell.title?.(props.step)}>
            <dt>{cell.name}</dt>
            <dd>{content}</dd>
          </div>
        );
      })}
    </dl>
  );
}

/** `first_token_us` -> `First token us`: readable enough until the column has a cell. */
function titleOf(column: string): string {
  const words = column.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function textOf(value: unknown): string {
  if (value === null || value === undefined || value === false) return '';
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value !== 'object') return String(value);
  return Object.keys(value).length === 0 ? '' : JSON.stringify(value);
}

function usageTitle(usage: Step['usage']): string | undefined {
  if (usage === null) return undefined;
  return Object.entries(usage)
    .filter(([, value]) => value != null)
    .map(([name, value]) => `${name.replaceAll('_', ' ')}: ${exact(value as number)}`)
    .join('\n');
}
