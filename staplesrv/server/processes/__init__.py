"""Several processes: the supervisor's side, the fork server, and the workers."""
