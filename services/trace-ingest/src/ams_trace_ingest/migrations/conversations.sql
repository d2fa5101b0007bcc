-- Tasks of a conversation, and the conversations of a project by their newest task, of one projection generation ({schema}: see generation.sql).

CREATE INDEX tasks_by_conversation ON {schema}.tasks (project_id, conversation_id, sort_at_us DESC, task_id) WHERE conversation_id IS NOT NULL;
CREATE INDEX tasks_in_conversations ON {schema}.tasks (project_id, sort_at_us DESC, task_id) WHERE conversation_id IS NOT NULL;
