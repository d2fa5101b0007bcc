import { expect, test } from 'vitest';
import { documentsIn, shareOf, vectorInText } from './documents';

test('documents are the same in the forms of several libraries', () => {
  const expected = [{ id: 'a.md', text: 'words', score: 0.5, rest: { page: 3 } }];

  for (const value of [
    [{ id: 'a.md', content: 'words', score: 0.5, metadata: { page: 3 } }],
    { documents: [{ id: 'a.md', page_content: 'words', relevance_score: 0.5, page: 3 }] },
    [{ node: { id: 'a.md', text: 'words', metadata: { page: 3 } }, score: 0.5 }],
    [[{ id: 'a.md', pageContent: 'words', metadata: { page: 3 } }, 0.5]],
  ]) {
    expect(documentsIn(value)).toEqual(expected);
  }
});

test('a reranked place has a score and no words; anything else is no document', () => {
  expect(documentsIn({ results: [{ index: 2, relevance_score: 0.9 }] })).toEqual([
    { id: '2', text: '', score: 0.9, rest: {} },
  ]);
  for (const value of [[], {}, null, [1], [{ a: 1 }], [{ content: 'a' }, 7], 'text', [[1, 2]]]) {
    expect(documentsIn(value)).toBeNull();
  }
});

test('the bar of a score is the score, or its share of the largest when scores exceed 1', () => {
  const of = (...scores: number[]) => scores.map((score) => ({ id: null, text: '', score, rest: {} }));

  expect(shareOf(0.25, of(0.25, 0.5))).toBe(0.25);
  expect(shareOf(5, of(5, 20))).toBe(0.25);
  expect(shareOf(-0.5, of(-0.5))).toBe(0);
  expect(shareOf(0, of(0))).toBe(0);
});

test('many numbers in a string are a vector', () => {
  expect(vectorInText(JSON.stringify(Array.from({ length: 64 }, () => 0.125)))).toHaveLength(64);
  expect(vectorInText(`[${'1,'.repeat(100)}`)).toBeNull();
  expect(vectorInText(JSON.stringify(['a'.repeat(200)]))).toBeNull();
});
