import { expect, test } from 'vitest';
import { violationsOf } from './check-styles.mjs';

test('a class of one feature that another one styles breaks the rule', () => {
  const sheets = {
    'src/features/a/a.css': '.key-row { color: red }',
    'src/features/b/b.css': '.list .key-row:hover { top: 0 }',
  };
  expect(violationsOf(sheets)).toEqual(['.key-row is used in src/features/a and src/features/b']);
});

test('a single word belongs to shared sheets: as a variant of another class it would be hit', () => {
  const sheets = {
    'src/features/a/a.css': '.start { height: 100% }',
    'src/ui/menu.css': '.menu-list.end { right: 0 }',
  };
  expect(violationsOf(sheets)).toEqual(['.start of src/features/a is a single word']);
});

test('sheets of one feature and shared classes are free to use each other', () => {
  const sheets = {
    'src/ui/ui.css': '.button { top: 0 }',
    'src/features/a/a.css':
      '@media (width < 700px) { .a-row { top: 0 } } .a-row .button { top: 1px } .a-row.open { top: 2px }',
    'src/features/a/b.css': '.a-row > .a-cell, .a-cell { left: 0 }',
  };
  expect(violationsOf(sheets)).toEqual([]);
});
