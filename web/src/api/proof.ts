/** Step-up: an action that the platform refuses until the person confirms who they are waits here for the dialog. */

export interface ProofRequest {
  /** `password`, `totp`, `recovery_code`, `passkey`, `provider` */
  methods: readonly string[];
}

export class ProofPrompt {
  private open: (ProofRequest & { answer: Promise<boolean>; resolve: (proved: boolean) => void }) | null = null;
  private readonly listeners = new Set<() => void>();

  readonly get = (): ProofRequest | null => this.open;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Ask the person; actions at the same time share one question. False when they cancel, or have nothing to confirm with. */
  ask(methods: readonly string[]): Promise<boolean> {
    if (methods.length === 0 || this.listeners.size === 0) return Promise.resolve(false);
    if (this.open === null) {
      let resolve: (proved: boolean) => void = () => {};
      const answer = new Promise<boolean>((settle) => {
        resolve = settle;
      });
      this.open = { methods, answer, resolve };
      this.notify();
    }
    return this.open.answer;
  }

  /** The person has confirmed, or cancelled. */
  settle(proved: boolean): void {
    const { open } = this;
    this.open = null;
    open?.resolve(proved);
    this.notify();
  }

  private notify(): void {
    for (const listener of this.listeners) listener();
  }
}

export const proof = new ProofPrompt();
