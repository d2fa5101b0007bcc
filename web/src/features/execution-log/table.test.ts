import { describe, expect, test } from 'vitest';
import { parseFilter } from './filter';
import { guidesOf, pathTo } from './guides';
import { BASE_US, heartbeat, skeletonOf, stepEvent } from './samples';
import { STATUS, StepTable } from './table';
import { layOut, matchRows, visibleRows } from './tree';
import { beyond, extent, fitRows, roomAhead, selfTimeGradient, selfTimeUs } from './waterfall';

function tableOf(...rows: Parameters<typeof skeletonOf>[0]): StepTable {
  return new StepTable(skeletonOf(rows));
}

function namesOf(table: StepTable, rows: Int32Array): string[] {
  return [...rows].map((row) => table.ids[row] as string);
}

describe('the table folds events into columns', () => {
  test('a started step becomes a row, its end closes it', () => {
    const table = tableOf({ id: 'root', status: 'running', duration: null });

    table.apply(stepEvent('step.started', 'a', 500, { parent_step_id: 'root' }));
    const row = table.rowOf('a');

    expect(table.open(row)).toBe(true);
    table.apply(
      stepEvent('step.ended', 'a', 900, { parent_step_id: 'root', started_at_us: BASE_US + 500, duration_us: 400 }),
    );
    expect(table.open(row)).toBe(false);
    expect(table.duration[row]).toBe(400);
    expect(table.countOf('running')).toBe(1);
  });

  test('an end stays when its start comes after it', () => {
    const table = tableOf();
    const started = stepEvent('step.started', 'a', 100);
    table.apply(stepEvent('step.ended', 'a', 900, { status: 'error' }));
    const row = table.rowOf('a');

    expect(table.apply(started)).toBe(false);
    expect(table.status[row]).toBe(STATUS.error);
  });

  test('a repeated event changes nothing', () => {
    const table = tableOf();
    const event = stepEvent('step.ended', 'a', 900);
    table.apply(event);
    const { version } = table;

    table.apply(event);

    expect(table.version).toBe(version);
    expect(table.size).toBe(1);
  });

  test('a wait shows until a later heartbeat, and counts no more after the end', () => {
    const table = tableOf();
    table.apply(stepEvent('step.started', 'a', 100));
    const row = table.rowOf('a');
    table.apply(heartbeat(200, [{ step_id: 'a', status: 'waiting', usage: { output: 7 } }]));
    expect(table.status[row]).toBe(STATUS.waiting);
    expect(table.output[row]).toBe(7);
    expect(table.lastEventUsOf(row)).toBe(BASE_US + 200);

    table.apply(stepEvent('step.ended', 'a', 300));
    table.apply(heartbeat(400, [{ step_id: 'a', status: 'waiting' }]));

    expect(table.status[row]).toBe(STATUS.ok);
  });

  test('a heartbeat that arrives before its step is kept for it', () => {
    const table = tableOf();
    table.apply(heartbeat(200, [{ step_id: 'a', status: 'waiting' }]));
    table.apply(stepEvent('step.started', 'a', 100));
    const row = table.rowOf('a');
    expect(table.status[row]).toBe(STATUS.waiting);
  });

  test('a lost step runs again after a later heartbeat', () => {
    const table = tableOf();
    table.apply(stepEvent('step.started', 'a', 100));
    const row = table.rowOf('a');
    table.apply({
      kind: 'step.lost',
      event_id: 'f'.repeat(32),
      seq: 0,
      at_us: BASE_US + 201,
      step_id: 'a',
      last_beat_us: BASE_US + 200,
    });
    expect(table.status[row]).toBe(STATUS.lost);
    table.apply(heartbeat(300, [{ step_id: 'a' }]));
    expect(table.status[row]).toBe(STATUS.running);
  });

  test('the columns grow', () => {
    const table = tableOf();
    for (let i = 0; i < 3_000; i++) table.apply(stepEvent('step.recorded', `s${i}`, i));
    expect(table.size).toBe(3_000);
    expect(table.start[2_999]).toBe(2_999);
  });
});

