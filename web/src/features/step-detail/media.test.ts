import { expect, test } from 'vitest';
import { kindOf } from './media';
import { parseMessages } from './messages';

test.each([
  ['image/png', 'image'],
  ['audio/mpeg; rate=1', 'audio'],
  ['video/mp4', 'video'],
  ['image/svg+xml', 'file'],
  ['IMAGE/SVG+XML', 'file'],
  ['text/html', 'file'],
  ['application/xhtml+xml', 'file'],
  ['application/pdf', 'file'],
  ['', 'file'],
])('%s is shown as %s', (mime, kind) => {
  expect(kindOf(mime)).toBe(kind);
});

test('a part keeps what says where its content is', () => {
  const sha256 = 'ab'.repeat(32);
  const messages = parseMessages(
    JSON.stringify([
      {
        role: 'user',
        content: [
          { type: 'media', mime: 'image/png', bytes: 5, sha256 },
          { type: 'media', mime: 'audio/wav', bytes: 9, absent: 'too_large', transcript: 'hello' },
          { type: 'media', mime: 'video/*', uri: 'https://example.org/v', sha256: '../../x' },
          { type: 'refusal', refusal: 'No.' },
        ],
      },
    ]),
  );
  expect(messages?.[0]?.parts).toMatchObject([
    { kind: 'media', sha256, bytes: 5 },
    { kind: 'media', sha256: null, absent: 'too_large', transcript: 'hello' },
    { kind: 'media', sha256: null, uri: 'https://example.org/v' },
    { kind: 'refusal', text: 'No.' },
  ]);
});
