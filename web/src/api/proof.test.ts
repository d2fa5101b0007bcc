import { expect, test } from 'vitest';
import { ProofPrompt } from './proof';

test('actions at the same time share one question', async () => {
  const prompt = new ProofPrompt();
  let seen = 0;
  prompt.subscribe(() => {
    seen += 1;
  });
  const both = Promise.all([prompt.ask(['password']), prompt.ask(['password'])]);

  expect(prompt.get()?.methods).toEqual(['password']);
  expect(seen).toBe(1);
  prompt.settle(true);

  expect(await both).toEqual([true, true]);
  expect(prompt.get()).toBeNull();
});

test('a cancelled question is asked again by the next action', async () => {
  const prompt = new ProofPrompt();
  prompt.subscribe(() => {});
  const first = prompt.ask(['totp']);
  prompt.settle(false);
  const second = prompt.ask(['totp']);
  prompt.settle(true);

  expect([await first, await second]).toEqual([false, true]);
});

test('nothing is asked without a way to confirm, or without a page', async () => {
  const prompt = new ProofPrompt();

  expect(await prompt.ask(['password'])).toBe(false);
  prompt.subscribe(() => {});
  expect(await prompt.ask([])).toBe(false);
});
