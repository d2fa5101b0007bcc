/** Visitors of a public link: they read one task without an account, and what their link does not show is not asked for. */
import { useSyncExternalStore } from 'react';
import { session } from '../api/session';

export interface Visitor {
  /** the link shows what the steps contain */
  payloads: boolean;
}

const READER: Visitor = { payloads: true };
const STRUCTURE: Visitor = { payloads: false };

function visitor(): Visitor | null {
  const identity = session.get();
  if (identity.state !== 'visitor') return null;
  return identity.share.payloads ? READER : STRUCTURE;
}

/** Null for people who are signed in. */
export function useVisitor(): Visitor | null {
  return useSyncExternalStore(session.subscribe, visitor);
}
