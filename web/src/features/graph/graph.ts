/**
 * The graph of a task: agents, models, tools and the stages of a workflow as nodes; who called whom, and who followed whom, as edges.
 *
 * A node is all steps of one type and name (a model call: of one model). What is called is drawn from its caller:
 * the nearest step above it that is an agent, a tool, a stage or the root. Steps between them (spans, the loops of frameworks, a model
 * call around the tools that it asked for) are looked through. Agents and stages with one caller follow each other in phases: what
 * overlaps in time, directly or by others, is one phase, and all of a phase is followed by all of the next one. So parallel branches
 * fork and join, a repeated sequence is a loop, and a branch that happened to end before another began is not its predecessor.
 * Where the caller is an agent that calls models, it decides what comes next: its callees do not follow each other.
 */
import { STATUSES, STEP_TYPES, type StepType } from '../../api/types';
import { agentNameOf, type Columns } from '../execution-log/columns';

export interface GraphNode {
  /** `type:label` */
  id: string;
  type: StepType;
  label: string;
  sums: Sums;
  /** what the filter of the steps must say to show them */
  filter: string;
  /** how many nodes are merged into this one: 1, or more in a graph of too many */
  merged: number;
}

export interface GraphEdge {
  from: string;
  to: string;
  /** `calls`: `from` called `to`; `then`: `to` followed `from` */
  kind: 'calls' | 'then';
  sums: Sums;
}

/** Over the steps of a node, or over those that an edge leads to. Usage and cost are of the model calls that a node made itself. */
export interface Sums {
  calls: number;
  errors: number;
  open: number;
  timeUs: number;
  tokens: number;
  /** null: no price is known */
  costNusd: number | null;
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

/** More nodes than that are not readable: the rarest of each type are merged into one. */
export const NODES_MAX = 80;

const NONE = -1;
const TYPE = Object.fromEntries(STEP_TYPES.map((type, index) => [type, index])) as Record<StepType, number>;
const STATUS = Object.fromEntries(STATUSES.map((status, index) => [status, index])) as Record<string, number>;
/** Types whose steps call others; what is below the others belongs to the caller of these. */
const CALLERS = new Set<number>([
  TYPE.agent,
  TYPE.tool,
  TYPE.workflow,
  TYPE.retrieval,
  TYPE.guardrail,
  TYPE.evaluator,
  TYPE.handoff,
]);
const BY_MODEL = new Set<number>([TYPE.llm, TYPE.embedding, TYPE.rerank]);
/** Never nodes by themselves, unless nothing else is there. */
const PLAIN = new Set<number>([TYPE.span, TYPE.log]);
const PREFIX = /^(?:running tool: |execute_tool |invoke_agent )/;

/** @param now microseconds since the task's base: the end of open steps */
export function graphOf(columns: Columns, now: number): Graph {
  const builder = new Builder(columns, now);
  builder.addCalls();
  builder.addSequences();
  return builder.result();
}

interface Draft {
  type: number;
  label: string;
  sums: Sums;
  names: Set<string>;
  /** the agent column of every one of its steps has the label */
  byAgent: boolean;
}

class Builder {
  private readonly nodes: Draft[] = [];
  private readonly places = new Map<string, number>();
  private readonly calls = new Map<number, Sums>();
  private readonly thens = new Map<number, Sums>();
  /** node of each row; NONE: looked through */
  private readonly node: Int32Array;
  /** the row that a row's children are called by */
  private readonly context: Int32Array;
  private readonly caller: Int32Array;
  private readonly drives: Uint8Array;
  private readonly labels: string[];
  private readonly plainOnly: boolean;

  constructor(
    private readonly columns: Columns,
    private readonly now: number,
  ) {
    const n = columns.size;
    this.node = new Int32Array(n).fill(NONE);
    this.context = new Int32Array(n).fill(NONE);
    this.caller = new Int32Array(n).fill(NONE);
    this.drives = new Uint8Array(n);
    this.labels = columns.names.map((name) => name.replace(PREFIX, '') || name);
    this.plainOnly = columns.type.every((type) => PLAIN.has(type));
  }

  addCalls(): void {
    const { columns, node, context, caller } = this;
    for (let i = 0; i < columns.size; i++) {
      const row = columns.preorder[i] as number;
      const up = columns.above[row] as number;
      const by = up === NONE ? NONE : (context[up] as number);
      caller[row] = by;
      const place = this.isNode(row, up, by) ? this.placeOf(row) : NONE;
      node[row] = place;
      context[row] = place !== NONE && this.calling(row, by) ? row : by;
      if (place === NONE) continue;
      const sums = [(this.nodes[place] as Draft).sums];
      if (by !== NONE) sums.push(sumsAt(this.calls, (node[by] as number) * PAIR + place));
      for (const sum of sums) this.addStep(sum, row);
      if (BY_MODEL.has(columns.type[row] as number)) this.addUsage(row, by, sums);
    }
  }

