import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { markAffected } from '../execution-log/affected';
import { columnsOf } from '../execution-log/columns';
import { type Row, skeletonOf } from '../execution-log/samples';
import { StepTable } from '../execution-log/table';
import { layOut } from '../execution-log/tree';
import { type Graph, graphOf, NODES_MAX } from './graph';
import { layOutGraph, NODE_HEIGHT, NODE_WIDTH, structureOf } from './layout';

const NOW = 1e9;

type Recorded = [
  number,
  string,
  string,
  string | null,
  string | null,
  string,
  number,
  number | null,
  number | null,
  number | null,
  number,
];

interface Trace {
  trace: string;
  steps: Recorded[];
  why: string;
  /** calls, errors, tokens */
  nodes: Record<string, [number, number, number]>;
  edges: string[];
}

const TRACES: Trace[] = JSON.parse(
  readFileSync(new URL('../../../../tests/traces/graphs.json', import.meta.url), 'utf8'),
);

const idOf = (place: number) => String(place).padStart(16, '0');

function rowsOf(steps: Recorded[]): Row[] {
  return steps.map(([parent, type, name, agent, model, status, start, duration, input, output, counted], place) => ({
    id: idOf(place),
    parent: parent < 0 ? null : idOf(parent),
    ...{ type, name, agent, model, status, start, duration, input, output, counted: counted === 1 },
  }));
}

function graph(rows: Row[]): Graph {
  const table = new StepTable(skeletonOf(rows));
  for (const [row, { status }] of rows.entries()) if (status === 'error') table.failures.set(row, { message: 'boom' });
  markAffected(table);
  return graphOf(columnsOf(table, layOut(table)), NOW);
}

const nodesOf = ({ nodes }: Graph) =>
  Object.fromEntries(nodes.map(({ id, sums }) => [id, [sums.calls, sums.errors, sums.tokens]]));
const edgesOf = ({ edges }: Graph) =>
  edges.map(({ from, kind, to, sums }) => `${from} ${kind} ${to} ${sums.calls}`).sort();

describe('the graph of a recorded trace', () => {
  it.each(TRACES.map((trace) => [trace.trace, trace.why, trace] as const))('%s: %s', (_, __, trace) => {
    const found = graph(rowsOf(trace.steps));
    expect(nodesOf(found)).toEqual(trace.nodes);
    expect(edgesOf(found)).toEqual([...trace.edges].sort());
  });
});

