/**
 * Who is signed in. The access token lives in memory only; the refresh cookie (HttpOnly) brings a new one silently. Refresh
 * tokens rotate and reuse ends the session, so only one tab may refresh at a time: a lock that all tabs share.
 */
import { answerWithPasskey, type Credential } from './passkeys';
import { asApiError, networkError, problemOf } from './problems';
import type {
  PasskeyRequest,
  ProviderAddress,
  Requested,
  SecondFactorNeeded,
  Session,
  ShareGrant,
  SignOutAddress,
  User,
} from './types';

/** A new token this long before the old one ends: more than a slow network, less than half of its 10 minutes. */
const RENEW_BEFORE_MS = 90_000;
/** Signing out waits this long for the service, which waits 2 s for a provider. */
const SIGN_OUT_WAIT_MS = 5_000;
const LOCK = 'ams.refresh';

export type Identity =
  | { state: 'unknown' }
  | { state: 'out' }
  | { state: 'in'; user: User; token: string; expiresAtMs: number }
  | { state: 'visitor'; share: ShareGrant; token: string; expiresAtMs: number };

/** The parameters with which a provider sent the browser back to its address here. */
export interface ProviderAnswer {
  provider: string;
  state: string;
  code?: string;
  iss?: string;
  error?: string;
  invitation?: string;
}

export interface SessionPorts {
  fetch: typeof fetch;
  now: () => number;
  setTimer: (run: () => void, ms: number) => unknown;
  clearTimer: (timer: unknown) => void;
  /** Removes what this tab keeps for the person who signs out. */
  forget: () => void;
  /** Goes to another site. */
  leave: (url: string) => void;
  /** Runs one at a time over all tabs of this origin. */
  exclusive: <T>(run: () => Promise<T>) => Promise<T>;
}

export class SessionStore {
  private identity: Identity = { state: 'unknown' };
  private readonly listeners = new Set<() => void>();
  private pending: Promise<Identity> | null = null;
  private timer: unknown = null;
  /** of the public link that this page shows; the session of the cookie is then left alone */
  private secret: string | null = null;
  /** milliseconds to add to this machine's clock to get the server's */
  clockSkewMs = 0;

  constructor(private readonly ports: SessionPorts) {}

  readonly get = (): Identity => this.identity;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** A token that is good for the next seconds, refreshed when it is not; null when signed out. */
  async token(): Promise<string | null> {
    const { identity } = this;
    if ('token' in identity && identity.expiresAtMs - this.ports.now() > 5_000) return identity.token;
    if (identity.state === 'out') return null;
    return tokenOf(await this.refresh());
  }

  /**
   * Visit a public link: every request of this page uses its token from now on.
   *
   * @throws ApiError when the link cannot be checked now. A refusal is an answer: `out`.
   */
  visit(secret: string): Promise<Identity> {
    this.secret = secret;
    return this.refresh();
  }

  /**
   * Ask for a new token by cookie; callers at the same time share one request.
   *
   * @throws ApiError when the state of the session is unknown (network, 5xx). A refusal is an answer: `out`.
   */
  refresh(): Promise<Identity> {
    this.pending ??= this.ports
      .exclusive(() => (this.secret === null ? this.exchange('/api/auth/refresh', undefined) : this.open(this.secret)))
      .catch((error: unknown) => {
        const problem = asApiError(error);
        if (problem.transient) throw problem;
        return this.set({ state: 'out' });
      })
      .finally(() => {
        this.pending = null;
      });
    return this.pending;
  }

  /** After a 401: another caller may have refreshed in between, then its token is the answer. */
  async refreshAfter(refused: string): Promise<string | null> {
    const { identity } = this;
    if ('token' in identity && identity.token !== refused) return identity.token;
    return tokenOf(await this.refresh());
  }

  /** Null when the person is signed in; else what the second step needs. */
  login(login: string, password: string): Promise<SecondFactorNeeded | null> {
    return this.firstStep('/api/auth/login', { login, password });
  }

  redeem(code: string): Promise<SecondFactorNeeded | null> {
    return this.firstStep('/api/auth/redeem', { code });
  }

  /** Where a provider signs people in. */
  async startProvider(provider: string): Promise<string> {
    return ((await (await this.post('/api/auth/oidc/start', { provider })).json()) as ProviderAddress).url;
  }

  answerProvider(answer: ProviderAnswer): Promise<SecondFactorNeeded | null> {
    return this.firstStep('/api/auth/oidc/callback', answer);
  }

  /** The second step, with a code or with the answer of a passkey. */
  secondStep(token: string, proof: { code: string } | { credential: Credential }): Promise<Identity> {
    return this.exchange('/api/auth/second-factor', { token, ...proof });
  }

