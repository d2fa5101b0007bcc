import { expect, test } from 'vitest';
import { fitColumns, readChoice } from './columns';

const NONE = new Set<string>();
const ids = (available: number, choice = readChoice('')) => fitColumns(choice, available, NONE)[0].map(({ id }) => id);

test('columns leave by their rank when there is no room', () => {
  expect(ids(1_440)).toEqual(['agent', 'started', 'duration', 'steps', 'errors', 'tokens', 'cost', 'tags']);
  expect(ids(390)).toEqual(['started', 'duration']);
});

test('a choice is kept, and nonsense is not', () => {
  const choice = readChoice(JSON.stringify({ shown: ['cost', 'kind', 'nope'], widths: { cost: 9, kind: 'x' } }));
  expect(choice).toEqual({ shown: ['cost', 'kind'], widths: { cost: 44 } });
  expect(fitColumns(choice, 1_440, NONE)[1]).toBe('24px minmax(280px, 1fr) 44px 88px');
  expect(readChoice('{').shown).toContain('agent');
  expect(readChoice('null').shown).toContain('agent');
});
