import { describe, expect, it } from 'vitest';
import { readableText } from './readable';

const payload = (text: string, mime: string) => readableText({ text, mime, truncated: false });

describe('readableText', () => {
  it('writes messages by role, with arguments and results of calls', () => {
    const messages = [
      { role: 'user', content: 'How warm?' },
      { role: 'assistant', content: [{ type: 'tool_call', id: '1', name: 'lookup', arguments: { city: 'Paris' } }] },
    ];
    const text = payload(JSON.stringify(messages), 'application/vnd.ams.messages+json');
    expect(text).toContain('user: How warm?\n\nassistant: lookup({\n  "city": "Paris"\n})');
  });

  it('breaks JSON into lines and leaves other text as it is', () => {
    expect(payload('{"a":1}', 'application/json')).toBe('{\n  "a": 1\n}');
    expect(payload('{"a":', 'application/json')).toBe('{"a":');
    expect(payload('"words"', 'application/json')).toBe('words');
    expect(readableText(undefined)).toBe('');
  });
});
