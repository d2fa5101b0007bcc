import { expect, test } from 'vitest';
import type { Step } from '../../api/types';
import { StepDocumentDefaults } from '../../api/types.gen';
import { cellsOf } from './facts';
import { stepWith } from './step';

const step = stepWith('t', 's', null, {
  document: { ...StepDocumentDefaults, cost_source: 'unknown', type: 'llm', name: 'answer', status: 'ok' },
  stamp: [2, 1, 1, 'e'],
  progress: null,
  progress_stamp: null,
}) as Step;

test('every column of the contract has a cell, is shown elsewhere, or is empty', () => {
  const names = cellsOf(step).map(([, cell]) => cell.name);
  expect(names).toEqual([...new Set(names)]);
  expect(names.slice(0, 4)).toEqual(['Started', 'Duration', 'Waiting for', 'Waiting since']);
});

test('a column that is new in the contracts is shown without any edit', () => {
  const newer = { ...step, cache_region: 'eu', retried_by: ['a', 'b'], batch_size: null } as Step;

  const added = cellsOf(newer).slice(cellsOf(step).length);

  expect(added.map(([column, cell]) => [column, cell.name, cell.show({ step: newer } as never)])).toEqual([
    ['cache_region', 'Cache region', 'eu'],
    ['retried_by', 'Retried by', 'a, b'],
  ]);
});
