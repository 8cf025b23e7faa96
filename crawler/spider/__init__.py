"""What a user writes, and what travels between the rooms. Knows nothing of loops, sockets or files."""