describe('graphOf', () => {
  it('draws what overlaps as parallel, and what was repeated as a loop', () => {
    const agent = (id: string, name: string, start: number, duration: number): Row => ({
      id,
      parent: 'r',
      type: 'agent',
      name,
      start,
      duration,
    });
    const found = graph([
      { id: 'r', type: 'workflow', name: 'flow', start: 0, duration: 100 },
      agent('a', 'writer', 1, 9),
      agent('b', 'critic', 10, 10),
      agent('c', 'writer', 20, 10),
      agent('d', 'critic', 30, 10),
      agent('e', 'left', 40, 20),
      agent('f', 'right', 50, 20),
      agent('g', 'end', 70, 10),
    ]);
    expect(edgesOf(found).filter((edge) => edge.includes(' then '))).toEqual(
      [
        'agent:critic then agent:left 1',
        'agent:critic then agent:right 1',
        'agent:critic then agent:writer 1',
        'agent:left then agent:end 1',
        'agent:right then agent:end 1',
        'agent:writer then agent:critic 2',
      ].sort(),
    );
  });

  it('draws no arrow between parallel things that are repeated', () => {
    const rows: Row[] = [{ id: 'r', type: 'workflow', name: 'flow', start: 0, duration: 100 }];
    for (let i = 0; i < 4; i++) {
      rows.push({ id: `h${i}`, parent: 'r', type: 'agent', name: 'hotel', start: i * 20, duration: 10 });
      rows.push({ id: `w${i}`, parent: 'r', type: 'agent', name: 'weather', start: i * 20 + 5, duration: 10 });
    }
    expect(edgesOf(graph(rows))).toEqual(['workflow:flow calls agent:hotel 4', 'workflow:flow calls agent:weather 4']);
  });

  it('sees no order among the agents that a model decides about', () => {
    const found = graph([
      { id: 'r', type: 'agent', name: 'boss', start: 0, duration: 100 },
      { id: 'm', parent: 'r', type: 'llm', name: 'chat', model: 'm1', start: 1, duration: 1 },
      { id: 'a', parent: 'r', type: 'agent', name: 'one', start: 5, duration: 1 },
      { id: 'b', parent: 'r', type: 'agent', name: 'two', start: 9, duration: 1 },
    ]);
    expect(edgesOf(found)).toEqual([
      'agent:boss calls agent:one 1',
      'agent:boss calls agent:two 1',
      'agent:boss calls llm:m1 1',
    ]);
  });

  it('counts a model call that two instrumentations report once', () => {
    const found = graph([
      { id: 'r', type: 'agent', name: 'a', start: 0 },
      { id: 'o', parent: 'r', type: 'llm', name: 'chat', model: 'm1', start: 1 },
      { id: 'i', parent: 'o', type: 'llm', name: 'POST', model: 'm1', start: 2, input: 7, counted: true },
    ]);
    expect(nodesOf(found)['llm:m1']?.[0]).toBe(1);
  });

  it('knows running steps, unknown costs and sums of known ones', () => {
    const found = graph([
      { id: 'r', type: 'agent', name: 'a', status: 'running', start: 0, duration: null },
      { id: 'x', parent: 'r', type: 'llm', name: 'chat', model: 'm1', start: 1, counted: true, input: 5, cost: 3 },
      { id: 'y', parent: 'r', type: 'llm', name: 'chat', model: 'm1', start: 2, counted: true, input: 5 },
      { id: 'z', parent: 'r', type: 'tool', name: 't', start: 3 },
    ]);
    const sums = Object.fromEntries(found.nodes.map((node) => [node.id, node.sums]));
    expect(sums['agent:a']).toMatchObject({ open: 1, timeUs: NOW, tokens: 10, costNusd: 3 });
    expect(sums['llm:m1']).toMatchObject({ calls: 2, costNusd: 3 });
    expect(sums['tool:t']).toMatchObject({ tokens: 0, costNusd: null });
  });

  it('names filters that show the steps of a node', () => {
    const { nodes } = graph([
      { id: 'r', type: 'agent', name: 'run helper', agent: 'helper', start: 0 },
      { id: 'x', parent: 'r', type: 'tool', name: 'execute_tool say "hi"', agent: 'helper', start: 1 },
      { id: 'y', parent: 'r', type: 'llm', name: 'chat', agent: 'helper', model: 'm1', start: 2 },
    ]);
    expect(nodes.map((node) => [node.label, node.filter])).toEqual([
      ['helper', 'agent:"helper"'],
      ['say "hi"', 'type:tool name:"execute_tool say *hi*"'],
      ['m1', 'type:llm model:"m1"'],
    ]);
  });

  it('shows spans when there is nothing else, and survives rings of parents', () => {
    const spans = graph([
      { id: 'r', type: 'span', name: 'GET /', start: 0 },
      { id: 'x', parent: 'r', type: 'span', name: 'SELECT', start: 1 },
      { id: 'y', parent: 'r', type: 'span', name: 'SELECT', start: 2 },
    ]);
    expect(edgesOf(spans)).toEqual(['span:GET / calls span:SELECT 2']);
    const ring = graph([
      { id: 'a', parent: 'b', type: 'agent', name: 'a', start: 0 },
      { id: 'b', parent: 'a', type: 'agent', name: 'b', start: 1 },
    ]);
    expect(ring.nodes).toHaveLength(2);
  });

  it('merges what is too much to read and keeps every call', () => {
    const many = 20_000;
    const rows: Row[] = [{ id: 'r', type: 'agent', name: 'a', start: 0, duration: many }];
    for (let i = 1; i < many; i++)
      rows.push({
        id: `s${i}`,
        parent: 'r',
        type: i % 2 ? 'agent' : 'tool',
        name: `t${i % 1_000}`,
        start: i,
        duration: 1,
      });
    const found = graph(rows);
    expect(found.nodes.length).toBeLessThanOrEqual(NODES_MAX + 2);
    expect(found.nodes.reduce((sum, node) => sum + node.sums.calls, 0)).toBe(many);
    expect(found.nodes.find((node) => node.id === 'tool:')?.label).toMatch(/^[\d]+ other tools$/);
    expect(found.edges.filter((edge) => edge.kind === 'calls').reduce((sum, edge) => sum + edge.sums.calls, 0)).toBe(
      many - 1,
    );
    expect(found.edges.length).toBeLessThan(10_000);
  });
});

describe('layOutGraph', () => {
  it('places every node apart and every edge with a line, loops to itself included', () => {
    const trace = TRACES.find((one) => one.why.includes('loop')) as Trace;
    const found = graph(rowsOf(trace.steps));
    const layout = layOutGraph(found, 'LR');
    expect(new Set(layout.nodes.map(({ x, y }) => `${x},${y}`)).size).toBe(found.nodes.length);
    expect(layout.edges.every(({ path }) => path.startsWith('M') && path.length > 10)).toBe(true);
    expect(structureOf(found, 'LR')).not.toBe(structureOf(found, 'TB'));
  });

  it.each(['LR', 'TB'] as const)('draws a loop outside of its node, from one side and back to it (%s)', (direction) => {
    const [node, other] = [{ id: 'a' }, { id: 'b' }];
    const calls = (from: string, to: string) => ({ from, to, kind: 'calls' });
    const layout = layOutGraph(
      { nodes: [node, other], edges: [calls('a', 'b'), calls('b', 'b')] } as unknown as Graph,
      direction,
    );
    const { x, y } = layout.nodes[1] as { x: number; y: number };
    const loop = layout.edges[1] as { path: string; x: number; y: number };
    const [x1 = 0, y1 = 0, , , , , x2 = 0, y2 = 0] = (loop.path.match(/-?[\d.]+/g) ?? []).map(Number);

    const ends = direction === 'LR' ? [y1, y2, y + NODE_HEIGHT] : [x1, x2, x + NODE_WIDTH];
    expect(new Set(ends).size).toBe(1);
    expect(direction === 'LR' ? loop.y : loop.x).toBeGreaterThan(ends[0] as number);
    expect(direction === 'LR' ? x1 - x2 : y1 - y2).toBeGreaterThan(10);
  });
});
