import { describe, expect, it } from 'vitest';
import { type Row, skeletonOf } from '../execution-log/samples';
import { NONE, StepTable } from '../execution-log/table';
import { layOut } from '../execution-log/tree';
import { rowShowing, turnsOf } from './turns';

function read(rows: Row[]) {
  const table = new StepTable(skeletonOf(rows));
  const tree = layOut(table);
  const turns = turnsOf(table, tree);
  const id = (row: number) => (row === NONE ? null : table.ids[row]);
  return { table, tree, turns, id, shown: [...turns.rows].map(id), at: (name: string) => table.rowOf(name) };
}

const TEAM: Row[] = [
  { id: 'task', type: 'workflow' },
  { id: 'guide', parent: 'task', type: 'agent' },
  { id: 'ask', parent: 'guide', type: 'llm' },
  { id: 'lookup', parent: 'guide', type: 'tool' },
  { id: 'helper', parent: 'lookup', type: 'agent' },
  { id: 'think', parent: 'helper', type: 'llm' },
  { id: 'inner', parent: 'think', type: 'llm' },
  { id: 'answer', parent: 'guide', type: 'llm' },
];

describe('the turns of a task', () => {
  it('are its model calls and what happened between them, in order of time', () => {
    expect(read(TEAM).shown).toEqual(['ask', 'lookup', 'think', 'answer']);
  });

  it('number the model calls', () => {
    const { turns, at } = read(TEAM);

    expect(['ask', 'lookup', 'think', 'answer'].map((name) => turns.turn[at(name)])).toEqual([1, 0, 2, 3]);
    expect(turns.turns).toBe(3);
  });

  it('continue the last call of the same run of the agent', () => {
    const { turns, at, id } = read(TEAM);

    expect(id(turns.before[at('answer')] as number)).toBe('ask');
    expect(id(turns.after[at('ask')] as number)).toBe('answer');
    expect(id(turns.before[at('ask')] as number)).toBeNull();
  });

  it('have an agent that calls no model, and a failure without a call', () => {
    const { shown } = read([
      { id: 'task', type: 'workflow' },
      { id: 'echo', parent: 'task', type: 'agent' },
      { id: 'parse', parent: 'task', type: 'span', status: 'error' },
      { id: 'plain', parent: 'task', type: 'span' },
    ]);

    expect(shown).toEqual(['echo', 'parse']);
  });

  it('have the task itself when nothing else speaks', () => {
    expect(read([{ id: 'task', type: 'span' }]).shown).toEqual(['task']);
  });
});

describe('who acts', () => {
  it('is the agent, and the run of it where agents are not recorded by name', () => {
    const skeleton = skeletonOf([
      { id: 'task', type: 'workflow' },
      { id: 'hotel', parent: 'task', type: 'agent' },
      { id: 'a', parent: 'hotel', type: 'llm' },
      { id: 'writer', parent: 'task', type: 'agent' },
      { id: 'b', parent: 'writer', type: 'llm' },
    ]);
    const table = new StepTable({
      ...skeleton,
      agents: ['service', 'Writer'],
      columns: { ...skeleton.columns, agent: [0, 0, 0, 1, 1] },
    });

    const { speaker, speakers } = turnsOf(table, layOut(table));

    expect(speakers).toEqual(['hotel', 'Writer']);
    expect(['a', 'b'].map((id) => speaker[table.rowOf(id)])).toEqual([0, 1]);
  });
});

describe('a step of the tree', () => {
  it('is shown by itself, by the first turn below it, or by the one above', () => {
    const { turns, tree, at, id } = read([...TEAM, { id: 'http', parent: 'lookup', type: 'span' }]);
    const showing = (name: string) => id(rowShowing(turns, tree, at(name)));

    expect(showing('ask')).toBe('ask');
    expect(showing('guide')).toBe('ask');
    expect(showing('http')).toBe('lookup');
  });
});

describe('100,000 steps', () => {
  it('are read in one pass', () => {
    const rows: Row[] = [{ id: 'root', type: 'agent' }];
    for (let i = 0; i < 100_000; i++)
      rows.push({ id: `s${i}`, parent: 'root', name: 'x', type: i % 2 ? 'tool' : 'llm' });

    const { turns } = read(rows);

    expect(turns.rows.length).toBe(100_000);
    expect(turns.turns).toBe(50_000);
  });
});
