/** The tasks in the order in which they were last seen as a list: `[` and `]` go through them. */
let order: string[] = [];

export function rememberOrder(taskIds: string[]): void {
  order = taskIds;
}

export function neighbour(taskId: string, by: 1 | -1): string | null {
  const at = order.indexOf(taskId);
  return at < 0 ? null : (order[at + by] ?? null);
}
