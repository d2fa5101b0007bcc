import { expect, test } from 'vitest';
import type { PricePreview } from '../../api/types';
import { faultsOf, formOf, furtherSentence, type PriceForm, previewFacts, priceOf, unknownCalls } from './prices';

const form: PriceForm = {
  model: ' gpt-4o* ',
  provider: '',
  usd: { input: '2.5', cache_read: '', cache_write: '', output: ' 10 ' },
  further: {},
  usdPerRequest: null,
  from: '2026-06-01',
  note: ' contract ',
};
const preview: PricePreview = {
  items: [],
  calls: 24,
  before_usd: '1.2',
  after_usd: '0.8',
  unknown_before: 0,
  unknown_after: 0,
  complete: true,
  from_us: null,
};

test('a form becomes a price from the start of a UTC day', () => {
  expect(faultsOf(form)).toEqual({});
  expect(priceOf(form)).toEqual({
    model: 'gpt-4o*',
    provider: null,
    usd_per_million: { input: '2.5', output: '10' },
    usd_per_request: null,
    from_us: 1_780_272_000_000_000,
    note: 'contract',
  });
  expect(priceOf({ ...form, from: '' }, true)).toMatchObject({ usd_per_million: null, from_us: null });
});

test('a new version of a price keeps what the form has no field for', () => {
  const known = formOf('ours', 'openai', {
    usd_per_million: { input: '2', input_audio: '40' },
    usd_per_request: '0.01',
  });

  expect(furtherSentence(known)).toBe('Stays: input audio $40, each request $0.01.');
  expect(priceOf({ ...known, usd: { ...known.usd, input: '3' } })).toMatchObject({
    provider: 'openai',
    usd_per_million: { input: '3', input_audio: '40' },
    usd_per_request: '0.01',
  });
  expect(priceOf(known, true)).toMatchObject({ usd_per_million: null, usd_per_request: null });
  expect(furtherSentence(form)).toBeNull();
});

test('what is missing or no number is named by its field', () => {
  const usd = { input: '', cache_read: '-1', cache_write: '0.0000001', output: '' };

  expect(Object.keys(faultsOf({ ...form, model: '*', usd })).sort()).toEqual([
    'cache_read',
    'cache_write',
    'input',
    'model',
  ]);
  expect(faultsOf({ ...form, usd: { ...form.usd, input: '1000001' } })).toHaveProperty('input');
});

test('a preview is a sentence', () => {
  expect(previewFacts(preview)).toEqual([
    ['Calls', '24'],
    ['Cost now', '$1.20'],
    ['With this price', '$0.80'],
    ['Difference', '−$0.40'],
  ]);
  expect(previewFacts({ ...preview, after_usd: '2' })[3]).toEqual(['Difference', '+$0.80']);
  expect(previewFacts({ ...preview, after_usd: '1.2' })[3]).toEqual(['Difference', 'none']);
  expect(previewFacts({ ...preview, calls: 0 })).toEqual([]);
});

test('calls without a cost are named, and how many of them get one', () => {
  expect(unknownCalls(preview)).toBe('');
  expect(unknownCalls({ ...preview, unknown_before: 1 })).toBe(
    '1 call has no cost now. This price gives a cost to it.',
  );
  expect(unknownCalls({ ...preview, unknown_before: 3, unknown_after: 1 })).toBe(
    '3 calls have no cost now. This price gives a cost to 2.',
  );
});
