import { useMutation } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { acceptInvitation, previewInvitation } from '../api/people';
import { asApiError } from '../api/problems';
import { projectsQuery, queryClient } from '../api/queries';
import { forgetInvitation, forgetRefusedInvitation, keptInvitation } from '../app/invitation';
import { navigate } from '../app/router';
import { AccountCard } from './account';

/** `/invitation#TOKEN`: shows the project and joins it. */
export function InvitationPage() {
  const [token] = useState(() => keptInvitation() ?? '');
  const shown = useMutation({ mutationFn: () => previewInvitation(token), onError: forgetRefusedInvitation });
  const join = useMutation({
    mutationFn: () => acceptInvitation(token),
    onError: forgetRefusedInvitation,
    onSuccess: async (project) => {
      forgetInvitation();
      await queryClient.invalidateQueries(projectsQuery);
      navigate(`/projects/${project.project_id}/tasks`, { replace: true });
    },
  });
  const { mutate } = shown;
  useEffect(() => mutate(), [mutate]);
  const thrown = join.error ?? shown.error;
  const error = thrown ? asApiError(thrown) : null;
  return (
    <AccountCard title="Invitation" error={error} sentence={error?.message ?? null}>
      {shown.data ? (
        <>
          <p>
            <strong>{shown.data.invited_by}</strong> invites you to the project{' '}
            <strong>{shown.data.project_name}</strong> as {shown.data.role}.
          </p>
          <button type="button" className="button primary wide" disabled={join.isPending} onClick={() => join.mutate()}>
            Join the project
          </button>
        </>
      ) : null}
      <button type="button" className="button wide" onClick={() => navigate('/')}>
        Go to your projects
      </button>
    </AccountCard>
  );
}
