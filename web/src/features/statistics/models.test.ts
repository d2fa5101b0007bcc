import { expect, test } from 'vitest';
import type { ListPrice, StatisticsGroup } from '../../api/types';
import { modelRows, priceText, priceTitle, unknownSentence } from './models';

const group = (key: string, cost_usd: string | null, input_tokens = 0) =>
  ({
    key,
    cost_usd,
    input_tokens,
    output_tokens: 0,
    steps: 3,
    priced_steps: cost_usd === null ? 0 : 3,
  }) as StatisticsGroup;
const price: ListPrice = {
  model: 'gpt-4o-mini',
  known: true,
  usd_per_million: { input: '0.15', cache_read: '0.075', output: '3' },
  usd_per_request: null,
  has_tiers: false,
};

test('models of unknown cost come first, then those that cost most, and steps without a model are left out', () => {
  const rows = modelRows([
    group('', '9'),
    group('a', null, 1),
    group('b', null, 2),
    group('c', '0.5'),
    group('d', '2'),
  ]);

  expect(rows.map(({ key }) => key)).toEqual(['b', 'a', 'd', 'c']);
  expect(unknownSentence(rows)).toBe('2 models had no price: the cost of 6 calls is unknown.');
  expect(unknownSentence([group('c', '0.5')])).toBe('');
});

test('a price keeps all of its digits, and at least cents', () => {
  expect((['input', 'cache_read', 'output'] as const).map((part) => priceText(price, part))).toEqual([
    '$0.15',
    '$0.075',
    '$3.00',
  ]);
  expect(priceText({ ...price, has_tiers: true }, 'input')).toBe('$0.15+');
  expect(priceTitle({ ...price, has_tiers: true }, 'input')).toContain('Long inputs cost more');
});

test('a part without a price is empty, and an unknown model says so', () => {
  expect(priceText({ ...price, usd_per_million: {} }, 'cache_read')).toBe('');
  expect(priceTitle({ ...price, usd_per_million: {} }, 'cache_read')).toBe('Billed like other input');
  expect(priceTitle({ ...price, known: false }, 'input')).toContain('no price for this model');
  expect(priceText(null, 'input')).toBe('');
});
