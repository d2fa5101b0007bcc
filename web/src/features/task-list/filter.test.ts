import { describe, expect, test } from 'vitest';
import { clauseOf, hasClause, localInput, startOf, toggleClause, wordsOf } from './filter';

describe('clauses of a query', () => {
  test('a value with other characters is quoted', () => {
    expect(clauseOf('agent', 'planner')).toBe('agent:planner');
    expect(clauseOf('tag.tier', 'two words')).toBe('tag.tier:"two words"');
    expect(clauseOf('user', 'a"b\\c')).toBe('user:"a\\"b\\\\c"');
    expect(clauseOf('env', 'a*')).toBe('env:"a*"');
  });

  test('phrases and groups stay together', () => {
    expect(wordsOf('refund -name:"two words" (agent:a OR agent:b) cost:>0.01')).toEqual([
      'refund',
      '-name:"two words"',
      '(agent:a OR agent:b)',
      'cost:>0.01',
    ]);
  });

  test('a clause is added once, removed again, and replaces its opposite', () => {
    const added = toggleClause('refund', 'agent:"a b"');
    expect(added).toBe('refund agent:"a b"');
    expect(hasClause(added, 'agent:"a b"')).toBe(true);
    expect(toggleClause(added, 'agent:"a b"')).toBe('refund');
    expect(toggleClause(added, '-agent:"a b"')).toBe('refund -agent:"a b"');
    expect(toggleClause('-agent:x', 'agent:x')).toBe('agent:x');
  });
});

test('relative ranges start at a whole second', () => {
  expect(startOf('1h', Date.UTC(2026, 5, 1, 12, 0, 0, 7))).toBe('2026-06-01T11:00:00.000Z');
  expect(startOf('never', 0)).toBe('');
  expect(localInput('nonsense')).toBe('');
});
