import { expect, test } from 'vitest';
import { offeredTools, signatureOf } from './tools-offered';

const schema = {
  type: 'object',
  properties: { city: { type: 'string' }, nights: { type: 'integer' } },
  required: ['city'],
};
const hotel = { name: 'book_hotel', description: 'Book a hotel', schema };
const text = JSON.stringify;

test('the tools are the same in whichever form they were sent', () => {
  const named = { name: 'book_hotel', description: 'Book a hotel' };
  const openai = { type: 'function', function: { ...named, parameters: schema } };
  const forms: [{ [name: string]: never }, string | null][] = [
    [{ 'gen_ai.tool.definitions': text([{ type: 'function', ...named, parameters: schema }]) }, null],
    [{ 'gen_ai.tool.definitions': text([{ ...named, input_schema: schema }]) }, null],
    [{ 'llm.tools.0.tool.json_schema': text(openai) }, null],
    [
      {
        'llm.request.functions.0.name': 'book_hotel',
        'llm.request.functions.0.description': 'Book a hotel',
        'llm.request.functions.0.parameters': text(schema),
      },
      null,
    ],
    [{ 'ai.prompt.tools': [text({ type: 'function', ...named, inputSchema: schema })] }, null],
    [{}, text({ model: 'gpt-4o', tools: [openai] })],
    [{}, text({ function_tools: [{ ...named, parameters_json_schema: schema }] })],
    [{}, text({ tools: [{ toolSpec: { ...named, inputSchema: { json: schema } } }] })],
  ] as never;

  for (const [attributes, parameters] of forms) expect(offeredTools(attributes, parameters)).toEqual([hotel]);
});

test('a tool that two places name is one tool, with its schema', () => {
  const attributes = {
    'gen_ai.agent.tools': '["search", "book_hotel"]',
    'llm.tools.1.tool.json_schema': text({ function: { name: 'book_hotel', parameters: schema } }),
    'llm.tools.0.tool.name': 'search',
  };

  expect(offeredTools(attributes, null).map(({ name, schema: its }) => [name, its !== null])).toEqual([
    ['search', false],
    ['book_hotel', true],
  ]);
});

test('what is no tool is left out, and nothing throws', () => {
  const odd = {
    tools: 'see below',
    'gen_ai.tool.definitions': '[1, null, {}, {"name": ""}, [',
    'llm.tools.0.tool.json_schema': '{',
  };

  expect(offeredTools(odd, 'not json')).toEqual([{ name: '{', description: null, schema: null }]);
  expect(offeredTools({}, text({ tools: { a: 1 } }))).toEqual([]);
});

test('the arguments of a tool fit on a line', () => {
  expect(signatureOf(schema)).toBe('city: string, nights?: integer');
  expect(signatureOf(null)).toBe('');
});