describe('the tree', () => {
  test('lays children under their parents in order of time', () => {
    const table = tableOf(
      { id: 'root' },
      { id: 'a', parent: 'root' },
      { id: 'b', parent: 'root' },
      { id: 'a1', parent: 'a' },
    );
    const tree = layOut(table);
    expect(namesOf(table, tree.preorder)).toEqual(['root', 'a', 'a1', 'b']);
    expect([...tree.depth]).toEqual([0, 1, 1, 2]);
    expect(tree.subtree[0]).toBe(4);
  });

  test('a live step with an earlier start takes its place among its siblings', () => {
    const table = tableOf({ id: 'root', start: 0 }, { id: 'b', parent: 'root', start: 500 });
    table.apply(stepEvent('step.recorded', 'a', 200, { parent_step_id: 'root' }));
    expect(namesOf(table, layOut(table).preorder)).toEqual(['root', 'a', 'b']);
  });

  test('a step whose parent is not here hangs under the root until it comes', () => {
    const table = tableOf({ id: 'root' }, { id: 'child', parent: 'late' });
    expect(layOut(table).depth[1]).toBe(1);

    table.apply(stepEvent('step.recorded', 'late', 50, { parent_step_id: 'root' }));

    const tree = layOut(table);
    expect(namesOf(table, tree.preorder)).toEqual(['root', 'late', 'child']);
    expect(tree.depth[1]).toBe(2);
  });

  test('steps that name each other as parents are still shown', () => {
    const table = tableOf({ id: 'root' }, { id: 'a', parent: 'b' }, { id: 'b', parent: 'a' }, { id: 'c', parent: 'c' });
    const tree = layOut(table);
    expect(namesOf(table, tree.preorder).sort()).toEqual(['a', 'b', 'c', 'root']);
  });

  test('100,000 steps in one line, and under one root, are laid out', () => {
    const deep = Array.from({ length: 100_000 }, (_, i) => ({
      id: `d${i}`,
      name: 'n',
      parent: i ? `d${i - 1}` : null,
    }));
    expect(layOut(new StepTable(skeletonOf(deep))).subtree[0]).toBe(100_000);
    const wide = Array.from({ length: 100_000 }, (_, i) => ({ id: `w${i}`, name: 'n', parent: i ? 'w0' : null }));
    expect(layOut(new StepTable(skeletonOf(wide))).children[0]).toBe(99_999);
  });

  test('knows errors below, and which lines lead to them', () => {
    const table = tableOf(
      { id: 'root' },
      { id: 'a', parent: 'root' },
      { id: 'b', parent: 'root' },
      { id: 'bad', parent: 'b', status: 'error' },
    );
    const tree = layOut(table);
    expect(tree.errorsInside[0]).toBe(1);
    expect(guidesOf(table, tree, 1, true, new Map())).toBe('een...');
    expect(guidesOf(table, tree, 2, true, new Map())).toBe('e.e.e.');
    expect(guidesOf(table, tree, 1, true, pathTo(tree, 3)).slice(0, 3)).toBe('ssn');
  });

  test('collapsing hides what is below, a filter keeps what is above', () => {
    const table = tableOf(
      { id: 'root' },
      { id: 'a', parent: 'root' },
      { id: 'a1', parent: 'a' },
      { id: 'b', parent: 'root' },
    );
    const tree = layOut(table);
    expect(namesOf(table, visibleRows(tree, new Set([1]), null))).toEqual(['root', 'a', 'b']);
    const match = matchRows(tree, table.size, (row) => table.ids[row] === 'a1');
    expect(namesOf(table, visibleRows(tree, new Set([1]), match))).toEqual(['root', 'a', 'a1']);
  });
});

