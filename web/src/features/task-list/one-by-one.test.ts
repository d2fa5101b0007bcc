import { expect, test } from 'vitest';
import { ApiError } from '../../api/problems';
import { oneByOne } from './one-by-one';

test('a failure leaves the rest, and a deleted task counts as done', async () => {
  const done: string[] = [];
  let left: readonly string[] = ['deleted', 'a', 'b', 'c'];
  let unavailable = true;
  const act = async (task: string) => {
    if (task === 'deleted') throw new ApiError(404, 'not_found', 'No such task.');
    if (task === 'b' && unavailable) throw new ApiError(503, 'unavailable', 'Try again.');
    done.push(task);
  };
  const keep = (next: readonly string[]) => {
    left = next;
  };

  await expect(oneByOne(left, act, keep)).rejects.toMatchObject({ code: 'unavailable' });
  expect([done, left]).toEqual([['a'], ['b', 'c']]);
  unavailable = false;
  await oneByOne(left, act, keep);
  expect([done, left]).toEqual([['a', 'b', 'c'], []]);
});
