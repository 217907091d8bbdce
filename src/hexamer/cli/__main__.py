"""`python -m hexamer.cli` is the command line."""

from .application import main

if __name__ == "__main__":
    main()
