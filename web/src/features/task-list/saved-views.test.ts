import { expect, test } from 'vitest';
import type { View } from '../../api/types';
import { NO_FILTER } from './filter';
import { addressOf, viewOf } from './saved-views';

test('a view holds the whole filter, and its address shows the same', () => {
  const body = viewOf('Slow', true, { ...NO_FILTER, q: 'refund', status: 'error', sort: '-duration' }, '24h', ['cost']);
  expect(body).toMatchObject({
    visibility: 'shared',
    q: 'refund status:error',
    sort: '-duration',
    columns: ['cost'],
    range: { last: '24h' },
  });
  const range = { last: '24h', from: null, to: null };
  expect(addressOf({ ...body, range } as unknown as View)).toEqual({
    ...{ q: 'refund status:error', sort: '-duration', status: null, agent: null, range: '24h', from: null, to: null },
  });
});

test('an absolute range and the usual order are kept as they are', () => {
  const body = viewOf('x', false, { ...NO_FILTER, from: '2026-01-01T00:00:00Z' }, '', []);
  expect([body.sort, body.columns, body.range]).toEqual([null, null, { from: '2026-01-01T00:00:00Z', to: null }]);
});
