"""`python -m hexamer.cli` is the command line."""

from .app import main

if __name__ == "__main__":
    main()
