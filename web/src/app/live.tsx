/** The project's live socket: one for all that is on the screen. */
import { createContext, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from 'react';
import { request } from '../api/http';
import { LiveClient, type LiveState, type Socket } from '../api/live';
import { asApiError } from '../api/problems';
import { session, tokenOf } from '../api/session';
import type { Ticket } from '../api/types';
import { serverNowUs } from '../ui/clock';

const Context = createContext<LiveClient | null>(null);

function openClient(project: string): LiveClient {
  return new LiveClient({
    ticket: async () => {
      const answer = await request<Ticket>('/api/live/tickets', {
        method: 'POST',
        body: { project_id: project },
      });
      return answer.ticket;
    },
    isRefusal: (error) => {
      const { status } = asApiError(error);
      return status === 401 || status === 403 || status === 404;
    },
    open: (protocols) => {
      const address = new URL('/api/live', location.href);
      address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
      return new WebSocket(address, protocols) as unknown as Socket;
    },
    now: () => serverNowUs() / 1_000,
    setTimer: (run, ms) => setTimeout(run, ms),
    clearTimer: (timer) => clearTimeout(timer as number | undefined),
    random: Math.random,
    online: () => navigator.onLine,
  });
}

export function LiveProvider({ project, children }: { project: string; children: ReactNode }) {
  const client = useMemo(() => openClient(project), [project]);
  useEffect(() => {
    client.start();
    const reconnectNow = () => client.reconnectNow();
    let token = tokenOf(session.get());
    // a new access token is proven on the open socket before the old one's end closes it
    const renewed = session.subscribe(() => {
      const next = tokenOf(session.get());
      if (next && next !== token) void client.renew();
      token = next;
    });
    const shown = () => {
      if (!document.hidden) reconnectNow();
    };
    window.addEventListener('online', reconnectNow);
    document.addEventListener('visibilitychange', shown);
    return () => {
      renewed();
      window.removeEventListener('online', reconnectNow);
      document.removeEventListener('visibilitychange', shown);
      client.stop();
    };
  }, [client]);
  return <Context value={client}>{children}</Context>;
}

export function useLive(): LiveClient {
  const client = useContext(Context);
  if (!client) throw new Error('useLive outside of a project');
  return client;
}

export function useLiveState(): LiveState {
  const client = useLive();
  return useSyncExternalStore(client.subscribe, client.get);
}

const BEHIND_MS = 2_000;

/** The connection as a pill: `live 80 ms`, `behind 3 s`, `reconnecting`, `offline`. Without a lag where nothing more is to come. */
export function LivePill({ over = false }: { over?: boolean }) {
  const { phase, stale, lagMs } = useLiveState();
  const [state, text, title] = describe(phase, stale, over ? null : lagMs);
  return (
    <span className="live-pill" data-state={state} role="status" title={title}>
      <span className="live-dot" aria-hidden="true" />
      {text}
    </span>
  );
}

function describe(phase: LiveState['phase'], stale: boolean, lagMs: number | null): [string, string, string] {
  if (phase === 'connecting') return ['wait', 'connecting', 'Connecting'];
  if (phase === 'reconnecting') return ['wait', 'reconnecting', 'The connection was lost. It resumes without gaps'];
  if (phase === 'offline') return ['off', 'offline', 'No connection. This page is not up to date. Retrying'];
  if (phase === 'refused') return ['off', 'not live', 'You no longer have access to this task or project'];
  if (stale) return ['wait', 'behind', 'The live service cannot read the event log. This page is not up to date'];
  if (lagMs === null) return ['live', 'live', 'Connected. New events appear automatically'];
  if (lagMs > BEHIND_MS) {
    return [
      'wait',
      `behind ${lagMs < 60_000 ? `${Math.round(lagMs / 1_000)} s` : 'over 1 m'}`,
      'Time from the newest event to its display here',
    ];
  }
  return ['live', `live ${lagMs} ms`, 'Connected. Time from the newest event to its display here'];
}
