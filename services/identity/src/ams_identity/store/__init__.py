"""All SQL of identity: one module per table, as text that can be pasted into psql.

Functions take an executor (a pool for one statement, a connection inside a transaction), times and ids as arguments.
"""

from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Executor = asyncpg.Pool | asyncpg.Connection | PoolConnectionProxy
Row = Any
