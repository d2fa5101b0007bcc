import { useMutation } from '@tanstack/react-query';
import { requireSecondFactor } from '../../api/people';
import { asApiError } from '../../api/problems';
import { projectsQuery, queryClient } from '../../api/queries';
import type { Project } from '../../api/types';
import { ErrorStrip } from '../../ui/controls';

/** For owners: whether members without a second factor see nothing of the project. */
export function SecondFactorSetting({ project }: { project: Project }) {
  const change = useMutation({
    mutationFn: (required: boolean) => requireSecondFactor(project.project_id, required),
    onSuccess: () => queryClient.invalidateQueries(projectsQuery),
  });
  return (
    <section className="settings-section" aria-label="Two-step verification">
      <h2>Two-step verification</h2>
      <label className="factor-setting">
        <input
          type="checkbox"
          checked={change.isPending ? change.variables : project.second_factor_required}
          disabled={change.isPending}
          onChange={(event) => change.mutate(event.target.checked)}
        />
        <span>
          Require a second factor
          <small className="quiet">
            Members without an authenticator app or passkey see nothing of this project until they add one. API keys are
            not affected.
          </small>
        </span>
      </label>
      {change.error ? <ErrorStrip error={asApiError(change.error)} doing="Cannot change the requirement" /> : null}
    </section>
  );
}
