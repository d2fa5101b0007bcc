/** Passkeys in this browser: ask for one, or make one. The bodies are WebAuthn's own JSON. */
import { ApiError } from './problems';
import type { PasskeyRequest } from './types';

export type Credential = Record<string, unknown>;

export function passkeysSupported(): boolean {
  return typeof PublicKeyCredential !== 'undefined' && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
}

/** @throws ApiError when the person cancels, or no passkey answers. */
export function answerWithPasskey(request: PasskeyRequest): Promise<Credential> {
  const options = PublicKeyCredential.parseRequestOptionsFromJSON(request.options as never);
  return jsonOf(navigator.credentials.get({ publicKey: options }));
}

/** @throws ApiError when the person cancels, or the authenticator has a passkey of this account. */
export function createPasskey(request: PasskeyRequest): Promise<Credential> {
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(request.options as never);
  return jsonOf(navigator.credentials.create({ publicKey: options }));
}

async function jsonOf(pending: Promise<globalThis.Credential | null>): Promise<Credential> {
  try {
    const made = await pending;
    if (made instanceof PublicKeyCredential) return made.toJSON() as Credential;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'InvalidStateError') {
      throw new ApiError(0, 'passkey_exists', 'This device has a passkey of this account already.');
    }
    if (!(error instanceof DOMException)) throw error;
  }
  throw new ApiError(0, 'no_passkey', 'No passkey was used. Try again, or choose another way.');
}
