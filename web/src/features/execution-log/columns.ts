/** The columns of the steps of a task, copied so that a worker can own them: what its graph and its activity are computed from. */
import { STEP_TYPES } from '../../api/types';
import type { StepTable } from './table';
import type { Tree } from './tree';

export interface Columns {
  size: number;
  /** rows in depth-first order */
  preorder: Int32Array<ArrayBuffer>;
  /** row of the parent; -1: none */
  above: Int32Array<ArrayBuffer>;
  /** index into STEP_TYPES */
  type: Uint8Array<ArrayBuffer>;
  /** index into STATUSES */
  status: Uint8Array<ArrayBuffer>;
  /** 1: the failure of a step below is repeated */
  affected: Uint8Array<ArrayBuffer>;
  /** 1: usage and cost are in the task's totals */
  counted: Uint8Array<ArrayBuffer>;
  name: Int32Array<ArrayBuffer>;
  agent: Int32Array<ArrayBuffer>;
  model: Int32Array<ArrayBuffer>;
  /** microseconds; NaN unknown */
  start: Float64Array<ArrayBuffer>;
  duration: Float64Array<ArrayBuffer>;
  input: Float64Array<ArrayBuffer>;
  output: Float64Array<ArrayBuffer>;
  /** nano-USD; NaN unknown */
  cost: Float64Array<ArrayBuffer>;
  names: string[];
  agents: string[];
  models: string[];
}

export function columnsOf(table: StepTable, tree: Tree): Columns {
  const n = tree.preorder.length;
  return {
    size: n,
    preorder: new Int32Array(tree.preorder),
    above: new Int32Array(tree.above),
    type: table.type.slice(0, n),
    status: table.status.slice(0, n),
    affected: table.affected.slice(0, n),
    counted: table.counted.slice(0, n),
    name: table.name.slice(0, n),
    agent: table.agent.slice(0, n),
    model: table.model.slice(0, n),
    start: table.start.slice(0, n),
    duration: table.duration.slice(0, n),
    input: table.input.slice(0, n),
    output: table.output.slice(0, n),
    cost: table.cost.slice(0, n),
    names: table.names.list.slice(),
    agents: table.agents.list.slice(),
    models: table.models.list.slice(),
  };
}

/** The buffers to hand over instead of copying them. */
export function buffersOf(columns: Columns): ArrayBuffer[] {
  return Object.values(columns).flatMap((column: unknown) =>
    ArrayBuffer.isView(column) ? [column.buffer as ArrayBuffer] : [],
  );
}

const AGENT = STEP_TYPES.indexOf('agent');
const NONE = -1;

/**
 * The name of the agent that a step of this type is: what is known of its agent where the step introduces it or bears its
 * name, else its own name. Some frameworks know only the name of the program.
 */
export function agentNameOf(columns: Columns, row: number, name: string): string {
  const agent = columns.agents[columns.agent[row] as number] ?? '';
  if (agent === '') return name;
  const up = columns.above[row] as number;
  const introduced = up !== NONE && columns.agent[up] !== columns.agent[row];
  return introduced || name.includes(agent) ? agent : name;
}

/** The agent of each row, as an index into the names: that of the nearest agent above it, unless the step names another. */
export function agentsOf(columns: Columns): { of: Int32Array; names: string[] } {
  const names: string[] = [];
  const places = new Map<string, number>();
  const placeOf = (name: string) => {
    const place = places.get(name) ?? names.push(name) - 1;
    places.set(name, place);
    return place;
  };
  const of = new Int32Array(columns.size);
  for (const row of columns.preorder) {
    const up = columns.above[row] as number;
    if (columns.type[row] === AGENT)
      of[row] = placeOf(agentNameOf(columns, row, columns.names[columns.name[row] as number] ?? ''));
    else if (up !== NONE && (columns.agent[row] === NONE || columns.agent[up] === columns.agent[row]))
      of[row] = of[up] as number;
    else of[row] = placeOf(columns.agents[columns.agent[row] as number] ?? '');
  }
  return { of, names };
}
