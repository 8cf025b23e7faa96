"""The windows: they listen to events and read statistics, and change nothing."""
