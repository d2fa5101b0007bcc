import { memo } from 'react';
import { STATUSES, STEP_TYPES } from '../../api/types';
import { useNowUs } from '../../ui/clock';
import { Ticking } from '../../ui/controls';
import { clock, cost, count, duration, exact, exactCost, offset } from '../../ui/format';
import { Icon, StatusMark, TypeTile } from '../../ui/Icon';
import { Guides } from './Guides';
import { LEVELS_MAX } from './guides';
import { STATUS, type StepTable } from './table';

/** A step that is open shows that it is silent after this long without an event; heartbeats come every 5 s. */
export const SILENT_US = 15_000_000;

export interface TraceStepProps {
  table: StepTable;
  row: number;
  /** the row's own version: what it shows comes from the table */
  version: number;
  index: number;
  top: number;
  depth: number;
  /** letters of the lines at the left; null in the log, which has none */
  guides: string | null;
  children: number;
  expanded: boolean;
  hidden: number;
  /** of a collapsed row: with all that it hides; null when nothing of it is known */
  tokensBelow: number | null;
  costBelow: number | null;
  errorsInside: number;
  position: number;
  siblings: number;
  selected: boolean;
  hit: 'hit' | 'dim' | null;
  fresh: boolean;
  orphan: boolean;
  /** what distinguishes the step from its siblings (see `labels.ts`) */
  asked: string;
  answered: string;
  ordinal: number | null;
  absoluteTimes: boolean;
  onSelect: (row: number) => void;
  onToggle: (row: number, deep: boolean) => void;
}

/**
 * One step as a row: type, name, status, latency, tokens, cost, and its place in time. Opens to the detail beside it.
 * Draws again only when its own properties change.
 */
export const TraceStep = memo(function TraceStep(props: TraceStepProps) {
  const { table, row, depth, guides, selected, expanded } = props;
  const type = STEP_TYPES[table.type[row] as number] ?? 'span';
  const status = STATUSES[table.status[row] as number] ?? 'ok';
  const open = table.open(row);
  const name = table.names.at(table.name[row]) || 'Unnamed step';
  const model = table.models.at(table.model[row]);
  const id = table.ids[row] as string;
  const classes = ['step-row', props.fresh ? 'fresh' : '', props.hit ?? '', guides === null ? 'in-log' : ''].join(' ');

  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the treegrid answers the keys for its rows
    <div
      id={`step-${id}`}
      className={classes}
      role="row"
      aria-rowindex={props.index + 2}
      aria-level={guides === null ? undefined : depth + 1}
      aria-posinset={guides === null ? undefined : props.position}
      aria-setsize={guides === null ? undefined : props.siblings}
      aria-expanded={guides !== null && props.children > 0 ? expanded : undefined}
      aria-selected={selected}
      data-type={type}
      data-status={status}
      style={{ transform: `translateY(${props.top}px)` }}
      onClick={() => props.onSelect(row)}
    >
      <span className="step-main" role="gridcell">
        {guides === null ? (
          <LogTime table={table} row={row} absolute={props.absoluteTimes} />
        ) : (
          <>
            <Guides letters={guides} depth={depth} orphan={props.orphan} leaf={props.children === 0} />
            {depth >= LEVELS_MAX ? <span className="step-deeper">+{depth - LEVELS_MAX + 1}</span> : null}
            {props.children > 0 ? (
              // the element of a row draws another one later: a button keeps the focus and turns for its own step alone
              <button
                key={id}
                type="button"
                className="row-twist"
                tabIndex={-1}
                aria-label={`${expanded ? 'Collapse' : 'Expand'} ${name}`}
                onClick={(event) => {
                  event.stopPropagation();
                  props.onToggle(row, event.shiftKey || event.altKey);
                }}
              >
                <Icon name="chevron" className={expanded ? 'turned' : ''} />
              </button>
            ) : (
              <span className="row-twist" />
            )}
          </>
        )}
        <TypeTile type={type} />
        <span className="step-name cut" dir="auto" title={name}>
          {name}
        </span>
        <StatusMark status={status} />
        {!expanded && props.hidden > 0 ? <Hidden count={props.hidden} errors={props.errorsInside} /> : null}
        {props.orphan ? <span className="step-note">parent not received</span> : null}
        {open ? <Silence lastEventUs={table.lastEventUsOf(row)} /> : null}
        {guides === null ? null : <Words {...props} />}
        {model ? (
          <span className="step-model cut" title={model}>
            {model}
          </span>
        ) : null}
      </span>
      <span className="num step-duration" role="gridcell">
        <Latency table={table} row={row} open={open} />
      </span>
      <span className="num step-tokens" role="gridcell" title={sumTitle(props) ?? tokensTitle(table, row)}>
        {count(props.tokensBelow ?? sum(table.input[row] as number, table.output[row] as number))}
      </span>
      <span className="num step-cost" role="gridcell" title={sumTitle(props) ?? costTitle(table, row)}>
        {cost(props.costBelow ?? nullable(table.cost[row] as number))}
      </span>
      {guides === null ? (
        <span className="step-preview" role="gridcell">
          <Words {...props} />
        </span>
      ) : (
        <span className="step-lane" role="gridcell" aria-label={laneLabel(table, row)} />
      )}
    </div>
  );
});

