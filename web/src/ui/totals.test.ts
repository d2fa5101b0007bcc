import { expect, test } from 'vitest';
import { costText, costTitle, type Totals, tokensText, tokensTitle } from './totals';

const EXACT: Totals = {
  input_tokens: 900,
  output_tokens: 100,
  cost_usd: '0.0021',
  unpriced_steps: 0,
  unmetered_calls: 0,
};

test('totals of calls that all reported theirs are exact', () => {
  expect([tokensText(EXACT), costText(EXACT)]).toEqual(['1,000', '$0.0021']);
  expect([tokensTitle(EXACT), costTitle(EXACT)]).toEqual(['900 tokens in, 100 out', '$0.0021']);
});

test('a call without a token count makes tokens and cost lower bounds', () => {
  const totals = { ...EXACT, unmetered_calls: 2 };
  expect([tokensText(totals), costText(totals)]).toEqual(['≥ 1,000', '≥ $0.0021']);
  expect(tokensTitle(totals)).toBe('900 tokens in, 100 out\nAt least: 2 calls reported no tokens');
  expect(costTitle(totals)).toBe('$0.0021\nAt least: 2 calls reported no tokens');
});

test('where no call reported tokens, they are unknown and not zero', () => {
  const totals = { ...EXACT, input_tokens: 0, output_tokens: 0, cost_usd: null, unmetered_calls: 1 };
  expect([tokensText(totals), costText(totals)]).toEqual(['?', '']);
  expect([tokensTitle(totals), costTitle(totals)]).toEqual([
    'No token counts reported',
    'Unknown cost: no token counts reported',
  ]);
});

test('a step without a price makes the cost a lower bound, and not the tokens', () => {
  const totals = { ...EXACT, unpriced_steps: 1 };
  expect([tokensText(totals), costText(totals)]).toEqual(['1,000', '≥ $0.0021']);
  expect(costTitle(totals)).toBe('$0.0021, not including 1 step without a price');
});
