/** The alignment of two tasks, off the page's thread. */
import type { Columns } from '../execution-log/columns';
import { align } from './align';

self.onmessage = ({ data }: MessageEvent<{ left: Columns; right: Columns }>) =>
  self.postMessage(align(data.left, data.right));
