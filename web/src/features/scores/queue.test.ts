import { expect, test } from 'vitest';
import { filterOf, placeOf, queueAddress } from './queue';

test('the address of a queue has the values of the filter, and gives them back', () => {
  const address = queueAddress('p', {
    q: '-score.helpful:*',
    sort: 'cost desc',
    status: '',
    range: null,
    view: 'Weekly',
  });

  expect(address).toBe('/projects/p/annotate?q=-score.helpful%3A*&sort=cost+desc&view=Weekly');
  expect(filterOf(new URLSearchParams(address.split('?')[1]), 0)).toMatchObject({ q: '-score.helpful:*', from: '' });
  expect(filterOf(new URLSearchParams('range=1h&to=x'), 7_200_000)).toMatchObject({
    from: '1970-01-01T01:00:00.000Z',
    to: '',
  });
});

test('a task that is not in the queue is not a place in it: the queue begins', () => {
  expect(placeOf(['a', 'b'], 'b')).toBe(1);
  expect(placeOf(['a', 'b'], 'c')).toBe(0);
  expect(placeOf(['a', 'b'], null)).toBe(0);
});
