import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Reply, Request } from './jobs';
import { TextWorker, type WorkerPort } from './worker';

class Port implements WorkerPort {
  onmessage: ((event: MessageEvent<Reply>) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  readonly requests: Request[] = [];
  isTerminated = false;

  postMessage(message: Request): void {
    this.requests.push(message);
  }

  terminate(): void {
    this.isTerminated = true;
  }

  reply(data: Reply): void {
    this.onmessage?.({ data } as MessageEvent<Reply>);
  }

  answer(result: string | null): void {
    this.reply({ id: (this.requests.at(-1) as Request).id, result });
  }
}

let ports: Port[] = [];

function textWorker(): TextWorker {
  return new TextWorker(() => {
    const port = new Port();
    ports.push(port);
    return port;
  });
}

beforeEach(() => {
  ports = [];
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

test('jobs run one after the other in one worker', async () => {
  const worker = textWorker();
  const first = worker.run({ kind: 'indent', text: 'a' });
  const second = worker.run({ kind: 'indent', text: 'b' });
  expect(ports).toHaveLength(1);
  expect(ports[0]?.requests).toEqual([]);
  ports[0]?.reply({ ready: true });
  expect(ports[0]?.requests).toHaveLength(1);
  ports[0]?.answer('A');
  ports[0]?.answer('B');
  expect(await Promise.all([first, second])).toEqual(['A', 'B']);
});

test('a job that takes too long ends its worker, and the next one has another', async () => {
  const worker = textWorker();
  const slow = worker.run({ kind: 'indent', text: 'a' });
  const next = worker.run({ kind: 'indent', text: 'b' });
  ports[0]?.reply({ ready: true });
  vi.advanceTimersByTime(1_000);
  expect(await slow).toBeNull();
  expect(ports[0]?.isTerminated).toBe(true);
  ports[1]?.reply({ ready: true });
  ports[1]?.answer('B');
  expect(await next).toBe('B');
});

test('where no worker starts, all text stays as it is', async () => {
  const worker = textWorker();
  const jobs = [worker.run({ kind: 'indent', text: 'a' }), worker.run({ kind: 'indent', text: 'b' })];
  for (const n of [0, 1, 2]) ports[n]?.onerror?.({} as ErrorEvent);
  expect(await Promise.all(jobs)).toEqual([null, null]);
  expect(await worker.run({ kind: 'indent', text: 'c' })).toBeNull();
  expect(ports).toHaveLength(3);
});

test('a late answer of a job that was given up is not taken for that of the next', async () => {
  const worker = textWorker();
  void worker.run({ kind: 'indent', text: 'a' });
  ports[0]?.reply({ ready: true });
  const stale = ports[0]?.requests[0]?.id ?? 0;
  ports[0]?.answer('A');
  const next = worker.run({ kind: 'indent', text: 'b' });
  ports[0]?.reply({ id: stale, result: 'stale' });
  ports[0]?.answer('B');
  expect(await next).toBe('B');
});
