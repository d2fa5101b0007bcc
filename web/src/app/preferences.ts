/** What a person chose once and finds again: kept in this browser only. Storage may be forbidden; then it lasts for the page. */
import { useSyncExternalStore } from 'react';

const PREFIX = 'ams.';
const listeners = new Set<() => void>();
const memory = new Map<string, string>();

function read(key: string): string | null {
  const known = memory.get(key);
  if (known !== undefined) return known;
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

export function setPreference(key: string, value: string): void {
  memory.set(key, value);
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // private windows of some browsers forbid it
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePreference(key: string, fallback: string): [string, (value: string) => void] {
  const value = useSyncExternalStore(subscribe, () => read(key)) ?? fallback;
  return [value, (next) => setPreference(key, next)];
}

export function preference(key: string, fallback: string): string {
  return read(key) ?? fallback;
}

export type Theme = 'system' | 'light' | 'dark';

export function applyTheme(theme: string): void {
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
