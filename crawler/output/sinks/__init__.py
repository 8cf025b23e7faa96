"""Files, streams and lists that items are appended to; each can be rolled back to a position."""
