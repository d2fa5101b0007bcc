import { describe, expect, test } from 'vitest';
import { highlight } from './code';
import { compactJson, indentJson, listMark } from './json-text';
import { type MarkdownElement, type MarkdownNode, parseMarkdown } from './markdown';
import { partsOf } from './PlainText';

const words = (node: MarkdownNode): string => (typeof node === 'string' ? node : node.children.map(words).join(''));
const count = (node: MarkdownNode): number =>
  typeof node === 'string' ? 1 : 1 + node.children.reduce((sum, child) => sum + count(child), 0);

function blocksOf(text: string): MarkdownElement[] {
  return parseMarkdown(text)?.blocks.map((block) => block.node) ?? [];
}

const HOSTILE: Record<string, (size: number) => string> = {
  'links that never end': (size) => '[a](b'.repeat(size),
  brackets: (size) => '['.repeat(size),
  'images that never end': (size) => '![a]('.repeat(size),
  'a heading of blanks': (size) => `# a${' '.repeat(size)}b`,
  'nested quotes': (size) => `${'>'.repeat(size)} a`,
  'nested lists on one line': (size) => `${'* '.repeat(size)}a`,
  'nested lists': (size) =>
    Array.from({ length: size }, (_, line) => `${' '.repeat(Math.min(line, 300))}- x`).join('\n'),
  'nested emphasis': (size) => '*a **b '.repeat(size),
  'emphasis marks': (size) => `${'**'.repeat(size)}a${'**'.repeat(size)}`,
  'code marks of all lengths': (size) =>
    Array.from({ length: Math.min(size, 600) }, (_, length) => '`'.repeat(length)).join(' '),
  'a wide table': (size) => `${'|a'.repeat(size)}\n${'|-'.repeat(size)}\n${'|b\n'.repeat(100)}`,
  references: (size) => `[a]: /x\n${'[a]'.repeat(size)}`,
  addresses: (size) => 'http://a.b/'.repeat(size),
  'quotes and lists in turn': (size) => `${'> - '.repeat(size)}a`,
};

describe('Markdown', () => {
  test('becomes a tree of what it says', () => {
    const [heading, paragraph, list, code, table] = blocksOf(
      '## Result\n\nIt is **21** degrees, see [here](https://example.org) or https://example.com.\n\n3. one\n4. two\n\n```python\nx = "a"\n```\n\n|a|b|\n|-|-|\n|1|2|\n',
    );
    expect(heading).toMatchObject({ tag: 'heading', number: 2, children: ['Result'] });
    expect(paragraph?.children.filter((node) => typeof node === 'object')).toMatchObject([
      { tag: 'strong' },
      { tag: 'a', address: 'https://example.org' },
      { tag: 'a', address: 'https://example.com' },
    ]);
    expect(list).toMatchObject({ tag: 'ol', number: 3 });
    expect(code).toMatchObject({
      tag: 'pre',
      language: 'python',
      code: [
        ['x = ', null],
        ['"a"', 'string'],
      ],
    });
    expect(table?.children).toHaveLength(2);
  });

  test('shows HTML and images as text', () => {
    const [paragraph] = blocksOf('<img src=x onerror=alert(1)> ![a cat](https://example.org/cat.png)');
    expect(paragraph?.children).toMatchObject([
      '<img src=x onerror=alert(1)> ',
      { tag: 'img', children: ['a cat'], address: 'https://example.org/cat.png' },
    ]);
  });

  test('has no link to a script', () => {
    expect(JSON.stringify(blocksOf('[a](javascript:alert(1)) <javascript:alert(1)>'))).not.toContain('"tag":"a"');
  });

  test('a file name is no address', () => {
    expect(blocksOf('see main.py and a@b.de')[0]?.children).toEqual(['see main.py and a@b.de']);
  });

  test('equal blocks have equal hashes', () => {
    const hashes = parseMarkdown('a\n\na\n\nb')?.blocks.map((block) => block.hash);
    expect(hashes?.[0]).toBe(hashes?.[1]);
    expect(hashes?.[0]).not.toBe(hashes?.[2]);
  });

  test('a long document keeps its first blocks, and the rest as text', () => {
    const text = Array.from({ length: 9_000 }, (_, line) => `line ${line} **x**`).join('\n\n');
    const tree = parseMarkdown(text);
    expect(tree?.blocks.length).toBeGreaterThan(500);
    expect(tree?.rest).toContain('line 8999 **x**');
    const last = words(tree?.blocks.at(-1)?.node as MarkdownElement);
    expect(tree?.rest.trimStart().startsWith(`line ${Number(last.split(' ')[1]) + 1} `)).toBe(true);
  });

  describe.each(Object.entries(HOSTILE))('%s', (_, make) => {
    test.each([10, 3_000, 20_000])('are bounded at size %i', (size) => {
      const tree = parseMarkdown(make(size));
      if (tree === null) return;
      expect(tree.blocks.reduce((sum, block) => sum + count(block.node), 0)).toBeLessThan(9_000);
    });
  });
});

