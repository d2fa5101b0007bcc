/**
 * The live socket of one project. Subscriptions outlive sockets: after a break the client reconnects with a fresh ticket and
 * resumes each one after its last position. `prev` of a frame reveals a gap; then the follower fetches again over REST.
 */
import { isBefore } from '../fold/position';
import type { ClientMessage, ServerMessage, TaskChanged } from './types';

export type Frame = Extract<ServerMessage, { op: 'frame' }>;
export interface TaskNotice {
  task_id: string;
  change: TaskChanged | null;
}

export interface TaskFollower {
  /** New frames in order; none is repeated. */
  onFrames: (frames: Frame[]) => void;
  /** Frames were missed: fetch again, then call `resume` with the position of the answer. */
  onReset: () => void;
}
export interface ListFollower {
  onTasks: (notices: TaskNotice[]) => void;
  /** Changes of the list may have been missed: fetch it again. */
  onReset: () => void;
}

export interface Subscription {
  /** Follow from here on (after a new snapshot). */
  resume: (after: string | null) => void;
  stop: () => void;
}

export type LivePhase = 'connecting' | 'live' | 'reconnecting' | 'offline' | 'refused';
export interface LiveState {
  phase: LivePhase;
  /** the gateway cannot read the log at the moment */
  stale: boolean;
  /** from the newest event's own time to its arrival here; null before the first */
  lagMs: number | null;
}

export interface Socket {
  send: (text: string) => void;
  close: (code?: number, reason?: string) => void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
}

export interface LivePorts {
  /** A fresh one-time ticket; throws when none can be had. `refused` when asking again is no use. */
  ticket: () => Promise<string>;
  isRefusal: (error: unknown) => boolean;
  open: (protocols: string[]) => Socket;
  /** milliseconds, by the server's clock */
  now: () => number;
  setTimer: (run: () => void, ms: number) => unknown;
  clearTimer: (timer: unknown) => void;
  random: () => number;
  online: () => boolean;
}

interface ActiveSubscription {
  key: string;
  taskId: string | null;
  last: string | null;
  /** of the newest subscribe message: an `error` names it */
  requestId: string | null;
  /** that message was answered: frames before the answer belong to an older subscription of the same task */
  confirmed: boolean;
  /** waits for `resume`: frames of before are old */
  awaitsResume: boolean;
  task: TaskFollower | null;
  list: ListFollower | null;
  /** the list was subscribed on an earlier socket: a new socket means that it may have missed changes */
  seen: boolean;
}

const BACK_OFF_MS = [250, 500, 1_000, 2_000, 4_000, 8_000];
const CLOSE_UNAUTHENTICATED = 4401;
const CLOSE_FORBIDDEN = 4403;
const CLOSE_NOT_FOUND = 4404;
const PROBE_MS = 15_000;
const ANSWER_MS = 10_000;
const OFFLINE_AFTER_FAILURES = 5;
const SUBSCRIBE_AGAIN_MS = 1_000;

export class LiveClient {
  private state: LiveState = { phase: 'connecting', stale: false, lagMs: null };
  private readonly listeners = new Set<() => void>();
  private readonly following = new Map<string, ActiveSubscription>();
  private socket: Socket | null = null;
  private open = false;
  private stopped = true;
  private failures = 0;
  private counter = 0;
  private retry: unknown = null;
  private probe: unknown = null;
  private generation = 0;

  constructor(private readonly ports: LivePorts) {}

