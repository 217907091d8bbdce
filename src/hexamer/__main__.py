"""`python -m hexamer` is the command line."""

from .cli import main

main()
