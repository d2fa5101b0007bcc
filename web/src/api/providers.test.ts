import { expect, test } from 'vitest';
import { answerOf } from './providers';

test('of the address that a provider leads to, only what the service takes is sent', () => {
  const params = new URLSearchParams('state=s&code=c&iss=https%3A%2F%2Fid.example.com&session_state=x');
  expect(answerOf('acme', params)).toEqual({ provider: 'acme', state: 's', code: 'c', iss: 'https://id.example.com' });
  expect(answerOf('acme', new URLSearchParams('error=access_denied&error_description=No'))).toEqual({
    provider: 'acme',
    state: '',
    error: 'access_denied',
  });
});