describe('time', () => {
  const table = tableOf(
    { id: 'root', start: 0, duration: 1_000 },
    { id: 'a', parent: 'root', start: 100, duration: 300 },
    { id: 'b', parent: 'root', start: 200, duration: 300 },
  );
  const tree = layOut(table);

  test('own time is what no child covers', () => {
    expect(selfTimeUs(table, tree, 0)).toBe(600);
    expect(selfTimeUs(table, tree, 1)).toBe(300);
  });

  test('children that overlap are one lighter stretch of the bar', () => {
    expect(selfTimeGradient(table, tree, 0)).toBe(
      'linear-gradient(to right, var(--c) 0% 10%, var(--c-soft) 10% 50%, var(--c) 50% 100%)',
    );
    expect(selfTimeGradient(table, tree, 1)).toBeNull();
  });

  test('the axis fits the leaves in sight, and steps that hold others only where there is nothing else', () => {
    const whole = { from: 0, to: 1_000 };
    expect(fitRows(table, tree, new Int32Array([0, 1, 2]), whole)).toEqual({ from: 80, to: 520 });
    expect(fitRows(table, tree, new Int32Array([0]), whole)).toEqual(whole);
    expect(fitRows(table, tree, new Int32Array([]), whole)).toEqual(whole);
  });

  test('the right edge of a running task moves in jumps, ahead of now', () => {
    const edges = new Set([10e6, 10.5e6, 11e6, 12e6].map((now) => roomAhead({ from: 0, to: now }, now).to));
    expect(edges.size).toBeLessThanOrEqual(2);
    expect(Math.min(...edges)).toBeGreaterThan(10.5e6);
  });

  test('open steps reach to now', () => {
    const open = tableOf({ id: 'root', start: 0, status: 'running', duration: null });
    expect(extent(open, 5_000)).toEqual({ from: 0, to: 5_000 });
  });
});

test('a step that continues beyond the range is known at both sides', () => {
  const table = tableOf(
    { id: 'a', start: 0, duration: 1_000 },
    { id: 'b', start: 400, duration: 100 },
    { id: 'c', start: 900, duration: 50 },
    { id: 'd', start: 450, status: 'running', duration: null },
  );
  const view = { from: 300, to: 600 };
  expect([0, 1, 2, 3].map((row) => beyond(table, row, view))).toEqual([
    { left: true, right: true },
    { left: false, right: false },
    { left: false, right: true },
    { left: false, right: false },
  ]);
});

describe('the filter', () => {
  const table = tableOf(
    { id: 'a', type: 'llm', name: 'chat', model: 'gpt-5-mini', duration: 2_500_000, cost: 20_000_000 },
    { id: 'b', type: 'tool', name: 'web_search', status: 'error', duration: 10 },
    { id: 'c', type: 'tool', name: 'book hotel', duration: null },
  );
  const hits = (text: string) => {
    const test = parseFilter(text).test?.(table, (word) => new Set(word === 'refund' ? ['b'] : []));
    return [0, 1, 2]
      .filter((row) => test?.(row))
      .map((row) => table.ids[row])
      .join('');
  };

  test.each([
    ['type:tool', 'bc'],
    ['type:llm,tool -status:error', 'ac'],
    ['model:gpt-*', 'a'],
    ['latency:>2s', 'a'],
    ['latency:<1ms', 'b'],
    ['cost:>0.01', 'a'],
    ['SEARCH', 'b'],
    ['"book hotel"', 'c'],
    ['name:web_*', 'b'],
    ['tool', 'bc'],
    ['REFUND', 'b'],
    ['-refund', 'ac'],
    ['type:llm refund', ''],
  ])('%s', (text, expected) => expect(hits(text)).toBe(expected));

  test('names the words that contents are searched for', () => {
    expect(parseFilter('type:llm Refund -"two words" x a b c d').words).toEqual(['refund', 'two words']);
  });

  test('takes types and states in any case', () => {
    expect(parseFilter('type:LLM status:Error').mistake).toBeNull();
  });

  test('explains what it does not understand', () => {
    expect(parseFilter('latancy:>2s').mistake).toMatch(/Unknown field "latancy"/);
    expect(parseFilter('latency:>slow').mistake).toMatch(/like >2s/);
    expect(parseFilter('status:bad').mistake).toMatch(/one of running/);
    expect(parseFilter('  ').test).toBeNull();
  });
});
