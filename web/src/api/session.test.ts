import { beforeEach, describe, expect, test } from 'vitest';
import { request } from './http';
import { SessionStore } from './session';

let calls: string[];
let answers: Record<string, () => Response>;
let nowMs: number;
let left: string[];
/** the address that does not answer until its request is given up */
let silent: string;
let timers: { run: () => void; ms: number }[];

const user = { user_id: 'u', username: 'ada', email: 'a@b', created_at: '', updated_at: '' };

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
}

function session(token: string): Response {
  return json({ access_token: token, token_type: 'Bearer', expires_in: 600, user });
}

function store(): SessionStore {
  const fetcher = async (input: unknown, init?: RequestInit) => {
    const path = String(input);
    calls.push(path);
    if (path === silent) await new Promise((_, fail) => init?.signal?.addEventListener('abort', fail));
    await Promise.resolve();
    return (answers[path] ?? (() => json({}, 404)))();
  };
  return new SessionStore({
    fetch: fetcher as typeof fetch,
    now: () => nowMs,
    setTimer: (run, ms) => {
      const timer = { run, ms };
      timers.push(timer);
      return timer;
    },
    clearTimer: (timer) => {
      timers = timers.filter((known) => known !== timer);
    },
    forget: () => left.push('forgotten'),
    leave: (url) => left.push(url),
    exclusive: (run) => run(),
  });
}

beforeEach(() => {
  calls = [];
  answers = { '/api/auth/refresh': () => session('fresh'), '/api/auth/login': () => session('first') };
  nowMs = 1_000_000;
  timers = [];
  silent = '';
  left = [];
});

describe('the session', () => {
  test('a visitor of a link gets its token again by the secret, and leaves the cookie alone', async () => {
    const own = store();
    let tokens = 0;
    const share = { project_id: 'p', task_id: 't', payloads: false, link_expires_at_us: 1, expires_in: 600 };
    answers['/api/auth/share'] = () => json({ ...share, access_token: `link-${++tokens}` });
    expect(await own.visit('secret')).toMatchObject({ state: 'visitor', share: { task_id: 't' } });
    expect(await own.token()).toBe('link-1');
    expect(await own.refreshAfter('link-1')).toBe('link-2');
    answers['/api/auth/share'] = () => json({ code: 'share_link_not_found' }, 404);
    expect(await own.refreshAfter('link-2')).toBeNull();
    expect(own.get().state).toBe('out');
    expect(new Set(calls)).toEqual(new Set(['/api/auth/share']));
  });

  test('callers at the same time share one refresh', async () => {
    const own = store();
    const tokens = await Promise.all([own.token(), own.token(), own.token()]);
    expect(tokens).toEqual(['fresh', 'fresh', 'fresh']);
    expect(calls).toEqual(['/api/auth/refresh']);
  });

  test('renews ahead of the end by itself', async () => {
    const own = store();
    await own.login('ada', 'pw');
    expect(timers.map((timer) => timer.ms)).toEqual([510_000]);
    timers[0]?.run();
    await own.refresh();
    expect(own.get()).toMatchObject({ state: 'in', token: 'fresh' });
  });

  test('a refused cookie means signed out; an unavailable platform means nothing', async () => {
    const own = store();
    answers['/api/auth/refresh'] = () => json({ code: 'unavailable' }, 503);
    await expect(own.token()).rejects.toMatchObject({ status: 503 });
    expect(own.get().state).toBe('unknown');
    answers['/api/auth/refresh'] = () => json({ code: 'unauthenticated' }, 401);
    expect(await own.token()).toBeNull();
    expect(own.get().state).toBe('out');
  });

  test('a token that another caller replaced in between is not refreshed again', async () => {
    const own = store();
    await own.login('ada', 'pw');
    expect(await own.refreshAfter('older')).toBe('first');
    expect(calls).toEqual(['/api/auth/login']);
  });

  test('signing out forgets the token even when the platform is unavailable', async () => {
    const own = store();
    await own.login('ada', 'pw');
    answers['/api/auth/logout'] = () => json({}, 503);
    await own.logout();
    expect(own.get().state).toBe('out');
    expect(left).toEqual(['forgotten']);
  });

  test('signing out does not wait for an answer that never comes', async () => {
    const own = store();
    await own.login('ada', 'pw');
    answers['/api/auth/logout'] = () => new Response(null, { status: 204 });
    silent = '/api/auth/oidc/own/end';
    const leaving = own.logout();
    timers.find(({ ms }) => ms === 5_000)?.run();
    await leaving;
    expect(calls.at(-1)).toBe('/api/auth/logout');
    expect(own.get().state).toBe('out');
  });

  test('signing out ends the session here, then leads to the provider by which it began', async () => {
    const own = store();
    await own.login('ada', 'pw');
    answers['/api/auth/oidc/own/end'] = () => json({ url: 'https://id.example.com/end' });
    answers['/api/auth/logout'] = () => new Response(null, { status: 204 });
    await own.logout();
    expect(calls).toEqual(['/api/auth/login', '/api/auth/oidc/own/end', '/api/auth/logout']);
    expect(own.get().state).toBe('out');
    expect(left).toEqual(['forgotten', 'https://id.example.com/end']);
  });
});

describe('a request', () => {
  test('is sent again once with a fresh token after 401', async () => {
    const own = store();
    await own.login('ada', 'pw');
    const seen: string[] = [];
    globalThis.fetch = (async (_: unknown, init: RequestInit) => {
      const token = (init.headers as Record<string, string>).authorization ?? '';
      seen.push(token);
      return token === 'Bearer fresh' ? json({ ok: true }) : json({ code: 'unauthenticated' }, 401);
    }) as typeof fetch;
    expect(await request('/api/x', {}, own)).toEqual({ ok: true });
    expect(seen).toEqual(['Bearer first', 'Bearer fresh']);
  });

  test('fails with the problem of the platform', async () => {
    const own = store();
    await own.login('ada', 'pw');
    globalThis.fetch = (async () =>
      json(
        { code: 'bad_query', detail: 'There is no field.', column: 3, suggestion: 'latency' },
        400,
      )) as unknown as typeof fetch;
    await expect(request('/api/x', {}, own)).rejects.toMatchObject({
      code: 'bad_query',
      message: 'There is no field.',
      hint: { column: 3, suggestion: 'latency' },
      transient: false,
    });
  });
});
