"""`python -m crawler`: the same as the `crawler` command, for where that is not on the path."""

from crawler.cli.main import main

if __name__ == "__main__":
    main()
