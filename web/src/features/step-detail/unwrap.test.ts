import { describe, expect, it } from 'vitest';
import type { Json } from './messages';
import { unwrap } from './unwrap';

const lc = (name: string, kwargs: { [key: string]: Json }): Json => ({
  lc: 1,
  type: 'constructor',
  id: ['langchain', 'schema', 'messages', name],
  kwargs,
});
const said = (value: Json) => {
  const inner = unwrap(value);
  return inner?.kind === 'messages' ? inner.messages.map(({ role, parts }) => [role, parts]) : inner;
};

describe('the envelope', () => {
  it('of a LangChain message is opened', () => {
    expect(said(lc('HumanMessage', { content: 'Hi' }))).toEqual([['user', [{ kind: 'text', text: 'Hi' }]]]);
    expect(said({ type: 'ai', data: { content: 'Hello' } })).toEqual([
      ['assistant', [{ kind: 'text', text: 'Hello' }]],
    ]);
  });

  it('of a state, of a batch and of a command is opened', () => {
    const messages = [lc('SystemMessage', { content: 'S' }), lc('HumanMessage', { content: 'U' })];
    const expected = [
      ['system', [{ kind: 'text', text: 'S' }]],
      ['user', [{ kind: 'text', text: 'U' }]],
    ];

    expect(said({ messages: [messages] })).toEqual(expected);
    expect(said([messages])).toEqual(expected);
    expect(said({ update: { messages }, goto: null })).toEqual(expected);
  });

  it('of a tool result keeps its call', () => {
    const [[role, parts]] = said({
      type: 'tool',
      data: { content: 'sunny', name: 'get_weather', tool_call_id: 'c1' },
    }) as [[string, unknown]];

    expect(role).toBe('tool');
    expect(parts).toEqual([{ kind: 'result', id: 'c1', name: 'get_weather', result: 'sunny' }]);
  });

  it('keeps the calls of an answer', () => {
    const value = lc('AIMessage', { content: '', tool_calls: [{ id: 'c1', name: 'add', args: { a: 1 } }] });

    expect(said(value)).toMatchObject([['assistant', [{ kind: 'call', id: 'c1', name: 'add', arguments: { a: 1 } }]]]);
  });

  it('of text blocks, generations, strings and reprs is opened', () => {
    expect(unwrap([{ text: 'a' }, { type: 'text', text: 'b' }])).toEqual({ kind: 'text', text: 'a\nb' });
    expect(unwrap({ generations: [[{ text: 'done' }]], llm_output: null })).toEqual({ kind: 'text', text: 'done' });
    expect(unwrap('{"city": "Paris"}')).toEqual({ kind: 'json', value: { city: 'Paris' } });
    expect(unwrap("content='It\\'s\\nfine' additional_kwargs={} id='1'")).toEqual({
      kind: 'text',
      text: "It's\nfine",
    });
  });

  it('is only what is known: other values stay', () => {
    expect(unwrap({ city: 'Paris', messages: [] })).toBeNull();
    expect(unwrap([1, 2])).toBeNull();
    expect(unwrap([])).toBeNull();
    expect(unwrap('plain words')).toBeNull();
    expect(unwrap({ type: 'ai', data: null })).toBeNull();
    expect(unwrap([{ text: 'a', score: 1 }])).toBeNull();
  });

  it('of a repr that never ends is not looked for again and again', () => {
    expect(unwrap(`content='${'\\'.repeat(200_000)}`)).toBeNull();
  });

  it('of any depth ends', () => {
    let value: Json = 'x';
    for (let i = 0; i < 10_000; i++) value = [value];

    expect(unwrap(value)).toBeNull();
  });
});
