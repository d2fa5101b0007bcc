/**
 * Real OpenID providers on loopback, for tests of signing in: `node openid-provider.mjs '{"providers": [{"port": 9000, "clients": [...]}]}'`.
 *
 * `PUT /people/NAME` with claims adds or changes a person, who signs in with that name and any password. Prints `ready` when all of them listen.
 */
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const { providers } = JSON.parse(process.argv[2] ?? '{"providers": []}');

function serve({ port, clients }) {
  const people = new Map();
  const provider = new Provider(`http://localhost:${port}`, {
    clients,
    claims: {
      openid: ['sub', 'amr', 'auth_time'],
      email: ['email', 'email_verified'],
      profile: ['preferred_username', 'groups'],
    },
    conformIdTokenClaims: false,
    cookies: { keys: ['a key of a test'] },
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    findAccount: (context, id) => {
      const claims = people.get(id);
      // how the person proved who they are is a fact of the session there
      if (claims && context.oidc.session) context.oidc.session.amr = claims.amr;
      return claims && { accountId: id, claims: async () => ({ sub: id, ...claims }) };
    },
    pkce: { required: () => true },
  });
  const answer = provider.callback();
  const server = createServer(async (request, response) => {
    const name = /^\/people\/([^/]+)$/.exec(request.url ?? '')?.[1];
    if (request.method !== 'PUT' || name === undefined) return answer(request, response);
    const parts = [];
    for await (const part of request) parts.push(part);
    people.set(decodeURIComponent(name), JSON.parse(Buffer.concat(parts).toString()));
    response.writeHead(204).end();
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
}

await Promise.all(providers.map(serve));
process.stdout.write('ready\n');
