"""Where URLs wait: dedup, priority, one lane per host. Knows nothing of fetching or parsing."""