  /** Who followed whom among the agents and stages of one caller. */
  addSequences(): void {
    const { columns, caller, node } = this;
    const rows: number[] = [];
    for (let row = 0; row < columns.size; row++) {
      const by = caller[row] as number;
      if (by === NONE || node[row] === NONE || Number.isNaN(columns.start[row])) continue;
      if (this.drives[by] && columns.type[by] === TYPE.agent) continue;
      if (columns.type[row] === TYPE.agent || columns.type[row] === TYPE.workflow) rows.push(row);
    }
    const start = (row: number) => columns.start[row] as number;
    rows.sort((a, b) => (caller[a] as number) - (caller[b] as number) || start(a) - start(b));
    const targets = this.targets();
    let before = new Set<number>();
    let phase: number[] = [];
    let phaseEnd = Number.NEGATIVE_INFINITY;
    let by = NONE;
    for (const row of rows) {
      const isOther = caller[row] !== by;
      if (isOther || start(row) >= phaseEnd) {
        const ended = this.addPhase(before, phase, targets);
        before = isOther ? new Set() : ended;
        phase = [];
        if (isOther) phaseEnd = Number.NEGATIVE_INFINITY;
        by = caller[row] as number;
      }
      phase.push(row);
      phaseEnd = Math.max(phaseEnd, this.isOpen(row) ? Number.POSITIVE_INFINITY : this.endOf(row));
    }
    this.addPhase(before, phase, targets);
  }

  /** The steps of a phase follow the nodes of the one before. Returns the nodes of the phase. */
  private addPhase(before: ReadonlySet<number>, phase: readonly number[], targets: Int32Array): Set<number> {
    const places = new Set(phase.map((row) => targets[this.node[row] as number] as number));
    for (const row of phase) {
      const place = targets[this.node[row] as number] as number;
      for (const other of before) {
        // the same thing, or the same parallel things, again and again: a count, not an arrow
        if (places.has(other) && before.has(place)) continue;
        this.addStep(sumsAt(this.thens, other * PAIR + place), row);
      }
    }
    return places;
  }

  result(): Graph {
    const targets = this.targets();
    const nodes = new Map<number, GraphNode>();
    for (const [place, draft] of this.nodes.entries()) {
      const type = STEP_TYPES[draft.type] ?? 'span';
      const target = targets[place] as number;
      const known = nodes.get(target);
      if (known) {
        addSums(known.sums, draft.sums);
        known.merged++;
        known.id = `${type}:`;
        known.label = `${known.merged} other ${TYPE_PLURALS[type]}`;
        known.filter = `type:${type}`;
      } else {
        const { label } = draft;
        nodes.set(target, {
          id: `${type}:${label}`,
          type,
          label,
          sums: { ...draft.sums },
          filter: filterOf(type, draft),
          merged: 1,
        });
      }
    }
    const edges = new Map<string, GraphEdge>();
    for (const kind of ['calls', 'then'] as const) {
      for (const [pair, sums] of kind === 'calls' ? this.calls : this.thens) {
        const from = nodes.get(targets[Math.floor(pair / PAIR)] as number)?.id ?? '';
        const to = nodes.get(targets[pair % PAIR] as number)?.id ?? '';
        const key = `${kind}\0${from}\0${to}`;
        const known = edges.get(key);
        if (known) addSums(known.sums, sums);
        else edges.set(key, { from, to, kind, sums: { ...sums } });
      }
    }
    return { nodes: [...nodes.values()], edges: [...edges.values()] };
  }

  /** The place that each node is shown at: of too many nodes, the rarest of each type share one. */
  private targets(): Int32Array {
    const targets = Int32Array.from(this.nodes, (_, place) => place);
    if (this.nodes.length <= NODES_MAX) return targets;
    const weight = (place: number) => {
      const { type, sums } = this.nodes[place] as Draft;
      return sums.calls + (sums.errors > 0 ? 1e6 : 0) + (type === TYPE.agent || type === TYPE.workflow ? 1e9 : 0);
    };
    const rare = Array.from(targets)
      .sort((a, b) => weight(b) - weight(a) || a - b)
      .slice(NODES_MAX)
      .sort((a, b) => a - b);
    const first = new Map<number, number>();
    for (const place of rare) {
      const { type } = this.nodes[place] as Draft;
      if (!first.has(type)) first.set(type, place);
      targets[place] = first.get(type) as number;
    }
    return targets;
  }

  private isNode(row: number, up: number, by: number): boolean {
    const { columns, node } = this;
    const type = columns.type[row] as number;
    if (PLAIN.has(type)) return up === NONE || this.plainOnly;
    if (type === TYPE.workflow) {
      // a root, and the stages of a workflow; what frameworks nest inside of agents and stages says nothing
      if (up === NONE) return true;
      return by !== NONE && columns.type[by] === TYPE.workflow && columns.above[by] === NONE && up === by;
    }
    // an instrumented client inside an instrumented framework: one call, seen twice
    if (BY_MODEL.has(type) && up !== NONE && columns.type[up] === type && node[up] !== NONE) {
      return columns.model[up] !== columns.model[row];
    }
    return true;
  }

