"""Durable records: SQLite for the daemon, memory for the simulator."""
