import { expect, test } from 'vitest';
import { forgetPositions, notePositions, positionHeader } from './positions';

test('a request carries the newest positions of its project', () => {
  expect(positionHeader('/api/traces/p/tasks')).toBeNull();
  notePositions('/api/traces/p/tasks', { items: [], positions: { '0': '1.0.5', '7': '1.7.9' } });
  notePositions('/api/traces/p/tasks/t', { task: {}, position: '1.7.8' });
  notePositions('/api/traces/p/tasks/t/skeleton', { position: '1.0.6' });
  notePositions('/api/traces/p/tasks/u', { position: null });
  notePositions('/api/traces/p/agents', []);
  notePositions('/api/projects/p/keys', { position: '1.3.3' });
  expect(positionHeader('/api/traces/p/tasks?limit=5')).toBe('1.0.6,1.7.9');
  expect(positionHeader('/api/traces/q/tasks')).toBeNull();
  expect(positionHeader('/api/projects/p/keys')).toBeNull();
});

test('a position of another version of the topic replaces the old one, and what the tables lost is forgotten', () => {
  notePositions('/api/traces/r/tasks/t', { position: '1.7.900' });
  notePositions('/api/traces/r/tasks/t', { position: '2.7.1' });
  expect(positionHeader('/api/traces/r/tasks')).toBe('2.7.1');
  forgetPositions('/api/traces/r/tasks');
  expect(positionHeader('/api/traces/r/tasks')).toBeNull();
});
