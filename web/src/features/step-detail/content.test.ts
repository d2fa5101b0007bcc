import { describe, expect, test } from 'vitest';
import { argumentsLine, parseMessages } from './messages';
import { groupStack } from './stack';

describe('messages', () => {
  test('a call and its result are one', () => {
    const messages = parseMessages(
      JSON.stringify([
        { role: 'user', content: [{ type: 'text', text: 'Weather?' }] },
        {
          role: 'assistant',
          content: [{ type: 'tool_call', id: 'c1', name: 'get_weather', arguments: { city: 'Paris' } }],
        },
        { role: 'tool', content: [{ type: 'tool_result', id: 'c1', result: { celsius: 21 } }] },
      ]),
    );
    expect(messages).toHaveLength(2);
    expect(messages?.[1]?.parts).toMatchObject([{ kind: 'call', answered: true, result: { celsius: 21 } }]);
  });

  test('a result without its call is shown by itself', () => {
    const messages = parseMessages('[{"role":"tool","content":[{"type":"tool_result","id":"x","result":"ok"}]}]');
    expect(messages?.[0]?.parts).toMatchObject([{ kind: 'result', result: 'ok' }]);
  });

  test('what is not known is kept', () => {
    const messages = parseMessages('[{"role":"oracle","content":[{"type":"vision","x":1},7]}]');
    expect(messages?.[0]).toMatchObject({
      role: 'oracle',
      parts: [
        { kind: 'other', value: { type: 'vision', x: 1 } },
        { kind: 'other', value: 7 },
      ],
    });
  });

  test.each(['[{"role":', '{}', '[1]', 'words'])('%s is no list of messages', (text) => {
    expect(parseMessages(text)).toBeNull();
  });

  test('arguments fit on a line', () => {
    expect(argumentsLine({ city: 'Paris', nights: 3 })).toBe('city: "Paris", nights: 3');
    expect(argumentsLine('x'.repeat(300), 10)).toBe('xxxxxxxxxx…');
  });
});

describe('a stack', () => {
  test('keeps own frames and folds runs of library frames', () => {
    const groups = groupStack(
      [
        'Traceback (most recent call last):',
        '  File "/app/agent.py", line 3, in run',
        '    call()',
        '  File "/app/.venv/lib/python3.11/site-packages/httpx/a.py", line 1, in get',
        '    x()',
        '    ^^^',
        '  File "/usr/lib/python3.11/json/b.py", line 2, in y',
        'ValueError: no',
      ].join('\n'),
    );
    expect(groups.map((group) => [group.library, group.frames])).toEqual([
      [false, 1],
      [true, 2],
      [false, 0],
    ]);
    expect(groups.flatMap((group) => group.lines)).toHaveLength(8);
  });

  test('JavaScript frames too', () => {
    const groups = groupStack('Error: no\n    at run (/app/a.js:1:2)\n    at x (/app/node_modules/y/z.js:3:4)');
    expect(groups.map((group) => group.library)).toEqual([false, true]);
  });
});
