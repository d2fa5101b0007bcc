import { asApiError } from '../../api/problems';

/** Does something with one task after the other; after a failure it can continue with those that are left. A deleted task counts as done. */
export async function oneByOne(
  tasks: readonly string[],
  act: (task: string) => Promise<unknown>,
  onLeft: (left: readonly string[]) => void,
): Promise<void> {
  for (const [index, task] of tasks.entries()) {
    try {
      await act(task);
    } catch (error) {
      if (asApiError(error).status !== 404) throw error;
    }
    onLeft(tasks.slice(index + 1));
  }
}
