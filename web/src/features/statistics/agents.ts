/** What the page of agents shows of one: its entry, its runs, its steps and the tasks that run now. */
import type { Agent, StatisticsGroup } from '../../api/types';

export interface AgentRow {
  agent: Agent;
  /** its own steps: each is a run of the agent; for an agent without any, those of the workflows that it is named for */
  runs: StatisticsGroup | null;
  /** all steps that belong to it */
  steps: StatisticsGroup | null;
  running: number;
}

export function rowsOf(
  agents: readonly Agent[],
  runs: readonly StatisticsGroup[],
  workflows: readonly StatisticsGroup[],
  steps: readonly StatisticsGroup[],
  running: ReadonlyMap<string, number>,
): AgentRow[] {
  const runsOf = new Map([...workflows, ...runs].map((group) => [group.key, group]));
  const stepsOf = new Map(steps.map((group) => [group.key, group]));
  return agents.map((agent) => ({
    agent,
    runs: runsOf.get(agent.name) ?? null,
    steps: stepsOf.get(agent.name) ?? null,
    running: running.get(agent.name) ?? 0,
  }));
}

/** The share of an agent's runs that ended without an error. Null: it had no runs, and its steps are no runs. */
export function successRate({ runs }: AgentRow): number | null {
  return runs === null || runs.steps === 0 ? null : 1 - runs.errors / runs.steps;
}
