import { describe, expect, test } from 'vitest';
import type { Task, TaskPage } from '../../api/types';
import { barScale, TaskFeed } from './feed';
import { NO_FILTER, type TaskFilter } from './filter';

function task(id: string, startedAtUs: number, more: Partial<Task> = {}): Task {
  return {
    task_id: id,
    name: id,
    status: 'ok',
    started_at_us: startedAtUs,
    last_event_at_us: startedAtUs,
    sort_at_us: startedAtUs,
    agent: null,
    duplicate_of: null,
    folded_into: null,
    duration_us: 10,
    ...more,
  } as Task;
}

function page(items: Task[], nextCursor: string | null = null, more: Partial<TaskPage> = {}): TaskPage {
  const textIndex = { scanned_back_to_us: null, sorted_back_to_us: null, text_lag_records: null, text_until_us: null };
  return { items, next_cursor: nextCursor, positions: {}, ...textIndex, ...more };
}

function notice(item: Task, offset = 1) {
  const position = `1.0.${offset}`;
  return { task_id: item.task_id, change: { v: 1 as const, project_id: 'p', position, task: item } };
}

async function feedOf(pages: TaskPage[], filter: Partial<TaskFilter> = {}): Promise<TaskFeed> {
  let at = 0;
  const feed = new TaskFeed(async () => pages[Math.min(at++, pages.length - 1)] as TaskPage, {
    ...NO_FILTER,
    ...filter,
  });
  await feed.refresh();
  return feed;
}

const ids = (feed: TaskFeed) => feed.tasks.map((item) => item.task_id).join(' ');

describe('the feed of tasks', () => {
  test('in another order a live change moves its row, and a new task finds its place', async () => {
    const feed = await feedOf([page([task('b', 2, { steps: 5 }), task('a', 1, { steps: 3 })])], { sort: '-steps' });
    feed.applyNotices([notice(task('a', 1, { steps: 9 }))]);
    expect(ids(feed)).toBe('a b');
    feed.applyNotices([notice(task('c', 3, { steps: 7 }))]);
    expect(ids(feed)).toBe('a c b');
    feed.hold(true);
    feed.applyNotices([notice(task('b', 2, { steps: 99 }))]);
    expect(ids(feed)).toBe('a c b');
  });

  test('a range of time is checked here, so that new tasks appear at once', async () => {
    const feed = await feedOf([page([])], { from: '1970-01-01T00:00:01Z', to: '1970-01-01T00:00:02Z' });
    feed.applyNotices([notice(task('a', 999_999)), notice(task('b', 1_000_000)), notice(task('c', 2_000_000))]);
    expect(ids(feed)).toBe('b');
  });

  test('while it is paused new tasks wait', async () => {
    const feed = await feedOf([page([task('a', 1)])]);
    feed.pause(true);
    feed.hold(false);
    feed.applyNotices([notice(task('b', 2))]);
    expect([ids(feed), feed.waiting.length]).toEqual(['a', 1]);
    feed.pause(false);
    expect(ids(feed)).toBe('b a');
  });

  test('loads page after page', async () => {
    const feed = await feedOf([page([task('b', 2)], 'x'), page([task('a', 1)])]);
    await feed.more();
    await feed.more();
    expect(ids(feed)).toBe('b a');
    expect(feed.complete).toBe(true);
  });

  test('a new task is inserted at the top; a known one changes in place', async () => {
    const feed = await feedOf([page([task('b', 2), task('a', 1)])]);
    feed.applyNotices([notice(task('c', 3)), notice(task('a', 1, { errors: 4 }))]);
    expect(ids(feed)).toBe('c b a');
    expect(feed.tasks[2]?.errors).toBe(4);
  });

  test('a task that turns out to repeat another one leaves the list', async () => {
    const feed = await feedOf([page([task('b', 2), task('a', 1)])]);
    feed.applyNotices([notice(task('a', 1, { duplicate_of: 'b' })), notice(task('c', 3, { duplicate_of: 'b' }))]);
    expect(ids(feed)).toBe('b');
  });

  test('older news of a task is left out', async () => {
    const feed = await feedOf([page([task('a', 1)])]);
    feed.applyNotices([notice(task('a', 1, { steps: 9 }), 9)]);
    feed.applyNotices([notice(task('a', 1, { steps: 3 }), 3)]);
    expect(feed.tasks[0]?.steps).toBe(9);
  });

  test('while the reader is further down new tasks wait', async () => {
    const feed = await feedOf([page([task('a', 1)])]);
    feed.hold(true);
    feed.applyNotices([notice(task('b', 2))]);
    expect([ids(feed), feed.waiting.length]).toEqual(['a', 1]);
    feed.hold(false);
    expect([ids(feed), feed.waiting.length]).toEqual(['b a', 0]);
  });

  test('while rows are held nothing moves them, and each change shows at its place', async () => {
    const pages = [page([task('b', 2, { status: 'running' }), task('a', 1, { status: 'running' })])];
    const feed = await feedOf(pages, { status: 'running' });
    feed.hold(true);

    feed.applyNotices([notice(task('b', 2, { status: 'ok' })), notice(task('c', 3, { status: 'running' }))]);
    feed.applyNotices([{ task_id: 'a', change: null }]);

    expect([ids(feed), feed.tasks[0]?.status, feed.waiting.length]).toEqual(['b a', 'ok', 1]);
    feed.hold(false);
    expect(ids(feed)).toBe('c');
  });

  test('what the reader deletes leaves at once, also while rows are held', async () => {
    const feed = await feedOf([page([task('b', 2), task('a', 1)])]);
    feed.hold(true);
    feed.applyNotices([notice(task('c', 3))]);
    feed.drop(new Set(['b', 'c']));
    expect([ids(feed), feed.waiting.length]).toEqual(['a', 0]);
  });

  test('an answer of the server does not move held rows either', async () => {
    const feed = await feedOf([page([task('b', 2), task('a', 1)]), page([task('c', 3), task('a', 1, { steps: 9 })])]);
    feed.hold(true);

    await feed.refresh();

    expect([ids(feed), feed.tasks[1]?.steps, feed.waiting.length]).toEqual(['b a', 9, 1]);
    feed.release();
    expect(ids(feed)).toBe('c a');
  });

  test('tasks are sorted by the time that the server sorts by', async () => {
    const feed = await feedOf([page([task('b', 2), task('a', 1)])]);
    // its start was received late: the list keeps it where the server has it
    feed.applyNotices([notice(task('c', 9, { sort_at_us: 0 }))]);
    expect(ids(feed)).toBe('b a c');
  });

  test('a filter holds for what comes', async () => {
    const feed = await feedOf([page([])], { status: 'running' });
    feed.applyNotices([notice(task('a', 1)), notice(task('b', 2, { status: 'running' }))]);
    expect(ids(feed)).toBe('b');
    feed.applyNotices([notice(task('b', 2, { status: 'ok' }), 5)]);
    expect(ids(feed)).toBe('');
  });

  test('a deleted task goes', async () => {
    const feed = await feedOf([page([task('a', 1)])]);
    feed.applyNotices([{ task_id: 'a', change: null }]);
    expect(ids(feed)).toBe('');
  });
});

