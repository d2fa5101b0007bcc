import { beforeEach, describe, expect, test } from 'vitest';
import { type Frame, LiveClient, type Socket } from './live';
import type { ClientMessage, ServerMessage } from './types';

class PaperSocket implements Socket {
  sent: ClientMessage[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;
  private confirmed = 0;

  constructor(readonly protocols: string[]) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientMessage);
  }

  close(): void {
    this.closed = true;
  }

  receive(...messages: ServerMessage[]): void {
    this.onmessage?.({ data: JSON.stringify(messages) });
  }

  /** Answer every subscribe message that has no answer yet, as the gateway does. */
  confirm(): void {
    const asked = this.sent.filter((message) => message.op === 'subscribe').slice(this.confirmed);
    this.confirmed += asked.length;
    this.receive(
      ...asked.map((message) => {
        const sub = message.task_id ? `task:${message.task_id}` : 'list';
        return { op: 'subscribed', id: message.id, sub, position: message.after ?? null } as const;
      }),
    );
  }

  get subscriptions(): ClientMessage[] {
    return this.sent.filter((message) => message.op === 'subscribe');
  }
}

let sockets: PaperSocket[];
let timers: { run: () => void; ms: number }[];
let tickets: number;
let ticketError: unknown;

function open(): LiveClient {
  return new LiveClient({
    ticket: async () => {
      if (ticketError) throw ticketError;
      tickets += 1;
      return `t${tickets}`;
    },
    isRefusal: (error) => error === 'refused',
    open: (protocols) => {
      const socket = new PaperSocket(protocols);
      sockets.push(socket);
      return socket;
    },
    now: () => 1_000_250,
    setTimer: (run, ms) => {
      const timer = { run, ms };
      timers.push(timer);
      return timer;
    },
    clearTimer: (timer) => {
      timers = timers.filter((known) => known !== timer);
    },
    random: () => 0.5,
    online: () => true,
  });
}

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

async function connect(client: LiveClient): Promise<PaperSocket> {
  client.start();
  await settle();
  const socket = sockets.at(-1) as PaperSocket;
  socket.onopen?.();
  socket.confirm();
  return socket;
}

async function fire(ms: (wait: number) => boolean): Promise<void> {
  const due = timers.filter((timer) => ms(timer.ms));
  timers = timers.filter((timer) => !due.includes(timer));
  for (const timer of due) timer.run();
  await settle();
}

function frame(prev: string | null, position: string, atMs = 1_000_000): Frame {
  const event = { kind: 'step.progressed', event_id: '', seq: 0, at_us: atMs * 1_000 } as const;
  const producer = { sdk: 'test', instance_id: 'i' };
  return { op: 'frame', sub: 'task:x', prev, position, batch: { v: 1, project_id: 'p', producer, events: [event] } };
}

function follower() {
  const got = { frames: [] as string[], lost: 0 };
  return {
    got,
    onFrames: (frames: Frame[]) => {
      got.frames.push(...frames.map((item) => item.position));
    },
    onReset: () => {
      got.lost += 1;
    },
  };
}

beforeEach(() => {
  sockets = [];
  timers = [];
  tickets = 0;
  ticketError = null;
});

