/** Media by their hash, as addresses that an element can show: the token is in memory, so an element cannot fetch them itself. */
import { requestBlob } from '../../api/http';

export interface Loaded {
  kind: 'image' | 'audio' | 'video' | 'file';
  url: string;
}

/** At most 768 KiB each. */
const KEPT_MAX = 64;
const kept = new Map<string, Promise<Loaded>>();

/** Types that are a document, or may hold one, are files whatever the server says: a blob has the origin of this page. */
export function kindOf(mime: string): Loaded['kind'] {
  const [type, subtype = ''] = mime.toLowerCase().split(';', 1)[0]?.split('/') ?? [];
  if (/svg|xml|html/.test(subtype)) return 'file';
  return type === 'image' || type === 'audio' || type === 'video' ? type : 'file';
}

export function loadMedia(project: string, sha256: string): Promise<Loaded> {
  const key = `${project}/${sha256}`;
  const known = kept.get(key);
  if (known) return known;
  const loading = requestBlob(`/api/traces/${project}/media/${sha256}`).then((blob) => {
    const kind = kindOf(blob.type);
    const shown = kind === 'file' ? new Blob([blob], { type: 'application/octet-stream' }) : blob;
    return { kind, url: URL.createObjectURL(shown) };
  });
  kept.set(key, loading);
  loading.catch(() => kept.delete(key));
  for (const [oldest, promise] of kept) {
    if (kept.size <= KEPT_MAX) break;
    kept.delete(oldest);
    promise.then(
      ({ url }) => URL.revokeObjectURL(url),
      () => undefined,
    );
  }
  return loading;
}
