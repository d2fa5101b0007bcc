import { describe, expect, it } from 'vitest';
import { columnsOf } from '../execution-log/columns';
import { type Row, skeletonOf } from '../execution-log/samples';
import { StepTable } from '../execution-log/table';
import { layOut } from '../execution-log/tree';
import { align, DIFFERENCES } from './align';

function columns(rows: Row[]) {
  const table = new StepTable(skeletonOf(rows));
  return columnsOf(table, layOut(table));
}

/** `a=a`, `b-`, `-c`: the lines, and the word of the difference where there is one. */
function lines(a: Row[], b: Row[]): string[] {
  const found = align(columns(a), columns(b));
  return Array.from(found.left, (row, at) => {
    const [left, right] = [a[row]?.id ?? '', b[found.right[at] as number]?.id ?? ''];
    const word = DIFFERENCES[found.difference[at] as number] as string;
    return `${' '.repeat(found.depth[at] as number)}${left}|${right}${word === 'none' ? '' : ` ${word}`}`;
  });
}

const step = (id: string, parent: string | null, name: string, more: Partial<Row> = {}): Row => ({
  id,
  parent,
  name,
  type: 'tool',
  ...more,
});

describe('align', () => {
  it('pairs equal tasks line by line', () => {
    const task = [step('r', null, 'root'), step('a', 'r', 'x'), step('b', 'a', 'y'), step('c', 'r', 'x')];
    expect(lines(task, task)).toEqual(['r|r', ' a|a', '  b|b', ' c|c']);
    expect(align(columns(task), columns(task))).toMatchObject({ first: -1, pairs: 4, onlyLeft: 0, onlyRight: 0 });
  });

  it('leaves what was added or left out alone, with all that is below it, and marks the first divergence', () => {
    const a = [step('r', null, 'root'), step('s', 'r', 'search'), step('t', 's', 'inner'), step('w', 'r', 'write')];
    const b = [step('R', null, 'root'), step('P', 'R', 'plan'), step('W', 'R', 'write'), step('C', 'R', 'check')];
    expect(lines(a, b)).toEqual(['r|R', ' s| left', '  t| left', ' |P right', ' w|W', ' |C right']);
    expect(align(columns(a), columns(b))).toMatchObject({ first: 1, pairs: 2, onlyLeft: 2, onlyRight: 2 });
  });

  it('finds the way back after retries', () => {
    const a = ['1', '2', '3', '4'].map((id, at) => step(id, null, ['fetch', 'parse', 'fetch', 'end'][at] as string));
    const b = ['5', '6', '7', '8', '9'].map((id, at) =>
      step(id, null, ['fetch', 'fetch', 'parse', 'fetch', 'end'][at] as string),
    );
    expect(lines(a, b)).toEqual(['1|5', '|6 right', '2|7', '3|8', '4|9']);
  });

  it('distinguishes a status, a model and tokens; open steps may still become equal', () => {
    const call = (id: string, more: Partial<Row>) =>
      step(id, null, 'call', { type: 'llm', model: 'm', counted: true, input: 1, output: 1, ...more });
    expect(lines([call('a', {})], [call('b', { status: 'error' })])).toEqual(['a|b status']);
    expect(lines([call('a', {})], [call('b', { model: 'n' })])).toEqual(['a|b model']);
    expect(lines([call('a', {})], [call('b', { output: 2 })])).toEqual(['a|b usage']);
    expect(lines([call('a', {})], [call('b', { status: 'running' })])).toEqual(['a|b']);
  });

  it('pairs roots of one type whatever they are called', () => {
    expect(lines([step('a', null, 'run 1')], [step('b', null, 'run 2')])).toEqual(['a|b']);
  });

  it('aligns large tasks without looking back: every step is on one line', () => {
    const many = (id: string, every: number): Row[] => [
      step(`${id}r`, null, 'root'),
      ...Array.from({ length: 20_000 }, (_, i) =>
        step(`${id}${i}`, `${id}r`, i % every === 0 ? `odd ${id} ${i}` : `t${i % 7}`, { start: i }),
      ),
    ];
    const found = align(columns(many('a', 11)), columns(many('b', 13)));
    expect(found.pairs * 2 + found.onlyLeft + found.onlyRight).toBe(2 * 20_001);
    expect(found.pairs).toBeGreaterThan(10_000);
  });

  it('goes thousands of levels deep', () => {
    const deep = Array.from({ length: 5_000 }, (_, i) => step(`s${i}`, i === 0 ? null : `s${i - 1}`, 'x'));
    expect(align(columns(deep), columns(deep)).pairs).toBe(5_000);
  });
});
