import { expect, test, vi } from 'vitest';
import { heartbeat } from './samples';
import { Streams } from './streams';

function deltas(...pieces: [number, string][]) {
  return { ...heartbeat(0, []), deltas: pieces.map(([index, text]) => ({ step_id: 'a', index, text })) };
}

test('pieces are put together by their index, repeats left out', () => {
  const streams = new Streams();
  streams.take(deltas([0, 'Hel']));
  streams.take(deltas([2, 'wor'], [1, 'lo ']));
  streams.take(deltas([1, 'lo '], [3, 'ld']));
  expect(streams.of('a')?.text).toBe('Hello world');
  expect(streams.of('a')?.cut).toBe(false);
});

test('a page that came late says that the beginning is missing', () => {
  const streams = new Streams();
  streams.take(deltas([7, 'end']));
  expect(streams.of('a')).toMatchObject({ text: 'end', cut: true });
});

test('only the listeners of the step hear of it', () => {
  const streams = new Streams();
  const [own, other] = [vi.fn(), vi.fn()];
  streams.subscribe('a', own);
  streams.subscribe('b', other);
  streams.take(deltas([0, 'x']));
  expect(own).toHaveBeenCalledOnce();
  expect(other).not.toHaveBeenCalled();
});
