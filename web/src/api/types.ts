/** Short names for the generated types of the contracts. Nothing is declared here that the contracts declare. */
import type {
  Batch,
  StepEnded,
  StepLost,
  StepProgressed,
  StepRecorded,
  StepStarted,
  TaskEnded,
  TaskStarted,
  TaskUpdated,
} from './types.gen';

export type * from './types.gen';
export type {
  CreatedKey as NewApiKey,
  DeadLetterItem as DeadLetter,
  KeyView as ApiKey,
  ProjectView as Project,
  SignedIn as Session,
  UserView as User,
} from './types.gen';
export { StatusValues as STATUSES, StepTypeValues as STEP_TYPES } from './types.gen';

/** An event that carries a complete step. */
export type StepDocumentEvent = StepStarted | StepEnded | StepRecorded;
export type StepEvent = StepDocumentEvent | StepProgressed | StepLost;
export type TaskEvent = TaskStarted | TaskUpdated | TaskEnded;
export type LogEvent = Batch['events'][number];