describe('the live client', () => {
  test('opens with a ticket as subprotocol and subscribes after the position of the snapshot', async () => {
    const client = open();
    client.followTask('x', '1.0.5', follower());
    const socket = await connect(client);
    expect(socket.protocols).toEqual(['ams.v1', 'ticket.t1']);
    expect(socket.subscriptions).toMatchObject([{ task_id: 'x', after: '1.0.5' }]);
    expect(client.get().phase).toBe('live');
  });

  test('gives new frames in order, drops repeats, and measures the way of the newest event', async () => {
    const client = open();
    const own = follower();
    client.followTask('x', '1.0.5', own);
    const socket = await connect(client);

    socket.receive(frame('1.0.2', '1.0.5'), frame('1.0.5', '1.0.6'), frame('1.0.6', '1.0.9'));
    socket.receive(frame('1.0.6', '1.0.9'));

    expect(own.got.frames).toEqual(['1.0.6', '1.0.9']);
    expect(client.get().lagMs).toBe(250);
  });

  test('a frame whose predecessor was never seen is a gap: fetch again, then resume', async () => {
    const client = open();
    const own = follower();
    const subscription = client.followTask('x', '1.0.5', own);
    const socket = await connect(client);

    socket.receive(frame('1.0.8', '1.0.9'), frame('1.0.9', '1.0.10'));
    expect(own.got).toEqual({ frames: [], lost: 1 });

    subscription.resume('1.0.10');
    socket.confirm();
    socket.receive(frame('1.0.9', '1.0.10'), frame('1.0.10', '1.0.11'));
    expect(socket.subscriptions.at(-1)).toMatchObject({ after: '1.0.10' });
    expect(own.got.frames).toEqual(['1.0.11']);
  });

  test('after a resume frames of the old subscription that are still in flight are neither news nor a gap', async () => {
    const client = open();
    const own = follower();
    const subscription = client.followTask('x', '1.0.5', own);
    const socket = await connect(client);
    socket.receive({ op: 'reset', sub: 'task:x' });

    // the snapshot is older than what the old subscription was just sending
    subscription.resume('1.0.8');
    socket.receive(frame('1.0.19', '1.0.20'), { op: 'reset', sub: 'task:x' });
    expect(own.got).toEqual({ frames: [], lost: 1 });

    socket.confirm();
    socket.receive(frame('1.0.8', '1.0.9'), frame('1.0.9', '1.0.20'));
    expect(own.got).toEqual({ frames: ['1.0.9', '1.0.20'], lost: 1 });
  });

  test('a subscription that the gateway cannot serve at the moment is asked for again', async () => {
    const client = open();
    client.followTask('x', '1.0.5', follower());
    client.start();
    await settle();
    const socket = sockets.at(-1) as PaperSocket;
    socket.onopen?.();
    const [first] = socket.subscriptions;

    socket.receive({ op: 'error', code: 'unavailable', id: first?.id ?? '' });
    await fire((ms) => ms === 1_000);

    expect(socket.subscriptions).toHaveLength(2);
    expect(socket.subscriptions[1]).toMatchObject({ task_id: 'x', after: '1.0.5' });
  });

  test('a reset is reported to the follower once', async () => {
    const client = open();
    const own = follower();
    client.followTask('x', '1.0.5', own);
    const socket = await connect(client);
    socket.receive({ op: 'reset', sub: 'task:x' }, { op: 'reset', sub: 'task:x' });
    expect(own.got.lost).toBe(1);
  });

  test('a position that the log no longer has is like a reset, of its own subscription only', async () => {
    const client = open();
    const own = follower();
    const other = follower();
    client.followTask('y', '1.0.5', other);
    const subscription = client.followTask('x', '1.0.1', own);
    const socket = await connect(client);
    const asked = socket.subscriptions.find((message) => message.op === 'subscribe' && message.task_id === 'x');

    socket.receive({ op: 'error', code: 'bad_cursor', id: asked?.id ?? '' });
    socket.receive({ op: 'error', code: 'invalid', id: socket.subscriptions[0]?.id ?? '' });
    expect([own.got.lost, other.got.lost]).toEqual([1, 0]);

    subscription.resume('1.0.9');
    socket.confirm();
    socket.receive(frame('1.0.9', '1.0.10'));
    expect(own.got.frames).toEqual(['1.0.10']);
  });

  test('reconnects with a fresh ticket and resumes after the last frame it received', async () => {
    const client = open();
    client.followTask('x', '1.0.5', follower());
    const first = await connect(client);
    first.receive(frame('1.0.5', '1.0.7'));

    first.onclose?.({ code: 4409 });
    expect(client.get().phase).toBe('reconnecting');
    await fire((ms) => ms < 1_000);
    const second = sockets.at(-1) as PaperSocket;
    second.onopen?.();

    expect(second.protocols[1]).toBe('ticket.t2');
    expect(second.subscriptions).toMatchObject([{ after: '1.0.7' }]);
    expect(client.get().phase).toBe('live');
  });

  test('waits longer after each failure and says offline after several', async () => {
    const client = open();
    ticketError = new Error('unavailable');
    client.start();
    await settle();
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      waits.push(timers.at(-1)?.ms ?? 0);
      await fire(() => true);
    }
    expect(waits.slice(0, 4)).toEqual([250, 500, 1_000, 2_000]);
    expect(client.get().phase).toBe('offline');
  });

  test('gives up only when it is refused', async () => {
    const client = open();
    ticketError = 'refused';
    client.start();
    await settle();
    expect(client.get().phase).toBe('refused');
    expect(timers).toEqual([]);
  });

  test('proves a renewed token on the open socket with a fresh ticket', async () => {
    const client = open();
    const socket = await connect(client);
    await client.renew();
    expect(socket.sent).toMatchObject([{ op: 'renew', ticket: 't2' }]);
  });

  test('a silent socket is asked, and replaced when it does not answer', async () => {
    const client = open();
    const socket = await connect(client);
    await fire((ms) => ms === 15_000);
    expect(socket.sent.at(-1)).toMatchObject({ op: 'unsubscribe', sub: 'probe' });
    await fire((ms) => ms === 10_000);
    expect(socket.closed).toBe(true);
    expect(client.get().phase).toBe('reconnecting');
  });

  test('shows that the gateway has lost sight of the log', async () => {
    const client = open();
    const socket = await connect(client);
    socket.receive({ op: 'stale', stale: true });
    expect(client.get().stale).toBe(true);
  });

  test('after a reconnect the list is fetched again', async () => {
    const client = open();
    const got = { news: 0, lost: 0 };
    client.followList({
      onTasks: (news) => {
        got.news += news.length;
      },
      onReset: () => {
        got.lost += 1;
      },
    });
    const socket = await connect(client);
    socket.receive({ op: 'task', sub: 'list', task_id: 'a', change: null });
    socket.onclose?.({ code: 1006 });
    await fire((ms) => ms < 1_000);
    sockets.at(-1)?.onopen?.();
    expect(got).toEqual({ news: 1, lost: 1 });
  });
});
