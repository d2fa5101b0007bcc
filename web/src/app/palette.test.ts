import { expect, test } from 'vitest';
import { type Command, fitting, taskQuery } from './palette';

function command(label: string, also = ''): Command {
  return { id: label, group: '', label, also, icon: '', run: () => {} };
}

const COMMANDS = [command('Tasks'), command('API keys'), command('Dark theme', 'night'), command('Keyboard')];
const labels = (text: string) => fitting(COMMANDS, text).map(({ label }) => label);

test('what begins with the words comes before what has them', () => {
  expect(labels('key')).toEqual(['Keyboard', 'API keys']);
  expect(labels('night')).toEqual(['Dark theme']);
  expect(labels('theme dark')).toEqual(['Dark theme']);
  expect(labels('')).toHaveLength(4);
  expect(labels('nothing')).toEqual([]);
});

test('a task is asked for by its whole id or by words', () => {
  expect(taskQuery('AB'.repeat(16))).toBe(`task:${'ab'.repeat(16)}`);
  expect(taskQuery(' why do "trees" ')).toBe('"why do  trees"');
  expect(taskQuery('name:x')).toBe('"name:x"');
  expect(taskQuery('')).toBe('');
});
