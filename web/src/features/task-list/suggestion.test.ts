import { expect, test } from 'vitest';
import { withSuggestion } from './suggestion';

test('a field is replaced with its value kept', () => {
  expect(withSuggestion('words latancy:>2s', 7, 'latency:')).toBe('words latency:>2s');
  expect(withSuggestion('-stauts:ok x', 2, 'status:')).toBe('-status:ok x');
});

test('a clause is replaced as it is', () => {
  expect(withSuggestion('status:eror agent:a', 8, 'status:error')).toBe('status:error agent:a');
});

test('a description is not a query', () => {
  expect(withSuggestion('a:b', 1, 'one of status, agent')).toBeNull();
  expect(withSuggestion('tag:b', 1, 'tag.name:value')).toBeNull();
  expect(withSuggestion('a:b', null, 'status:')).toBeNull();
  expect(withSuggestion('a:b', 9, 'status:')).toBeNull();
});