/** In grey what was asked and answered, each cut by itself: siblings may begin with the same words. */
function Words({ asked, answered, ordinal }: TraceStepProps) {
  return (
    <span className="step-words" title={[asked, answered].filter(Boolean).join(' → ')}>
      {ordinal === null ? null : <span className="step-ordinal">#{exact(ordinal)}</span>}
      {asked ? (
        <span className="step-asked cut" dir="auto">
          {asked}
        </span>
      ) : null}
      {answered ? (
        <span className="step-answered cut" dir="auto">
          → {answered}
        </span>
      ) : null}
    </span>
  );
}

function Latency({ table, row, open }: { table: StepTable; row: number; open: boolean }) {
  const start = table.start[row] as number;
  if (open && !Number.isNaN(start)) return <Ticking sinceUs={table.baseUs + start} />;
  const lostAfter = lostAfterUs(table, row);
  if (lostAfter !== null) {
    return <span title={`Lost: last event at ${clock(table.baseUs + start + lostAfter)}`}>{duration(lostAfter)}</span>;
  }
  return <>{duration(nullable(table.duration[row] as number))}</>;
}

/** From the start of a lost step to its last event, microseconds; null when it is not lost or has a duration. */
export function lostAfterUs(table: StepTable, row: number): number | null {
  const start = table.start[row] as number;
  if (table.status[row] !== STATUS.lost || Number.isNaN(start) || !Number.isNaN(table.duration[row] as number))
    return null;
  return Math.max(0, table.lastEventUsOf(row) - table.baseUs - start);
}

function LogTime({ table, row, absolute }: { table: StepTable; row: number; absolute: boolean }) {
  const start = table.start[row] as number;
  if (Number.isNaN(start)) return <span className="log-time" title="Unknown start" />;
  return <span className="log-time tnum">{absolute ? clock(table.baseUs + start) : offset(start)}</span>;
}

function Hidden({ count: hidden, errors }: { count: number; errors: number }) {
  return (
    <span className="hidden-count" title={`${exact(hidden)} hidden steps${errors ? `, ${exact(errors)} failed` : ''}`}>
      +{exact(hidden)}
      {errors > 0 ? <b>!</b> : null}
    </span>
  );
}

/** `no event for 40 s` when nothing was received of an open step. */
export function Silence({ lastEventUs }: { lastEventUs: number }) {
  const now = useNowUs(1_000);
  const silence = now - lastEventUs;
  if (silence < SILENT_US) return null;
  return (
    <span
      className="step-note"
      title="Agents send a heartbeat every few seconds while a step is running. None arrived."
    >
      no event for {duration(Math.floor(silence / 1e6) * 1e6).replace('.0', '')}
    </span>
  );
}

function nullable(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

function sum(input: number, output: number): number | null {
  if (Number.isNaN(input) && Number.isNaN(output)) return null;
  return (Number.isNaN(input) ? 0 : input) + (Number.isNaN(output) ? 0 : output);
}

function sumTitle({ hidden, tokensBelow, costBelow }: TraceStepProps): string | undefined {
  if (hidden === 0 || (tokensBelow === null && costBelow === null)) return undefined;
  const parts = [
    tokensBelow === null ? '' : `${exact(tokensBelow)} tokens`,
    costBelow === null ? '' : exactCost(costBelow),
  ];
  return `With ${exact(hidden)} hidden steps: ${parts.filter(Boolean).join(', ')}`;
}

function tokensTitle(table: StepTable, row: number): string | undefined {
  const input = nullable(table.input[row] as number);
  const output = nullable(table.output[row] as number);
  if (input === null && output === null) return undefined;
  const parts = [input === null ? 'input unknown' : `${exact(input)} in`];
  parts.push(output === null ? 'output unknown' : `${exact(output)} out`);
  if (!table.counted[row]) parts.push('not added to the total, which counts another step');
  return parts.join(', ');
}

function costTitle(table: StepTable, row: number): string | undefined {
  const value = table.cost[row] as number;
  if (!Number.isNaN(value)) return exactCost(value);
  return table.counted[row] ? 'Unknown cost: no price for this model' : undefined;
}

function laneLabel(table: StepTable, row: number): string {
  const start = table.start[row] as number;
  return Number.isNaN(start) ? 'unknown start' : `starts at ${offset(start)}`;
}