test('one very long task does not press all bars to nothing', () => {
  const rows = [
    task('a', 0, { duration_us: 10 }),
    task('b', 0, { duration_us: 20 }),
    task('c', 0, { duration_us: 9_000 }),
  ];
  expect(barScale(rows, 0)).toBeLessThan(30);
});

test('a text search reports what is not indexed yet', async () => {
  const answer = page([task('a', 1)], null, { text_lag_records: 12, text_until_us: 77 });
  const feed = await feedOf([answer, { ...answer, text_lag_records: 0 }], { q: 'words' });
  expect(feed.textBehind).toEqual({ records: 12, untilUs: 77 });
  await feed.refresh();
  expect(feed.textBehind).toBeNull();
});

describe('a search that runs out of time', () => {
  const found = (items: Task[], untilUs: number | null) =>
    page(items, untilUs === null ? null : `from ${untilUs}`, { scanned_back_to_us: untilUs });

  test('continues by itself until it is complete', async () => {
    const feed = await feedOf([found([], 50), found([task('b', 40)], 30), found([task('a', 10)], null)], {
      q: 'cost:>9',
    });
    await expect.poll(() => feed.complete).toBe(true);
    expect(ids(feed)).toBe('b a');
    expect(feed.scannedBackToUs).toBeNull();
  });

  test('reports how far it has searched, and stops with the page', async () => {
    let asked = 0;
    let go: (page: TaskPage) => void = () => undefined;
    const feed = new TaskFeed(
      async () => (asked++ === 0 ? found([], 50) : await new Promise<TaskPage>((resolve) => (go = resolve))),
      { ...NO_FILTER, q: 'cost:>9' },
    );
    await feed.refresh();
    await expect.poll(() => asked).toBe(2);
    expect(feed.scannedBackToUs).toBe(50);
    feed.stop();
    go(found([], 20));
    await expect.poll(() => feed.loadingMore).toBe(false);
    expect(asked).toBe(2);
  });

  test('a refresh of the newest keeps what was found further down', async () => {
    const pages = [found([task('c', 60)], 50), found([task('b', 40)], null), found([task('c', 60)], 55)];
    const feed = await feedOf(pages, { q: 'cost:>9' });
    await expect.poll(() => feed.complete).toBe(true);
    await feed.refresh();
    expect(ids(feed)).toBe('c b');
    expect(feed.complete).toBe(true);
  });
});
