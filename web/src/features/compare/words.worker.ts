/** The difference of two texts, off the page's thread. */
import { differenceOf } from './words';

self.onmessage = ({ data }: MessageEvent<{ key: string; left: string; right: string }>) =>
  self.postMessage({ key: data.key, difference: differenceOf(data.left, data.right) });
