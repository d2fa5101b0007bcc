import { expect, test } from 'vitest';
import { pathOf } from './picture';

test('dark modules that are neighbours in a row are one rectangle', () => {
  expect(pathOf(['1101', '0000', '0011'])).toBe('M0 0h2v1h-2zM3 0h1v1h-1zM2 2h2v1h-2z');
});
