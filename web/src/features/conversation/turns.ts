/** Which steps a conversation shows, in order of time: model calls as turns, and what happened between them. */
import { STEP_TYPES, type StepType } from '../../api/types';
import { NONE, STATUS, type StepTable } from '../execution-log/table';
import type { Tree } from '../execution-log/tree';

export interface Turns {
  /** rows of the table in order of time */
  rows: Int32Array;
  /** by row its place in `rows`; NONE */
  indexOf: Int32Array;
  /** by row the number of a model call, from 1; 0 for other steps */
  turn: Int32Array;
  turns: number;
  /** by row the model call whose prompt this one continues; NONE */
  before: Int32Array;
  /** by row the model call that continues this one; NONE */
  after: Int32Array;
  /** by row who acts: an index of `speakers`; NONE */
  speaker: Int32Array;
  /** names in the order in which they first act */
  speakers: string[];
}

const code = (type: StepType) => STEP_TYPES.indexOf(type);
const LLM = code('llm');
const AGENT = code('agent');
const TOOL = code('tool');
const SHOWN: ReadonlySet<number> = new Set(
  (['llm', 'tool', 'retrieval', 'rerank', 'memory', 'handoff', 'guardrail', 'evaluator'] as const).map(code),
);

/** Linear in the number of steps. */
export function turnsOf(table: StepTable, tree: Tree): Turns {
  const n = table.size;
  const { scope, isInner, speaksBelow } = readTree(table, tree);
  const rows = new Int32Array(n);
  const indexOf = new Int32Array(n).fill(NONE);
  const turn = new Int32Array(n);
  const before = new Int32Array(n).fill(NONE);
  const after = new Int32Array(n).fill(NONE);
  const lastOfScope = new Map<number, number>();
  const lastOfAgent = new Map<number, number>();
  const speaker = new Int32Array(n).fill(NONE);
  const speakers = new Map<string, number>();
  let shown = 0;
  let turns = 0;
  for (let i = 0; i < n; i++) {
    const row = table.chronological[i] as number;
    const type = table.type[row] as number;
    if (type === LLM && isInner[row]) continue;
    if (!SHOWN.has(type) && (speaksBelow[row] || !speaksItself(table, tree, row))) continue;
    rows[shown] = row;
    indexOf[row] = shown;
    shown++;
    const name = speakerOf(table, tree, scope, row);
    if (name) {
      if (!speakers.has(name)) speakers.set(name, speakers.size);
      speaker[row] = speakers.get(name) as number;
    }
    if (type !== LLM) continue;
    turns++;
    turn[row] = turns;
    const own = scope[row] as number;
    const agent = table.agent[row] as number;
    const previous = lastOfScope.get(own) ?? (agent === NONE ? NONE : (lastOfAgent.get(agent) ?? NONE));
    before[row] = previous;
    if (previous !== NONE && scope[previous] === own) after[previous] = row;
    lastOfScope.set(own, row);
    lastOfAgent.set(agent, row);
  }
  return { rows: rows.slice(0, shown), indexOf, turn, turns, before, after, speaker, speakers: [...speakers.keys()] };
}

/** The row that shows a step: itself, else the first one below it, else the nearest above; NONE. */
export function rowShowing(turns: Turns, tree: Tree, row: number): number {
  if (row < 0 || row >= turns.indexOf.length) return NONE;
  const place = tree.place[row] as number;
  for (let at = place; at < place + (tree.subtree[row] as number); at++) {
    const below = tree.preorder[at] as number;
    if (turns.indexOf[below] !== NONE) return below;
  }
  for (let up = tree.above[row] as number; up !== NONE; up = tree.above[up] as number) {
    if (turns.indexOf[up] !== NONE) return up;
  }
  return NONE;
}

/**
 * The agent of a step. Where several agents have the name of the task's agent or service, because none was recorded for them, they are
 * distinguished by the names of their runs.
 */
function speakerOf(table: StepTable, tree: Tree, scope: Int32Array, row: number): string {
  const run = scope[row] as number;
  const agent = table.agent[row] as number;
  if (run !== NONE) {
    const up = tree.above[run] as number;
    const isInherited = up !== NONE && table.agent[up] === agent && table.agent[run] === agent;
    if (agent === NONE || isInherited) return table.names.at(table.name[run]);
  }
  return agent === NONE ? '' : table.agents.at(agent);
}

/** A step of another type is shown when nothing below it is: an agent, the whole task, a failure, a wait. */
function speaksItself(table: StepTable, tree: Tree, row: number): boolean {
  const status = table.status[row];
  return table.type[row] === AGENT || tree.above[row] === NONE || status === STATUS.waiting || status === STATUS.error;
}

function readTree(table: StepTable, tree: Tree) {
  const n = table.size;
  /** the nearest agent's run at or above: its calls are one conversation */
  const scope = new Int32Array(n).fill(NONE);
  /** the library's own call inside of one that is shown */
  const isInner = new Uint8Array(n);
  const speaksBelow = new Uint8Array(n);
  for (let place = 0; place < n; place++) {
    const row = tree.preorder[place] as number;
    const up = tree.above[row] as number;
    const type = table.type[row];
    scope[row] = type === AGENT ? row : up === NONE ? NONE : (scope[up] as number);
    if (up !== NONE && type !== AGENT && type !== TOOL)
      isInner[row] = table.type[up] === LLM ? 1 : (isInner[up] as number);
  }
  for (let place = n - 1; place >= 0; place--) {
    const row = tree.preorder[place] as number;
    const up = tree.above[row] as number;
    if (up === NONE) continue;
    const speaks = SHOWN.has(table.type[row] as number) || speaksItself(table, tree, row);
    if (speaks || speaksBelow[row]) speaksBelow[up] = 1;
  }
  return { scope, isInner, speaksBelow };
}
