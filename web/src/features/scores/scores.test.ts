import { expect, test } from 'vitest';
import type { Score } from '../../api/types';
import { authorOf, isOwn, scoreId, scoreText, scoreValue, searchesFor, summaryText, verdictOf } from './scores';

const draft = { kind: 'number', name: 'helpful', value: '', comment: '' } as const;
const by = (author: string | null, source: Score['source'] = 'human'): Score => ({
  ...{ score_id: 'a', step_id: null, name: 'helpful', number: 1, label: null, comment: null, at_us: 1 },
  ...{ author, source },
});

test('a number is read with a point or a comma, and nothing else is a number', () => {
  expect(scoreValue({ ...draft, value: ' 0,8 ' })).toMatchObject({ value: 0.8 });
  expect(scoreValue({ ...draft, value: '-3.' })).toMatchObject({ value: -3 });
  for (const value of ['', '1e400', '0x10', 'NaN', '1 2', '.', '9'.repeat(20)]) {
    expect(scoreValue({ ...draft, value })).toBe('Enter a number, such as 0.8.');
  }
});

test('a thumb is true or false, and a note has no value', () => {
  expect(scoreValue({ ...draft, kind: 'thumb', value: 'down' })).toEqual({
    name: 'thumb',
    value: false,
    comment: null,
  });
  expect(scoreValue({ ...draft, kind: 'thumb' })).toBe('Choose thumbs up or thumbs down.');
  expect(scoreValue({ ...draft, kind: 'note', comment: ' late ' })).toEqual({
    name: 'note',
    value: null,
    comment: 'late',
  });
  expect(scoreValue({ ...draft, kind: 'note' })).toBe('Enter a note.');
  expect(scoreValue({ ...draft, kind: 'label', name: ' ', value: 'good' })).toBe('Enter a name for the score.');
});

test('a person has one score of a name for each step, and any number of notes', () => {
  expect(scoreId(null, 'helpful')).toBe('task:helpful');
  expect(scoreId('a', 'helpful')).toBe('a:helpful');
  expect(scoreId('a', 'zu lang. ü')).toBe('a:zu.20lang.2e.20.c3.bc');
  expect(scoreId('a', 'note')).toBeNull();
  expect(scoreId('a', 'x'.repeat(200))).toBeNull();
});

test('a member is shown by name, a program by what it named', () => {
  const names = new Map([['7', 'ann']]);
  expect(authorOf(by('user:7'), names)).toBe('ann');
  expect(authorOf(by('user:8'), names)).toBe('former member');
  expect(authorOf(by('grader', 'model'), names)).toBe('grader · model');
  expect(authorOf(by('visitor 3'), names)).toBe('visitor 3');
  expect(authorOf(by(null, 'code'), names)).toBe('code');
  expect([isOwn(by('user:7'), '7'), isOwn(by('user:8'), '7'), isOwn(by(null), '7')]).toEqual([true, false, false]);
});

test('numbers have at most four digits, booleans are thumbs, and a label follows its number', () => {
  expect(scoreText({ number: 0.123456, label: 'low' })).toBe('0.1235 low');
  expect(scoreText({ number: null, label: null })).toBe('');
  expect(verdictOf({ number: 1, label: 'true' })).toBe('up');
  expect(verdictOf({ number: 0, label: 'false' })).toBe('down');
  expect(verdictOf({ number: 1, label: null })).toBeNull();
  const summary = { name: 'helpful', scores: 3, numbers: 2, average: 1 / 3, label: 'low', task_scores: 0 };
  expect(summaryText(summary)).toBe('0.3333');
  expect(summaryText({ ...summary, average: null })).toBe('low');
  expect(summaryText({ ...summary, name: 'thumb' })).toBe('33 %');
});

test('an average leads to the tasks below and above it, a label to the tasks that have it', () => {
  const summary = { name: 'helpful', scores: 3, numbers: 2, average: 1 / 3, label: null, task_scores: 0 };
  const queries = (changes: object) => searchesFor({ ...summary, ...changes }).map(([, query]) => query);

  expect(queries({})).toEqual([
    'score.helpful:*',
    'score.helpful:<0.3333',
    'score.helpful:>=0.3333',
    '-score.helpful:*',
  ]);
  expect(queries({ average: null, label: 'very "good"' })[1]).toBe('score.helpful:"very \\"good\\""');
  expect(queries({ name: 'two words' })).toEqual([]);
});
