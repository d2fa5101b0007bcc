/** REST with the bearer token of the session: refreshes once on 401, turns every failure into an `ApiError`. */
import { forgetPositions, notePositions, positionHeader } from './positions';
import { ApiError, networkError, problemOf } from './problems';
import { proof } from './proof';
import { type SessionStore, session } from './session';

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  body?: unknown;
  /** bytes in place of a JSON body */
  raw?: { body: Uint8Array<ArrayBuffer>; type: string };
  signal?: AbortSignal;
  query?: Record<string, string | number | null | undefined>;
}

export async function request<T>(
  path: string,
  options: RequestOptions = {},
  store: SessionStore = session,
): Promise<T> {
  const response = await answerTo(path, options, store);
  if (response.status === 204) return undefined as T;
  const body = (await response.json()) as T;
  notePositions(path, body);
  return body;
}

/** Bytes with the content type of their answer. */
export async function requestBlob(path: string, options: RequestOptions = {}): Promise<Blob> {
  return (await answerTo(path, options)).blob();
}

/** The answer itself, of a success: for bodies that are read as they arrive. */
export async function answerTo(
  path: string,
  options: RequestOptions = {},
  store: SessionStore = session,
): Promise<Response> {
  const token = await store.token();
  if (token === null) throw new ApiError(401, 'unauthenticated', 'You are signed out.');
  let response = await send(path, options, token);
  if (response.status === 401) {
    const fresh = await store.refreshAfter(token);
    if (fresh === null) throw await problemOf(response);
    response = await send(path, options, fresh);
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (problem.code === 'position_ahead') forgetPositions(path);
    // a dangerous action: it is repeated once the person has confirmed who they are
    if (problem.code !== 'proof_required' || !(await proof.ask(problem.methods))) throw problem;
    return answerTo(path, options, store);
  }
  const date = Date.parse(response.headers.get('date') ?? '');
  // the header has whole seconds: only a difference that matters counts as one
  if (Number.isFinite(date)) store.clockSkewMs = Math.abs(date - Date.now()) > 2_500 ? date - Date.now() : 0;
  return response;
}

export function withQuery(path: string, query: RequestOptions['query']): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== '') params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

async function send(path: string, options: RequestOptions, token: string): Promise<Response> {
  const headers: Record<string, string> = { authorization: `Bearer ${token}`, accept: 'application/json' };
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  const position = positionHeader(path);
  if (position !== null) headers['ams-position'] = position;
  if (options.raw) headers['content-type'] = options.raw.type;
  try {
    return await fetch(withQuery(path, options.query), {
      method: options.method ?? 'GET',
      credentials: 'same-origin',
      headers,
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.raw ? { body: options.raw.body } : {}),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw networkError();
  }
}
