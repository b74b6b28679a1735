"""`python -m understudy.engine …` is the command line `understudy …`."""

from .cli import main

main()
