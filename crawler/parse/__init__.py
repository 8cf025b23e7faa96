"""How a page becomes items and links: processes with hard deadlines."""
