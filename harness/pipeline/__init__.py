"""From a query to its responses: lanes, the queue of sessions, core affinity, stage clocks."""
