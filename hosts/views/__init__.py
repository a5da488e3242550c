"""Pages of hosts and networks."""
