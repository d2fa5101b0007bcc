import { describe, expect, test } from 'vitest';
import { parseCut } from './cut-json';
import { parseMessages } from './messages';

const messages = [
  { role: 'system', content: 'Be "brief".' },
  {
    role: 'user',
    content: [
      { type: 'text', text: 'line\nwith \\ and \u00e9 😀' },
      { n: 12.5, ok: true, none: null },
    ],
  },
];
const text = JSON.stringify(messages);

describe('JSON cut at any place', () => {
  test('gives a value from its first bracket on, that lacks at most the member in which the cut is', () => {
    let most = 0;
    for (let cut = 1; cut <= text.length; cut++) {
      const value = parseCut(text.slice(0, cut));
      expect(Array.isArray(value)).toBe(true);
      const size = JSON.stringify(value).length;
      expect(size).toBeGreaterThanOrEqual(most - 16);
      most = Math.max(most, size);
    }
    expect(parseCut(text)).toEqual(messages);
  });

  test('a text cut in its middle is kept up to there', () => {
    const cut = text.indexOf('with') + 4;
    expect(parseCut(text.slice(0, cut))).toEqual([
      messages[0],
      { role: 'user', content: [{ type: 'text', text: 'line\nwith' }] },
    ]);
  });

  test('escapes cut in half are left out', () => {
    expect(parseCut('["a\\')).toEqual(['a']);
    expect(parseCut('["a\\u00')).toEqual(['a']);
    expect(parseCut('["a\\\\u00')).toEqual(['a\\u00']);
  });

  test('what is not JSON stays text', () => {
    expect(parseCut('plain words')).toBeUndefined();
    expect(parseCut('')).toBeUndefined();
  });
});

test('an input that the platform cut is still a conversation', () => {
  const read = parseMessages(text.slice(0, text.indexOf('with')), true);
  expect(read?.map((message) => message.role)).toEqual(['system', 'user']);
});
