"""When a host may be asked. Pure rules; it never waits itself."""