  readonly get = (): LiveState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    void this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.generation += 1;
    this.ports.clearTimer(this.retry);
    this.ports.clearTimer(this.probe);
    const { socket } = this;
    this.socket = null;
    this.open = false;
    socket?.close(1000, 'bye');
  }

  /** The network or the page is active again: do not wait for the back-off. */
  reconnectNow(): void {
    if (this.stopped || this.socket || this.state.phase === 'refused') return;
    this.ports.clearTimer(this.retry);
    this.failures = 0;
    void this.connect();
  }

  /** The access token was renewed: prove it on the open socket, so that it is not closed. */
  async renew(): Promise<void> {
    const { generation } = this;
    if (!this.open) return;
    try {
      const ticket = await this.ports.ticket();
      if (generation === this.generation) this.send({ op: 'renew', id: this.nextId('renew'), ticket });
    } catch {
      this.ports.setTimer(() => generation === this.generation && void this.renew(), 5_000);
    }
  }

  followTask(taskId: string, after: string | null, follower: TaskFollower): Subscription {
    return this.follow({
      key: `task:${taskId}`,
      taskId,
      last: after,
      requestId: null,
      confirmed: false,
      awaitsResume: false,
      task: follower,
      list: null,
      seen: false,
    });
  }

  followList(follower: ListFollower): Subscription {
    return this.follow({
      key: 'list',
      taskId: null,
      last: null,
      requestId: null,
      confirmed: false,
      awaitsResume: false,
      task: null,
      list: follower,
      seen: false,
    });
  }

  private follow(item: ActiveSubscription): Subscription {
    this.following.set(item.key, item);
    item.seen = this.open;
    this.sendSubscribe(item);
    return {
      resume: (after) => {
        if (this.following.get(item.key) !== item) return;
        item.last = after;
        item.awaitsResume = false;
        this.send({ op: 'unsubscribe', id: this.nextId('drop'), sub: item.key });
        this.sendSubscribe(item);
      },
      stop: () => {
        if (this.following.get(item.key) !== item) return;
        this.following.delete(item.key);
        this.send({ op: 'unsubscribe', id: this.nextId('drop'), sub: item.key });
      },
    };
  }

  private sendSubscribe(item: ActiveSubscription): void {
    const id = this.nextId(item.key.slice(0, 12));
    item.requestId = id;
    item.confirmed = false;
    if (item.taskId === null) this.send({ op: 'subscribe', id, list: true });
    else this.send({ op: 'subscribe', id, task_id: item.taskId, after: item.last });
  }

  private async connect(): Promise<void> {
    this.generation += 1;
    const { generation } = this;
    let ticket: string;
    try {
      ticket = await this.ports.ticket();
    } catch (error) {
      if (generation !== this.generation || this.stopped) return;
      if (this.ports.isRefusal(error)) this.setState({ phase: 'refused' });
      else this.reconnectLater();
      return;
    }
    if (generation !== this.generation || this.stopped) return;
    const socket = this.ports.open(['ams.v1', `ticket.${ticket}`]);
    this.socket = socket;
    socket.onopen = () => {
      if (socket !== this.socket) return;
      this.open = true;
      this.failures = 0;
      this.setState({ phase: 'live', stale: false });
      for (const item of this.following.values()) {
        if (!item.awaitsResume) this.sendSubscribe(item);
        // the list has no positions: what happened while there was no socket is in the next REST answer
        if (item.list && item.seen) item.list.onReset();
        item.seen = true;
      }
      this.armProbe();
    };
    socket.onmessage = (event) => {
      if (socket !== this.socket || typeof event.data !== 'string') return;
      this.armProbe();
      this.receive(event.data);
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      this.socket = null;
      this.open = false;
      this.generation += 1;
      this.ports.clearTimer(this.probe);
      if (this.stopped) return;
      if (event.code === CLOSE_FORBIDDEN || event.code === CLOSE_NOT_FOUND) this.setState({ phase: 'refused' });
      else this.reconnectLater(event.code === CLOSE_UNAUTHENTICATED);
    };
  }

  private reconnectLater(unauthenticated = false): void {
    const wait = BACK_OFF_MS[Math.min(this.failures, BACK_OFF_MS.length - 1)] ?? 8_000;
    this.failures += 1;
    const offline = !this.ports.online() || this.failures > OFFLINE_AFTER_FAILURES;
    this.setState({ phase: offline ? 'offline' : 'reconnecting' });
    // all viewers lose a restarting gateway at the same moment: they must not reconnect at the same one
    const jitter = 0.5 + this.ports.random();
    this.retry = this.ports.setTimer(() => void this.connect(), unauthenticated ? 1_000 : wait * jitter);
  }

  /** A socket that died without a close looks like silence: send a harmless request and expect an answer. */
  private armProbe(): void {
    this.ports.clearTimer(this.probe);
    this.probe = this.ports.setTimer(() => {
      this.send({ op: 'unsubscribe', id: this.nextId('probe'), sub: 'probe' });
      this.probe = this.ports.setTimer(() => {
        const { socket } = this;
        if (!socket) return;
        // do not wait for a close handshake that cannot come
        socket.onclose?.({ code: 1006 });
        socket.close(4000, 'silent');
      }, ANSWER_MS);
    }, PROBE_MS);
  }

  private receive(text: string): void {
    const messages = JSON.parse(text) as ServerMessage[];
    const frames = new Map<string, Frame[]>();
    const notices: TaskNotice[] = [];
    for (const message of messages) {
      switch (message.op) {
        case 'frame': {
          if (!this.accept(message)) break;
          const kept = frames.get(message.sub);
          if (kept) kept.push(message);
          else frames.set(message.sub, [message]);
          break;
        }
        case 'task':
          notices.push({ task_id: message.task_id, change: message.change });
          break;
        case 'subscribed': {
          const item = this.following.get(message.sub);
          // the answer to an older request, whose frames may still be in flight
          if (!item || item.requestId !== message.id) break;
          item.confirmed = true;
          if (item.last === null && message.position) item.last = message.position;
          break;
        }
        case 'reset':
          if (this.following.get(message.sub)?.confirmed) this.resetSubscription(this.following.get(message.sub));
          break;
        case 'stale':
          this.setState({ stale: message.stale });
          break;
        case 'error':
          this.handleError(message.code, message.id ?? null);
          break;
        case 'renewed':
        case 'unsubscribed':
          break;
      }
    }
    for (const [sub, kept] of frames) this.following.get(sub)?.task?.onFrames(kept);
    if (notices.length > 0) this.following.get('list')?.list?.onTasks(notices);
    this.measureLag(frames);
  }

  /** Whether a frame is news for its follower. Moves the follower on, or reports a gap. */
  private accept(frame: Frame): boolean {
    const item = this.following.get(frame.sub);
    if (!item?.confirmed || item.awaitsResume) return false;
    if (item.last !== null) {
      if (!isBefore(item.last, frame.position)) return false;
      if (frame.prev !== null && isBefore(item.last, frame.prev)) {
        this.resetSubscription(item);
        return false;
      }
    }
    item.last = frame.position;
    return true;
  }

  private handleError(code: string, id: string | null): void {
    const item = [...this.following.values()].find(({ requestId }) => requestId === id);
    if (!item) return;
    // the log no longer has (or never had) the requested position: only a new snapshot helps
    if (code === 'bad_cursor') this.resetSubscription(item);
    if (code !== 'unavailable') return;
    const { generation } = this;
    this.ports.setTimer(() => {
      if (generation === this.generation && item.requestId === id && !item.confirmed) this.sendSubscribe(item);
    }, SUBSCRIBE_AGAIN_MS);
  }

  private resetSubscription(item: ActiveSubscription | undefined): void {
    if (!item || item.awaitsResume) return;
    item.awaitsResume = item.task !== null;
    item.task?.onReset();
    item.list?.onReset();
  }

  private measureLag(frames: Map<string, Frame[]>): void {
    let newest = 0;
    for (const list of frames.values()) {
      for (const frame of list) {
        for (const event of frame.batch.events) newest = Math.max(newest, event.at_us);
      }
    }
    if (newest > 0) this.setState({ lagMs: Math.max(0, Math.round(this.ports.now() - newest / 1_000)) });
  }

  private send(message: ClientMessage): void {
    if (this.open) this.socket?.send(JSON.stringify(message));
  }

  private nextId(word: string): string {
    this.counter += 1;
    return `${word}-${this.counter}`;
  }

  private setState(part: Partial<LiveState>): void {
    const next = { ...this.state, ...part };
    if (next.phase === this.state.phase && next.stale === this.state.stale && next.lagMs === this.state.lagMs) return;
    this.state = next;
    for (const listener of this.listeners) listener();
  }
}
