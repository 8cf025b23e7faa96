"""Where items go: async steps, and sinks that can be rolled back."""
