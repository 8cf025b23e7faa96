"""A crawl is a job: a folder that holds all there is to know of it. Knows folders, not crawls."""
