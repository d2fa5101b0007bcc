/** The page's side of the text worker: one job at a time, each with a time limit, after which its worker is terminated. */
import type { Job, Reply, Request, ResultOf, Results } from './jobs';

const JOB_MS = 1_000;
const LOAD_MS = 15_000;
const QUEUE_MAX = 500;
/** Workers that do not even start, in a row: the page shows plain text from then on. */
const FAILED_STARTS_MAX = 3;

/** What this module uses of a `Worker`. */
export interface WorkerPort {
  postMessage(message: Request): void;
  terminate(): void;
  onmessage: ((event: MessageEvent<Reply>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

interface Waiting {
  job: Job;
  resolve: (result: Results[keyof Results]) => void;
}

export class TextWorker {
  private port: WorkerPort | null = null;
  private isReady = false;
  private failedStarts = 0;
  private readonly queue: Waiting[] = [];
  private running: Waiting | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private nextId = 0;

  constructor(private readonly spawn: () => WorkerPort) {}

  /** @returns null when the text is to be shown as it is: it took too long, or there is no worker */
  run<J extends Job>(job: J): Promise<ResultOf<J>> {
    return new Promise((resolve) => {
      if (this.queue.length >= QUEUE_MAX || this.failedStarts >= FAILED_STARTS_MAX) resolve(null as ResultOf<J>);
      else {
        this.queue.push({ job, resolve: resolve as Waiting['resolve'] });
        this.advance();
      }
    });
  }

  private advance(): void {
    if (this.running || this.queue.length === 0) return;
    if (this.port === null) this.start();
    if (this.port === null || !this.isReady || this.running) return;
    this.running = this.queue.shift() as Waiting;
    this.port.postMessage({ id: ++this.nextId, job: this.running.job });
    this.timer = setTimeout(() => this.stop(), JOB_MS);
  }

  private start(): void {
    try {
      this.port = this.spawn();
    } catch {
      this.stop();
      return;
    }
    this.port.onmessage = ({ data }) => {
      clearTimeout(this.timer);
      if ('ready' in data) {
        this.isReady = true;
        this.failedStarts = 0;
      } else if (data.id === this.nextId) this.settle(data.result);
      this.advance();
    };
    this.port.onerror = () => this.stop();
    this.timer = setTimeout(() => this.stop(), LOAD_MS);
  }

  /** End the worker and give up its job; the next one gets another worker. */
  private stop(): void {
    clearTimeout(this.timer);
    this.port?.terminate();
    this.port = null;
    if (!this.isReady && ++this.failedStarts >= FAILED_STARTS_MAX) {
      for (const { resolve } of this.queue.splice(0)) resolve(null);
    }
    this.isReady = false;
    this.settle(null);
    this.advance();
  }

  private settle(result: Results[keyof Results]): void {
    this.running?.resolve(result);
    this.running = null;
  }
}

export const textWorker = new TextWorker(
  () => new Worker(new URL('./text.worker.ts', import.meta.url), { type: 'module' }) as WorkerPort,
);