  /** A passkey of any account: the person chooses one and types no name. */
  async loginWithPasskey(): Promise<Identity> {
    const asked = (await (await this.post('/api/auth/passkey/options', undefined)).json()) as PasskeyRequest;
    const credential = await answerWithPasskey(asked);
    return this.exchange('/api/auth/passkey', { token: asked.token, credential });
  }

  /** With the token of an invitation, the account is a member of its project, too. */
  async register(username: string, email: string, password: string, invitation?: string): Promise<void> {
    await this.post('/api/auth/register', { username, email, password, ...(invitation ? { invitation } : {}) });
    await this.login(username, password);
  }

  /** Choose a new password by an administrator's link. Every session of the account ends. */
  async resetPassword(token: string, password: string): Promise<void> {
    await this.post('/api/auth/password-reset', { token, new_password: password });
    this.set({ state: 'out' });
  }

  /** Ask for a link by email. The answer does not say whether there is such an account. */
  async requestReset(login: string): Promise<Requested> {
    return (await (await this.post('/api/auth/password-reset/request', { login })).json()) as Requested;
  }

  async verifyEmail(token: string): Promise<void> {
    await this.post('/api/auth/verify-email', { token });
    if (this.identity.state === 'in') await this.refresh();
  }

  /** End the session here, then at the provider by which it began, if there is one. */
  async logout(): Promise<void> {
    const { identity } = this;
    let there: string | null = null;
    if (identity.state === 'in') {
      there = await this.endWithProvider(identity.token);
      // idempotent; the token may be over already, and this tab forgets it either way
      await this.post('/api/auth/logout', {}, identity.token).catch(() => undefined);
    }
    this.ports.forget();
    this.set({ state: 'out' });
    if (there !== null) this.ports.leave(there);
  }

  /** Ends the session. Returns the address at which the one at the provider ends, if the provider says so soon. */
  private async endWithProvider(token: string): Promise<string | null> {
    const limit = new AbortController();
    const timer = this.ports.setTimer(() => limit.abort(), SIGN_OUT_WAIT_MS);
    try {
      const answer = await this.post('/api/auth/oidc/own/end', undefined, token, limit.signal);
      return ((await answer.json()) as SignOutAddress).url;
    } catch {
      return null;
    } finally {
      this.ports.clearTimer(timer);
    }
  }

  private async firstStep(path: string, body: object): Promise<SecondFactorNeeded | null> {
    const answer = (await (await this.post(path, body)).json()) as Session | SecondFactorNeeded;
    if ('second_factor_token' in answer) return answer;
    this.begin(answer);
    return null;
  }

  private async exchange(path: string, body: object | undefined): Promise<Identity> {
    return this.begin((await (await this.post(path, body)).json()) as Session);
  }

  private begin(answer: Session): Identity {
    return this.set({
      state: 'in',
      user: answer.user,
      token: answer.access_token,
      expiresAtMs: this.ports.now() + answer.expires_in * 1_000,
    });
  }

  private async open(secret: string): Promise<Identity> {
    const share = (await (await this.post('/api/auth/share', { secret })).json()) as ShareGrant;
    const expiresAtMs = this.ports.now() + share.expires_in * 1_000;
    return this.set({ state: 'visitor', share, token: share.access_token, expiresAtMs });
  }

  private async post(path: string, body: object | undefined, token?: string, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = {};
    if (body) headers['content-type'] = 'application/json';
    if (token) headers.authorization = `Bearer ${token}`;
    let response: Response;
    try {
      response = await this.ports.fetch(path, {
        method: 'POST',
        credentials: 'same-origin',
        headers,
        ...(signal ? { signal } : {}),
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
    } catch {
      throw networkError();
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  private set(identity: Identity): Identity {
    this.identity = identity;
    this.ports.clearTimer(this.timer);
    if ('token' in identity) this.schedule(identity.expiresAtMs - RENEW_BEFORE_MS - this.ports.now());
    for (const listener of this.listeners) listener();
    return identity;
  }

  /** Renew ahead of the end; while the platform is unavailable, retry until the token expires. */
  private schedule(ms: number): void {
    this.timer = this.ports.setTimer(
      () => {
        this.refresh().catch(() => this.schedule(5_000));
      },
      Math.max(1_000, ms),
    );
  }
}

/** The access token of the person or visitor; null without one. */
export function tokenOf(identity: Identity): string | null {
  return 'token' in identity ? identity.token : null;
}

export function browserPorts(): SessionPorts {
  return {
    fetch: (...args) => fetch(...args),
    now: Date.now,
    setTimer: (run, ms) => setTimeout(run, ms),
    clearTimer: (timer) => clearTimeout(timer as number | undefined),
    forget: () => sessionStorage.clear(),
    leave: (url) => location.assign(url),
    // without locks (http on a foreign host is no secure context) a rotated token is still accepted once by its grace time
    exclusive: async (run) => (navigator.locks ? await navigator.locks.request(LOCK, run) : run()),
  };
}

export const session = new SessionStore(browserPorts());
