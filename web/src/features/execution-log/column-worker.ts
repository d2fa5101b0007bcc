/** Asks a worker: one request at a time, and only the newest one waits. */
import { useEffect, useMemo, useRef, useState } from 'react';
import { buffersOf, type Columns, columnsOf } from './columns';
import type { StepTable } from './table';
import type { Tree } from './tree';

export class LatestWorker<Request, Answer> {
  onAnswer: (answer: Answer) => void = () => {};
  private busy = false;
  private next: (() => [Request, Transferable[]]) | null = null;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      this.busy = false;
      this.onAnswer(data);
      this.send();
    };
  }

  /** @param make the request and the buffers in it that are handed over; called when its turn has come, if no newer one has */
  ask(make: () => [Request, Transferable[]]): void {
    this.next = make;
    this.send();
  }

  stop(): void {
    this.next = null;
    this.worker.terminate();
  }

  private send(): void {
    if (this.busy || this.next === null) return;
    const [request, buffers] = this.next();
    this.next = null;
    this.busy = true;
    this.worker.postMessage(request, buffers);
  }
}

/**
 * The newest answer of a worker; null until the first one is there.
 *
 * @param open makes the worker; the same function each time
 * @param make as of LatestWorker; null: nothing is asked yet. Another function asks again
 */
export function useLatestWorker<Request, Answer>(
  open: () => Worker,
  make: (() => [Request, Transferable[]]) | null,
): Answer | null {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const worker = useRef<LatestWorker<Request, Answer> | null>(null);
  useEffect(() => {
    const fresh = new LatestWorker<Request, Answer>(open());
    fresh.onAnswer = setAnswer;
    worker.current = fresh;
    return () => {
      worker.current = null;
      fresh.stop();
    };
  }, [open]);
  useEffect(() => {
    if (make) worker.current?.ask(make);
  }, [make]);
  return answer;
}

/**
 * The same for what is computed from the columns of one task.
 *
 * @param options what the request has besides the columns; null: nothing is asked yet. A new object asks again
 */
export function useColumnWorker<Options extends object, Answer>(
  open: () => Worker,
  table: StepTable,
  tree: Tree,
  version: number,
  options: Options | null,
): Answer | null {
  const make = useMemo(() => {
    void version;
    if (options === null) return null;
    return (): [Options & { columns: Columns }, Transferable[]] => {
      const columns = columnsOf(table, tree);
      return [{ ...options, columns }, buffersOf(columns)];
    };
  }, [table, tree, version, options]);
  return useLatestWorker(open, make);
}
