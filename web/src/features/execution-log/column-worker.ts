/** Asks a worker for what is computed from the columns of a task: one request at a time, and only the newest state waits. */
import { useEffect, useRef, useState } from 'react';
import { buffersOf, type Columns, columnsOf } from './columns';
import type { StepTable } from './table';
import type { Tree } from './tree';

class ColumnWorker<Request extends { columns: Columns }, Answer> {
  onAnswer: (answer: Answer) => void = () => {};
  private busy = false;
  private next: (() => Request) | null = null;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      this.busy = false;
      this.onAnswer(data);
      this.send();
    };
  }

  ask(request: () => Request): void {
    this.next = request;
    this.send();
  }

  stop(): void {
    this.next = null;
    this.worker.terminate();
  }

  private send(): void {
    if (this.busy || this.next === null) return;
    const request = this.next();
    this.next = null;
    this.busy = true;
    this.worker.postMessage(request, buffersOf(request.columns));
  }
}

/**
 * The newest answer of a worker; null until the first one is there.
 *
 * @param open makes the worker; the same function each time
 * @param options what the request has besides the columns; null: nothing is asked yet. A new object asks again
 */
export function useColumnWorker<Options extends object, Answer>(
  open: () => Worker,
  table: StepTable,
  tree: Tree,
  version: number,
  options: Options | null,
): Answer | null {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const worker = useRef<ColumnWorker<Options & { columns: Columns }, Answer> | null>(null);
  useEffect(() => {
    const fresh = new ColumnWorker<Options & { columns: Columns }, Answer>(open());
    fresh.onAnswer = setAnswer;
    worker.current = fresh;
    return () => {
      worker.current = null;
      fresh.stop();
    };
  }, [open]);
  useEffect(() => {
    void version;
    if (options) worker.current?.ask(() => ({ ...options, columns: columnsOf(table, tree) }));
  }, [table, tree, version, options]);
  return answer;
}
