"""A bookshop that exists only here: for `crawler demo` and the example spider, offline and anywhere."""