  private calling(row: number, by: number): boolean {
    return (
      CALLERS.has(this.columns.type[row] as number) ||
      (by === NONE && !BY_MODEL.has(this.columns.type[row] as number)) ||
      this.plainOnly
    );
  }

  private placeOf(row: number): number {
    const { columns } = this;
    const type = columns.type[row] as number;
    const agent = columns.agents[columns.agent[row] as number] ?? '';
    const label = this.labelOf(row);
    const key = `${type}:${label}`;
    let place = this.places.get(key);
    if (place === undefined) {
      place = this.nodes.push({ type, label, sums: noSums(), names: new Set(), byAgent: true }) - 1;
      this.places.set(key, place);
    }
    const draft = this.nodes[place] as Draft;
    if (draft.names.size < 2) draft.names.add(columns.names[columns.name[row] as number] ?? '');
    if (agent !== label) draft.byAgent = false;
    return place;
  }

  private labelOf(row: number): string {
    const { columns } = this;
    const type = columns.type[row] as number;
    const name = this.labels[columns.name[row] as number] ?? '';
    if (BY_MODEL.has(type)) return columns.models[columns.model[row] as number] ?? name;
    return type === TYPE.agent ? agentNameOf(columns, row, name) : name;
  }

  private addStep(sums: Sums, row: number): void {
    const { columns } = this;
    sums.calls++;
    if (columns.status[row] === STATUS.error && !columns.affected[row]) sums.errors++;
    if (this.isOpen(row)) sums.open++;
    const time = this.endOf(row) - (columns.start[row] as number);
    if (time > 0) sums.timeUs += time;
  }

  /** Of a model call: its own node and edge have it, and so have the caller's node and the edge that led to the caller. */
  private addUsage(row: number, by: number, own: Sums[]): void {
    const { columns, node, caller } = this;
    if (by !== NONE) this.drives[by] = 1;
    if (!columns.counted[row]) return;
    const all = own.slice();
    if (by !== NONE) {
      all.push((this.nodes[node[by] as number] as Draft).sums);
      const above = caller[by] as number;
      if (above !== NONE) all.push(sumsAt(this.calls, (node[above] as number) * PAIR + (node[by] as number)));
    }
    const tokens = (columns.input[row] || 0) + (columns.output[row] || 0);
    const cost = columns.cost[row] as number;
    for (const sums of all) {
      sums.tokens += tokens;
      if (!Number.isNaN(cost)) sums.costNusd = (sums.costNusd ?? 0) + cost;
    }
  }

  private isOpen(row: number): boolean {
    const status = this.columns.status[row];
    return status === STATUS.running || status === STATUS.waiting;
  }

  private endOf(row: number): number {
    const start = this.columns.start[row] as number;
    if (this.isOpen(row)) return Math.max(start, this.now);
    const length = this.columns.duration[row] as number;
    return Number.isNaN(length) ? start : start + length;
  }
}

const PAIR = 2 ** 24;

const TYPE_PLURALS: Record<StepType, string> = {
  agent: 'agents',
  llm: 'models',
  tool: 'tools',
  retrieval: 'retrievals',
  embedding: 'embedding models',
  rerank: 'rerankers',
  workflow: 'workflows',
  guardrail: 'guardrails',
  evaluator: 'evaluators',
  handoff: 'handoffs',
  memory: 'memories',
  log: 'logs',
  span: 'spans',
};

function filterOf(type: StepType, { label, names, byAgent }: Draft): string {
  if (type === 'agent' && byAgent) return `agent:${quoted(label)}`;
  if (BY_MODEL.has(TYPE[type]) && !names.has(label)) return `type:${type} model:${quoted(label)}`;
  const [only = label] = names;
  return `type:${type} name:${quoted(names.size === 1 ? only : `*${label}`)}`;
}

/** A value of the filter: quotes cannot be written in it, so a wildcard takes the place of each. */
function quoted(text: string): string {
  return `"${text.replaceAll('"', '*')}"`;
}

function noSums(): Sums {
  return { calls: 0, errors: 0, open: 0, timeUs: 0, tokens: 0, costNusd: null };
}

function sumsAt(edges: Map<number, Sums>, pair: number): Sums {
  let sums = edges.get(pair);
  if (!sums) {
    sums = noSums();
    edges.set(pair, sums);
  }
  return sums;
}

function addSums(into: Sums, more: Sums): void {
  into.calls += more.calls;
  into.errors += more.errors;
  into.open += more.open;
  into.timeUs += more.timeUs;
  into.tokens += more.tokens;
  if (more.costNusd !== null) into.costNusd = (into.costNusd ?? 0) + more.costNusd;
}
