/** One timer for everything that ticks; it stops when nothing does or the page is hidden. */
import { useSyncExternalStore } from 'react';
import { session } from '../api/session';

type Rate = 100 | 1_000;

function makeTicker(rate: Rate) {
  const listeners = new Set<() => void>();
  let timer: ReturnType<typeof setInterval> | null = null;
  let now = serverNowUs();
  const update = () => {
    now = serverNowUs();
    for (const listener of listeners) listener();
  };
  const tick = () => {
    if (!document.hidden) update();
  };
  return {
    get: () => now,
    update,
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      if (timer === null) {
        now = serverNowUs();
        timer = setInterval(tick, rate);
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && timer !== null) {
          clearInterval(timer);
          timer = null;
        }
      };
    },
  };
}

let heldUs: number | null = null;

/** Make a moment of the past the present, for pages that show it; null: the current time. */
export function holdClock(us: number | null): void {
  heldUs = us;
  for (const ticker of Object.values(tickers)) ticker.update();
}

/** The moment by the server's clock, microseconds UTC. */
export function serverNowUs(): number {
  return heldUs ?? (Date.now() + session.clockSkewMs) * 1_000;
}

const tickers = { 100: makeTicker(100), 1000: makeTicker(1_000) };
const never = () => () => {};

/** The moment, ten times or once a second; frozen when `rate` is null. */
export function useNowUs(rate: Rate | null): number {
  const ticker = tickers[rate ?? 1_000];
  return useSyncExternalStore(rate === null ? never : ticker.subscribe, ticker.get);
}
