"""Log -> rows, one transaction a batch: position, rows, totals and dead letters together, or nothing."""
