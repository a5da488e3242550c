"""What there is on a host, read over an open connection: domains, their addresses, what lies in pools."""
