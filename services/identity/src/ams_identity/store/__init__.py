"""All SQL of identity: one module a table, text that can be pasted into psql.

Functions take what runs SQL (a pool for one statement, a connection inside a transaction) and times and ids as arguments.
"""

from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Executor = asyncpg.Pool | asyncpg.Connection | PoolConnectionProxy
Row = Any
