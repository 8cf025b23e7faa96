"""How bytes are got: one request in; a page, a redirect or a failure out."""
