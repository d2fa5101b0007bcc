import { describe, expect, it } from 'vitest';
import { type Message, parseMessages } from '../step-detail/messages';
import { compareHistory, keyOf, withResults } from './history';

const say = (role: string, text: string): Message => ({
  role,
  name: null,
  finish: null,
  parts: [{ kind: 'text', text }],
});
const kinds = (before: Message[] | null, now: Message[]) =>
  compareHistory(before, now).map((line) => (line.kind === 'same' ? `same ${line.messages.length}` : line.kind));

describe('a prompt beside the one before it', () => {
  const first = [say('system', 'Be brief.'), say('user', 'Hi')];

  it('is all new when there is none before', () => {
    expect(kinds(null, first)).toEqual(['new', 'new']);
  });

  it('folds what was sent and answered before, and shows the rest', () => {
    const now = [...first.map((message) => ({ ...message })), say('assistant', 'Hello'), say('user', 'And?')];

    expect(kinds([...first, say('assistant', 'Hello')], now)).toEqual(['same 3', 'new']);
  });

  it('takes an answer for the same with another finish reason and without its reasoning', () => {
    const answer: Message = {
      ...say('assistant', 'Hello'),
      finish: 'stop',
      parts: [
        { kind: 'reasoning', text: 'They greet.' },
        { kind: 'text', text: 'Hello' },
      ],
    };

    expect(keyOf(answer)).toBe(keyOf(say('assistant', 'Hello')));
  });

  it('shows a changed message with the one that it replaces', () => {
    const now = [say('system', 'Be brief and kind.'), say('user', 'Hi')];

    const [line] = compareHistory(first, now);

    expect(line).toEqual({ kind: 'changed', before: first[0], after: now[0] });
  });

  it('shows another question as new: a diff of unlike texts cannot be read', () => {
    const system = say('system', 'Find what the section needs.');
    const before = [system, say('user', 'What an oven really burns')];

    expect(kinds(before, [system, say('user', 'The wire in the street')])).toEqual(['same 1', 'new']);
    expect(kinds(before, [system, say('user', 'What a deck oven really burns')])).toEqual(['same 1', 'changed']);
  });

  it('finds the messages that stayed when others were dropped before them', () => {
    const long = [say('system', 'S'), say('user', 'a'), say('assistant', 'b'), say('user', 'c')];

    expect(kinds(long, [say('system', 'S'), say('user', 'c'), say('user', 'd')])).toEqual(['same 2', 'new']);
  });

  it('shows a message that is sent twice as new the second time', () => {
    expect(kinds([say('user', 'go')], [say('user', 'go'), say('user', 'go')])).toEqual(['same 1', 'new']);
  });

  it('is all new when it continues nothing of it', () => {
    expect(kinds(first, [say('system', 'Be loud.'), say('user', 'Bye')])).toEqual(['new', 'new']);
  });

  it('does not fold a message of another role', () => {
    expect(kinds([say('user', 'go')], [say('assistant', 'go')])).toEqual(['new']);
  });
});

describe('a call of an answer', () => {
  it('has the result of the next prompt', () => {
    const next = parseMessages(
      JSON.stringify([
        { role: 'assistant', content: [{ type: 'tool_call', id: 'c1', name: 'add', arguments: { a: 1 } }] },
        { role: 'tool', content: [{ type: 'tool_result', id: 'c1', result: 3 }] },
      ]),
    ) as Message[];
    const answer = parseMessages(
      JSON.stringify([
        { role: 'assistant', content: [{ type: 'tool_call', id: 'c1', name: 'add', arguments: { a: 1 } }] },
      ]),
    ) as Message[];

    const [call] = withResults(answer[0] as Message, next).parts;

    expect(call).toMatchObject({ kind: 'call', name: 'add', result: 3, answered: true });
    expect(keyOf(next[0] as Message)).toBe(keyOf(answer[0] as Message));
  });
});