describe('JSON as text', () => {
  test('has one value on a line and keeps numbers as they were', () => {
    expect(indentJson('{"a":[1,2.50,12345678901234567890],"b":{},"c":"x, [y]"}')).toBe(
      '{\n  "a": [\n    1,\n    2.50,\n    12345678901234567890\n  ],\n  "b": {},\n  "c": "x, [y]"\n}',
    );
  });

  test('of great depth stays of the same order of size', () => {
    const text = '['.repeat(100_000) + ']'.repeat(100_000);
    expect(indentJson(text)?.length).toBeLessThan(text.length * 70);
  });

  test.each(['[1}', '[', ''])('%s is not JSON', (text) => {
    expect(indentJson(text)).toBeNull();
  });

  test('a value on one line is cut', () => {
    const deep = JSON.parse('['.repeat(50_000) + ']'.repeat(50_000));
    expect(compactJson(deep, 100)).toContain('…');
    expect(compactJson({ a: [1, 'x'], b: null }, 100)).toBe('{"a":[1,"x"],"b":null}');
    expect(
      compactJson(
        Array.from({ length: 100_000 }, () => 'word'),
        50,
      ).length,
    ).toBeLessThan(120);
  });
});

test('an embedding is its length and norm', () => {
  expect(listMark(Array.from({ length: 1_536 }, () => 0.5))).toBe('[1,536 numbers, norm 19.60]');
  expect(listMark([1, 2, 3])).toBe('[3]');
  expect(listMark(Array.from({ length: 40 }, () => 'x'))).toBe('[40]');
});

describe('code', () => {
  test('has colours by kind', () => {
    expect(highlight('{"a": "b", "n": 1.5e3}', 'json')).toMatchObject([
      ['{', null],
      ['"a"', 'key'],
      [': ', null],
      ['"b"', 'string'],
      [', ', null],
      ['"n"', 'key'],
      [': ', null],
      ['1.5e3', 'number'],
      ['}', null],
    ]);
    expect(highlight('select 1 -- one', 'sql')?.map(([, kind]) => kind)).toEqual([
      'word',
      null,
      'number',
      null,
      'comment',
    ]);
  });

  test.each(['"', "'''", '"""', '/*', '`', '\\"', '#', '1.'])('%s in great number is bounded', (mark) => {
    for (const name of ['python', 'ts', 'json', 'sql', 'sh']) {
      const fragments = highlight(mark.repeat(6_000).slice(0, 20_000), name);
      expect(fragments?.map(([text]) => text).join('').length).toBe(Math.min(20_000, mark.length * 6_000));
      expect(fragments?.length).toBeLessThanOrEqual(3_002);
    }
  });
});

test('long text is drawn in parts that are the text together', () => {
  const lines = Array.from({ length: 3_000 }, (_, line) => `line ${line}`).join('\n');
  expect(partsOf(lines).join('\n')).toBe(lines);
  const wide = '😀'.repeat(20_000);
  expect(partsOf(wide).join('')).toBe(wide);
  expect(partsOf(wide).every((part) => part.length <= 8_000)).toBe(true);
});
